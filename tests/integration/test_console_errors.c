/* SHOW ERRORS: what went wrong, by kind; and SHOW TLS: which file a reload was refused for. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"
#include "tests/integration/rig_priv.h"

#define IDENTITIES                                           \
	"watcher = cn:watcher roles=watcher console=stats\n" \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"
#define SETTINGS                                         \
	"workers = 2\nmax_client_conn = 2\n"             \
	"client_tls_cert_file = @dir@/server.crt\n"      \
	"client_tls_key_file = @dir@/server.key\n"
#define DATABASES                                                  \
	"app = @postgres@ dbname=app\n"                            \
	"away = host=127.0.0.1 port=1 dbname=app query_wait_timeout=200ms\n"

static struct rig *rig;

static struct rig_text file(const char *name)
{
	return rig_printf("%s/%s", rig_dir(rig), name);
}

static void take_file(const char *from, const char *name)
{
	struct rig_text cmd = rig_printf("cp -p '%.1000s/%s' '%.1000s'", rig_pki(), from,
	                                 file(name).s);

	cr_assert_eq(system(cmd.s), 0);
}

/* The server's certificate and key are in a place of the test's own, to be spoilt. */
static void start(void)
{
	rig = rig_start(NULL, DATABASES, IDENTITIES);
	take_file("server.crt", "server.crt");
	take_file("server.key", "server.key");
	rig_configure(rig, SETTINGS, DATABASES, IDENTITIES);
	cr_assert(rig_reload(rig, NULL));
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(console_errors, .init = start, .fini = stop, .timeout = 120);

/* A cell of the row about that class and SQLSTATE; "" without one. */
static struct rig_text trouble(const char *class, const char *sqlstate, const char *column)
{
	PGresult *res = rig_console(rig, "SHOW ERRORS");
	struct rig_text text = { "" };

	for (int row = 0; row < PQntuples(res); row++) {
		if (strcmp(rig_cell(res, row, "class").s, class) == 0 &&
		    strcmp(rig_cell(res, row, "sqlstate").s, sqlstate) == 0)
			text = rig_cell(res, row, column);
	}
	PQclear(res);
	return text;
}

static void expect_none(void)
{
	PGresult *res = rig_console(rig, "SHOW ERRORS");

	cr_assert_eq(PQntuples(res), 0);
	PQclear(res);
}

static void expect_refused(const char *name, const char *extra)
{
	PGconn *conn = rig_try_connect(rig, name, extra);

	cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
}

Test(console_errors, refusals_of_clients_are_counted_by_class)
{
	PGconn *alice, *bob;

	expect_none();
	expect_refused("alice", "user=bob");
	expect_refused("alice", "user=carol");
	expect_refused("alice", "dbname=nosuch");
	cr_assert_str_eq(trouble("right", "28000", "count").s, "2");
	cr_assert_str_eq(trouble("right", "28000", "side").s, "client");
	cr_assert_str_eq(trouble("right", "28000", "host").s, "127.0.0.1");
	cr_assert(strstr(trouble("right", "28000", "last_message").s, "role carol") != NULL);
	cr_assert_str_eq(trouble("unknown_database", "3D000", "count").s, "1");
	alice = rig_connect(rig, "dbname=app");
	bob = rig_connect_as(rig, "bob", "dbname=app");
	expect_refused("carol", "dbname=app");
	cr_assert_str_eq(trouble("max_client_conn", "53300", "count").s, "1");
	cr_assert(strstr(trouble("max_client_conn", "53300", "last_at").s, "20") != NULL);
	PQfinish(alice);
	PQfinish(bob);
}

/* Those who go by themselves, or because an administrator says so, are no trouble. */
Test(console_errors, quiet_ends_are_not_told)
{
	PGconn *alice = rig_connect(rig, "dbname=app"), *bob = rig_connect_as(rig, "bob", "");

	PQfinish(alice);
	PQclear(rig_console(rig, "KILL"));
	PQfinish(bob);
	expect_none();
}

Test(console_errors, handshakes_that_fail_tell_why)
{
	struct pki_cert *other = pki_make(&(struct pki_options){ .cn = "alice", .ca = true });
	struct rig_text prefix = guest_cert(rig, "odd", other);
	int alert;
	SSL *ssl = rig_tls_connect(rig, &(struct rig_tls){ .cert = prefix.s }, &alert);

	if (ssl != NULL)
		(void)rig_tls_alert(ssl, RIG_PATIENCE_MS);
	rig_tls_free(ssl);
	cr_assert(rig_wait_log(rig, "certificate refused", RIG_PATIENCE_MS));
	cr_assert_str_eq(trouble("certificate", "", "count").s, "1");
	cr_assert(strstr(trouble("certificate", "", "last_message").s, "self") != NULL, "%s",
	          trouble("certificate", "", "last_message").s);
}

Test(console_errors, servers_are_told_apart_by_host)
{
	PGconn *alice;

	expect_refused("alice", "dbname=away");
	cr_assert_str_eq(trouble("login failed", "", "side").s, "server");
	cr_assert_str_eq(trouble("login failed", "", "host").s, "127.0.0.1");
	cr_assert_geq(atoi(trouble("login failed", "", "count").s), 1);
	alice = rig_connect(rig, "dbname=app");
	rig_exec(alice, "BEGIN");
	rig_admin_exec(rig_printf("SELECT pg_terminate_backend(%.20s)",
	                          rig_query(alice, "SELECT pg_backend_pid()").s).s);
	cr_assert_str_neq(rig_error(alice, "SELECT 1").s, "");
	cr_assert_str_eq(trouble("server ended the session", "", "host").s, "127.0.0.1");
	PQfinish(alice);
}

/* --- files --- */

static struct rig_text file_error(const char *setting)
{
	return rig_console_value(rig, "SHOW TLS", "setting", setting, "last_error");
}

Test(console_errors, a_refused_reload_tells_which_file)
{
	FILE *f;

	cr_assert_eq(strlen(rig_console_value(rig, "SHOW TLS", "setting", "client_tls_key_file",
	                                      "sha256").s), 64);
	cr_assert_str_eq(rig_console_value(rig, "SHOW TLS", "setting", "client_tls_key_file",
	                                   "not_after").s, "");
	cr_assert_str_eq(file_error("client_tls_key_file").s, "");
	f = fopen(file("server.key").s, "w");
	cr_assert(f != NULL && fclose(f) == 0);
	cr_assert_not(rig_reload(rig, NULL));
	cr_assert(strstr(file_error("client_tls_key_file").s, "no private key") != NULL, "%s",
	          file_error("client_tls_key_file").s);
	cr_assert_str_eq(file_error("client_tls_cert_file").s, "");
	cr_assert_str_eq(file_error("server_tls_key_file").s, "");
	cr_assert_str_eq(trouble("client_tls_key_file", "", "side").s, "file");
	cr_assert_str_eq(trouble("client_tls_key_file", "", "host").s, file("server.key").s);
	take_file("server.key", "server.key");
	cr_assert(rig_reload(rig, NULL));
	cr_assert_str_eq(file_error("client_tls_key_file").s, "");
	cr_assert_str_eq(trouble("client_tls_key_file", "", "count").s, "1");
}
