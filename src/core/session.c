#include "pgseal/core/session.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "pgseal/base/log.h"
#include "pgseal/core/appname.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/troubles.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/frame.h"
#include "pgseal/wire/message.h"

#define BIT(n) (1u << (n))

static const unsigned legal[SESSION_STATES] = {
	[SESSION_GREETING] = BIT(SESSION_IDLE) | BIT(SESSION_CLOSING),
	[SESSION_IDLE] = BIT(SESSION_WAITING) | BIT(SESSION_ACTIVE) | BIT(SESSION_CLOSING),
	[SESSION_WAITING] = BIT(SESSION_IDLE) | BIT(SESSION_ACTIVE) | BIT(SESSION_CLOSING),
	[SESSION_ACTIVE] = BIT(SESSION_IDLE) | BIT(SESSION_CLOSING),
	[SESSION_CLOSING] = 0,
};

static const struct close_row {
	const char *severity, *sqlstate, *message, *words;
} close_rows[] = {
#define X(name, severity, sqlstate, message, words) [name] = { severity, sqlstate, message, words },
	CLOSE_REASON_TABLE(X)
#undef X
};

const char *close_reason_word(enum close_reason reason)
{
	return close_rows[reason].words;
}

const char *session_state_word(enum session_state state)
{
	static const char *const words[] = {
#define X(number, word) [number] = word,
		SESSION_STATE_TABLE(X)
#undef X
	};

	return words[state];
}

void session_set_state(struct session *s, enum session_state next)
{
	if (s->state == next)
		return;
	assert(legal[s->state] & BIT(next));
	if (s->pool != NULL) {
		s->pool->session_count[s->state]--;
		s->pool->session_count[next]++;
	}
	s->state = (uint8_t)next;
	s->since = loop_now(s->worker->loop);
}

void peer_text(const union peer_addr *a, char *out, size_t size, int *port)
{
	*port = 0;
	if (a != NULL && a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in.sin_addr, out, (socklen_t)size);
		*port = ntohs(a->in.sin_port);
	} else if (a != NULL && a->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->in6.sin6_addr, out, (socklen_t)size);
		*port = ntohs(a->in6.sin6_port);
	} else {
		snprintf(out, size, "unix");
	}
}

/* ---- life ---- */

struct session *session_create(int fd)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	stream_init(&s->stream, fd);
	s->state = SESSION_GREETING;
	return s;
}

static void startup_drop(struct session *s)
{
	if (s->startup != NULL)
		startup_free(s->startup);
	free(s->startup);
	s->startup = NULL;
}

void session_leave_seats(struct session *s)
{
	size_t i;

	for (i = 0; i < SESSION_SEATS && s->seats[i] != NULL; i++) {
		quota_give(s->seats[i]);
		quota_release(s->seats[i]);
		s->seats[i] = NULL;
	}
}

void session_free(struct session *s)
{
	uint8_t unread[4096];
	int i;

	stream_part(&s->stream);
	/* Unread bytes would turn our close into a reset, which may overtake the last words. */
	for (i = 0; i < 16; i++)
		if (recv(s->stream.fd, unread, sizeof(unread), MSG_DONTWAIT) <
		    (ssize_t)sizeof(unread))
			break;
	if (s->stream.ssl != NULL && !stream_failed(&s->stream))
		SSL_shutdown(s->stream.ssl);
	stream_stop(&s->stream);
	SSL_free(s->stream.ssl);
	stream_fini(&s->stream);
	close(s->stream.fd);
	startup_drop(s);
	buf_free(&s->input);
	identity_free(s->identity);
	session_leave_seats(s);
	quota_release(s->active);
	route_release(s->route);
	free(s->peer);
	free(s);
}

/* ---- words to the client ---- */

void session_tell(struct session *s, char type, const char *severity, const char *sqlstate,
                  const char *message, const char *detail, const char *hint)
{
	struct message_error e = { severity, sqlstate, message, detail, hint, NULL };
	struct buf out = { 0 };
	struct writer w = writer_to(&out);

	message_write_error(&w, type, &e);
	if (writer_status(&w) == ERR_OK)
		stream_write(&s->stream, out.at, out.len);
	buf_free(&out);
}

static struct appname named(const struct session *s, const char *name)
{
	char host[INET6_ADDRSTRLEN];
	int port;

	peer_text(s->peer, host, sizeof(host), &port);
	return appname_with_host(name, host, port);
}

/* What the client asked for in its StartupMessage, over what servers of the route report. */
static enum err overlay_startup(struct session *s)
{
	const struct settings *settings = &s->worker->site->settings;
	struct params_table *t = s->worker->params;
	struct params *base = s->wanted;
	const char *name = NULL;
	enum err rc = ERR_OK;
	size_t i;

	params_hold(base);
	for (i = 0; rc == ERR_OK && i < s->startup->param_count; i++) {
		const struct startup_param *p = &s->startup->params[i];

		if (site_list_has(settings->ignore_startup_parameters, p->name) ||
		    params_read_only(p->name))
			continue;
		rc = params_put(t, &s->wanted, p->name, p->value, false);
		if (strcasecmp(p->name, "application_name") == 0)
			name = p->value;
	}
	if (rc == ERR_OK && settings->application_name_add_host)
		rc = params_put(t, &s->wanted, "application_name", named(s, name).s, false);
	s->unproven = s->wanted != base;
	params_release(t, base);
	return rc;
}

static void write_parameters(struct writer *w, const struct params *p)
{
	size_t i;

	for (i = 0; i < params_count(p); i++)
		if (params_at(p, i)->reported)
			message_write_parameter(w, params_at(p, i)->name, params_at(p, i)->value);
}

/* The virtual database has parameters too: drivers look at them. */
static void write_console_parameters(struct writer *w)
{
	static const char *const fixed[][2] = {
		{ "server_version", "1.26.0/pgseal" },
		{ "client_encoding", "UTF8" },
		{ "server_encoding", "UTF8" },
		{ "DateStyle", "ISO" },
		{ "TimeZone", "GMT" },
		{ "standard_conforming_strings", "on" },
		{ "integer_datetimes", "on" },
		{ "is_superuser", "on" },
	};
	size_t i;

	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		message_write_parameter(w, fixed[i][0], fixed[i][1]);
}

static enum err write_greeting(struct session *s, struct buf *out)
{
	const struct startup *st = s->startup;
	/* 3.1 never was: who asks for it gets what there was before. */
	uint32_t spoken = st->version >= WIRE_PROTOCOL_3_2 ? WIRE_PROTOCOL_3_2 : WIRE_PROTOCOL_3_0;
	struct writer w = writer_to(out);

	if (st->unknown_count > 0 || st->version != spoken)
		message_write_negotiate(&w, spoken, st->unknown_options, st->unknown_count);
	message_write_auth_ok(&w);
	if (s->pool != NULL)
		write_parameters(&w, s->wanted);
	else
		write_console_parameters(&w);
	message_write_key(&w, s->key, (struct bytes){ s->secret, s->secret_len });
	message_write_ready(&w, 'I');
	return writer_status(&w);
}

void session_greet(struct session *s)
{
	struct buf out = { 0 };
	enum err rc = ERR_OK;

	if (s->pool != NULL) {
		s->wanted = params_hold(s->pool->greeting);
		if (!session_replicates(s)) /* its server was logged in with all it asked for */
			rc = overlay_startup(s);
		s->initial = params_hold(s->wanted);
		s->pool->stats.client_login_count++;
	}
	if (rc == ERR_OK && (rc = write_greeting(s, &out)) == ERR_OK)
		stream_write(&s->stream, out.at, out.len);
	buf_free(&out);
	/* It waits for nothing any more: closing must not look for it in the queue. */
	session_set_state(s, SESSION_IDLE);
	if (rc != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return;
	}
	startup_drop(s);
	if (s->tally != NULL)
		s->tally->logins++;
}

/* ---- the console's sessions: whole messages, dealt with by the floor above ---- */

#define CONSOLE_MESSAGE_MAX IO_KEPT_MAX

static size_t console_feed(struct session *s, const uint8_t *at, size_t len)
{
	struct frame frame;
	enum err why;
	size_t pos = 0;

	while (s->state != SESSION_CLOSING) {
		switch (frame_peek(FRAME_FROM_CLIENT, (struct bytes){ at + pos, len - pos },
		                   CONSOLE_MESSAGE_MAX, &frame, &why)) {
		case FRAME_MORE:
			return pos;
		case FRAME_BAD:
			session_close(s, CLOSE_PROTOCOL, err_text(why));
			return len;
		case FRAME_READY:
			if (frame.size > len - pos)
				return pos;
			break;
		}
		if (frame.row->type == 'X')
			session_close(s, CLOSE_QUIT, NULL);
		else
			s->worker->crew->console->message(s, frame.row->type,
			                                  at + pos + FRAME_HEADER,
			                                  frame.size - FRAME_HEADER);
		pos += frame.size;
	}
	return len;
}

static void console_readable(void *arg)
{
	struct session *s = arg;
	uint8_t *plain = s->stream.io->plain;
	size_t kept = s->input.len, got, used;
	enum stream_next next;

	if (s->state == SESSION_CLOSING)
		return;
	if (kept > 0)
		memcpy(plain, s->input.at, kept);
	next = stream_receive(&s->stream, plain + kept, IO_PLAIN_BYTES, &got);
	used = console_feed(s, plain, kept + got);
	buf_free(&s->input);
	if (s->state == SESSION_CLOSING)
		return;
	if (next == STREAM_EOF || next == STREAM_FAILED ||
	    buf_append(&s->input, plain + used, kept + got - used) != ERR_OK)
		session_close(s, CLOSE_LOST, NULL);
}

static void console_drained(void *arg)
{
	(void)arg;
}

static void console_failed(void *arg)
{
	struct session *s = arg;

	if (s->state != SESSION_CLOSING)
		session_close(s, CLOSE_LOST, NULL);
}

void session_console_begin(struct session *s)
{
	struct buf early = s->input;
	size_t used;

	/* What came right behind the StartupMessage. */
	memset(&s->input, 0, sizeof(s->input));
	used = console_feed(s, early.at, early.len);
	if (s->state != SESSION_CLOSING && early.len - used > CONSOLE_MESSAGE_MAX)
		session_close(s, CLOSE_PROTOCOL, NULL);
	else if (s->state != SESSION_CLOSING &&
	         buf_append(&s->input, early.at + used, early.len - used) != ERR_OK)
		session_close(s, CLOSE_NO_MEMORY, NULL);
	buf_free(&early);
}

const struct stream_ops session_console_ops = { console_readable, console_drained, console_failed };

/* ---- the end ---- */

static void log_end(struct session *s, enum close_reason reason, const char *detail)
{
	if (!s->worker->site->settings.log_disconnections)
		return;
	log_info(LOG_SESSION, s->id, "close: identity=\"%s\" reason=\"%s\"%s%s%s age=%s",
	         quote_str(s->identity->label).s, close_rows[reason].words,
	         detail ? " detail=\"" : "", detail ? quote_str(detail).s : "", detail ? "\"" : "",
	         duration_text(loop_now(s->worker->loop) - s->born).s);
}

/* Out of every list of the living. */
static void leave_worker(struct session *s)
{
	struct worker *w = s->worker;

	if (s->pool != NULL) {
		if (s->state == SESSION_GREETING || s->state == SESSION_WAITING)
			pool_forget(s->pool, s);
		pool_uncharge(w, s);
		params_release(w->params, s->wanted);
		params_release(w->params, s->initial);
		s->wanted = s->initial = NULL;
		prepared_free(s->prepared, w->statements);
		s->prepared = NULL;
	} else if (s->console != NULL) {
		w->crew->console->close(s);
		s->console = NULL;
	}
	if (s->tally != NULL)
		s->tally->sessions--;
	TAILQ_REMOVE(&w->sessions, s, link);
	LIST_REMOVE(s, key_link);
	TAILQ_INSERT_TAIL(&w->dead, s, link);
	atomic_fetch_sub(&w->load, 1);
	if (s->counted)
		atomic_fetch_sub(&w->crew->clients, 1);
	session_leave_seats(s);
}

/* Of an administrator's acts, and of clients that go, there is nothing to tell; servers that go are
 * the relay's to tell. */
static void note_trouble(const struct session *s, enum close_reason reason, const char *sqlstate,
                         const char *words)
{
	const struct close_row *row = &close_rows[reason];
	char addr[64];
	int port;

	if (row->severity == NULL || reason == CLOSE_SERVER_LOST ||
	    reason == CLOSE_SERVER_NONSENSE || strcmp(row->sqlstate, SQLSTATE_ADMIN_SHUTDOWN) == 0)
		return;
	peer_text(s->peer, addr, sizeof(addr), &port);
	troubles_note(s->worker->crew->troubles, TROUBLE_CLIENT, row->words, addr, sqlstate, words);
}

void session_close_words(struct session *s, enum close_reason reason, const char *sqlstate,
                         const char *message, const char *detail)
{
	const struct close_row *row = &close_rows[reason];

	if (s->state == SESSION_CLOSING)
		return;
	if (row->severity != NULL && !relay_mid_message(s) && !stream_failed(&s->stream))
		session_tell(s, 'E', row->severity, sqlstate, message, detail, NULL);
	log_end(s, reason,
	        reason == CLOSE_SERVER_LOGIN || reason == CLOSE_SETUP ? message : detail);
	note_trouble(s, reason, sqlstate, detail != NULL ? detail : message);
	s->worker->closes[reason]++;
	if (s->server != NULL)
		relay_detach(s, reason != CLOSE_QUIT);
	leave_worker(s);
	session_set_state(s, SESSION_CLOSING);
}

void session_close(struct session *s, enum close_reason reason, const char *detail)
{
	session_close_words(s, reason, close_rows[reason].sqlstate, close_rows[reason].message,
	                    detail);
}

void session_fail_request(struct session *s, const char *sqlstate, const char *message)
{
	struct bytes input = { s->input.at, s->input.len };
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	struct frame frame;
	enum err why;

	assert(s->state == SESSION_WAITING);
	if (frame_peek(FRAME_FROM_CLIENT, input, SIZE_MAX, &frame, &why) != FRAME_READY)
		return;
	pool_forget(s->pool, s);
	pool_uncharge(s->worker, s);
	session_set_state(s, SESSION_IDLE);
	session_tell(s, 'E', "ERROR", sqlstate, message, NULL, NULL);
	/* A batch is skipped up to its Sync, a Query or FunctionCall ends with itself. */
	s->skipping = strchr("QFS", frame.row->type) == NULL;
	s->passing = frame.size;
	s->dropping = true;
	if (!s->skipping)
		message_write_ready(&w, 'I');
	if (writer_status(&w) == ERR_OK)
		stream_write(&s->stream, out.at, out.len);
	buf_free(&out);
	relay_resume(s);
}
