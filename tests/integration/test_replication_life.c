/* Replication connections: whom the server belongs to, what disturbs the two, and how they end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <criterion/criterion.h>

#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/wal.h"

TestSuite(replication_life, .timeout = 120);

static struct rig_text client_cell(const struct rig *rig, const char *application_name,
                                   const char *column)
{
	return rig_console_value(rig, "SHOW CLIENTS", "application_name", application_name, column);
}

/* ---- whose the server is ---- */

Test(replication_life, server_is_its_own_and_ends_with_its_client)
{
	struct rig *rig = wal_rig("workers = 1\n");
	PGconn *conn = rig_connect(rig, "replication=database"), *plain;
	int pid = atoi(rig_query(conn, "SELECT pg_backend_pid()").s);

	rig_exec(conn, "SET work_mem = '9MB'");
	plain = rig_connect(rig, "");
	cr_assert_neq(atoi(rig_query(plain, "SELECT pg_backend_pid()").s), pid);
	cr_assert_eq(atoi(rig_query(conn, "SELECT pg_backend_pid()").s), pid);
	cr_assert_str_eq(rig_query(conn, "SHOW work_mem").s, "9MB");
	PQfinish(conn);
	cr_assert(wal_backend_gone(pid));
	conn = rig_connect(rig, "replication=database");
	cr_assert_neq(atoi(rig_query(conn, "SELECT pg_backend_pid()").s), pid);
	cr_assert_str_neq(rig_query(conn, "SHOW work_mem").s, "9MB");
	PQfinish(conn);
	PQfinish(plain);
	rig_stop(rig);
}

Test(replication_life, stream_ends_at_the_server_when_its_client_breaks_off)
{
	struct rig *rig = wal_rig("");
	PGconn *stream = wal_stream(rig, "broken_off", "application_name=broken_off");
	int pid = wal_backend("broken_off");

	cr_assert_neq(pid, 0);
	shutdown(PQsocket(stream), SHUT_RDWR);
	cr_assert(wal_backend_gone(pid));
	PQfinish(stream);
	rig_stop(rig);
}

/* The server does not look at its connection while it waits: only a cancel reaches it. */
Test(replication_life, what_a_client_left_running_is_cancelled)
{
	struct rig *rig = wal_rig("");
	PGconn *conn = rig_connect(rig, "replication=database application_name=left_running");
	int pid = atoi(rig_query(conn, "SELECT pg_backend_pid()").s);

	cr_assert(PQsendQuery(conn, "SELECT pg_sleep(600)"));
	cr_assert_eq(PQflush(conn), 0);
	cr_assert(rig_admin_wait("SELECT state FROM pg_stat_activity WHERE "
	                         "application_name = 'left_running'",
	                         "active", RIG_PATIENCE_MS));
	shutdown(PQsocket(conn), SHUT_RDWR);
	cr_assert(wal_backend_gone(pid));
	PQfinish(conn);
	rig_stop(rig);
}

Test(replication_life, client_that_leaves_before_the_login_leaves_no_server)
{
	struct rig *rig = wal_rig("");
	PGconn *conn;

	PQclear(rig_console(rig, "PAUSE"));
	conn = PQconnectStart(rig_conninfo(rig, "alice",
	                                   "replication=database "
	                                   "application_name=early")
	                              .s);
	while (PQconnectPoll(conn) != PGRES_POLLING_FAILED &&
	       !rig_log_contains(rig, "login: identity=\"streamer\""))
		rig_nap();
	PQfinish(conn);
	cr_assert(rig_wait_log(rig, "close: identity=\"streamer\"", RIG_PATIENCE_MS));
	PQclear(rig_console(rig, "RESUME"));
	conn = rig_connect(rig, "replication=database application_name=late");
	cr_assert_eq(wal_backend("early"), 0);
	PQfinish(conn);
	rig_stop(rig);
}

Test(replication_life, end_by_the_server_is_the_end_of_the_client)
{
	struct rig *rig = wal_rig("");
	PGconn *stream = wal_stream(rig, "terminated", "application_name=terminated");

	rig_admin_exec(rig_printf("SELECT pg_terminate_backend(%d)", wal_backend("terminated")).s);
	cr_assert_str_eq(wal_last_words(stream).s, "57P01");
	cr_assert_eq(PQstatus(stream), CONNECTION_BAD);
	PQfinish(stream);
	rig_stop(rig);
}

/* ---- cancel ---- */

Test(replication_life, cancel_ends_a_query_or_a_stream_and_the_session_goes_on)
{
	struct rig *rig = wal_rig("");
	PGconn *conn = wal_stream(rig, "cancelled", "application_name=cancelled");
	int pid = wal_backend("cancelled");

	frames_cancel_of(conn);
	cr_assert_str_eq(wal_last_words(conn).s, "57014");
	cr_assert_eq(atoi(rig_query(conn, "SELECT pg_backend_pid()").s), pid);
	cr_assert(PQsendQuery(conn, "SELECT pg_sleep(600)"));
	cr_assert_eq(PQflush(conn), 0);
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_stat_activity WHERE "
	                         "application_name = 'cancelled' AND query LIKE '%sleep%' "
	                         "AND state = 'active'",
	                         "1", RIG_PATIENCE_MS));
	frames_cancel_of(conn);
	cr_assert_str_eq(rig_outcome(conn).s, "57014");
	cr_assert_eq(atoi(rig_query(conn, "SELECT pg_backend_pid()").s), pid);
	PQfinish(conn);
	rig_stop(rig);
}

Test(replication_life, cancel_of_a_physical_stream_needs_no_database_of_its_name)
{
	struct rig *rig = wal_rig("");
	PGconn *conn = wal_physical(rig, "dbname=replication");

	frames_cancel_of(conn);
	cr_assert_str_eq(wal_last_words(conn).s, "57014");
	cr_assert_str_eq(wal_column(conn, "IDENTIFY_SYSTEM", 3).s, "(null)");
	PQfinish(conn);
	rig_stop(rig);
}

/* ---- the console ---- */

Test(replication_life, console_tells_which_kind_and_loses_no_count)
{
	struct rig *rig = wal_rig("workers = 1\n");
	PGconn *logical = wal_stream(rig, "told", "application_name=told_logical");
	PGconn *physical = wal_physical(rig, "application_name=told_physical");
	PGconn *plain = rig_connect(rig, "application_name=told_plain");
	int64_t queries;

	rig_exec(plain, "SELECT 1");
	cr_assert_str_eq(client_cell(rig, "told_logical", "replication").s, "logical");
	cr_assert_str_eq(client_cell(rig, "told_physical", "replication").s, "physical");
	cr_assert_str_eq(client_cell(rig, "told_plain", "replication").s, "none");
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "application_name", "told_logical",
	                                   "replication")
	                         .s,
	                 "logical");
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "application_name", "told_physical",
	                                   "replication")
	                         .s,
	                 "physical");
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "application_name", "told_plain",
	                                   "replication")
	                         .s,
	                 "none");
	wal_end(logical);
	queries = atoll(
		rig_console_value(rig, "SHOW STATS", "database", "app", "total_query_count").s);
	cr_assert_geq(queries, 3);
	PQfinish(logical);
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "cl_active", "2",
	                           RIG_PATIENCE_MS));
	cr_assert_geq(
		atoll(rig_console_value(rig, "SHOW STATS", "database", "app", "total_query_count")
	                      .s),
		queries);
	PQfinish(physical);
	PQfinish(plain);
	rig_stop(rig);
}

Test(replication_life, pause_reload_and_reconnect_leave_streams)
{
	struct rig *rig = wal_rig("server_fast_close = 1\n");
	PGconn *stream = wal_stream(rig, "left", "application_name=left_alone");
	PGconn *rests = rig_connect(rig, "replication=database");
	int pid = wal_backend("left_alone");

	rig_exec(rests, "SELECT 1");
	PQclear(rig_console(rig, "PAUSE")); /* which returns */
	wal_expect(stream, "left", "while paused");
	PQclear(rig_console(rig, "RESUME"));
	PQclear(rig_console(rig, "RECONNECT"));
	PQclear(rig_console(rig, "WAIT_CLOSE"));
	wal_expect(stream, "left", "behind RECONNECT");
	rig_configure(rig, "server_fast_close = 1\n",
	              "app = @postgres@ dbname=app application_name=another\n", WAL_IDENTITIES);
	cr_assert(rig_reload(rig, NULL));
	wal_expect(stream, "left", "behind RELOAD");
	wal_end(stream);
	cr_assert_eq(atoi(rig_query(stream, "SELECT pg_backend_pid()").s), pid);
	cr_assert_str_eq(rig_query(rests, "SELECT 1").s, "1");
	PQfinish(stream);
	PQfinish(rests);
	rig_stop(rig);
}

Test(replication_life, kill_ends_client_and_server)
{
	struct rig *rig = wal_rig("");
	PGconn *stream = wal_stream(rig, "killed", "application_name=killed");
	int pid = wal_backend("killed");
	struct rig_text id = client_cell(rig, "killed", "id");

	PQclear(rig_console(rig, rig_printf("KILL_CLIENT %.40s", id.s).s));
	cr_assert_str_eq(wal_last_words(stream).s, "57P01");
	cr_assert(wal_backend_gone(pid));
	PQfinish(stream);
	rig_stop(rig);
}

Test(replication_life, kill_of_a_database_takes_its_streams)
{
	struct rig *rig = wal_rig("workers = 2\n");
	PGconn *stream = wal_stream(rig, "killed_too", "application_name=killed_too");
	PGconn *physical = wal_physical(rig, "dbname=replication");

	PQclear(rig_console(rig, "KILL app"));
	cr_assert_str_eq(wal_last_words(stream).s, "57P01");
	wal_end(physical);
	cr_assert_str_eq(wal_column(physical, "IDENTIFY_SYSTEM", 3).s, "(null)");
	PQfinish(stream);
	PQfinish(physical);
	rig_stop(rig);
}

/* ---- time, and the end ---- */

/* The ordinary client is younger, and ended by the same settings. */
Test(replication_life, time_limits_of_queries_and_idleness_are_not_for_it)
{
	struct rig *rig = wal_rig("query_timeout = 1\ntransaction_timeout = 1\n"
	                          "idle_transaction_timeout = 1\nclient_idle_timeout = 1\n"
	                          "server_idle_timeout = 1\nserver_lifetime = 1\n");
	PGconn *fresh = rig_connect(rig, "replication=database");
	PGconn *rests = rig_connect(rig, "replication=database");
	PGconn *stream = wal_stream(rig, "timeless", ""), *plain;

	rig_exec(rests, "BEGIN");
	for (int i = 0; i < 2; i++) {
		plain = rig_connect(rig, "");
		cr_assert_str_eq(rig_last_words(plain).s, "57P05");
		PQfinish(plain);
	}
	wal_expect(stream, "timeless", "still");
	cr_assert_str_eq(rig_query(rests, "SELECT 1").s, "1");
	cr_assert_str_eq(rig_query(fresh, "SELECT 1").s, "1");
	PQfinish(stream);
	PQfinish(rests);
	PQfinish(fresh);
	rig_stop(rig);
}

Test(replication_life, wait_for_a_login_is_limited)
{
	struct rig *rig = wal_rig("query_wait_timeout = 1\n");

	rig_configure(rig, "query_wait_timeout = 1\n", "app = host=127.0.0.1 port=1 dbname=app\n",
	              WAL_IDENTITIES);
	cr_assert(rig_reload(rig, NULL));
	wal_expect_refused(rig, "alice", "replication=database", "refused");
	cr_assert(rig_wait_log(rig, "close: identity=\"streamer\" reason=\"server login failed\"",
	                       RIG_PATIENCE_MS));
	rig_stop(rig);
}

Test(replication_life, shutdown_waits_for_no_stream)
{
	struct rig *rig = wal_rig("shutdown_timeout = 0\n");
	PGconn *stream = wal_stream(rig, "shut", ""), *busy = rig_connect(rig, "");
	PGconn *physical = wal_physical(rig, "");

	rig_exec(busy, "BEGIN");
	rig_signal(rig, SIGTERM);
	cr_assert_str_eq(wal_last_words(stream).s, "57P01");
	cr_assert_str_eq(wal_last_words(physical).s, "57P01");
	cr_assert_str_eq(rig_query(busy, "SELECT 1").s, "1");
	rig_exec(busy, "COMMIT");
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(stream);
	PQfinish(physical);
	PQfinish(busy);
	rig_stop(rig);
}
