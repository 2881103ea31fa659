/* How pgseal ends, and the files that it leaves or reopens. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

#define AT_ONCE_MS 5000 /* far below the shutdown_timeout of these tests */

TestSuite(life, .timeout = 120);

static struct rig *rig;

static PGconn *join(const char *extra)
{
	return rig_connect(rig, extra);
}

/* The connection ends with this error, without having been asked anything. */
static void is_told(PGconn *conn, const char *sqlstate)
{
	struct rig_text seen = rig_error(conn, "SELECT 'too late'");

	cr_assert_str_eq(seen.s, sqlstate, "%s", PQerrorMessage(conn));
	cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
}

/* Something has come to a client that asked for nothing. */
static bool hears(PGconn *conn)
{
	struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

	return poll(&p, 1, AT_ONCE_MS) > 0;
}

static void ends_well(int wait_ms)
{
	cr_assert_eq(rig_wait_exit(rig, wait_ms), 0, "no clean end in %d ms", wait_ms);
}

/* --- SIGTERM --- */

Test(life, sigterm_ends_idle_sessions_at_once_and_lets_transactions_finish)
{
	PGconn *idle, *busy;

	rig = rig_start("shutdown_timeout = 60\n", NULL, NULL);
	idle = join("");
	busy = join("");
	rig_exec(idle, "SELECT 1");
	rig_exec(busy, "BEGIN");
	rig_signal(rig, SIGTERM);
	cr_assert(hears(idle));
	is_told(idle, "57P01");
	cr_assert_str_eq(rig_query(busy, "SELECT 'still'").s, "still");
	cr_assert_eq(rig_wait_exit(rig, 300), -1, "did not wait for the transaction");
	rig_exec(busy, "COMMIT");
	is_told(busy, "57P01");
	ends_well(AT_ONCE_MS);
	PQfinish(idle);
	PQfinish(busy);
	rig_stop(rig);
}

Test(life, sigterm_lets_the_running_query_answer)
{
	PGconn *conn;

	rig = rig_start("shutdown_timeout = 60\n", NULL, NULL);
	conn = join("");
	cr_assert(PQsendQuery(conn, "SELECT 'answer' FROM pg_sleep(1)"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "cl_active", "1",
	                           RIG_PATIENCE_MS));
	rig_signal(rig, SIGTERM);
	cr_assert_str_eq(rig_scalar(conn).s, "answer");
	is_told(conn, "57P01");
	ends_well(AT_ONCE_MS);
	PQfinish(conn);
	rig_stop(rig);
}

Test(life, sigterm_tells_those_who_wait)
{
	PGconn *a, *b;

	rig = rig_start("shutdown_timeout = 60\n", "app = @postgres@ dbname=app pool_size=1\n",
	                NULL);
	a = join("");
	b = join("");
	rig_exec(a, "BEGIN");
	cr_assert(PQsendQuery(b, "SELECT 'never'"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	rig_signal(rig, SIGTERM);
	cr_assert_str_eq(rig_outcome(b).s, "57P01");
	rig_exec(a, "COMMIT");
	ends_well(AT_ONCE_MS);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(life, sigterm_refuses_new_clients_instead_of_keeping_them_waiting)
{
	PGconn *busy, *late;

	rig = rig_start("shutdown_timeout = 60\n", NULL, NULL);
	busy = join("");
	rig_exec(busy, "BEGIN");
	rig_signal(rig, SIGTERM);
	cr_assert(rig_wait_log(rig, "shutdown: sessions end", RIG_PATIENCE_MS));
	late = rig_try_connect(rig, "alice", "connect_timeout=10");
	cr_assert_eq(PQstatus(late), CONNECTION_BAD);
	cr_assert(strstr(PQerrorMessage(late), "timeout") == NULL, "%s", PQerrorMessage(late));
	rig_exec(busy, "COMMIT");
	ends_well(AT_ONCE_MS);
	PQfinish(late);
	PQfinish(busy);
	rig_stop(rig);
}

Test(life, second_sigterm_ends_at_once)
{
	PGconn *busy;

	rig = rig_start("shutdown_timeout = 60\n", NULL, NULL);
	busy = join("");
	rig_exec(busy, "BEGIN -- second_sigterm");
	rig_signal(rig, SIGTERM);
	cr_assert(rig_wait_log(rig, "shutdown: sessions end", RIG_PATIENCE_MS));
	rig_signal(rig, SIGTERM);
	ends_well(AT_ONCE_MS);
	is_told(busy, "57P01");
	cr_assert(rig_admin_wait(
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND "
		"state LIKE 'idle in transaction%' AND query LIKE '%second_sigterm%'",
		"0", RIG_PATIENCE_MS));
	PQfinish(busy);
	rig_stop(rig);
}

Test(life, shutdown_has_a_deadline)
{
	PGconn *busy;
	int64_t begun;

	rig = rig_start("shutdown_timeout = 1\n", NULL, NULL);
	busy = join("");
	rig_exec(busy, "BEGIN");
	begun = rig_now_ms();
	rig_signal(rig, SIGTERM);
	ends_well(1000 + AT_ONCE_MS);
	cr_assert_geq(rig_now_ms() - begun, 900);
	is_told(busy, "57P01");
	PQfinish(busy);
	rig_stop(rig);
}

Test(life, deadline_is_for_running_queries_too)
{
	PGconn *busy;

	crowd_database("v_running");
	rig = rig_start("shutdown_timeout = 1\n", crowd_entry("v_running", "").s, NULL);
	busy = join("dbname=v_running");
	cr_assert(PQsendQuery(busy, "SELECT pg_sleep(600)"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "v_running", "cl_active", "1",
	                           RIG_PATIENCE_MS));
	rig_signal(rig, SIGTERM);
	ends_well(1000 + AT_ONCE_MS);
	cr_assert_str_neq(rig_outcome(busy).s, "");
	PQfinish(busy);
	rig_stop(rig);
}

Test(life, sigint_drains_and_sigquit_does_not)
{
	PGconn *busy;

	rig = rig_start("shutdown_timeout = 60\n", NULL, NULL);
	busy = join("");
	rig_exec(busy, "BEGIN");
	rig_signal(rig, SIGINT);
	cr_assert(rig_wait_log(rig, "shutdown: sessions end", RIG_PATIENCE_MS));
	cr_assert_str_eq(rig_query(busy, "SELECT 'still'").s, "still");
	rig_signal(rig, SIGQUIT);
	ends_well(AT_ONCE_MS);
	is_told(busy, "57P01");
	PQfinish(busy);
	rig_stop(rig);
}

Test(life, without_clients_sigterm_ends_it_at_once)
{
	PGconn *conn;

	rig = rig_start(NULL, NULL, NULL);
	conn = join("");
	rig_exec(conn, "SELECT 1");
	PQfinish(conn);
	rig_signal(rig, SIGTERM);
	ends_well(AT_ONCE_MS);
	rig_stop(rig);
}

Test(life, session_mode_ends_between_transactions_too)
{
	PGconn *idle, *busy;

	rig = rig_start("shutdown_timeout = 60\npool_mode = session\n", NULL, NULL);
	idle = join("");
	busy = join("");
	rig_exec(idle, "SELECT 1");
	rig_exec(busy, "BEGIN");
	rig_signal(rig, SIGTERM);
	cr_assert(hears(idle));
	is_told(idle, "57P01");
	cr_assert_str_eq(rig_query(busy, "SELECT 'still'").s, "still");
	rig_exec(busy, "COMMIT");
	is_told(busy, "57P01");
	ends_well(AT_ONCE_MS);
	PQfinish(idle);
	PQfinish(busy);
	rig_stop(rig);
}

/* Each counts what was acknowledged; a shutdown may end a client, but only between transactions. */
static void insert_until_told(struct member *m)
{
	while (crowd_goes_on(m)) {
		struct rig_text state = member_exec(m, "BEGIN");

		if (state.s[0] == '\0') {
			if (member_exec(m, "INSERT INTO t VALUES (1)").s[0] != '\0' ||
			    member_exec(m, "SELECT pg_sleep(0.01)").s[0] != '\0' ||
			    member_exec(m, "COMMIT").s[0] != '\0')
				member_fault(m, "ended inside a transaction: %s",
				             PQerrorMessage(m->conn));
			else
				m->done++;
		} else if (PQstatus(m->conn) != CONNECTION_BAD) {
			member_fault(m, "%s", PQerrorMessage(m->conn));
		} else {
			return;
		}
	}
}

Test(life, sigterm_under_load_breaks_no_transaction)
{
	static struct crowd crowd;
	PGconn *admin;
	long done = 0;

	crowd_database("v_load");
	rig_require();
	admin = rig_admin_connect("v_load");
	rig_exec(admin, "CREATE TABLE t (i int)");
	rig_exec(admin, "GRANT ALL ON t TO alice");
	rig = rig_start("workers = 2\nshutdown_timeout = 60\n",
	                crowd_entry("v_load", "pool_size=8").s, NULL);
	crowd_start(&crowd, rig, 8, "dbname=v_load", 60000, insert_until_told, NULL);
	cr_assert(rig_admin_wait("SELECT sum(xact_commit) > 0 FROM pg_stat_database", "t",
	                         RIG_PATIENCE_MS));
	for (int i = 0; i < 200 && atoi(rig_query(admin, "SELECT count(*) FROM t").s) < 50; i++)
		usleep(10000);
	rig_signal(rig, SIGTERM);
	crowd_join(&crowd);
	ends_well(AT_ONCE_MS);
	for (int i = 0; i < crowd.size; i++)
		done += crowd.members[i].done;
	cr_assert_geq(done, 50);
	cr_assert_str_eq(rig_query(admin, "SELECT count(*) FROM t").s, rig_printf("%ld", done).s);
	PQfinish(admin);
	rig_stop(rig);
}

/* --- files --- */

static struct rig_text file_text(const char *path)
{
	struct rig_text text = { "" };
	FILE *f = fopen(path, "r");

	if (f != NULL) {
		text.s[fread(text.s, 1, sizeof(text.s) - 1, f)] = '\0';
		fclose(f);
	}
	return text;
}

/* The file comes to hold that. */
static bool wait_file(const char *path, const char *words)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (strstr(file_text(path).s, words) == NULL) {
		if (rig_left_ms(deadline) == 0)
			return false;
		rig_nap();
	}
	return true;
}

Test(life, pidfile_names_the_process_and_goes_with_it)
{
	struct rig_text path;

	rig = rig_start("pidfile = @dir@/pid\n", NULL, NULL);
	path = rig_printf("%s/pid", rig_dir(rig));
	/* It listens a moment before that. */
	cr_assert(rig_wait_log(rig, "started: ", RIG_PATIENCE_MS));
	cr_assert_str_eq(file_text(path.s).s, rig_printf("%d\n", (int)rig_pid(rig)).s);
	rig_signal(rig, SIGTERM);
	ends_well(AT_ONCE_MS);
	cr_assert_neq(access(path.s, F_OK), 0, "the pidfile is left");
	rig_stop(rig);
}

Test(life, log_file_is_opened_anew_on_sighup)
{
	struct rig_text path, old;
	struct rig_text before;
	PGconn *conn;

	rig = rig_start("logfile = @dir@/own.log\n", NULL, NULL);
	path = rig_printf("%s/own.log", rig_dir(rig));
	old = rig_printf("%s/own.log.1", rig_dir(rig));
	cr_assert(wait_file(path.s, "started: "));
	cr_assert(rename(path.s, old.s) == 0);
	rig_signal(rig, SIGHUP);
	cr_assert(wait_file(path.s, "reloaded: "));
	before = file_text(old.s);
	conn = join("");
	PQfinish(conn);
	cr_assert(wait_file(path.s, "login: identity=\"alice\""));
	cr_assert_str_eq(file_text(old.s).s, before.s);
	rig_stop(rig);
}

Test(life, log_file_is_opened_anew_even_if_the_configuration_is_broken)
{
	struct rig_text path, old;

	rig = rig_start("logfile = @dir@/own.log\n", NULL, NULL);
	path = rig_printf("%s/own.log", rig_dir(rig));
	old = rig_printf("%s/own.log.1", rig_dir(rig));
	cr_assert(wait_file(path.s, "started: "));
	cr_assert(rename(path.s, old.s) == 0);
	rig_configure(rig, "logfile = @dir@/own.log\nnonsense = 1\n", NULL, NULL);
	rig_signal(rig, SIGHUP);
	cr_assert(wait_file(path.s, "reload refused"));
	cr_assert(strstr(file_text(path.s).s, "nonsense") != NULL);
	rig_stop(rig);
}
