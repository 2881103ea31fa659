/* Server to client. */
#include "relay_priv.h"

#include <string.h>
#include <strings.h>

#include "pgseal/base/log.h"
#include "pgseal/core/chore.h"
#include "pgseal/core/follow.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/troubles.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

static void server_flush(struct server *srv, struct feed *f)
{
	struct session *s = srv->session;

	if (f->pos > f->run && s != NULL) {
		s->pool->stats.bytes_sent += f->pos - f->run;
		stream_write(&s->stream, f->at + f->run, f->pos - f->run);
	}
	f->run = f->pos;
	if (srv->instead.len > 0 && s != NULL)
		stream_write(&s->stream, srv->instead.at, srv->instead.len);
	buf_free(&srv->instead);
}

static void server_pass(struct server *srv, struct feed *f)
{
	size_t n = f->len - f->pos;

	if (n > srv->passing)
		n = srv->passing;
	srv->passing -= n;
	f->pos += n;
	if (srv->dropping || srv->session == NULL)
		f->run = f->pos;
}

/* It could not be cleaned for its session, of which it has got nothing: that asks for another. */
static void try_another(struct server *srv, const char *why)
{
	struct session *s = srv->session;

	relay_abandon(s);
	server_close(srv, why != NULL ? why : "could not be cleaned");
	relay_resume(s);
}

void relay_ruin(struct server *srv, enum close_reason reason, const char *why)
{
	struct session *s = srv->session;

	if (srv->state == SERVER_CLOSING)
		return;
	if (s != NULL && srv->chore == CHORE_SETUP && reason != CLOSE_NO_MEMORY) {
		try_another(srv, why);
		return;
	}
	if (s != NULL) {
		troubles_note(s->worker->crew->troubles, TROUBLE_SERVER, close_reason_word(reason),
		              PQhost(srv->conn), NULL, why);
		/* A message cut in the middle stays so: nothing of ours may follow it. */
		srv->session = NULL;
		srv->cut = s->passing > 0 && !s->dropping;
		if (relay_mid_message(s))
			reason = CLOSE_SERVER_FATAL;
		s->server = NULL;
		session_close(s, reason, why);
	}
	server_close(srv, why);
}

static void count_ready(struct session *s, const struct server *srv)
{
	struct pool_timings *timings = &s->pool->timings;
	struct pool_stats *st = &s->pool->stats;
	usec_t now = loop_now(s->worker->loop);

	st->query_count++;
	st->query_time += (uint64_t)(now - s->query_since);
	histogram_add(&timings->query, now - s->query_since);
	s->query_since = now;
	s->stopped_at = 0;
	if (srv->tracker.status != 'I')
		return;
	st->xact_count++;
	st->xact_time += (uint64_t)(now - s->xact_since);
	histogram_add(&timings->xact, now - s->xact_since);
	s->xact_since = tracker_quiet(&srv->tracker) ? 0 : now;
}

/* Nobody's statement runs: it is the server's own, unless somebody had set it before. */
static void report_idle(struct server *srv, const char *name, const char *value)
{
	if (srv->in_force != NULL && params_find(srv->in_force, name) == NULL &&
	    (!params_read_only(name) || strcasecmp(name, "in_hot_standby") == 0))
		pool_renew(srv, name, value);
}

/* PostgreSQL reports about 15, and extensions a few: who reports more wants to cost time and memory. */
#define REPORTED_MAX 200u
#define REPORTED_MAX_BYTES (256u * 1024)

static bool tells_too_much(const struct server *srv)
{
	return params_count(srv->reported) > REPORTED_MAX ||
	       params_flat(srv->reported).len > REPORTED_MAX_BYTES;
}

/* *ours: the client knows it already. */
static enum err learn_parameter(struct server *srv, const uint8_t *body, size_t len, bool *ours)
{
	struct params_table *t = srv->pool->worker->params;
	struct bytes name, value;
	enum err rc = message_read_parameter((struct bytes){ body, len }, &name, &value);
	bool news = true;

	if (rc == ERR_OK)
		rc = params_put(t, &srv->reported, (const char *)name.at, (const char *)value.at);
	if (rc == ERR_OK && tells_too_much(srv))
		return ERR_PARAMETERS;
	srv->reading_known = false;
	/* What comes of a setup was asked for: where it differs from what the client knows shows in the end. */
	if (rc == ERR_OK && (srv->chore == CHORE_SETUP || srv->steps.setup > 0))
		news = false;
	else if (rc == ERR_OK && chore_spells_name(srv, (const char *)name.at))
		news = false; /* older servers tell of it amid our question */
	else if (rc == ERR_OK && srv->session == NULL)
		report_idle(srv, (const char *)name.at, (const char *)value.at);
	else if (rc == ERR_OK)
		rc = follow_report(srv, (const char *)name.at, (const char *)value.at, &news);
	*ours = !news;
	return rc;
}

static bool is_fatal(const uint8_t *body, size_t len)
{
	struct message_error_view view;

	if (body == NULL || message_read_error((struct bytes){ body, len }, &view) != ERR_OK)
		return false;
	return bytes_equal(view.severity, bytes_of("FATAL")) ||
	       bytes_equal(view.severity, bytes_of("PANIC"));
}

/* It has refused to write: as its client wished, or because it is another kind of server by now. */
static bool is_read_only(const uint8_t *body, size_t len)
{
	struct message_error_view view;

	return body != NULL && message_read_error((struct bytes){ body, len }, &view) == ERR_OK &&
	       bytes_equal(view.sqlstate, bytes_of(SQLSTATE_READ_ONLY_SQL_TRANSACTION));
}

/* Nobody has it: only what may come at any time is in order. */
static enum err idle_message(struct server *srv, const struct frame *f, const uint8_t *body)
{
	struct message_error_view view;

	srv->dropping = true;
	if ((f->row->flags & FRAME_ASYNC) != 0)
		return ERR_OK;
	if (f->row->type == 'E' && body != NULL &&
	    message_read_error((struct bytes){ body, f->size - FRAME_HEADER }, &view) == ERR_OK)
		log_info(LOG_SERVER, srv->id, "ended by the server: message=\"%s\"",
		         quote(view.message).s);
	return ERR_CLOSED;
}

static enum err chore_step(struct server *srv, const struct frame *f, const uint8_t *body)
{
	switch (chore_message(srv, f, body)) {
	case CHORE_GO_ON:
		srv->dropping = true;
		return ERR_OK;
	case CHORE_PASS:
		srv->dropping = false;
		return ERR_OK;
	case CHORE_DONE:
		srv->dropping = true;
		return ERR_OK;
	default:
		return ERR_IO;
	}
}

/* A field of an ErrorResponse, which ends with NUL where it stands. */
static const char *field(struct bytes b, const char *missing)
{
	return b.at != NULL ? (const char *)b.at : missing;
}

/* The client is owed the end of one request: it has asked no more than that, or not even its Sync has come. */
static bool owes_one(const struct server *srv)
{
	const struct tracker *t = &srv->tracker;

	return tracker_in_batch(t) || tracker_last_command(t);
}

/* What would be lost with the server without a word. */
static bool keeps_state(const struct server *srv)
{
	return srv->session_bound || srv->pins.held != 0;
}

/* A cancel came while the setup ran: the request that it was meant for ends with an error, without having been
 * carried out. The server, on which things are half done, goes. A query that waits for what was sent ahead of it is
 * that request. */
static void setup_cancelled(struct server *srv, const struct message_error_view *view)
{
	struct session *s = srv->session;

	session_tell(s, 'E', "ERROR", field(view->sqlstate, SQLSTATE_QUERY_CANCELED),
	             field(view->message, "canceling statement"), NULL, NULL);
	s->skipping = tracker_in_batch(&srv->tracker);
	s->dropping = true;
	s->rechecked = NULL;
	if (srv->chore == CHORE_FETCH)
		chore_answered_instead(s);
	if (!s->skipping)
		session_send_ready(s, 'I');
	relay_abandon(s);
	server_close(srv, "a cancel met what goes before a transaction");
	relay_resume(s);
}

/* A statement of ours failed: its session gets the server's words, and nothing that it has sent since was carried
 * out. */
static void server_refused(struct server *srv)
{
	struct bytes words = { srv->words.at, srv->words.len };
	struct message_error_view view;
	struct session *s = srv->session;

	if (s != NULL && srv->chore == CHORE_SETUP) {
		try_another(srv, "could not be cleaned");
		return;
	}
	if (message_read_error(words, &view) != ERR_OK) {
		relay_ruin(srv, CLOSE_SETUP, "a statement of the pooler failed");
		return;
	}
	if (s != NULL && strcmp(field(view.sqlstate, ""), SQLSTATE_QUERY_CANCELED) == 0 &&
	    owes_one(srv) && !keeps_state(srv)) {
		setup_cancelled(srv, &view);
		return;
	}
	if (s == NULL)
		log_warning(LOG_SERVER, srv->id, "query failed: sqlstate=%s message=\"%s\"",
		            field(view.sqlstate, "-"), quote(view.message).s);
	if (s != NULL) {
		srv->session = NULL;
		s->server = NULL;
		session_close_words(s, CLOSE_SETUP, field(view.sqlstate, "XX000"),
		                    field(view.message, "session parameters were refused"), NULL);
	}
	relay_ruin(srv, CLOSE_SETUP, "a statement of the pooler failed");
}

/* What a CommandComplete tells of the state of the session. */
enum tag {
	TAG_SETTINGS = 1,
	TAG_STATEMENTS = 2,
	TAG_DEALLOCATE = 4,
	TAG_RESETS = 8,
};

static unsigned tag_of(const uint8_t *body, size_t len)
{
	static const struct {
		const char *text;
		unsigned tag;
	} tags[] = {
		{ "SET", TAG_SETTINGS },
		{ "RESET", TAG_SETTINGS | TAG_RESETS },
		{ "DISCARD ALL", TAG_SETTINGS | TAG_STATEMENTS | TAG_RESETS },
		{ "DEALLOCATE ALL", TAG_STATEMENTS },
		{ "DEALLOCATE", TAG_DEALLOCATE },
	};
	size_t i;

	for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (body != NULL && len == strlen(tags[i].text) + 1 &&
		    memcmp(body, tags[i].text, len) == 0)
			return tags[i].tag;
	return 0;
}

/* A command has been carried out, a client's or ours. */
static enum err completed(struct server *srv, const uint8_t *body, size_t len)
{
	unsigned tag = tag_of(body, len);

	if ((tag & TAG_STATEMENTS) != 0)
		statements_forget(srv);
	if ((tag & TAG_DEALLOCATE) != 0)
		statements_deallocated(srv);
	if ((tag & TAG_RESETS) != 0 && srv->chore == CHORE_NONE && srv->session != NULL)
		pins_reset(srv);
	if ((tag & TAG_RESETS) != 0 && (tag & TAG_STATEMENTS) != 0)
		pins_discarded(srv);
	/* Otherwise the text told. */
	if ((tag & TAG_SETTINGS) != 0 && srv->chore == CHORE_NONE && !pins_watch(srv))
		srv->doubted = true;
	return (tag & TAG_SETTINGS) != 0 && srv->session != NULL ? pins_set_done(srv) : ERR_OK;
}

/* An answer to the session that holds it; or an error that stands for one. */
static void session_message(struct server *srv, const struct frame *f, const uint8_t *body)
{
	size_t len = f->size - FRAME_HEADER;
	char type = f->row->type;

	if (type == 'E' && is_fatal(body, len))
		srv->fatal = true;
	if (type == 'E' && database_chooses(srv->db) && is_read_only(body, len))
		pins_ask_attrs(srv);
	if (type == 'E' && body != NULL && srv->chore == CHORE_NONE)
		srv->dropping = statements_reword(srv, (struct bytes){ body, len }, &srv->instead);
}

/* What the client has reset is set right before it hears that it may go on. */
static bool holds_ready(struct server *srv, char status)
{
	srv->ready_owed = status == 'I' && srv->pins.resetting && tracker_idle(&srv->tracker);
	return srv->ready_owed;
}

/* Statements in front of the session's transaction have failed: no message of the client's was carried out. FATAL
 * is passed on, as always. */
static bool is_setup_failure(const struct step *step, const uint8_t *body, size_t len)
{
	return step != NULL && step->kind == STEP_SETUP && !is_fatal(body, len);
}

/* Until they are answered nothing that the server says is about the client's, but what it listens for. */
static bool is_about_setup(const struct server *srv, char type)
{
	return srv->steps.setup > 0 && (type == 'N' || (type == 'A' && !pins_listen(srv)));
}

/* Nor is this: it has heard all warnings about a statement that is prepared once more, perhaps under other parameters. */
static bool is_about_ours(struct server *srv, char type)
{
	const struct step *step = steps_front(&srv->steps);

	return type == 'N' && step != NULL && step->kind == STEP_OUR_PARSE &&
	       tracker_at_extended(&srv->tracker) && step->seq == srv->tracker.answered;
}

/* What the client's messages and ours have come to, by the books that are kept about them. */
static enum err account_answer(struct server *srv, const struct frame *f, const uint8_t *body,
                               bool *ours)
{
	struct step *step = statements_step(srv, f);
	uint32_t answered = srv->tracker.answered;
	size_t len = f->size - FRAME_HEADER;
	char type = f->row->type;
	enum err rc;

	if (type == 'E' && is_setup_failure(step, body, len))
		return body != NULL && buf_append(&srv->words, body, len) != ERR_OK ? ERR_NO_MEMORY
		                                                                    : ERR_IO;
	if (srv->session != NULL && (srv->chore == CHORE_NONE || srv->chore == CHORE_FETCH))
		session_message(srv, f, body);
	if (tracker_at_query(&srv->tracker) && (f->row->flags & FRAME_ASYNC) == 0)
		statements_at_query(srv, srv->chore == CHORE_NONE);
	rc = tracker_from_server(&srv->tracker, type, type == 'Z' ? (char)body[0] : 0);
	portal_answered(srv, type, answered);
	if (rc == ERR_OK)
		rc = statements_answer(srv, f, body, step, ours);
	if (rc == ERR_OK && type == 'C' && !*ours)
		rc = completed(srv, body, len);
	else if (type == 'E')
		buf_free(&srv->deallocating); /* whatever was to come of that text will not */
	if (type == 'E' || type == 'Z')
		buf_free(&srv->pins.setting);
	return rc;
}

static enum err server_dispatch(struct server *srv, const struct frame *f, const uint8_t *body)
{
	char type = f->row->type;
	bool ours = false, known = false;
	enum err rc = ERR_OK;

	if (type == 'S')
		rc = learn_parameter(srv, body, f->size - FRAME_HEADER, &known);
	if (rc != ERR_OK)
		return rc;
	if (srv->session == NULL && srv->chore == CHORE_NONE)
		return idle_message(srv, f, body);
	srv->dropping = false;
	if ((rc = account_answer(srv, f, body, &ours)) != ERR_OK)
		return rc;
	if (type == 'Z' && srv->session != NULL && srv->chore == CHORE_NONE) {
		count_ready(srv->session, srv);
		ours = holds_ready(srv, (char)body[0]) || ours;
	}
	if (srv->chore != CHORE_NONE)
		rc = chore_step(srv, f, body);
	srv->dropping = srv->dropping || ours || known || is_about_setup(srv, type) ||
	                is_about_ours(srv, type);
	if (type == 'Z')
		pool_spoken(srv);
	return rc;
}

/* Must be complete in memory before it is decided about. Errors and what tells of statements is looked into
 * too, unless it is monstrous. */
static bool must_be_whole(struct server *srv, const struct frame *f)
{
	char type = f->row->type;

	if ((f->row->flags & FRAME_WHOLE) != 0)
		return true;
	return f->size < FRAME_WHOLE_MAX &&
	       (type == (srv->chore == CHORE_BARRIER ? 't' : 'E') || type == 'C' ||
	        (type == 'D' && (srv->chore == CHORE_PROBE || srv->chore == CHORE_SPELL)) ||
	        statements_look_at(srv, f));
}

/* Rows on their way to the session: what has been decided for one holds for those behind it. */
static bool server_streams(const struct server *srv, const struct frame *f)
{
	return (f->row->flags & FRAME_MANY) != 0 && srv->session != NULL && !srv->dropping &&
	       srv->chore == CHORE_NONE;
}

/* One that goes to the client, or would if it did not have to wait for what was reset. */
static bool is_clients_ready(const struct server *srv, const struct frame *f)
{
	return f->row->type == 'Z' && srv->session != NULL && srv->chore == CHORE_NONE &&
	       (!srv->dropping || srv->ready_owed);
}

static enum feed_next server_message(struct server *srv, struct feed *f)
{
	struct bytes rest = { f->at + f->pos, f->len - f->pos };
	size_t max = (size_t)srv->pool->worker->site->settings.max_packet_size;
	const uint8_t *body = NULL;
	struct frame frame;
	enum err why;

	switch (frame_peek(FRAME_FROM_SERVER, rest, max, &frame, &why)) {
	case FRAME_MORE:
		return FEED_STOP;
	case FRAME_BAD:
		server_flush(srv, f);
		relay_ruin(srv, CLOSE_SERVER_NONSENSE, err_text(why));
		return FEED_STOP;
	case FRAME_READY:
		break;
	}
	if (frame.size <= rest.len)
		body = rest.at + FRAME_HEADER;
	else if (must_be_whole(srv, &frame))
		return FEED_STOP;
	why = server_dispatch(srv, &frame, body);
	if (why == ERR_OK && is_clients_ready(srv, &frame) && srv->session->told != srv->reported) {
		server_flush(srv, f);
		follow_tell(srv);
	}
	/* What came before this message goes out whatever becomes of it. */
	if (why != ERR_OK || srv->dropping)
		server_flush(srv, f);
	if (why == ERR_IO)
		server_refused(srv);
	else if (why != ERR_OK)
		relay_ruin(srv, CLOSE_SERVER_NONSENSE, why == ERR_CLOSED ? NULL : err_text(why));
	srv->passing = frame.size;
	if (why == ERR_OK && body != NULL && server_streams(srv, &frame)) {
		srv->passing = 0;
		f->pos += frame_run(frame.row, rest, max);
	}
	return why == ERR_OK ? FEED_ON : FEED_STOP;
}

static size_t server_feed(struct server *srv, uint8_t *at, size_t len)
{
	struct feed f = { .at = at, .len = len };

	while (f.pos < f.len && srv->state != SERVER_CLOSING) {
		if (srv->passing > 0)
			server_pass(srv, &f);
		else if (server_message(srv, &f) == FEED_STOP)
			break;
	}
	if (srv->state == SERVER_CLOSING)
		return len;
	server_flush(srv, &f);
	return f.pos;
}

static void server_keep(struct server *srv, const uint8_t *at, size_t n)
{
	srv->kept.len = 0;
	if (n == 0)
		buf_free(&srv->kept);
	else if (buf_append(&srv->kept, at, n) != ERR_OK)
		relay_ruin(srv, CLOSE_SERVER_LOST, "out of memory");
}

static void server_readable(void *arg)
{
	struct server *srv = arg;
	uint8_t *plain = srv->stream.io->plain;
	size_t kept = srv->kept.len, got, used;
	enum stream_next next;
	char why[128];

	if (srv->state == SERVER_CLOSING)
		return;
	if (kept > 0)
		memcpy(plain, srv->kept.at, kept);
	next = stream_receive(&srv->stream, plain + kept, IO_PLAIN_BYTES, &got);
	used = server_feed(srv, plain, kept + got);
	if (srv->state != SERVER_CLOSING)
		server_keep(srv, plain + used, kept + got - used);
	if (srv->state == SERVER_CLOSING)
		return;
	if (next == STREAM_EOF || next == STREAM_FAILED) {
		stream_why(&srv->stream, why, sizeof(why));
		relay_ruin(srv, srv->fatal ? CLOSE_SERVER_FATAL : CLOSE_SERVER_LOST, why);
	} else {
		chore_hear_out(srv);
		relay_settle(srv);
	}
}

static void server_drained(void *arg)
{
	struct server *srv = arg;

	if (srv->session != NULL)
		relay_flow(srv->session);
}

static void server_failed(void *arg)
{
	struct server *srv = arg;
	char why[128];

	stream_why(&srv->stream, why, sizeof(why));
	relay_ruin(srv, CLOSE_SERVER_LOST, why);
}

const struct stream_ops relay_server_ops = { server_readable, server_drained, server_failed };
