/* Clients choose among servers by in_hot_standby, of which they are told when they connect: a standby becomes the
 * primary, and whoever comes then, through pgseal, must hear of that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/standby.h"

TestSuite(greeting_standby, .timeout = 120);

#define CLIENTS 6

static struct rig *rig;
static struct standby standby;
static PGconn *early[CLIENTS], *late[CLIENTS];

/* --- clients --- */

static void is_told(PGconn *conn, const char *want)
{
	cr_assert_str_eq(rig_told(conn, "in_hot_standby"), want);
}

static bool finds(const char *wanted)
{
	PGconn *conn = rig_try_connect(rig, "alice",
	                               rig_printf("target_session_attrs=%s", wanted).s);
	bool found = PQstatus(conn) == CONNECTION_OK;

	PQfinish(conn);
	return found;
}

static void gather(PGconn **conns, const char *want)
{
	for (int i = 0; i < CLIENTS; i++) {
		conns[i] = rig_connect(rig, NULL);
		is_told(conns[i], want);
	}
}

static void disperse(PGconn **conns)
{
	for (int i = 0; i < CLIENTS; i++)
		PQfinish(conns[i]);
}

static void start(const char *name, const char *settings)
{
	standby_start(&standby, name, NULL);
	rig = rig_start(
		settings,
		rig_printf("app = host=127.0.0.1 port=%d dbname=app pool_size=3\n", standby.port).s,
		NULL);
	gather(early, "on");
	cr_assert(finds("standby") && finds("read-only"));
	cr_assert_not(finds("primary") || finds("read-write"));
}

static void stop(void)
{
	disperse(early);
	disperse(late);
	rig_stop(rig);
	standby_stop(&standby);
}

/* Old clients hear of it with the next answer. */
static void all_have_a_primary(void)
{
	gather(late, "off");
	cr_assert(finds("primary") && finds("read-write"));
	cr_assert_not(finds("standby") || finds("read-only"));
	for (int i = 0; i < CLIENTS; i++) {
		is_told(early[i], "on");
		cr_assert_str_eq(rig_query(early[i], "SHOW transaction_read_only").s, "off");
		is_told(early[i], "off");
		cr_assert_str_eq(rig_query(late[i], "SELECT pg_is_in_recovery()").s, "f");
	}
}

Test(greeting_standby, promotion_is_told_at_once)
{
	start("standby_once", "workers = 2\ngreeting_max_age = 0\ngreeting_wait = 20s\n");
	standby_promote(&standby);
	all_have_a_primary();
	stop();
}

/* A second old may be what is told, by default. */
Test(greeting_standby, promotion_is_told_within_greeting_max_age)
{
	int64_t deadline = rig_now_ms() + 2 * RIG_PATIENCE_MS;

	start("standby_age", "workers = 2\ngreeting_wait = 20s\n");
	standby_promote(&standby);
	while (!finds("primary")) {
		cr_assert_lt(rig_now_ms(), deadline);
		rig_nap();
	}
	all_have_a_primary();
	stop();
}

Test(greeting_standby, promotion_is_told_in_session_mode)
{
	start("standby_session", "workers = 2\npool_mode = session\ngreeting_max_age = 0\n"
	                         "greeting_wait = 20s\ndefault_pool_size = 30\n");
	standby_promote(&standby);
	gather(late, "off");
	stop();
}
