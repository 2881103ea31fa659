#include "pool_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/core/chore.h"
#include "pgseal/core/deadlines.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/setup.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

static usec_t now_of(const struct pool *p)
{
	return loop_now(p->worker->loop);
}

static struct route_mark *mark_of(const struct pool *p)
{
	return route_mark(p->route, p->worker->index);
}

/* ---- life ---- */

static void wait_due(void *arg);
static void deal(struct pool *p);
static void sweep_due(void *arg);

enum err pool_come_to_terms(struct pool *p)
{
	const struct site *site = p->worker->site;

	terms_agree(&p->terms, site_user(site, route_role(p->route)), p->db, &site->settings);
	if (route_replication(p->route) != NULL)
		replication_terms(&p->terms);
	pool_starve(p, NULL);
	return permit_plan_make(&p->plan, p->worker->crew->quotas, site, p->db, p->route);
}

static bool pool_furnish(struct pool *p)
{
	struct worker *w = p->worker;

	if (timer_create_in(w->loop, wait_due, p, &p->wait_timer) != ERR_OK ||
	    timer_create_in(w->loop, pool_retry_due, p, &p->retry_timer) != ERR_OK ||
	    timer_create_in(w->loop, sweep_due, p, &p->sweep_timer) != ERR_OK ||
	    pool_come_to_terms(p) != ERR_OK)
		return false;
	HASH_ADD_PTR(w->pools, route, p);
	return HASH_HAS(p);
}

/* Of one that is in no table. */
static void pool_destroy(struct pool *p)
{
	params_release(p->worker->params, p->greeting);
	timer_free(p->wait_timer);
	timer_free(p->retry_timer);
	timer_free(p->sweep_timer);
	database_release(p->db);
	permit_plan_fini(&p->plan);
	route_release(p->route);
	free(p);
}

struct pool *pool_get(struct worker *w, struct route *route, struct database *db)
{
	struct pool *p = NULL;
	int state;

	HASH_FIND_PTR(w->pools, &route, p);
	if (p != NULL || (p = calloc(1, sizeof(*p))) == NULL)
		return p;
	p->worker = w;
	for (state = 0; state < SERVER_STATES; state++)
		TAILQ_INIT(&p->servers[state]);
	TAILQ_INIT(&p->waiters);
	TAILQ_INIT(&p->throttled);
	p->paused = w->paused || marked_has(&w->paused_databases, route_database(route));
	p->route = route_hold(route);
	p->db = database_hold(db);
	if (!pool_furnish(p)) {
		pool_destroy(p);
		return NULL;
	}
	return p;
}

void pool_free(struct pool *p)
{
	HASH_DELETE(hh, p->worker->pools, p);
	pool_destroy(p);
}

static unsigned pool_servers(const struct pool *p)
{
	unsigned n = 0;
	int state;

	for (state = 0; state < SERVER_STATES; state++)
		n += p->server_count[state];
	return n;
}

void pool_drop_unused(struct pool *p)
{
	if (p->sessions > 0 || p->opening > 0 || pool_servers(p) > 0)
		return;
	if (route_replication(p->route) != NULL)
		pool_bequeath(p);
	else if (p->greeting != NULL || p->stats.client_login_count > 0)
		return; /* somebody may look at what it has counted */
	pool_free(p);
}

/* ---- the queue ---- */

static usec_t wait_limit(const struct pool *p)
{
	return p->terms.query_wait_timeout;
}

/* 0: never. */
static usec_t sooner(usec_t a, usec_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static usec_t end_of_wait(const struct pool *p, const struct session *s)
{
	return s != NULL && wait_limit(p) > 0 ? s->since + wait_limit(p) : 0;
}

static usec_t reserve_due(const struct pool *p, const struct session *first, usec_t now)
{
	usec_t due = first != NULL && p->plan.reserve > 0 ? first->since + p->plan.reserve_timeout
	                                                  : 0;

	return due > now ? due : 0;
}

/* For the next of those that wait longest, here or for max_active: the end of its wait, or the reserve; and for the
 * next to be greeted. */
static void plan_wait(struct pool *p, void (*set)(struct timer *t, usec_t delay))
{
	const struct session *first = TAILQ_FIRST(&p->waiters);
	usec_t now = now_of(p), due = end_of_wait(p, TAILQ_FIRST(&p->throttled));

	due = sooner(due, end_of_wait(p, first));
	due = sooner(due, reserve_due(p, first, now));
	due = sooner(due, pool_greeting_due(p));
	if (due > 0)
		set(p->wait_timer, due > now ? due - now : 0);
}

/* Our first waiter is another one, or none: let the other workers know since when it waits. */
static void mark_waiting(struct pool *p)
{
	struct session *first = TAILQ_FIRST(&p->waiters);

	atomic_store(&mark_of(p)->oldest_wait, first != NULL ? first->since : 0);
	if (p->starved != NULL)
		pool_starve(p, first != NULL ? p->starved : NULL);
	if (p->plan.reserve > 0)
		plan_wait(p, timer_set);
}

/* By age: one that was throttled before may be older than those who wait already. */
void pool_enqueue(struct pool *p, struct session *s)
{
	struct session *last = TAILQ_LAST(&p->waiters, session_queue);

	while (last != NULL && last->since > s->since)
		last = TAILQ_PREV(last, session_queue, wait_link);
	if (last != NULL)
		TAILQ_INSERT_AFTER(&p->waiters, last, s, wait_link);
	else
		TAILQ_INSERT_HEAD(&p->waiters, s, wait_link);
	p->waiting++;
	if (last == NULL)
		mark_waiting(p);
	/* Who waits for a server may do so for minutes, and the timer may be armed for its end; so may it be for one that
	 * has long been served. */
	plan_wait(p, s->state == SESSION_GREETING ? timer_set : timer_set_once);
}

struct session *pool_waiter(struct session *s, enum session_state state)
{
	while (s != NULL && s->state != state)
		s = TAILQ_NEXT(s, wait_link);
	return s;
}

void pool_forget(struct pool *p, struct session *s)
{
	bool first = TAILQ_FIRST(&p->waiters) == s;
	usec_t waited = now_of(p) - s->since;

	p->stats.wait_time += (uint64_t)waited;
	histogram_add(&p->timings.wait, waited);
	if (s->throttled) {
		pool_unthrottle(p, s);
		return;
	}
	TAILQ_REMOVE(&p->waiters, s, wait_link);
	p->waiting--;
	if (first)
		mark_waiting(p);
}

static bool any_pinned(const struct pool *p)
{
	const struct server *srv;

	TAILQ_FOREACH(srv, &p->servers[SERVER_ACTIVE], link)
		if (srv->pins.held != 0)
			return true;
	return false;
}

static const char *why_busy(const struct pool *p, const struct session *s)
{
	if (s->throttled)
		return "As many sessions of the identity as max_active allows were busy.";
	if (p->starved != NULL)
		return pool_starved_words(p);
	if (any_pinned(p))
		return "All servers of the pool were busy; some are kept by their sessions, see "
		       "SHOW PINS.";
	return "All servers of the pool were busy.";
}

/* Why there is no server, for a client that waited in vain. */
static void give_up(struct pool *p, struct session *s)
{
	const struct login_failure *f = &p->failure;

	if (p->paused)
		session_close(s, CLOSE_PAUSED, NULL);
	else if (p->retry_pause > 0)
		session_close_words(
			s, CLOSE_SERVER_LOGIN,
			f->sqlstate[0] != '\0' ? f->sqlstate : SQLSTATE_CONNECTION_FAILURE,
			f->message, "The server could not be reached within query_wait_timeout.");
	else
		session_close(s, CLOSE_WAIT, why_busy(p, s));
}

/* All of this list who have waited too long. */
static void expire(struct pool *p, struct session_queue *list)
{
	usec_t limit = wait_limit(p);
	struct session *s;

	while ((s = TAILQ_FIRST(list)) != NULL && limit > 0 && now_of(p) - s->since >= limit)
		give_up(p, s);
}

static void wait_due(void *arg)
{
	struct pool *p = arg;

	pool_greet_due(p);
	deal(p);
	expire(p, &p->waiters);
	expire(p, &p->throttled);
	plan_wait(p, timer_set_once);
	pool_seek(p); /* the reserve may be due */
}

/* ---- lending ---- */

static struct server *newest_idle(struct pool *p)
{
	return p->paused ? NULL : TAILQ_FIRST(&p->servers[SERVER_IDLE]);
}

static struct server *oldest_idle(struct pool *p)
{
	return p->paused ? NULL : TAILQ_LAST(&p->servers[SERVER_IDLE], server_list);
}

static struct server *choose_idle(struct pool *p, const struct session *s)
{
	struct server *found;

	if (p->worker->site->settings.server_round_robin)
		return oldest_idle(p);
	found = p->paused ? NULL : pool_suitable_idle(p, s);
	return found != NULL ? found : newest_idle(p);
}

/* With server_reset=close nobody gets a server that somebody else has used. */
static bool must_close(const struct server *srv, const struct session *s)
{
	return s->pool->terms.server_reset == SERVER_RESET_CLOSE && setup_is_foreign(srv, s);
}

/* An idle server for who asks now; NULL: none, or it must show first that it still lives. */
static struct server *take_idle(struct pool *p, const struct session *s)
{
	struct server *srv = choose_idle(p, s);

	if (srv != NULL && must_close(srv, s)) {
		server_close(srv, "server_reset");
		return NULL;
	}
	if (srv == NULL || !chore_check_due(srv))
		return srv;
	chore_check(srv);
	return NULL;
}

void pool_wait(struct pool *p, struct session *s)
{
	session_set_state(s, s->asked == NULL ? SESSION_GREETING : SESSION_WAITING);
	pool_enqueue(p, s);
	if (s->state == SESSION_GREETING)
		deal(p); /* one that idles may be asked */
	/* What was refused a moment ago is refused at once: no login for each who asks. */
	if (p->permanent && pool_resting(p) && route_servers(p->route) == 0)
		pool_refuse_all(p);
	else
		pool_seek(p);
}

struct server *pool_acquire(struct pool *p, struct session *s)
{
	struct server *srv;

	s->noticed = false;
	if (!pool_charge(p, s)) {
		plan_wait(p, timer_set_once);
	} else if ((srv = take_idle(p, s)) != NULL) {
		histogram_add(&p->timings.wait, 0);
		return srv;
	} else {
		pool_wait(p, s);
	}
	deadlines_wait(p);
	return NULL;
}

#define KEPT_LOOK_US (10 * USEC_PER_SEC)

static bool worn_out(const struct pool *p, const struct server *srv)
{
	usec_t life = p->db->server_lifetime;

	/* A lifetime of nothing means one use. */
	return srv->stale != NULL || p->worker->draining || pool_over_size(p) ||
	       (life > 0 ? now_of(p) - srv->born >= life : srv->used);
}

void pool_plan_sweep(struct pool *p, void (*set)(struct timer *t, usec_t delay))
{
	usec_t idle = p->worker->site->settings.server_idle_timeout, life = p->db->server_lifetime;
	usec_t now = now_of(p), next = 0, due;
	struct server *srv;

	TAILQ_FOREACH(srv, &p->servers[SERVER_IDLE], link) {
		if (idle > 0 && (next == 0 || srv->since + idle < next))
			next = srv->since + idle;
		if (life > 0 && ((due = srv->born + life) < next || next == 0))
			next = due;
	}
	/* What is due already stays for min_pool_size: until that changes, a look now and then. */
	if (next != 0)
		set(p->sweep_timer, next > now ? next - now : KEPT_LOOK_US);
}

static void sweep_due(void *arg)
{
	struct pool *p = arg;
	usec_t idle = p->worker->site->settings.server_idle_timeout;
	struct server *srv, *next;

	for (srv = TAILQ_FIRST(&p->servers[SERVER_IDLE]); srv != NULL; srv = next) {
		next = TAILQ_NEXT(srv, link);
		if (worn_out(p, srv))
			server_close(srv, "server_lifetime");
		else if (idle > 0 && now_of(p) - srv->since >= idle && !pool_keeps(p))
			server_close(srv, "server_idle_timeout");
	}
	pool_plan_sweep(p, timer_set);
	pool_seek(p); /* there may be room for the minimum again */
}

/* The worker to whom a free server is due, by waiting time, if this is our first; -1: us, or nobody. */
static int due_elsewhere(struct pool *p, const struct session *first)
{
	usec_t theirs;
	int other = route_oldest_other(p->route, p->worker->index, &theirs);

	if (other >= 0 && (first == NULL || theirs + POOL_SLACK_US < first->since))
		return other;
	return -1;
}

/* One server for each time that somebody says he waits: the mark goes first, because the other one sets
 * it anew as soon as it has the server. */
static void hand_over(struct pool *p, struct server *srv, size_t other)
{
	struct route_mark *mark = route_mark(p->route, other);
	usec_t since = atomic_exchange(&mark->oldest_wait, 0), none = 0;

	if (!server_hand_over(srv, p->worker->crew->workers[other]))
		atomic_compare_exchange_strong(&mark->oldest_wait, &none, since);
}

/* Give idle servers to whom they are due, while there is anybody. The newest is the one that came free
 * just now, if one did. Who waits to be greeted has something asked, and needs no server. */
static void deal(struct pool *p)
{
	struct server *srv;
	struct session *s;
	int other;

	while ((srv = newest_idle(p)) != NULL) {
		s = TAILQ_FIRST(&p->waiters);
		other = due_elsewhere(p, s);
		if (other < 0 && s != NULL && s->state == SESSION_GREETING) {
			if (pool_greet_all(p) || pool_asks_greeting(p, srv))
				continue;
			s = pool_waiter(s, SESSION_WAITING);
			other = due_elsewhere(p, s);
		}
		if (other < 0 && s == NULL) {
			return;
		} else if (chore_check_due(srv)) {
			if (pool_checking(p) >= p->waiting + (other >= 0))
				return;
			chore_check(srv);
		} else if (other < 0 && must_close(srv, s)) {
			server_close(srv, "server_reset");
		} else if (other >= 0) {
			hand_over(p, srv, (size_t)other);
		} else {
			pool_forget(p, s);
			relay_grant(s, srv);
		}
	}
}

void pool_release(struct pool *p, struct server *srv)
{
	bool was_empty = p->server_count[SERVER_IDLE] == 0;

	assert(srv->session == NULL && srv->chore == CHORE_NONE);
	assert(route_replication(p->route) == NULL);
	if (p->worker->draining)
		server_wear_out(srv, "shutdown");
	if (srv->cancel != NULL) {
		server_set_state(srv, SERVER_CANCELED);
		return;
	}
	if (worn_out(p, srv)) {
		server_close(srv, srv->stale != NULL ? srv->stale : "server_lifetime or pool_size");
		tour_revisit(p->worker);
		return;
	}
	/* Its mark must say idle before the others' marks are read: see route.h. */
	server_set_state(srv, SERVER_IDLE);
	if (pool_makes_room(p, srv))
		return;
	deal(p);
	/* It is the newest, unless somebody has got it. */
	if ((srv = TAILQ_FIRST(&p->servers[SERVER_IDLE])) != NULL && setup_is_orphan(srv)) {
		chore_clean_orphan(srv);
		return;
	}
	if (was_empty && p->server_count[SERVER_IDLE] > 0)
		pool_plan_sweep(p, timer_set_once);
	tour_revisit(p->worker);
}

void pool_look_again(struct pool *p)
{
	pool_replace_renewed(p);
	mark_waiting(p);
	deal(p);
	pool_greet_all(p);
	pool_seek(p);
}

void pool_server_gone(struct pool *p)
{
	pool_wake_others(p);
	pool_seek(p);
	tour_revisit(p->worker);
}
