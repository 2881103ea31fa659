#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>

#include "pgseal/wire/startup.h"
#include "pgseal/wire/writer.h"

#define EVENTS_MAX 256
#define READ_BYTES 65536

static uint8_t incoming[READ_BYTES];

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* ---- the hub ---- */

static SSL_CTX *tls_context(const char *pki, const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char ca[512], cert[512], key[512];

	snprintf(ca, sizeof(ca), "%s/ca.crt", pki);
	snprintf(cert, sizeof(cert), "%s/%s.crt", pki, name);
	snprintf(key, sizeof(key), "%s/%s.key", pki, name);
	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1 ||
	    SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die("no TLS with %s and %s", ca, cert);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	                              SSL_MODE_RELEASE_BUFFERS);
	/* one system call per record, not two */
	SSL_CTX_set_read_ahead(ctx, 1);
	return ctx;
}

static void compose_startup(struct buf *to, const char *user, const char *database)
{
	const char *const pairs[] = { "user", user, "database", database };
	struct writer w = writer_to(to);
	size_t i;

	writer_begin(&w, 0);
	writer_u32(&w, WIRE_PROTOCOL_3_0);
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		writer_str(&w, pairs[i]);
	writer_u8(&w, 0);
	writer_end(&w);
	if (writer_status(&w) != ERR_OK)
		die("out of memory");
}

void hub_init(struct hub *h, const char *pki, const char *name, int port, const char *user,
              const char *database)
{
	char first[64];

	memset(h, 0, sizeof(*h));
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(name, ","), name);
	h->tls[0] = tls_context(pki, first);
	h->tls[1] = strchr(name, ',') != NULL ? tls_context(pki, strchr(name, ',') + 1) : NULL;
	h->addr.sin_family = AF_INET;
	h->addr.sin_port = htons((uint16_t)port);
	h->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	compose_startup(&h->startup, user, database);
	if ((h->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("epoll: %s", strerror(errno));
}

void hub_fini(struct hub *h)
{
	close(h->epoll);
	SSL_CTX_free(h->tls[0]);
	SSL_CTX_free(h->tls[1]);
	buf_free(&h->startup);
}

/* ---- the end of a connection ---- */

void conn_close(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	c->state = CONN_CLOSED;
	SSL_free(c->ssl);
	c->ssl = NULL;
	close(c->fd);
}

static void conn_lose(struct conn *c, const char *why)
{
	conn_close(c);
	c->hub->lost(c, why);
}

void conn_quit(struct conn *c)
{
	static const uint8_t terminate[] = { 'X', 0, 0, 0, 4 };

	SSL_write(c->ssl, terminate, sizeof(terminate));
	SSL_shutdown(c->ssl);
	conn_close(c);
}

void conn_deafen(struct conn *c)
{
	epoll_ctl(c->hub->epoll, EPOLL_CTL_DEL, c->fd, NULL);
}

/* ---- writing ---- */

static void conn_interest(struct conn *c, bool write)
{
	struct epoll_event ev = { .events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c };

	if (c->wants_write == write)
		return;
	c->wants_write = write;
	epoll_ctl(c->hub->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

/* The next bytes of a COPY, if there is one. */
static void conn_refill(struct conn *c)
{
	static const uint8_t copy_done[] = { 'c', 0, 0, 0, 4 };

	if (!c->flowing)
		return;
	if (c->chunks_left > 0) {
		c->chunks_left--;
		c->out = c->flow->chunk;
	} else {
		c->flowing = false;
		c->out = (struct bytes){ copy_done, sizeof(copy_done) };
	}
}

static void conn_flush(struct conn *c)
{
	size_t done;
	int rc;

	while (c->out.len > 0) {
		ERR_clear_error();
		rc = SSL_write_ex(c->ssl, c->out.at, c->out.len, &done);
		if (rc != 1 && SSL_get_error(c->ssl, rc) == SSL_ERROR_WANT_WRITE) {
			conn_interest(c, true);
			return;
		}
		if (rc != 1) {
			conn_lose(c, "write failed");
			return;
		}
		c->out.at += done;
		c->out.len -= done;
		if (c->out.len == 0)
			conn_refill(c);
	}
	conn_interest(c, false);
}

void conn_send(struct conn *c, struct bytes out, unsigned answers, const struct flow *flow)
{
	c->out = out;
	c->owed = answers;
	c->flow = flow;
	conn_flush(c);
}

/* ---- messages that come ---- */

static void note_refusal(struct conn *c)
{
	struct hub *h = c->hub;
	size_t n = c->size < sizeof(c->body) ? c->size : sizeof(c->body), i;

	if (h->refusals++ > 0)
		return;
	for (i = 0; i < n; i++)
		h->words[i] = c->body[i] >= ' ' && c->body[i] < 127 ? (char)c->body[i] : ' ';
}

/* A message has come as a whole; its first bytes are in body. */
static void conn_message(struct conn *c)
{
	switch (c->head[0]) {
	case 'Z':
		if (c->owed > 0 && --c->owed == 0) {
			c->logged_in = true;
			c->hub->ready(c);
		}
		break;
	case 'E':
		note_refusal(c);
		break;
	case 'K':
		memcpy(c->key, c->body, sizeof(c->key));
		break;
	case 'G':
		if (c->flow != NULL) {
			c->chunks_left = c->flow->times;
			c->flowing = true;
			conn_refill(c);
			conn_flush(c);
		}
		break;
	default:
		break;
	}
}

/* Returns how many of the bytes belong to the header. */
static size_t conn_head(struct conn *c, const uint8_t *at, size_t n)
{
	size_t missing = sizeof(c->head) - c->head_len;
	uint32_t len;

	if (n > missing)
		n = missing;
	memcpy(c->head + c->head_len, at, n);
	c->head_len = (uint8_t)(c->head_len + n);
	if (c->head_len < sizeof(c->head))
		return n;
	memcpy(&len, c->head + 1, sizeof(len));
	c->size = ntohl(len) - 4;
	c->passed = 0;
	return n;
}

static void conn_feed(struct conn *c, const uint8_t *at, size_t n)
{
	size_t step;

	c->hub->bytes += n;
	while (c->state == CONN_OPEN && (n > 0 || c->head_len == sizeof(c->head))) {
		if (c->head_len < sizeof(c->head)) {
			step = conn_head(c, at, n);
		} else {
			step = c->size - c->passed < n ? c->size - c->passed : n;
			if (c->passed < sizeof(c->body))
				memcpy(c->body + c->passed, at,
				       step < sizeof(c->body) - c->passed
				               ? step
				               : sizeof(c->body) - c->passed);
			c->passed += (uint32_t)step;
			if (c->passed < c->size)
				return;
			c->head_len = 0;
			conn_message(c);
		}
		at += step;
		n -= step;
	}
}

static void conn_read(struct conn *c)
{
	SSL *ssl = c->ssl;
	size_t got;
	int rc;

	do {
		ERR_clear_error();
		rc = SSL_read_ex(ssl, incoming, sizeof(incoming), &got);
		if (rc == 1) {
			conn_feed(c, incoming, got);
		} else if (SSL_get_error(ssl, rc) != SSL_ERROR_WANT_READ) {
			conn_lose(c, "closed by the other side");
			return;
		}
		/* whoever closes it in between makes a new SSL, or none */
	} while (rc == 1 && c->state == CONN_OPEN && c->ssl == ssl && SSL_has_pending(ssl));
}

/* ---- logging in ---- */

static void conn_log_in(struct conn *c)
{
	c->state = CONN_OPEN;
	conn_send(c, (struct bytes){ c->hub->startup.at, c->hub->startup.len }, 1, NULL);
}

static void conn_handshake(struct conn *c)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(c->ssl);
	if (rc == 1)
		conn_log_in(c);
	else if (SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ)
		conn_lose(c, "handshake failed");
	else if (c->hub->half_open)
		c->state = CONN_HALTED;
}

static SSL_CTX *tls_of(const struct conn *c)
{
	SSL_CTX *second = c->hub->tls[1];

	return second != NULL && c->index % 2 == 1 ? second : c->hub->tls[0];
}

static void conn_asked(struct conn *c)
{
	char answer;

	if (recv(c->fd, &answer, 1, 0) != 1 || answer != 'S') {
		conn_lose(c, "no TLS there");
		return;
	}
	c->ssl = SSL_new(tls_of(c));
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
	    SSL_set1_host(c->ssl, "localhost") != 1)
		die("out of memory");
	SSL_set_connect_state(c->ssl);
	c->state = CONN_HANDSHAKE;
	conn_handshake(c);
}

static void conn_connected(struct conn *c)
{
	static const uint8_t ssl_request[] = { 0, 0, 0, 8, 4, 210, 22, 47 };

	conn_interest(c, false);
	c->state = CONN_ASKING;
	if (send(c->fd, ssl_request, sizeof(ssl_request), MSG_NOSIGNAL) != sizeof(ssl_request))
		conn_lose(c, "refused");
}

void conn_open(struct conn *c, struct hub *h)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
	int on = 1;

	c->hub = h;
	c->owed = 0;
	c->out = (struct bytes){ 0 };
	c->flow = NULL;
	c->flowing = c->logged_in = false;
	c->head_len = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->state = CONN_CONNECTING;
	c->wants_write = true;
	if ((connect(c->fd, (struct sockaddr *)&h->addr, sizeof(h->addr)) != 0 &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(h->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
		conn_lose(c, strerror(errno));
}

/* ---- readiness ---- */

static void conn_go_on(struct conn *c, uint32_t events)
{
	switch (c->state) {
	case CONN_CLOSED:
		break;
	case CONN_CONNECTING:
		conn_connected(c);
		break;
	case CONN_ASKING:
		conn_asked(c);
		break;
	case CONN_HANDSHAKE:
		conn_handshake(c);
		break;
	case CONN_HALTED:
		conn_deafen(c);
		c->hub->ready(c);
		break;
	case CONN_OPEN:
		if ((events & EPOLLOUT) != 0)
			conn_flush(c);
		if (c->state == CONN_OPEN && (events & ~(uint32_t)EPOLLOUT) != 0)
			conn_read(c);
		break;
	}
}

void hub_turn(struct hub *h, int64_t timeout_ns)
{
	struct epoll_event events[EVENTS_MAX];
	int i, n, ms = (int)((timeout_ns + 999999) / 1000000);

	n = epoll_wait(h->epoll, events, EVENTS_MAX, ms < 0 ? 0 : ms);
	for (i = 0; i < n; i++)
		conn_go_on(events[i].data.ptr, events[i].events);
}
