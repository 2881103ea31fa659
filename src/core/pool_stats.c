/* What pools count, added up. */
#include "pool_priv.h"

#include "pgseal/core/worker.h"

void pool_stats_add(struct pool_stats *to, const struct pool_stats *s)
{
#define X(counter) to->counter += s->counter;
	POOL_STATS_TABLE(X)
#undef X
}

void pool_timings_add(struct pool_timings *to, const struct pool_timings *t)
{
	histogram_merge(&to->query, &t->query);
	histogram_merge(&to->xact, &t->xact);
	histogram_merge(&to->wait, &t->wait);
	histogram_merge(&to->connect, &t->connect);
}

void pool_bequeath(struct pool *p)
{
	struct worker *w = p->worker;
	struct route *shared;
	struct pool *heir;

	if (p->stats.client_login_count == 0)
		return;
	shared = route_get(w->crew->routes, route_database(p->route), route_role(p->route));
	heir = shared != NULL ? pool_get(w, shared, p->db) : NULL;
	if (heir != NULL) {
		pool_stats_add(&heir->stats, &p->stats);
		/* Of this period only what happened in it. */
		pool_stats_add(&heir->period_start, &p->period_start);
		pool_timings_add(&heir->timings, &p->timings);
	}
	route_release(shared);
}
