#include "gate_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "pgseal/base/log.h"
#include "pgseal/core/troubles.h"
#include "pgseal/tls/context.h"
#include "pgseal/wire/message.h"

/* ---- life ---- */

static struct quoted peer_quoted(const struct visitor *v)
{
	struct quoted q;
	char addr[64];
	int port;

	peer_text(&v->peer, addr, sizeof(addr), &port);
	snprintf(q.s, sizeof(q.s), "%s:%d", addr, port);
	return q;
}

static void move_to(struct visitor *v, struct visitor_list *list)
{
	struct gate *g = v->gate;

	if (v->list != NULL)
		TAILQ_REMOVE(v->list, v, link);
	g->visitor_count -= v->list == &g->visitors;
	g->lingering_count -= v->list == &g->lingering;
	v->list = list;
	g->visitor_count += v->list == &g->visitors;
	g->lingering_count += v->list == &g->lingering;
	v->since = loop_now(g->loop);
	TAILQ_INSERT_TAIL(list, v, link);
}

/* Freed at the end of the turn; its socket may still be in somebody's hands until then. */
void visitor_gone(struct visitor *v)
{
	if (v->state == VISITOR_GONE)
		return;
	v->state = VISITOR_GONE;
	move_to(v, &v->gate->gone);
}

void visitor_free(struct visitor *v)
{
	if (v->s != NULL)
		session_free(v->s);
	site_release(v->site);
	buf_free(&v->early);
	free(v);
}

/* Most of one gate, of those who may still get in, and of those who were refused. */
static size_t visitors_max(const struct gate *g)
{
	size_t most = (size_t)g->site->settings.max_login_clients / g->crew->gate_count;

	return most > 0 ? most : 1;
}

/* No more to say: the peer must read it before our close can reset the connection. A flood that does
 * not take its refusals and leave has the oldest of them closed. */
static void visitor_linger(struct visitor *v)
{
	struct stream *st = &v->s->stream;
	struct gate *g = v->gate;

	if (v->state == VISITOR_GONE || v->state == VISITOR_LINGER)
		return;
	if (st->ssl != NULL && SSL_is_init_finished(st->ssl) && !stream_failed(st))
		SSL_shutdown(st->ssl);
	stream_part(st);
	shutdown(st->fd, SHUT_WR);
	v->state = VISITOR_LINGER;
	if (g->lingering_count >= visitors_max(g))
		visitor_gone(TAILQ_FIRST(&g->lingering));
	move_to(v, &g->lingering);
	timer_set_once(g->linger, VISITOR_LINGER_US);
}

/* Each counts once, for what happened first. */
static void count(struct visitor *v, enum refusal cause, const char *sqlstate, const char *why)
{
	static const char *const words[] = {
#define X(number, word) [number] = (word),
		REFUSAL_TABLE(X)
#undef X
	};
	char addr[64];
	int port;

	if (v->state == VISITOR_GONE || v->state == VISITOR_LINGER)
		return;
	v->gate->stats.refusals[cause]++;
	if (cause == REFUSAL_LEFT)
		return;
	peer_text(&v->peer, addr, sizeof(addr), &port);
	troubles_note(v->gate->crew->troubles, TROUBLE_CLIENT, words[cause], addr, sqlstate, why);
}

void visitor_count(struct visitor *v, enum refusal cause, const char *why)
{
	count(v, cause, NULL, why);
}

/* What the client, or who looks after it, can do. Nothing here depends on what exists. */
#define RAISE(setting) "Close connections that are not needed, or raise " setting " of the pooler."
static const char *const remedies[REFUSALS] = {
	[REFUSAL_NO_TLS] = "Set sslmode=verify-full, sslcert and sslkey in the connection string.",
	[REFUSAL_IDENTITY] = "The log of the pooler tells why.",
	[REFUSAL_RIGHT] = "The log of the pooler tells why.",
	[REFUSAL_REPLICATION] = "The certificate needs replication=yes in [identities] of the pooler.",
	[REFUSAL_CLIENTS] = RAISE("max_client_conn"),
	[REFUSAL_DATABASE_CLIENTS] = RAISE("max_db_client_connections"),
	[REFUSAL_ROLE_CLIENTS] = RAISE("max_user_client_connections"),
	[REFUSAL_IDENTITY_CLIENTS] = RAISE("max_clients of its rule in [identities]"),
	[REFUSAL_REPLICATION_CLIENTS] = RAISE("max_replication_connections"),
};

void visitor_refuse(struct visitor *v, enum refusal cause, const char *sqlstate,
                    const char *message, const char *detail)
{
	visitor_refuse_hint(v, cause, sqlstate, message, remedies[cause], detail);
}

void visitor_refuse_hint(struct visitor *v, enum refusal cause, const char *sqlstate,
                         const char *message, const char *hint, const char *detail)
{
	count(v, cause, sqlstate, detail);
	if (v->site->settings.log_pooler_errors)
		log_warning(LOG_GATE, 0,
		            "refused: peer=%s sqlstate=%s message=\"%s\" reason=\"%s\"",
		            peer_quoted(v).s, sqlstate, quote_str(message).s, quote_str(detail).s);
	session_tell(v->s, 'E', "FATAL", sqlstate, message, NULL, hint);
	visitor_linger(v);
}

/* Nothing can be told to what is no PostgreSQL client. */
static void visitor_drop(struct visitor *v, enum refusal cause, const char *why)
{
	count(v, cause, NULL, why);
	log_info(LOG_GATE, 0, "dropped: peer=%s reason=\"%s\"", peer_quoted(v).s, why);
	visitor_gone(v);
}

static void visitor_left(struct visitor *v)
{
	count(v, REFUSAL_LEFT, NULL, NULL);
	visitor_gone(v);
}

/* ---- the clear part ---- */

static void answer_byte(struct visitor *v, char byte)
{
	stream_write(&v->s->stream, &byte, 1);
}

static void begin_tls(struct visitor *v);

/* SSLRequest and GSSENCRequest. Anything behind one would be plaintext smuggled into the session. */
static void encryption_request(struct visitor *v, const struct startup_packet *p, size_t len)
{
	if (len > p->size) {
		visitor_drop(v, REFUSAL_PROTOCOL, "bytes behind a request for encryption");
	} else if (++v->requests > VISITOR_REQUESTS_MAX) {
		visitor_drop(v, REFUSAL_PROTOCOL, "too many requests for encryption");
	} else if (p->kind == STARTUP_SSL_REQUEST && v->site->client_tls != NULL) {
		answer_byte(v, 'S');
		io_flush(v->gate->io);
		begin_tls(v);
	} else {
		answer_byte(v, 'N');
	}
}

static void clear_startup(struct visitor *v, const struct startup_packet *p)
{
	if (v->local) {
		v->state = VISITOR_STARTUP;
		admission_startup(v, p);
	} else {
		visitor_refuse(v, REFUSAL_NO_TLS, SQLSTATE_INVALID_AUTHORIZATION,
		               "connection requires TLS with a client certificate",
		               "plaintext StartupMessage");
	}
}

static void clear_cancel(struct visitor *v, const struct startup_packet *p)
{
	if (v->site->settings.cancel_require_tls && !v->local)
		visitor_drop(v, REFUSAL_CANCEL,
		             "CancelRequest in the clear, and cancel_require_tls is on");
	else
		admission_cancel(v, p);
}

/* ---- packets before a session, in the clear or in TLS ---- */

static void packet(struct visitor *v, const struct startup_packet *p, size_t len)
{
	bool clear = v->state == VISITOR_FIRST;

	switch (p->kind) {
	case STARTUP_SSL_REQUEST:
	case STARTUP_GSSENC_REQUEST:
		if (clear)
			encryption_request(v, p, len);
		else
			visitor_drop(v, REFUSAL_PROTOCOL, "request for encryption inside TLS");
		break;
	case STARTUP_CANCEL:
		if (clear)
			clear_cancel(v, p);
		else
			admission_cancel(v, p);
		break;
	case STARTUP_SESSION:
		if (clear)
			clear_startup(v, p);
		else
			admission_startup(v, p);
		break;
	}
}

/* What has come so far: deal with the packet at its front. What is behind a StartupMessage already
 * belongs to the session. */
static void packets(struct visitor *v)
{
	struct startup_packet p;
	struct bytes all = { v->early.at, v->early.len };
	size_t size;

	if (all.len == 0)
		return;
	switch (startup_peek(all, &p)) {
	case STARTUP_MORE:
		return;
	case STARTUP_BAD:
		visitor_drop(v, REFUSAL_PROTOCOL,
		             "not a PostgreSQL client, or a packet of impossible length");
		return;
	case STARTUP_PACKET:
		break;
	}
	size = p.size;
	if (p.kind == STARTUP_SESSION && all.len > size && v->s != NULL &&
	    buf_append(&v->s->input, all.at + size, all.len - size) != ERR_OK) {
		visitor_drop(v, REFUSAL_NO_MEMORY, "out of memory");
		return;
	}
	packet(v, &p, all.len);
	if (v->state != VISITOR_GONE)
		buf_consume(&v->early, size <= v->early.len ? size : v->early.len);
}

/* ---- TLS ---- */

static enum refusal tls_cause(const struct tls_refusal *r)
{
	if (r != NULL ||
	    ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return REFUSAL_CERTIFICATE;
	return REFUSAL_HANDSHAKE;
}

/* Of the certificate, or what OpenSSL says; it says nothing where it was ours to give up. */
static void tls_words(const struct visitor *v, const struct tls_refusal *r, char *out, size_t size)
{
	if (r != NULL)
		snprintf(out, size, "%s, of \"%s\"", X509_verify_cert_error_string(r->code),
		         r->subject);
	else if (ERR_peek_error() == 0)
		stream_why(&v->s->stream, out, size);
	else
		tls_error_text(out, size);
}

/* Count it, tell the log why, let the client read OpenSSL's alert. */
static void tls_refuse(struct visitor *v)
{
	const struct tls_refusal *r = tls_refusal(v->s->stream.ssl);
	enum refusal cause = tls_cause(r);
	char text[400];

	tls_words(v, r, text, sizeof(text));
	visitor_count(v, cause, text);
	if (r != NULL)
		log_warning(LOG_TLS, 0,
		            "certificate refused: peer=%s subject=\"%s\" serial=%s depth=%d "
		            "reason=\"%s\"",
		            peer_quoted(v).s, r->subject, r->serial, r->depth,
		            X509_verify_cert_error_string(r->code));
	else if (stream_failed(&v->s->stream) && v->s->stream.error > 0)
		log_debug(LOG_TLS, 0, "handshake broken off: peer=%s", peer_quoted(v).s);
	else
		log_warning(LOG_TLS, 0, "handshake failed: peer=%s reason=\"%s\"", peer_quoted(v).s,
		            text);
	visitor_linger(v);
}

static bool alpn_is_ours(const SSL *ssl)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &name, &len);
	return len == 10 && memcmp(name, "postgresql", 10) == 0;
}

static void handshake(struct visitor *v)
{
	struct stream *st = &v->s->stream;
	bool done;

	if (stream_handshake(st, &done) == STREAM_FAILED) {
		tls_refuse(v);
		return;
	}
	/* The clock itself: most of it may have passed within this turn. */
	if (done)
		histogram_add(&v->gate->stats.handshake, clock_now_us() - v->s->born);
	if (done && v->requests == 0 && !alpn_is_ours(st->ssl)) {
		/* Without a PostgreSQL request in front, ALPN is what tells protocols apart. */
		log_info(LOG_TLS, 0,
		         "dropped: peer=%s reason=\"direct TLS without ALPN postgresql\"",
		         peer_quoted(v).s);
		visitor_count(v, REFUSAL_PROTOCOL, "direct TLS without ALPN postgresql");
		visitor_linger(v);
	} else if (done) {
		v->state = VISITOR_STARTUP;
	}
}

static void begin_tls(struct visitor *v)
{
	SSL *ssl = SSL_new(v->site->client_tls);

	if (ssl == NULL || stream_secure(&v->s->stream, ssl) != ERR_OK) {
		SSL_free(ssl);
		visitor_drop(v, REFUSAL_NO_MEMORY, "out of memory");
		return;
	}
	SSL_set_accept_state(ssl);
	v->state = VISITOR_HANDSHAKE;
}

/* ---- readiness ---- */

/* Plaintext, or decrypted bytes, that the fill brought: gather them and look. */
static void take_packets(struct visitor *v)
{
	uint8_t *plain = v->gate->io->plain;
	struct stream *st = &v->s->stream;
	size_t got = stream_read(st, plain, IO_PLAIN_BYTES);

	if (buf_append(&v->early, plain, got) != ERR_OK) {
		visitor_drop(v, REFUSAL_NO_MEMORY, "out of memory");
		return;
	}
	packets(v);
	if (v->state == VISITOR_GONE || v->s == NULL)
		return;
	if (stream_failed(st)) {
		tls_refuse(v);
	} else if (st->eof && v->state != VISITOR_LINGER) {
		visitor_left(v);
	}
}

/* The first byte tells TLS (a handshake record) from PostgreSQL (the length of a packet). */
static bool is_direct_tls(const struct visitor *v)
{
	const struct io *io = v->gate->io;

	return v->state == VISITOR_FIRST && v->early.len == 0 && v->requests == 0 &&
	       io->in[0] == 0x16 && v->site->client_tls != NULL;
}

/* Whatever somebody says who was refused already, TLS or not, until it closes. */
static void drain(struct visitor *v)
{
	ssize_t got = recv(v->s->stream.fd, v->gate->io->plain, IO_PLAIN_BYTES, MSG_DONTWAIT);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		visitor_gone(v);
}

static void visitor_readable(void *arg)
{
	struct visitor *v = arg;
	enum stream_next next;

	if (v->state == VISITOR_LINGER)
		drain(v);
	if (v->state == VISITOR_GONE || v->state == VISITOR_LINGER)
		return;
	next = stream_fill(&v->s->stream);
	if (next == STREAM_EOF || next == STREAM_FAILED) {
		log_debug(LOG_GATE, 0, "left: peer=%s before it was let in", peer_quoted(v).s);
		visitor_left(v);
		return;
	}
	if (next == STREAM_NOTHING)
		return;
	if (is_direct_tls(v))
		begin_tls(v);
	if (v->state == VISITOR_HANDSHAKE)
		handshake(v);
	if (v->state == VISITOR_FIRST || v->state == VISITOR_STARTUP)
		take_packets(v);
}

static void visitor_drained(void *arg)
{
	(void)arg;
}

static void visitor_failed(void *arg)
{
	visitor_left(arg);
}

static const struct stream_ops visitor_ops = { visitor_readable, visitor_drained, visitor_failed };

/* ---- arrival and deadline ---- */

/* A flood of half-open connections ages; those who mean it are through in milliseconds. So when there
 * are too many, the oldest makes room. */
static void make_room(struct gate *g)
{
	if (g->visitor_count >= visitors_max(g))
		visitor_drop(TAILQ_FIRST(&g->visitors), REFUSAL_VISITORS,
		             "max_login_clients: the oldest gives way");
}

void visitor_accept(struct gate *g, int fd, const union peer_addr *peer, bool local)
{
	struct visitor *v = calloc(1, sizeof(*v));
	struct session *s = session_create(fd);

	if (v == NULL || s == NULL) {
		log_error(LOG_GATE, 0, "accept: out of memory");
		free(v);
		free(s);
		close(fd);
		return;
	}
	make_room(g);
	v->gate = g;
	v->s = s;
	v->site = site_hold(g->site);
	v->peer = *peer;
	v->local = local;
	s->born = loop_now(g->loop);
	move_to(v, &g->visitors);
	if (stream_start(&s->stream, g->io, &visitor_ops, v) != ERR_OK) {
		visitor_drop(v, REFUSAL_NO_MEMORY, "out of memory");
		return;
	}
	ebb_note(&g->ebb, (long)(g->visitor_count + g->lingering_count));
	timer_set_once(g->deadline, g->site->settings.client_login_timeout);
}

/* The next deadline of a list in which all have the same limit. */
static void plan(struct visitor_list *list, struct timer *timer, usec_t limit, usec_t now)
{
	struct visitor *v = TAILQ_FIRST(list);

	if (v != NULL)
		timer_set(timer, v->since + limit - now);
}

void visitor_deadline_due(void *arg)
{
	struct gate *g = arg;
	usec_t limit = g->site->settings.client_login_timeout, now = loop_now(g->loop);
	struct visitor *v;

	while ((v = TAILQ_FIRST(&g->visitors)) != NULL && now - v->since >= limit)
		visitor_drop(v, REFUSAL_TIMEOUT, "client_login_timeout");
	plan(&g->visitors, g->deadline, limit, now);
}

void visitor_linger_due(void *arg)
{
	struct gate *g = arg;
	usec_t now = loop_now(g->loop);
	struct visitor *v;

	while ((v = TAILQ_FIRST(&g->lingering)) != NULL && now - v->since >= VISITOR_LINGER_US)
		visitor_gone(v);
	plan(&g->lingering, g->linger, VISITOR_LINGER_US, now);
}
