/* RELOAD and SIGHUP: everything new or everything old, and no session notices. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <openssl/x509.h>

#include "tests/integration/crowd.h"
#include "tests/integration/guest.h"
#include "tests/integration/rig_priv.h"

TestSuite(reload, .timeout = 120);

static struct rig *rig;

static void take_new(const char *settings, const char *databases)
{
	struct rig_text why;

	rig_configure(rig, settings, databases, NULL);
	cr_assert(rig_reload(rig, &why), "%s", why.s);
}

static void short_transactions(struct member *m)
{
	while (crowd_goes_on(m)) {
		member_query(m, "BEGIN");
		member_query(m, "SELECT pg_sleep(0.002)");
		member_query(m, "COMMIT");
		m->done++;
	}
}

Test(reload, changes_the_pool_size_under_load)
{
	static struct crowd crowd;

	crowd_database("w_size");
	rig = rig_start("workers = 2\n", crowd_entry("w_size", "pool_size=2").s, NULL);
	crowd_start(&crowd, rig, 16, "dbname=w_size", 6000, short_transactions, NULL);
	cr_assert(crowd_wait_backends("w_size", "2", RIG_PATIENCE_MS));
	take_new("workers = 2\n", crowd_entry("w_size", "pool_size=6").s);
	cr_assert(crowd_wait_backends("w_size", "6", RIG_PATIENCE_MS));
	take_new("workers = 2\n", crowd_entry("w_size", "pool_size=1").s);
	cr_assert(crowd_wait_backends("w_size", "1", RIG_PATIENCE_MS));
	crowd_join(&crowd);
	for (int i = 0; i < crowd.size; i++)
		cr_assert_gt(crowd.members[i].done, 0);
	rig_stop(rig);
}

Test(reload, over_and_over_under_load_is_noticed_by_nobody)
{
	static struct crowd crowd;
	int reloads = 0;

	crowd_database("w_often");
	rig = rig_start("workers = 2\n", crowd_entry("w_often", "pool_size=3").s, NULL);
	crowd_start(&crowd, rig, 12, "dbname=w_often", 6000, short_transactions, NULL);
	while (rig_now_ms() < crowd.deadline_ms) {
		take_new(
			"workers = 2\n",
			crowd_entry("w_often", reloads % 2 == 0 ? "pool_size=4" : "pool_size=2").s);
		reloads++;
	}
	crowd_join(&crowd);
	cr_assert_gt(reloads, 10);
	rig_stop(rig);
}

Test(reload, by_sighup_keeps_the_old_configuration_when_the_file_is_broken)
{
	static const char *const broken[] = {
		"nonsense = 1\n",
		"pool_mode = sometimes\n",
		"client_tls_cert_file = /nowhere/x.crt\n",
		"client_tls_key_file = @pki@/alice.key\n",
		"client_tls_ca_file = @pki@/server.key\n",
	};
	static const char *const words[] = { "nonsense", "pool_mode", "/nowhere/x.crt",
		                             "client_tls_key_file|key", "client_tls_ca_file|ca" };
	PGconn *conn, *late;

	rig = rig_start(NULL, NULL, NULL);
	conn = rig_connect(rig, "");
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		rig_configure(rig, broken[i], "app = @postgres@ dbname=other\n", NULL);
		rig_signal(rig, SIGHUP);
		cr_assert(rig_wait_log(rig,
		                       rig_printf("error .*config.*pgseal.ini:([0-9]+:)? .*(%s)",
		                                  words[i])
		                               .s,
		                       RIG_PATIENCE_MS),
		          "%s", broken[i]);
		cr_assert_str_eq(rig_query(conn, "SELECT current_database()").s, "app");
		late = rig_connect(rig, "");
		cr_assert_str_eq(rig_query(late, "SELECT current_database()").s, "app");
		PQfinish(late);
	}
	PQfinish(conn);
	rig_stop(rig);
}

Test(reload, tells_every_reason_with_its_line)
{
	struct rig_text why;

	rig = rig_start(NULL, NULL, NULL);
	rig_configure(rig, "nonsense = 1\npool_mode = sometimes\n", "app = nonsense=1\n", NULL);
	cr_assert(!rig_reload(rig, &why));
	cr_assert(strstr(why.s, "nonsense") != NULL && strstr(why.s, "pool_mode") != NULL &&
	                  strstr(why.s, "pgseal.ini:") != NULL,
	          "%s", why.s);
	rig_stop(rig);
}

Test(reload, says_what_takes_a_restart)
{
	rig = rig_start(NULL, NULL, NULL);
	take_new("listen_port = 1\nworkers = 3\n", NULL);
	cr_assert(rig_wait_log(rig, "listen_port: takes effect with a restart", RIG_PATIENCE_MS));
	cr_assert(rig_wait_log(rig, "workers: takes effect with a restart", RIG_PATIENCE_MS));
	PQfinish(rig_connect(rig, ""));
	rig_stop(rig);
}

Test(reload, shows_what_is_in_force_and_not_what_takes_a_restart)
{
	struct rig_text port;

	rig = rig_start("workers = 2\n", NULL, NULL);
	port = rig_printf("%d", rig_port(rig));
	take_new("listen_port = 1\nworkers = 3\nquery_wait_timeout = 7\n", NULL);
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "listen_port", "value").s,
	                 port.s);
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "workers", "value").s, "2");
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW CONFIG", "key", "query_wait_timeout", "value").s,
		"7s");
	/* back to what is in force: nothing to tell */
	take_new("workers = 2\n", NULL);
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "listen_port", "value").s,
	                 port.s);
	cr_assert_eq(rig_log_count(rig, "listen_port: takes effect with a restart"), 1);
	rig_stop(rig);
}

Test(reload, sends_sessions_to_the_databases_new_place_between_transactions)
{
	PGconn *busy, *idle;

	rig = rig_start(NULL, "app = @postgres@ dbname=app\n", NULL);
	busy = rig_connect(rig, "");
	idle = rig_connect(rig, "");
	rig_exec(idle, "SELECT 1");
	rig_exec(busy, "BEGIN");
	take_new(NULL, "app = @postgres@ dbname=other\n");
	cr_assert_str_eq(rig_query(busy, "SELECT current_database()").s, "app");
	cr_assert_str_eq(rig_query(idle, "SELECT current_database()").s, "other");
	rig_exec(busy, "COMMIT");
	cr_assert_str_eq(rig_query(busy, "SELECT current_database()").s, "other");
	PQfinish(busy);
	PQfinish(idle);
	rig_stop(rig);
}

Test(reload, that_removes_a_database_leaves_its_sessions)
{
	PGconn *conn, *late;

	rig = rig_start(NULL, NULL, NULL);
	conn = rig_connect(rig, "dbname=other");
	take_new(NULL, "app = @postgres@ dbname=app\n");
	cr_assert_str_eq(rig_query(conn, "SELECT current_database()").s, "other");
	late = rig_try_connect(rig, "alice", "dbname=other");
	cr_assert_eq(PQstatus(late), CONNECTION_BAD);
	PQfinish(late);
	take_new(NULL, NULL);
	late = rig_connect(rig, "dbname=other");
	cr_assert_str_eq(rig_query(late, "SELECT current_database()").s, "other");
	PQfinish(late);
	PQfinish(conn);
	rig_stop(rig);
}

Test(reload, mends_what_kept_servers_from_being_reached)
{
	PGconn *conn;

	rig = rig_start("query_wait_timeout = 60\n", "app = host=127.0.0.1 port=1 dbname=app\n",
	                NULL);
	conn = PQconnectStart(rig_conninfo(rig, "alice", "").s);
	cr_assert(conn != NULL);
	for (int i = 0; i < 4000 && !rig_log_contains(rig, "login failed"); i++) {
		PQconnectPoll(conn);
		rig_nap();
	}
	cr_assert_neq(PQstatus(conn), CONNECTION_BAD, "%s", PQerrorMessage(conn));
	take_new("query_wait_timeout = 60\n", "app = @postgres@ dbname=app\n");
	for (int i = 0;
	     i < 4000 && PQstatus(conn) != CONNECTION_OK && PQstatus(conn) != CONNECTION_BAD; i++) {
		PQconnectPoll(conn);
		rig_nap();
	}
	cr_assert_eq(PQstatus(conn), CONNECTION_OK, "%s", PQerrorMessage(conn));
	PQfinish(conn);
	rig_stop(rig);
}

/* --- certificates --- */

static struct rig_text serial_seen(void)
{
	struct rig_tls how = { .cert = "alice" };
	SSL *ssl = rig_tls_connect(rig, &how, NULL);
	struct rig_text text;
	X509 *cert;
	BIGNUM *bn;
	char *hex;

	cr_assert(ssl != NULL);
	cert = SSL_get1_peer_certificate(ssl);
	bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	hex = BN_bn2hex(bn);
	text = rig_printf("%s", hex);
	OPENSSL_free(hex);
	BN_free(bn);
	X509_free(cert);
	rig_tls_free(ssl);
	return text;
}

/* Another certificate for the server, of the same authority, in place of the one there. */
static void rotate(const char *dir)
{
	struct rig_text cmd = rig_printf(
		"cd '%s' && rm -f server.* pgseal.* && cp '%s/ca.crt' '%s/ca.key' . && "
		"'%s/contrib/demo-pki' .",
		dir, rig_pki(), rig_pki(), rig_source_dir());

	cr_assert(system(cmd.s) == 0);
}

Test(reload, shows_a_new_certificate_to_new_connections)
{
	struct rig_text dir, settings, first, second, why;
	PGconn *conn;

	rig_require();
	dir = rig_printf("%s/rotate", rig_root());
	cr_assert(mkdir(dir.s, 0700) == 0);
	rotate(dir.s);
	settings = rig_printf("client_tls_cert_file = %.900s/server.crt\n"
	                      "client_tls_key_file = %.900s/server.key\n",
	                      dir.s, dir.s);
	rig = rig_start(settings.s, NULL, NULL);
	conn = rig_connect(rig, "");
	first = serial_seen();
	rotate(dir.s);
	cr_assert_str_eq(serial_seen().s, first.s, "changed before the reload");
	cr_assert(rig_reload(rig, &why), "%s", why.s);
	second = serial_seen();
	cr_assert_str_neq(second.s, first.s);
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	/* a key that does not fit: the old pair stays */
	cr_assert(system(rig_printf("cp '%s/alice.key' '%.900s/server.key'", rig_pki(), dir.s).s) ==
	          0);
	cr_assert(!rig_reload(rig, &why));
	cr_assert_str_eq(serial_seen().s, second.s);
	PQfinish(conn);
	rig_stop(rig);
}

Test(reload, of_another_authority_refuses_new_clients_and_keeps_the_old)
{
	PGconn *conn, *late;

	rig = rig_start(NULL, NULL, NULL);
	conn = rig_connect(rig, "");
	take_new("client_tls_ca_file = @pki@/bob.crt\n", NULL);
	late = rig_try_connect(rig, "alice", "");
	cr_assert_eq(PQstatus(late), CONNECTION_BAD);
	PQfinish(late);
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}

/* --- who is on the doorstep: handshake done, nothing said yet --- */

static void is_judged(struct guest *g, const char *sqlstate)
{
	struct guest_answer answer;

	guest_login(g, "alice", "app");
	guest_answer(g, &answer);
	cr_assert_str_eq(answer.sqlstate, sqlstate, "%s", answer.message);
	cr_assert_eq(answer.ready, sqlstate[0] == '\0');
	guest_leave(g);
}

Test(reload, judges_who_is_on_the_doorstep_by_the_rules_in_force)
{
	struct guest first, second, third;

	rig = rig_start(NULL, NULL, "alice = cn:alice roles=alice\n");
	first = guest_tls(rig, "alice");
	second = guest_tls(rig, "alice");
	third = guest_tls(rig, "bob");
	rig_configure(rig, NULL, NULL, "bob = cn:bob roles=alice\n");
	cr_assert(rig_reload(rig, NULL));
	is_judged(&first, "28000");
	is_judged(&third, "");
	rig_configure(rig, NULL, NULL, "alice = cn:alice roles=alice\n");
	cr_assert(rig_reload(rig, NULL));
	is_judged(&second, "");
	rig_stop(rig);
}

Test(reload, judges_who_is_on_the_doorstep_by_the_authority_in_force)
{
	struct guest first, second;

	rig = rig_start(NULL, NULL, NULL);
	first = guest_tls(rig, "alice");
	second = guest_tls(rig, "alice");
	take_new("client_tls_ca_file = @pki@/bob.crt\n", NULL);
	is_judged(&first, "28000");
	cr_assert(rig_log_contains(rig, "does not verify any more"));
	take_new(NULL, NULL);
	is_judged(&second, "");
	rig_stop(rig);
}
