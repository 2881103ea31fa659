/* KILL and its relatives, and WAIT_CLOSE: whose connections end, and whose go on. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])
#define SILENT_MS 200

#define IDENTITIES                                              \
	"operator = cn:operator roles=operator console=admin\n" \
	"people = cn:/^(alice|bob)$/ roles=*\n"               \
	"rest = cn:/^([a-z]+)$/ roles=\\1 console=stats\n"

static struct rig *rig;

/* PostgreSQL is shared by the tests: each has two databases of its own, x and y in pgseal. */
static struct rig_text database(char which)
{
	return rig_printf("%.50s_%c", criterion_current_test->name, which);
}

static void start(void)
{
	struct rig_text x = database('x'), y = database('y');

	crowd_database(x.s);
	crowd_database(y.s);
	rig = rig_start("workers = 2\n",
	                rig_printf("x = @postgres@ dbname=%.60s pool_size=2\n"
	                           "y = @postgres@ dbname=%.60s pool_size=2\n", x.s, y.s).s,
	                IDENTITIES);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(console_kill, .init = start, .fini = stop, .timeout = 120);

static PGconn *console(void)
{
	return rig_connect_as(rig, "operator", "dbname=pgseal");
}

static bool wait_backends(char which, const char *want)
{
	return crowd_wait_backends(database(which).s, want, RIG_PATIENCE_MS);
}

static void expect_tag(PGconn *conn, const char *sql, const char *tag)
{
	PGresult *res = PQexec(conn, sql);

	cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK, "%s: %s", sql,
	             PQresultErrorMessage(res));
	cr_assert_str_eq(PQcmdStatus(res), tag);
	PQclear(res);
}

static void keep_message(void *arg, const PGresult *res)
{
	snprintf(arg, 512, "%s", PQresultErrorField(res, PG_DIAG_SQLSTATE));
}

/* What comes unasked, libpq gives to the receiver of notices. */
static void expect_killed(PGconn *conn)
{
	char state[512] = "";
	PGresult *res;

	PQsetNoticeReceiver(conn, keep_message, state);
	cr_assert(rig_wait_readable(conn, RIG_PATIENCE_MS));
	res = PQexec(conn, "SELECT 1");
	cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
	cr_assert_str_eq(state, "57P01");
	PQclear(res);
	PQfinish(conn);
}

static void expect_alive(PGconn *conn)
{
	cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1");
	PQfinish(conn);
}

/* --- KILL_CLIENT --- */

Test(console_kill, one_client_by_ptr_and_by_id_on_any_worker)
{
	static const char *const columns[] = { "ptr", "id", "ptr", "id" };
	PGconn *operator = console(), *bob = rig_connect_as(rig, "bob", "dbname=x");

	for (size_t i = 0; i < CASES(columns); i++) {
		PGconn *alice = rig_connect(rig, "dbname=x");
		struct rig_text id = rig_console_value(rig, "SHOW CLIENTS", "user", "alice",
		                                       columns[i]);
		struct rig_text sql = rig_printf("KILL_CLIENT %.40s", id.s);

		if (i >= 2)
			rig_exec(alice, "BEGIN");
		expect_tag(operator, sql.s, "KILL_CLIENT");
		expect_killed(alice);
		cr_assert_str_eq(rig_error(operator, sql.s).s, "42704");
	}
	cr_assert_str_eq(rig_error(operator, "KILL_CLIENT all").s, "22023");
	cr_assert_str_eq(rig_query(bob, "SELECT current_user").s, "bob");
	expect_alive(bob);
	PQfinish(operator);
}

Test(console_kill, a_console_may_kill_itself)
{
	PGconn *operator = console();
	struct rig_text id = rig_console_value(rig, "SHOW CLIENTS", "user", "operator", "ptr");
	PGresult *res;

	res = PQexec(operator, rig_printf("SHOW VERSION; KILL_CLIENT %.40s; SHOW VERSION", id.s).s);
	cr_assert_eq(PQstatus(operator), CONNECTION_BAD);
	PQclear(res);
	PQfinish(operator);
	/* the client may hear of its end before nobody counts it any more */
	cr_assert(rig_console_wait(rig, "SHOW LISTS", "list", "used_clients", "items", "1",
	                           RIG_PATIENCE_MS));
}

/* --- KILL --- */

/* Whatever they are at; behind the answer nothing of the old is left, and newcomers are welcome. */
Test(console_kill, a_database)
{
	PGconn *operator = console(), *idle = rig_connect(rig, "dbname=x");
	PGconn *open = rig_connect(rig, "dbname=x"), *asking = rig_connect(rig, "dbname=x");
	PGconn *other = rig_connect(rig, "dbname=y"), *late;

	rig_exec(other, "BEGIN");
	rig_exec(idle, "CREATE TABLE t (i int)");
	rig_exec(open, "BEGIN");
	rig_exec(open, "INSERT INTO t VALUES (1)");
	cr_assert(PQsendQuery(asking, "SELECT pg_sleep(1000)"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "x", "sv_active", "2",
	                           RIG_PATIENCE_MS));
	expect_tag(operator, "KILL x", "KILL");
	expect_killed(idle);
	expect_killed(open);
	cr_assert_str_eq(rig_outcome(asking).s, "57P01");
	PQfinish(asking);
	cr_assert(wait_backends('x', "0"));
	late = rig_connect(rig, "dbname=x");
	cr_assert_str_eq(rig_query(late, "SELECT count(*) FROM t").s, "0");
	expect_alive(late);
	rig_exec(other, "COMMIT");
	expect_alive(other);
	cr_assert_str_eq(rig_error(operator, "KILL nosuch").s, "3D000");
	cr_assert_str_eq(rig_error(operator, "KILL pgbouncer").s, "0A000");
	expect_tag(operator, "KILL y", "KILL");
	PQfinish(operator);
}

/* What a waiting client has asked must not run because the one before it was killed. */
Test(console_kill, those_who_wait_get_nothing)
{
	PGconn *operator = console(), *held[2], *waiting[4];

	for (int i = 0; i < 2; i++) {
		held[i] = rig_connect(rig, "dbname=x");
		if (i == 0)
			rig_exec(held[i], "CREATE TABLE t (i int)");
		rig_exec(held[i], "BEGIN");
	}
	for (int i = 0; i < 4; i++) {
		waiting[i] = rig_connect(rig, "dbname=x");
		cr_assert(PQsendQuery(waiting[i], "INSERT INTO t VALUES (1)"));
	}
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "x", "cl_waiting", "4",
	                           RIG_PATIENCE_MS));
	expect_tag(operator, "KILL", "KILL");
	for (int i = 0; i < 4; i++) {
		cr_assert_str_eq(rig_outcome(waiting[i]).s, "57P01");
		PQfinish(waiting[i]);
	}
	for (int i = 0; i < 2; i++)
		expect_killed(held[i]);
	held[0] = rig_connect(rig, "dbname=x");
	cr_assert_str_eq(rig_query(held[0], "SELECT count(*) FROM t").s, "0");
	PQfinish(held[0]);
	expect_alive(operator);
}

Test(console_kill, a_role)
{
	PGconn *operator = console(), *as_bob = rig_connect(rig, "dbname=x user=bob");
	PGconn *bob = rig_connect_as(rig, "bob", "dbname=y"), *alice = rig_connect(rig, "dbname=x");

	rig_exec(as_bob, "BEGIN");
	rig_exec(bob, "SELECT 1");
	rig_exec(alice, "BEGIN");
	expect_tag(operator, "KILL USER bob", "KILL");
	expect_killed(as_bob);
	expect_killed(bob);
	cr_assert(wait_backends('y', "0"));
	cr_assert(wait_backends('x', "1"));
	cr_assert_str_eq(rig_error(operator, "KILL USER bob").s, "42704");
	expect_alive(alice);
	PQfinish(operator);
}

/* Servers belong to the route, not to the identity: others go on with them. */
Test(console_kill, an_identity)
{
	PGconn *operator = console(), *second = console(), *alice = rig_connect(rig, "dbname=x");
	PGconn *bob = rig_connect_as(rig, "bob", "dbname=y user=alice");
	PGconn *carol = rig_connect_as(rig, "carol", "dbname=x");
	PGconn *watching = rig_connect_as(rig, "carol", "dbname=pgseal");

	rig_exec(alice, "BEGIN");
	rig_exec(carol, "BEGIN");
	expect_tag(operator, "KILL IDENTITY people", "KILL");
	expect_killed(alice);
	expect_killed(bob);
	rig_exec(carol, "COMMIT");
	expect_tag(operator, "KILL IDENTITY rest", "KILL");
	expect_killed(carol);
	expect_killed(watching);
	expect_tag(operator, "KILL IDENTITY operator", "KILL");
	expect_killed(second);
	cr_assert_str_eq(rig_error(operator, "KILL IDENTITY nosuch").s, "42704");
	expect_alive(operator);
}

Test(console_kill, takes_an_administrator)
{
	static const char *const orders[] = { "KILL", "KILL x", "KILL USER alice", "WAIT_CLOSE",
		                              "KILL IDENTITY people", "KILL_CLIENT 1" };
	PGconn *carol = rig_connect_as(rig, "carol", "dbname=pgseal");

	for (size_t i = 0; i < CASES(orders); i++)
		cr_assert_str_eq(rig_error(carol, orders[i]).s, "42501", "%s", orders[i]);
	PQfinish(carol);
}

/* --- WAIT_CLOSE --- */

Test(console_kill, wait_close_waits_for_what_was_to_be_replaced)
{
	PGconn *operator = console(), *second = console(), *alice = rig_connect(rig, "dbname=x");
	PGconn *bob = rig_connect(rig, "dbname=x"), *other = rig_connect(rig, "dbname=y");

	rig_exec(alice, "BEGIN");
	rig_exec(other, "BEGIN");
	expect_tag(operator, "WAIT_CLOSE", "WAIT_CLOSE"); /* nothing is to be replaced */
	expect_tag(operator, "RECONNECT", "RECONNECT");
	cr_assert(PQsendQuery(operator, "WAIT_CLOSE x"));
	cr_assert(PQsendQuery(second, "WAIT_CLOSE"));
	rig_exec(bob, "BEGIN"); /* a new server, which a later order wears out: not waited for */
	cr_assert(rig_stays_silent(operator, SILENT_MS));
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "x",
	                                   "current_connections").s, "2");
	PQclear(rig_console(rig, "RECONNECT x"));
	rig_exec(alice, "COMMIT");
	cr_assert_str_eq(rig_outcome(operator).s, "");
	cr_assert(rig_stays_silent(second, SILENT_MS));
	rig_exec(other, "COMMIT");
	cr_assert_str_eq(rig_outcome(second).s, "");
	expect_alive(bob);
	PQfinish(alice);
	PQfinish(other);
	PQfinish(operator);
	PQfinish(second);
}

Test(console_kill, wait_close_is_ended_by_a_cancel)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=x");
	PGcancel *key = PQgetCancel(operator);
	char why[256] = "";

	rig_exec(alice, "BEGIN");
	expect_tag(operator, "RECONNECT x", "RECONNECT");
	cr_assert(PQsendQuery(operator, "WAIT_CLOSE"));
	cr_assert(rig_stays_silent(operator, SILENT_MS));
	cr_assert(PQcancel(key, why, sizeof(why)), "%s", why);
	cr_assert_str_eq(rig_outcome(operator).s, "57014");
	PQfreeCancel(key);
	expect_alive(alice);
	PQfinish(operator);
}
