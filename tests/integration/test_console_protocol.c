/* The console's protocol: simple and extended queries, message by message. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "tests/integration/rig.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])

#define IDENTITIES                                           \
	"watcher = cn:watcher roles=watcher console=stats\n" \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"

static struct rig *rig;

/* Listening on TCP it may not yet do so on its Unix socket. */
static void start(void)
{
	rig = rig_start("workers = 2\n", NULL, IDENTITIES);
	cr_assert(rig_wait_log(rig, "started: ", RIG_PATIENCE_MS));
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(console_protocol, .init = start, .fini = stop, .timeout = 120);

/* --- simple protocol --- */

static void keep_notice(void *arg, const PGresult *res)
{
	snprintf(arg, 4096, "%s|%s", PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY),
	         PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL));
}

Test(console_protocol, help_is_a_notice)
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

Test(console_protocol, statements_in_one_query_run_in_order)
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

Test(console_protocol, probes_of_drivers)
{
	static const char *const probes[][2] = {
		{ "SHOW client_encoding", "UTF8" },
		{ "SHOW default_transaction_isolation", "read committed" },
		{ "SHOW TRANSACTION ISOLATION LEVEL", "read committed" },
		{ "show standard_conforming_strings;", "on" },
		{ "SHOW default_transaction_read_only", "off" },
		{ "SELECT client_encoding", "UTF8" },
		{ "SELECT 1", "1" },
		{ "SELECT current_database()", "pgbouncer" },
		{ "select pg_catalog.pg_is_in_recovery();", "f" },
		{ "SELECT current_schema()", "pgseal" },
		{ "SET extra_float_digits = 3", "" },
		{ "SET application_name = 'x; y'", "" },
		{ "SET SESSION TIME ZONE 'UTC'", "" },
	};
	PGconn *conn = rig_connect_as(rig, "watcher", "dbname=pgseal");

	cr_assert(strncmp(rig_query(conn, "SELECT version()").s, "PgBouncer 1.", 12) == 0);
	for (size_t i = 0; i < CASES(probes); i++)
		cr_assert_str_eq(rig_query(conn, probes[i][0]).s, probes[i][1], "%s", probes[i][0]);
	cr_assert_str_eq(rig_error(conn, "SET nosuch = 1").s, "42704");
	cr_assert_str_eq(rig_error(conn, "SET max_client_conn = 1").s, "42501");
	cr_assert_str_eq(rig_error(conn, "BEGIN").s, "42601");
	cr_assert_str_eq(rig_error(conn, "SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relname "
	                                 "OPERATOR(pg_catalog.~) '^(x;y)$' ORDER BY 2, 3;")
	                         .s,
	                 "42601");
	PQfinish(conn);
}

/* --- extended protocol --- */

Test(console_protocol, extended_in_text_and_binary)
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

Test(console_protocol, extended_errors_leave_the_session_usable)
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

Test(console_protocol, prepared_statements)
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
Test(console_protocol, pipelined_commands_are_answered_in_order)
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

Test(console_protocol, rows_are_taken_in_parts)
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

Test(console_protocol, nonsense_is_refused)
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

Test(console_protocol, text_behind_the_query_ends_the_session)
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
