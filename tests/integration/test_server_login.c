/* The way out: logins to servers, how they fail, and servers that are lost. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/freeze.h"
#include "tests/integration/rig_priv.h"

#define AT_ONCE_MS 5000 /* far below the deadlines that these tests set */
#define PATIENT "query_wait_timeout = 60\n"

TestSuite(server_login, .timeout = 120);

static struct rig *rig;

/* One database called app for clients, with this value. */
static void start(const char *settings, const char *value)
{
	rig = rig_start(settings, rig_printf("app = %s\n", value).s, NULL);
}

/* The refusal that a client gets, and within which time. */
static void refused(const char *name, const char *sqlstate, const char *words, int least_ms,
                    int most_ms)
{
	int64_t begun = rig_now_ms(), took;
	struct frames f;

	cr_assert(!frames_try_login(&f, rig, name, "app", FRAMES_3_0));
	took = rig_now_ms() - begun;
	cr_assert_str_eq(f.sqlstate, sqlstate, "%s: %s", f.sqlstate, f.message);
	cr_assert(strstr(f.message, words) != NULL, "%s", f.message);
	cr_assert_geq(took, least_ms, "%d ms", (int)took);
	cr_assert_leq(took, most_ms, "%d ms", (int)took);
	frames_drop(&f);
}

/* --- refused for good: told at once --- */

Test(server_login, to_a_missing_database_fails_at_once_with_the_servers_words)
{
	start(PATIENT, "@postgres@ dbname=nowhere");
	for (int i = 0; i < 3; i++)
		refused("alice", "3D000", "database \"nowhere\" does not exist", 0, AT_ONCE_MS);
	rig_stop(rig);
}

Test(server_login, of_a_role_that_may_not_fails_at_once)
{
	start(PATIENT, "@postgres@ dbname=app");
	refused("stranger", "28000", "certificate authentication failed for user \"stranger\"", 0,
	        AT_ONCE_MS);
	rig_stop(rig);
}

Test(server_login, with_a_wrong_password_fails_at_once)
{
	start(PATIENT, "@postgres@ dbname=app user=scram password=wrong");
	refused("alice", "28P01", "password authentication failed for user \"scram\"", 0,
	        AT_ONCE_MS);
	rig_stop(rig);
}

static void try_in_vain(struct member *m)
{
	member_fault(m, "was let in");
}

Test(server_login, failure_is_told_to_all_who_wait_and_hurts_no_other_pool)
{
	static struct crowd crowd;
	PGconn *other;
	int64_t begun;

	rig = rig_start("query_wait_timeout = 60\nworkers = 2\n",
	                "app = @postgres@ dbname=nowhere\n"
	                "other = @postgres@ dbname=other\n",
	                NULL);
	other = rig_connect(rig, "dbname=other");
	begun = rig_now_ms();
	crowd_start(&crowd, rig, 10, "", 0, try_in_vain, NULL);
	for (int i = 0; i < crowd.size; i++)
		pthread_join(crowd.members[i].thread, NULL);
	cr_assert_leq(rig_now_ms() - begun, AT_ONCE_MS);
	for (int i = 0; i < crowd.size; i++)
		cr_assert(strstr(crowd.members[i].why, "database \"nowhere\" does not exist") !=
		                  NULL,
		          "%s", crowd.members[i].why);
	cr_assert_str_eq(rig_query(other, "SELECT 'other'").s, "other");
	PQfinish(other);
	rig_stop(rig);
}

Test(server_login, that_was_refused_works_once_the_cause_is_gone)
{
	PGconn *conn;

	start(PATIENT "server_login_retry = 1\n", "@postgres@ dbname=s_later");
	refused("alice", "3D000", "does not exist", 0, AT_ONCE_MS);
	crowd_database("s_later");
	/* what was refused a moment ago is refused without asking again */
	for (int i = 0; i < 100; i++) {
		conn = rig_try_connect(rig, "alice", "");
		if (PQstatus(conn) == CONNECTION_OK)
			break;
		PQfinish(conn);
		usleep(100000);
	}
	cr_assert_str_eq(rig_query(conn, "SELECT current_database()").s, "s_later");
	PQfinish(conn);
	rig_stop(rig);
}

/* --- cannot be reached: waits, then tells the cause --- */

Test(server_login, to_an_unreachable_host_waits_to_the_deadline_and_tells_the_cause)
{
	start("query_wait_timeout = 2\n", "host=127.0.0.1 port=1 dbname=app");
	refused("alice", "08006", "Connection refused", 1800, 20000);
	cr_assert_geq(rig_log_count(rig, "login failed"), 3, "no retries");
	rig_stop(rig);
}

Test(server_login, retries_back_off)
{
	start("query_wait_timeout = 3\nserver_login_retry = 1\n",
	      "host=127.0.0.1 port=1 dbname=app");
	refused("alice", "08006", "Connection refused", 2800, 20000);
	cr_assert_geq(rig_log_count(rig, "login failed.*retry_in=100ms"), 1);
	cr_assert_geq(rig_log_count(rig, "login failed.*retry_in=(1s|1000ms)"), 1);
	cr_assert_leq(rig_log_count(rig, "login failed"), 10);
	rig_stop(rig);
}

Test(server_login, checks_the_servers_name)
{
	start("query_wait_timeout = 1\n",
	      rig_printf("host=elsewhere.example hostaddr=127.0.0.1 port=%d dbname=app",
	                 rig_postgres_port())
	              .s);
	refused("alice", "08006", "does not match host name \"elsewhere.example\"", 0, 20000);
	rig_stop(rig);
}

Test(server_login, checks_the_servers_authority)
{
	start(rig_printf("query_wait_timeout = 1\nserver_tls_ca_file = %s.crt\n",
	                 rig_cert("alice").s)
	              .s,
	      "@postgres@ dbname=app");
	refused("alice", "08006", "certificate verify failed", 0, 20000);
	rig_stop(rig);
}

Test(server_login, of_a_name_that_nobody_knows_tells_so)
{
	start("query_wait_timeout = 2\n", "host=no-such-host.invalid port=1 dbname=app");
	refused("alice", "08006", "no-such-host.invalid", 0, 20000);
	rig_stop(rig);
}

/* Bound but not listening... and one that listens but never speaks. */
Test(server_login, to_a_server_that_says_nothing_has_a_deadline)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 16) == 0 &&
	          getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	start("query_wait_timeout = 4\nserver_connect_timeout = 1\n",
	      rig_printf("host=127.0.0.1 port=%d dbname=app", ntohs(at.sin_port)).s);
	refused("alice", "08006", "time", 3500, 20000);
	cr_assert_geq(rig_log_count(rig, "login failed"), 2);
	close(fd);
	rig_stop(rig);
}

/* The client waits for a login that is being tried again and again. */
static PGconn *begin_waiting(const char *database)
{
	PGconn *conn = PQconnectStart(
		rig_conninfo(rig, "alice", rig_printf("dbname=%s", database).s).s);

	cr_assert(conn != NULL);
	return conn;
}

/* Drive the login of a client; CONNECTION_OK when it came through in time. */
static ConnStatusType drive(PGconn *conn, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	PostgresPollingStatusType next = PGRES_POLLING_WRITING;

	while (rig_left_ms(deadline) > 0 && next != PGRES_POLLING_OK &&
	       next != PGRES_POLLING_FAILED) {
		next = PQconnectPoll(conn);
		rig_nap();
	}
	return PQstatus(conn);
}

Test(server_login, waits_for_a_server_that_takes_nobody_at_the_moment)
{
	PGconn *conn;

	crowd_database("s_full");
	rig_admin_exec("ALTER DATABASE s_full CONNECTION LIMIT 0");
	rig = rig_start(PATIENT, crowd_entry("s_full", "").s, NULL);
	conn = begin_waiting("s_full");
	cr_assert_neq(drive(conn, 1500), CONNECTION_OK);
	cr_assert_neq(PQstatus(conn), CONNECTION_BAD, "%s", PQerrorMessage(conn));
	cr_assert(rig_wait_log(rig, "login failed.*sqlstate=53300.*too many connections",
	                       RIG_PATIENCE_MS));
	rig_admin_exec("ALTER DATABASE s_full CONNECTION LIMIT -1");
	cr_assert_eq(drive(conn, RIG_PATIENCE_MS), CONNECTION_OK, "%s", PQerrorMessage(conn));
	cr_assert_str_eq(rig_query(conn, "SELECT 'in'").s, "in");
	PQfinish(conn);
	rig_stop(rig);
}

Test(server_login, that_waited_in_vain_tells_the_servers_words)
{
	crowd_database("s_full2");
	rig_admin_exec("ALTER DATABASE s_full2 CONNECTION LIMIT 0");
	start("query_wait_timeout = 1\n", "@postgres@ dbname=s_full2");
	refused("alice", "53300", "too many connections for database", 900, 20000);
	rig_stop(rig);
}

Test(server_login, waits_out_a_stopped_postmaster)
{
	struct freeze f;
	PGconn *conn;

	start(PATIENT, "@postgres@ dbname=app");
	freeze_logins(&f);
	conn = begin_waiting("app");
	cr_assert_neq(drive(conn, 1000), CONNECTION_OK);
	freeze_end(&f);
	cr_assert_eq(drive(conn, RIG_PATIENCE_MS), CONNECTION_OK, "%s", PQerrorMessage(conn));
	PQfinish(conn);
	rig_stop(rig);
}

/* --- ways in --- */

static void works(const char *value, const char *role)
{
	PGconn *conn;

	start(PATIENT, value);
	conn = rig_connect(rig, "");
	cr_assert_str_eq(rig_query(conn, "SELECT current_user").s, role);
	cr_assert_str_eq(
		rig_query(conn, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").s, "t");
	PQfinish(conn);
	rig_stop(rig);
}

Test(server_login, by_host_name)
{
	rig_require();
	works(rig_printf("host=localhost port=%d dbname=app", rig_postgres_port()).s, "alice");
}

Test(server_login, as_a_fixed_role_with_scram)
{
	works("@postgres@ dbname=app user=scram password=secret", "scram");
}

Test(server_login, as_a_fixed_role_with_the_certificate)
{
	works("@postgres@ dbname=app user=app_ro", "app_ro");
}

Test(server_login, goes_on_to_the_second_host)
{
	rig_require();
	works(rig_printf("host=127.0.0.1,localhost,127.0.0.1 port=1,2,%d dbname=app",
	                 rig_postgres_port())
	              .s,
	      "alice");
}

Test(server_login, chooses_the_host_by_its_attributes)
{
	rig_require();
	start("query_wait_timeout = 1\n", "@postgres@ dbname=app target_session_attrs=standby");
	refused("alice", "08006", "standby", 0, 20000);
	rig_stop(rig);
	works("@postgres@ dbname=app target_session_attrs=read-write", "alice");
}

Test(server_login, takes_the_fallback_entry_for_other_names)
{
	PGconn *conn;

	rig = rig_start(NULL, "* = @postgres@\n", NULL);
	conn = rig_connect(rig, "dbname=other");
	cr_assert_str_eq(rig_query(conn, "SELECT current_database()").s, "other");
	PQfinish(conn);
	conn = rig_try_connect(rig, "alice", "dbname=nowhere");
	cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
	cr_assert(strstr(PQerrorMessage(conn), "database \"nowhere\" does not exist") != NULL, "%s",
	          PQerrorMessage(conn));
	PQfinish(conn);
	rig_stop(rig);
}

/* --- servers that are lost --- */

static void terminate_all(const char *database)
{
	rig_admin_exec(
		rig_printf("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE "
	                   "datname = '%s'",
	                   database)
			.s);
}

Test(server_login, idle_server_that_ends_is_not_noticed_by_anybody)
{
	PGconn *conn;

	crowd_database("s_idle");
	rig = rig_start(NULL, crowd_entry("s_idle", "").s, NULL);
	conn = rig_connect(rig, "dbname=s_idle");
	for (int i = 0; i < 5; i++) {
		cr_assert_str_eq(rig_query(conn, "SELECT 'here'").s, "here");
		terminate_all("s_idle");
	}
	cr_assert_str_eq(rig_query(conn, "SELECT 'here'").s, "here");
	PQfinish(conn);
	rig_stop(rig);
}

Test(server_login, server_that_ends_in_a_transaction_ends_its_client_alone)
{
	PGconn *a, *b;
	struct frames f;
	struct script say = { 0 };

	crowd_database("s_txn");
	rig = rig_start(NULL, crowd_entry("s_txn", "pool_size=1").s, NULL);
	b = rig_connect(rig, "dbname=s_txn");
	for (int i = 0; i < 2; i++) {
		frames_login(&f, rig, "alice", "s_txn");
		script_query(&say, "BEGIN");
		frames_send(&f, &say);
		cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "CZ");
		terminate_all("s_txn");
		cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "E!", "one error, then the end");
		cr_assert_str_eq(f.sqlstate, "57P01");
		frames_drop(&f);
		cr_assert_str_eq(rig_query(b, "SELECT 'b'").s, "b");
	}
	a = rig_connect(rig, "dbname=s_txn");
	rig_exec(a, "BEGIN");
	cr_assert(PQsendQuery(b, "SELECT 'b'"));
	cr_assert(rig_stays_silent(b, 200));
	terminate_all("s_txn");
	cr_assert_str_eq(rig_scalar(b).s, "b");
	cr_assert_str_eq(rig_error(a, "SELECT 1").s, "57P01");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(server_login, server_that_ends_in_mid_query_ends_its_client_alone)
{
	struct script say = { 0 };
	struct frames f;
	PGconn *b;

	crowd_database("s_query");
	rig = rig_start(NULL, crowd_entry("s_query", "pool_size=1").s, NULL);
	b = rig_connect(rig, "dbname=s_query");
	frames_login(&f, rig, "alice", "s_query");
	script_query(&say, "SELECT pg_sleep(600)");
	frames_send(&f, &say);
	cr_assert(rig_admin_wait(
		"SELECT count(*) FROM pg_stat_activity WHERE datname = 's_query' AND "
		"state = 'active'",
		"1", RIG_PATIENCE_MS));
	terminate_all("s_query");
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TE!");
	cr_assert_str_eq(f.sqlstate, "57P01");
	cr_assert_str_eq(rig_query(b, "SELECT 'b'").s, "b");
	frames_drop(&f);
	PQfinish(b);
	rig_stop(rig);
}

Test(server_login, in_session_mode_lost_server_ends_its_client_alone)
{
	PGconn *a, *b;

	crowd_database("s_sess");
	rig = rig_start("pool_mode = session\n", crowd_entry("s_sess", "pool_size=1").s, NULL);
	a = rig_connect(rig, "dbname=s_sess");
	b = rig_connect(rig, "dbname=s_sess");
	cr_assert_str_eq(rig_query(a, "SELECT 'a'").s, "a");
	cr_assert(PQsendQuery(b, "SELECT 'b'"));
	terminate_all("s_sess");
	cr_assert_str_eq(rig_scalar(b).s, "b");
	cr_assert_str_eq(rig_error(a, "SELECT 1").s, "57P01");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}
