#include "libpq_scenarios.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

const char *schema;

static void on_notice(void *unused, const PGresult *res)
{
	(void)unused;
	printf("notice %s %s: %s\n", PQresultErrorField(res, PG_DIAG_SEVERITY),
	       PQresultErrorField(res, PG_DIAG_SQLSTATE),
	       PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
}

PGconn *connect_with(const char *options)
{
	PGconn *conn = PQconnectdb(options != NULL ? options : "");

	if (PQstatus(conn) != CONNECTION_OK) {
		printf("!! connect: %s", PQerrorMessage(conn));
		exit(1);
	}
	PQsetNoticeReceiver(conn, on_notice, NULL);
	return conn;
}

const char *with_schema(const char *text)
{
	static char sql[8192];

	snprintf(sql, sizeof(sql), text, schema, schema, schema);
	return sql;
}

static const char *field(const PGresult *res, int code)
{
	const char *text = PQresultErrorField(res, code);

	return text != NULL ? text : "-";
}

static void show_error(const PGresult *res)
{
	printf("  %s %s: %s | %s | %s | at %s\n", field(res, PG_DIAG_SEVERITY),
	       field(res, PG_DIAG_SQLSTATE), field(res, PG_DIAG_MESSAGE_PRIMARY),
	       field(res, PG_DIAG_MESSAGE_DETAIL), field(res, PG_DIAG_CONTEXT),
	       field(res, PG_DIAG_STATEMENT_POSITION));
}

static void show_value(const PGresult *res, int row, int column)
{
	const char *value = PQgetvalue(res, row, column);
	int len = PQgetlength(res, row, column);
	int i;

	putchar(' ');
	if (PQgetisnull(res, row, column))
		printf("null");
	else if (len > 100)
		printf("%d bytes", len);
	else if (PQfformat(res, column) == 0)
		printf("'%s'", value);
	else
		for (i = 0; i < len; i++)
			printf("%02x", (unsigned char)value[i]);
}

static void show_rows(const PGresult *res)
{
	int row, column;

	for (row = 0; row < PQntuples(res) && row < 20; row++) {
		putchar(' ');
		for (column = 0; column < PQnfields(res); column++)
			show_value(res, row, column);
		putchar('\n');
	}
}

static void show_columns(const PGresult *res)
{
	int i;

	for (i = 0; i < PQnfields(res); i++)
		printf(" %s:%u/%d/%d", PQfname(res, i),
		       PQftype(res, i) < 16384 ? PQftype(res, i) : 0, PQfmod(res, i),
		       PQfformat(res, i));
	for (i = 0; i < PQnparams(res); i++)
		printf(" $%d:%u", i + 1, PQparamtype(res, i));
}

void show(PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	printf("%s %s tuples=%d", PQresStatus(status), PQcmdStatus(res), PQntuples(res));
	show_columns(res);
	putchar('\n');
	if (status == PGRES_FATAL_ERROR)
		show_error(res);
	show_rows(res);
	PQclear(res);
}

void query(PGconn *conn, const char *sql)
{
	PGresult *res;

	if (!PQsendQuery(conn, with_schema(sql)))
		printf("!! send: %s", PQerrorMessage(conn));
	while ((res = PQgetResult(conn)) != NULL)
		show(res);
}

void query_with(PGconn *conn, const char *sql, const char *value)
{
	show(PQexecParams(conn, with_schema(sql), 1, NULL, &value, NULL, NULL, 0));
}

/* ---- statements ---- */

static void parameters(PGconn *conn)
{
	const char *values[] = { "7", "it's", NULL, "{1,NULL,3}" };
	const Oid types[] = { 23, 25, 1700, 1007 };

	show(PQexecParams(conn, "select $1, $2, $3, $4", 4, types, values, NULL, NULL, 0));
	show(PQexecParams(conn, "select $1, $2, $3, $4", 4, types, values, NULL, NULL, 1));
	show(PQexecParams(conn, "select $1::int + 1", 1, NULL, values, NULL, NULL, 0));
	show(PQexecParams(conn, "select $1::int", 1, NULL, &values[1], NULL, NULL, 0));
	show(PQexecParams(conn, "select $1", 0, NULL, NULL, NULL, NULL, 0));
	show(PQexecParams(conn, "select 1; select 2", 0, NULL, NULL, NULL, NULL, 0));
	show(PQexecParams(conn, "", 0, NULL, NULL, NULL, NULL, 0));
}

static void binary(PGconn *conn)
{
	static const char bytes[] = { 0, 1, 'x', 0, (char)0xff };
	const char *values[] = { bytes };
	const int lengths[] = { sizeof(bytes) }, formats[] = { 1 };
	const Oid types[] = { 17 };

	query(conn, "create table %s.bin (y bytea)");
	show(PQexecParams(conn,
	                  with_schema("insert into %s.bin values ($1) returning y, length(y)"), 1,
	                  types, values, lengths, formats, 1));
	query(conn, "select y from %s.bin");
	show(PQexecParams(conn,
	                  "select 1::int2, 2.5::numeric, true, 'x'::text, null::int, "
	                  "'2024-02-29 12:00+00'::timestamptz, array[1, 2]",
	                  0, NULL, NULL, NULL, NULL, 1));
}

static void unnamed_statement(PGconn *conn)
{
	const char *value = "5";
	int i;

	for (i = 0; i < 4; i++) {
		show(PQprepare(conn, "", "select $1::int * 2", 0, NULL));
		show(PQdescribePrepared(conn, ""));
		show(PQexecPrepared(conn, "", 1, &value, NULL, NULL, 0));
		show(PQexecPrepared(conn, "", 1, &value, NULL, NULL, 1));
	}
	query(conn, "select 'a simple query ends it'");
	show(PQexecPrepared(conn, "", 1, &value, NULL, NULL, 0));
}

static void named_statements(PGconn *conn)
{
	char name[16], sql[64], value[16];
	const char *values[] = { value };
	int i;

	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(sql, sizeof(sql), "select $1::int * %d, '%s'", i, name);
		show(PQprepare(conn, name, sql, 0, NULL));
	}
	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "s%d", i * 5 % 8);
		snprintf(value, sizeof(value), "%d", i);
		show(PQexecPrepared(conn, name, 1, values, NULL, NULL, i % 2));
	}
	show(PQprepare(conn, "s1", "select 'another'", 0, NULL));
	show(PQexecPrepared(conn, "s1", 1, values, NULL, NULL, 0));
	query(conn, "deallocate s1");
	show(PQexecPrepared(conn, "s1", 1, values, NULL, NULL, 0));
	show(PQprepare(conn, "s1", "select 'another ' || $1", 0, NULL));
	show(PQexecPrepared(conn, "s1", 1, values, NULL, NULL, 0));
	show(PQdescribePrepared(conn, "s1"));
	show(PQdescribePrepared(conn, "s2"));
	show(PQdescribePrepared(conn, "never"));
	show(PQprepare(conn, "bad", "select nothing", 0, NULL));
	show(PQexecPrepared(conn, "bad", 0, NULL, NULL, NULL, 0));
	query(conn, "execute s3 (5)");
	query(conn, "deallocate all");
	show(PQexecPrepared(conn, "s4", 1, values, NULL, NULL, 0));
	show(PQprepare(conn, "s4", "select 'prepared again'", 0, NULL));
	show(PQexecPrepared(conn, "s4", 0, NULL, NULL, NULL, 0));
	query(conn, "discard all");
	show(PQexecPrepared(conn, "s4", 0, NULL, NULL, NULL, 0));
}

static void statements_and_rollback(PGconn *conn)
{
	query(conn, "begin");
	show(PQprepare(conn, "inside", "select 'prepared inside'", 0, NULL));
	query(conn, "rollback");
	show(PQexecPrepared(conn, "inside", 0, NULL, NULL, NULL, 0));
	query(conn, "begin");
	query(conn, "select 1 / 0");
	show(PQexecPrepared(conn, "inside", 0, NULL, NULL, NULL, 0));
	show(PQprepare(conn, "failed", "select 1", 0, NULL));
	query(conn, "rollback");
	show(PQexecPrepared(conn, "failed", 0, NULL, NULL, NULL, 0));
	show(PQexecPrepared(conn, "inside", 0, NULL, NULL, NULL, 0));
}

static void altered_table(PGconn *conn)
{
	query(conn, "create table %s.alt (a int); insert into %s.alt values (1)");
	show(PQprepare(conn, "star", with_schema("select * from %s.alt"), 0, NULL));
	show(PQexecPrepared(conn, "star", 0, NULL, NULL, NULL, 0));
	query(conn, "alter table %s.alt add column b text default 'new'");
	show(PQexecPrepared(conn, "star", 0, NULL, NULL, NULL, 0));
	query(conn, "deallocate star");
	show(PQprepare(conn, "star", with_schema("select * from %s.alt"), 0, NULL));
	show(PQexecPrepared(conn, "star", 0, NULL, NULL, NULL, 0));
	query(conn, "drop table %s.alt");
	show(PQexecPrepared(conn, "star", 0, NULL, NULL, NULL, 0));
}

static void portals(PGconn *conn)
{
	query(conn, "begin");
	query(conn, "declare c cursor for select g, g::text from generate_series(1, 9) g");
	show(PQdescribePortal(conn, "c"));
	show(PQexec(conn, "fetch 2 from c"));
	show(PQdescribePortal(conn, "none"));
	query(conn, "rollback");
	show(PQdescribePortal(conn, "c"));
	query(conn, "begin");
	query(conn, "declare b binary cursor for select 1::int");
	query(conn, "fetch b");
	query(conn, "commit");
}

/* ---- sessions ---- */

static void settings(PGconn *conn)
{
	static const char *const reported[] = { "application_name",
		                                "client_encoding",
		                                "DateStyle",
		                                "IntervalStyle",
		                                "TimeZone",
		                                "is_superuser",
		                                "session_authorization",
		                                "standard_conforming_strings",
		                                "server_encoding",
		                                "integer_datetimes" };
	size_t i;

	query(conn,
	      "set application_name = 'one'; set timezone = 'Asia/Tokyo'; set datestyle = 'SQL'");
	query(conn, "set search_path = %s; set work_mem = '7MB'; set app.x = 'y'");
	for (i = 0; i < 4; i++)
		query(conn, "select current_setting('search_path'), current_setting('work_mem'),"
		            " current_setting('app.x'), current_setting('timezone'),"
		            " current_setting('application_name')");
	for (i = 0; i < LENGTH(reported); i++)
		printf("%s=%s\n", reported[i], PQparameterStatus(conn, reported[i]));
	query(conn, "begin; set local timezone = 'UTC'; set work_mem = '9MB'");
	printf("TimeZone=%s\n", PQparameterStatus(conn, "TimeZone"));
	query(conn, "rollback");
	printf("TimeZone=%s\n", PQparameterStatus(conn, "TimeZone"));
	query(conn, "show work_mem");
	query(conn, "discard all");
	query(conn,
	      "select nullif(current_setting('app.x', true), ''), current_setting('work_mem')");
	printf("TimeZone=%s DateStyle=%s\n", PQparameterStatus(conn, "TimeZone"),
	       PQparameterStatus(conn, "DateStyle"));
}

static void status(PGconn *conn)
{
	printf("ssl=%d protocol=%d version=%d\n", PQsslInUse(conn), PQprotocolVersion(conn),
	       PQserverVersion(conn));
	printf("transaction=%d\n", (int)PQtransactionStatus(conn));
	query(conn, "begin");
	printf("transaction=%d\n", (int)PQtransactionStatus(conn));
	query(conn, "select 1 / 0");
	printf("transaction=%d\n", (int)PQtransactionStatus(conn));
	query(conn, "end");
	printf("transaction=%d\n", (int)PQtransactionStatus(conn));
	query(conn, "");
	query(conn, "select 1; ; select 2");
	printf("transaction=%d\n", (int)PQtransactionStatus(conn));
}

static void notices(PGconn *conn)
{
	query(conn, "do $$ begin raise notice 'a notice'; raise warning 'a warning'; end $$");
	query(conn, "drop table if exists %s.nothing");
	query(conn, "set client_min_messages = error");
	query(conn, "drop table if exists %s.nothing");
	query(conn, "reset client_min_messages");
	query(conn, "drop table if exists %s.nothing; commit");
}

/* Shows what has been notified until there are so many, or nothing more comes. */
static void show_notifies(PGconn *conn, int wanted)
{
	struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };
	PGnotify *n;

	while (wanted > 0) {
		while ((n = PQnotifies(conn)) != NULL) {
			printf("notify %s '%s'\n", n->relname, n->extra);
			PQfreemem(n);
			wanted--;
		}
		if (wanted > 0 && (poll(&fd, 1, 5000) <= 0 || !PQconsumeInput(conn))) {
			printf("nothing came\n");
			return;
		}
	}
}

static void listen_notify(PGconn *conn)
{
	PGconn *other = connect_with(NULL);
	int i;

	query(conn, "listen %s");
	for (i = 0; i < 3; i++)
		query(other, "select pg_notify('%s', 'hello')");
	show_notifies(conn, 3);
	query(conn, "notify %s, 'myself'");
	show_notifies(conn, 1);
	query(conn, "begin; notify %s, 'first'; notify %s, 'second'; notify %s, 'first'; commit");
	show_notifies(conn, 2);
	query(conn, "unlisten *");
	query(conn, "notify %s");
	query(conn, "select count(*) from pg_listening_channels()");
	PQfinish(other);
}

static void wait_for_sleep(PGconn *other)
{
	const char *sql =
		"select 1 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() "
		"and query like '%%%s-sleeps%%'";
	PGresult *res;
	int rows;

	do {
		res = PQexec(other, with_schema(sql));
		rows = PQntuples(res);
		PQclear(res);
	} while (rows == 0);
}

static void cancel(PGconn *conn)
{
	PGconn *other = connect_with(NULL);
	PGcancel *key;
	PGresult *res;
	char why[256];
	int i;

	for (i = 0; i < 4; i++) {
		PQsendQuery(conn, with_schema("select /* %s-sleeps */ pg_sleep(20)"));
		PQflush(conn);
		wait_for_sleep(other);
		key = PQgetCancel(conn);
		printf("cancel=%d\n", PQcancel(key, why, sizeof(why)));
		PQfreeCancel(key);
		while ((res = PQgetResult(conn)) != NULL)
			show(res);
		query(conn, "select 'goes on'");
	}
	PQfinish(other);
}

static const struct scenario scenarios[] = {
	{ "parameters", parameters },
	{ "binary", binary },
	{ "unnamed_statement", unnamed_statement },
	{ "named_statements", named_statements },
	{ "statements_and_rollback", statements_and_rollback },
	{ "altered_table", altered_table },
	{ "portals", portals },
	{ "settings", settings },
	{ "status", status },
	{ "notices", notices },
	{ "listen_notify", listen_notify },
	{ "cancel", cancel },
};

static void run(const struct scenario *which, size_t count)
{
	PGconn *conn;
	size_t i;

	for (i = 0; i < count; i++) {
		printf("== %s\n", which[i].name);
		conn = connect_with(NULL);
		which[i].run(conn);
		if (PQstatus(conn) != CONNECTION_OK)
			printf("!! the connection is lost: %s", PQerrorMessage(conn));
		PQfinish(conn);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: libpq_scenarios SCHEMA\n");
		return 2;
	}
	schema = argv[1];
	run(scenarios, LENGTH(scenarios));
	run(bulk_scenarios, bulk_scenario_count);
	run(pipeline_scenarios, pipeline_scenario_count);
	return 0;
}
