/* A name server that knows one name, in a thread of the test; and a pgseal that asks it. */
#ifndef PGSEAL_TESTS_NAMESERVER_H
#define PGSEAL_TESTS_NAMESERVER_H

#include <pthread.h>

#include "tests/integration/rig.h"

enum nameserver_mood { NAMESERVER_ANSWERS, NAMESERVER_SILENT, NAMESERVER_FAILS, NAMESERVER_DENIES };

struct nameserver {
	int fd, port;
	pthread_t thread;
	_Atomic int mood;
	_Atomic unsigned address; /* of every name, in the order of the host */
	_Atomic long asked;
};

void nameserver_start(struct nameserver *ns, const char *address);
void nameserver_stop(struct nameserver *ns);
void nameserver_move(struct nameserver *ns, const char *address);

/* From now on pgseals of this test find these files in place of /etc/resolv.conf and /etc/hosts, in a
 * world of their own; the texts are written there, and may be written anew. */
void names_prepare(const char *resolv_conf, const char *hosts);
void names_write_resolv_conf(const char *text);
void names_write_hosts(const char *text);
/* "nameserver ..." with this one's port. */
struct rig_text names_by(const struct nameserver *ns);

#endif
