/* What is ordered from outside: another configuration, other servers, a pause. */
#include "pool_priv.h"

#include "pgseal/base/log.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/worker.h"

/* One whose session does nothing and must not keep it. */
static struct server *first_hasty(struct pool *p)
{
	struct server *srv;

	TAILQ_FOREACH(srv, &p->servers[SERVER_ACTIVE], link)
		if (server_hurries(srv) && relay_between(srv->session))
			return srv;
	return NULL;
}

static void end_hasty(struct pool *p)
{
	struct server *srv;

	/* Each that ends may take others with it: look from the start. */
	while ((srv = first_hasty(p)) != NULL)
		session_close(srv->session, CLOSE_REPLACED, NULL);
}

/* All that logged in before that. */
static void stale_older(struct pool *p, usec_t than, const char *why)
{
	struct server *srv, *next;
	int state;

	for (state = 0; state < SERVER_CLOSING; state++)
		for (srv = TAILQ_FIRST(&p->servers[state]); srv != NULL; srv = next) {
			next = TAILQ_NEXT(srv, link);
			if (srv->born >= than)
				continue;
			server_wear_out(srv, why);
			if (state == SERVER_IDLE)
				server_close(srv, why);
		}
	end_hasty(p);
}

static void stale_all(struct pool *p, const char *why)
{
	stale_older(p, INT64_MAX, why);
}

void pool_replace_renewed(struct pool *p)
{
	usec_t renewed = route_renewed(p->route);

	if (renewed == p->renewed)
		return;
	p->renewed = renewed;
	stale_older(p, renewed, "to be replaced");
}

void pool_follow(struct pool *p, struct database *db)
{
	if (!database_same_login(p->db, db)) {
		stale_all(p, "configuration changed");
		p->retry_pause = 0;
		p->permanent = false;
	}
	database_hold(db);
	database_release(p->db);
	p->db = db;
	route_forget_spoken(p->route);
	if (pool_come_to_terms(p) != ERR_OK)
		log_error(LOG_POOL, 0, "limits not changed: reason=\"out of memory\"");
	end_hasty(p);
	timer_set(p->wait_timer, 0); /* it is armed for the old limit, if at all */
	pool_plan_sweep(p, timer_set);
	pool_look_again(p);
}

void pool_reconnect(struct pool *p, const char *why)
{
	route_renew(p->route, loop_now(p->worker->loop));
	route_forget_spoken(p->route);
	stale_all(p, why);
	pool_seek(p);
}

void pool_pause(struct pool *p, bool paused)
{
	p->paused = paused;
	if (paused)
		pool_starve(p, NULL);
	else
		pool_look_again(p);
}

bool pool_drained(const struct pool *p)
{
	if (route_replication(p->route) != NULL)
		return true; /* it takes part in nothing that could be waited for */
	return p->server_count[SERVER_ACTIVE] == 0 && p->server_count[SERVER_CLEANING] == 0 &&
	       p->server_count[SERVER_CANCELED] == 0;
}
