/* Which server a client gets and in what condition: server_check_query and server_check_delay,
 * server_round_robin, server_fast_close; and what it hears while it waits: query_wait_notify. */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/freeze.h"
#include "tests/integration/guest.h"
#include "tests/integration/rig_priv.h"

TestSuite(lending, .timeout = 120);

static struct rig *rig;
static const char *base; /* the test's own database */

static void start(const char *database, const char *settings, const char *keys)
{
	base = database;
	crowd_database(database);
	rig = rig_start(settings, crowd_entry(database, keys).s, NULL);
}

static void reload(const char *settings, const char *keys)
{
	struct rig_text why;

	rig_configure(rig, settings, crowd_entry(base, keys).s, NULL);
	cr_assert(rig_reload(rig, &why), "%s", why.s);
}

static PGconn *join(void)
{
	return rig_connect(rig, rig_printf("dbname=%s", base).s);
}

static struct rig_text pid_of(PGconn *conn)
{
	return rig_query(conn, "SELECT pg_backend_pid()");
}

static void console(const char *command)
{
	PGresult *res = rig_console(rig, command);

	cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK, "%s", PQresultErrorMessage(res));
	PQclear(res);
}

/* ---- server_check_query ---- */

#define COUNTED "server_check_query = INSERT INTO checked DEFAULT VALUES\n"

/* Checks so far, asked of the server itself: does not count as one. */
static void assert_checks(const char *want)
{
	PGconn *admin = rig_admin_connect(base);

	cr_assert_str_eq(rig_query(admin, "SELECT count(*) FROM checked").s, want);
	PQfinish(admin);
}

static void make_table(void)
{
	PGconn *admin = rig_admin_connect(base);

	rig_exec(admin, "CREATE TABLE checked (n serial)");
	rig_exec(admin, "GRANT ALL ON checked, checked_n_seq TO public");
	PQfinish(admin);
}

Test(lending, server_is_checked_when_it_was_idle_for_longer_than_the_delay)
{
	struct rig_text pid;
	PGconn *conn;

	start("l_check", COUNTED "server_check_delay = 1h\n", "pool_size=1");
	make_table();
	conn = join();
	pid = pid_of(conn);
	cr_assert_str_eq(pid_of(conn).s, pid.s);
	assert_checks("0");
	reload(COUNTED "server_check_delay = 0\n", "pool_size=1");
	for (int i = 0; i < 3; i++)
		cr_assert_str_eq(pid_of(conn).s, pid.s);
	assert_checks("3");
	/* Within a transaction nobody asks. */
	rig_exec(conn, "BEGIN");
	rig_exec(conn, "SELECT 1");
	rig_exec(conn, "COMMIT");
	assert_checks("4");
	reload("server_check_query =\nserver_check_delay = 0\n", "pool_size=1");
	cr_assert_str_eq(pid_of(conn).s, pid.s);
	assert_checks("4");
	reload("server_check_delay = 0\n", "pool_size=1"); /* the empty query */
	cr_assert_str_eq(pid_of(conn).s, pid.s);
	PQfinish(conn);
	rig_stop(rig);
}

Test(lending, server_that_does_not_answer_the_check_is_replaced_unnoticed)
{
	PGconn *conn, *other;
	struct rig_text pid;
	struct freeze f;

	start("l_dead", "server_check_delay = 0\n", "pool_size=1");
	conn = join();
	other = join();
	pid = pid_of(conn);
	freeze_begin(&f, atoi(pid.s));
	cr_assert(PQsendQuery(other, "SELECT 'second'"));
	cr_assert_str_eq(rig_query(conn, "SELECT 'first'").s, "first");
	cr_assert_str_eq(rig_scalar(other).s, "second");
	cr_assert_str_neq(pid_of(conn).s, pid.s);
	cr_assert_eq(rig_log_count(rig, "close: .* reason=\"no answer to server_check_query\""), 1);
	freeze_end(&f);
	PQfinish(conn);
	PQfinish(other);
	rig_stop(rig);
}

Test(lending, server_that_fails_the_check_is_replaced_unnoticed)
{
	static const char *const bad[] = {
		"server_check_delay = 0\nserver_check_query = SELECT 1/0\n",
		"server_check_delay = 0\nserver_check_query = BEGIN\n",
		"server_check_delay = 0\nserver_check_query = COPY (SELECT 1) TO STDOUT; SELECT 1/0\n",
		"server_check_delay = 0\nserver_check_query = SELECT pg_terminate_backend("
		"pg_backend_pid())\n",
	};
	struct rig_text pid;
	PGconn *conn;

	start("l_bad", "", "pool_size=1");
	conn = join();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reload(bad[i], "pool_size=1");
		rig_exec(conn, "SELECT 1");
		pid = pid_of(conn);
		cr_assert_str_neq(pid_of(conn).s, pid.s, "%s", bad[i]);
		cr_assert_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
	}
	cr_assert(rig_log_contains(rig, "query failed: sqlstate=22012"));
	PQfinish(conn);
	rig_stop(rig);
}

Test(lending, as_many_servers_are_checked_as_are_wanted_and_none_is_opened)
{
	PGconn *conns[3];

	start("l_many", "workers = 1\n" COUNTED "server_check_delay = 1h\n", "pool_size=5");
	make_table();
	for (int i = 0; i < 3; i++) {
		conns[i] = join();
		rig_exec(conns[i], "BEGIN");
	}
	for (int i = 0; i < 3; i++)
		rig_exec(conns[i], "COMMIT");
	reload("workers = 1\n" COUNTED "server_check_delay = 0\n", "pool_size=5");
	for (int i = 0; i < 2; i++)
		cr_assert(PQsendQuery(conns[i], "SELECT pg_sleep(0.5), 'done'"));
	for (int i = 0; i < 2; i++)
		cr_assert_str_eq(rig_outcome(conns[i]).s, "");
	assert_checks("2");
	cr_assert_eq(rig_log_count(rig, "server .* login: "), 3);
	for (int i = 0; i < 3; i++)
		PQfinish(conns[i]);
	rig_stop(rig);
}

Test(lending, server_is_checked_before_it_goes_to_another_worker)
{
	PGconn *here, *there;
	struct rig_text pid;

	start("l_worker", "workers = 2\n" COUNTED "server_check_delay = 0\n", "pool_size=1");
	make_table();
	here = join();
	there = join();
	pid = pid_of(here); /* idle since the greeting: checked as well */
	cr_assert_str_eq(pid_of(there).s, pid.s);
	assert_checks("2");
	PQfinish(here);
	PQfinish(there);
	rig_stop(rig);
}

/* ---- server_round_robin ---- */

Test(lending, idle_servers_take_turns_or_the_last_one_goes_on)
{
	struct rig_text pids[3], first;
	PGconn *conns[3];

	start("l_robin", "workers = 1\n", "pool_size=3");
	for (int i = 0; i < 3; i++) {
		conns[i] = join();
		rig_exec(conns[i], "BEGIN");
		pids[i] = pid_of(conns[i]);
	}
	for (int i = 0; i < 3; i++)
		rig_exec(conns[i], "COMMIT");
	first = pid_of(conns[0]);
	for (int i = 0; i < 5; i++)
		cr_assert_str_eq(pid_of(conns[0]).s, first.s);
	reload("workers = 1\nserver_round_robin = 1\n", "pool_size=3");
	for (int i = 0; i < 6; i++)
		cr_assert_str_eq(pid_of(conns[0]).s, pids[i % 3].s);
	for (int i = 0; i < 3; i++)
		PQfinish(conns[i]);
	rig_stop(rig);
}

/* ---- server_fast_close ---- */

Test(lending, reconnect_ends_sessions_that_keep_their_server_when_it_is_to_be_fast)
{
	PGconn *idle, *busy, *slow;

	start("l_fast", "server_fast_close = 1\n", "pool_mode=session");
	idle = join();
	busy = join();
	rig_exec(idle, "SELECT 1");
	rig_exec(busy, "BEGIN");
	console(rig_printf("RECONNECT %s", base).s);
	cr_assert_str_eq(rig_last_words(idle).s, "57P01");
	cr_assert_str_eq(rig_query(busy, "SELECT 'still'").s, "still");
	rig_exec(busy, "COMMIT");
	cr_assert_str_eq(rig_last_words(busy).s, "57P01");
	cr_assert_eq(rig_log_count(rig, "reason=\"server_fast_close\""), 2);
	reload("", "pool_mode=session");
	slow = join();
	rig_exec(slow, "SELECT 1");
	console(rig_printf("RECONNECT %s", base).s);
	cr_assert_str_eq(rig_query(slow, "SELECT 'on'").s, "on");
	reload("server_fast_close = 1\n", "pool_mode=session");
	cr_assert_str_eq(rig_last_words(slow).s, "57P01");
	PQfinish(idle);
	PQfinish(busy);
	PQfinish(slow);
	rig_stop(rig);
}

Test(lending, sessions_that_keep_no_server_do_not_notice_a_reconnect)
{
	struct rig_text pid;
	PGconn *conn, *busy;

	start("l_piece", "server_fast_close = 1\n", "");
	conn = join();
	busy = join();
	pid = pid_of(conn);
	rig_exec(busy, "BEGIN");
	console(rig_printf("RECONNECT %s", base).s);
	rig_exec(busy, "COMMIT");
	cr_assert_str_neq(pid_of(conn).s, pid.s);
	cr_assert_str_eq(rig_query(busy, "SELECT 'on'").s, "on");
	PQfinish(conn);
	PQfinish(busy);
	rig_stop(rig);
}

/* ---- query_wait_notify ---- */

struct notices {
	int count;
	char last[200];
};

static void count_notice(void *arg, const char *message)
{
	struct notices *n = arg;

	n->count++;
	snprintf(n->last, sizeof(n->last), "%s", message);
}

/* So many have come; an answer has not. */
static void assert_noticed(PGconn *conn, const struct notices *seen, int count)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (seen->count < count && rig_now_ms() < deadline)
		cr_assert(!rig_wait_readable(conn, 50));
	cr_assert_eq(seen->count, count);
}

Test(lending, who_waits_long_for_a_server_is_told_once)
{
	struct notices seen = { 0, "" };
	PGconn *holder, *waiter;

	start("l_notify", "query_wait_notify = 200ms\n", "pool_size=1");
	holder = join();
	waiter = join();
	PQsetNoticeProcessor(waiter, count_notice, &seen);
	for (int round = 1; round <= 2; round++) {
		rig_exec(holder, "BEGIN");
		cr_assert(PQsendQuery(waiter, "SELECT 'late'"));
		assert_noticed(waiter, &seen, round);
		cr_assert(rig_stays_silent(waiter, 1000));
		rig_exec(holder, "COMMIT");
		cr_assert_str_eq(rig_scalar(waiter).s, "late");
		cr_assert_eq(seen.count, round);
	}
	cr_assert(strstr(seen.last, "waits for one") != NULL, "%s", seen.last);
	PQfinish(holder);
	PQfinish(waiter);
	rig_stop(rig);
}

Test(lending, who_waits_shortly_or_without_the_setting_is_not_told)
{
	struct notices seen = { 0, "" };
	PGconn *holder, *waiter;

	start("l_quiet", "query_wait_notify = 1h\n", "pool_size=1");
	holder = join();
	waiter = join();
	PQsetNoticeProcessor(waiter, count_notice, &seen);
	for (int round = 0; round < 2; round++) {
		rig_exec(holder, "BEGIN");
		cr_assert(PQsendQuery(waiter, "SELECT 'late'"));
		cr_assert(rig_stays_silent(waiter, 700));
		rig_exec(holder, "COMMIT");
		cr_assert_str_eq(rig_scalar(waiter).s, "late");
		cr_assert_eq(seen.count, 0);
		reload("query_wait_notify = 0\n", "pool_size=1");
	}
	rig_exec(holder, "BEGIN");
	cr_assert(PQsendQuery(waiter, "SELECT 'late'"));
	cr_assert(rig_stays_silent(waiter, 300));
	reload("query_wait_notify = 100ms\n", "pool_size=1");
	assert_noticed(waiter, &seen, 1);
	rig_exec(holder, "COMMIT");
	cr_assert_str_eq(rig_scalar(waiter).s, "late");
	PQfinish(holder);
	PQfinish(waiter);
	rig_stop(rig);
}

/* Before it is greeted a client understands no notice. */
Test(lending, who_waits_for_its_greeting_is_not_told)
{
	struct guest_answer answer;
	struct guest g;
	uint8_t byte;

	start("l_greeting", "query_wait_notify = 100ms\n", "");
	console(rig_printf("PAUSE %s", base).s);
	g = guest_tls(rig, "alice");
	guest_login(&g, "alice", base);
	cr_assert_eq(guest_recv(&g, &byte, 1, 1000), 0);
	console(rig_printf("RESUME %s", base).s);
	guest_answer(&g, &answer);
	cr_assert(answer.ready);
	guest_leave(&g);
	rig_stop(rig);
}
