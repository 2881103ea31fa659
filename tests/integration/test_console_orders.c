/* Orders of the console: PAUSE, RESUME, DISABLE, ENABLE, RECONNECT, RELOAD, SHUTDOWN. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])
#define SILENT_MS 200

#define IDENTITIES                                              \
	"operator = cn:operator roles=operator console=admin\n" \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"
#define SETTINGS "workers = 2\n"

static struct rig *rig;

static void start(void)
{
	rig = rig_start(SETTINGS, NULL, IDENTITIES);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(orders, .init = start, .fini = stop, .timeout = 120);

static PGconn *console(void)
{
	return rig_connect_as(rig, "operator", "dbname=pgseal");
}

/* The SQLSTATE of the answer to what was sent before; "" when it went well. */
static struct rig_text state_of(PGconn *conn)
{
	PGresult *res;
	struct rig_text text = { "" };

	cr_assert(rig_wait_readable(conn, RIG_PATIENCE_MS), "no answer");
	while ((res = PQgetResult(conn)) != NULL) {
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

		if (state != NULL)
			snprintf(text.s, sizeof(text.s), "%s", state);
		PQclear(res);
	}
	return text;
}

static void expect_tag(PGconn *conn, const char *sql, const char *tag)
{
	PGresult *res = PQexec(conn, sql);

	cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK, "%s: %s", sql,
	             PQresultErrorMessage(res));
	cr_assert_str_eq(PQcmdStatus(res), tag);
	PQclear(res);
}

/* --- PAUSE and RESUME --- */

Test(orders, pause_waits_for_transactions_and_holds_new_ones)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");
	PGconn *bob = rig_connect_as(rig, "bob", "dbname=app");

	rig_exec(bob, "SELECT 1");
	rig_exec(alice, "BEGIN");
	rig_exec(alice, "SELECT 1");
	cr_assert(PQsendQuery(operator, "PAUSE"));
	cr_assert(rig_stays_silent(operator, SILENT_MS));
	cr_assert(PQsendQuery(bob, "SELECT 2"));
	cr_assert(rig_stays_silent(bob, SILENT_MS));
	rig_exec(alice, "SELECT 3");
	rig_exec(alice, "COMMIT");
	cr_assert_str_eq(state_of(operator).s, "");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "app", "paused").s, "1");
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATE", "key", "paused", "value").s, "yes");
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "bob", "cl_waiting").s, "1");
	cr_assert(rig_stays_silent(bob, SILENT_MS));
	expect_tag(operator, "PAUSE", "PAUSE");
	expect_tag(operator, "RESUME", "RESUME");
	cr_assert_str_eq(rig_scalar(bob).s, "2");
	cr_assert_str_eq(rig_error(operator, "RESUME").s, "55000");
	PQfinish(operator);
	PQfinish(alice);
	PQfinish(bob);
}

Test(orders, pause_of_one_database_leaves_the_others)
{
	PGconn *operator = console(), *other = rig_connect(rig, "dbname=other");
	PGconn *alice = rig_connect(rig, "dbname=app"), *bob;

	expect_tag(operator, "PAUSE app", "PAUSE");
	cr_assert_str_eq(rig_query(other, "SELECT 1").s, "1");
	cr_assert(PQsendQuery(alice, "SELECT 2"));
	cr_assert(rig_stays_silent(alice, SILENT_MS));
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "app", "paused").s, "1");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "other", "paused").s,
	                 "0");
	cr_assert_str_eq(rig_error(operator, "RESUME other").s, "55000");
	cr_assert_str_eq(rig_error(operator, "PAUSE nosuch").s, "3D000");
	expect_tag(operator, "RESUME app", "RESUME");
	cr_assert_str_eq(rig_scalar(alice).s, "2");
	bob = rig_connect_as(rig, "bob", "dbname=app");
	cr_assert_str_eq(rig_query(bob, "SELECT 3").s, "3");
	PQfinish(bob);
	PQfinish(operator);
	PQfinish(alice);
	PQfinish(other);
}

/* No pool yet when PAUSE comes: the first one is born paused. Nobody else here is carol. */
Test(orders, pause_holds_for_roles_that_come_later)
{
	PGconn *operator = console(), *carol;
	struct rig_text info = rig_conninfo(rig, "carol", "dbname=app");

	expect_tag(operator, "PAUSE app", "PAUSE");
	carol = PQconnectStart(info.s);
	for (int i = 0; i < 20 && PQconnectPoll(carol) != PGRES_POLLING_OK; i++)
		usleep(20000);
	cr_assert_neq(PQstatus(carol), CONNECTION_OK);
	cr_assert_neq(PQstatus(carol), CONNECTION_BAD, "%s", PQerrorMessage(carol));
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_stat_activity WHERE usename = 'carol'", "0",
	                         0));
	expect_tag(operator, "RESUME app", "RESUME");
	for (int i = 0; i < 1000 && PQconnectPoll(carol) != PGRES_POLLING_OK; i++)
		usleep(20000);
	cr_assert_eq(PQstatus(carol), CONNECTION_OK, "%s", PQerrorMessage(carol));
	PQfinish(carol);
	PQfinish(operator);
}

Test(orders, resume_overtakes_a_waiting_pause)
{
	PGconn *first = console(), *second = console(), *alice = rig_connect(rig, "dbname=app");

	rig_exec(alice, "BEGIN");
	rig_exec(alice, "SELECT 1");
	cr_assert(PQsendQuery(first, "PAUSE app"));
	cr_assert(rig_stays_silent(first, SILENT_MS));
	expect_tag(second, "RESUME app", "RESUME");
	cr_assert_str_eq(state_of(first).s, "57014");
	rig_exec(alice, "COMMIT");
	PQfinish(first);
	PQfinish(second);
	PQfinish(alice);
}

/* Its answer finds nobody at home; what it ordered stays. */
Test(orders, pause_outlives_the_console_that_asked)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");

	rig_exec(alice, "BEGIN");
	rig_exec(alice, "SELECT 1");
	cr_assert(PQsendQuery(operator, "PAUSE; SHOW VERSION"));
	cr_assert(rig_stays_silent(operator, SILENT_MS));
	PQfinish(operator);
	cr_assert(rig_console_wait(rig, "SHOW LISTS", "list", "used_clients", "items", "2",
	                           RIG_PATIENCE_MS));
	rig_exec(alice, "COMMIT");
	cr_assert(PQsendQuery(alice, "SELECT 2"));
	cr_assert(rig_stays_silent(alice, SILENT_MS));
	operator = console();
	expect_tag(operator, "RESUME", "RESUME");
	cr_assert_str_eq(rig_scalar(alice).s, "2");
	PQfinish(operator);
	PQfinish(alice);
}

/* --- DISABLE and ENABLE --- */

Test(orders, disable_refuses_newcomers_and_nobody_else)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app"), *late;

	rig_exec(alice, "BEGIN");
	expect_tag(operator, "DISABLE app", "DISABLE");
	expect_tag(operator, "DISABLE app", "DISABLE");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "app", "disabled").s,
	                 "1");
	for (int i = 0; i < 2; i++) { /* one for each worker */
		late = rig_try_connect(rig, "bob", "dbname=app");
		cr_assert_eq(PQstatus(late), CONNECTION_BAD);
		cr_assert(strstr(PQerrorMessage(late), "database \"app\" is disabled") != NULL,
		          "%s", PQerrorMessage(late));
		PQfinish(late);
	}
	late = rig_connect_as(rig, "bob", "dbname=other");
	rig_exec(late, "SELECT 1");
	PQfinish(late);
	rig_exec(alice, "COMMIT");
	cr_assert_str_eq(rig_query(alice, "SELECT 2").s, "2");
	expect_tag(operator, "ENABLE app", "ENABLE");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "app", "disabled").s,
	                 "0");
	late = rig_connect_as(rig, "bob", "dbname=app");
	cr_assert_str_eq(rig_query(late, "SELECT 3").s, "3");
	cr_assert_str_eq(rig_error(operator, "DISABLE nosuch").s, "3D000");
	cr_assert_str_eq(rig_error(operator, "DISABLE pgseal").s, "0A000");
	cr_assert_str_eq(rig_error(operator, "DISABLE").s, "42601");
	PQfinish(late);
	PQfinish(alice);
	PQfinish(operator);
}

Test(orders, a_reload_leaves_databases_disabled)
{
	PGconn *operator = console(), *late;
	struct guest_answer answer;

	expect_tag(operator, "DISABLE app", "DISABLE");
	expect_tag(operator, "RELOAD", "RELOAD");
	guest_try(rig, "alice", "alice", "app", &answer);
	cr_assert_str_eq(answer.severity, "FATAL");
	cr_assert_str_eq(answer.sqlstate, "55000");
	expect_tag(operator, "ENABLE app", "ENABLE");
	late = rig_connect(rig, "dbname=app");
	PQfinish(late);
	PQfinish(operator);
}

/* --- RECONNECT --- */

Test(orders, reconnect_replaces_servers_as_they_come_free)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");
	PGconn *busy = rig_connect(rig, "dbname=app");
	struct rig_text before = rig_query(alice, "SELECT pg_backend_pid()"), held;

	rig_exec(busy, "BEGIN");
	held = rig_query(busy, "SELECT pg_backend_pid()");
	expect_tag(operator, "RECONNECT app", "RECONNECT");
	cr_assert_str_neq(rig_query(alice, "SELECT pg_backend_pid()").s, before.s);
	cr_assert_str_eq(rig_query(busy, "SELECT pg_backend_pid()").s, held.s);
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW SERVERS", "remote_pid", held.s, "close_needed").s,
		"1");
	rig_exec(busy, "COMMIT");
	cr_assert_str_neq(rig_query(busy, "SELECT pg_backend_pid()").s, held.s);
	expect_tag(operator, "RECONNECT", "RECONNECT");
	PQfinish(operator);
	PQfinish(alice);
	PQfinish(busy);
}

/* --- RELOAD --- */

Test(orders, reload_puts_into_force_or_tells_every_reason)
{
	PGconn *operator = console();
	PGresult *res;
	const char *detail;

	rig_configure(rig, SETTINGS "max_client_conn = 7\n", NULL, IDENTITIES);
	expect_tag(operator, "RELOAD", "RELOAD");
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "max_client_conn", "value").s,
	                 "7");
	rig_configure(rig, SETTINGS "max_client_conn = many\nno_such_setting = 1\n", NULL,
	              IDENTITIES);
	res = PQexec(operator, "RELOAD");
	cr_assert_eq(PQresultStatus(res), PGRES_FATAL_ERROR);
	cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "F0000");
	detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	cr_assert(detail != NULL && strstr(detail, "max_client_conn") != NULL &&
	          strstr(detail, "no_such_setting") != NULL, "%s", PQresultErrorMessage(res));
	cr_assert_null(strchr(PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY), '\n'));
	PQclear(res);
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "max_client_conn", "value").s,
	                 "7");
	cr_assert_str_eq(rig_query(operator, "SELECT 1").s, "1");
	PQfinish(operator);
}

/* --- SET --- */

static struct rig_text config(const char *key)
{
	return rig_console_value(rig, "SHOW CONFIG", "key", key, "value");
}

/* In force at once, one beside the other, until the file is read again. */
Test(orders, set_lasts_until_the_next_reload)
{
	PGconn *operator = console(), *alice, *late;

	expect_tag(operator, "SET max_client_conn = 1", "SET");
	expect_tag(operator, "SET query_wait_timeout TO '90s'", "SET");
	expect_tag(operator, "set LOG_CONNECTIONS = off", "SET");
	cr_assert_str_eq(config("max_client_conn").s, "1");
	cr_assert_str_eq(config("query_wait_timeout").s, "90s");
	cr_assert_str_eq(config("log_connections").s, "0");
	alice = rig_connect(rig, "dbname=app");
	late = rig_try_connect(rig, "bob", "dbname=app");
	cr_assert_eq(PQstatus(late), CONNECTION_BAD);
	PQfinish(late);
	expect_tag(operator, "RELOAD", "RELOAD");
	cr_assert_str_eq(config("max_client_conn").s, "100");
	cr_assert_str_eq(config("log_connections").s, "1");
	late = rig_connect_as(rig, "bob", "dbname=app");
	PQfinish(late);
	PQfinish(alice);
	PQfinish(operator);
}

/* Defaults of [databases] are settings too. */
Test(orders, set_reaches_databases)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");
	PGconn *bob = rig_connect(rig, "dbname=app");

	rig_exec(alice, "BEGIN");
	expect_tag(operator, "SET default_pool_size = 1", "SET");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "app", "pool_size").s,
	                 "1");
	cr_assert(PQsendQuery(bob, "SELECT 2"));
	cr_assert(rig_stays_silent(bob, SILENT_MS));
	expect_tag(operator, "SET default_pool_size = 2", "SET");
	cr_assert_str_eq(rig_scalar(bob).s, "2");
	PQfinish(alice);
	PQfinish(bob);
	PQfinish(operator);
}

Test(orders, set_is_refused_as_a_whole)
{
	static const struct {
		const char *sql, *state, *words;
	} cases[] = {
		{ "SET max_client_conn = 0", "22023", "max_client_conn: 0 is out of range" },
		{ "SET max_client_conn = 'many'", "22023", "max_client_conn: \"many\" is not" },
		{ "SET workers = 1", "55P02", "workers cannot be changed without a restart" },
		{ "SET max_client_conn", "42601", "usage: SET max_client_conn = <value>" },
		{ "SET max_client_conn = 1 2", "42601", "usage: SET max_client_conn = <value>" },
		{ "SET max_client_conn = /x", "42601", "usage: SET max_client_conn = <value>" },
		{ "SET client_tls_ca_file = '/nonexistent'", "22023", "client_tls_ca_file" },
		{ "SET client_tls_key_file = '@pki@/ca.crt'", "22023", "client_tls_key_file" },
		{ "SET nosuch = 1", "42704", "nosuch" },
	};
	PGconn *operator = console(), *alice;

	for (size_t i = 0; i < CASES(cases); i++) {
		PGresult *res = PQexec(operator, cases[i].sql);

		cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), cases[i].state,
		                 "%s: %s", cases[i].sql, PQresultErrorMessage(res));
		cr_assert(strstr(PQresultErrorMessage(res), cases[i].words) != NULL, "%s: %s",
		          cases[i].sql, PQresultErrorMessage(res));
		PQclear(res);
	}
	cr_assert_str_eq(config("max_client_conn").s, "100");
	alice = rig_connect(rig, "dbname=app");
	cr_assert_str_eq(rig_query(alice, "SELECT 1").s, "1");
	PQfinish(alice);
	PQfinish(operator);
}

/* A certificate file that is broken meanwhile is the business of a reload, or of a setting about
 * TLS. */
Test(orders, set_leaves_files_alone)
{
	PGconn *operator, *alice;
	char text[400];
	FILE *f;

	rig_configure(rig, SETTINGS "server_tls_ca_file = @dir@/ca.crt\n", NULL, IDENTITIES);
	snprintf(text, sizeof(text), "cp '%s/ca.crt' '%s/ca.crt'", rig_pki(), rig_dir(rig));
	cr_assert_eq(system(text), 0);
	operator = console();
	expect_tag(operator, "RELOAD", "RELOAD");
	snprintf(text, sizeof(text), "%s/ca.crt", rig_dir(rig));
	f = fopen(text, "w");
	cr_assert(f != NULL && fclose(f) == 0);
	expect_tag(operator, "SET max_client_conn = 50", "SET");
	cr_assert_str_eq(rig_error(operator, "SET server_tls_sslmode = 'verify-ca'").s, "22023");
	cr_assert_str_eq(rig_error(operator, "RELOAD").s, "F0000");
	cr_assert_str_eq(config("max_client_conn").s, "50");
	cr_assert_str_eq(rig_console_value(rig, "SHOW TLS", "setting", "client_tls_cert_file",
	                                   "subject").s, "CN=localhost,O=pgseal demo");
	snprintf(text, sizeof(text), "cp '%s/ca.crt' '%s/ca.crt'", rig_pki(), rig_dir(rig));
	cr_assert_eq(system(text), 0);
	expect_tag(operator, "SET server_tls_sslmode = 'verify-ca'", "SET");
	alice = rig_connect(rig, "dbname=app");
	cr_assert_str_eq(rig_query(alice, "SELECT 1").s, "1");
	PQfinish(alice);
	PQfinish(operator);
}

/* --- what there is not --- */

Test(orders, refusals_say_so)
{
	static const char *const orders[] = { "SUSPEND", "SHOW FDS" };
	PGconn *operator = console();

	for (size_t i = 0; i < CASES(orders); i++) {
		PGresult *res = PQexec(operator, orders[i]);

		cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "0A000");
		cr_assert(strstr(PQresultErrorMessage(res), "is not supported") != NULL);
		cr_assert(PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL) != NULL);
		PQclear(res);
	}
	PQfinish(operator);
}

/* --- SHUTDOWN --- */

Test(orders, shutdown_ends_at_once)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");
	PGresult *res;

	rig_exec(alice, "BEGIN");
	res = PQexec(operator, "SHUTDOWN");
	PQclear(res);
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(operator);
	PQfinish(alice);
}

Test(orders, shutdown_waits_for_transactions)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");

	rig_exec(alice, "BEGIN");
	rig_exec(alice, "SELECT 1");
	cr_assert(PQsendQuery(operator, "SHUTDOWN WAIT_FOR_SERVERS"));
	cr_assert_eq(rig_wait_exit(rig, SILENT_MS), -1);
	cr_assert_str_eq(rig_query(alice, "SELECT 2").s, "2");
	rig_exec(alice, "COMMIT");
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(operator);
	PQfinish(alice);
}

Test(orders, shutdown_waits_for_clients)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app"), *late;

	expect_tag(operator, "SHUTDOWN WAIT_FOR_CLIENTS", "SHUTDOWN");
	late = rig_try_connect(rig, "bob", "dbname=app");
	cr_assert_eq(PQstatus(late), CONNECTION_BAD);
	cr_assert_str_eq(rig_query(alice, "SELECT 1").s, "1");
	cr_assert_eq(rig_wait_exit(rig, SILENT_MS), -1);
	cr_assert_str_eq(rig_query(operator, "SELECT 1").s, "1");
	PQfinish(alice);
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(operator);
	PQfinish(late);
}

/* Behind the time that was given, or shutdown_timeout, the rest ends at once. */
Test(orders, shutdown_drains_within_a_time)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");

	rig_exec(alice, "BEGIN");
	cr_assert_str_eq(rig_error(operator, "SHUTDOWN DRAIN soon").s, "22023");
	cr_assert(PQsendQuery(operator, "SHUTDOWN DRAIN '1h'"));
	cr_assert_eq(rig_wait_exit(rig, SILENT_MS), -1);
	cr_assert_str_eq(rig_query(alice, "SELECT 2").s, "2");
	(void)rig_outcome(operator);
	cr_assert(PQsendQuery(operator, "SHUTDOWN DRAIN 100ms"));
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(operator);
	PQfinish(alice);
}

/* Looking who is left, for the one order, must not become the deadline of the next. */
Test(orders, shutdown_of_another_kind_follows)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");

	rig_exec(alice, "BEGIN");
	expect_tag(operator, "SET shutdown_timeout = 0", "SET");
	expect_tag(operator, "SHUTDOWN WAIT_FOR_CLIENTS", "SHUTDOWN");
	expect_tag(operator, "SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN");
	cr_assert_eq(rig_wait_exit(rig, 3 * SILENT_MS), -1);
	rig_exec(alice, "COMMIT");
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(operator);
	PQfinish(alice);
}
