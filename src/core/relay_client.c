/* Client to server. */
#include "relay_priv.h"

#include <assert.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/core/chore.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/frame.h"
#include "pgseal/wire/message.h"
#include "pgseal/wire/reader.h"

static void client_flush(struct session *s, struct feed *f)
{
	if (f->pos > f->run && s->server != NULL) {
		s->pool->stats.bytes_received += f->pos - f->run;
		stream_write(&s->server->stream, f->at + f->run, f->pos - f->run);
	}
	f->run = f->pos;
}

/* Step over bytes of the current message; dropped ones never get into a run. */
static void client_pass(struct session *s, struct feed *f)
{
	size_t n = f->len - f->pos;

	if (n > s->passing)
		n = s->passing;
	s->passing -= n;
	f->pos += n;
	if (s->dropping)
		f->run = f->pos;
}

/* An error was answered here instead of by a server: everything up to the Sync goes with it. */
static void client_skip(struct session *s, char type)
{
	struct buf out = { 0 };
	struct writer w = writer_to(&out);

	s->dropping = true;
	if (type != 'S')
		return;
	s->skipping = false;
	message_write_ready(&w, 'I');
	if (writer_status(&w) == ERR_OK)
		stream_write(&s->stream, out.at, out.len);
	buf_free(&out);
}

/* What the client asked before it said goodbye still counts, as with PostgreSQL, which reads the
 * Terminate only when it has done the rest. */
static void client_quit(struct session *s)
{
	session_close(s, CLOSE_QUIT, NULL);
}

/* For a session without a server: would PostgreSQL, with nothing under way, do anything about it? */
static bool needs_server(char type)
{
	static const struct tracker nothing = { .status = 'I' };

	return tracker_needs_server(&nothing, type);
}

static enum feed_next client_lend(struct session *s, char type)
{
	struct server *srv;

	if (!needs_server(type)) {
		s->dropping = true;
		return FEED_ON;
	}
	if ((srv = pool_acquire(s->pool, s)) == NULL)
		return FEED_STOP;
	relay_attach(s, srv);
	return s->state == SESSION_ACTIVE ? FEED_ON : FEED_STOP;
}

/* Longest that names in a message may be before it is taken for one that names something. */
#define NAMES_MAX_BYTES 1024

/* Is the statement that a Parse or Bind is about a named one? False: the name has not come yet. */
static bool statement_named(struct bytes message, bool *named)
{
	struct reader r = reader_of(message);
	const uint8_t *header;
	struct bytes name;

	*named = true;
	if (message.at[0] != 'P' && message.at[0] != 'B')
		return true;
	if (!reader_take(&r, FRAME_HEADER, &header))
		return false;
	if (message.at[0] == 'B' && !reader_str(&r, &name)) /* the portal */
		return message.len > NAMES_MAX_BYTES;
	if (reader_left(&r) == 0)
		return false;
	*named = reader_rest(&r).at[0] != '\0';
	return true;
}

/* A Parse or Bind is about to be forwarded. Prepared statements live in the server: a named one pins
 * it to the session, so that no other client can ever meet it; the unnamed one keeps it until it is
 * bound. */
static void client_prepares(struct session *s, char type, bool named)
{
	struct server *srv = s->server;

	if (!named && type == 'P') {
		srv->unnamed = srv->awaited = true;
	} else if (!named) {
		srv->awaited = false;
	} else if (type == 'P' && !srv->pinned && s->mode == POOL_TRANSACTION) {
		log_info(LOG_SESSION, s->id,
		         "pinned: server=%s reason=\"named prepared statement\"",
		         log_id_text(srv->id).s);
		srv->pinned = true;
	}
}

/* A batch could get to bind what another session left unnamed, unless it begins by parsing its own,
 * whose failure skips the rest. The other's goes first, at a moment when nothing is owed. False: wait
 * for that moment. */
static bool client_scrubs(struct session *s, char type, bool named)
{
	struct server *srv = s->server;
	const struct tracker *t = &srv->tracker;

	s->held = false;
	if (!srv->foreign || strchr("PBDEC", type) == NULL || (type == 'P' && !named))
		return true;
	/* Who broke the rules inside COPY is never at such a moment again. */
	if (t->lost && (type == 'B' || type == 'D')) {
		session_close(s, CLOSE_PROTOCOL, "extended query behind a breach of COPY");
		return false;
	}
	/* Behind an error nothing runs up to the Sync, a statement of ours included; inside COPY PostgreSQL
	 * refuses the message. */
	if (t->lost || t->batch_open || t->skipping || t->copy_in)
		return true;
	s->held = !tracker_quiet(&srv->tracker);
	if (!s->held && chore_scrub(srv) != ERR_OK)
		session_close(s, CLOSE_NO_MEMORY, NULL);
	return !s->held && s->state == SESSION_ACTIVE;
}

/* Behind attach: account for the message and decide whether it goes on. */
static enum feed_next client_forward(struct session *s, struct feed *f, char type)
{
	struct server *srv = s->server;
	enum tracker_client what;
	bool named;

	if (relay_client_blocked(s))
		return FEED_STOP;
	if (tracker_quiet(&srv->tracker) && tracker_needs_server(&srv->tracker, type))
		relay_start_clocks(s);
	if (!statement_named((struct bytes){ f->at + f->pos, f->len - f->pos }, &named) ||
	    !client_scrubs(s, type, named))
		return FEED_STOP;
	if (type == 'P' || type == 'B')
		client_prepares(s, type, named);
	else if (type == 'Q')
		srv->awaited = false;
	if (tracker_from_client(&srv->tracker, type, &what) != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return FEED_STOP;
	}
	s->dropping = what == TRACK_SWALLOW;
	if (s->dropping)
		client_flush(s, f);
	return FEED_ON;
}

/* The message at the front of the feed: decide what becomes of it. */
static enum feed_next client_message(struct session *s, struct feed *f)
{
	struct bytes rest = { f->at + f->pos, f->len - f->pos };
	size_t max = (size_t)s->worker->site->settings.max_packet_size;
	struct frame frame;
	enum err why;
	char type;

	switch (frame_peek(FRAME_FROM_CLIENT, rest, max, &frame, &why)) {
	case FRAME_MORE:
		return FEED_STOP;
	case FRAME_BAD:
		client_flush(s, f);
		session_close(s, CLOSE_PROTOCOL, err_text(why));
		return FEED_STOP;
	case FRAME_READY:
		break;
	}
	type = frame.row->type;
	if (type == 'X') {
		client_flush(s, f);
		client_quit(s);
		return FEED_STOP;
	}
	if (s->skipping)
		client_skip(s, type);
	else if (s->server == NULL && client_lend(s, type) == FEED_STOP)
		return FEED_STOP;
	else if (s->server != NULL && client_forward(s, f, type) == FEED_STOP)
		return FEED_STOP;
	s->passing = frame.size;
	if ((frame.row->flags & FRAME_MANY) != 0 && frame.size <= rest.len && s->server != NULL &&
	    !s->dropping) {
		/* What has been decided for one piece of a COPY holds for those behind it. */
		s->passing = 0;
		f->pos += frame_run(frame.row, rest, max);
	}
	return FEED_ON;
}

/* Returns how much was dealt with; the rest is to be kept. */
static size_t client_feed(struct session *s, const uint8_t *at, size_t len)
{
	struct feed f = { .at = at, .len = len };

	while (f.pos < f.len && s->state != SESSION_CLOSING) {
		if (s->passing > 0)
			client_pass(s, &f);
		else if (client_message(s, &f) == FEED_STOP)
			break;
	}
	if (s->state == SESSION_CLOSING)
		return len;
	client_flush(s, &f);
	return f.pos;
}

/* Keep [at + used, at + len), which may lie in the very buffer that it is kept in. */
static void client_keep(struct session *s, const uint8_t *at, size_t len, size_t used)
{
	struct buf rest = { 0 };

	if (s->state == SESSION_CLOSING)
		return;
	if (used < len && buf_append(&rest, at + used, len - used) != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return;
	}
	buf_free(&s->input);
	s->input = rest;
}

void relay_resume(struct session *s)
{
	struct buf input = s->input;
	size_t used;

	if (input.len == 0 || relay_client_blocked(s))
		return;
	memset(&s->input, 0, sizeof(s->input));
	used = client_feed(s, input.at, input.len);
	client_keep(s, input.at, input.len, used);
	buf_free(&input);
	if (s->state != SESSION_CLOSING)
		relay_flow(s);
}

static void client_lost(struct session *s)
{
	char why[128];

	stream_why(&s->stream, why, sizeof(why));
	session_close(s, CLOSE_LOST, stream_failed(&s->stream) ? why : NULL);
}

/* Something that the client asked, whole, has no answer yet: it runs, or waits here. */
static bool client_asks(const struct session *s)
{
	if (s->passing > 0 || stream_failed(&s->stream))
		return false;
	return s->state == SESSION_WAITING ||
	       (s->state == SESSION_ACTIVE &&
	        (!tracker_quiet(&s->server->tracker) || relay_client_blocked(s)));
}

/* The client will send no more. What it asked before may still run, and it may still read. */
static void client_ended(struct session *s)
{
	if (!client_asks(s)) {
		client_lost(s);
		return;
	}
	s->leaving = true;
	/* One that waits keeps its place in the queue, which goes by this. */
	if (s->state == SESSION_ACTIVE)
		s->since = loop_now(s->worker->loop);
	timer_set_once(s->worker->leave_timer, WORKER_LEAVE_GRACE_US);
	relay_flow(s);
}

static void session_readable(void *arg)
{
	struct session *s = arg;
	uint8_t *plain = s->stream.io->plain;
	size_t kept = 0, got, used = 0;
	enum stream_next next;

	if (s->state == SESSION_CLOSING)
		return;
	if (!relay_client_blocked(s)) {
		/* At most the head of a message is kept while nothing blocks. */
		kept = s->input.len;
		assert(kept <= IO_KEPT_MAX);
		memcpy(plain, s->input.at != NULL ? s->input.at : plain, kept);
	}
	next = stream_receive(&s->stream, plain + kept, IO_PLAIN_BYTES, &got);
	if (!relay_client_blocked(s)) {
		used = client_feed(s, plain, kept + got);
		client_keep(s, plain, kept + got, used);
	} else if (buf_append(&s->input, plain, got) != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
	}
	if (s->state == SESSION_CLOSING)
		return;
	if (next == STREAM_EOF || next == STREAM_FAILED)
		client_ended(s);
	else if (s->state == SESSION_ACTIVE && s->passing == 0 &&
	         tracker_quiet(&s->server->tracker))
		relay_settle(s->server); /* the answer had come before the message was whole */
	else
		relay_flow(s);
}

static void session_drained(void *arg)
{
	struct session *s = arg;

	if (s->state == SESSION_CLOSING)
		return;
	/* It has all of its answer only now: if it rests, it has rested since now. */
	if (s->state == SESSION_IDLE)
		s->since = loop_now(s->worker->loop);
	else if (s->state == SESSION_ACTIVE && tracker_quiet(&s->server->tracker))
		s->query_since = loop_now(s->worker->loop);
	relay_flow(s);
}

static void session_failed(void *arg)
{
	struct session *s = arg;

	if (s->state != SESSION_CLOSING)
		client_lost(s);
}

const struct stream_ops relay_session_ops = { session_readable, session_drained, session_failed };
