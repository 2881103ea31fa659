#include "relay_priv.h"

#include <assert.h>

#include "pgseal/core/cancel.h"
#include "pgseal/core/chore.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/prepared.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/setup.h"
#include "pgseal/core/worker.h"

/* Most plaintext that a client may have lying here while it cannot be passed on. */
#define INPUT_HIGH_BYTES (IO_KEPT_MAX / 2)

/* ---- back-pressure ---- */

/* While it has its server. */
static bool server_blocks(const struct session *s)
{
	const struct server *srv = s->server;
	const struct tracker *t = &srv->tracker;

	if (srv->chore != CHORE_NONE || tracker_full(t))
		return true;
	if (srv->steps.awaited > 0 || srv->steps.len >= STEPS_MAX)
		return true;
	/* A cancel on its way was meant for what has ended: it must not meet what comes next. */
	if (srv->cancel != NULL && tracker_quiet(t))
		return true;
	/* What it has reset is set right before it goes on. */
	if (srv->pins.resetting && !tracker_in_batch(t))
		return true;
	if (s->held && t->doubtful)
		return tracker_settles(t);
	return s->held && !tracker_in_batch(t) && !t->copy_in && !t->lost;
}

bool relay_client_blocked(const struct session *s)
{
	if (s->state == SESSION_ACTIVE)
		return server_blocks(s);
	return s->state != SESSION_IDLE;
}

/* Who is faster waits for who is slower. Costs system calls only where something changes. */
void relay_flow(struct session *s)
{
	bool full = s->input.len >= INPUT_HIGH_BYTES && s->input.len >= s->needed;

	if (s->server != NULL) {
		full = full || stream_held(&s->server->stream) > 0;
		stream_pause(&s->server->stream, stream_held(&s->stream) > 0);
	}
	stream_pause(&s->stream, full || s->leaving || s->quitting);
}

/* ---- lending ---- */

void relay_start_clocks(struct session *s)
{
	s->query_since = loop_now(s->worker->loop);
	s->stopped_at = 0;
	if (s->xact_since == 0)
		s->xact_since = s->query_since;
}

void relay_attach(struct session *s, struct server *srv)
{
	assert(s->server == NULL && srv->session == NULL);
	server_set_state(srv, SERVER_ACTIVE);
	srv->session = s;
	srv->used = true;
	portal_forget(srv);
	srv->session_bound = s->mode == POOL_SESSION;
	if (srv->session_bound)
		srv->unnamed_ticket = 0; /* what it parses goes unseen */
	setup_note(srv, s);
	s->server = srv;
	s->last_server = srv->id;
	session_set_state(s, SESSION_ACTIVE);
	s->pool->stats.server_assignment_count++;
	relay_start_clocks(s);
}

bool relay_between(const struct session *s)
{
	const struct server *srv = s->server;

	return srv->chore == CHORE_NONE && tracker_idle(&srv->tracker) && srv->passing == 0 &&
	       srv->kept.len == 0 && (s->passing == 0 || s->dropping);
}

/* ---- INSERT in one transaction, lastval() in the next ---- */

static usec_t hold_of(const struct session *s)
{
	return s->worker->site->settings.lastval_hold;
}

/* It has drawn from a sequence, where clients ask for what they have drawn. */
static bool may_hold(const struct session *s)
{
	return s->server->drew && route_asks_sequences(s->server->route) && hold_of(s) > 0 &&
	       !s->worker->draining;
}

static void hold(struct session *s)
{
	if (s->holding)
		return;
	s->holding = true;
	s->hold_until = loop_now(s->worker->loop) + hold_of(s);
	TAILQ_INSERT_TAIL(&s->worker->holding, s, wait_link);
	timer_set_once(s->worker->hold_timer, hold_of(s));
}

void relay_end_hold(struct session *s)
{
	if (!s->holding)
		return;
	s->holding = false;
	TAILQ_REMOVE(&s->worker->holding, s, wait_link);
}

void relay_hold_due(void *worker)
{
	struct worker *w = worker;
	usec_t now = loop_now(w->loop);
	struct session *s;

	while ((s = TAILQ_FIRST(&w->holding)) != NULL && s->hold_until <= now) {
		relay_end_hold(s);
		s->server->drew = false;
		relay_settle(s->server);
	}
	if (s != NULL)
		timer_set(w->hold_timer, s->hold_until - now);
}

/* The server goes back to its pool. */
static struct server *separate(struct session *s)
{
	struct server *srv = s->server;

	relay_end_hold(s);
	if (srv->doubted)
		server_set_in_force(srv, NULL);
	stream_pause(&srv->stream, false);
	srv->session = NULL;
	srv->forgetting = srv->doubted = srv->drew = srv->ready_owed = false;
	server_settle_reading(srv);
	pins_transaction_ended(srv);
	buf_free(&srv->deallocating);
	s->server = NULL;
	s->held = false;
	s->xact_since = s->query_since = s->stopped_at = 0;
	pool_uncharge(s->worker, s);
	return srv;
}

bool relay_answers_come(const struct session *s)
{
	const struct tracker *t = &s->server->tracker;

	return !tracker_quiet(t) && (!tracker_stalls(t) || relay_client_blocked(s));
}

void relay_abandon(struct session *s)
{
	separate(s);
	session_set_state(s, SESSION_IDLE);
}

/* At a boundary: to the next one at once if nothing of this session stays in it. */
static void give_back(struct server *srv)
{
	if (chore_is_due(srv))
		chore_clean(srv, false, false);
	else
		pool_release(srv->pool, srv);
}

/* Between transactions: does the session leave nothing in the server that it will come back for? */
static bool may_part(const struct session *s)
{
	return s->mode == POOL_TRANSACTION && !pins_hold(s->server) &&
	       !statements_bind_to_server(s);
}

void relay_detach(struct session *s, bool cancel)
{
	bool clean = relay_between(s), half_sent = s->passing > 0 && !s->dropping;
	struct server *srv = separate(s);

	if (!clean) /* what it has set may be undone with its transaction */
		server_set_in_force(srv, NULL);
	if (session_replicates(s))
		replication_end(srv, half_sent, cancel);
	else if (clean)
		give_back(srv);
	else
		chore_clean(srv, half_sent, cancel);
}

bool relay_mid_message(const struct session *s)
{
	return s->server != NULL && s->server->passing > 0 && !s->server->dropping;
}

void relay_grant(struct session *s, struct server *srv)
{
	relay_attach(s, srv);
	if (s->state == SESSION_ACTIVE)
		relay_resume(s);
}

/* ---- giving back ---- */

/* A cancel came while statements of ours ran in front of the client's: it is for the client's, which
 * have gone out by now, and for nobody's who comes later. */
static void cancel_as_asked(struct server *srv)
{
	if (!srv->cancel_again || srv->cancel != NULL || srv->chore != CHORE_NONE)
		return;
	srv->cancel_again = false;
	if (!tracker_quiet(&srv->tracker))
		cancel_server(srv);
}

/* Why this session ends at the next boundary; CLOSE_QUIT: it does not. */
static enum close_reason why_over(const struct session *s)
{
	if (s->leaving)
		return CLOSE_LOST;
	if (s->worker->draining)
		return CLOSE_SHUTDOWN;
	if (s->server->pins.too_many)
		return CLOSE_PINNED;
	return server_hurries(s->server) ? CLOSE_REPLACED : CLOSE_QUIT;
}

/* It may have something of its session's: what, the server knows. A cancel must not meet the question. */
static bool must_ask(const struct server *srv)
{
	return pins_ask_due(srv) && srv->cancel == NULL &&
	       !statements_bind_to_server(srv->session); /* which is dropped by it */
}

/* True: it goes on with the answer. */
static bool ask(struct session *s)
{
	if (!relay_between(s) || why_over(s) != CLOSE_QUIT || !must_ask(s->server))
		return false;
	if (chore_probe(s->server) != ERR_OK)
		session_close(s, CLOSE_NO_MEMORY, NULL);
	return true;
}

/* Between transactions what was set in the last one has ended with it, or was told. */
static void note_boundary(const struct session *s)
{
	if (!relay_between(s))
		return;
	pins_transaction_ended(s->server);
	if (pins_ask_due(s->server))
		return;
	server_settle_reading(s->server);
	if (s->prepared != NULL)
		prepared_settle_rules(s->prepared, s->asked);
}

/* The server of a session has said all that had come: where does that leave the two? */
static void settle_session(struct session *s)
{
	struct server *srv = s->server;
	enum close_reason why;
	bool over;

	/* What comes next may depend on what the session has set. */
	if ((srv->ready_owed || s->held) && srv->chore == CHORE_NONE) {
		if (ask(s))
			return;
		chore_release_ready(srv);
		note_boundary(s);
	}
	relay_resume(s);
	if (s->state != SESSION_ACTIVE)
		return;
	cancel_as_asked(srv);
	why = why_over(s);
	over = why != CLOSE_QUIT;
	if (relay_between(s) && over) {
		session_close(s, why, NULL);
		return;
	}
	if (ask(s))
		return;
	note_boundary(s);
	if (relay_between(s) && may_part(s) && may_hold(s)) {
		hold(s);
		relay_flow(s);
	} else if (relay_between(s) && may_part(s)) {
		srv = separate(s);
		session_set_state(s, SESSION_IDLE);
		relay_flow(s);
		give_back(srv);
		relay_resume(s); /* what a cancel on its way held back */
	} else if (s->leaving && !relay_answers_come(s)) {
		session_close(s, CLOSE_LOST, NULL);
	} else if (tracker_wants_barrier(&srv->tracker) && (s->mode == POOL_TRANSACTION || over) &&
	           srv->chore == CHORE_NONE && s->passing == 0 &&
	           srv->cancel == NULL) { /* which must not meet it; its answer leads here again */
		if (chore_barrier(srv) != ERR_OK)
			session_close(s, CLOSE_NO_MEMORY, NULL);
	} else {
		relay_flow(s);
	}
}

void relay_settle(struct server *srv)
{
	if (srv->state == SERVER_ACTIVE)
		settle_session(srv->session);
	else if (srv->state == SERVER_CLEANING && tracker_quiet(&srv->tracker) &&
	         srv->passing == 0 && srv->kept.len == 0)
		chore_clean_on(srv);
}
