/* What pgseal itself raises: PostgreSQL's SQLSTATE, a remedy where there is one, and a word that tells that
 * it was the pooler. */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

TestSuite(words, .timeout = 60);

/* The same fields of a connection that could not be made; libpq keeps their text only. */
static void expect_refused(const struct rig *rig, const char *name, const char *extra,
                           const char *message, const char *hint)
{
	PGconn *conn = rig_try_connect(rig, name, extra);
	const char *said = PQerrorMessage(conn);

	cr_assert_eq(PQstatus(conn), CONNECTION_BAD, "%s", extra);
	cr_assert(strstr(said, message) != NULL, "%s: %s", extra, said);
	cr_assert(strstr(said, hint) != NULL, "%s: %s", extra, said);
	PQfinish(conn);
}

struct words {
	char sqlstate[8], message[200], hint[300], file[20];
};

static void keep(char *to, size_t size, const PGresult *res, int field)
{
	const char *text = PQresultErrorField(res, field);

	snprintf(to, size, "%s", text != NULL ? text : "");
}

static void take(void *arg, const PGresult *res)
{
	struct words *w = arg;

	keep(w->sqlstate, sizeof(w->sqlstate), res, PG_DIAG_SQLSTATE);
	keep(w->message, sizeof(w->message), res, PG_DIAG_MESSAGE_PRIMARY);
	keep(w->hint, sizeof(w->hint), res, PG_DIAG_MESSAGE_HINT);
	keep(w->file, sizeof(w->file), res, PG_DIAG_SOURCE_FILE);
}

static void expect(const struct words *w, const char *sqlstate, const char *message, const char *hint)
{
	cr_assert_str_eq(w->sqlstate, sqlstate, "%s", w->message);
	cr_assert(strstr(w->message, message) != NULL, "%s", w->message);
	cr_assert(strstr(w->hint, hint) != NULL, "%s: %s", w->message, w->hint);
	cr_assert_str_eq(w->file, "pgseal", "%s", w->message);
}

/* What the first result says that has something to say: libpq adds one of its own when the connection ends. */
static struct words fails(PGconn *conn, const char *sql)
{
	struct words w = { 0 };
	PGresult *res;

	cr_assert(PQsendQuery(conn, sql), "%s", PQerrorMessage(conn));
	while ((res = PQgetResult(conn)) != NULL) {
		if (w.sqlstate[0] == '\0')
			take(&w, res);
		PQclear(res);
	}
	return w;
}

Test(words, whoever_is_refused_learns_what_to_do)
{
	struct rig *rig = rig_start("max_client_conn = 2\nmax_db_client_connections = 1\n", NULL,
	                            "rest = cn:/^([a-z]+)$/ roles=\\1\n");
	PGconn *one = rig_connect(rig, ""), *other;

	expect_refused(rig, "alice", "user=bob", "certificate authentication failed for user \"bob\"",
	               "HINT:  The log of the pooler tells why.");
	expect_refused(rig, "alice", "replication=true", "permission denied to start WAL sender",
	               "HINT:  The certificate needs replication=yes in [identities]");
	expect_refused(rig, "alice", "", "too many connections for database \"app\"",
	               "or raise max_db_client_connections of the pooler.");
	other = rig_connect(rig, "dbname=other");
	expect_refused(rig, "alice", "", "sorry, too many clients already",
	               "or raise max_client_conn of the pooler.");
	expect_refused(rig, "alice", "sslmode=disable", "requires TLS with a client certificate",
	               "HINT:  Set sslmode=verify-full, sslcert and sslkey");
	PQfinish(other);
	PQfinish(one);
	rig_stop(rig);
}

Test(words, who_waits_in_vain_learns_for_what)
{
	struct rig *rig = rig_start("default_pool_size = 1\nquery_wait_timeout = 200ms\n", NULL, NULL);
	PGconn *busy = rig_connect(rig, ""), *late = rig_connect(rig, "");
	struct words w;

	rig_exec(busy, "BEGIN");
	w = fails(late, "SELECT 1");
	expect(&w, "53300", "query_wait_timeout", "raise default_pool_size or query_wait_timeout");
	PQfinish(late);
	PQfinish(busy);
	late = rig_connect(rig, "");
	PQclear(rig_console(rig, "PAUSE"));
	w = fails(late, "SELECT 1");
	expect(&w, "57P03", "pool is paused", "RESUME");
	PQfinish(late);
	rig_stop(rig);
}

Test(words, who_keeps_too_much_learns_where_to_look)
{
	struct rig *rig = rig_start("pool_mode = transaction\nmax_pinned_servers = 1\n", NULL, NULL);
	PGconn *one = rig_connect(rig, ""), *two = rig_connect(rig, "");
	struct words w = { 0 };

	rig_exec(one, "LISTEN news");
	PQsetNoticeReceiver(two, take, &w); /* they come unasked, behind the answer */
	rig_exec(two, "LISTEN news");
	while (w.sqlstate[0] == '\0' && rig_wait_readable(two, RIG_PATIENCE_MS) &&
	       PQconsumeInput(two))
		(void)PQisBusy(two);
	expect(&w, "53400", "too many server connections are kept by sessions", "SHOW PINS");
	PQfinish(two);
	PQfinish(one);
	rig_stop(rig);
}

Test(words, a_statement_of_nobody_is_told_apart_from_the_servers_own)
{
	struct rig *rig = rig_start("pool_mode = transaction\n", NULL, NULL);
	PGconn *conn = rig_connect(rig, "");
	PGresult *res = PQexecPrepared(conn, "", 0, NULL, NULL, NULL, 0);
	struct words w;

	take(&w, res);
	PQclear(res);
	expect(&w, "26000", "unnamed prepared statement does not exist", "");
	w = fails(conn, "SELECT 1/0");
	cr_assert_str_eq(w.sqlstate, "22012");
	cr_assert_str_neq(w.file, "pgseal");
	PQfinish(conn);
	rig_stop(rig);
}
