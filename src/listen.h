/* The sockets that clients come to. */
#ifndef PGSEAL_LISTEN_H
#define PGSEAL_LISTEN_H

#include <sys/types.h>

#include "pgseal/base/settings.h"
#include "pgseal/core/gate.h"

#define LISTENERS_MAX 64

struct listeners {
	struct listener at[LISTENERS_MAX];
	size_t count;
	char *socket_path; /* of the Unix socket, or NULL */
	dev_t socket_dev;  /* which file that is, because the name may become another's */
	ino_t socket_ino;
};

/* Open all of listen_addr and the Unix socket. ERR_IO with *why; nothing stays open then. */
enum err listeners_open(const struct settings *s, struct listeners *out,
                        struct errbuf *why) MUST_CHECK;
/* Refuse connections by TCP from now on; the descriptors stay, for the threads that watch them. The
 * Unix socket goes on, for the console, but its name is free: the next process takes it. */
void listeners_shut(struct listeners *l);
/* Close them and remove the Unix socket if it is still ours. */
void listeners_close(struct listeners *l);

#endif
