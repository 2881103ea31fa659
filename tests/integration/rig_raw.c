/* Raw clients of the rig: bytes over TCP, Unix sockets and OpenSSL. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <openssl/err.h>

#include "tests/integration/rig_priv.h"

static int connect_to(int family, const struct sockaddr *at, socklen_t len)
{
	int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0 && connect(fd, at, len) == 0, "connect: %s", strerror(errno));
	/* like libpq: two small packets in a row must not wait for an acknowledgement */
	if (family == AF_INET)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

int rig_raw_connect(const struct rig *rig)
{
	int port = rig != NULL ? rig_port(rig) : rig_postgres_port();
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return connect_to(AF_INET, (const struct sockaddr *)&at, sizeof(at));
}

int rig_raw_connect_unix(const struct rig *rig)
{
	struct rig_text path = rig_printf("%s/.s.PGSQL.%d", rig_dir(rig), rig_port(rig));
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	cr_assert(strlen(path.s) < sizeof(at.sun_path));
	memcpy(at.sun_path, path.s, strlen(path.s));
	return connect_to(AF_UNIX, (const struct sockaddr *)&at, sizeof(at));
}

void rig_raw_send(int fd, const void *at, size_t n)
{
	const char *from = at;

	while (n > 0) {
		ssize_t sent = send(fd, from, n, MSG_NOSIGNAL);

		cr_assert(sent > 0, "send: %s", strerror(errno));
		from += sent;
		n -= (size_t)sent;
	}
}

static bool wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, rig_left_ms(deadline)) > 0;
}

size_t rig_raw_recv(int fd, void *at, size_t n, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	char *to = at;
	size_t got = 0;

	while (got < n && wait_for(fd, POLLIN, deadline)) {
		ssize_t more = recv(fd, to + got, n - got, 0);

		if (more <= 0)
			break;
		got += (size_t)more;
	}
	return got;
}

bool rig_raw_closed(int fd, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	char dropped[4096];

	while (wait_for(fd, POLLIN, deadline))
		if (recv(fd, dropped, sizeof(dropped), 0) <= 0)
			return true;
	return false;
}

/* --- packets --- */

static void put_u32(uint8_t *out, size_t v)
{
	uint32_t be = htonl((uint32_t)v);

	memcpy(out, &be, sizeof(be));
}

size_t rig_packet(uint8_t *out, size_t cap, uint32_t code, const void *body, size_t n)
{
	cr_assert(cap >= 8 && n <= cap - 8);
	put_u32(out, n + 8);
	put_u32(out + 4, code);
	if (n > 0)
		memcpy(out + 8, body, n);
	return n + 8;
}

size_t rig_startup(uint8_t *out, size_t cap, uint32_t version, const char *const *params)
{
	size_t n = 8;

	for (size_t i = 0; params[i] != NULL; i++) {
		size_t len = strlen(params[i]) + 1;

		cr_assert(n + len < cap);
		memcpy(out + n, params[i], len);
		n += len;
	}
	out[n++] = 0;
	put_u32(out, n);
	put_u32(out + 4, version);
	return n;
}

/* --- TLS --- */

static void load_certificate(SSL_CTX *ctx, const struct rig_tls *how)
{
	struct rig_text prefix;

	if (how->cert == NULL)
		return;
	prefix = how->cert[0] == '/' ? rig_printf("%s", how->cert) : rig_cert(how->cert);
	cr_assert(SSL_CTX_use_certificate_chain_file(
	                  ctx, how->chain != NULL ? how->chain : rig_printf("%.3000s.crt", prefix.s).s),
	          "certificate %s", prefix.s);
	cr_assert(SSL_CTX_use_PrivateKey_file(ctx, rig_printf("%.3000s.key", prefix.s).s,
	                                      SSL_FILETYPE_PEM), "key of %s", prefix.s);
}

static SSL_CTX *client_context(const struct rig_tls *how)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	unsigned char alpn[256];

	cr_assert(ctx != NULL);
	cr_assert(SSL_CTX_load_verify_file(ctx, rig_printf("%s/ca.crt", rig_pki()).s));
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	load_certificate(ctx, how);
	if (how->version != 0) {
		SSL_CTX_set_min_proto_version(ctx, how->version);
		SSL_CTX_set_max_proto_version(ctx, how->version);
	}
	if (how->alpn != NULL) {
		size_t n = strlen(how->alpn);

		cr_assert(n > 0 && n < sizeof(alpn));
		alpn[0] = (unsigned char)n;
		memcpy(alpn + 1, how->alpn, n);
		SSL_CTX_set_alpn_protos(ctx, alpn, (unsigned)n + 1);
	}
	return ctx;
}

/* OpenSSL reports a received alert as reason 1000 + its number. */
static int alert_of(unsigned long code)
{
	int reason = ERR_GET_REASON(code);

	return reason >= SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : 0;
}

/* False: the connection ended instead of an answer. */
static bool ask_for_tls(int fd)
{
	uint8_t request[8];
	char answer = 0;

	rig_raw_send(fd, request, rig_packet(request, sizeof(request), RIG_SSL_REQUEST, NULL, 0));
	if (rig_raw_recv(fd, &answer, 1, RIG_PATIENCE_MS) == 0)
		return false;
	cr_assert_eq(answer, 'S', "SSLRequest answered %d", answer);
	return true;
}

/* The rest of this client is non-blocking, so that every wait has its deadline. */
static bool wait_ssl(SSL *ssl, int result, int64_t deadline)
{
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return wait_for(SSL_get_fd(ssl), POLLIN, deadline);
	case SSL_ERROR_WANT_WRITE:
		return wait_for(SSL_get_fd(ssl), POLLOUT, deadline);
	default:
		return false;
	}
}

SSL *rig_tls_connect(const struct rig *rig, const struct rig_tls *how, int *alert)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;
	SSL_CTX *ctx = client_context(how);
	SSL *ssl = SSL_new(ctx);
	int rc, fd = rig_raw_connect(rig);

	SSL_CTX_free(ctx); /* the SSL holds it */
	SSL_set_fd(ssl, fd);
	if (alert != NULL)
		*alert = 0;
	if (!how->direct && !ask_for_tls(fd)) {
		rig_tls_free(ssl);
		return NULL;
	}
	BIO_socket_nbio(fd, 1);
	do {
		ERR_clear_error();
		rc = SSL_connect(ssl);
	} while (rc != 1 && wait_ssl(ssl, rc, deadline));
	if (rc == 1)
		return ssl;
	if (alert != NULL)
		*alert = alert_of(ERR_peek_last_error());
	rig_tls_free(ssl);
	return NULL;
}

void rig_tls_free(SSL *ssl)
{
	if (ssl == NULL)
		return;
	close(SSL_get_fd(ssl));
	SSL_free(ssl);
}

int rig_tls_alert(SSL *ssl, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	char byte;
	int rc, why;

	do {
		ERR_clear_error();
		rc = SSL_peek(ssl, &byte, 1);
		if (rc > 0)
			return 0;
		why = SSL_get_error(ssl, rc);
	} while (wait_ssl(ssl, rc, deadline));
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return -2;
	return why == SSL_ERROR_SSL && alert_of(ERR_peek_last_error()) > 0
	               ? alert_of(ERR_peek_last_error())
	               : -1;
}

void rig_tls_send(SSL *ssl, const void *at, size_t n)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;
	size_t sent;
	int rc;

	SSL_set_mode(ssl, SSL_MODE_AUTO_RETRY);
	while (n > 0) {
		ERR_clear_error();
		rc = SSL_write_ex(ssl, at, n, &sent);
		if (rc == 1)
			return; /* without partial writes one success is all of it */
		cr_assert(wait_ssl(ssl, rc, deadline), "TLS write");
	}
}

size_t rig_tls_recv(SSL *ssl, void *at, size_t n, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	char *to = at;
	size_t got = 0, more;
	int rc;

	while (got < n) {
		ERR_clear_error();
		rc = SSL_read_ex(ssl, to + got, n - got, &more);
		if (rc == 1)
			got += more;
		else if (!wait_ssl(ssl, rc, deadline))
			break;
	}
	return got;
}

char rig_tls_message(SSL *ssl, uint8_t *body, size_t cap, size_t *n, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	uint8_t header[5], dropped;
	uint32_t size;

	if (rig_tls_recv(ssl, header, sizeof(header), wait_ms) != sizeof(header))
		return 0;
	memcpy(&size, header + 1, sizeof(size));
	size = ntohl(size);
	cr_assert(size >= 4, "message length %u", size);
	*n = size - 4;
	if (rig_tls_recv(ssl, body, *n < cap ? *n : cap, rig_left_ms(deadline)) != (*n < cap ? *n : cap))
		return 0;
	for (size_t left = *n; left > cap; left--)
		if (rig_tls_recv(ssl, &dropped, 1, rig_left_ms(deadline)) != 1)
			return 0;
	return (char)header[0];
}
