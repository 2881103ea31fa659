/* The console: views over all workers, rights, simple and extended protocol. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "tests/integration/rig.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])

#define IDENTITIES                                \
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

/* --- simple protocol --- */

static void keep_notice(void *arg, const PGresult *res)
{
	snprintf(arg, 4096, "%s|%s", PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY),
	         PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL));
}

Test(console, help_is_a_notice)
{
	PGconn *conn = rig_connect_as(rig, "watcher", "dbname=pgseal");
	char notice[4096] = "";
	PGresult *res;

	PQsetNoticeReceiver(conn, keep_notice, notice);
	res = PQexec(conn, "SHOW HELP");
	cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK);
	cr_assert(strncmp(notice, "Console usage|", 14) == 0 &&
	                  strstr(notice, "KILL_CLIENT <id>") != NULL,
	          "%s", notice);
	PQclear(res);
	PQfinish(conn);
}

Test(console, statements_in_one_query_run_in_order)
{
	PGconn *conn = rig_connect_as(rig, "watcher", "dbname=pgseal");
	PGresult *res;

	cr_assert(
		PQsendQuery(conn, "SHOW POOLS; SHOW VERSION /* ; */ ; ; SHOW nosuch; SHOW STATS"));
	res = PQgetResult(conn);
	cr_assert(PQfnumber(res, "cl_active") >= 0);
	PQclear(res);
	res = PQgetResult(conn);
	cr_assert(PQfnumber(res, "version") >= 0);
	PQclear(res);
	res = PQgetResult(conn);
	cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "42601");
	PQclear(res);
	cr_assert_null(PQgetResult(conn));
	res = PQexec(conn, " ; -- nothing");
	cr_assert_eq(PQresultStatus(res), PGRES_EMPTY_QUERY);
	PQclear(res);
	PQfinish(conn);
}

Test(console, probes_of_drivers)
{
	static const char *const probes[][2] = {
		{ "SHOW client_encoding", "UTF8" },
		{ "SHOW default_transaction_isolation", "read committed" },
		{ "SHOW TRANSACTION ISOLATION LEVEL", "read committed" },
		{ "show standard_conforming_strings;", "on" },
		{ "SELECT 1", "1" },
		{ "SET extra_float_digits = 3", "" },
		{ "SET application_name = 'x; y'", "" },
		{ "SET SESSION TIME ZONE 'UTC'", "" },
	};
	PGconn *conn = rig_connect_as(rig, "watcher", "dbname=pgseal");

	for (size_t i = 0; i < CASES(probes); i++)
		cr_assert_str_eq(rig_query(conn, probes[i][0]).s, probes[i][1], "%s", probes[i][0]);
	cr_assert_str_eq(rig_error(conn, "SET nosuch = 1").s, "42704");
	cr_assert_str_eq(rig_error(conn, "SET max_client_conn = 1").s, "0A000");
	cr_assert_str_eq(rig_error(conn, "BEGIN").s, "42601");
	cr_assert_str_eq(rig_error(conn, "SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relname "
	                                 "OPERATOR(pg_catalog.~) '^(x;y)$' ORDER BY 2, 3;")
	                         .s,
	                 "42601");
	PQfinish(conn);
}

/* --- extended protocol --- */

Test(console, extended_in_text_and_binary)
{
	PGconn *alice = rig_connect(rig, "dbname=app");
	PGconn *conn = rig_connect_as(rig, "watcher", "dbname=pgseal");
	uint32_t number;
	PGresult *res;

	rig_exec(alice, "SELECT 1");
	res = PQexecParams(conn, "SHOW POOLS", 0, NULL, NULL, NULL, NULL, 0);
	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK);
	cr_assert_str_eq(rig_cell(res, 0, "database").s, "app");
	cr_assert_str_eq(rig_cell(res, 0, "cl_active").s, "1");
	PQclear(res);
	res = PQexecParams(conn, "SHOW POOLS", 0, NULL, NULL, NULL, NULL, 1);
	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK);
	cr_assert_eq(PQfformat(res, 2), 1);
	cr_assert_eq(PQgetlength(res, 0, 2), 4);
	memcpy(&number, PQgetvalue(res, 0, 2), sizeof(number));
	cr_assert_eq(ntohl(number), 1);
	PQclear(res);
	PQfinish(conn);
	PQfinish(alice);
}

Test(console, extended_errors_leave_the_session_usable)
{
	static const struct {
		const char *sql, *state;
	} cases[] = {
		{ "SHOW nosuch", "42601" },
		{ "SHOW POOLS; SHOW STATS", "42601" },
		{ "SHOW 'open", "42601" },
		{ "SET nosuch = 1", "42704" },
	};
	PGconn *conn = rig_connect_as(rig, "watcher", "dbname=pgseal");
	const char *value = "1";
	PGresult *res;

	for (size_t i = 0; i < CASES(cases); i++) {
		res = PQexecParams(conn, cases[i].sql, 0, NULL, NULL, NULL, NULL, 0);
		cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), cases[i].state, "%s",
		                 cases[i].sql);
		PQclear(res);
	}
	res = PQexecParams(conn, "SHOW VERSION", 1, NULL, &value, NULL, NULL, 0);
	cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "08P01");
	PQclear(res);
	res = PQexecParams(conn, " -- nothing", 0, NULL, NULL, NULL, NULL, 0);
	cr_assert_eq(PQresultStatus(res), PGRES_EMPTY_QUERY);
	PQclear(res);
	res = PQexecParams(conn, "SHOW VERSION", 0, NULL, NULL, NULL, NULL, 0);
	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK);
	PQclear(res);
	PQfinish(conn);
}

Test(console, prepared_statements)
{
	PGconn *conn = rig_connect_as(rig, "watcher", "dbname=pgseal");
	PGresult *res;

	res = PQprepare(conn, "p", "SHOW LISTS", 0, NULL);
	cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK);
	PQclear(res);
	res = PQprepare(conn, "p", "SHOW LISTS", 0, NULL);
	cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "42P05");
	PQclear(res);
	res = PQdescribePrepared(conn, "p");
	cr_assert_eq(PQnfields(res), 2);
	cr_assert_str_eq(PQfname(res, 1), "items");
	cr_assert_eq(PQftype(res, 1), 23);
	PQclear(res);
	for (int i = 0; i < 2; i++) {
		res = PQexecPrepared(conn, "p", 0, NULL, NULL, NULL, 0);
		cr_assert_str_eq(rig_cell(res, 0, "list").s, "databases");
		PQclear(res);
	}
	res = PQexecPrepared(conn, "q", 0, NULL, NULL, NULL, 0);
	cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "26000");
	PQclear(res);
	PQfinish(conn);
}

/* While one command is under way round the workers, what comes behind it waits its turn. */
Test(console, pipelined_commands_are_answered_in_order)
{
	PGconn *conn = rig_connect_as(rig, "watcher", "dbname=pgseal");
	static const char *const firsts[] = { "type", "version", "database", "list" };
	static const char *const sqls[] = { "SHOW CLIENTS", "SHOW VERSION", "SHOW POOLS",
		                            "SHOW LISTS" };
	PGresult *res;

	cr_assert(PQenterPipelineMode(conn));
	for (size_t i = 0; i < 200; i++)
		cr_assert(PQsendQueryParams(conn, sqls[i % 4], 0, NULL, NULL, NULL, NULL, 0));
	cr_assert(PQpipelineSync(conn));
	for (size_t i = 0; i < 200; i++) {
		res = PQgetResult(conn);
		cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK, "%s", PQerrorMessage(conn));
		cr_assert_str_eq(PQfname(res, 0), firsts[i % 4]);
		PQclear(res);
		cr_assert_null(PQgetResult(conn));
	}
	res = PQgetResult(conn);
	cr_assert_eq(PQresultStatus(res), PGRES_PIPELINE_SYNC);
	PQclear(res);
	PQfinish(conn);
}

/* --- message by message --- */

static size_t put(uint8_t *out, size_t at, char type, const void *body, size_t n)
{
	uint32_t len = htonl((uint32_t)n + 4);

	out[at] = (uint8_t)type;
	memcpy(out + at + 1, &len, 4);
	memcpy(out + at + 5, body, n);
	return at + 5 + n;
}
#define PUT(type, literal) n = put(out, n, type, literal, sizeof(literal) - 1)

/* The types of the messages up to and including `last`. */
static const char *read_types(int fd, char last, char *types, size_t size)
{
	uint8_t head[5], body[65536];
	size_t n = 0;
	uint32_t len;

	do {
		cr_assert_eq(rig_raw_recv(fd, head, 5, RIG_PATIENCE_MS), 5);
		memcpy(&len, head + 1, 4);
		len = ntohl(len) - 4;
		cr_assert(len <= sizeof(body) &&
		          rig_raw_recv(fd, body, len, RIG_PATIENCE_MS) == len);
		types[n++] = (char)head[0];
	} while (head[0] != last && n + 1 < size);
	types[n] = '\0';
	return types;
}

static int raw_console(void)
{
	static const char *const params[] = { "user", "x", "database", "pgseal", NULL };
	int fd = rig_raw_connect_unix(rig);
	uint8_t out[256];
	char types[64];
	size_t n;

	n = rig_startup(out, sizeof(out), 3u << 16, params);
	rig_raw_send(fd, out, n);
	read_types(fd, 'Z', types, sizeof(types));
	return fd;
}

Test(console, rows_are_taken_in_parts)
{
	uint8_t out[512];
	char types[64];
	size_t n = 0;
	int fd = raw_console();

	PUT('P', "\0SHOW LISTS\0\0\0");
	PUT('B', "c\0\0\0\0\0\0\0\0");
	PUT('D', "Pc\0");
	PUT('E', "c\0\0\0\0\5");
	PUT('E', "c\0\0\0\0\5");
	PUT('E', "c\0\0\0\0\0");
	PUT('H', "");
	rig_raw_send(fd, out, n);
	cr_assert_str_eq(read_types(fd, 'C', types, sizeof(types)), "12TDDDDDsDDDDDsDDDDC");
	n = 0;
	PUT('S', "");
	PUT('E', "c\0\0\0\0\0"); /* the portal went with the Sync */
	PUT('D', "S\0");
	PUT('S', "");
	rig_raw_send(fd, out, n);
	cr_assert_str_eq(read_types(fd, 'Z', types, sizeof(types)), "Z");
	cr_assert_str_eq(read_types(fd, 'Z', types, sizeof(types)), "EZ");
	close(fd);
}

Test(console, nonsense_is_refused)
{
	static const struct {
		const char *body;
		size_t size;
		char type;
	} cases[] = {
		{ "\0\0\0\1\0\0\0\0\0\0", 10, 'F' },
		{ "\0\0", 2, 'B' },
		{ "\0\0\0\1\0", 5, 'B' },
		{ "Xa\0", 3, 'D' },
		{ "Xa\0", 3, 'C' },
		{ "Sa\0", 3, 'D' },
		{ "Pa\0", 3, 'D' },
		{ "a\0\0\0\0\0", 6, 'E' },
	};
	char types[64];
	uint8_t out[64];

	for (size_t i = 0; i < CASES(cases); i++) {
		int fd = raw_console();
		size_t n = put(out, 0, cases[i].type, cases[i].body, cases[i].size);

		PUT('S', "");
		rig_raw_send(fd, out, n);
		cr_assert_str_eq(read_types(fd, 'Z', types, sizeof(types)), "EZ", "%zu: %s", i,
		                 types);
		close(fd);
	}
}

Test(console, text_behind_the_query_ends_the_session)
{
	uint8_t out[64];
	size_t n = 0;
	int fd = raw_console();

	PUT('Q', "SHOW VERSION\0SHUTDOWN\0");
	rig_raw_send(fd, out, n);
	cr_assert(rig_raw_closed(fd, RIG_PATIENCE_MS));
	close(fd);
	cr_assert_eq(rig_wait_exit(rig, 100), -1);
}
