#include "sums_priv.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/admin/console.h"

/* --- finding and making --- */

static struct sum *sum_create(const char *database, const char *user)
{
	size_t database_len = strlen(database) + 1, user_len = strlen(user) + 1;
	struct sum *sum = calloc(1, sizeof(*sum) + database_len + user_len);

	if (sum == NULL)
		return NULL;
	memcpy(sum->key, database, database_len);
	memcpy(sum->key + database_len, user, user_len);
	sum->key_len = database_len + user_len;
	sum->database = sum->key;
	sum->user = sum->key + database_len;
	return sum;
}

static void sum_free(struct sum *sum)
{
	if (sum->db != NULL)
		database_release(sum->db);
	free(sum);
}

/* NULL: out of memory. */
static struct sum *sums_get(struct sums *sums, const char *database, const char *user)
{
	struct sum *sum = sum_create(database, user), *found;

	if (sum == NULL)
		return NULL;
	HASH_FIND(hh, sums->by_key, sum->key, sum->key_len, found);
	if (found != NULL) {
		sum_free(sum);
		return found;
	}
	HASH_ADD(hh, sums->by_key, key, sum->key_len, sum);
	if (HASH_HAS(sum))
		return sum;
	sum_free(sum);
	return NULL;
}

void sums_free(struct sums *sums)
{
	struct sum *sum, *next;

	if (sums == NULL)
		return;
	HASH_ITER(hh, sums->by_key, sum, next) {
		HASH_DELETE(hh, sums->by_key, sum);
		sum_free(sum);
	}
	free(sums);
}

/* --- adding --- */

static void take_database(struct sum *sum, struct database *db)
{
	if (sum->db == NULL && db != NULL)
		sum->db = database_hold(db);
}

static void add_pool(struct sum *sum, const struct pool *p, usec_t now)
{
	const struct session *first = TAILQ_FIRST(&p->waiters);

	take_database(sum, p->db);
	sum->clients += p->sessions;
	sum->waiting += p->waiting;
	sum->opening += p->opening;
	for (size_t i = 0; i < SESSION_STATES; i++)
		sum->sessions[i] += p->session_count[i];
	for (size_t i = 0; i < SERVER_STATES; i++)
		sum->servers[i] += p->server_count[i];
	sum->pool_size = p->terms.pool_size;
	if (route_replication(p->route) == NULL)
		sum->permits = route_servers(p->route);
	sum->paused = sum->paused || p->paused;
	sum->failing = sum->failing || p->retry_pause > 0;
	if (first != NULL && now - first->since > sum->maxwait)
		sum->maxwait = now - first->since;
	pool_timings_add(&sum->timings, &p->timings);
	pool_stats_add(&sum->stats, &p->stats);
	pool_stats_add(&sum->period, &p->period);
}

/* Sessions that are in no pool are the console's. */
static bool add_console(struct sums *sums, const struct worker *w, uint64_t pooled)
{
	int64_t all = atomic_load(&w->load);
	struct sum *sum;

	if (all <= (int64_t)pooled)
		return true;
	if ((sum = sums_get(sums, CONSOLE_DATABASE, CONSOLE_DATABASE)) == NULL)
		return false;
	sum->console = true;
	sum->clients += (uint64_t)all - pooled;
	return true;
}

bool sums_add(struct sums **sums, const struct worker *w)
{
	usec_t now = loop_now(w->loop);
	const struct pool *p;
	uint64_t pooled = 0;

	if (*sums == NULL && (*sums = calloc(1, sizeof(**sums))) == NULL)
		return false;
	for (p = w->pools; p != NULL; p = p->hh.next) {
		struct sum *sum = sums_get(*sums, route_database(p->route), route_role(p->route));

		if (sum == NULL)
			return false;
		add_pool(sum, p, now);
		pooled += p->sessions;
	}
	return add_console(*sums, w, pooled);
}

/* --- grouping --- */

static void add_sum(struct sum *to, const struct sum *from)
{
	take_database(to, from->db);
	to->clients += from->clients;
	to->waiting += from->waiting;
	to->opening += from->opening;
	for (size_t i = 0; i < SERVER_STATES; i++)
		to->servers[i] += from->servers[i];
	if (from->maxwait > to->maxwait)
		to->maxwait = from->maxwait;
	pool_stats_add(&to->stats, &from->stats);
	pool_stats_add(&to->period, &from->period);
}

struct sums *sums_group(const struct sums *sums, enum sums_by by)
{
	struct sums *group = calloc(1, sizeof(*group));
	const struct sum *from;

	for (from = sums->by_key; group != NULL && from != NULL; from = from->hh.next) {
		struct sum *to;

		if (from->console)
			continue;
		to = sums_get(group, by == SUMS_BY_DATABASE ? from->database : "",
		              by == SUMS_BY_USER ? from->user : "");
		if (to == NULL) {
			sums_free(group);
			return NULL;
		}
		add_sum(to, from);
	}
	return group;
}

static int compare(const struct sum *a, const struct sum *b)
{
	int order = strcmp(a->database, b->database);

	return order != 0 ? order : strcmp(a->user, b->user);
}

void sums_sort(struct sums *sums)
{
	HASH_SORT(sums->by_key, compare);
}

uint64_t sum_servers(const struct sum *sum)
{
	uint64_t n = 0;

	for (size_t i = 0; i < SERVER_STATES; i++)
		n += i == SERVER_CLOSING ? 0 : sum->servers[i];
	return n;
}
