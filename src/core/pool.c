#include "pgseal/core/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/core/relay.h"
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
static void retry_due(void *arg);
static void sweep_due(void *arg);

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
	p->paused = w->paused || paused_has(&w->paused_databases, route_database(route));
	if (timer_create_in(w->loop, wait_due, p, &p->wait_timer) != ERR_OK ||
	    timer_create_in(w->loop, retry_due, p, &p->retry_timer) != ERR_OK ||
	    timer_create_in(w->loop, sweep_due, p, &p->sweep_timer) != ERR_OK) {
		timer_free(p->wait_timer);
		timer_free(p->retry_timer);
		free(p);
		return NULL;
	}
	p->route = route_hold(route);
	p->db = database_hold(db);
	route_set_limit(route, (int)db->pool_size);
	HASH_ADD_PTR(w->pools, route, p);
	return p;
}

void pool_free(struct pool *p)
{
	HASH_DELETE(hh, p->worker->pools, p);
	params_release(p->worker->params, p->greeting);
	timer_free(p->wait_timer);
	timer_free(p->retry_timer);
	timer_free(p->sweep_timer);
	database_release(p->db);
	route_release(p->route);
	free(p);
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
	if (p->sessions == 0 && p->opening == 0 && p->greeting == NULL && pool_servers(p) == 0)
		pool_free(p);
}

/* ---- the queue ---- */

/* Let the other workers know since when our first waiter waits. */
static void mark_waiting(struct pool *p)
{
	struct session *first = TAILQ_FIRST(&p->waiters);

	atomic_store(&mark_of(p)->oldest_wait, first != NULL ? first->since : 0);
}

static usec_t wait_limit(const struct pool *p)
{
	return p->db->query_wait_timeout;
}

static void enqueue(struct pool *p, struct session *s)
{
	session_set_state(s, s->wanted == NULL ? SESSION_GREETING : SESSION_WAITING);
	TAILQ_INSERT_TAIL(&p->waiters, s, wait_link);
	if (p->waiting++ == 0)
		mark_waiting(p);
	if (wait_limit(p) > 0)
		timer_set_once(p->wait_timer, wait_limit(p));
}

void pool_forget(struct pool *p, struct session *s)
{
	bool first = TAILQ_FIRST(&p->waiters) == s;

	TAILQ_REMOVE(&p->waiters, s, wait_link);
	p->waiting--;
	p->stats.wait_time += (uint64_t)(now_of(p) - s->since);
	if (first)
		mark_waiting(p);
}

/* Why there is no server, for a client that waited in vain. */
static void give_up(struct pool *p, struct session *s)
{
	const struct login_failure *f = &p->failure;

	if (p->paused)
		session_close_words(s, CLOSE_WAIT, SQLSTATE_CANNOT_CONNECT_NOW, "pool is paused", NULL);
	else if (p->retry_pause > 0)
		session_close_words(s, CLOSE_SERVER_LOGIN,
		                    f->sqlstate[0] != '\0' ? f->sqlstate : SQLSTATE_CONNECTION_FAILURE,
		                    f->message, "The server could not be reached within query_wait_timeout.");
	else
		session_close(s, CLOSE_WAIT, "All servers of the pool were busy.");
}

static void wait_due(void *arg)
{
	struct pool *p = arg;
	usec_t limit = wait_limit(p), now = now_of(p);
	struct session *s;

	while ((s = TAILQ_FIRST(&p->waiters)) != NULL && limit > 0 && now - s->since >= limit)
		give_up(p, s);
	if (s != NULL && limit > 0)
		timer_set(p->wait_timer, s->since + limit - now);
}

/* ---- opening ---- */

static bool resting(const struct pool *p)
{
	return p->retry_pause > 0 && now_of(p) < p->failed_at + p->retry_pause;
}

/* One more login. False: no permit, or no memory. */
static bool open_one(struct pool *p)
{
	struct dial *d;

	if (!route_permit_take(p->route))
		return false;
	if ((d = dial_create(p->worker, p->route, p->db)) == NULL) {
		route_permit_give(p->route);
		return false;
	}
	d->answer = pool_dialled;
	p->opening++;
	dial_post(d);
	return true;
}

/* Servers for those who wait: logins of our own while permits last, spare ones of other workers. */
static void seek(struct pool *p)
{
	int other;

	if (p->paused || p->waiting == 0)
		return;
	while (!resting(p) && p->opening < p->waiting && open_one(p))
		;
	if (p->opening < p->waiting && (other = route_spare_other(p->route, p->worker->index)) >= 0)
		worker_post_look(p->worker->crew->workers[other], p->route);
}

/* All who wait learn at once why they wait in vain. */
static void refuse_all(struct pool *p)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&p->waiters)) != NULL)
		session_close_words(s, CLOSE_SERVER_LOGIN, p->failure.sqlstate, p->failure.message, NULL);
}

/* The server's refusal is about who asks or for what: it will not pass by itself. */
static bool is_permanent(const char *sqlstate)
{
	static const char *const passing[] = { "53", "57", "58", "08", "XX", "55" };
	size_t i;

	if (sqlstate[0] == '\0')
		return false;
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(sqlstate, passing[i], 2) == 0)
			return false;
	return true;
}

/* A permit is free again: for whoever waits. */
static void wake_others(struct pool *p)
{
	size_t i, n = route_workers(p->route);

	for (i = 0; i < n; i++)
		if (atomic_load(&route_mark(p->route, i)->oldest_wait) != 0 && i != p->worker->index)
			worker_post_look(p->worker->crew->workers[i], p->route);
}

static void login_failed(struct pool *p, const struct dial *d)
{
	usec_t longest = p->worker->site->settings.server_login_retry;

	p->failure = d->failure;
	/* Several that fail together are one failure. */
	if (!resting(p))
		p->retry_pause = p->retry_pause == 0 ? POOL_RETRY_FIRST_US : 2 * p->retry_pause;
	p->failed_at = now_of(p);
	if (p->retry_pause > longest)
		p->retry_pause = longest > 0 ? longest : 1;
	p->permanent = is_permanent(d->failure.sqlstate);
	log_warning(LOG_POOL, 0, "login failed: database=\"%s\" role=\"%s\" sqlstate=%s message=\"%s\" "
	            "retry_in=%s", quote_str(route_database(p->route)).s,
	            quote_str(route_role(p->route)).s, p->failure.sqlstate, quote_str(p->failure.message).s, duration_text(p->retry_pause).s);
	timer_set(p->retry_timer, p->retry_pause);
	/* While other servers live, those who wait can still be served. */
	if (p->permanent && route_servers(p->route) == 0)
		refuse_all(p);
}

static void retry_due(void *arg)
{
	struct pool *p = arg;

	p->failed_at = 0; /* however early the timer is by our clock */
	seek(p);
}

static void learn(struct pool *p, struct params *reported);

static void login_succeeded(struct pool *p, struct dial *d)
{
	struct server *srv;

	p->retry_pause = 0;
	p->permanent = false;
	if ((srv = server_create(p, d)) == NULL) {
		log_error(LOG_POOL, 0, "login lost: out of memory");
		route_permit_give(p->route);
		wake_others(p);
		return;
	}
	if (p->worker->site->settings.log_connections)
		log_info(LOG_SERVER, srv->id, "login: database=\"%s\" role=\"%s\" host=%s pid=%u tls=%s took_us=%jd",
		         quote_str(route_database(p->route)).s, quote_str(route_role(p->route)).s,
		         PQhost(srv->conn), srv->pid,
		         srv->stream.ssl != NULL ? SSL_get_version(srv->stream.ssl) : "off",
		         (intmax_t)d->took);
	if (!database_same_login(srv->db, p->db))
		srv->stale = "configuration changed";
	learn(p, srv->params);
	pool_release(p, srv);
}

void pool_dialled(struct dial *d, struct worker *home)
{
	struct pool *p = pool_get(home, d->route, d->db);

	if (p == NULL) {
		route_permit_give(d->route);
	} else {
		p->opening--;
		if (d->conn != NULL) {
			login_succeeded(p, d);
		} else {
			route_permit_give(d->route);
			login_failed(p, d);
			wake_others(p);
			seek(p);
		}
		pool_drop_unused(p);
	}
	dial_free(d);
	worker_check_end(home);
}

/* ---- what servers of this route report ---- */

static struct session *first_greeting(struct pool *p)
{
	struct session *s;

	TAILQ_FOREACH(s, &p->waiters, wait_link)
		if (s->state == SESSION_GREETING)
			return s;
	return NULL;
}

/* From the start each time: a greeted session may go on to anything, and others with it. */
static void greet_all(struct pool *p)
{
	struct session *s;

	while (p->greeting != NULL && (s = first_greeting(p)) != NULL) {
		pool_forget(p, s);
		session_greet(s);
	}
}

/* reported: by a server that nobody has used yet. */
static void learn(struct pool *p, struct params *reported)
{
	if (p->greeting != reported) {
		params_release(p->worker->params, p->greeting);
		p->greeting = params_hold(reported);
		route_learn(p->route, params_flat(reported));
	}
	greet_all(p);
}

bool pool_knows_greeting(struct pool *p)
{
	struct buf flat = { 0 };

	/* Another worker may have learnt it already. */
	if (p->greeting == NULL && route_learnt(p->route, &flat) == ERR_OK)
		p->greeting = params_parse(p->worker->params, (struct bytes){ flat.at, flat.len });
	buf_free(&flat);
	return p->greeting != NULL;
}

/* ---- lending ---- */

static struct server *take_idle(struct pool *p)
{
	return p->paused ? NULL : TAILQ_FIRST(&p->servers[SERVER_IDLE]);
}

void pool_wait(struct pool *p, struct session *s)
{
	enqueue(p, s);
	/* What was refused a moment ago is refused at once: no login for each who asks. */
	if (p->permanent && resting(p) && route_servers(p->route) == 0)
		refuse_all(p);
	else
		seek(p);
}

struct server *pool_acquire(struct pool *p, struct session *s)
{
	struct server *srv = take_idle(p);

	if (srv != NULL)
		return srv;
	pool_wait(p, s);
	return NULL;
}

static bool worn_out(const struct pool *p, const struct server *srv)
{
	usec_t life = p->db->server_lifetime;

	/* A lifetime of nothing means one use. */
	return srv->stale != NULL || p->worker->draining || route_over_limit(p->route) ||
	       (life > 0 ? now_of(p) - srv->born >= life : srv->used);
}

/* Arm the sweep for the first idle server to reach a limit. */
static void plan_sweep(struct pool *p, void (*set)(struct timer *t, usec_t delay))
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
	if (next != 0)
		set(p->sweep_timer, next > now ? next - now : 0);
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
		else if (idle > 0 && now_of(p) - srv->since >= idle)
			server_close(srv, "server_idle_timeout");
	}
	plan_sweep(p, timer_set);
}

/* The worker to whom a free server is due, by waiting time; -1: us, or nobody. */
static int due_elsewhere(struct pool *p)
{
	struct session *first = TAILQ_FIRST(&p->waiters);
	usec_t theirs;
	int other = route_oldest_other(p->route, p->worker->index, &theirs);

	if (other >= 0 && (first == NULL || theirs + POOL_SLACK_US < first->since))
		return other;
	return -1;
}

/* Give idle servers to whom they are due, while there is anybody. */
static void deal(struct pool *p)
{
	struct server *srv;
	struct session *s;
	int other;

	while ((srv = take_idle(p)) != NULL) {
		if ((other = due_elsewhere(p)) >= 0) {
			/* One for each time that somebody says he waits. */
			atomic_store(&route_mark(p->route, (size_t)other)->oldest_wait, 0);
			server_hand_over(srv, p->worker->crew->workers[other]);
		} else if ((s = TAILQ_FIRST(&p->waiters)) == NULL) {
			return;
		} else if (s->state == SESSION_GREETING) {
			if (!pool_knows_greeting(p))
				return;
			greet_all(p);
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
	if (p->worker->draining && srv->stale == NULL)
		srv->stale = "shutdown";
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
	deal(p);
	if (was_empty && p->server_count[SERVER_IDLE] > 0)
		plan_sweep(p, timer_set_once);
	tour_revisit(p->worker);
}

void pool_look_again(struct pool *p)
{
	mark_waiting(p);
	deal(p);
	if (first_greeting(p) != NULL && pool_knows_greeting(p))
		greet_all(p);
	seek(p);
}

void pool_server_gone(struct pool *p)
{
	wake_others(p);
	seek(p);
	tour_revisit(p->worker);
}

/* ---- orders ---- */

static void stale_all(struct pool *p, const char *why)
{
	struct server *srv, *next;
	int state;

	for (state = 0; state < SERVER_CLOSING; state++)
		for (srv = TAILQ_FIRST(&p->servers[state]); srv != NULL; srv = next) {
			next = TAILQ_NEXT(srv, link);
			srv->stale = why;
			if (state == SERVER_IDLE)
				server_close(srv, why);
		}
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
	route_set_limit(p->route, (int)db->pool_size);
	plan_sweep(p, timer_set);
	pool_look_again(p);
}

void pool_reconnect(struct pool *p, const char *why)
{
	stale_all(p, why);
	seek(p);
}

void pool_pause(struct pool *p, bool paused)
{
	p->paused = paused;
	if (!paused)
		pool_look_again(p);
}

bool pool_drained(const struct pool *p)
{
	return p->server_count[SERVER_ACTIVE] == 0 && p->server_count[SERVER_CLEANING] == 0 &&
	       p->server_count[SERVER_CANCELED] == 0;
}
