/* What clients are told when they connect: what servers of their route report as their own. */
#include "pool_priv.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/core/chore.h"
#include "pgseal/core/pins.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/worker.h"

static usec_t now_of(const struct pool *p)
{
	return loop_now(p->worker->loop);
}

struct session *pool_first_greeting(struct pool *p)
{
	struct session *s;

	TAILQ_FOREACH (s, &p->waiters, wait_link)
		if (s->state == SESSION_GREETING)
			return s;
	return NULL;
}

/* ---- what is known ---- */

/* Has any server of the route told its parameters yet? p->greeting is set then. */
static bool knows_greeting(struct pool *p)
{
	struct buf flat = { 0 };
	struct params *learnt;

	/* Another worker may have learnt it, or something newer. */
	if (p->lessons == route_lessons(p->route))
		return p->greeting != NULL;
	p->lessons = route_lessons(p->route);
	if (route_learnt(p->route, &flat) == ERR_OK &&
	    (learnt = params_parse(p->worker->params, (struct bytes){ flat.at, flat.len })) !=
	            NULL) {
		params_release(p->worker->params, p->greeting);
		p->greeting = learnt;
	}
	buf_free(&flat);
	return p->greeting != NULL;
}

static void set_greeting(struct pool *p, struct params *reported)
{
	struct params *before;

	/* Another worker may have taught the route something else meanwhile. */
	(void)knows_greeting(p);
	before = p->greeting;
	if (before == reported)
		return;
	p->greeting = params_hold(reported);
	params_release(p->worker->params, before);
	p->lessons = route_learn(p->route, params_flat(reported));
}

void pool_learn(struct pool *p, struct params *reported)
{
	set_greeting(p, reported);
	route_note_spoken(p->route, now_of(p));
	pool_greet_all(p);
	pool_wake_others(p);
}

void pool_renew(struct pool *p, const char *name, const char *value)
{
	struct params *next;

	if (!knows_greeting(p) || params_find(p->greeting, name) == NULL)
		return;
	next = params_hold(p->greeting);
	if (params_put(p->worker->params, &next, name, value) == ERR_OK)
		set_greeting(p, next);
	params_release(p->worker->params, next);
}

/* ---- whether it is still true ---- */

/* Older ones do not report in_hot_standby: their clients ask for it. */
static bool reports_recovery(const struct pool *p)
{
	const char *version = params_get(p->greeting, "server_version");

	return version != NULL && atoi(version) >= 14;
}

bool pool_greeting_holds(struct pool *p, usec_t since)
{
	usec_t spoken = route_spoken(p->route);

	if (!knows_greeting(p))
		return false;
	return !reports_recovery(p) || (spoken != 0 && spoken >= since) ||
	       (spoken != 0 && now_of(p) - spoken < p->worker->site->settings.greeting_max_age);
}

bool pool_asks_greeting(struct pool *p, struct server *srv)
{
	if (!knows_greeting(p) || !route_claim_question(p->route, now_of(p)))
		return false;
	chore_ask(srv);
	return true;
}

void pool_logs_in_for_greeting(struct pool *p)
{
	/* Somebody else may have been asked before: then the one that answers first will do. */
	if (p->session_count[SESSION_GREETING] > 0 && knows_greeting(p))
		(void)route_claim_question(p->route, now_of(p));
}

bool pool_awaits_greeting(struct pool *p)
{
	return knows_greeting(p) && route_is_asked(p->route, now_of(p));
}

/* Of what newcomers choose a server by, this alone can be set by a client. */
#define CHOSEN_BY "default_transaction_read_only"

bool pool_greeting_hidden(const struct server *srv)
{
	return srv->in_force == NULL || params_find(srv->in_force, CHOSEN_BY) != NULL;
}

/* In session mode, and with pin=off, nobody follows what its session has set. */
static bool is_as_greeted(const struct server *srv)
{
	const char *now = params_get(srv->reported, CHOSEN_BY);
	const char *known = knows_greeting(srv->pool)
	                            ? params_get(srv->pool->greeting, CHOSEN_BY)
	                            : NULL;

	return now == NULL || (known != NULL && strcmp(now, known) == 0);
}

/* Does what is known of the route hold all by now that this server has to say about it? Not as long as it is open whose
 * a value is; and one that is to be replaced is not what newcomers will get. */
static bool has_told_all(const struct server *srv)
{
	if (srv->stale != NULL || pool_greeting_hidden(srv))
		return false;
	if (srv->session == NULL)
		return true;
	return pins_watch(srv) ? srv->pins.touched.len == 0 : is_as_greeted(srv);
}

/* It was asked, and nobody has set anything there. */
static bool is_bare(const struct server *srv)
{
	return srv->chore == CHORE_CHECK && srv->words.len == 0 && srv->in_force != NULL &&
	       params_count(srv->in_force) == 0;
}

void pool_spoken(struct server *srv)
{
	struct pool *p = srv->pool;

	if (!has_told_all(srv))
		return;
	if (is_bare(srv))
		set_greeting(p, srv->reported);
	if (route_note_spoken(p->route, now_of(p)))
		pool_wake_others(p);
	/* Not here, amid the answers to somebody. */
	if (p->session_count[SESSION_GREETING] > 0)
		timer_set(p->wait_timer, 0);
}

/* ---- greeting ---- */

/* From the start each time: a greeted session may go on to anything, and others with it. */
static void greet(struct pool *p, bool from_memory)
{
	usec_t wait = p->worker->site->settings.greeting_wait;
	struct session *s;
	bool holds;

	while ((s = pool_first_greeting(p)) != NULL && knows_greeting(p)) {
		holds = pool_greeting_holds(p, s->since);
		if (!holds && (!from_memory || now_of(p) - s->since < wait))
			break;
		if (!holds)
			log_warning(
				LOG_SESSION, s->id,
				"greeted from memory: no server could be asked within greeting_wait");
		pool_forget(p, s);
		session_greet(s);
		relay_resume(s);
	}
}

void pool_greet_all(struct pool *p)
{
	greet(p, false);
}

void pool_greet_due(struct pool *p)
{
	greet(p, true);
}
