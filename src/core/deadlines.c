#include "pgseal/core/deadlines.h"

#include <stddef.h>
#include <sys/socket.h>

#include "pgseal/base/log.h"
#include "pgseal/core/cancel.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"
#include "relay_priv.h"

#define LATE_LEAST_US (5 * USEC_PER_MS)

static usec_t now_of(const struct session *s)
{
	return loop_now(s->worker->loop);
}

/* ---- since when something has lasted; 0: it does not ---- */

/* The client has all that we have for it, and we have nothing from it that waits here. */
static bool turn_is_clients(const struct session *s)
{
	return stream_held(&s->stream) == 0 && s->passing == 0 &&
	       (s->input.len == 0 || !relay_client_blocked(s));
}

static usec_t query_since(const struct session *s)
{
	bool runs = s->state == SESSION_ACTIVE && !tracker_quiet(&s->server->tracker);

	return runs && s->stopped_at == 0 ? s->query_since : 0;
}

static usec_t stopped_since(const struct session *s)
{
	bool runs = s->state == SESSION_ACTIVE && !tracker_quiet(&s->server->tracker);

	return runs ? s->stopped_at : 0;
}

static usec_t wait_since(const struct session *s)
{
	return s->state == SESSION_WAITING && !s->noticed ? s->since : 0;
}

static usec_t transaction_since(const struct session *s)
{
	return s->state == SESSION_ACTIVE && !relay_between(s) ? s->xact_since : 0;
}

/* Inside a batch there is no telling who waits for whom: only behind a ReadyForQuery. */
static usec_t idle_transaction_since(const struct session *s)
{
	const struct tracker *t;

	if (s->state != SESSION_ACTIVE || s->server->chore != CHORE_NONE)
		return 0;
	t = &s->server->tracker;
	if (t->status == 'I' || !tracker_quiet(t) || t->batch_open || t->skipping)
		return 0;
	return turn_is_clients(s) ? s->query_since : 0;
}

/* In session mode it has its server even so. */
static usec_t idle_since(const struct session *s)
{
	if (!turn_is_clients(s))
		return 0;
	if (s->state == SESSION_IDLE)
		return s->since;
	return s->state == SESSION_ACTIVE && relay_between(s) ? s->query_since : 0;
}

/* ---- what becomes of it ---- */

/* It did not even end when it was cancelled. */
static void cut_query(struct session *s)
{
	relay_ruin(s->server, CLOSE_QUERY_TIMEOUT,
	           "The query did not end when it was cancelled; it may still run at the server.");
}

/* The server says what became of the query; before that, between messages, we say why. */
static void stop_query(struct session *s)
{
	if (s->server->chore != CHORE_NONE) {
		/* Statements of ours do not take long where anything is in order. */
		cut_query(s);
		return;
	}
	log_info(LOG_SESSION, s->id, "query_timeout: server=%s ran=%s",
	         log_id_text(s->server->id).s, duration_text(now_of(s) - s->query_since).s);
	if (!relay_mid_message(s))
		session_tell(s, 'N', "WARNING", SQLSTATE_QUERY_CANCELED,
		             "canceling statement due to query_timeout", NULL, NULL);
	s->stopped_at = now_of(s);
	cancel_server(s->server);
}

/* Whoever waits is between messages. */
static void tell_wait(struct session *s)
{
	s->noticed = true;
	session_tell(s, 'N', "NOTICE", SQLSTATE_SUCCESS,
	             "no server connection is free yet, the query waits for one", NULL, NULL);
}

static void end_transaction(struct session *s)
{
	session_close(s, CLOSE_TRANSACTION, NULL);
}

static void end_idle_transaction(struct session *s)
{
	session_close(s, CLOSE_IDLE_TRANSACTION, NULL);
}

static void end_idle(struct session *s)
{
	session_close(s, CLOSE_IDLE, NULL);
}

/* The first ones follow on something that is noticed as it happens: for their sake alone nobody needs to
 * come back when nothing is known of. */
#define LIMITS_NOTICED 2
static const struct limit {
	size_t offset; /* in struct terms */
	usec_t (*since)(const struct session *s);
	void (*reached)(struct session *s);
	bool idles; /* the client must have sent nothing */
} limits[] = {
	{ offsetof(struct terms, cancel_wait_timeout), stopped_since, cut_query, false },
	{ offsetof(struct terms, query_wait_notify), wait_since, tell_wait, false },
	{ offsetof(struct terms, query_timeout), query_since, stop_query, false },
	{ offsetof(struct terms, transaction_timeout), transaction_since, end_transaction, false },
	{ offsetof(struct terms, idle_transaction_timeout), idle_transaction_since,
	  end_idle_transaction, true },
	{ offsetof(struct terms, client_idle_timeout), idle_since, end_idle, true },
};
#define LIMITS (sizeof(limits) / sizeof(limits[0]))

static usec_t limit_of(const struct pool *p, const struct limit *row)
{
	return *(const usec_t *)((const char *)&p->terms + row->offset);
}

/* It lies in the socket, as this turn has not come that far. */
static bool has_sent(const struct session *s)
{
	char byte;

	return recv(s->stream.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Do what is due; the next moment at which something could be, if that is before *next. */
static void look_at(struct session *s, usec_t *next)
{
	const struct limit *row;
	usec_t since, limit;

	for (row = limits; row < limits + LIMITS && s->state != SESSION_CLOSING; row++) {
		if ((limit = limit_of(s->pool, row)) == 0 || (since = row->since(s)) == 0)
			continue;
		if (now_of(s) - since >= limit && row->idles && has_sent(s)) {
			since = now_of(s);
			limit = LATE_LEAST_US;
		} else if (now_of(s) - since >= limit) {
			row->reached(s);
			since = now_of(s); /* what may follow is the first row's */
			limit = limit_of(s->pool, &limits[0]);
		}
		if (*next == 0 || since + limit < *next)
			*next = since + limit;
	}
}

/* ---- the timer ---- */

/* The shortest limit that holds in a pool, from that row on; 0: none. */
static usec_t shortest_of(const struct pool *p, size_t from)
{
	usec_t shortest = 0, limit;
	size_t i;

	for (i = from; i < LIMITS; i++)
		if ((limit = limit_of(p, &limits[i])) > 0 && (shortest == 0 || limit < shortest))
			shortest = limit;
	return shortest;
}

static usec_t shortest_in(const struct worker *w, size_t from)
{
	usec_t shortest = 0, limit;
	const struct pool *p;

	for (p = w->pools; p != NULL; p = p->hh.next)
		if (p->sessions > 0 && (limit = shortest_of(p, from)) > 0 &&
		    (shortest == 0 || limit < shortest))
			shortest = limit;
	return shortest;
}

/* For the sake of those whose limits are reached one by one, we do not come back for each. */
static usec_t lateness(const struct worker *w)
{
	usec_t late = shortest_in(w, 0) / 8;

	if (late > DEADLINES_LATE_US)
		return DEADLINES_LATE_US;
	return late < LATE_LEAST_US ? LATE_LEAST_US : late;
}

static void arm(struct worker *w, usec_t at)
{
	w->deadline_at = at;
	timer_set(w->deadline_timer, at - loop_now(w->loop));
}

/* Come back at `next`, the first that is known of (0: none), or when one that begins now would be
 * reached. */
static void plan(struct worker *w, usec_t next)
{
	usec_t now = loop_now(w->loop), shortest = shortest_in(w, LIMITS_NOTICED);

	w->deadline_at = 0;
	if (shortest > 0 && (next == 0 || next > now + shortest))
		next = now + shortest;
	if (next == 0)
		return;
	if (next < now + lateness(w))
		next = now + lateness(w);
	arm(w, next);
}

void deadlines_due(void *worker)
{
	struct worker *w = worker;
	struct session *s, *after;
	usec_t next = 0;

	for (s = TAILQ_FIRST(&w->sessions); s != NULL; s = after) {
		after = TAILQ_NEXT(s, link);
		if (s->pool != NULL && !s->leaving)
			look_at(s, &next);
		/* What ends frees a server, and whom it goes to may end as well. */
		if (after != NULL && after->state == SESSION_CLOSING)
			after = TAILQ_FIRST(&w->sessions);
	}
	plan(w, next);
}

/* Come back that early at least; 0: there is no reason to. */
static void come_within(struct worker *w, usec_t delay)
{
	usec_t at = loop_now(w->loop) + delay;

	if (delay > 0 && (w->deadline_at == 0 || at < w->deadline_at))
		arm(w, at);
}

void deadlines_watch(const struct pool *p)
{
	come_within(p->worker, shortest_of(p, LIMITS_NOTICED));
}

void deadlines_wait(const struct pool *p)
{
	come_within(p->worker, p->terms.query_wait_notify);
}

void deadlines_follow(struct worker *w)
{
	arm(w, loop_now(w->loop));
}
