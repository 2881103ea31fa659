/* The console: who may do what, and views over all workers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/rig.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])

#define IDENTITIES                                              \
	"operator = cn:operator roles=operator console=admin\n" \
	"watcher = cn:watcher roles=watcher console=stats\n"    \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"

static struct rig *rig;

static void start(void)
{
	rig = rig_start("workers = 2\nstats_period = 1\n", NULL, IDENTITIES);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(console, .init = start, .fini = stop, .timeout = 120);

static PGresult *ask(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, sql);

	cr_assert(PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK,
	          "%s: %s", sql, PQresultErrorMessage(res));
	return res;
}

static int count_rows(PGconn *conn, const char *sql, const char *column, const char *value)
{
	PGresult *res = ask(conn, sql);
	int n = 0;

	for (int row = 0; row < PQntuples(res); row++)
		n += strcmp(rig_cell(res, row, column).s, value) == 0;
	PQclear(res);
	return n;
}

/* --- who may --- */

static const char *const shows[] = {
	"SHOW VERSION",      "SHOW CONFIG",
	"SHOW DATABASES",    "SHOW POOLS",
	"SHOW CLIENTS",      "SHOW CLIENTS EXTENDED",
	"SHOW SERVERS",      "SHOW SERVERS EXTENDED",
	"SHOW SOCKETS",      "SHOW STATS",
	"SHOW STATS_TOTALS", "SHOW STATS_AVERAGES",
	"SHOW TOTALS",       "SHOW LISTS",
	"SHOW STATE",        "SHOW USERS",
	"SHOW IDENTITIES",   "SHOW TLS",
};

Test(console, both_rights_may_look_at_everything)
{
	static const char *const names[] = { "operator", "watcher" };

	for (size_t n = 0; n < CASES(names); n++) {
		PGconn *conn = rig_connect_as(rig, names[n],
		                              n == 0 ? "dbname=pgseal" : "dbname=pgbouncer");

		for (size_t i = 0; i < CASES(shows); i++) {
			PGresult *res = ask(conn, shows[i]);

			cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK, "%s", shows[i]);
			cr_assert_str_eq(PQcmdStatus(res), "SHOW");
			PQclear(res);
		}
		PQfinish(conn);
	}
}

Test(console, stats_may_change_nothing)
{
	static const char *const orders[] = {
		"RELOAD",
		"PAUSE",
		"PAUSE app",
		"RESUME",
		"RECONNECT",
		"RECONNECT app",
		"KILL_CLIENT 1",
		"SHUTDOWN",
		"SHUTDOWN WAIT_FOR_CLIENTS",
		"SHUTDOWN WAIT_FOR_SERVERS",
	};
	PGconn *watcher = rig_connect_as(rig, "watcher", "dbname=pgseal");
	PGconn *alice = rig_connect(rig, "dbname=app");

	for (size_t i = 0; i < CASES(orders); i++) {
		PGresult *res;

		cr_assert_str_eq(rig_error(watcher, orders[i]).s, "42501", "%s", orders[i]);
		res = PQexecParams(watcher, orders[i], 0, NULL, NULL, NULL, NULL, 0);
		cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "42501", "%s",
		                 orders[i]);
		PQclear(res);
	}
	cr_assert_str_eq(rig_query(alice, "SELECT 1").s, "1");
	PQfinish(watcher);
	PQfinish(alice);
}

Test(console, without_a_right_nobody_enters)
{
	PGconn *conn = rig_try_connect(rig, "alice", "dbname=pgseal");

	cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
	cr_assert(strstr(PQerrorMessage(conn), "FATAL") != NULL, "%s", PQerrorMessage(conn));
	PQfinish(conn);
}

Test(console, open_when_no_more_clients_are_let_in)
{
	struct rig *full = rig_start("max_client_conn = 1\n", NULL, IDENTITIES);
	PGconn *alice = rig_connect(full, "dbname=app");
	PGconn *refused = rig_try_connect(full, "bob", "dbname=app");
	PGconn *operator = rig_connect_as(full, "operator", "dbname=pgseal");

	cr_assert_eq(PQstatus(refused), CONNECTION_BAD);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "user", "alice"), 1);
	PQfinish(refused);
	PQfinish(operator);
	PQfinish(alice);
	rig_stop(full);
}

/* --- what it shows --- */

Test(console, version_is_read_by_tools)
{
	PGresult *res = rig_console(rig, "SHOW VERSION");

	cr_assert(strstr(rig_cell(res, 0, "version").s, "PgBouncer 1.26.0 compatible, pgseal ") !=
	          NULL);
	PQclear(res);
}

Test(console, clients_of_all_workers)
{
	PGconn *operator = rig_connect_as(rig, "operator", "dbname=pgseal"), *clients[8];
	PGresult *res;
	int of_worker[2] = { 0, 0 };

	for (size_t i = 0; i < CASES(clients); i++)
		clients[i] = rig_connect_as(rig, i % 2 == 0 ? "alice" : "bob",
		                            "dbname=app application_name=here");
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "user", "alice"), 4);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "user", "bob"), 4);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "database", "pgbouncer"), 1);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "application_name", "here"), 8);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "addr", "127.0.0.1"), 9);
	res = ask(operator, "SHOW CLIENTS");
	for (int row = 0; row < PQntuples(res); row++)
		of_worker[atoi(rig_cell(res, row, "ptr").s)]++;
	cr_assert(of_worker[0] >= 4 && of_worker[1] >= 4, "%d, %d", of_worker[0], of_worker[1]);
	PQclear(res);
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "alice", "cl_active").s, "4");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "app",
	                                   "current_client_connections").s, "8");
	cr_assert_str_eq(rig_console_value(rig, "SHOW USERS", "name", "bob",
	                                   "current_client_connections").s, "4");
	for (size_t i = 0; i < CASES(clients); i++)
		PQfinish(clients[i]);
	PQfinish(operator);
}

Test(console, client_and_server_name_each_other)
{
	PGconn *alice = rig_connect(rig, "dbname=app");
	struct rig_text pid, link;

	rig_exec(alice, "BEGIN");
	pid = rig_query(alice, "SELECT pg_backend_pid()");
	link = rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "link");
	cr_assert_str_eq(rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "state").s,
	                 "active");
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "ptr", link.s, "remote_pid").s,
	                 pid.s);
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "ptr", link.s, "state").s,
	                 "active");
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "ptr", link.s, "link").s,
	                 rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "ptr").s);
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "alice", "sv_active").s, "1");
	rig_exec(alice, "COMMIT");
	cr_assert_str_eq(rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "link").s, "");
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "alice", "sv_idle").s, "1");
	PQfinish(alice);
}

Test(console, extended_views_tell_certificates)
{
	PGconn *alice = rig_connect(rig, "dbname=app");
	PGresult *res;

	rig_exec(alice, "SELECT 1");
	res = rig_console(rig, "SHOW CLIENTS EXTENDED");
	cr_assert_str_eq(rig_cell(res, 0, "identity").s, "rest");
	cr_assert_geq(strlen(rig_cell(res, 0, "cert_serial").s), 8);
	cr_assert(strstr(rig_cell(res, 0, "cert_not_after").s, "20") != NULL);
	cr_assert_str_neq(rig_cell(res, 0, "tls_group").s, "");
	cr_assert(strstr(rig_cell(res, 0, "tls").s, "TLSv1.3/") != NULL);
	PQclear(res);
	res = rig_console(rig, "SHOW SERVERS EXTENDED");
	cr_assert_str_eq(rig_cell(res, 0, "identity").s, "localhost");
	cr_assert_geq(strlen(rig_cell(res, 0, "cert_serial").s), 8);
	cr_assert(strstr(rig_cell(res, 0, "tls").s, "TLSv1.3/") != NULL);
	PQclear(res);
	PQfinish(alice);
}

Test(console, counters_add_up_over_workers)
{
	PGconn *clients[4];

	for (size_t i = 0; i < CASES(clients); i++) {
		clients[i] = rig_connect(rig, "dbname=app");
		for (int n = 0; n < 5; n++)
			rig_exec(clients[i], "SELECT 1");
	}
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATS", "database", "app",
	                                   "total_query_count").s, "20");
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATS_TOTALS", "database", "app",
	                                   "xact_count").s, "20");
	cr_assert_str_eq(rig_console_value(rig, "SHOW TOTALS", "name", "total_client_login_count",
	                                   "value").s, "4");
	/* 20 in one period of a second, or spread over two */
	cr_assert(rig_console_wait(rig, "SHOW STATS", "database", "app", "avg_query_count", "0",
	                           5000));
	for (size_t i = 0; i < CASES(clients); i++)
		PQfinish(clients[i]);
}

Test(console, configuration_is_shown)
{
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "workers", "value").s, "2");
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW CONFIG", "key", "max_client_conn", "changeable").s,
		"yes");
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW IDENTITIES", "label", "operator", "console").s,
		"admin");
	cr_assert_str_eq(rig_console_value(rig, "SHOW TLS", "setting", "client_tls_cert_file",
	                                   "subject").s, "CN=localhost,O=pgseal demo");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "other", "pool_mode").s,
	                 "transaction");
	cr_assert_str_eq(rig_console_value(rig, "SHOW LISTS", "list", "databases", "items").s, "3");
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATE", "key", "active", "value").s, "yes");
}
