#include "pgseal/core/session.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "pgseal/base/log.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/relay.h"
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

void session_drop_startup(struct session *s)
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
	session_drop_startup(s);
	buf_free(&s->input);
	identity_free(s->identity);
	authn_release(s->authn);
	session_leave_seats(s);
	quota_release(s->active);
	route_release(s->route);
	free(s->peer);
	free(s);
}

/* ---- words to the client ---- */

enum err session_send(struct session *s, struct writer *w)
{
	if (writer_status(w) == ERR_OK)
		stream_write(&s->stream, w->to->at, w->to->len);
	buf_free(w->to);
	return writer_status(w);
}

void session_send_ready(struct session *s, char status)
{
	struct buf out = { 0 };
	struct writer w = writer_to(&out);

	message_write_ready(&w, status);
	session_send(s, &w);
}

void session_tell(struct session *s, char type, const char *severity, const char *sqlstate,
                  const char *message, const char *detail, const char *hint)
{
	struct message_error e = { severity, sqlstate, message, detail, hint, NULL };
	struct buf out = { 0 };
	struct writer w = writer_to(&out);

	message_write_error(&w, type, &e);
	session_send(s, &w);
}

enum err session_hear(struct session *s, const char *name, const char *value, bool *news)
{
	const char *known = params_get(s->told, name);

	*news = known == NULL || strcmp(known, value) != 0;
	return *news ? params_put(s->worker->params, &s->told, name, value) : ERR_OK;
}

bool session_asks_too_much(const struct session *s)
{
	const struct settings *settings = &s->worker->site->settings;

	return params_count(s->asked) > (size_t)settings->max_client_parameters ||
	       params_flat(s->asked).len > (size_t)settings->max_client_parameter_memory;
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
