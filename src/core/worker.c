#include "pgseal/core/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "pgseal/base/log.h"
#include "pgseal/core/cancel.h"
#include "pgseal/core/deadlines.h"
#include "pgseal/core/gate.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/replication.h"

/* ---- sessions ---- */

static struct session_list *bucket(struct worker *w, uint32_t key)
{
	return &w->by_key[(key >> 6) % WORKER_KEYS];
}

struct session *worker_session(struct worker *w, uint32_t key)
{
	struct session *s;

	LIST_FOREACH(s, bucket(w, key), key_link)
		if (s->key == key)
			return s;
	return NULL;
}

struct session *worker_session_by_id(struct worker *w, uint64_t id)
{
	struct session *s;

	TAILQ_FOREACH(s, &w->sessions, link)
		if (s->id == id)
			return s;
	return NULL;
}

/* A key that no living session has; 0 is nobody's. */
static uint32_t next_key(struct worker *w)
{
	uint32_t key;

	do
		key = cancel_key_make(w->index, ++w->next_key);
	while (key == 0 || worker_session(w, key) != NULL);
	return key;
}

void worker_enlist(struct worker *w, struct session *s)
{
	s->worker = w;
	s->id = LOG_ID(w->index, ++w->next_id);
	s->key = next_key(w);
	s->since = loop_now(w->loop);
	TAILQ_INSERT_TAIL(&w->sessions, s, link);
	LIST_INSERT_HEAD(bucket(w, s->key), s, key_link);
}

/* ---- letters ---- */

void worker_post(struct worker *w, struct letter *letter)
{
	mailbox_post(w->mailbox, letter);
}

static void follow_site(void *owner, struct site *site)
{
	struct worker *w = owner;
	struct pool *p, *next;
	struct database *db;

	site_release(w->site);
	w->site = site;
	HASH_ITER(hh, w->pools, p, next) {
		/* One that is gone from the file keeps serving the sessions it has. */
		db = site_database(w->site, route_database(p->route));
		pool_follow(p, db != NULL ? db : p->db);
	}
	deadlines_follow(w);
}

struct letter *worker_site_letter(struct site *site)
{
	return site_letter(site, follow_site);
}

struct look_letter {
	struct letter letter;
	struct route *route; /* a reference; NULL: every pool that lacks anything */
};

static void look_discard(struct letter *letter)
{
	struct look_letter *l = (struct look_letter *)letter;

	route_release(l->route);
	free(l);
}

static void look_arrive(struct letter *letter, void *owner)
{
	struct look_letter *l = (struct look_letter *)letter;
	struct worker *w = owner;
	struct pool *p = NULL;

	if (l->route != NULL)
		HASH_FIND_PTR(w->pools, &l->route, p);
	if (l->route == NULL)
		pool_look_all(w);
	else if (p != NULL)
		pool_look_again(p);
	look_discard(letter);
}

void worker_post_look(struct worker *w, struct route *route)
{
	struct look_letter *l = calloc(1, sizeof(*l));

	/* Without memory the other one finds out when it next frees a server. */
	if (l == NULL)
		return;
	l->letter.deliver = look_arrive;
	l->letter.discard = look_discard;
	l->route = route != NULL ? route_hold(route) : NULL;
	worker_post(w, &l->letter);
}

static void orphans_discard(struct letter *letter)
{
	free(letter);
}

static void orphans_arrive(struct letter *letter, void *owner)
{
	pool_clean_orphans(owner);
	orphans_discard(letter);
}

void worker_post_orphans(struct worker *w)
{
	struct letter *letter = calloc(1, sizeof(*letter));

	/* Without memory they are cleaned when somebody else gets them. */
	if (letter == NULL)
		return;
	letter->deliver = orphans_arrive;
	letter->discard = orphans_discard;
	worker_post(w, letter);
}

struct yield_letter {
	struct letter letter;
	struct quota *quota; /* a reference */
};

static void yield_discard(struct letter *letter)
{
	struct yield_letter *l = (struct yield_letter *)letter;

	quota_release(l->quota);
	free(l);
}

static void yield_arrive(struct letter *letter, void *owner)
{
	pool_yield(owner, ((struct yield_letter *)letter)->quota);
	yield_discard(letter);
}

void worker_post_yield(struct worker *w, struct quota *q)
{
	struct yield_letter *l = calloc(1, sizeof(*l));

	/* Without memory its next free server hears the cry. */
	if (l == NULL)
		return;
	l->letter.deliver = yield_arrive;
	l->letter.discard = yield_discard;
	l->quota = quota_hold(q);
	worker_post(w, &l->letter);
}

/* ---- the end ---- */

/* The orders that end a worker are part of it: they need no memory, and each is posted once. */
static void order_discard(struct letter *letter)
{
	(void)letter;
}

static void order_post(struct worker *w, struct letter *letter,
                       void (*deliver)(struct letter *letter, void *owner))
{
	if (letter->deliver != NULL)
		return;
	letter->deliver = deliver;
	letter->discard = order_discard;
	worker_post(w, letter);
}

/* Ending one session may end others: look from the start each time. */
static struct session *next_to_end(struct worker *w, bool at_once)
{
	struct session *s;

	TAILQ_FOREACH(s, &w->sessions, link)
		if (s->pool != NULL && (at_once || s->state != SESSION_ACTIVE || relay_between(s) ||
		                        session_replicates(s)))
			return s;
	return NULL;
}

static void drain(struct worker *w, bool at_once)
{
	struct session *s;
	struct pool *p, *next;

	w->draining = true;
	w->at_once = w->at_once || at_once;
	while ((s = next_to_end(w, at_once)) != NULL)
		session_close(s, CLOSE_SHUTDOWN, NULL);
	HASH_ITER(hh, w->pools, p, next)
		pool_reconnect(p, "shutdown");
	worker_check_end(w);
}

static void drain_arrive(struct letter *letter, void *owner)
{
	(void)letter;
	drain(owner, false);
}

static void drain_now_arrive(struct letter *letter, void *owner)
{
	(void)letter;
	drain(owner, true);
}

void worker_post_drain(struct worker *w, bool at_once)
{
	if (at_once)
		order_post(w, &w->drain_now_order, drain_now_arrive);
	else
		order_post(w, &w->drain_order, drain_arrive);
}

static bool pools_busy(const struct worker *w)
{
	const struct pool *p;

	for (p = w->pools; p != NULL; p = p->hh.next)
		if (!pool_drained(p))
			return true;
	return false;
}

/* Sessions of the console alone keep nobody alive: they may be what asked for the end. */
static bool sessions_left(const struct worker *w)
{
	const struct session *s;

	TAILQ_FOREACH(s, &w->sessions, link)
		if (s->pool != NULL)
			return true;
	return false;
}

void worker_check_end(struct worker *w)
{
	if (!w->draining || w->drained || (!w->at_once && (sessions_left(w) || pools_busy(w))))
		return;
	w->drained = true;
	w->farewell.deliver = w->crew->worker_drained;
	w->farewell.discard = order_discard;
	mailbox_post(w->crew->control, &w->farewell);
}

static void stop_arrive(struct letter *letter, void *owner)
{
	struct worker *w = owner;

	(void)letter;
	loop_stop(w->loop);
}

void worker_post_stop(struct worker *w)
{
	order_post(w, &w->stop_order, stop_arrive);
}

static void close_rest(struct worker *w)
{
	struct session *s;
	struct server *srv;
	struct pool *p, *next;
	int state;

	while ((s = TAILQ_FIRST(&w->sessions)) != NULL)
		session_close(s, CLOSE_SHUTDOWN, NULL);
	HASH_ITER(hh, w->pools, p, next)
		for (state = 0; state < SERVER_CLOSING; state++)
			while ((srv = TAILQ_FIRST(&p->servers[state])) != NULL)
				server_close(srv, NULL);
}

/* ---- timers ---- */

/* Clients that are gone while what they asked still runs: enough is enough. */
static void leave_due(void *arg)
{
	struct worker *w = arg;
	usec_t now = loop_now(w->loop), left, least = WORKER_LEAVE_GRACE_US;
	struct session *s;
	bool any = false;

again:
	TAILQ_FOREACH(s, &w->sessions, link) {
		if (!s->leaving)
			continue;
		left = s->since + WORKER_LEAVE_GRACE_US - now;
		if (left <= 0) {
			session_close(s, CLOSE_LOST, NULL);
			goto again; /* others may have ended with it */
		}
		any = true;
		least = left < least ? left : least;
	}
	if (any)
		timer_set(w->leave_timer, least);
}

/* Per second over the period, and microseconds per piece, as in SHOW STATS. */
static void log_averages(const struct pool *p, usec_t period)
{
	const struct pool_stats *d = &p->period;
	double seconds = (double)period / (double)USEC_PER_SEC;

	if (d->query_count == 0)
		return;
	log_info(LOG_POOL, 0,
	         "stats: database=%s role=%s xacts/s=%.1f queries/s=%.1f in_bytes/s=%.0f "
	         "out_bytes/s=%.0f xact_us=%ju query_us=%ju wait_us=%ju",
	         route_database(p->route), route_role(p->route), (double)d->xact_count / seconds,
	         (double)d->query_count / seconds, (double)d->bytes_received / seconds,
	         (double)d->bytes_sent / seconds,
	         (uintmax_t)(d->xact_count > 0 ? d->xact_time / d->xact_count : 0),
	         (uintmax_t)(d->query_time / d->query_count),
	         (uintmax_t)(d->xact_count > 0 ? d->wait_time / d->xact_count : 0));
}

static void stats_due(void *arg)
{
	struct worker *w = arg;
	struct pool *p;

	for (p = w->pools; p != NULL; p = p->hh.next) {
#define X(counter) p->period.counter = p->stats.counter - p->period_start.counter;
		POOL_STATS_TABLE(X)
#undef X
		p->period_start = p->stats;
		if (w->site->settings.log_stats)
			log_averages(p, w->site->settings.stats_period);
	}
	timer_set(w->stats_timer, w->site->settings.stats_period);
}

/* Its gates have the time for it. */
static void sessions_gone(void *arg)
{
	struct worker *w = arg;

	if (w->crew->gate_count > 0)
		gate_post_release(w->crew->gates[0]);
}

/* ---- the thread ---- */

static void end_of_turn(void *arg)
{
	struct worker *w = arg;
	struct session *s;
	struct server *srv;
	struct pool *p;
	bool any = !TAILQ_EMPTY(&w->dead) || !TAILQ_EMPTY(&w->dead_servers);

	io_end_turn(w->io);
	while ((srv = TAILQ_FIRST(&w->dead_servers)) != NULL)
		server_free(srv);
	while ((s = TAILQ_FIRST(&w->dead)) != NULL) {
		TAILQ_REMOVE(&w->dead, s, link);
		/* The dead still count in their pool: it is there as long as they are. */
		p = s->pool;
		session_free(s);
		if (p != NULL) {
			p->session_count[SESSION_CLOSING]--;
			pool_count_session(p, -1);
			pool_drop_unused(p);
		}
	}
	if (any) {
		ebb_note(&w->ebb, atomic_load(&w->load));
		worker_check_end(w);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	char name[8];

	snprintf(name, sizeof(name), "w%zu", w->index % 1000);
	log_thread(name);
	timer_set(w->stats_timer, w->site->settings.stats_period);
	loop_run(w->loop, end_of_turn, w);
	close_rest(w);
	end_of_turn(w);
	return NULL;
}

enum err worker_start(struct worker *w)
{
	return pthread_create(&w->thread, NULL, worker_main, w) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
}

static enum err worker_furnish(struct worker *w)
{
	enum err rc;

	if ((rc = loop_create(&w->loop)) != ERR_OK ||
	    (rc = mailbox_create(w, &w->mailbox)) != ERR_OK)
		return rc;
	if ((w->io = io_create(w->loop)) == NULL || (w->params = params_table_create()) == NULL ||
	    (w->statements = pstatement_table_create(w->crew->salt, w->params)) == NULL)
		return ERR_NO_MEMORY;
	if ((rc = loop_add_mailbox(w->loop, w->mailbox)) == ERR_OK &&
	    (rc = timer_create_in(w->loop, leave_due, w, &w->leave_timer)) == ERR_OK &&
	    (rc = timer_create_in(w->loop, relay_hold_due, w, &w->hold_timer)) == ERR_OK &&
	    (rc = timer_create_in(w->loop, deadlines_due, w, &w->deadline_timer)) == ERR_OK)
		rc = timer_create_in(w->loop, stats_due, w, &w->stats_timer);
	if (rc == ERR_OK)
		rc = ebb_init(&w->ebb, w->loop, sessions_gone, w);
	return rc;
}

enum err worker_create(struct crew *crew, size_t index, struct site *site, struct worker **out)
{
	struct worker *w = calloc(1, sizeof(*w));
	enum err rc;

	if (w == NULL)
		return ERR_NO_MEMORY;
	w->index = index;
	w->crew = crew;
	w->site = site_hold(site);
	TAILQ_INIT(&w->sessions);
	TAILQ_INIT(&w->dead);
	TAILQ_INIT(&w->holding);
	TAILQ_INIT(&w->dead_servers);
	STAILQ_INIT(&w->parked);
	if ((rc = worker_furnish(w)) != ERR_OK) {
		worker_free(w);
		return rc;
	}
	*out = w;
	return ERR_OK;
}

void worker_empty(struct worker *w)
{
	struct tour *t;

	mailbox_free(w->mailbox);
	w->mailbox = NULL;
	while ((t = STAILQ_FIRST(&w->parked)) != NULL) {
		STAILQ_REMOVE_HEAD(&w->parked, link);
		t->drop(t);
	}
}

void worker_free(struct worker *w)
{
	struct pool *p, *next;

	if (w == NULL)
		return;
	mailbox_free(w->mailbox);
	HASH_ITER(hh, w->pools, p, next)
		pool_free(p);
	(void)marked_remove(&w->paused_databases, NULL);
	(void)marked_remove(&w->disabled_databases, NULL);
	timer_free(w->leave_timer);
	timer_free(w->hold_timer);
	timer_free(w->stats_timer);
	timer_free(w->deadline_timer);
	ebb_fini(&w->ebb);
	pstatement_table_free(w->statements);
	params_table_free(w->params);
	tally_free(&w->tallies);
	io_free(w->io);
	loop_free(w->loop);
	site_release(w->site);
	free(w);
}
