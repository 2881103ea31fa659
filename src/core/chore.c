#include "pgseal/core/chore.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/rand.h>

#include "pgseal/core/cancel.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/setup.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"
#include "chore_priv.h"
#include "statements_priv.h"

/* The first error that a statement of ours met. */
static enum err keep_words(struct server *srv, const uint8_t *body, size_t len)
{
	return srv->words.len > 0 || body == NULL ? ERR_OK : buf_append(&srv->words, body, len);
}

void chore_release_ready(struct server *srv)
{
	if (srv->ready_owed)
		session_send_ready(srv->session, 'I');
	srv->ready_owed = false;
}

/* ---- what the session leaves behind ---- */

/* A simple query would drop the unnamed statement, of which nobody knows in session mode whether the client will use it
 * once more. */
static enum err probe_beside(struct server *srv, const char *sql)
{
	struct insertion in = insertion_begin(srv);

	insertion_execute(&in, SETUP_BEGIN);
	insertion_execute(&in, sql);
	insertion_execute(&in, "COMMIT");
	insertion_sync(&in);
	buf_free(&srv->words);
	srv->chore = CHORE_PROBE;
	return insertion_send_alone(&in);
}

enum err chore_probe(struct server *srv)
{
	struct buf sql = { 0 };
	enum err rc = pins_question(srv, &sql);

	if (rc == ERR_OK && srv->session_bound)
		rc = probe_beside(srv, (const char *)sql.at);
	else if (rc == ERR_OK)
		rc = server_query(srv, CHORE_PROBE, (const char *)sql.at);
	buf_free(&sql);
	return rc;
}

/* It failed in the block that it had to itself. */
static bool undo_probe(struct server *srv)
{
	struct buf words = srv->words;
	enum err rc;

	srv->words = (struct buf){ 0 };
	rc = server_query(srv, CHORE_PROBE, "ROLLBACK");
	buf_free(&srv->words);
	srv->words = words;
	return rc == ERR_OK;
}

static enum chore_next probe_message(struct server *srv, char type, const uint8_t *body, size_t len)
{
	if (type == 'A' && pins_listen(srv))
		return CHORE_PASS;
	if (type == 'D' && (body == NULL || pins_row(srv, (struct bytes){ body, len }) != ERR_OK) &&
	    keep_words(srv, (const uint8_t *)"", 1) != ERR_OK)
		return CHORE_FAILED;
	if (type != 'Z')
		return type == 'S' ? CHORE_PASS : CHORE_GO_ON;
	if (body[0] != 'I')
		return undo_probe(srv) ? CHORE_GO_ON : CHORE_FAILED;
	srv->chore = CHORE_NONE;
	pins_answered(srv, srv->words.len > 0);
	buf_free(&srv->words);
	server_settle_reading(srv);
	chore_release_ready(srv);
	return CHORE_DONE;
}

/* ---- it is cleaned for a session ---- */

static enum chore_next setup_message(struct server *srv, char type)
{
	if (type != 'Z')
		return CHORE_GO_ON;
	srv->chore = CHORE_NONE;
	return srv->words.len > 0 ? CHORE_FAILED : CHORE_DONE;
}

/* ---- a statement for a query ---- */

enum err chore_fetch(const struct about *a, const struct target *to)
{
	struct insertion in = insertion_begin(a->srv);

	insertion_make_way(&in, to->st, to->name);
	insertion_parse(&in, to->st, to->name);
	insertion_describe(&in, to->st, to->name, false);
	insertion_sync(&in);
	a->srv->chore = CHORE_FETCH;
	return insertion_send(&in, a) == FEED_ON ? ERR_OK : ERR_NO_MEMORY;
}

/* Its query, which waits here as a whole, has been answered without having been sent. */
void chore_answered_instead(struct session *s)
{
	struct bytes input = { s->input.at, s->input.len };
	struct frame frame;
	enum err why;

	if (frame_peek(FRAME_FROM_CLIENT, input, SIZE_MAX, &frame, &why) != FRAME_READY)
		return;
	s->passing = frame.size;
	s->dropping = true;
	s->rechecked = NULL;
}

/* If it fails so does the query, which cannot do without it. */
static enum chore_next fetch_message(struct server *srv, char type)
{
	if (type == 'A' || type == 'S' || type == 'E')
		return CHORE_PASS;
	if (type != 'Z')
		return CHORE_GO_ON;
	srv->chore = CHORE_NONE;
	if (srv->words.len == 0)
		return CHORE_DONE;
	buf_free(&srv->words);
	srv->cancel_again = false;
	srv->sequences_of = SEQUENCES_MIXED;
	chore_answered_instead(srv->session);
	return CHORE_PASS;
}

/* ---- barrier ---- */

/* Of the high half, where PostgreSQL has no types of its own. */
static enum err make_nonce(struct server *srv)
{
	size_t i;

	if (RAND_bytes(srv->nonce, sizeof(srv->nonce)) != 1)
		return ERR_TLS;
	for (i = 0; i < sizeof(srv->nonce); i += sizeof(uint32_t))
		srv->nonce[i] |= 0x80;
	return ERR_OK;
}

/* A Sync, in case the server ignores everything up to one, and a description that cannot be mistaken for
 * anything of the client's: of a statement whose parameters have types that nobody can know. It would end
 * a transaction, so that it may be parsed in one that has failed, too; but it is never executed. */
enum err chore_barrier(struct server *srv)
{
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	enum err rc = make_nonce(srv);

	if (rc != ERR_OK)
		return rc;
	writer_begin(&w, 'S');
	writer_end(&w);
	writer_begin(&w, 'P');
	writer_str(&w, "");
	writer_str(&w, "ROLLBACK");
	writer_u16(&w, sizeof(srv->nonce) / sizeof(uint32_t));
	writer_bytes(&w, (struct bytes){ srv->nonce, sizeof(srv->nonce) });
	writer_end(&w);
	writer_begin(&w, 'D');
	writer_str(&w, "S");
	writer_end(&w);
	writer_begin(&w, 'S');
	writer_end(&w);
	if ((rc = writer_status(&w)) == ERR_OK) {
		stream_write(&srv->stream, out.at, out.len);
		srv->chore = CHORE_BARRIER;
		srv->barrier_seen = false;
		srv->withheld = '\0';
		srv->parse_withheld = false;
	}
	buf_free(&out);
	return rc;
}

static bool is_our_answer(const struct server *srv, char type, const uint8_t *body, size_t len)
{
	const size_t count = sizeof(uint16_t);

	return type == 't' && body != NULL && len == count + sizeof(srv->nonce) &&
	       memcmp(body + count, srv->nonce, sizeof(srv->nonce)) == 0;
}

/* It was owed to the client. */
static void release_withheld(struct server *srv)
{
	struct buf out = { 0 };
	struct writer w = writer_to(&out);

	if (srv->withheld == '\0')
		return;
	message_write_ready(&w, srv->withheld);
	if (srv->parse_withheld) {
		writer_begin(&w, '1');
		writer_end(&w);
	}
	session_send(srv->session, &w);
	srv->withheld = '\0';
	srv->parse_withheld = false;
}

/* The last ReadyForQuery before our description, and the ParseComplete between the two, are ours; any before
 * were owed to the client. Which is which shows only with the next message: until then they are held back. */
static enum chore_next barrier_message(struct server *srv, char type, const uint8_t *body,
                                       size_t len)
{
	srv->barrier_seen = srv->barrier_seen || is_our_answer(srv, type, body, len);
	if (type == 'A' || type == 'N' || type == 'S')
		return CHORE_PASS;
	if (!srv->barrier_seen && type == '1' && srv->withheld != '\0' && !srv->parse_withheld) {
		srv->parse_withheld = true;
		return CHORE_GO_ON;
	}
	if (!srv->barrier_seen) {
		release_withheld(srv);
		srv->withheld = type == 'Z' ? (char)body[0] : '\0';
		return type == 'Z' ? CHORE_GO_ON : CHORE_PASS; /* a late answer to the client */
	}
	if (type != 'Z')
		return CHORE_GO_ON;
	srv->chore = CHORE_NONE;
	srv->unnamed_ticket = 0;
	steps_clear(&srv->steps, srv->pool->worker->statements);
	tracker_barrier_passed(&srv->tracker);
	return CHORE_DONE;
}

/* ---- cleaning up ---- */

static void too_late(void *arg)
{
	struct server *srv = arg;
	const char *why =
		"could not be cleaned up in time behind a client that left, or ended no message";

	if (srv->chore == CHORE_CHECK)
		why = "no answer to server_check_query";
	else if (srv->chore == CHORE_SPELL)
		why = "no answer to what parameters are like there";
	server_close(srv, why);
}

enum err chore_arm_deadline(struct server *srv)
{
	struct loop *loop = srv->pool->worker->loop;

	if (srv->deadline == NULL && timer_create_in(loop, too_late, srv, &srv->deadline) != ERR_OK)
		return ERR_NO_MEMORY;
	timer_set(srv->deadline, CHORE_DEADLINE_US);
	return ERR_OK;
}

static enum err send_plain(struct server *srv, char type)
{
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	enum tracker_client what;
	enum err rc;

	writer_begin(&w, type);
	if (type == 'f')
		writer_str(&w, "client left");
	writer_end(&w);
	if ((rc = writer_status(&w)) == ERR_OK &&
	    (rc = tracker_from_client(&srv->tracker, type, &what)) == ERR_OK)
		stream_write(&srv->stream, out.at, out.len);
	buf_free(&out);
	return rc;
}

/* End what the client left open, so that the server owes nothing but what was asked. A Sync alone would
 * commit a batch that its client did not come to commit; behind an error the server heeds nothing else. */
static enum err end_requests(struct server *srv)
{
	struct tracker *t = &srv->tracker;
	enum err rc = ERR_OK;

	if (t->copy_in)
		rc = send_plain(srv, 'f');
	if (rc != ERR_OK || (!t->batch_open && !t->skipping))
		return rc;
	if (!t->skipping)
		rc = server_query(srv, CHORE_DRAIN, "ROLLBACK");
	return rc == ERR_OK ? send_plain(srv, 'S') : rc;
}

static const char *reset_query(const struct server *srv)
{
	return srv->pool->worker->site->settings.server_reset_query;
}

/* As configured: after each client in session mode, after each transaction where that is wanted. */
static bool resets(const struct server *srv)
{
	return reset_query(srv)[0] != '\0' &&
	       (srv->session_bound ||
	        srv->pool->worker->site->settings.server_reset_query_always);
}

static bool discards(const struct server *srv)
{
	return strcasecmp(reset_query(srv), "DISCARD ALL") == 0;
}

static bool needs_rollback(const struct server *srv)
{
	return srv->tracker.status != 'I';
}

/* What a pinned server holds must go, and whatever another may have left. In session mode nobody looks at what is
 * executed. */
static bool needs_discard(const struct server *srv)
{
	return srv->session_bound || pins_hold(srv) || setup_is_orphan(srv) ||
	       (resets(srv) && discards(srv));
}

/* In addition to that. */
static bool needs_query(const struct server *srv)
{
	return resets(srv) && !discards(srv);
}

static bool needs_undo(const struct server *srv)
{
	return srv->in_force != NULL && params_act(srv->in_force);
}

bool chore_is_due(const struct server *srv)
{
	return needs_discard(srv) || needs_query(srv) || needs_undo(srv);
}

static enum err begin_rollback(struct server *srv)
{
	return server_query(srv, CHORE_ROLLBACK, "ROLLBACK");
}

static enum err begin_discard(struct server *srv)
{
	enum err rc = setup_discard(srv);

	if (rc != ERR_OK)
		return rc;
	authn_release(srv->authn);
	srv->authn = NULL;
	srv->chore = CHORE_DISCARD;
	return ERR_OK;
}

static enum err begin_query(struct server *srv)
{
	return server_query(srv, CHORE_RESET, reset_query(srv));
}

static enum err begin_undo(struct server *srv)
{
	struct buf sql = { 0 };
	enum err rc = params_undo(srv->pool->worker->params, &srv->in_force, &sql);

	if (rc == ERR_OK)
		rc = server_query(srv, CHORE_UNDO, (const char *)sql.at);
	buf_free(&sql);
	return rc;
}

/* Cleaning up, in this order; what one step has done may make the next needless. */
static const struct cleaning {
	enum chore chore;
	bool (*needed)(const struct server *srv);
	enum err (*begin)(struct server *srv);
} cleanings[] = {
	{ CHORE_ROLLBACK, needs_rollback, begin_rollback },
	{ CHORE_DISCARD, needs_discard, begin_discard },
	{ CHORE_RESET, needs_query, begin_query },
	{ CHORE_UNDO, needs_undo, begin_undo },
};

static void is_clean(struct server *srv)
{
	srv->chore = CHORE_NONE;
	buf_free(&srv->words);
	srv->session_bound = false;
	if (!tracker_idle(&srv->tracker)) {
		/* What the client did inside COPY leaves it open what is still to come; our own
		 * queries leave a transaction open at worst. */
		server_close(srv, "left in a state that is not certain");
		return;
	}
	if (srv->deadline != NULL)
		timer_clear(srv->deadline);
	pool_release(srv->pool, srv);
}

static void is_discarded(struct server *srv)
{
	pins_clear(srv);
	pool_learn(srv);
	srv->session_bound = srv->session_bound && needs_query(srv);
}

void chore_clean_on(struct server *srv)
{
	enum err rc;
	size_t i;

	/* A cancel on its way must not meet a statement of ours: its answer leads here again. */
	if (srv->cancel != NULL)
		return;
	if (srv->chore == CHORE_DISCARD)
		is_discarded(srv);
	for (i = 0; i < sizeof(cleanings) / sizeof(cleanings[0]); i++)
		if (cleanings[i].chore > srv->chore && cleanings[i].needed(srv))
			break;
	if (i == sizeof(cleanings) / sizeof(cleanings[0])) {
		is_clean(srv);
		return;
	}
	if ((rc = cleanings[i].begin(srv)) == ERR_OK)
		rc = chore_arm_deadline(srv);
	if (rc != ERR_OK)
		server_close(srv, err_text(rc));
}

void chore_clean_orphan(struct server *srv)
{
	if (srv->pool->terms.server_reset == SERVER_RESET_CLOSE) {
		server_close(srv, "server_reset");
		return;
	}
	server_set_state(srv, SERVER_CLEANING);
	srv->chore = CHORE_DRAIN;
	chore_clean_on(srv);
}

void chore_hear_out(struct server *srv)
{
	if (srv->state != SERVER_IDLE || (srv->kept.len == 0 && srv->passing == 0))
		return;
	server_set_state(srv, SERVER_CLEANING);
	srv->chore = CHORE_DRAIN;
	if (chore_arm_deadline(srv) != ERR_OK)
		server_close(srv, "out of memory");
}

void chore_clean(struct server *srv, bool half_sent, bool cancel)
{
	const struct tracker *t = &srv->tracker;
	enum err rc;

	server_set_state(srv, SERVER_CLEANING);
	srv->cut = srv->cut || half_sent;
	if (half_sent || tracker_unsure(t) || srv->chore != CHORE_NONE) {
		server_close(srv, "client left in the middle of a message");
		return;
	}
	srv->chore = CHORE_DRAIN;
	if ((rc = end_requests(srv)) == ERR_OK && cancel)
		rc = chore_arm_deadline(srv);
	if (rc != ERR_OK) {
		server_close(srv, err_text(rc));
	} else if (tracker_quiet(t) && srv->passing == 0) {
		chore_clean_on(srv);
	} else if (cancel) {
		cancel_server(srv);
	}
}

static enum chore_next clean_message(struct server *srv, char type)
{
	if (type == 'G' && end_requests(srv) != ERR_OK)
		return CHORE_FAILED;
	if (type != 'Z')
		return CHORE_GO_ON;
	/* What the client had asked may fail; what we ask must not. */
	if (srv->chore != CHORE_DRAIN && srv->words.len > 0)
		return CHORE_FAILED;
	return tracker_quiet(&srv->tracker) ? CHORE_DONE : CHORE_GO_ON;
}

/* ---- all of them ---- */

enum chore_next chore_message(struct server *srv, const struct frame *f, const uint8_t *body)
{
	size_t len = f->size - FRAME_HEADER;
	char type = f->row->type;

	/* what a question about a parameter meets is its answer */
	if (type == 'E' && srv->chore != CHORE_SPELL && keep_words(srv, body, len) != ERR_OK)
		return CHORE_FAILED;
	switch (srv->chore) {
	case CHORE_SETUP:
		return setup_message(srv, type);
	case CHORE_FETCH:
		return fetch_message(srv, type);
	case CHORE_PROBE:
		return probe_message(srv, type, body, len);
	case CHORE_BARRIER:
		return barrier_message(srv, type, body, len);
	case CHORE_SPELL:
		return chore_spell_message(srv, type, body, len);
	default:
		return clean_message(srv, type);
	}
}
