/* Replication connections: what goes through, who may, and how many. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/wal.h"

TestSuite(replication, .timeout = 120);

/* ---- what goes through ---- */

Test(replication, logical_takes_commands_and_sql_of_its_database)
{
	struct rig *rig = wal_rig("");
	PGconn *conn = rig_connect(rig, "replication=database dbname=other");

	cr_assert_str_eq(wal_column(conn, "IDENTIFY_SYSTEM", 3).s, "other");
	cr_assert_str_eq(rig_query(conn, "SELECT current_database()").s, "other");
	cr_assert_str_eq(rig_error(conn, "SELECT 1/0").s, "22012");
	cr_assert_str_eq(rig_query(conn, "SHOW server_version").s,
	                 PQparameterStatus(conn, "server_version"));
	PQfinish(conn);
	rig_stop(rig);
}

Test(replication, physical_takes_commands_but_no_sql_whatever_the_database)
{
	struct rig *rig = wal_rig("");

	for (int i = 0; i < 2; i++) {
		PGconn *conn = rig_connect(
			rig,
			rig_printf("replication=true dbname=%s", i == 0 ? "replication" : "app").s);

		cr_assert_str_eq(wal_column(conn, "IDENTIFY_SYSTEM", 3).s, "(null)");
		cr_assert_str_neq(rig_error(conn, "SELECT 1").s, "");
		cr_assert_str_eq(wal_column(conn, "IDENTIFY_SYSTEM", 3).s, "(null)");
		PQfinish(conn);
	}
	rig_stop(rig);
}

Test(replication, rows_that_others_write_are_streamed)
{
	struct rig *rig = wal_rig("");
	PGconn *stream = wal_stream(rig, "streamed", "");
	PGconn *writer = rig_connect(rig, "");

	wal_expect(stream, "streamed", "needle-one");
	rig_admin_exec("GRANT INSERT ON wal_streamed TO alice");
	rig_exec(writer, "INSERT INTO wal_streamed SELECT repeat('x', 1000) FROM "
	                 "generate_series(1, 5000)");
	wal_expect(stream, "streamed", "needle-two");
	PQfinish(writer);
	PQfinish(stream);
	rig_stop(rig);
}

Test(replication, behind_a_stream_that_the_client_ends_commands_go_on)
{
	struct rig *rig = wal_rig("");
	PGconn *stream = wal_stream(rig, "ended", "application_name=ended");
	int pid = wal_backend("ended");

	wal_expect(stream, "ended", "before");
	wal_end(stream);
	cr_assert_str_eq(wal_column(stream, "IDENTIFY_SYSTEM", 3).s, "app");
	cr_assert_eq(atoi(rig_query(stream, "SELECT pg_backend_pid()").s), pid);
	rig_exec(stream, "DROP_REPLICATION_SLOT wal_ended");
	/* of the other kind: a second logical one in a session ends at once, by PostgreSQL itself */
	wal_begin_physical(stream);
	wal_end(stream);
	cr_assert_eq(atoi(rig_query(stream, "SELECT pg_backend_pid()").s), pid);
	PQfinish(stream);
	rig_stop(rig);
}

Test(replication, keepalives_are_asked_for_and_answered_in_a_physical_stream)
{
	/* 'r': written, flushed and applied up to 0, at time 0; please answer */
	static const char ask[1 + 4 * 8 + 1] = { 'r', [33] = 1 };
	struct rig *rig = wal_rig("");
	PGconn *stream = wal_physical(rig, "");
	bool answered = false;
	char *piece;

	for (int i = 0; i < 10; i++)
		cr_assert_eq(PQputCopyData(stream, ask, sizeof(ask)), 1);
	cr_assert_eq(PQflush(stream), 0);
	while (!answered) {
		cr_assert_gt(PQgetCopyData(stream, &piece, 0), 0, "%s", PQerrorMessage(stream));
		answered = piece[0] == 'k';
		PQfreemem(piece);
	}
	PQfinish(stream);
	rig_stop(rig);
}

Test(replication, settings_of_the_client_are_in_the_login)
{
	struct rig *rig = wal_rig("ignore_startup_parameters = seq_page_cost\n");
	PGconn *conn = rig_connect(rig, "replication=database application_name='my \\\\ standby' "
	                                "options='-c work_mem=5MB -c app.odd=a\\\\ b\\\\\\\\c "
	                                "-c seq_page_cost=7'");

	cr_assert_str_eq(rig_query(conn, "SHOW work_mem").s, "5MB");
	cr_assert_str_eq(rig_query(conn, "SHOW app.odd").s, "a b\\c");
	cr_assert_str_eq(rig_query(conn, "SHOW seq_page_cost").s, "1");
	cr_assert_str_eq(rig_query(conn, "SHOW application_name").s, "my \\ standby");
	cr_assert_str_eq(PQparameterStatus(conn, "application_name"), "my \\ standby");
	PQfinish(conn);
	conn = rig_connect(rig, "replication=true application_name=physical_name "
	                        "options='-c work_mem=6MB'");
	cr_assert_str_eq(rig_query(conn, "SHOW work_mem").s, "6MB");
	cr_assert_neq(wal_backend("physical_name"), 0);
	PQfinish(conn);
	rig_stop(rig);
}

Test(replication, entry_may_set_options_and_a_name_that_the_client_overrides)
{
	struct rig *rig = wal_rig("application_name_add_host = 1\n");
	PGconn *conn;

	rig_configure(rig, "application_name_add_host = 1\n",
	              "app = @postgres@ dbname=app application_name=entry "
	              "options='-c work_mem=7MB -c random_page_cost=3'\n",
	              WAL_IDENTITIES);
	cr_assert(rig_reload(rig, NULL));
	conn = rig_connect(rig, "replication=database application_name=mine "
	                        "options='-c work_mem=8MB'");
	cr_assert_str_eq(rig_query(conn, "SHOW work_mem").s, "8MB");
	cr_assert_str_eq(rig_query(conn, "SHOW random_page_cost").s, "3");
	cr_assert(strncmp(rig_query(conn, "SHOW application_name").s, "mine - 127.0.0.1:", 17) ==
	          0);
	PQfinish(conn);
	rig_stop(rig);
}

/* ---- who may ---- */

Test(replication, must_be_granted_to_the_identity)
{
	struct rig *rig = wal_rig("");
	PGconn *conn;

	wal_expect_refused(rig, "bob", "replication=database",
	                   "permission denied to start WAL sender");
	wal_expect_refused(rig, "bob", "replication=true", "permission denied to start WAL sender");
	cr_assert(rig_wait_log(rig, "sqlstate=42501 .*identity plain has no replication=yes",
	                       RIG_PATIENCE_MS));
	conn = rig_connect_as(rig, "bob", "replication=false");
	cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1");
	PQfinish(conn);
	rig_stop(rig);
}

Test(replication, is_refused_where_nobody_could_grant_it)
{
	struct rig *rig = rig_start(NULL, NULL, NULL);

	wal_expect_refused(rig, "alice", "replication=database",
	                   "permission denied to start WAL sender");
	rig_stop(rig);
}

Test(replication, server_has_its_own_mind_about_the_role)
{
	struct rig *rig = wal_rig("");
	PGconn *conn = rig_try_connect(rig, "carol", "replication=database");

	cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
	cr_assert(strcasestr(PQerrorMessage(conn), "wal") != NULL, "%s", PQerrorMessage(conn));
	PQfinish(conn);
	cr_assert(rig_wait_log(rig, "login failed: .*role=\"carol\" sqlstate=42501",
	                       RIG_PATIENCE_MS));
	wal_expect_refused(rig, "alice", "replication=database options='-c no_such_setting=1'",
	                   "no_such_setting");
	rig_stop(rig);
}

/* What the packet calls "seq_page_cost=5 -c x" must not become a setting on its way through options. */
Test(replication, names_of_settings_cannot_be_taken_for_others)
{
	static const char *const odd[] = { "seq_page_cost=5", "seq-page-cost", "=", "a b",
		                           "seq_page_cost=5 -c a" };
	struct rig *rig = wal_rig("ignore_startup_parameters = seq_page_cost\n");

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		const char *const params[] = { "user", "alice",       "database",
			                       "app",  "replication", "database",
			                       odd[i], "6",           NULL };
		struct guest g = guest_tls(rig, "alice");
		struct guest_answer answer;

		guest_startup(&g, GUEST_V3_0, params);
		guest_answer(&g, &answer);
		cr_assert_not(answer.ready, "%s", odd[i]);
		cr_assert(strncmp(answer.sqlstate, "42", 2) == 0, "%s: %s %s", odd[i],
		          answer.sqlstate, answer.message);
		guest_leave(&g);
	}
	rig_stop(rig);
}

Test(replication, word_is_read_as_postgres_reads_it)
{
	struct rig *rig = wal_rig("");
	PGconn *conn;

	wal_expect_refused(rig, "alice", "replication=Database",
	                   "invalid value for parameter \"replication\": \"Database\"");
	wal_expect_refused(rig, "alice", "replication=2", "Valid values are");
	conn = rig_connect(rig, "replication=TR");
	cr_assert_str_eq(wal_column(conn, "IDENTIFY_SYSTEM", 3).s, "(null)");
	PQfinish(conn);
	rig_stop(rig);
}

Test(replication, missing_entry_for_the_tools_is_told_with_the_remedy)
{
	struct rig *rig = rig_start(NULL, "app = @postgres@ dbname=app\n", WAL_IDENTITIES);

	wal_expect_refused(rig, "alice", "replication=true dbname=replication",
	                   "needs an entry of that name in [databases]");
	rig_stop(rig);
}

/* ---- limits ---- */

Test(replication, limit_is_exact_and_apart_from_pool_sizes)
{
	struct rig *rig = wal_rig("workers = 2\nmax_replication_connections = 2\n"
	                          "max_db_connections = 1\n");
	PGconn *a = rig_connect(rig, "replication=database");
	PGconn *b = rig_connect(rig, "replication=true");
	PGconn *plain = rig_connect(rig, "");

	cr_assert_str_eq(rig_query(plain, "SELECT 1").s, "1");
	wal_expect_refused(rig, "alice", "replication=database",
	                   "\"max_replication_connections\" "
	                   "(currently 2)");
	cr_assert(
		rig_wait_log(rig, "sqlstate=53300 .*max_replication_connections", RIG_PATIENCE_MS));
	cr_assert_str_eq(rig_query(a, "SELECT 1").s, "1");
	PQfinish(a);
	cr_assert(rig_wait_log(rig, "session .*close: .*client closed", RIG_PATIENCE_MS));
	a = rig_connect(rig, "replication=database");
	cr_assert_str_eq(rig_query(a, "SELECT 1").s, "1");
	PQfinish(a);
	PQfinish(b);
	PQfinish(plain);
	rig_stop(rig);
}

Test(replication, limit_of_none_lets_nobody_in)
{
	struct rig *rig = wal_rig("max_replication_connections = 0\n");

	wal_expect_refused(rig, "alice", "replication=true", "(currently 0)");
	rig_stop(rig);
}
