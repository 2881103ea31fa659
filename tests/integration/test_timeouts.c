/* query_timeout, transaction_timeout, idle_transaction_timeout, client_idle_timeout and
 * cancel_wait_timeout: each acts on whom it is meant for, not before its time, and on nobody else. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

TestSuite(timeouts, .timeout = 180);

static struct rig *rig;
static const char *base; /* the test's own database */

static struct rig_text entries(const char *keys, const char *users)
{
	return rig_printf("%s[users]\n%s", crowd_entry(base, keys).s, users);
}

static struct rig_text own(const char *settings)
{
	return rig_printf("workers = 2\n%s", settings);
}

static void start(const char *database, const char *settings, const char *keys, const char *users)
{
	base = database;
	crowd_database(database);
	rig = rig_start(own(settings).s, entries(keys, users).s, NULL);
}

static void reload(const char *settings, const char *keys, const char *users)
{
	struct rig_text why;

	rig_configure(rig, own(settings).s, entries(keys, users).s, NULL);
	cr_assert(rig_reload(rig, &why), "%s", why.s);
}

static PGconn *join_as(const char *role)
{
	return rig_connect_as(rig, role, rig_printf("dbname=%s", base).s);
}

static PGconn *join(void)
{
	return join_as("alice");
}

/* Time passes; how much more than that does not matter. */
static void pass(int ms)
{
	int64_t until = rig_now_ms() + ms;

	while (rig_now_ms() < until)
		rig_nap();
}

static void runs_endless(PGconn *conn)
{
	cr_assert(PQsendQuery(conn, "SELECT pg_sleep(600)"));
	cr_assert(rig_admin_wait(rig_printf("SELECT count(*) FROM pg_stat_activity WHERE datname = "
	                                    "'%s' AND state = 'active' AND query LIKE '%%600%%'",
	                                    base)
	                                 .s,
	                         "1", RIG_PATIENCE_MS));
}

/* The connection ends by itself, and its last words are this SQLSTATE. */
static void assert_ended(PGconn *conn, const char *sqlstate)
{
	cr_assert_str_eq(rig_last_words(conn).s, sqlstate);
}

/* No server of this database is left in the middle of anything. */
static void assert_all_at_rest(void)
{
	cr_assert(rig_admin_wait(rig_printf("SELECT count(*) FROM pg_stat_activity WHERE datname = "
	                                    "'%s' AND state <> 'idle'",
	                                    base)
	                                 .s,
	                         "0", RIG_PATIENCE_MS));
}

static void swallow(void *arg, const char *message)
{
	struct rig_text *text = arg;

	snprintf(text->s, sizeof(text->s), "%s", message);
}

/* ---- query_timeout ---- */

Test(timeouts, query_is_cancelled_and_the_session_goes_on)
{
	struct rig_text notice = { "" };
	PGconn *conn;

	start("t_query", "query_timeout = 300ms\n", "pool_size=1", "");
	conn = join();
	PQsetNoticeProcessor(conn, swallow, &notice);
	cr_assert_str_eq(rig_error(conn, "SELECT pg_sleep(600)").s, "57014");
	cr_assert(strstr(notice.s, "canceling statement due to query_timeout") != NULL, "%s",
	          notice.s);
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	rig_exec(conn, "BEGIN");
	cr_assert_str_eq(rig_error(conn, "SELECT pg_sleep(600)").s, "57014");
	cr_assert_eq(PQtransactionStatus(conn), PQTRANS_INERROR);
	rig_exec(conn, "ROLLBACK");
	cr_assert_eq(rig_log_count(rig, " query_timeout: server="), 2);
	PQfinish(conn);
	rig_stop(rig);
}

Test(timeouts, query_in_the_extended_protocol_is_cancelled_too)
{
	PGconn *conn;
	PGresult *res;

	start("t_extended", "query_timeout = 300ms\n", "", "");
	conn = join();
	res = PQexecParams(conn, "SELECT pg_sleep($1::int)", 1, NULL, (const char *[]){ "600" },
	                   NULL, NULL, 0);
	cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "57014");
	PQclear(res);
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}

Test(timeouts, query_timeout_counts_each_query_and_nothing_between)
{
	PGconn *conn;

	start("t_each", "query_timeout = 3s\n", "", "");
	conn = join();
	rig_exec(conn, "BEGIN");
	for (int i = 0; i < 8; i++)
		rig_exec(conn, "SELECT pg_sleep(0.5)");
	pass(3500); /* no query runs */
	rig_exec(conn, "COMMIT");
	cr_assert_eq(rig_log_count(rig, "query_timeout:"), 0);
	PQfinish(conn);
	rig_stop(rig);
}

Test(timeouts, query_timeout_counts_each_of_a_pipeline)
{
	struct script script = { 0 };
	struct frames f;

	start("t_pipeline", "query_timeout = 3s\n", "", "");
	frames_login(&f, rig, "alice", base);
	for (int i = 0; i < 8; i++)
		script_query(&script, "SELECT pg_sleep(0.5)");
	frames_send(&f, &script);
	cr_assert_str_eq(frames_until(&f, 'Z', 8).s, "TDCZTDCZTDCZTDCZTDCZTDCZTDCZTDCZ");
	frames_drop(&f);
	rig_stop(rig);
}

Test(timeouts, query_timeout_does_not_count_the_wait_for_a_server)
{
	PGconn *holder, *waiter;

	start("t_wait", "query_timeout = 2s\n", "pool_size=1", "");
	holder = join();
	waiter = join();
	rig_exec(holder, "BEGIN");
	cr_assert(PQsendQuery(waiter, "SELECT 'late'"));
	cr_assert(rig_stays_silent(waiter, 3000));
	rig_exec(holder, "COMMIT");
	cr_assert_str_eq(rig_scalar(waiter).s, "late");
	PQfinish(holder);
	PQfinish(waiter);
	rig_stop(rig);
}

Test(timeouts, query_that_does_not_end_when_cancelled_is_cut_off)
{
	PGconn *stubborn, *other;

	start("t_stubborn", "query_timeout = 200ms\ncancel_wait_timeout = 300ms\n", "pool_size=1",
	      "bob = query_timeout=0\n");
	stubborn = join();
	cr_assert(PQsendQuery(stubborn,
	                      "DO $$ BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled "
	                      "THEN PERFORM pg_sleep(600); END $$"));
	cr_assert_str_eq(rig_outcome(stubborn).s, "57014");
	cr_assert_eq(PQstatus(stubborn), CONNECTION_BAD);
	cr_assert(rig_wait_log(rig, "close: identity=\"alice\" reason=\"query_timeout\"",
	                       RIG_PATIENCE_MS));
	/* Its server is gone from the pool. */
	other = join();
	cr_assert_str_eq(rig_query(other, "SELECT 'free'").s, "free");
	rig_admin_exec(rig_printf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
	                          "datname = '%s' AND state = 'active'",
	                          base)
	                       .s);
	PQfinish(stubborn);
	PQfinish(other);
	rig_stop(rig);
}

Test(timeouts, copy_that_its_client_does_not_go_on_with_is_cut_off)
{
	struct script script = { 0 };
	struct frames f;

	start("t_copy", "query_timeout = 200ms\ncancel_wait_timeout = 300ms\n", "", "");
	frames_login(&f, rig, "alice", base);
	script_query(&script, "CREATE TEMP TABLE fed (n int); COPY fed FROM STDIN");
	frames_send(&f, &script);
	cr_assert_str_eq(frames_until(&f, 'E', 1).s, "CGE");
	cr_assert_str_eq(f.sqlstate, "57014");
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "!");
	frames_drop(&f);
	rig_stop(rig);
}

Test(timeouts, query_timeout_of_a_role_is_above_the_setting)
{
	PGconn *patient, *hasty;

	start("t_role", "query_timeout = 1s\n", "", "bob = query_timeout=0\ncarol = query_timeout=200ms\n");
	patient = join_as("bob");
	hasty = join_as("carol");
	cr_assert(PQsendQuery(patient, "SELECT pg_sleep(2), 'done'"));
	cr_assert_str_eq(rig_error(hasty, "SELECT pg_sleep(600)").s, "57014");
	cr_assert_str_eq(rig_outcome(patient).s, "");
	PQfinish(patient);
	PQfinish(hasty);
	rig_stop(rig);
}

Test(timeouts, query_timeout_from_a_reload_holds_for_what_runs_already)
{
	PGconn *conn;

	start("t_reload", "", "", "");
	conn = join();
	runs_endless(conn);
	reload("query_timeout = 200ms\n", "", "");
	cr_assert_str_eq(rig_outcome(conn).s, "57014");
	reload("", "", "");
	cr_assert(PQsendQuery(conn, "SELECT pg_sleep(1)"));
	cr_assert_str_eq(rig_outcome(conn).s, "");
	reload("", "", "alice = query_timeout=200ms\n");
	cr_assert_str_eq(rig_error(conn, "SELECT pg_sleep(600)").s, "57014");
	PQfinish(conn);
	rig_stop(rig);
}

static void short_queries(struct member *m)
{
	while (crowd_goes_on(m)) {
		member_query(m, "SELECT 1");
		member_query(m, "BEGIN");
		member_query(m, "SELECT pg_sleep(0.002)");
		member_query(m, "COMMIT");
		m->done++;
	}
}

Test(timeouts, others_do_not_notice)
{
	static struct crowd crowd;
	PGconn *conn;
	int hits = 0;

	start("t_others", "", "pool_size=3",
	      "bob = query_timeout=50ms\ncarol = transaction_timeout=50ms\n");
	crowd_start(&crowd, rig, 8, "dbname=t_others", 4000, short_queries, NULL);
	while (rig_now_ms() < crowd.deadline_ms) {
		conn = join_as("bob");
		cr_assert_str_eq(rig_error(conn, "SELECT pg_sleep(600)").s, "57014");
		PQfinish(conn);
		conn = join_as("carol");
		cr_assert_str_eq(rig_error(conn, "SELECT pg_sleep(600)").s, "25P04");
		PQfinish(conn);
		hits++;
	}
	crowd_join(&crowd);
	cr_assert_gt(hits, 2);
	assert_all_at_rest();
	rig_stop(rig);
}

/* ---- transaction_timeout ---- */

Test(timeouts, transaction_that_lasts_is_rolled_back_and_its_client_told)
{
	PGconn *idle, *busy, *next;
	struct rig_text pid;

	start("t_xact", "transaction_timeout = 500ms\n", "pool_size=1", "");
	idle = join();
	next = join();
	pid = rig_query(idle, "SELECT pg_backend_pid()");
	rig_exec(idle, "BEGIN");
	rig_exec(idle, "CREATE TABLE half (n int)");
	/* The server is clean, and who waits for it gets it. */
	cr_assert_str_eq(rig_query(next, "SELECT to_regclass('half') IS NULL").s, "t");
	cr_assert_str_eq(rig_query(next, "SELECT pg_backend_pid()").s, pid.s);
	assert_ended(idle, "25P04");
	busy = join();
	cr_assert_str_eq(rig_error(busy, "SELECT pg_sleep(600)").s, "25P04");
	assert_all_at_rest();
	cr_assert(rig_log_contains(rig, "reason=\"transaction_timeout\""));
	PQfinish(idle);
	PQfinish(busy);
	PQfinish(next);
	rig_stop(rig);
}

Test(timeouts, transaction_timeout_counts_each_transaction_and_nothing_between)
{
	PGconn *pieces, *whole;

	start("t_xacts", "transaction_timeout = 3s\n", "", "bob = pool_mode=session\n");
	pieces = join();
	whole = join_as("bob");
	for (int i = 0; i < 4; i++) {
		rig_exec(whole, "BEGIN");
		rig_exec(pieces, "BEGIN");
		rig_exec(pieces, "SELECT pg_sleep(0.3)");
		rig_exec(pieces, "COMMIT");
		rig_exec(whole, "COMMIT");
		pass(300);
	}
	pass(3500);
	cr_assert_str_eq(rig_query(whole, "SELECT 'on'").s, "on");
	cr_assert_str_eq(rig_query(pieces, "SELECT 'on'").s, "on");
	PQfinish(pieces);
	PQfinish(whole);
	rig_stop(rig);
}

/* A Flush alone begins nothing. */
Test(timeouts, transaction_timeout_does_not_count_from_a_flush)
{
	struct script script = { 0 };
	struct frames f;

	start("t_flush", "pool_mode = session\ntransaction_timeout = 500ms\n", "", "");
	frames_login(&f, rig, "alice", base);
	script_query(&script, "SELECT 1");
	frames_send(&f, &script);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TDCZ");
	script.len = 0;
	script_flush(&script);
	frames_send(&f, &script);
	pass(1500);
	script.len = 0;
	script_query(&script, "SELECT 1");
	frames_send(&f, &script);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TDCZ");
	frames_drop(&f);
	rig_stop(rig);
}

Test(timeouts, transaction_timeout_ends_a_batch_that_is_left_open)
{
	struct script script = { 0 };
	struct frames f;
	PGconn *next;

	start("t_batch", "transaction_timeout = 500ms\nidle_transaction_timeout = 100ms\n",
	      "pool_size=1", "");
	frames_login(&f, rig, "alice", base);
	script_parse(&script, "", "CREATE TABLE half ()");
	script_bind(&script, "");
	script_execute(&script, 0);
	script_flush(&script);
	frames_send(&f, &script);
	cr_assert_str_eq(frames_until(&f, 'E', 1).s, "12CE");
	cr_assert_str_eq(f.sqlstate, "25P04");
	assert_all_at_rest();
	next = join();
	cr_assert_str_eq(rig_query(next, "SELECT to_regclass('half') IS NULL").s, "t");
	PQfinish(next);
	frames_drop(&f);
	rig_stop(rig);
}

Test(timeouts, transaction_timeout_of_a_role_and_by_reload)
{
	PGconn *limited, *free_one;

	start("t_xrole", "", "", "alice = transaction_timeout=300ms\n");
	limited = join();
	free_one = join_as("bob");
	rig_exec(free_one, "BEGIN");
	rig_exec(limited, "BEGIN");
	assert_ended(limited, "25P04");
	rig_exec(free_one, "SELECT 1");
	reload("transaction_timeout = 300ms\n", "", "");
	assert_ended(free_one, "25P04");
	PQfinish(limited);
	PQfinish(free_one);
	rig_stop(rig);
}

/* ---- idle_transaction_timeout ---- */

Test(timeouts, idle_transaction_is_rolled_back_and_its_client_told)
{
	PGconn *conn, *failed, *next;

	start("t_idle", "idle_transaction_timeout = 300ms\n", "pool_size=2", "");
	conn = join();
	failed = join();
	next = join();
	rig_exec(conn, "BEGIN");
	rig_exec(conn, "CREATE TABLE half (n int)");
	rig_exec(failed, "BEGIN");
	cr_assert_str_eq(rig_error(failed, "SELECT 1/0").s, "22012");
	cr_assert_str_eq(rig_query(next, "SELECT to_regclass('half') IS NULL").s, "t");
	assert_ended(conn, "25P03");
	assert_ended(failed, "25P03");
	assert_all_at_rest();
	cr_assert_eq(rig_log_count(rig, "reason=\"idle_transaction_timeout\""), 2);
	PQfinish(conn);
	PQfinish(failed);
	PQfinish(next);
	rig_stop(rig);
}

Test(timeouts, who_executes_or_is_in_no_transaction_is_not_idle_in_one)
{
	PGconn *busy, *idle, *whole;

	start("t_busy", "idle_transaction_timeout = 3s\n", "", "bob = pool_mode=session\n");
	busy = join();
	idle = join();
	whole = join_as("bob");
	rig_exec(idle, "SELECT 1");
	rig_exec(whole, "SELECT 1");
	rig_exec(busy, "BEGIN");
	rig_exec(busy, "SELECT pg_sleep(4)");
	for (int i = 0; i < 5; i++) {
		rig_exec(busy, "SELECT 1");
		pass(700);
	}
	rig_exec(busy, "COMMIT");
	rig_exec(idle, "SELECT 1");
	rig_exec(whole, "SELECT 1");
	cr_assert_eq(rig_log_count(rig, "idle_transaction_timeout"), 0);
	PQfinish(busy);
	PQfinish(idle);
	PQfinish(whole);
	rig_stop(rig);
}

Test(timeouts, who_reads_slowly_is_not_idle)
{
	PGconn *conn;

	start("t_slow", "idle_transaction_timeout = 3s\nclient_idle_timeout = 3s\n", "", "");
	conn = join();
	rig_exec(conn, "BEGIN");
	cr_assert(PQsendQuery(conn, "SELECT repeat('x', 1000) FROM generate_series(1, 40000)"));
	pass(5000); /* nothing is read */
	cr_assert_str_eq(rig_outcome(conn).s, "");
	rig_exec(conn, "COMMIT");
	cr_assert(PQsendQuery(conn, "SELECT repeat('x', 1000) FROM generate_series(1, 40000)"));
	pass(5000);
	cr_assert_str_eq(rig_outcome(conn).s, "");
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}

Test(timeouts, idle_transaction_timeout_of_a_role_and_by_reload)
{
	PGconn *limited, *free_one;

	start("t_irole", "idle_transaction_timeout = 300ms\n", "", "bob = idle_transaction_timeout=0\n");
	limited = join();
	free_one = join_as("bob");
	rig_exec(free_one, "BEGIN");
	rig_exec(limited, "BEGIN");
	assert_ended(limited, "25P03");
	rig_exec(free_one, "SELECT 1");
	reload("", "", "bob = idle_transaction_timeout=300ms\n");
	assert_ended(free_one, "25P03");
	PQfinish(limited);
	PQfinish(free_one);
	rig_stop(rig);
}

/* ---- client_idle_timeout ---- */

Test(timeouts, idle_client_is_disconnected_and_told_in_either_mode)
{
	PGconn *piece, *whole, *mute;

	start("t_client", "client_idle_timeout = 300ms\n", "", "bob = pool_mode=session\n");
	mute = join();
	piece = join();
	whole = join_as("bob");
	cr_assert_str_eq(rig_query(piece, "SELECT 1").s, "1");
	cr_assert_str_eq(rig_query(whole, "SELECT 1").s, "1");
	assert_ended(mute, "57P05");
	assert_ended(piece, "57P05");
	assert_ended(whole, "57P05");
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "user", "bob", "sv_idle", "1",
	                           RIG_PATIENCE_MS));
	cr_assert_eq(rig_log_count(rig, "reason=\"client_idle_timeout\""), 3);
	PQfinish(mute);
	PQfinish(piece);
	PQfinish(whole);
	rig_stop(rig);
}

Test(timeouts, who_is_in_a_transaction_or_waits_is_no_idle_client)
{
	PGconn *holder, *waiter;

	start("t_noidle", "client_idle_timeout = 3s\n", "pool_size=1", "");
	holder = join();
	waiter = join();
	rig_exec(holder, "BEGIN");
	cr_assert(PQsendQuery(waiter, "SELECT pg_sleep(3.5), 'late'"));
	cr_assert(rig_stays_silent(waiter, 4000));
	rig_exec(holder, "COMMIT");
	cr_assert_str_eq(rig_outcome(waiter).s, "");
	PQfinish(holder);
	PQfinish(waiter);
	rig_stop(rig);
}

Test(timeouts, who_asks_now_and_then_is_no_idle_client)
{
	PGconn *conn;

	start("t_now", "client_idle_timeout = 4s\n", "", "");
	conn = join();
	for (int i = 0; i < 10; i++) {
		rig_exec(conn, "SELECT 1");
		pass(600);
	}
	cr_assert_eq(rig_log_count(rig, "client_idle_timeout"), 0);
	PQfinish(conn);
	rig_stop(rig);
}

/* More than one look at the descriptors tells of. */
#define PUNCTUAL 40

/* What came while pgseal itself stood still came in time. */
Test(timeouts, who_sent_in_time_while_we_were_held_up_is_no_idle_client)
{
	PGconn *conns[PUNCTUAL], *slow;

	start("to_held_up", "client_idle_timeout = 1s\nquery_timeout = 2s\n", "pool_size=3", "");
	for (int i = 0; i < PUNCTUAL; i++)
		conns[i] = join();
	slow = join();
	for (int i = 0; i < PUNCTUAL; i++)
		rig_exec(conns[i], "SELECT 1");
	cr_assert(PQsendQuery(slow, "SELECT 'slow' FROM pg_sleep(0.5)"));
	cr_assert(rig_admin_wait(
		"SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%slow%sleep%' "
		"AND state = 'active' AND datname = 'to_held_up'",
		"1", RIG_PATIENCE_MS));
	rig_signal(rig, SIGSTOP);
	for (int i = 0; i < PUNCTUAL; i++)
		cr_assert(PQsendQuery(conns[i], "SELECT 'here'"));
	pass(3000);
	rig_signal(rig, SIGCONT);
	for (int i = 0; i < PUNCTUAL; i++)
		cr_assert_str_eq(rig_scalar(conns[i]).s, "here", "%d: %s", i,
		                 PQerrorMessage(conns[i]));
	cr_assert_str_eq(rig_scalar(slow).s, "slow");
	cr_assert_not(rig_log_contains(rig, "query_timeout: "));
	for (int i = 0; i < PUNCTUAL; i++)
		PQfinish(conns[i]);
	PQfinish(slow);
	rig_stop(rig);
}

Test(timeouts, client_idle_timeout_of_a_role_and_by_reload)
{
	PGconn *limited, *free_one;

	start("t_crole", "", "", "alice = client_idle_timeout=300ms\n");
	limited = join();
	free_one = join_as("bob");
	assert_ended(limited, "57P05");
	rig_exec(free_one, "SELECT 1");
	reload("client_idle_timeout = 300ms\n", "", "");
	assert_ended(free_one, "57P05");
	PQfinish(free_one);
	free_one = join_as("bob");
	reload("", "", "");
	pass(1000);
	rig_exec(free_one, "SELECT 1");
	PQfinish(limited);
	PQfinish(free_one);
	rig_stop(rig);
}

/* ---- cancel_wait_timeout ---- */

Test(timeouts, server_whose_cancel_went_unanswered_is_not_lent_again)
{
	PGconn *conn, *lock;
	struct rig_text pid;

	start("t_astray", "cancel_wait_timeout = 300ms\n", "pool_size=1", "");
	conn = join();
	pid = rig_query(conn, "SELECT pg_backend_pid()");
	runs_endless(conn);
	/* Who asks for a function by name waits now, be it pg_cancel_backend(). */
	lock = rig_admin_connect(base);
	rig_exec(lock, "BEGIN");
	rig_exec(lock, "LOCK TABLE pg_catalog.pg_proc IN ACCESS EXCLUSIVE MODE");
	frames_cancel_of(conn);
	cr_assert(rig_wait_log(rig, "cancel.*failed: pid=.*timeout", RIG_PATIENCE_MS));
	rig_exec(lock, "COMMIT");
	/* It comes after all: that was the wrong one no more than before. */
	cr_assert_str_eq(rig_outcome(conn).s, "57014");
	cr_assert(rig_wait_log(rig, "reason=\"a cancel for it went unanswered\"", RIG_PATIENCE_MS));
	cr_assert_str_neq(rig_query(conn, "SELECT pg_backend_pid()").s, pid.s);
	PQfinish(lock);
	PQfinish(conn);
	rig_stop(rig);
}
