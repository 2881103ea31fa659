/* What the workers' pools add up to, by database and role. */
#ifndef PGSEAL_ADMIN_SUMS_PRIV_H
#define PGSEAL_ADMIN_SUMS_PRIV_H

#include "pgseal/base/hash.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"

/* name in STATS_TOTALS and the like, field of struct sum */
struct sum {
	UT_hash_handle hh;
	const char *database, *user; /* both in key */
	struct database *db;         /* a reference; NULL: the console's own row */
	uint64_t clients, waiting;   /* of the clients, those that wait for a server */
	uint64_t sessions[SESSION_STATES]; /* the same clients, by state */
	uint64_t servers[SERVER_STATES];
	uint64_t opening;
	usec_t maxwait;
	int64_t pool_size, permits;  /* of the route, not to be added up: most servers; servers and logins */
	bool console, paused;
	bool failing;                /* the last login of one of them failed */
	struct pool_timings timings;
	struct pool_stats stats, period; /* since the start; over the last whole period */
	size_t key_len;
	char key[];                      /* database NUL user NUL */
};

struct sums {
	struct sum *by_key;
};

/* Add a worker's pools and console sessions to *sums, made on first use. False: out of memory. */
bool sums_add(struct sums **sums, const struct worker *w);
enum sums_by { SUMS_BY_DATABASE, SUMS_BY_USER, SUMS_BY_NOTHING };
/* Grouped anew: what is not the group's is "". The console is left out. NULL: out of memory. */
struct sums *sums_group(const struct sums *sums, enum sums_by by);
void sums_sort(struct sums *sums); /* by database, then user */
void sums_free(struct sums *sums); /* NULL is fine */
uint64_t sum_servers(const struct sum *sum); /* in whatever state */

#endif
