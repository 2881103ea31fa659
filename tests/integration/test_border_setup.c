/* What a client asked for is set before its statement runs, or the statement does not run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_setup, .timeout = 120);

static struct rig *rig;
static char database[64];
static PGconn *admin;
static struct actor a, b;

/* The only server is at first as b has it. The limit is the database's own, so that it holds for what the pooler
 * sets as well. */
static void open_setup(const char *name, const char *limit, const char *params)
{
	strcpy(database, name);
	crowd_database(database);
	admin = rig_admin_connect(database);
	rig_exec(admin, "CREATE TABLE t (i int); GRANT ALL ON t TO PUBLIC;"
	                "CREATE TEXT SEARCH CONFIGURATION words (COPY = pg_catalog.simple)");
	if (limit != NULL)
		rig_exec(admin, rig_printf("ALTER DATABASE %s SET %s", name, limit).s);
	rig = rig_start(NULL, crowd_entry(database, "pool_size=1").s, NULL);
	actor_enter(&a, rig, "alice", database, params);
	actor_enter(&b, rig, "alice", database, "");
	actor_query(&b, "SELECT 1");
}

static void close_setup(void)
{
	actor_leave(&a);
	actor_leave(&b);
	PQfinish(admin);
	rig_stop(rig);
}

static void expect_nothing_done(const char *how)
{
	struct rig_text answer = actor_query(&b, "SELECT current_user, count(*) FROM t");

	cr_expect_str_eq(answer.s, "alice,0", "%s: %s", how, answer.s);
	cr_expect_str_eq(rig_query(admin, "SELECT count(*) FROM t").s, "0", "%s", how);
}

/* ---- a role that is no longer granted ---- */

#define ROLE "setup_of_%s"

static void make_role(const char *name)
{
	rig_require();
	scene_roles(rig_printf("CREATE ROLE " ROLE "; GRANT " ROLE " TO alice", name, name).s);
}

static const struct {
	const char *what;
	enum deed held, deed;
	const char *ahead, *text;
} insertions[] = {
	{ "simple query", DEED_NONE, QUERY, NULL, "INSERT INTO t VALUES (1)" },
	{ "extended query", DEED_NONE, EXTENDED, NULL, "INSERT INTO t VALUES ($1) << 1" },
	{ "query after another one", HOLD, QUERY, "SELECT 1", "INSERT INTO t VALUES (1)" },
	{ "several of one Sync", OPEN, EXTENDED, "INSERT INTO t VALUES (1)",
	  "INSERT INTO t VALUES ($1) << 1" },
	{ "transaction in one piece", HOLD, QUERY, "BEGIN; INSERT INTO t VALUES (1)", "COMMIT" },
	{ "text with a COMMIT of its own", DEED_NONE, QUERY, NULL,
	  "COMMIT; INSERT INTO t VALUES (1); COMMIT" },
};

static void revoked(const char *name, size_t i)
{
	struct rig_text answer;

	make_role(name);
	open_setup(name, NULL, rig_printf("role=" ROLE, name).s);
	scene_roles(rig_printf("REVOKE " ROLE " FROM alice", name).s);
	if (insertions[i].ahead != NULL)
		actor_say(&a, insertions[i].held, insertions[i].ahead);
	answer = actor_do(&a, insertions[i].deed, insertions[i].text);
	cr_expect(strchr(answer.s, '!') != NULL, "%s: \"%s\"", insertions[i].what, answer.s);
	expect_nothing_done(insertions[i].what);
	close_setup();
}

Test(border_setup, revoked_role_and_a_simple_query)
{
	revoked("su_simple", 0);
}

Test(border_setup, revoked_role_and_an_extended_query)
{
	revoked("su_extended", 1);
}

Test(border_setup, revoked_role_and_a_query_after_another)
{
	revoked("su_second", 2);
}

Test(border_setup, revoked_role_and_several_of_one_sync)
{
	revoked("su_several", 3);
}

Test(border_setup, revoked_role_and_a_transaction_in_one_piece)
{
	revoked("su_piece", 4);
}

Test(border_setup, revoked_role_and_a_text_that_commits)
{
	revoked("su_commit", 5);
}

/* Values that were good once and then another client had the server: not only those of the login. */
Test(border_setup, revoked_role_that_worked_before)
{
	struct rig_text answer;

	make_role("su_before");
	open_setup("su_before", NULL, "");
	actor_query(&a, "SET ROLE setup_of_su_before");
	cr_assert_str_eq(actor_query(&a, "SELECT current_user").s, "setup_of_su_before");
	cr_assert_str_eq(actor_query(&b, "SELECT current_user").s, "alice");
	scene_roles("REVOKE setup_of_su_before FROM alice");
	answer = actor_do(&a, EXTENDED, "INSERT INTO t VALUES (1)");
	cr_expect(strchr(answer.s, '!') != NULL, "\"%s\"", answer.s);
	expect_nothing_done("worked before");
	close_setup();
}

/* ---- a value whose check takes a lock that somebody has ---- */

struct trouble {
	const char *limit;
	const char *sqlstate;
	bool client; /* the client asks for the end, else with no limit the superuser does */
};

static const struct trouble by_client = { NULL, "57014", true };
static const struct trouble by_superuser = { NULL, "57014", false };
static const struct trouble by_statement_timeout = { "statement_timeout = '300ms'", "57014",
	                                             false };
static const struct trouble by_lock_timeout = { "lock_timeout = '300ms'", "55P03", false };

/* What servers remember of the value is out of date, and nobody can look it up. */
static void hold_lock(void)
{
	rig_exec(admin, "ALTER TEXT SEARCH CONFIGURATION words OWNER TO bob");
	rig_exec(admin, "BEGIN; LOCK TABLE pg_catalog.pg_ts_config IN ACCESS EXCLUSIVE MODE");
}

#define WAITING "FROM pg_stat_activity WHERE datname = '%s' AND wait_event_type = 'Lock'"

static void interrupt(const struct trouble *t)
{
	if (t->limit != NULL)
		return;
	cr_assert(rig_admin_wait(rig_printf("SELECT count(*) " WAITING, database).s, "1",
	                         RIG_PATIENCE_MS),
	          "nothing is looked up: the test is of no use");
	if (t->client)
		actor_cancel(&a, rig);
	else
		rig_admin_exec(rig_printf("SELECT pg_cancel_backend(pid) " WAITING, database).s);
}

static void interrupted(const char *name, const struct trouble *t, bool accepted, size_t i)
{
	struct rig_text answer;

	open_setup(name, t->limit, accepted ? "" : "default_text_search_config=public.words");
	if (accepted) { /* by the server, which then was another client's */
		actor_query(&a, "SET default_text_search_config = 'public.words'");
		actor_query(&b, "SELECT 1");
	}
	hold_lock();
	if (insertions[i].ahead != NULL)
		actor_say(&a, insertions[i].held, insertions[i].ahead);
	actor_say(&a, insertions[i].deed, insertions[i].text);
	interrupt(t);
	answer = actor_hear(&a);
	cr_expect(strchr(answer.s, '!') != NULL && strstr(answer.s, t->sqlstate) != NULL,
	          "%s: \"%s\"", insertions[i].what, answer.s);
	rig_exec(admin, "COMMIT");
	expect_nothing_done(insertions[i].what);
	close_setup();
}

Test(border_setup, cancelled_while_it_is_set_for_the_first_time)
{
	interrupted("su_first", &by_client, false, 0);
}

Test(border_setup, cancelled_while_it_is_set)
{
	interrupted("su_cancel", &by_client, true, 0);
}

Test(border_setup, cancelled_while_it_is_set_and_several_of_one_sync)
{
	interrupted("su_cancelext", &by_client, true, 3);
}

Test(border_setup, cancelled_by_the_superuser_while_it_is_set_for_the_first_time)
{
	interrupted("su_superfirst", &by_superuser, false, 1);
}

Test(border_setup, cancelled_by_the_superuser_while_it_is_set)
{
	interrupted("su_super", &by_superuser, true, 1);
}

Test(border_setup, cancelled_by_the_superuser_while_it_is_set_and_a_text_that_commits)
{
	interrupted("su_supercom", &by_superuser, true, 5);
}

Test(border_setup, timed_out_while_it_is_set)
{
	interrupted("su_statement", &by_statement_timeout, true, 1);
}

Test(border_setup, timed_out_while_it_is_set_and_a_transaction_in_one_piece)
{
	interrupted("su_statepiece", &by_statement_timeout, true, 4);
}

Test(border_setup, timed_out_by_a_lock_while_it_is_set)
{
	interrupted("su_lock", &by_lock_timeout, true, 0);
}

Test(border_setup, timed_out_by_a_lock_while_it_is_set_for_the_first_time)
{
	interrupted("su_lockfirst", &by_lock_timeout, false, 0);
}
