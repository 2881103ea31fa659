/* The sockets that clients come to. */
#ifndef PGSEAL_LISTEN_H
#define PGSEAL_LISTEN_H

#include "pgseal/base/settings.h"
#include "pgseal/core/gate.h"

#define LISTENERS_MAX 64

struct listeners {
	struct listener at[LISTENERS_MAX];
	size_t count;
	char *socket_path; /* of the Unix socket, or NULL */
};

/* Open all of listen_addr and the Unix socket. ERR_IO with *why; nothing stays open then. */
enum err listeners_open(const struct settings *s, struct listeners *out,
                        struct errbuf *why) MUST_CHECK;
/* Refuse connections from now on; the descriptors stay, for the threads that watch them. */
void listeners_shut(struct listeners *l);
/* Close them and remove the Unix socket. */
void listeners_close(struct listeners *l);

#endif
