#include "pgseal/admin/console.h"

#include <stdlib.h>
#include <string.h>

#include "console_priv.h"
#include "pgseal/wire/message.h"

static void console_run(struct session *s);

/* --- answers --- */

static void flush(struct session *s)
{
	struct console *c = s->console;

	if (c == NULL)
		return;
	if (c->out.no_memory) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
	} else if (c->out.bytes.len > 0) {
		stream_write(&s->stream, c->out.bytes.at, c->out.bytes.len);
		buf_free(&c->out.bytes);
	}
}

static void reply_failure(struct console *c, const struct result *r)
{
	reply_error(&c->out, r->sqlstate, r->message.text,
	            r->detail.len > 0 ? (const char *)r->detail.at : NULL);
}

/* --- a simple query's statements --- */

static void script_end(struct console *c)
{
	buf_free(&c->script);
	reply_ready(&c->out);
}

static void script_result(struct console *c, const struct result *r)
{
	size_t at = 0;

	if (r->sqlstate != NULL) {
		reply_failure(c, r);
		script_end(c);
		return;
	}
	if (r->columns != NULL) {
		reply_columns(&c->out, r->columns, r->column_count, NULL);
		reply_rows(&c->out, r, NULL, &at, 0);
	}
	reply_complete(&c->out, r);
}

bool console_begin(struct session *s, const char **sql)
{
	struct console *c = s->console;
	struct request *rq = request_create();
	struct errbuf why;

	if (rq == NULL) {
		reply_error(&c->out, SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL);
		return false;
	}
	if (statement_next(sql, &rq->statement, &why) != STATEMENT_READY ||
	    commands_find(&rq->statement, &rq->action, &why) != ERR_OK) {
		reply_error(&c->out, SQLSTATE_SYNTAX_ERROR, why.text, NULL);
		request_free(rq);
		return false;
	}
	c->current = rq;
	commands_run(rq, s);
	return true;
}

void console_done(struct request *rq, struct session *s)
{
	struct console *c = s->console;
	struct result *r = &rq->result;

	if (r->no_memory)
		request_fail(rq, SQLSTATE_OUT_OF_MEMORY, "out of memory");
	c->current = NULL;
	if (c->executing != NULL)
		extended_result(c, r);
	else
		script_result(c, r);
	request_free(rq);
	console_run(s);
}

bool console_is_empty(const char *sql)
{
	struct statement st;

	return statement_next(&sql, &st, NULL) == STATEMENT_END;
}

static void script_step(struct session *s)
{
	struct console *c = s->console;

	if (console_is_empty(c->script_at)) {
		if (!c->script_answered)
			reply_empty(&c->out, 'I');
		script_end(c);
		return;
	}
	c->script_answered = true;
	if (!console_begin(s, &c->script_at))
		script_end(c);
}

static void script_begin(struct session *s, struct bytes body)
{
	struct console *c = s->console;
	struct reader r = reader_of(body);
	struct bytes sql;

	if (!reader_str(&r, &sql) || reader_left(&r) > 0) {
		session_close(s, CLOSE_PROTOCOL, "malformed Query message");
		return;
	}
	extended_drop_unnamed(c);
	c->script_answered = false;
	if (buf_append(&c->script, sql.at, sql.len + 1) != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return;
	}
	c->script_at = (const char *)c->script.at;
}

/* --- messages --- */

static void handle(struct session *s, char type, struct bytes body)
{
	struct console *c = s->console;

	if (c->skipping && type != 'S')
		return;
	if (type == 'Q') {
		script_begin(s, body);
	} else if (type == 'F') {
		reply_error(&c->out, SQLSTATE_FEATURE_NOT_SUPPORTED,
		            "the console has no functions to call", NULL);
		reply_ready(&c->out);
	} else if (strchr("PBDECHS", type) != NULL) {
		extended_message(s, type, body);
		if (type == 'S')
			reply_ready(&c->out);
	}
	/* CopyData and its like belong to no copy of ours: ignored, as PostgreSQL does */
}

/* The first message of the queue; its body goes away with the next call. */
static void queue_step(struct session *s)
{
	struct console *c = s->console;
	struct buf message = { 0 };
	uint32_t len;
	size_t size;

	memcpy(&len, c->queue.at + 1, sizeof(len));
	size = 1 + sizeof(len) + len;
	if (buf_append(&message, c->queue.at, size) != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return;
	}
	buf_consume(&c->queue, size);
	handle(s, (char)message.at[0], (struct bytes){ message.at + size - len, len });
	buf_free(&message);
}

static void console_free(struct console *c)
{
	extended_free(c);
	buf_free(&c->out.bytes);
	buf_free(&c->queue);
	buf_free(&c->script);
	free(c);
}

/* Go on as far as possible without an answer from elsewhere. */
static void console_run(struct session *s)
{
	struct console *c = s->console;

	if (c->running)
		return;
	c->running = true;
	for (;;) {
		flush(s);
		if (c->closed || c->current != NULL || (c->script.len == 0 && c->queue.len == 0))
			break;
		if (c->script.len > 0)
			script_step(s);
		else if (stream_held(&s->stream) > CONSOLE_HELD_MAX)
			session_close(s, CLOSE_PROTOCOL, "answers are not being read");
		else
			queue_step(s);
	}
	c->running = false;
	if (c->closed)
		console_free(c);
}

static void console_message(struct session *s, char type, const unsigned char *body, size_t len)
{
	struct console *c = s->console;
	uint32_t size = (uint32_t)len;

	if (c->queue.len + len > CONSOLE_QUEUE_MAX) {
		session_close(s, CLOSE_PROTOCOL, "too much asked at once");
		return;
	}
	if (buf_append(&c->queue, &type, 1) != ERR_OK ||
	    buf_append(&c->queue, &size, sizeof(size)) != ERR_OK ||
	    buf_append(&c->queue, body, len) != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return;
	}
	console_run(s);
}

/* --- life --- */

static enum err console_open(struct session *s)
{
	struct console *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return ERR_NO_MEMORY;
	LIST_INIT(&c->names);
	s->console = c;
	return ERR_OK;
}

/* Tours alone wait for anything; what travels to control and back is not held up. */
static void console_cancel(struct session *s)
{
	struct request *rq = s->console->current;

	if (rq != NULL && rq->tour.visit != NULL)
		request_cancel(rq);
}

/* A request that is under way frees itself when it finds nobody at home. */
static void console_close(struct session *s)
{
	struct console *c = s->console;

	s->console = NULL;
	if (c != NULL && c->running)
		c->closed = true; /* console_run is on the stack and frees it */
	else if (c != NULL)
		console_free(c);
}

const struct console_ops console_ops = {
	.open = console_open,
	.message = console_message,
	.cancel = console_cancel,
	.close = console_close,
};
