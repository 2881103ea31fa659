/* What clients are told when they connect: what servers of their route report as their own. */
#include "pool_priv.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pgseal/base/log.h"
#include "pgseal/core/chore.h"
#include "pgseal/core/pins.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

static usec_t now_of(const struct pool *p)
{
	return loop_now(p->worker->loop);
}

struct session *pool_first_greeting(struct pool *p)
{
	return pool_waiter(TAILQ_FIRST(&p->waiters), SESSION_GREETING);
}

static struct session *next_greeting(const struct session *s)
{
	return pool_waiter(TAILQ_NEXT(s, wait_link), SESSION_GREETING);
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

/* What it says counts for newcomers: it is not to be replaced. */
static bool counts(const struct server *srv)
{
	return srv->stale == NULL && srv->born >= route_renewed(srv->route) &&
	       route_replication(srv->route) == NULL;
}

/* ---- what is wanted ---- */

static bool is_on(const char *value)
{
	return value != NULL && strcmp(value, "on") == 0;
}

/* Of what newcomers choose a server by, this alone can be set by a client. */
#define CHOSEN_BY "default_transaction_read_only"

/* Its own by what it reports, or by what is known if that may be a client's. */
static bool is_read_only(const struct server *srv)
{
	const struct params *own = srv->reported;

	if (srv->session != NULL || pool_greeting_hidden(srv))
		own = knows_greeting(srv->pool) ? srv->pool->greeting : NULL;
	return own != NULL && is_on(params_get(own, CHOSEN_BY));
}

/* With what it has said of itself, `name` before all else. */
static bool is_wanted(const struct server *srv, const char *name, const char *value)
{
	bool standby = is_on(params_get(srv->reported, "in_hot_standby"));
	bool read_only = is_read_only(srv);

	if (strcasecmp(name, "in_hot_standby") == 0)
		standby = is_on(value);
	else if (strcasecmp(name, CHOSEN_BY) == 0)
		read_only = is_on(value);
	return database_wants(srv->db, standby, read_only);
}

void pool_judge(struct server *srv)
{
	/* Older ones do not tell: libpq has asked. */
	srv->wanted = params_get(srv->reported, "in_hot_standby") == NULL ||
	              is_wanted(srv, "", NULL);
}

/* What has become of this one may have become of others that have not said so yet. Not in this turn, amid its answer. */
static void replace_if_unwanted(struct server *srv, const char *name, const char *value)
{
	struct pool *p = srv->pool;
	struct crew *crew = p->worker->crew;
	size_t i;

	if (!counts(srv) || !srv->wanted || is_wanted(srv, name, value))
		return;
	log_warning(LOG_SERVER, srv->id,
	            "not what target_session_attrs wants any more: servers of database=\"%s\" "
	            "role=\"%s\" are replaced",
	            quote_str(route_database(p->route)).s, quote_str(route_role(p->route)).s);
	srv->wanted = false;
	server_wear_out(srv, "target_session_attrs");
	route_renew(p->route, now_of(p));
	route_forget_spoken(p->route);
	for (i = 0; i < crew->worker_count; i++)
		worker_post_look(crew->workers[i], p->route);
}

/* ---- what they teach ---- */

void pool_learn(struct server *srv)
{
	struct pool *p = srv->pool;

	replace_if_unwanted(srv, "", NULL);
	if (!counts(srv))
		return;
	set_greeting(p, srv->reported);
	route_note_spoken(p->route, now_of(p));
	pool_greet_all(p);
	pool_wake_others(p);
}

void pool_renew(struct server *srv, const char *name, const char *value)
{
	struct pool *p = srv->pool;
	struct params *next;

	replace_if_unwanted(srv, name, value);
	if (!counts(srv) || !knows_greeting(p) || params_find(p->greeting, name) == NULL)
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

static bool holds(struct pool *p, usec_t since)
{
	usec_t spoken = route_spoken(p->route);

	if (!knows_greeting(p))
		return false;
	return !reports_recovery(p) || (spoken != 0 && spoken >= since) ||
	       (spoken != 0 && now_of(p) - spoken < p->worker->site->settings.greeting_max_age);
}

static bool asks_what_changed(struct pool *p, struct server *srv)
{
	if (!route_claim_question(p->route, now_of(p)))
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
	if (!counts(srv) || pool_greeting_hidden(srv))
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

/* How servers spell something is known now, to other workers as well. */
static bool has_shown(const struct server *srv)
{
	return srv->chore == CHORE_SPELL;
}

void pool_spoken(struct server *srv)
{
	struct pool *p = srv->pool;

	if (!has_told_all(srv))
		return;
	if (is_bare(srv)) {
		replace_if_unwanted(srv, "", NULL);
		if (!counts(srv))
			return;
		set_greeting(p, srv->reported);
	}
	if (route_note_spoken(p->route, now_of(p)) || has_shown(srv))
		pool_wake_others(p);
	/* Not here, amid the answers to somebody. */
	if (p->session_count[SESSION_GREETING] > 0)
		timer_set(p->wait_timer, 0);
}

/* ---- how it is spelled ---- */

/* Of what is not shown, the answer counts for those who have waited for it. */
static enum spelling spelling_of(const struct pool *p, const struct session *s, struct param *which,
                                 struct buf *words)
{
	return session_spelling(s, p->greeting, s->since, which, words);
}

static bool is_being_asked(const struct pool *p, const struct param *which)
{
	const struct server *srv;

	TAILQ_FOREACH (srv, &p->servers[SERVER_CLEANING], link)
		if (chore_spells(srv, which->name, which->value))
			return true;
	return false;
}

bool pool_asks_spelling(const struct pool *p)
{
	const struct server *srv;

	TAILQ_FOREACH (srv, &p->servers[SERVER_CLEANING], link)
		if (srv->chore == CHORE_SPELL && srv->stale == NULL)
			return true;
	return false;
}

/* So many of those who wait are looked at for what there is to ask for, or for one to be greeted. */
#define LOOK_MAX 256

static bool asks_spelling(struct pool *p, struct server *srv)
{
	struct param which;
	struct session *s = pool_first_greeting(p);
	unsigned seen;

	for (seen = 0; s != NULL && seen < LOOK_MAX; seen++, s = next_greeting(s)) {
		if (spelling_of(p, s, &which, NULL) != SPELLING_UNKNOWN ||
		    is_being_asked(p, &which))
			continue;
		chore_spell(srv, which.name, which.value);
		return true;
	}
	return false;
}

bool pool_asks_greeting(struct pool *p, struct server *srv)
{
	const struct session *s = pool_first_greeting(p);

	if (s == NULL || !knows_greeting(p))
		return false;
	return holds(p, s->since) ? asks_spelling(p, srv) : asks_what_changed(p, srv);
}

/* ---- greeting ---- */

/* All that it is to be told is known, and true. */
static bool is_ready(struct pool *p, const struct session *s, usec_t since)
{
	struct param which;

	return holds(p, since) && spelling_of(p, s, &which, NULL) != SPELLING_UNKNOWN;
}

static const char *behind(const char *text)
{
	return text + strlen(text) + 1;
}

/* NULL: it is empty. */
static const char *field(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void refuse(struct session *s, const struct buf *words)
{
	const char *sqlstate = (const char *)words->at, *message = behind(sqlstate);
	const char *detail = behind(message), *hint = behind(detail);

	session_set_state(s, SESSION_IDLE); /* closing must not look for it in the queue */
	session_close_error(s, CLOSE_SETUP,
	                    &(struct message_error){ .sqlstate = sqlstate,
	                                             .message = message,
	                                             .detail = field(detail),
	                                             .hint = field(hint) });
}

/* s is not in the queue (any more). */
static void greet(struct pool *p, struct session *s)
{
	struct buf words = { 0 };
	struct param which;

	if (spelling_of(p, s, &which, &words) == SPELLING_REFUSED) {
		refuse(s, &words);
	} else {
		session_greet(s);
		relay_resume(s);
	}
	buf_free(&words);
}

bool pool_greet(struct pool *p, struct session *s)
{
	if (!is_ready(p, s, now_of(p)))
		return false;
	greet(p, s);
	return true;
}

static bool has_waited(const struct pool *p, const struct session *s)
{
	return now_of(p) - s->since >= p->worker->site->settings.greeting_wait;
}

static struct session *next_to_greet(struct pool *p, bool from_memory)
{
	struct session *s = pool_first_greeting(p);
	unsigned seen;

	for (seen = 0; s != NULL && seen < LOOK_MAX; seen++, s = next_greeting(s))
		if (is_ready(p, s, s->since) || (from_memory && has_waited(p, s)))
			return s;
	return NULL;
}

usec_t pool_greeting_due(struct pool *p)
{
	usec_t wait = p->worker->site->settings.greeting_wait;
	const struct session *s;

	if (p->session_count[SESSION_GREETING] == 0 || p->greeting == NULL)
		return 0;
	if ((s = next_to_greet(p, false)) != NULL)
		return s->since;
	s = pool_first_greeting(p);
	return s != NULL ? s->since + (wait > 0 ? wait : 1) : 0;
}

/* From the start each time: a greeted session may go on to anything, and others with it. */
static bool greet_some(struct pool *p, bool from_memory)
{
	struct session *s;
	bool any = false;

	while (p->session_count[SESSION_GREETING] > 0 && knows_greeting(p) &&
	       (s = next_to_greet(p, from_memory)) != NULL) {
		if (!is_ready(p, s, s->since))
			log_warning(
				LOG_SESSION, s->id,
				"greeted from memory: no server could be asked within greeting_wait");
		pool_forget(p, s);
		greet(p, s);
		any = true;
	}
	return any;
}

bool pool_greet_all(struct pool *p)
{
	return greet_some(p, false);
}

void pool_greet_due(struct pool *p)
{
	greet_some(p, true);
}
