/* Many clients at once, each in its thread; and a database of its own for each test, because the
 * program's PostgreSQL is shared by tests that run at the same time. */
#ifndef PGSEAL_TESTS_CROWD_H
#define PGSEAL_TESTS_CROWD_H

#include <pthread.h>

#include "tests/integration/rig.h"

#define CROWD_MAX 64

struct member {
	pthread_t thread;
	struct crowd *crowd;
	int index;
	unsigned seed;
	PGconn *conn; /* made by the crowd, CONNECTION_OK or the member has a fault */
	long done;    /* the body's to count */
	long marks;
	long faults;
	char why[300]; /* of the last fault */
};

/* In a thread: no assertion may be made there, a fault is noted and looked at behind the end. */
struct crowd {
	int size;
	void (*body)(struct member *m);
	char conninfo[4096];
	void *arg;
	_Atomic int64_t deadline_ms;
	struct member members[CROWD_MAX];
};

/* Start `size` members as alice; body runs once in each. */
void crowd_start(struct crowd *c, const struct rig *rig, int size, const char *extra, int run_ms,
                 void (*body)(struct member *m), void *arg);
/* From now on no member goes on. */
void crowd_end(struct crowd *c);
/* Until all have come back; a member with a fault fails the test. */
void crowd_join(struct crowd *c);
/* For the bodies: is there time left? */
bool crowd_goes_on(const struct member *m);
void member_fault(struct member *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* SQLSTATE of running sql, "" for success, "lost" when the connection broke. */
struct rig_text member_exec(struct member *m, const char *sql);
/* Run what must succeed; the first value. */
struct rig_text member_query(struct member *m, const char *sql);

/* A new, empty database that any role may use; a static name. */
void crowd_database(const char *name);
/* Its line for [databases], with the pooler's own keys. */
struct rig_text crowd_entry(const char *name, const char *keys);
/* How many connections PostgreSQL has for it. */
int crowd_backends(const char *database);
bool crowd_wait_backends(const char *database, const char *want, int wait_ms);

#endif
