/* What libpq says in scenarios, for tests/drivers/run; see there. */
#ifndef PGSEAL_TESTS_DRIVERS_LIBPQ_SCENARIOS_H
#define PGSEAL_TESTS_DRIVERS_LIBPQ_SCENARIOS_H

#include <libpq-fe.h>
#include <stddef.h>

struct scenario {
	const char *name;
	void (*run)(PGconn *conn); /* a connection of its own, closed afterwards */
};

extern const struct scenario bulk_scenarios[];
extern const size_t bulk_scenario_count;
extern const struct scenario pipeline_scenarios[];
extern const size_t pipeline_scenario_count;

/* The schema to work in; its name in an SQL text is written as "%s". */
extern const char *schema;

/* A connection that shows its notices. Extra options may be NULL. Ends the program if it fails. */
PGconn *connect_with(const char *options);

/* The text with the schema's name for each "%s", up to three of them; good until the next call. */
const char *with_schema(const char *text);

/* Show a result and clear it. */
void show(PGresult *res);

/* Run it by the simple protocol, show all results. */
void query(PGconn *conn, const char *sql);

/* Run it with one parameter, by the extended protocol. */
void query_with(PGconn *conn, const char *sql, const char *value);

#endif
