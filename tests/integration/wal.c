#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/wal.h"

/* Tests run at the same time, and PostgreSQL lets only one change a role. */
#define GRANT "SELECT pg_advisory_xact_lock(7); ALTER ROLE alice REPLICATION"

struct rig *wal_rig(const char *settings)
{
	struct rig *rig = rig_start(settings, WAL_DATABASES, WAL_IDENTITIES);

	rig_admin_exec(GRANT);
	return rig;
}

void wal_table(const char *name)
{
	rig_admin_exec(rig_printf("CREATE TABLE wal_%s (line text);"
	                          "CREATE PUBLICATION wal_%s FOR TABLE wal_%s",
	                          name, name, name)
	                       .s);
}

static void expect_copy_both(PGconn *conn, const char *command)
{
	PGresult *res = PQexec(conn, command);

	cr_assert_eq(PQresultStatus(res), PGRES_COPY_BOTH, "%s: %s", command, PQerrorMessage(conn));
	PQclear(res);
}

void wal_begin(PGconn *conn, const char *name)
{
	rig_exec(conn, rig_printf("CREATE_REPLICATION_SLOT wal_%s TEMPORARY LOGICAL pgoutput "
	                          "NOEXPORT_SNAPSHOT",
	                          name)
	                       .s);
	expect_copy_both(conn, rig_printf("START_REPLICATION SLOT wal_%s LOGICAL 0/0 "
	                                  "(proto_version '1', publication_names 'wal_%s')",
	                                  name, name)
	                               .s);
}

PGconn *wal_stream(const struct rig *rig, const char *name, const char *extra)
{
	PGconn *conn = rig_connect(rig, rig_printf("replication=database %s", extra).s);

	wal_table(name);
	wal_begin(conn, name);
	return conn;
}

void wal_begin_physical(PGconn *conn)
{
	PGresult *res = PQexec(conn, "IDENTIFY_SYSTEM");

	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK, "%s", PQerrorMessage(conn));
	expect_copy_both(conn,
	                 rig_printf("START_REPLICATION PHYSICAL %s", PQgetvalue(res, 0, 2)).s);
	PQclear(res);
}

PGconn *wal_physical(const struct rig *rig, const char *extra)
{
	PGconn *conn = rig_connect(rig, rig_printf("replication=true %s", extra).s);

	wal_begin_physical(conn);
	return conn;
}

/* The next piece; its size, or what PQgetCopyData says at the end. */
static int next_piece(PGconn *stream, char **piece)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;
	int n;

	while ((n = PQgetCopyData(stream, piece, 1)) == 0) {
		struct pollfd p = { .fd = PQsocket(stream), .events = POLLIN };

		cr_assert(poll(&p, 1, rig_left_ms(deadline)) > 0, "the stream brings nothing");
		if (PQconsumeInput(stream) == 0)
			return -2;
	}
	return n;
}

void wal_expect(PGconn *stream, const char *name, const char *line)
{
	bool found = false;
	char *piece;

	rig_admin_exec(rig_printf("INSERT INTO wal_%s VALUES ('%s')", name, line).s);
	while (!found) {
		int n = next_piece(stream, &piece);

		cr_assert_gt(n, 0, "the stream ended: %s", PQerrorMessage(stream));
		found = memmem(piece, (size_t)n, line, strlen(line)) != NULL;
		PQfreemem(piece);
	}
}

void wal_end(PGconn *stream)
{
	PGresult *res;
	char *piece;

	cr_assert_eq(PQputCopyEnd(stream, NULL), 1, "%s", PQerrorMessage(stream));
	cr_assert_eq(PQflush(stream), 0);
	while (next_piece(stream, &piece) > 0)
		PQfreemem(piece);
	while ((res = PQgetResult(stream)) != NULL) {
		cr_assert_neq(PQresultStatus(res), PGRES_FATAL_ERROR, "%s", PQerrorMessage(stream));
		PQclear(res);
	}
}

struct rig_text wal_last_words(PGconn *stream)
{
	struct rig_text text = { "" };
	PGresult *res;
	char *piece;

	while (next_piece(stream, &piece) > 0)
		PQfreemem(piece);
	while ((res = PQgetResult(stream)) != NULL) {
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

		if (state != NULL && text.s[0] == '\0')
			text = rig_printf("%s", state);
		PQclear(res);
	}
	return text;
}

int wal_backend(const char *application_name)
{
	return atoi(rig_admin_query(rig_printf("SELECT pid FROM pg_stat_activity "
	                                       "WHERE application_name = '%s'",
	                                       application_name)
	                                    .s)
	                    .s);
}

bool wal_backend_gone(int pid)
{
	return rig_admin_wait(
		rig_printf("SELECT count(*) FROM pg_stat_activity WHERE pid = %d", pid).s, "0",
		RIG_PATIENCE_MS);
}

void wal_expect_refused(const struct rig *rig, const char *name, const char *extra,
                        const char *words)
{
	PGconn *conn = rig_try_connect(rig, name, extra);

	cr_assert_eq(PQstatus(conn), CONNECTION_BAD, "%s: let in", extra);
	cr_assert(strstr(PQerrorMessage(conn), words) != NULL, "%s: %s", extra,
	          PQerrorMessage(conn));
	PQfinish(conn);
}

struct rig_text wal_column(PGconn *conn, const char *command, int column)
{
	PGresult *res = PQexec(conn, command);
	struct rig_text text;

	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK, "%s: %s", command, PQerrorMessage(conn));
	text = rig_printf("%s",
	                  PQgetisnull(res, 0, column) ? "(null)" : PQgetvalue(res, 0, column));
	PQclear(res);
	return text;
}
