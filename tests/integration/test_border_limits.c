/* How many parameters a client may have of its own, and how large they may be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

TestSuite(border_limits, .timeout = 120);

/* What the session was ended with, whether it came as an answer or in between. */
struct verdict {
	char sqlstate[8];
	bool hint;
};

static void note(void *arg, const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	struct verdict *v = arg;

	if (sqlstate == NULL || v->sqlstate[0] != '\0')
		return;
	snprintf(v->sqlstate, sizeof(v->sqlstate), "%s", sqlstate);
	v->hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT) != NULL;
}

/* All that the server says to it, a FATAL in front of the end of the connection too. False: it failed. */
static bool tell(PGconn *conn, const char *sql, struct verdict *out)
{
	bool ok = PQsendQuery(conn, sql) == 1;
	PGresult *res;

	while ((res = PQgetResult(conn)) != NULL) {
		ok = ok && PQresultStatus(res) != PGRES_FATAL_ERROR;
		note(out, res);
		PQclear(res);
	}
	return ok;
}

/* Set one parameter after the other until the session ends; how many were set before. */
static int set_until_end(PGconn *conn, size_t size, int most, struct verdict *out)
{
	char value[2000];
	int n = 0;

	cr_assert(size < sizeof(value));
	memset(value, 'v', size);
	value[size] = '\0';
	memset(out, 0, sizeof(*out));
	PQsetNoticeReceiver(conn, note, out);
	while (n < most && PQstatus(conn) == CONNECTION_OK)
		n += tell(conn, rig_printf("SET app.p%d = '%s'", n, value).s, out);
	return n;
}

static void ends_beyond(const char *database, const char *settings, size_t size, int fits, int most)
{
	struct rig *rig;
	struct verdict verdict = { "", false };
	PGconn *greedy, *other;
	int n;

	crowd_database(database);
	rig = rig_start(settings, crowd_entry(database, "pool_size=2").s, NULL);
	greedy = rig_connect(rig, rig_printf("dbname=%s", database).s);
	other = rig_connect(rig, rig_printf("dbname=%s", database).s);
	rig_exec(other, "SET app.p1 = 'mine'");
	n = set_until_end(greedy, size, most, &verdict);
	cr_assert_eq(PQstatus(greedy), CONNECTION_BAD, "%d parameters, and no end", n);
	cr_assert_str_eq(verdict.sqlstate, "54000", "after %d: %s", n, verdict.sqlstate);
	cr_assert(verdict.hint, "no hint");
	cr_assert_geq(n, fits);
	/* nothing of it is left, and others have what they had */
	for (int i = 0; i < 3; i++)
		cr_assert_str_eq(rig_query(other, "SELECT current_setting('app.p1', true) || "
		                                  "coalesce(current_setting('app.p2', true), '')")
		                         .s,
		                 "mine");
	PQfinish(greedy);
	greedy = rig_connect(rig, rig_printf("dbname=%s", database).s);
	cr_assert_str_eq(
		rig_query(greedy, "SELECT coalesce(current_setting('app.p2', true), '')").s, "");
	PQfinish(greedy);
	PQfinish(other);
	rig_stop(rig);
}

Test(border_limits, too_many_parameters_end_the_session)
{
	ends_beyond("lm_count", "max_client_parameters=20\n", 10, 10, 40);
}

Test(border_limits, too_large_parameters_end_the_session)
{
	ends_beyond("lm_memory", "max_client_parameter_memory=8kB\n", 1000, 4, 20);
}

Test(border_limits, many_parameters_of_one_text_end_the_session)
{
	struct verdict verdict = { "", false };
	char text[2000] = "";
	PGconn *greedy;
	struct rig *rig;

	crowd_database("lm_text");
	rig = rig_start("max_client_parameters=20\n", crowd_entry("lm_text", "pool_size=1").s,
	                NULL);
	greedy = rig_connect(rig, "dbname=lm_text");
	PQsetNoticeReceiver(greedy, note, &verdict);
	for (int i = 0; i < 40; i++)
		sprintf(text + strlen(text), "SET app.p%d = 'v';", i);
	for (int i = 0; i < 2 && PQstatus(greedy) == CONNECTION_OK; i++)
		tell(greedy, i == 0 ? text : "SELECT 1", &verdict);
	cr_assert_str_eq(verdict.sqlstate, "54000");
	PQfinish(greedy);
	greedy = rig_connect(rig, "dbname=lm_text");
	cr_assert_str_eq(
		rig_query(greedy, "SELECT coalesce(current_setting('app.p2', true), '')").s, "");
	PQfinish(greedy);
	rig_stop(rig);
}

#define MANY 900

static const char count_them[] = "SELECT count(*) FROM generate_series(1, 900) i "
				 "WHERE current_setting('app.p' || i, true) = 'v' || i";

Test(border_limits, below_them_all_parameters_follow)
{
	static char text[30 * MANY];
	PGconn *conns[3];
	struct rig *rig;
	size_t len = 0;

	crowd_database("lm_many");
	rig = rig_start("workers=1\nserver_round_robin=1\n",
	                crowd_entry("lm_many", "pool_size=2").s, NULL);
	for (int i = 0; i < 3; i++)
		conns[i] = rig_connect(rig, "dbname=lm_many");
	for (int i = 1; i <= MANY; i++)
		len += (size_t)sprintf(text + len, "SET app.p%d='v%d';", i, i);
	for (int i = 1; i < 3; i++) /* two servers */
		rig_exec(conns[i], "BEGIN");
	for (int i = 1; i < 3; i++)
		rig_exec(conns[i], "COMMIT");
	rig_exec(conns[0], text);
	for (int round = 0; round < 3; round++) {
		cr_assert_str_eq(rig_query(conns[0], count_them).s, "900");
		cr_assert_str_eq(rig_query(conns[1], count_them).s, "0");
		cr_assert_str_eq(rig_query(conns[0], count_them).s, "900");
	}
	cr_assert_eq(rig_log_count(rig, "pinned"), 0);
	for (int i = 0; i < 3; i++)
		PQfinish(conns[i]);
	rig_stop(rig);
}
