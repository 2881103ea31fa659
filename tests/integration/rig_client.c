/* libpq clients of the rig: through pgseal as a user, and on its console. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

struct rig_text rig_conninfo(const struct rig *rig, const char *name, const char *extra)
{
	struct rig_text prefix;

	if (name == NULL)
		return rig_printf("host=localhost hostaddr=127.0.0.1 port=%d user=alice dbname=app "
		                  "sslmode=require sslcert=none sslkey=none connect_timeout=20 %s",
		                  rig_port(rig), extra != NULL ? extra : "");
	prefix = rig_cert(name);
	return rig_printf("host=localhost hostaddr=127.0.0.1 port=%d user=%s dbname=app "
	                  "sslmode=verify-full sslrootcert=%s/ca.crt sslcert=%.800s.crt "
	                  "sslkey=%.800s.key connect_timeout=20 %s", rig_port(rig), name, rig_pki(),
	                  prefix.s, prefix.s, extra != NULL ? extra : "");
}

PGconn *rig_try_connect(const struct rig *rig, const char *name, const char *extra)
{
	PGconn *conn = PQconnectdb(rig_conninfo(rig, name, extra).s);

	cr_assert(conn != NULL);
	return conn;
}

PGconn *rig_try_connect_bare(const struct rig *rig, const char *extra)
{
	return rig_try_connect(rig, NULL, extra);
}

PGconn *rig_connect_as(const struct rig *rig, const char *name, const char *extra)
{
	PGconn *conn = rig_try_connect(rig, name, extra);

	cr_assert(PQstatus(conn) == CONNECTION_OK, "%s, %s: %s", name, extra != NULL ? extra : "",
	          PQerrorMessage(conn));
	return conn;
}

PGconn *rig_connect(const struct rig *rig, const char *extra)
{
	return rig_connect_as(rig, "alice", extra);
}

static bool result_ok(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

static struct rig_text first_value(const PGresult *res)
{
	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) == 0)
		return rig_printf("%s", "");
	return rig_printf("%s", PQgetisnull(res, 0, 0) ? "(null)" : PQgetvalue(res, 0, 0));
}

const char *rig_told(const PGconn *conn, const char *name)
{
	const char *value = PQparameterStatus(conn, name);

	return value != NULL ? value : "(none)";
}

struct rig_text rig_query(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, sql);
	struct rig_text text = first_value(res);

	cr_assert(result_ok(res), "%s: %s", sql, PQerrorMessage(conn));
	PQclear(res);
	return text;
}

void rig_exec(PGconn *conn, const char *sql)
{
	(void)rig_query(conn, sql);
}

struct rig_text rig_scalar(PGconn *conn)
{
	struct rig_text text = { "" };
	PGresult *res;
	bool first = true;

	cr_assert(rig_wait_readable(conn, RIG_PATIENCE_MS), "no answer");
	while ((res = PQgetResult(conn)) != NULL) {
		cr_assert(result_ok(res), "%s", PQerrorMessage(conn));
		if (first)
			text = first_value(res);
		first = false;
		PQclear(res);
	}
	return text;
}

struct rig_text rig_outcome(PGconn *conn)
{
	struct rig_text text = { "" };
	PGresult *res;
	bool failed = false;

	cr_assert(rig_wait_readable(conn, RIG_PATIENCE_MS), "no answer");
	/* behind a FATAL libpq finds one more error: the end of the connection */
	while ((res = PQgetResult(conn)) != NULL) {
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

		if (!failed && !result_ok(res))
			text = rig_printf("%s", state != NULL ? state : "lost");
		failed = failed || !result_ok(res);
		PQclear(res);
	}
	return text;
}

struct rig_text rig_error(PGconn *conn, const char *sql)
{
	struct rig_text text;

	cr_assert(PQsendQuery(conn, sql), "%s: %s", sql, PQerrorMessage(conn));
	text = rig_outcome(conn);
	cr_assert(text.s[0] != '\0', "%s: did not fail", sql);
	return strcmp(text.s, "lost") == 0 ? (struct rig_text){ "" } : text;
}

bool rig_wait_readable(PGconn *conn, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;

	PQflush(conn);
	while (PQconsumeInput(conn) == 1 && PQisBusy(conn)) {
		struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

		if (poll(&p, 1, rig_left_ms(deadline)) == 0)
			return false;
	}
	return true;
}

static void note_sqlstate(void *arg, const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (sqlstate != NULL)
		*(struct rig_text *)arg = rig_printf("%s", sqlstate);
}

struct rig_text rig_last_words(PGconn *conn)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;
	struct rig_text last = { "" };
	PGresult *res;

	PQsetNoticeReceiver(conn, note_sqlstate, &last); /* for what comes while nothing is asked */
	while (PQstatus(conn) == CONNECTION_OK && rig_now_ms() < deadline) {
		struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

		poll(&p, 1, rig_left_ms(deadline));
		(void)PQconsumeInput(conn);
		while (!PQisBusy(conn) && (res = PQgetResult(conn)) != NULL) {
			if (last.s[0] == '\0')
				note_sqlstate(&last, res);
			PQclear(res);
		}
	}
	PQsetNoticeReceiver(conn, NULL, NULL);
	return PQstatus(conn) == CONNECTION_BAD ? last : (struct rig_text){ "open" };
}

bool rig_stays_silent(PGconn *conn, int wait_ms)
{
	return !rig_wait_readable(conn, wait_ms);
}

/* --- console --- */

PGresult *rig_console(const struct rig *rig, const char *command)
{
	struct rig_text info = rig_printf("host=%s port=%d user=pgseal dbname=pgseal connect_timeout=20",
	                                  rig_dir(rig), rig_port(rig));
	PGconn *conn = PQconnectdb(info.s);
	PGresult *res;

	cr_assert(PQstatus(conn) == CONNECTION_OK, "console: %s", PQerrorMessage(conn));
	res = PQexec(conn, command);
	PQfinish(conn);
	return res;
}

struct rig_text rig_cell(const PGresult *res, int row, const char *column)
{
	int col = PQfnumber(res, column);

	if (row < 0)
		row = PQntuples(res) - 1;
	cr_assert(col >= 0, "no column %s: %s", column, PQresultErrorMessage(res));
	cr_assert(row >= 0 && row < PQntuples(res), "no row %d", row);
	return rig_printf("%s", PQgetisnull(res, row, col) ? "(null)" : PQgetvalue(res, row, col));
}

/* Row where that column has that value, -1 if none. */
static int find_row(const PGresult *res, const char *key, const char *value)
{
	int col = PQfnumber(res, key);

	cr_assert(col >= 0, "no column %s: %s", key, PQresultErrorMessage(res));
	for (int row = 0; row < PQntuples(res); row++)
		if (strcmp(PQgetvalue(res, row, col), value) == 0)
			return row;
	return -1;
}

struct rig_text rig_console_value(const struct rig *rig, const char *command, const char *key,
                                  const char *value, const char *column)
{
	PGresult *res = rig_console(rig, command);
	int row = find_row(res, key, value);
	struct rig_text text;

	cr_assert(row >= 0, "%s: no row with %s = %s", command, key, value);
	text = rig_cell(res, row, column);
	PQclear(res);
	return text;
}

bool rig_console_wait(const struct rig *rig, const char *command, const char *key, const char *value,
                      const char *column, const char *want, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	bool met = false;

	for (;;) {
		PGresult *res = rig_console(rig, command);
		int row = find_row(res, key, value);

		met = row >= 0 && strcmp(rig_cell(res, row, column).s, want) == 0;
		PQclear(res);
		if (met || rig_left_ms(deadline) == 0)
			return met;
		rig_nap();
	}
}
