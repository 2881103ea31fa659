/* Servers that idle: whose they are best, and whom they were left by. */
#include "pool_priv.h"

#include "pgseal/core/chore.h"
#include "pgseal/core/setup.h"
#include "pgseal/core/worker.h"

/* So many idle servers are looked at for one that needs no cleaning. */
#define SEARCH_MAX 64

/* Of those that idle, one that is as it wants it: its own of before, if its sequences are in there, or one that
 * was used last by its like. */
struct server *pool_suitable_idle(struct pool *p, const struct session *s)
{
	struct server *srv, *found = NULL;
	unsigned seen = 0;

	TAILQ_FOREACH (srv, &p->servers[SERVER_IDLE], link) {
		if (seen++ == SEARCH_MAX)
			break;
		if (srv->id == s->last_server && route_asks_sequences(p->route))
			return srv;
		if (found == NULL && !setup_is_foreign(srv, s))
			found = srv;
		if (found != NULL && !route_asks_sequences(p->route))
			break;
	}
	return found;
}

static void clean_orphans(struct pool *p)
{
	struct server *srv, *next;

	for (srv = TAILQ_FIRST(&p->servers[SERVER_IDLE]); srv != NULL; srv = next) {
		next = TAILQ_NEXT(srv, link);
		if (setup_is_orphan(srv))
			chore_clean_orphan(srv);
	}
}

void pool_clean_orphans(struct worker *w)
{
	struct pool *p;

	for (p = w->pools; p != NULL; p = p->hh.next)
		clean_orphans(p);
}

static void mark_orphans(struct pool *p, uint64_t session)
{
	struct server *srv;
	int state;

	for (state = 0; state < SERVER_CLOSING; state++)
		TAILQ_FOREACH (srv, &p->servers[state], link)
			if (srv->last_session == session)
				srv->client_gone = true;
}

void pool_session_gone(struct session *s)
{
	struct crew *crew = s->worker->crew;
	size_t i;

	if (s->authn == NULL)
		return;
	if (s->pool != NULL && s->pool->terms.server_reset == SERVER_RESET_CLIENT) {
		mark_orphans(s->pool, s->id);
		clean_orphans(s->pool);
	}
	if (!authn_session_ended(s->authn))
		return;
	pool_clean_orphans(s->worker);
	for (i = 0; i < crew->worker_count; i++)
		if (crew->workers[i] != s->worker)
			worker_post_orphans(crew->workers[i]);
}
