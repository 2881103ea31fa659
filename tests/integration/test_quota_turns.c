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

/* ---- who is told ---- */

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
