/* Limits above the pool: whose turn is it, when one thing is refused for another; and what must not be
 * closed or opened without need. New sessions go to the worker that has the fewest, the first of
 * several: the order of the connects says where they are. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/guest.h"
#include "tests/integration/impostor.h"
#include "tests/integration/rig_priv.h"

TestSuite(quota_turns, .timeout = 120);

/* A session that has had a server, so that it is greeted and idle. */
static PGconn *visit(struct rig *rig, const char *name, const char *database)
{
	PGconn *conn = rig_connect_as(rig, name, rig_printf("dbname=%s", database).s);

	rig_exec(conn, "SELECT 1");
	return conn;
}

static PGconn *hold(struct rig *rig, const char *name, const char *database)
{
	PGconn *conn = rig_connect_as(rig, name, rig_printf("dbname=%s", database).s);

	rig_exec(conn, "BEGIN");
	return conn;
}

/* It waits from now on. */
static void ask(PGconn *conn, const char *sql)
{
	cr_assert(PQsendQuery(conn, sql));
	cr_assert(rig_stays_silent(conn, 300));
}

static void gets_served(PGconn *conn)
{
	cr_assert(rig_wait_readable(conn, RIG_PATIENCE_MS));
	cr_assert_str_eq(rig_outcome(conn).s, "");
}

static int logins(struct rig *rig, const char *database)
{
	return rig_log_count(rig, rig_printf("login: database=\"%s\".*host=", database).s);
}

/* ---- who is told ---- */

/* One server that goes is room under two limits, and there is somebody for each. */
Test(quota_turns, server_that_goes_serves_all_the_limits_that_it_counted_in)
{
	PGconn *bob, *elsewhere, *held;
	struct rig *rig;

	rig_require();
	crowd_database("turns_both_a");
	crowd_database("turns_both_b");
	rig = rig_start("workers = 3\n",
	                rig_printf("%s%s\n[users]\nalice = max_user_connections=1\n",
	                           crowd_entry("turns_both_a", "max_db_connections=1").s,
	                           crowd_entry("turns_both_b", "").s).s, NULL);
	bob = visit(rig, "bob", "turns_both_a");
	elsewhere = visit(rig, "alice", "turns_both_b");
	held = hold(rig, "alice", "turns_both_a");
	ask(bob, "BEGIN");
	ask(elsewhere, "BEGIN");
	rig_exec(held, "COMMIT");
	gets_served(bob);
	gets_served(elsewhere);
	PQfinish(bob);
	PQfinish(elsewhere);
	PQfinish(held);
	rig_stop(rig);
}

/* Who cried for a limit, but is by now kept from it by the size of its own pool, stands in nobody's way. */
Test(quota_turns, who_cannot_use_what_came_free_passes_it_on)
{
	PGconn *alice[2], *carol, *bob[2];
	struct rig *rig;

	rig_require();
	crowd_database("turns_pass");
	rig = rig_start("workers = 3\n",
	                rig_printf("%s\n[users]\nalice = pool_size=1\n",
	                           crowd_entry("turns_pass", "pool_size=2 max_db_connections=2").s).s,
	                NULL);
	alice[0] = visit(rig, "alice", "turns_pass");
	alice[1] = visit(rig, "alice", "turns_pass");
	carol = visit(rig, "carol", "turns_pass");
	bob[0] = hold(rig, "bob", "turns_pass");
	bob[1] = hold(rig, "bob", "turns_pass");
	ask(alice[0], "BEGIN");
	ask(alice[1], "BEGIN");
	ask(carol, "BEGIN");
	rig_exec(bob[0], "COMMIT");
	gets_served(alice[0]);
	rig_exec(bob[1], "COMMIT");
	gets_served(carol);
	rig_exec(alice[0], "COMMIT");
	gets_served(alice[1]);
	for (int i = 0; i < 2; i++) {
		PQfinish(alice[i]);
		PQfinish(bob[i]);
	}
	PQfinish(carol);
	rig_stop(rig);
}

/* What waits in a paused pool needs nothing: its idle server goes to who can use the room. */
Test(quota_turns, paused_pool_keeps_no_server_from_others)
{
	PGconn *held, *late, *elsewhere, *operator;
	struct rig *rig;

	rig_require();
	crowd_database("turns_pause_a");
	crowd_database("turns_pause_b");
	rig = rig_start("workers = 1\nmax_user_connections = 1\n",
	                rig_printf("%s%s", crowd_entry("turns_pause_a", "").s,
	                           crowd_entry("turns_pause_b", "").s).s,
	                "op = cn:operator roles=operator console=admin\nall = cn:/(.*)/ roles=\\1\n");
	elsewhere = visit(rig, "alice", "turns_pause_b");
	held = hold(rig, "alice", "turns_pause_a");
	late = rig_connect(rig, "dbname=turns_pause_a");
	ask(late, "SELECT 'late'");
	operator = rig_connect_as(rig, "operator", "dbname=pgseal");
	cr_assert(PQsendQuery(operator, "PAUSE turns_pause_a"));
	cr_assert(rig_console_wait(rig, "SHOW DATABASES", "name", "turns_pause_a", "paused", "1",
	                           RIG_PATIENCE_MS));
	ask(elsewhere, "SELECT 'elsewhere'");
	rig_exec(held, "COMMIT");
	gets_served(elsewhere);
	gets_served(operator);
	rig_exec(operator, "RESUME turns_pause_a");
	gets_served(late);
	PQfinish(held);
	PQfinish(late);
	PQfinish(elsewhere);
	PQfinish(operator);
	rig_stop(rig);
}

/* A shorter query_wait_timeout holds for those who wait for max_active as well. */
Test(quota_turns, reload_shortens_the_wait_for_max_active)
{
	const char *identities = "web = cn:alice roles=alice max_active=1\n";
	struct rig *rig = rig_start("query_wait_timeout = 0\n", NULL, identities);
	PGconn *held = hold(rig, "alice", "app"), *late = rig_connect(rig, NULL);

	ask(late, "SELECT 1");
	rig_configure(rig, "query_wait_timeout = 300ms\n", NULL, identities);
	cr_assert(rig_reload(rig, NULL));
	cr_assert(rig_wait_readable(late, RIG_PATIENCE_MS));
	cr_assert_str_eq(rig_outcome(late).s, "53300");
	PQfinish(late);
	PQfinish(held);
	rig_stop(rig);
}

/* Of two that wait in the same pool for different reasons, each is told when its own time is over. */
Test(quota_turns, wait_for_max_active_ends_in_time_beside_a_queue)
{
	struct rig *rig = rig_start("workers = 1\nquery_wait_timeout = 3s\n",
	                            "app = @postgres@ pool_size=1\n",
	                            "web = cn:alice roles=app_ro max_active=1\n"
	                            "job = cn:bob roles=app_ro\n");
	PGconn *held = rig_connect_as(rig, "alice", "user=app_ro");
	PGconn *web = rig_connect_as(rig, "alice", "user=app_ro");
	PGconn *job[2] = { rig_connect_as(rig, "bob", "user=app_ro"),
	                   rig_connect_as(rig, "bob", "user=app_ro") };

	rig_exec(held, "BEGIN");
	ask(job[0], "SELECT 1");
	ask(web, "SELECT 1");
	cr_assert(rig_stays_silent(web, 2000)); /* the time between the two is what is tested */
	ask(job[1], "SELECT 1");
	cr_assert_str_eq(rig_outcome(job[0]).s, "53300");
	cr_assert_str_eq(rig_outcome(web).s, "53300");
	cr_assert(rig_stays_silent(job[1], 100));
	for (int i = 0; i < 2; i++)
		PQfinish(job[i]);
	PQfinish(web);
	PQfinish(held);
	rig_stop(rig);
}

/* ---- nothing in vain ---- */

/* The server that idles in another worker is lent, not closed to log in anew. */
Test(quota_turns, idle_server_of_the_same_pool_is_handed_over_not_closed)
{
	struct rig *rig;
	struct rig_text pid;
	PGconn *conns[2];

	rig_require();
	crowd_database("turns_over");
	rig = rig_start("workers = 2\nmax_db_connections = 1\n",
	                crowd_entry("turns_over", "pool_size=5").s, NULL);
	for (int i = 0; i < 2; i++)
		conns[i] = rig_connect(rig, "dbname=turns_over");
	pid = rig_query(conns[0], "SELECT pg_backend_pid()");
	for (int i = 0; i < 20; i++)
		cr_assert_str_eq(rig_query(conns[i % 2], "SELECT pg_backend_pid()").s, pid.s);
	for (int i = 0; i < 2; i++)
		PQfinish(conns[i]);
	rig_stop(rig);
}

/* A minimum over the role's pool_size asks for no more than that. */
Test(quota_turns, minimum_over_the_size_of_the_pool_is_its_size)
{
	struct rig *rig;
	PGconn *conn;

	rig_require();
	crowd_database("turns_min");
	rig = rig_start("workers = 1\n",
	                rig_printf("%s\n[users]\nalice = pool_size=1\n",
	                           crowd_entry("turns_min", "pool_size=5 min_pool_size=4").s).s,
	                NULL);
	conn = rig_connect(rig, "dbname=turns_min");
	for (int i = 0; i < 100; i++)
		rig_exec(conn, "SELECT pg_sleep(0.005)");
	cr_assert_eq(logins(rig, "turns_min"), 1);
	PQfinish(conn);
	rig_stop(rig);
}

/* Several that are over their idle time in the same moment do not go below the minimum together. */
Test(quota_turns, idle_timeout_of_several_at_once_stops_at_the_minimum)
{
	struct rig *rig;
	PGconn *held[4];

	rig_require();
	crowd_database("turns_sweep");
	rig = rig_start("workers = 1\nserver_idle_timeout = 1s\n",
	                crowd_entry("turns_sweep", "pool_size=5 min_pool_size=2").s, NULL);
	for (int i = 0; i < 4; i++)
		held[i] = hold(rig, "alice", "turns_sweep");
	for (int i = 0; i < 4; i++)
		rig_exec(held[i], "COMMIT");
	rig_signal(rig, SIGSTOP);
	usleep(1500 * 1000); /* all of them are overdue when it goes on */
	rig_signal(rig, SIGCONT);
	cr_assert(rig_wait_log(rig, "reason=\"server_idle_timeout", RIG_PATIENCE_MS));
	cr_assert(crowd_wait_backends("turns_sweep", "2", RIG_PATIENCE_MS));
	rig_exec(held[0], "SELECT 1");
	cr_assert_eq(logins(rig, "turns_sweep"), 4);
	for (int i = 0; i < 4; i++)
		PQfinish(held[i]);
	rig_stop(rig);
}

/* Servers of the minimum that were closed for others come back when there is room again. */
Test(quota_turns, minimum_is_restored_when_others_have_gone)
{
	struct rig *rig;
	PGconn *alice, *bob;

	rig_require();
	crowd_database("turns_back");
	rig = rig_start("workers = 2\nmax_db_connections = 2\nserver_idle_timeout = 500ms\n",
	                crowd_entry("turns_back", "pool_size=5 min_pool_size=2").s, NULL);
	alice = rig_connect(rig, "dbname=turns_back");
	cr_assert(crowd_wait_backends("turns_back", "2", RIG_PATIENCE_MS));
	bob = visit(rig, "bob", "turns_back");
	PQfinish(bob);
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_stat_activity WHERE "
	                         "datname = 'turns_back' AND usename = 'alice'", "2",
	                         RIG_PATIENCE_MS));
	PQfinish(alice);
	rig_stop(rig);
}

/* ---- the end ---- */

static void says_nothing(struct impostor *im, int fd)
{
	char c;

	(void)im;
	while (recv(fd, &c, 1, 0) > 0)
		;
}

/* What a login holds goes with it; a leak sanitizer would tell. */
Test(quota_turns, shutdown_during_a_login_leaves_nothing)
{
	static struct impostor im;
	struct rig *rig;
	struct guest guest;

	rig_require();
	impostor_start(&im, NULL, says_nothing, NULL);
	rig = rig_start(NULL, rig_printf("app = host=127.0.0.1 port=%d\n", im.port).s, NULL);
	guest = guest_tls(rig, "alice");
	guest_login(&guest, "alice", "app");
	while (im.connections == 0)
		usleep(10000);
	rig_stop(rig);
	guest_leave(&guest);
	impostor_stop(&im);
}
