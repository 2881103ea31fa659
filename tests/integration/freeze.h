/* Processes of PostgreSQL that stand still for a while, so that a race has one outcome. */
#ifndef PGSEAL_TESTS_FREEZE_H
#define PGSEAL_TESTS_FREEZE_H

#include "tests/integration/rig.h"

struct freeze {
	pid_t pid, guard;
	int hold, lock;
};

/* Stop a process until freeze_end, or until the test is dead. */
void freeze_begin(struct freeze *f, pid_t pid);
/* The postmaster: nobody can log in meanwhile. One test at a time. */
void freeze_logins(struct freeze *f);
void freeze_end(struct freeze *f);

/* The one backend of that database. */
pid_t freeze_backend_of(const char *database);

#endif
