/* A PostgreSQL of a test's own: a copy of the program's, with its configuration, roles and databases, that follows
 * nobody, or the one that it is told. */
#ifndef PGSEAL_TESTS_STANDBY_H
#define PGSEAL_TESTS_STANDBY_H

#include "tests/integration/rig.h"

struct standby {
	struct rig_text dir; /* its data is in "data" below it */
	int port;
};

/* Make one and start it; when this returns it can be asked. Skips the test without PostgreSQL; the test is alone from
 * then on. of: a copy of that one, which it follows; NULL: of the program's, and it follows nobody. */
void standby_start(struct standby *s, const char *name, const struct standby *of);
void standby_promote(struct standby *s);
/* The primary s and its standby `to` change places, in order: nothing is lost. */
void standby_switch(struct standby *s, struct standby *to);
/* At once, as in a crash. */
void standby_stop(struct standby *s);
/* Its superuser's: as rig_query. */
struct rig_text standby_query(const struct standby *s, const char *sql);

#endif
