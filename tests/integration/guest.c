#include "tests/integration/guest.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

/* ---- connections ---- */

struct guest guest_clear(const struct rig *rig)
{
	struct guest g = { .fd = rig_raw_connect(rig) };
	int on = 1;

	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to whoever has gone */
	setsockopt(g.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return g;
}

struct guest guest_unix(const struct rig *rig)
{
	return (struct guest){ .fd = rig_raw_connect_unix(rig) };
}

static struct guest connect_tls(const struct rig *rig, const struct rig_tls *how)
{
	struct guest g = { .ssl = rig_tls_connect(rig, how, NULL) };

	signal(SIGPIPE, SIG_IGN);
	cr_assert(g.ssl != NULL, "handshake with the certificate of %s", how->cert);
	g.fd = SSL_get_fd(g.ssl);
	return g;
}

struct guest guest_tls(const struct rig *rig, const char *cert)
{
	return connect_tls(rig, &(struct rig_tls){ .cert = cert });
}

struct guest guest_direct(const struct rig *rig, const char *cert)
{
	return connect_tls(rig, &(struct rig_tls){ .cert = cert, .direct = true, .alpn = "postgresql" });
}

bool guest_handshake(struct guest *g, const char *cert, const void *alpn, unsigned alpn_len)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct timeval patience = { .tv_sec = RIG_PATIENCE_MS / 1000 };
	struct rig_text prefix = rig_cert(cert);

	cr_assert(SSL_CTX_use_certificate_chain_file(ctx, rig_printf("%.3000s.crt", prefix.s).s) == 1);
	cr_assert(SSL_CTX_use_PrivateKey_file(ctx, rig_printf("%.3000s.key", prefix.s).s,
	                                      SSL_FILETYPE_PEM) == 1);
	if (alpn != NULL)
		SSL_CTX_set_alpn_protos(ctx, alpn, alpn_len);
	g->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	setsockopt(g->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	SSL_set_fd(g->ssl, g->fd);
	ERR_clear_error();
	if (SSL_connect(g->ssl) != 1)
		return false;
	BIO_socket_nbio(g->fd, 1);
	return true;
}

void guest_leave(struct guest *g)
{
	SSL_free(g->ssl);
	close(g->fd);
	*g = (struct guest){ .fd = -1 };
}

void guest_reset(struct guest *g)
{
	struct linger at_once = { .l_onoff = 1 };

	cr_assert(setsockopt(g->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
	guest_leave(g);
}

void guest_send(const struct guest *g, const void *at, size_t n)
{
	if (g->ssl != NULL)
		rig_tls_send(g->ssl, at, n);
	else
		rig_raw_send(g->fd, at, n);
}

size_t guest_recv(const struct guest *g, void *at, size_t n, int wait_ms)
{
	return g->ssl != NULL ? rig_tls_recv(g->ssl, at, n, wait_ms)
	                      : rig_raw_recv(g->fd, at, n, wait_ms);
}

bool guest_ended(const struct guest *g, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	char byte;

	if (g->ssl != NULL)
		return rig_tls_alert(g->ssl, wait_ms) == -1;
	/* no data, and not because the time is up */
	return rig_raw_recv(g->fd, &byte, 1, wait_ms) == 0 && rig_left_ms(deadline) > 0;
}

/* ---- what a guest says ---- */

void guest_request(const struct guest *g, uint32_t code)
{
	uint8_t packet[8];

	guest_send(g, packet, rig_packet(packet, sizeof(packet), code, NULL, 0));
}

void guest_startup(const struct guest *g, uint32_t version, const char *const *params)
{
	uint8_t packet[12000];

	guest_send(g, packet, rig_startup(packet, sizeof(packet), version, params));
}

void guest_login(const struct guest *g, const char *user, const char *database)
{
	guest_startup(g, GUEST_V3_0,
	              (const char *const[]){ "user", user, "database", database, NULL });
}

void guest_query(const struct guest *g, const char *sql)
{
	uint8_t message[8192];
	size_t n = strlen(sql) + 1;
	uint32_t size = htonl((uint32_t)n + 4);

	cr_assert(n + 5 <= sizeof(message));
	message[0] = 'Q';
	memcpy(message + 1, &size, sizeof(size));
	memcpy(message + 5, sql, n);
	guest_send(g, message, n + 5);
}

/* ---- what it hears ---- */

/* The next message; its type, 0 at the end. The body is cut at cap. */
static char read_message(const struct guest *g, uint8_t *body, size_t cap, size_t *n)
{
	uint8_t header[5], dropped;
	uint32_t size;

	if (guest_recv(g, header, sizeof(header), RIG_PATIENCE_MS) != sizeof(header))
		return 0;
	memcpy(&size, header + 1, sizeof(size));
	size = ntohl(size) - 4;
	*n = size < cap ? size : cap;
	if (guest_recv(g, body, *n, RIG_PATIENCE_MS) != *n)
		return 0;
	for (; size > cap; size--)
		if (guest_recv(g, &dropped, 1, RIG_PATIENCE_MS) != 1)
			return 0;
	return (char)header[0];
}

static uint32_t u32_at(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return ntohl(v);
}

/* The body ends in a NUL that read_message's callers see to. */
static void read_error(const uint8_t *body, struct guest_answer *out)
{
	size_t fields = 0;

	for (const char *p = (const char *)body; *p != '\0'; p += strlen(p) + 1) {
		if (*p == 'V')
			snprintf(out->severity, sizeof(out->severity), "%s", p + 1);
		else if (*p == 'C')
			snprintf(out->sqlstate, sizeof(out->sqlstate), "%s", p + 1);
		else if (*p == 'M')
			snprintf(out->message, sizeof(out->message), "%s", p + 1);
		if (fields < sizeof(out->fields) - 1)
			out->fields[fields++] = *p;
	}
}

static void read_negotiation(const uint8_t *body, size_t n, struct guest_answer *out)
{
	const char *name = (const char *)body + 8;
	uint32_t count;

	cr_assert(n >= 8, "NegotiateProtocolVersion of %zu bytes", n);
	out->negotiations++;
	out->newest = u32_at(body);
	out->unknown[0] = '\0';
	for (count = u32_at(body + 4); count > 0; count--) {
		size_t len = strlen(out->unknown);

		snprintf(out->unknown + len, sizeof(out->unknown) - len, "%s ", name);
		name += strlen(name) + 1;
	}
	cr_assert(name == (const char *)body + n, "NegotiateProtocolVersion has bytes left over");
}

void guest_answer(const struct guest *g, struct guest_answer *out)
{
	uint8_t body[8192];
	size_t n;
	char type;

	*out = (struct guest_answer){ 0 };
	while (!out->ready && out->sqlstate[0] == '\0' &&
	       (type = read_message(g, body, sizeof(body) - 2, &n)) != 0) {
		body[n] = body[n + 1] = '\0';
		if (type == 'v')
			read_negotiation(body, n, out);
		else if (type == 'K')
			out->secret_bytes = n - 4;
		else if (type == 'E')
			read_error(body, out);
		out->ready = type == 'Z';
	}
}

void guest_try(const struct rig *rig, const char *cert, const char *user, const char *database,
               struct guest_answer *out)
{
	struct guest g = guest_tls(rig, cert);

	guest_login(&g, user, database);
	guest_answer(&g, out);
	guest_leave(&g);
}

static struct rig_text row_text(const uint8_t *body, size_t n)
{
	uint32_t len = n >= 6 ? u32_at(body + 2) : 0;

	cr_assert(n >= 6 && len <= n - 6, "DataRow of %zu bytes", n);
	return rig_printf("%.*s", (int)len, (const char *)body + 6);
}

struct rig_text guest_row(const struct guest *g)
{
	uint8_t body[4000];
	size_t n;
	char type;

	while ((type = read_message(g, body, sizeof(body), &n)) != 0 && type != 'Z')
		if (type == 'D')
			return row_text(body, n);
	return rig_printf("%s", "");
}

struct rig_text guest_result(const struct guest *g)
{
	struct rig_text text = { "" };
	uint8_t body[4000];
	size_t n;
	char type;

	while ((type = read_message(g, body, sizeof(body), &n)) != 0) {
		if (type == 'D' && text.s[0] == '\0')
			text = row_text(body, n);
		if (type == 'Z')
			return text;
	}
	return rig_printf("%s", "(end)");
}

/* ---- certificates ---- */

struct rig_text guest_cert(const struct rig *rig, const char *name, struct pki_cert *cert)
{
	struct rig_text prefix = rig_printf("%s/%s", rig_dir(rig), name);

	pki_write_cert(rig_printf("%.3000s.crt", prefix.s).s, cert);
	pki_write_key(rig_printf("%.3000s.key", prefix.s).s, cert, 0600);
	pki_free(cert);
	return prefix;
}

static FILE *open_pki(const char *name)
{
	struct rig_text path = rig_printf("%s/%s", rig_pki(), name);
	FILE *f = fopen(path.s, "r");

	cr_assert(f != NULL, "%s", path.s);
	return f;
}

struct pki_cert *guest_ca(void)
{
	struct pki_cert *ca = calloc(1, sizeof(*ca));
	FILE *cert = open_pki("ca.crt"), *key = open_pki("ca.key");

	cr_assert(ca != NULL);
	ca->x509 = PEM_read_X509(cert, NULL, NULL, NULL);
	ca->key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
	cr_assert(ca->x509 != NULL && ca->key != NULL);
	fclose(cert);
	fclose(key);
	return ca;
}

struct rig_text guest_odd(const struct rig *rig, const char *name, struct pki_options options)
{
	struct pki_cert *ca = options.issuer == NULL ? guest_ca() : NULL;
	struct rig_text prefix;

	if (ca != NULL)
		options.issuer = ca;
	if (options.eku == NULL)
		options.eku = "clientAuth";
	prefix = guest_cert(rig, name, pki_make(&options));
	pki_free(ca);
	return prefix;
}

/* ---- descriptors ---- */

int guest_descriptors(const struct rig *rig)
{
	DIR *dir = opendir(rig_printf("/proc/%d/fd", (int)rig_pid(rig)).s);
	struct dirent *entry;
	int count = 0;

	cr_assert(dir != NULL);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

bool guest_wait_descriptors(const struct rig *rig, int most, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;

	while (guest_descriptors(rig) > most) {
		if (rig_left_ms(deadline) == 0)
			return false;
		rig_nap();
	}
	return true;
}
