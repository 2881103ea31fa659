#include "pool_commands_priv.h"

#include <inttypes.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/wire/message.h"


bool pool_order_concerns(const struct request *rq, const struct pool *p)
{
	return (rq->database == NULL || strcmp(rq->database, route_database(p->route)) == 0) &&
	       (rq->role == NULL || strcmp(rq->role, route_role(p->route)) == 0);
}

/* Take the database's name, if one was given. False: refused. */
static bool take_database(struct request *rq, const struct session *s)
{
	rq->database = request_arg(rq, 0);
	if (rq->database != NULL && site_is_console(rq->database)) {
		request_fail(rq, SQLSTATE_FEATURE_NOT_SUPPORTED, "%s: %s is the console",
		             rq->action.command->words, rq->database);
		return false;
	}
	if (rq->database == NULL || site_database(s->worker->site, rq->database) != NULL)
		return true;
	request_fail(rq, SQLSTATE_UNDEFINED_DATABASE, "no such database: %s", rq->database);
	return false;
}

static void log_act(const struct request *rq, const struct session *s, const char *act)
{
	log_info(LOG_CONSOLE, s->id, "%s: by=\"%s\" database=%s%s%s", act,
	         quote_str(s->identity->label).s,
	         rq->database != NULL ? "\"" : "*",
	         rq->database != NULL ? quote_str(rq->database).s : "",
	         rq->database != NULL ? "\"" : "");
}

void pool_order(struct request *rq, struct session *s, const char *act,
                enum tour_next (*part)(struct request *rq, struct worker *w),
                bool (*home)(struct request *rq, struct worker *w))
{
	rq->result.tag = rq->action.command->words;
	if (!take_database(rq, s)) {
		console_done(rq, s);
		return;
	}
	log_act(rq, s, act);
	request_tour(rq, s, part, home);
}

/* --- PAUSE: stop lending, then wait until nothing is lent --- */

static bool is_marked(const struct request *rq, const struct worker *w)
{
	if (rq->database == NULL)
		return w->paused;
	return marked_has(&w->paused_databases, rq->database);
}

static enum tour_next pause_part(struct request *rq, struct worker *w)
{
	rq->fresh = rq->fresh || !is_marked(rq, w);
	if (rq->database == NULL)
		w->paused = true;
	else if (marked_add(&w->paused_databases, rq->database) != ERR_OK)
		rq->result.no_memory = true;
	for (struct pool *p = w->pools; p != NULL; p = p->hh.next) {
		if (pool_order_concerns(rq, p) && !p->paused)
			pool_pause(p, true);
	}
	return TOUR_ON;
}

/* A RESUME from elsewhere ends the waiting too. */
static enum tour_next drained_part(struct request *rq, struct worker *w)
{
	if (!w->paused && !is_marked(rq, w)) {
		rq->overtaken = true;
		return TOUR_ON;
	}
	for (const struct pool *p = w->pools; p != NULL; p = p->hh.next) {
		if (pool_order_concerns(rq, p) && !pool_drained(p))
			return TOUR_PARK;
	}
	return TOUR_ON;
}

static enum tour_next resume_part(struct request *rq, struct worker *w)
{
	rq->hits += marked_remove(&w->paused_databases, rq->database);
	if (rq->database == NULL) {
		rq->hits += w->paused;
		w->paused = false;
	}
	for (struct pool *p = w->pools; p != NULL; p = p->hh.next) {
		if (pool_order_concerns(rq, p) && p->paused && !w->paused)
			pool_pause(p, false);
	}
	tour_revisit(w);
	return TOUR_ON;
}

static bool taken_back_home(struct request *rq, struct worker *w)
{
	(void)w;
	request_fail_cancelled(rq, "The pause has been ended.");
	return true;
}

/* Cancelled, it is taken back, unless it was in force before. */
static bool drained_home(struct request *rq, struct worker *w)
{
	(void)w;
	if (rq->overtaken) {
		request_fail(rq, SQLSTATE_QUERY_CANCELED, "RESUME came while PAUSE was waiting");
	} else if (rq->cut && rq->fresh) {
		rq->part = resume_part;
		rq->home = taken_back_home;
		return false;
	} else if (rq->cut) {
		request_fail_cancelled(rq, "The pause that was in force before goes on.");
	}
	return true;
}

static bool pause_home(struct request *rq, struct worker *w)
{
	(void)w;
	rq->part = drained_part;
	rq->home = drained_home;
	return false;
}

void command_pause(struct request *rq, struct session *s)
{
	pool_order(rq, s, "pause", pause_part, pause_home);
}

/* --- RESUME --- */

static bool resume_home(struct request *rq, struct worker *w)
{
	(void)w;
	if (rq->hits == 0 && rq->database != NULL)
		request_fail(rq, SQLSTATE_NOT_IN_STATE, "database %s is not paused", rq->database);
	else if (rq->hits == 0)
		request_fail(rq, SQLSTATE_NOT_IN_STATE, "pooler is not paused/suspended");
	return true;
}

void command_resume(struct request *rq, struct session *s)
{
	if (request_arg(rq, 0) != NULL && s->worker->paused) {
		request_fail(rq, SQLSTATE_NOT_IN_STATE,
		             "everything is paused; RESUME without a database ends that");
		console_done(rq, s);
		return;
	}
	pool_order(rq, s, "resume", resume_part, resume_home);
}

/* --- DISABLE and ENABLE: newcomers only; a worker refuses those that a gate had let in --- */

static enum tour_next disable_part(struct request *rq, struct worker *w)
{
	if (marked_add(&w->disabled_databases, rq->database) != ERR_OK)
		rq->result.no_memory = true;
	return TOUR_ON;
}

void command_disable(struct request *rq, struct session *s)
{
	pool_order(rq, s, "disable", disable_part, NULL);
}

static enum tour_next enable_part(struct request *rq, struct worker *w)
{
	(void)marked_remove(&w->disabled_databases, rq->database);
	return TOUR_ON;
}

void command_enable(struct request *rq, struct session *s)
{
	pool_order(rq, s, "enable", enable_part, NULL);
}

/* --- RECONNECT --- */

static enum tour_next reconnect_part(struct request *rq, struct worker *w)
{
	struct pool *p, *next;

	HASH_ITER(hh, w->pools, p, next) {
		if (pool_order_concerns(rq, p))
			pool_reconnect(p, "RECONNECT");
	}
	return TOUR_ON;
}

void command_reconnect(struct request *rq, struct session *s)
{
	pool_order(rq, s, "reconnect", reconnect_part, NULL);
}

/* --- WAIT_CLOSE --- */

static bool any_worn(const struct pool *p, usec_t since)
{
	const struct server *srv;

	for (int state = 0; state < SERVER_CLOSING; state++) {
		TAILQ_FOREACH(srv, &p->servers[state], link) {
			if (srv->stale != NULL && srv->stale_since <= since)
				return true;
		}
	}
	return false;
}

enum tour_next pool_order_worn_part(struct request *rq, struct worker *w)
{
	for (const struct pool *p = w->pools; p != NULL; p = p->hh.next) {
		if (pool_order_concerns(rq, p) && any_worn(p, rq->since))
			return TOUR_PARK;
	}
	return TOUR_ON;
}

bool pool_order_worn_home(struct request *rq, struct worker *w)
{
	(void)w;
	if (rq->cut)
		request_fail_cancelled(rq, "What was ordered goes on.");
	return true;
}

void command_wait_close(struct request *rq, struct session *s)
{
	rq->since = clock_now_us();
	pool_order(rq, s, "wait_close", pool_order_worn_part, pool_order_worn_home);
}
