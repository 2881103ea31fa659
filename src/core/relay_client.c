/* Client to server. */
#include "relay_priv.h"

#include <assert.h>
#include <string.h>

#include "pgseal/core/chore.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/setup.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/frame.h"

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
	s->dropping = true;
	if (type != 'S')
		return;
	s->skipping = false;
	session_send_ready(s, 'I');
}

/* What the client asked before it said goodbye still counts, as with PostgreSQL, which reads the
 * Terminate only when it has done the rest. */
static void client_quit(struct session *s)
{
	if (s->state == SESSION_ACTIVE && !session_replicates(s) && relay_answers_come(s))
		s->quitting = true; /* the message waits here until they have */
	else
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

/* A transaction begins. False: not yet, or the session has ended. */
static bool client_begin(struct session *s, struct feed *f)
{
	if (session_asks_too_much(s)) { /* here, where the client waits for an answer */
		session_close(s, CLOSE_PARAMETERS, NULL);
		return false;
	}
	if (s->server->foreign) {
		if (setup_clean(s) != ERR_OK)
			relay_ruin(s->server, CLOSE_NO_MEMORY, "out of memory");
		return false;
	}
	return !setup_is_due(s) || setup_send(s, f);
}

/* Behind attach. */
static enum feed_next client_forward(struct session *s, struct feed *f, const struct frame *frame)
{
	const struct tracker *t = &s->server->tracker;

	if (relay_client_blocked(s))
		return FEED_STOP;
	if (tracker_quiet(t) && tracker_needs_server(t, frame->row->type)) {
		relay_start_clocks(s);
		relay_end_hold(s);
		if (tracker_idle(t) && !client_begin(s, f))
			return FEED_STOP;
	}
	return statements_pass(s, f, frame);
}

/* Is so much of the message here that it can be decided about? It waits here for the rest, not at a
 * server. */
static bool client_sees_enough(struct session *s, const struct frame *frame, struct bytes rest)
{
	size_t need = s->skipping ? 0 : statements_need(s, frame, rest);

	s->needed = need > rest.len ? need : 0;
	return s->needed == 0;
}

/* Of a message that no server gets. */
static void client_drop(struct session *s, const struct frame *frame)
{
	s->passing = frame->size;
}

static enum feed_next client_decide(struct session *s, struct feed *f, const struct frame *frame,
                                    struct bytes rest)
{
	char type = frame->row->type;

	if (type == 'X') {
		feed_flush(f, s);
		client_quit(s);
		return FEED_STOP;
	}
	if (!client_sees_enough(s, frame, rest))
		return FEED_STOP;
	if (s->skipping)
		client_skip(s, type);
	else if (s->server == NULL && client_lend(s, type) == FEED_STOP)
		return FEED_STOP;
	if (s->server != NULL)
		return client_forward(s, f, frame);
	client_drop(s, frame);
	return FEED_ON;
}

/* The message at the front of the feed: decide what becomes of it. */
static enum feed_next client_message(struct session *s, struct feed *f)
{
	struct bytes rest = { f->at + f->pos, f->len - f->pos };
	size_t max = (size_t)s->worker->site->settings.max_packet_size;
	struct frame frame;
	enum err why;

	switch (frame_peek(FRAME_FROM_CLIENT, rest, max, &frame, &why)) {
	case FRAME_MORE:
		return FEED_STOP;
	case FRAME_BAD:
		feed_flush(f, s);
		session_close(s, CLOSE_PROTOCOL, err_text(why));
		return FEED_STOP;
	case FRAME_READY:
		break;
	}
	if (client_decide(s, f, &frame, rest) == FEED_STOP)
		return FEED_STOP;
	if ((frame.row->flags & FRAME_MANY) != 0 && frame.size <= rest.len && s->server != NULL &&
	    !s->dropping) {
		/* What has been decided for one piece of a COPY holds for those behind it. */
		s->passing = 0;
		f->pos += frame_run(frame.row, rest, max);
	}
	return FEED_ON;
}

/* Returns how much was dealt with; the rest is to be kept. room: bytes in front that may be written over. */
static size_t client_feed(struct session *s, uint8_t *at, size_t len, size_t room)
{
	struct feed f = { .at = at - room, .len = room + len, .pos = room, .run = room };

	while (f.pos < f.len && s->state != SESSION_CLOSING) {
		if (s->passing > 0)
			client_pass(s, &f);
		else if (client_message(s, &f) == FEED_STOP)
			break;
	}
	if (s->state == SESSION_CLOSING)
		return len;
	feed_flush(&f, s);
	return f.pos - room;
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

#define SHORT_BYTES 2048u
#define SHORT_ROOM_BYTES 256u

/* What is kept has no room in front; something short is given some, so that it goes out in one record even if
 * its names grow. The thread's own buffer may be in use: this happens amid the answers of the server that
 * came free. */
static size_t feed_kept(struct session *s, const struct buf *kept)
{
	uint8_t roomy[SHORT_ROOM_BYTES + SHORT_BYTES];

	if (kept->len > SHORT_BYTES)
		return client_feed(s, kept->at, kept->len, 0);
	memcpy(roomy + SHORT_ROOM_BYTES, kept->at, kept->len);
	return client_feed(s, roomy + SHORT_ROOM_BYTES, kept->len, SHORT_ROOM_BYTES);
}

static void client_lost(struct session *s)
{
	char why[128];

	stream_why(&s->stream, why, sizeof(why));
	session_close(s, s->quitting ? CLOSE_QUIT : CLOSE_LOST,
	              stream_failed(&s->stream) ? why : NULL);
}

/* Its client has gone, and nothing more will come of what it asked. */
static bool is_over(const struct session *s)
{
	return s->leaving && s->state == SESSION_ACTIVE && !relay_client_blocked(s) &&
	       !relay_answers_come(s);
}

void relay_resume(struct session *s)
{
	struct buf input = s->input;
	size_t used;

	if (input.len == 0 || input.len < s->needed || relay_client_blocked(s))
		return;
	memset(&s->input, 0, sizeof(s->input));
	used = feed_kept(s, &input);
	client_keep(s, input.at, input.len, used);
	buf_free(&input);
	if (is_over(s))
		client_lost(s);
	else if (s->state != SESSION_CLOSING)
		relay_flow(s);
}

/* Something that the client asked, whole, has no answer yet: it runs, or waits here. */
static bool client_asks(const struct session *s)
{
	if (s->passing > 0 || stream_failed(&s->stream))
		return false;
	return s->state == SESSION_WAITING ||
	       (s->state == SESSION_ACTIVE && (relay_answers_come(s) || relay_client_blocked(s)));
}

/* The client will send no more. What it asked before may still run, and it may still read. */
static void client_ended(struct session *s)
{
	/* A stream has no end to wait for. */
	if (!client_asks(s) || session_replicates(s)) {
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

/* What comes is kept for now: there is no going on, or not enough is here. */
static bool client_collects(const struct session *s)
{
	return relay_client_blocked(s) || s->needed > 0;
}

/* Take in what has come, behind what is kept, and go through it. */
static enum stream_next client_take(struct session *s)
{
	uint8_t *plain = s->stream.io->plain + IO_ROOM_BYTES;
	size_t kept = 0, got, used;
	enum stream_next next;

	if (client_collects(s)) {
		next = stream_receive(&s->stream, plain, IO_PLAIN_BYTES, &got);
		if (buf_append(&s->input, plain, got) != ERR_OK)
			session_close(s, CLOSE_NO_MEMORY, NULL);
		else
			relay_resume(s);
		return next;
	}
	/* At most the head of a message is kept while nothing blocks. */
	kept = s->input.len;
	assert(kept <= IO_KEPT_MAX);
	memcpy(plain, s->input.at != NULL ? s->input.at : plain, kept);
	next = stream_receive(&s->stream, plain + kept, IO_PLAIN_BYTES, &got);
	used = client_feed(s, plain, kept + got, IO_ROOM_BYTES);
	client_keep(s, plain, kept + got, used);
	return next;
}

static void session_readable(void *arg)
{
	struct session *s = arg;
	enum stream_next next;

	if (s->state == SESSION_CLOSING)
		return;
	next = client_take(s);
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
