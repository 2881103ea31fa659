/* Worlds of their own for a pgseal: what it sees of files, networks and time. Each goes with the
 * processes in it; nothing is left behind. */
#ifndef PGSEAL_TESTS_WORLD_H
#define PGSEAL_TESTS_WORLD_H

#include "tests/integration/rig.h"

/* Skips the test where namespaces are not allowed; as root they mostly are. */
void world_require(void);

/* For rig_before_exec: this process sees other mounts than all others from now on. False: it may not. */
bool world_own_mounts(void);

/* A machine on a wire of its own: sockets made between enter and leave are there, and go on working
 * behind it. It is gone with the test. */
struct remote {
	pid_t pid; /* holds the namespace while somebody holds this pipe */
	int hold;
	int there, here;
	char address[32]; /* ours, as seen from there */
	char its[32];     /* its own */
};
void remote_open(struct remote *r);
void remote_enter(struct remote *r);
void remote_leave(struct remote *r);
/* The wire is cut: packets vanish in both directions, and nobody is told. */
void remote_cut(struct remote *r);
void remote_mend(struct remote *r);
void remote_close(struct remote *r);

/* The path as a process in a world of its own sees it. */
struct rig_text world_path(pid_t pid, const char *path);

#endif
