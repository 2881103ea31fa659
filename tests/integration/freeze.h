/* Processes of PostgreSQL that stand still for a while, so that a race has one outcome; and what kills
 * all of it. */
#ifndef PGSEAL_TESTS_FREEZE_H
#define PGSEAL_TESTS_FREEZE_H

#include "tests/integration/rig.h"

#define FREEZE_MAX 256

struct freeze {
	pid_t pids[FREEZE_MAX];
	size_t count;
	pid_t guard;
	int hold, lock;
};

/* Stop a process until freeze_end, or until the test is dead. */
void freeze_begin(struct freeze *f, pid_t pid);
/* The postmaster: nobody can log in meanwhile. One test at a time. */
void freeze_logins(struct freeze *f);
/* The postmaster and all that it started. For tests that are alone. */
void freeze_all(struct freeze *f);
void freeze_end(struct freeze *f);

/* The one backend of that database. */
pid_t freeze_backend_of(const char *database);

/* The whole of PostgreSQL is gone, by SIGKILL, when this returns. For tests that are alone. */
void postgres_kill(void);
/* And here again, taking connections. */
void postgres_restart(void);

#endif
