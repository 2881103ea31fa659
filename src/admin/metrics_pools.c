/* Metrics by pool: database and role. A family is a row. */
#include "metrics_priv.h"

#include <string.h>

#define STAT(name, help, unit, counter)                                                \
	{ COUNTER(name, help), unit, offsetof(struct pool_stats, counter) }
static const struct stat_row {
	struct family family;
	enum unit unit;
	size_t offset;
} stat_rows[] = {
	STAT("pgseal_server_assignments_total", "How often a session got a server.", UNIT_ONE,
	     server_assignment_count),
	STAT("pgseal_transactions_total", "Transactions that ended.", UNIT_ONE, xact_count),
	STAT("pgseal_queries_total", "Simple queries and batches of the extended protocol that ended.",
	     UNIT_ONE, query_count),
	STAT("pgseal_received_bytes_total", "Bytes that clients sent to servers.", UNIT_ONE,
	     bytes_received),
	STAT("pgseal_sent_bytes_total", "Bytes that servers sent to clients.", UNIT_ONE, bytes_sent),
	STAT("pgseal_transaction_seconds_total", "Time that transactions took.", UNIT_USEC,
	     xact_time),
	STAT("pgseal_query_seconds_total", "Time that queries took.", UNIT_USEC, query_time),
	STAT("pgseal_wait_seconds_total", "Time that sessions waited for a server.", UNIT_USEC,
	     wait_time),
	STAT("pgseal_client_parses_total", "Prepared statements that clients made.", UNIT_ONE,
	     client_parse_count),
	STAT("pgseal_server_parses_total", "Prepared statements made on servers.", UNIT_ONE,
	     server_parse_count),
	STAT("pgseal_binds_total", "Prepared statements bound.", UNIT_ONE, bind_count),
	STAT("pgseal_pool_logins_total", "Logins of clients.", UNIT_ONE, client_login_count),
};
_Static_assert(COUNT(stat_rows) == sizeof(struct pool_stats) / sizeof(uint64_t),
               "each counter of POOL_STATS_TABLE has a row here");

#define TIMING(name, help, timing)                                                     \
	{ HISTOGRAM(name, help), offsetof(struct pool_timings, timing) }
static const struct timing_row {
	struct family family;
	size_t offset;
} timing_rows[] = {
	TIMING("pgseal_query_duration_seconds",
	       "How long queries took, from their turn at a server to ReadyForQuery.", query),
	TIMING("pgseal_transaction_duration_seconds", "How long transactions held a server.", xact),
	TIMING("pgseal_server_wait_duration_seconds",
	       "How long sessions waited for a server; 0 for those that found one idle.", wait),
	TIMING("pgseal_server_connect_duration_seconds",
	       "How long successful logins to servers took.", connect),
};
_Static_assert(COUNT(timing_rows) == sizeof(struct pool_timings) / sizeof(struct histogram),
               "each histogram of struct pool_timings has a row here");

#define GETTER(name, expression)                                                       \
	static int64_t get_##name(const struct sum *sum)                               \
	{                                                                              \
		return (int64_t)(expression);                                          \
	}
GETTER(pool_size, sum->pool_size)
GETTER(permits, sum->permits)
GETTER(paused, sum->paused)
GETTER(failing, sum->failing)
GETTER(maxwait, sum->maxwait)

static const struct gauge_row {
	struct family family;
	enum unit unit;
	int64_t (*get)(const struct sum *sum);
} gauge_rows[] = {
	{ GAUGE("pgseal_pool_size", "Most servers that the pool may have."), UNIT_ONE,
	  get_pool_size },
	{ GAUGE("pgseal_pool_servers", "Servers of the pool, with logins under way."), UNIT_ONE,
	  get_permits },
	{ GAUGE("pgseal_pool_paused", "Whether PAUSE holds for the pool."), UNIT_ONE, get_paused },
	{ GAUGE("pgseal_pool_login_failing", "Whether the last login to the server failed."),
	  UNIT_ONE, get_failing },
	{ GAUGE("pgseal_pool_oldest_wait_seconds",
	        "How long the client that waits longest for a server has waited."),
	  UNIT_USEC, get_maxwait },
};

/* The labels of a pool, and room for one more. */
struct pool_labels {
	struct label at[4];
};
static struct pool_labels pool_labels(const struct sum *sum, const char *name, const char *value)
{
	return (struct pool_labels){
		{ { "database", sum->database }, { "role", sum->user }, { name, value } }
	};
}

/* Sessions of the console are no pool's. */
static const struct sum *pool_from(const struct sum *sum)
{
	while (sum != NULL && sum->console)
		sum = sum->hh.next;
	return sum;
}

static const struct sum *pool_behind(const struct sum *sum)
{
	return pool_from(sum->hh.next);
}

static void write_stats(struct exposition *e, const struct sum *first)
{
	const struct stat_row *row;
	const struct sum *sum;
	uint64_t value;

	for (row = stat_rows; row < stat_rows + COUNT(stat_rows); row++) {
		exposition_family(e, &row->family);
		for (sum = first; sum != NULL; sum = pool_behind(sum)) {
			memcpy(&value, (const char *)&sum->stats + row->offset, sizeof(value));
			exposition_value(e, &row->family, pool_labels(sum, NULL, NULL).at, row->unit,
			          (int64_t)value);
		}
	}
}

static void write_timings(struct exposition *e, const struct sum *first)
{
	const struct timing_row *row;
	const struct sum *sum;

	for (row = timing_rows; row < timing_rows + COUNT(timing_rows); row++) {
		exposition_family(e, &row->family);
		for (sum = first; sum != NULL; sum = pool_behind(sum))
			exposition_histogram(e, &row->family, pool_labels(sum, NULL, NULL).at,
			                     (const void *)((const char *)&sum->timings +
			                                    row->offset));
	}
}

static void write_gauges(struct exposition *e, const struct sum *first)
{
	const struct gauge_row *row;
	const struct sum *sum;

	for (row = gauge_rows; row < gauge_rows + COUNT(gauge_rows); row++) {
		exposition_family(e, &row->family);
		for (sum = first; sum != NULL; sum = pool_behind(sum))
			exposition_value(e, &row->family, pool_labels(sum, NULL, NULL).at, row->unit,
			          row->get(sum));
	}
}

static void put_state(struct exposition *e, const struct family *f, const struct sum *sum,
                      const char *state, uint64_t count)
{
	exposition_number(e, f, pool_labels(sum, "state", state).at, (int64_t)count);
}

/* What closes is as good as gone. */
static void write_clients(struct exposition *e, const struct sum *first)
{
	static const struct family family =
		GAUGE("pgseal_clients", "Clients that are logged in, by what they do.");
	const struct sum *sum;
	size_t i;

	exposition_family(e, &family);
	for (sum = first; sum != NULL; sum = pool_behind(sum))
		for (i = 0; i < SESSION_CLOSING; i++)
			put_state(e, &family, sum, session_state_word((enum session_state)i),
			          sum->sessions[i]);
}

static void write_servers(struct exposition *e, const struct sum *first)
{
	static const struct family family =
		GAUGE("pgseal_servers", "Connections to servers, by what they do.");
	const struct sum *sum;
	size_t i;

	exposition_family(e, &family);
	for (sum = first; sum != NULL; sum = pool_behind(sum)) {
		for (i = 0; i < SERVER_CLOSING; i++)
			put_state(e, &family, sum, server_state_word((enum server_state)i),
			          sum->servers[i]);
		put_state(e, &family, sum, "login", sum->opening);
	}
}

void metrics_write_pools(struct exposition *e, const struct sums *sums)
{
	const struct sum *first = pool_from(sums->by_key);

	write_clients(e, first);
	write_servers(e, first);
	write_gauges(e, first);
	write_stats(e, first);
	write_timings(e, first);
}
