/* Servers that are not what they should be when pgseal logs in: what their clients are told, and that
 * nothing is said to a server that has not shown who it is. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"
#include "tests/integration/impostor.h"
#include "tests/integration/rig_priv.h"

#define SERVERS_MAX 32

/* libpq does not tell what it is about a certificate that does not verify. */
TestSuite(fault_login, .timeout = 120);

/* One impostor each, all at the same time. */
struct oddity {
	const char *what;
	const char *cert;  /* in the directory of the test's own certificates; NULL: the good one */
	const char *clear; /* said to the SSLRequest, instead of 'S' */
	size_t clear_n;
	bool tls;           /* behind it TLS begins all the same */
	const char *inside; /* said to the StartupMessage */
	size_t inside_n;
	const char *sqlstate, *words; /* what the client is told */
};
#define CLEAR(bytes) .clear = bytes, .clear_n = sizeof(bytes) - 1
#define INSIDE(bytes) .inside = bytes, .inside_n = sizeof(bytes) - 1

static struct impostor impostors[SERVERS_MAX];
static _Atomic size_t heard[SERVERS_MAX]; /* bytes that the impostor got behind its oddity */
static size_t cuts[SERVERS_MAX];
static struct script welcome;
static struct rig *rig;

/* --- the impostors: in their threads no assertion may be made --- */

static void say_in_the_clear(size_t index, int fd, SSL *ssl, const struct oddity *odd)
{
	char rest[1000];
	ssize_t n;

	if (!impostor_asked_for_tls(fd) ||
	    send(fd, odd->clear, odd->clear_n, MSG_NOSIGNAL) != (ssize_t)odd->clear_n)
		return;
	if (odd->tls) {
		SSL_set_fd(ssl, fd);
		(void)SSL_accept(ssl);
	}
	while ((n = recv(fd, rest, sizeof(rest), 0)) > 0)
		heard[index] += (size_t)n;
}

static void say_inside(size_t index, SSL *ssl, const struct oddity *odd)
{
	char body[4096], rest[1000];
	size_t sent, n;

	if (impostor_hear(ssl, true, body, sizeof(body)) == 0)
		return;
	SSL_write_ex(ssl, odd->inside, odd->inside_n, &sent);
	while (SSL_read_ex(ssl, rest, sizeof(rest), &n) == 1)
		heard[index] += n;
}

static void be_odd(struct impostor *im, int fd)
{
	const struct oddity *odd = im->arg;
	size_t index = (size_t)(im - impostors);
	SSL *ssl = odd->clear != NULL ? SSL_new(im->ctx) : impostor_secure(im, fd);

	if (odd->clear != NULL)
		say_in_the_clear(index, fd, ssl, odd);
	else if (ssl != NULL && odd->inside != NULL)
		say_inside(index, ssl, odd);
	SSL_free(ssl);
}

/* --- the tests --- */

/* One entry per impostor. */
static struct rig_text entries(size_t count, const char *keys)
{
	struct rig_text text = { "" };
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text.s + len, sizeof(text.s) - len,
		                        "d%zu = host=127.0.0.1 port=%d pool_size=1 %s\n", i,
		                        impostors[i].port, keys);
	return text;
}

/* Connect to all of them at once, to the end of each. */
static void connect_all(PGconn **conns, size_t count)
{
	PostgresPollingStatusType status[SERVERS_MAX];
	size_t left = count;

	for (size_t i = 0; i < count; i++) {
		conns[i] = PQconnectStart(
			rig_conninfo(rig, "alice", rig_printf("dbname=d%zu", i).s).s);
		PQsetErrorVerbosity(conns[i], PQERRORS_VERBOSE);
		status[i] = PGRES_POLLING_WRITING;
	}
	for (int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS; left > 0;) {
		cr_assert(rig_left_ms(deadline) > 0, "%zu clients are left", left);
		for (size_t i = 0; i < count; i++) {
			bool reads = status[i] == PGRES_POLLING_READING;
			struct pollfd p = { PQsocket(conns[i]), reads ? POLLIN : POLLOUT, 0 };

			if (status[i] == PGRES_POLLING_OK || status[i] == PGRES_POLLING_FAILED ||
			    poll(&p, 1, 1) != 1)
				continue;
			status[i] = PQconnectPoll(conns[i]);
			left -= status[i] == PGRES_POLLING_OK || status[i] == PGRES_POLLING_FAILED;
		}
	}
}

static struct rig_text own_cert(const char *name)
{
	return rig_printf("%s/%s", rig_pki(), name);
}

/* Certificates for 127.0.0.1 that are not good. */
static void make_certs(void)
{
	static const char ip[] = { 127, 0, 0, 1 };
	struct pki_cert *ca = guest_ca(), *other = pki_ca("Another CA", NULL);
	const struct {
		const char *name;
		struct pki_options how;
	} certs[] = {
		{ "expired", { .issuer = ca, .from_s = -7200, .until_s = -3600 } },
		{ "early", { .issuer = ca, .from_s = 3600, .until_s = 7200 } },
		{ "stranger", { .issuer = other } },
		{ "selfmade", { .issuer = NULL } },
		{ "clientonly", { .issuer = ca, .eku = "clientAuth" } },
	};
	struct pki_cert *named = pki_server(ca, "elsewhere.example");

	for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++) {
		struct pki_options how = certs[i].how;
		struct pki_cert *cert;

		how.cn = "127.0.0.1";
		how.sans[0] = (struct pki_san){ PKI_SAN_IP, ip, sizeof(ip) };
		cert = pki_make(&how);
		pki_write_cert(rig_printf("%s/%s.crt", rig_pki(), certs[i].name).s, cert);
		pki_write_key(rig_printf("%s/%s.key", rig_pki(), certs[i].name).s, cert, 0600);
		pki_free(cert);
	}
	pki_write_cert(rig_printf("%s/misnamed.crt", rig_pki()).s, named);
	pki_write_key(rig_printf("%s/misnamed.key", rig_pki()).s, named, 0600);
	pki_free(named);
	pki_free(other);
	pki_free(ca);
}

static const struct oddity oddities[] = {
	{ .what = "wants a password in the clear",
	  INSIDE("R\0\0\0\10\0\0\0\3"),
	  .sqlstate = "08006",
	  .words = "no password supplied" },
	{ .what = "wants MD5",
	  INSIDE("R\0\0\0\14\0\0\0\5salt"),
	  .sqlstate = "08006",
	  .words = "no password supplied" },
	{ .what = "wants SCRAM",
	  INSIDE("R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0\0"),
	  .sqlstate = "08006",
	  .words = "no password supplied" },
	{ .what = "wants what there is not",
	  INSIDE("R\0\0\0\10\0\0\0\143"),
	  .sqlstate = "08006",
	  .words = "authentication method 99 not supported" },
	{ .what = "talks nonsense inside",
	  INSIDE("HTTP/1.1 400 Bad Request\r\n\r\n"),
	  .sqlstate = "08006",
	  .words = "expected authentication request" },
	{ .what = "speaks of an error that is not whole",
	  INSIDE("E\0\0\1\0SFATAL\0"),
	  .sqlstate = "08006",
	  .words = "" },
	{ .what = "has no room",
	  INSIDE("E\0\0\0\40SFATAL\0C53300\0Mno room here\0\0"),
	  .sqlstate = "53300",
	  .words = "no room here" },
	{ .what = "has no TLS",
	  CLEAR("N"),
	  .sqlstate = "08006",
	  .words = "server does not support SSL, but SSL was required" },
	{ .what = "errs before TLS",
	  CLEAR("E\0\0\0\37SFATAL\0C28000\0MSMUGGLED!!\0\0"),
	  .sqlstate = "08006",
	  .words = "error response during SSL exchange" },
	{ .what = "is no PostgreSQL",
	  CLEAR("x"),
	  .sqlstate = "08006",
	  .words = "received invalid response to SSL negotiation" },
	{ .what = "says more than S",
	  CLEAR("SR\0\0\0\10\0\0\0\0"),
	  .tls = true,
	  .sqlstate = "08006",
	  .words = "received unencrypted data after SSL response" },
	{ .what = "says S and then no TLS", CLEAR("S"), .sqlstate = "08006", .words = "timeout" },
	{ .what = "hangs up", CLEAR(""), .sqlstate = "08006", .words = "" },
	{ .what = "is out of date",
	  .cert = "expired",
	  .sqlstate = "08006",
	  .words = "certificate verify failed" },
	{ .what = "is not valid yet",
	  .cert = "early",
	  .sqlstate = "08006",
	  .words = "certificate verify failed" },
	{ .what = "is of another authority",
	  .cert = "stranger",
	  .sqlstate = "08006",
	  .words = "certificate verify failed" },
	{ .what = "vouches for itself",
	  .cert = "selfmade",
	  .sqlstate = "08006",
	  .words = "certificate verify failed" },
	{ .what = "is a client",
	  .cert = "clientonly",
	  .sqlstate = "08006",
	  .words = "certificate verify failed" },
	{ .what = "is somebody else",
	  .cert = "misnamed",
	  .sqlstate = "08006",
	  .words = "does not match host name \"127.0.0.1\"" },
};
#define ODDITIES (sizeof(oddities) / sizeof(oddities[0]))

/* The entry's own password would be for the verified server alone; here there is none. */
Test(fault_login, of_odd_servers_is_told_by_its_cause)
{
	PGconn *conns[SERVERS_MAX];

	rig_require();
	make_certs();
	for (size_t i = 0; i < ODDITIES; i++)
		impostor_start(&impostors[i],
		               oddities[i].cert != NULL ? own_cert(oddities[i].cert).s : NULL,
		               be_odd, &oddities[i]);
	rig = rig_start("workers = 2\nquery_wait_timeout = 8s\nserver_connect_timeout = 3s\n",
	                entries(ODDITIES, "").s, NULL);
	connect_all(conns, ODDITIES);
	for (size_t i = 0; i < ODDITIES; i++) {
		const struct oddity *odd = &oddities[i];
		const char *told = PQerrorMessage(conns[i]);

		cr_expect_eq(PQstatus(conns[i]), CONNECTION_BAD, "%s", odd->what);
		cr_expect(strstr(told, odd->sqlstate) != NULL && strstr(told, odd->words) != NULL,
		          "%s: %s", odd->what, told);
		cr_expect(strstr(told, "SMUGGLED") == NULL, "%s: %s", odd->what, told);
		cr_expect_gt(impostors[i].connections, 1, "%s: no second login", odd->what);
		PQfinish(conns[i]);
	}
	rig_stop(rig);
	for (size_t i = 0; i < ODDITIES; i++) {
		impostor_stop(&impostors[i]);
		/* behind S comes the ClientHello, and nothing in the clear behind anything else */
		if (oddities[i].clear != NULL && oddities[i].clear[0] != 'S')
			cr_expect_eq(heard[i], 0, "%s: was told %zu bytes", oddities[i].what,
			             heard[i]);
	}
}

/* Cut the first welcome, give the second whole, then answer one query. */
static void cut_once(struct impostor *im, int fd)
{
	size_t *cut = &cuts[im - impostors], len = *cut, sent;
	struct script *say = calloc(1, sizeof(*say));
	SSL *ssl = impostor_secure(im, fd);
	char body[4096];

	*cut = welcome.len;
	if (ssl != NULL && impostor_hear(ssl, true, body, sizeof(body)) != 0) {
		if (len > 0)
			SSL_write_ex(ssl, welcome.at, len, &sent);
		while (len == welcome.len && impostor_hear(ssl, false, body, sizeof(body)) == 'Q') {
			script_text(say, 'C', "SELECT 0");
			script_put(say, 'Z', "I", 1);
			impostor_tell(ssl, say);
		}
	}
	SSL_free(ssl);
	free(say);
}

/* The login is tried again, and nobody is told anything. */
Test(fault_login, may_end_at_any_byte)
{
	const size_t count = 16;
	PGconn *conns[SERVERS_MAX];

	rig_require();
	impostor_put_welcome(&welcome);
	for (size_t i = 0; i < count; i++) {
		cuts[i] = welcome.len;
		impostor_start(&impostors[i], NULL, cut_once, NULL);
	}
	rig = rig_start("workers = 2\nserver_lifetime = 0\n", entries(count, "").s, NULL);
	connect_all(conns, count);
	for (size_t base = 0; base < welcome.len; base += count) {
		size_t n = welcome.len - base < count ? welcome.len - base : count;

		for (size_t i = 0; i < n; i++) {
			rig_exec(conns[i], "SELECT 1"); /* uses the server up */
			cuts[i] = base + i;
			cr_assert(PQsendQuery(conns[i], "SELECT 1"));
		}
		for (size_t i = 0; i < n; i++)
			cr_assert_str_eq(rig_outcome(conns[i]).s, "", "%zu bytes", base + i);
	}
	cr_assert_geq(rig_log_count(rig, "login failed: "), (int)welcome.len);
	for (size_t i = 0; i < count; i++)
		PQfinish(conns[i]);
	rig_stop(rig);
	for (size_t i = 0; i < count; i++)
		impostor_stop(&impostors[i]);
}
