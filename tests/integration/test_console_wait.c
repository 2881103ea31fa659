/* Orders of the console that wait, and what ends the waiting. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/rig.h"

#define SILENT_MS 200

#define IDENTITIES                                              \
	"operator = cn:operator roles=operator console=admin\n" \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"

static struct rig *rig;

static void start(void)
{
	rig = rig_start("workers = 3\n", NULL, IDENTITIES);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(console_wait, .init = start, .fini = stop, .timeout = 120);

static PGconn *console(void)
{
	return rig_connect_as(rig, "operator", "dbname=pgseal");
}

/* A session in a transaction: what PAUSE waits for. */
static PGconn *busy(const char *name)
{
	PGconn *conn = rig_connect_as(rig, name, "dbname=app");

	rig_exec(conn, "BEGIN");
	rig_exec(conn, "SELECT 1");
	return conn;
}

static void cancel(PGconn *conn)
{
	PGcancel *key = PQgetCancel(conn);
	char why[256] = "";

	cr_assert(key != NULL && PQcancel(key, why, sizeof(why)), "%s", why);
	PQfreeCancel(key);
}

/* --- Ctrl-C --- */

Test(console_wait, cancel_ends_a_waiting_pause_and_takes_it_back)
{
	PGconn *operator = console(), *alice = busy("alice");
	PGconn *bob = rig_connect_as(rig, "bob", "dbname=app");

	cr_assert(PQsendQuery(operator, "PAUSE app; SHOW VERSION"));
	cr_assert(rig_console_wait(rig, "SHOW DATABASES", "name", "app", "paused", "1",
	                           RIG_PATIENCE_MS));
	cr_assert(PQsendQuery(bob, "SELECT 2"));
	cr_assert(rig_stays_silent(bob, SILENT_MS));
	cancel(operator);
	cr_assert_str_eq(rig_outcome(operator).s, "57014");
	cr_assert_str_eq(rig_scalar(bob).s, "2");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "app", "paused").s, "0");
	rig_exec(alice, "COMMIT");
	cr_assert_str_eq(rig_query(operator, "SELECT 3").s, "3");
	PQfinish(operator);
	PQfinish(alice);
	PQfinish(bob);
}

/* What another session has ordered is not for this one to end. */
Test(console_wait, cancel_leaves_a_pause_that_was_in_force)
{
	PGconn *first = console(), *second = console(), *alice = busy("alice");

	cr_assert(PQsendQuery(first, "PAUSE"));
	cr_assert(rig_console_wait(rig, "SHOW STATE", "key", "paused", "value", "yes",
	                           RIG_PATIENCE_MS));
	cr_assert(PQsendQuery(second, "PAUSE"));
	cr_assert(rig_stays_silent(second, SILENT_MS));
	cancel(second);
	cr_assert_str_eq(rig_outcome(second).s, "57014");
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATE", "key", "paused", "value").s, "yes");
	cr_assert(rig_stays_silent(first, SILENT_MS));
	rig_exec(alice, "COMMIT");
	cr_assert_str_eq(rig_outcome(first).s, "");
	rig_exec(second, "RESUME");
	PQfinish(first);
	PQfinish(second);
	PQfinish(alice);
}

/* A database's pause taken back must not end everybody's. */
Test(console_wait, cancel_of_one_databases_pause_leaves_everybodys)
{
	PGconn *first = console(), *second = console(), *alice = busy("alice");
	PGconn *bob = rig_connect_as(rig, "bob", "dbname=app");

	cr_assert(PQsendQuery(first, "PAUSE"));
	cr_assert(rig_console_wait(rig, "SHOW STATE", "key", "paused", "value", "yes",
	                           RIG_PATIENCE_MS));
	cr_assert(PQsendQuery(second, "PAUSE app"));
	cr_assert(rig_stays_silent(second, SILENT_MS));
	cancel(second);
	cr_assert_str_eq(rig_outcome(second).s, "57014");
	cr_assert(PQsendQuery(bob, "SELECT 2"));
	cr_assert(rig_stays_silent(bob, SILENT_MS));
	rig_exec(alice, "COMMIT");
	cr_assert_str_eq(rig_outcome(first).s, "");
	cr_assert(rig_stays_silent(bob, SILENT_MS));
	rig_exec(first, "RESUME");
	cr_assert_str_eq(rig_scalar(bob).s, "2");
	PQfinish(first);
	PQfinish(second);
	PQfinish(alice);
	PQfinish(bob);
}

Test(console_wait, cancel_of_an_idle_console_does_nothing)
{
	PGconn *operator = console();

	cancel(operator);
	cr_assert_str_eq(rig_query(operator, "SELECT 1").s, "1");
	cancel(operator);
	rig_exec(operator, "PAUSE app");
	rig_exec(operator, "RESUME app");
	PQfinish(operator);
}

/* --- batches --- */

static void send_params(PGconn *conn, const char *sql)
{
	cr_assert(PQsendQueryParams(conn, sql, 0, NULL, NULL, NULL, NULL, 0), "%s",
	          PQerrorMessage(conn));
}

/* Of a batch that was answered in part the Sync still has to come: PAUSE waits for that, and what comes
 * behind it waits for RESUME. */
Test(console_wait, pause_comes_before_the_last_sync)
{
	PGconn *operator = console(), *alice = rig_connect(rig, "dbname=app");

	cr_assert(PQenterPipelineMode(alice));
	send_params(alice, "SELECT 'before'");
	cr_assert(PQsendFlushRequest(alice) && PQflush(alice) == 0);
	cr_assert_str_eq(rig_scalar(alice).s, "before");
	cr_assert(PQsendQuery(operator, "PAUSE app"));
	cr_assert(rig_console_wait(rig, "SHOW DATABASES", "name", "app", "paused", "1",
	                           RIG_PATIENCE_MS));
	cr_assert(rig_stays_silent(operator, SILENT_MS), "paused in the middle of a batch");
	send_params(alice, "SELECT 'more of it'");
	cr_assert(PQsendFlushRequest(alice) && PQflush(alice) == 0);
	cr_assert_str_eq(rig_scalar(alice).s, "more of it");
	cr_assert(rig_stays_silent(operator, SILENT_MS), "paused in the middle of a batch");
	cr_assert(PQpipelineSync(alice));
	PQclear(PQgetResult(alice));
	cr_assert_str_eq(rig_outcome(operator).s, "");
	send_params(alice, "SELECT 'behind'");
	cr_assert(PQpipelineSync(alice));
	cr_assert(rig_stays_silent(alice, SILENT_MS), "served although paused");
	rig_exec(operator, "RESUME app");
	cr_assert_str_eq(rig_scalar(alice).s, "behind");
	PQfinish(alice);
	PQfinish(operator);
}

/* --- when one needs it most --- */

/* Nobody else gets in, nobody is served: whoever looks after it does, by TLS and by the Unix
 * socket. */
Test(console_wait, it_is_there_when_all_is_full_and_paused)
{
	PGconn *operator = console(), *alice, *late, *second;

	rig_exec(operator, "SET max_client_conn = 1");
	alice = rig_connect(rig, "dbname=app");
	late = rig_try_connect(rig, "bob", "dbname=app");
	cr_assert_eq(PQstatus(late), CONNECTION_BAD);
	PQfinish(late);
	rig_exec(operator, "PAUSE");
	cr_assert(PQsendQuery(alice, "SELECT 1"));
	second = console();
	cr_assert_str_eq(rig_query(second, "SHOW POOLS").s, "app");
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	rig_exec(second, "SET max_client_conn = 2");
	rig_exec(second, "RESUME");
	cr_assert_str_eq(rig_scalar(alice).s, "1");
	late = rig_connect_as(rig, "bob", "dbname=app");
	PQfinish(late);
	PQfinish(alice);
	PQfinish(second);
	PQfinish(operator);
}
