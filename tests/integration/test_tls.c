/* TLS with clients: direct, ALPN, versions, and every way in which a connection may end. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <criterion/criterion.h>
#include <openssl/err.h>

#include "tests/integration/guest.h"

#define SLEEPERS \
	"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(3%'"

static struct rig *rig;

static void start(void)
{
	rig = rig_start("default_pool_size = 2\nclient_tls_protocols = secure\n", NULL, NULL);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(tls, .init = start, .fini = stop, .timeout = 60);

static void assert_serves(void)
{
	PGconn *conn = rig_connect(rig, NULL);

	cr_assert_str_eq(rig_query(conn, "SELECT 6 * 7").s, "42");
	PQfinish(conn);
}

/* In a session as alice. */
static struct guest session(void)
{
	struct guest g = guest_tls(rig, "alice");
	struct guest_answer answer;

	guest_login(&g, "alice", "app");
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	return g;
}

/* ---- direct TLS and ALPN ---- */

Test(tls, direct_tls_with_alpn_leads_to_a_session)
{
	struct guest g = guest_direct(rig, "alice");
	struct guest_answer answer;

	guest_login(&g, "alice", "app");
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_query(&g, "SELECT current_user");
	cr_assert_str_eq(guest_result(&g).s, "alice");
	guest_leave(&g);
}

Test(tls, direct_tls_without_alpn_is_closed_unanswered)
{
	struct guest g = { .ssl = rig_tls_connect(rig, &(struct rig_tls){ .cert = "alice", .direct = true },
		                                  NULL) };

	cr_assert(g.ssl != NULL);
	g.fd = SSL_get_fd(g.ssl);
	guest_login(&g, "alice", "app");
	cr_assert(guest_ended(&g, RIG_PATIENCE_MS));
	guest_leave(&g);
	cr_assert(rig_wait_log(rig, "dropped: .*direct TLS without ALPN", RIG_PATIENCE_MS));
	cr_assert_not(rig_log_contains(rig, "login:"));
}

Test(tls, alpn_without_ours_is_refused_by_alert_direct_or_not)
{
	for (int direct = 0; direct < 2; direct++) {
		int alert = 0;
		SSL *ssl = rig_tls_connect(rig, &(struct rig_tls){ .cert = "alice", .alpn = "http/1.1",
		                                                   .direct = direct == 1 }, &alert);

		cr_assert_null(ssl);
		cr_assert_eq(alert, SSL_AD_NO_APPLICATION_PROTOCOL, "alert %d", alert);
	}
	assert_serves();
}

Test(tls, ours_is_found_among_several_alpn_names)
{
	static const char names[] = "\x02h2\x0apostgresql\x08http/1.1";
	struct guest g = guest_clear(rig);
	struct guest_answer answer;
	const unsigned char *chosen;
	unsigned len;

	cr_assert(guest_handshake(&g, "alice", names, sizeof(names) - 1));
	SSL_get0_alpn_selected(g.ssl, &chosen, &len);
	cr_assert(len == 10 && memcmp(chosen, "postgresql", 10) == 0);
	guest_login(&g, "alice", "app");
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_leave(&g);
}

Test(tls, alpn_behind_an_ssl_request_is_confirmed)
{
	SSL *ssl = rig_tls_connect(rig, &(struct rig_tls){ .cert = "alice", .alpn = "postgresql" }, NULL);
	const unsigned char *chosen;
	unsigned len;

	cr_assert(ssl != NULL);
	SSL_get0_alpn_selected(ssl, &chosen, &len);
	cr_assert(len == 10 && memcmp(chosen, "postgresql", 10) == 0);
	rig_tls_free(ssl);
}

/* ---- versions ---- */

Test(tls, version_1_2_needs_the_setting)
{
	struct rig *strict = rig_start(NULL, NULL, NULL);
	struct rig_tls old = { .cert = "alice", .version = TLS1_2_VERSION };
	int alert = 0;
	SSL *ssl = rig_tls_connect(strict, &old, &alert);

	cr_assert_null(ssl);
	cr_assert_eq(alert, SSL_AD_PROTOCOL_VERSION, "alert %d", alert);
	rig_stop(strict);
	ssl = rig_tls_connect(rig, &old, NULL);
	cr_assert(ssl != NULL);
	rig_tls_free(ssl);
}

static bool was_refused(void)
{
	return ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_NO_RENEGOTIATION;
}

Test(tls, renegotiation_is_refused)
{
	struct guest g = { .ssl = rig_tls_connect(rig, &(struct rig_tls){ .cert = "alice",
		                                                          .version = TLS1_2_VERSION }, NULL) };
	struct guest_answer answer;

	cr_assert(g.ssl != NULL);
	g.fd = SSL_get_fd(g.ssl);
	guest_login(&g, "alice", "app");
	guest_answer(&g, &answer);
	cr_assert(answer.ready);
	ERR_clear_error();
	cr_assert_eq(SSL_renegotiate(g.ssl), 1);
	/* The answer comes within the handshake, or a moment later. */
	if (SSL_do_handshake(g.ssl) == 1 || !was_refused()) {
		cr_assert_eq(rig_tls_alert(g.ssl, RIG_PATIENCE_MS), -1);
		cr_assert(was_refused());
	}
	guest_leave(&g);
	assert_serves();
}

/* ---- handshakes that are none ---- */

Test(tls, plaintext_where_a_handshake_should_be_is_one_line_in_the_log)
{
	struct guest g = guest_clear(rig);
	uint8_t rest[64];

	guest_request(&g, RIG_SSL_REQUEST);
	cr_assert_eq(guest_recv(&g, rest, 1, RIG_PATIENCE_MS), 1);
	guest_login(&g, "alice", "app");
	cr_assert(guest_recv(&g, rest, sizeof(rest), RIG_PATIENCE_MS) <= 7, "more than an alert");
	guest_leave(&g);
	cr_assert(rig_wait_log(rig, "handshake failed: peer=127\\.0\\.0\\.1:[0-9]+ reason=\"wrong version",
	                       RIG_PATIENCE_MS));
	cr_assert_eq(rig_log_count(rig, "failed|refused|dropped"), 1);
	assert_serves();
}

Test(tls, client_that_does_not_trust_the_server_is_one_line_with_its_reason)
{
	struct pki_cert *ca = pki_ca("Another CA", NULL);
	struct rig_text prefix = guest_cert(rig, "another", ca);
	char extra[512];
	PGconn *conn;

	snprintf(extra, sizeof(extra), "sslrootcert=%.400s.crt", prefix.s);
	conn = rig_try_connect(rig, "alice", extra);
	cr_assert(PQstatus(conn) == CONNECTION_BAD);
	PQfinish(conn);
	cr_assert(rig_wait_log(rig, "handshake failed: .*alert unknown ca", RIG_PATIENCE_MS));
	cr_assert_eq(rig_log_count(rig, "failed|refused|dropped"), 1);
}

/* ---- KeyUpdate ---- */

/* True while the peer has not closed. */
static bool update_key(SSL *ssl)
{
	ERR_clear_error();
	if (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
		return false;
	return SSL_do_handshake(ssl) == 1 && rig_tls_alert(ssl, 0) == -2;
}

static void assert_flood_ends(struct guest *g)
{
	int updates = 0;

	while (updates < 100000 && update_key(g->ssl))
		updates++;
	cr_assert(updates > 0 && updates < 100000, "%d updates", updates);
}

Test(tls, flood_of_key_updates_closes_its_client_and_no_other)
{
	PGconn *bystander = rig_connect(rig, NULL);
	struct guest g = session();

	assert_flood_ends(&g);
	cr_assert_str_eq(rig_query(bystander, "SELECT 1").s, "1");
	cr_assert(rig_wait_log(rig, "close: .*KeyUpdate", RIG_PATIENCE_MS));
	guest_leave(&g);
	PQfinish(bystander);
}

Test(tls, flood_of_key_updates_before_the_login_is_closed_too)
{
	struct guest g = guest_tls(rig, "alice");

	assert_flood_ends(&g);
	cr_assert(rig_wait_log(rig, "KeyUpdate flood", RIG_PATIENCE_MS));
	guest_leave(&g);
	assert_serves();
}

Test(tls, crumbs_of_data_between_the_key_updates_do_not_help)
{
	static const uint8_t flush[] = { 'H', 0, 0, 0, 4 };
	struct guest g = session();
	int updates = 0;

	while (updates < 10000 && update_key(g.ssl) && SSL_write(g.ssl, flush, sizeof(flush)) > 0)
		updates++;
	cr_assert(updates > 0 && updates < 10000, "%d updates", updates);
	guest_leave(&g);
	assert_serves();
}

Test(tls, key_updates_among_queries_are_welcome)
{
	struct guest g = session();
	char sql[4096];

	snprintf(sql, sizeof(sql), "SELECT 1 /* %04000d */", 0);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(SSL_key_update(g.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		guest_query(&g, sql);
		cr_assert_str_eq(guest_result(&g).s, "1", "time %d", i);
	}
	guest_leave(&g);
}

/* ---- ends ---- */

Test(tls, half_close_behind_a_query_still_gets_its_answer)
{
	struct guest g = session();

	guest_query(&g, "SELECT 'late' FROM pg_sleep(0.5)");
	cr_assert_eq(shutdown(g.fd, SHUT_WR), 0);
	cr_assert_str_eq(guest_result(&g).s, "late");
	cr_assert(guest_ended(&g, RIG_PATIENCE_MS));
	guest_leave(&g);
	assert_serves();
}

Test(tls, half_close_behind_several_queries_gets_all_answers)
{
	struct guest g = session();

	guest_query(&g, "SELECT 'one' FROM pg_sleep(0.2)");
	guest_query(&g, "SELECT 'two'");
	guest_query(&g, "SELECT 'three'");
	cr_assert_eq(shutdown(g.fd, SHUT_WR), 0);
	cr_assert_str_eq(guest_result(&g).s, "one");
	cr_assert_str_eq(guest_result(&g).s, "two");
	cr_assert_str_eq(guest_result(&g).s, "three");
	guest_leave(&g);
}

/* The server must first be given what the client asked for: the query waits here meanwhile. */
Test(tls, half_close_behind_the_first_query_with_parameters_gets_its_answer)
{
	const char *const params[] = { "user", "alice", "database", "app", "options",
		                       "-c search_path=pg_catalog -c work_mem=5MB", NULL };

	for (int i = 0; i < 20; i++) {
		struct guest g = guest_tls(rig, "alice");
		struct guest_answer answer;

		guest_startup(&g, GUEST_V3_0, params);
		guest_answer(&g, &answer);
		cr_assert(answer.ready);
		guest_query(&g, "SHOW work_mem");
		cr_assert_eq(shutdown(g.fd, SHUT_WR), 0);
		cr_assert_str_eq(guest_result(&g).s, "5MB", "time %d", i);
		guest_leave(&g);
	}
}

Test(tls, half_close_while_waiting_for_a_server_gets_its_answer)
{
	PGconn *busy[2] = { rig_connect(rig, NULL), rig_connect(rig, NULL) };
	struct guest g = session();

	rig_exec(busy[0], "BEGIN");
	rig_exec(busy[1], "BEGIN");
	guest_query(&g, "SELECT 'patient'");
	cr_assert_eq(shutdown(g.fd, SHUT_WR), 0);
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	rig_exec(busy[0], "COMMIT");
	cr_assert_str_eq(guest_result(&g).s, "patient");
	guest_leave(&g);
	PQfinish(busy[0]);
	PQfinish(busy[1]);
}

Test(tls, half_close_behind_an_endless_query_ends_it)
{
	struct guest g = session();

	guest_query(&g, "SELECT pg_sleep(300)");
	cr_assert(rig_admin_wait(SLEEPERS, "1", RIG_PATIENCE_MS));
	cr_assert_eq(shutdown(g.fd, SHUT_WR), 0);
	cr_assert(rig_admin_wait(SLEEPERS, "0", 10000), "it still runs");
	guest_leave(&g);
	assert_serves();
}

Test(tls, close_notify_in_the_middle_of_a_query_still_gets_its_answer)
{
	struct guest g = session();

	guest_query(&g, "SELECT 'late' FROM pg_sleep(0.5)");
	SSL_shutdown(g.ssl);
	cr_assert_str_eq(guest_result(&g).s, "late");
	cr_assert(guest_ended(&g, RIG_PATIENCE_MS));
	guest_leave(&g);
	assert_serves();
}

Test(tls, close_notify_of_an_idle_client_ends_the_session)
{
	struct guest g = session();

	SSL_shutdown(g.ssl);
	cr_assert(guest_ended(&g, RIG_PATIENCE_MS));
	cr_assert(rig_wait_log(rig, "close: identity=\"alice\"", RIG_PATIENCE_MS));
	guest_leave(&g);
}

Test(tls, reset_in_the_middle_of_a_query_cancels_it)
{
	struct guest g = session();

	guest_query(&g, "SELECT pg_sleep(300)");
	cr_assert(rig_admin_wait(SLEEPERS, "1", RIG_PATIENCE_MS));
	guest_reset(&g);
	cr_assert(rig_admin_wait(SLEEPERS, "0", 10000), "it still runs");
	assert_serves();
}

Test(tls, damaged_record_ends_the_session_with_an_alert_and_frees_its_server)
{
	static const uint8_t record[5 + 64] = { 0x17, 0x03, 0x03, 0x00, 0x40 };
	struct guest g = session();

	guest_query(&g, "BEGIN");
	guest_result(&g);
	rig_raw_send(g.fd, record, sizeof(record));
	cr_assert_eq(rig_tls_alert(g.ssl, RIG_PATIENCE_MS), SSL_AD_BAD_RECORD_MAC);
	cr_assert(rig_wait_log(rig, "close: identity=\"alice\"", RIG_PATIENCE_MS));
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'", "0",
	                         RIG_PATIENCE_MS));
	guest_leave(&g);
	assert_serves();
}

/* What it was sent is damaged on the way: OpenSSL on the client's side says so and gives up, while the
 * TCP connection stays open. */
Test(tls, fatal_alert_of_a_client_ends_its_session)
{
	struct guest g = session();
	BIO *damaged = BIO_new(BIO_s_mem());
	uint8_t record[4096];
	size_t body;
	char byte;

	guest_query(&g, "SELECT 1");
	cr_assert_eq(rig_raw_recv(g.fd, record, 5, RIG_PATIENCE_MS), 5);
	body = (size_t)record[3] << 8 | record[4];
	cr_assert(body < sizeof(record) - 5);
	cr_assert_eq(rig_raw_recv(g.fd, record + 5, body, RIG_PATIENCE_MS), body);
	record[5] ^= 1;
	BIO_write(damaged, record, (int)body + 5);
	SSL_set0_rbio(g.ssl, damaged);
	cr_assert(SSL_read(g.ssl, &byte, 1) <= 0);
	cr_assert(rig_raw_closed(g.fd, RIG_PATIENCE_MS));
	cr_assert(rig_wait_log(rig, "close: identity=\"alice\"", RIG_PATIENCE_MS));
	guest_leave(&g);
	assert_serves();
}

Test(tls, half_a_record_and_then_nothing_ends_as_lost)
{
	static const uint8_t half[] = { 0x17, 0x03, 0x03, 0x00, 0x40, 1, 2, 3 };
	struct guest g = session();

	rig_raw_send(g.fd, half, sizeof(half));
	guest_leave(&g);
	cr_assert(rig_wait_log(rig, "close: identity=\"alice\"", RIG_PATIENCE_MS));
	assert_serves();
}
