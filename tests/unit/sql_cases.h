/* Texts, and what is to be seen in them. */
#ifndef PGSEAL_TESTS_UNIT_SQL_CASES_H
#define PGSEAL_TESTS_UNIT_SQL_CASES_H

#include "pgseal/wire/sql.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* mentions: what sql_describe makes of them. */
struct sql_case {
	const char *text;
	unsigned traits;
	const char *mentions;
};

/* "kind name" of each, with a semicolon in between. A name that does not stand in the text, or
 * means something else, has in brackets what stands there. Then =value, if it is known, and a
 * question mark if the parameter may be led back though it is set. In a buffer that the next call
 * writes again. */
const char *sql_describe(struct bytes text, struct sql_reading how);

void sql_check(const struct sql_case *cases, size_t count, struct sql_reading how);

/* By the usual values of the parameters. */
#define CHECK(cases) sql_check(cases, COUNT(cases), (struct sql_reading){ 0 })

#endif
