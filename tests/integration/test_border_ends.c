/* Where a border between clients is, and where there is none: which servers are cleaned, when, and how. */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_ends, .timeout = 120);

static struct rig *rig;
static char database[64];
static struct actor a, b, c;

static void join(struct actor *who, const char *cert)
{
	actor_enter(who, rig, cert, database, "");
}

static void open_ends(const char *name, const char *settings, const char *keys,
                      const char *identities)
{
	PGconn *admin;

	strcpy(database, name);
	crowd_database(database);
	admin = rig_admin_connect(database);
	rig_exec(admin, "CREATE FUNCTION quietly() RETURNS void LANGUAGE plpgsql AS "
	                "$$ BEGIN PERFORM pg_advisory_lock_shared(1); END $$");
	PQfinish(admin);
	rig = rig_start(settings, crowd_entry(database, rig_printf("pool_size=1 %s", keys).s).s,
	                identities);
}

static void close_ends(void)
{
	actor_leave(&a);
	actor_leave(&b);
	actor_leave(&c);
	rig_stop(rig);
}

/* A statement that clients share, which a server has until somebody cleans it. */
static void use_statement(struct actor *who)
{
	struct rig_text answer = actor_do(who, PARSE, "s: SELECT 'shared'");

	cr_assert_str_empty(answer.s, "%s", answer.s);
	answer = actor_do(who, BIND, "s");
	cr_assert_str_eq(answer.s, "shared", "%s", answer.s);
}

/* How many statements are on the server that this client gets. */
static struct rig_text statements_of(struct actor *who)
{
	return actor_query(who, "SELECT count(*) FROM pg_prepared_statements WHERE statement = "
	                        "'SELECT ''shared'''");
}

/* After alice, another one comes as this: is there a border? */
static void expect_border(const char *cert, bool border, const char *what)
{
	struct rig_text pid;

	join(&a, "alice");
	use_statement(&a);
	pid = actor_query(&a, "SELECT pg_backend_pid()");
	cr_assert_str_eq(statements_of(&a).s, "1", "%s", what);
	join(&b, cert);
	cr_expect_str_eq(statements_of(&b).s, border ? "0" : "1", "%s", what);
	cr_expect_str_eq(actor_query(&b, "SELECT pg_backend_pid()").s, pid.s, "%s", what);
	use_statement(&b);
	actor_leave(&a);
	actor_leave(&b);
}

Test(border_ends, is_none_between_clients_of_an_identity)
{
	open_ends("be_same", NULL, "", SCENE_TWO_RULES);
	expect_border("alice", false, "the same certificate");
	close_ends();
}

Test(border_ends, is_one_between_two_rules)
{
	open_ends("be_rules", NULL, "", SCENE_TWO_RULES);
	expect_border("bob", true, "another rule");
	close_ends();
}

Test(border_ends, is_one_between_two_names_of_a_rule)
{
	open_ends("be_names", NULL, "", "fleet = cn:/^(alice|bob)$/ roles=alice\n");
	expect_border("bob", true, "another name");
	close_ends();
}

Test(border_ends, is_none_between_names_that_share_their_rule)
{
	open_ends("be_share", NULL, "",
	          "fleet = cn:/^(alice|bob)$/ roles=alice share=rule\n"
	          "other = cn:carol roles=alice share=rule\n");
	expect_border("bob", false, "share=rule");
	expect_border("carol", true, "another rule that shares");
	close_ends();
}

Test(border_ends, is_one_between_names_that_do_not_share)
{
	open_ends("be_name", NULL, "", "fleet = cn:/^(alice|bob)$/ roles=alice share=name\n");
	expect_border("bob", true, "share=name");
	close_ends();
}

Test(border_ends, is_none_if_only_texts_count)
{
	open_ends("be_suspected", "server_reset=suspected\n", "", SCENE_TWO_RULES);
	expect_border("bob", false, "server_reset=suspected");
	close_ends();
}

Test(border_ends, is_one_between_any_two_clients_if_so_wished)
{
	open_ends("be_client", "server_reset=client\n", "", SCENE_TWO_RULES);
	expect_border("alice", true, "server_reset=client");
	close_ends();
}

Test(border_ends, is_each_databases_own)
{
	open_ends("be_key", "server_reset=suspected\n", "server_reset=client", SCENE_TWO_RULES);
	expect_border("alice", true, "server_reset=client of the database");
	close_ends();
}

/* Back and forth; the way back from the border is one too. */
Test(border_ends, is_crossed_each_time)
{
	open_ends("be_each", NULL, "", SCENE_TWO_RULES);
	join(&a, "alice");
	join(&b, "bob");
	join(&c, "alice");
	for (int i = 0; i < 3; i++) {
		use_statement(&a);
		cr_assert_str_eq(statements_of(&c).s, "1");
		cr_assert_str_eq(statements_of(&b).s, "0");
		cr_assert_str_eq(statements_of(&c).s, "0");
		actor_do(&a, CLOSE, "s");
	}
	close_ends();
}

static struct rig_text backends_of(const char *pid)
{
	return rig_printf("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid);
}

Test(border_ends, closes_the_server_if_so_wished)
{
	struct rig_text first, second;

	open_ends("be_close", "server_reset=close\n", "", SCENE_TWO_RULES);
	join(&a, "alice");
	join(&b, "bob");
	join(&c, "alice");
	first = actor_query(&a, "SELECT pg_backend_pid()");
	cr_assert_str_eq(actor_query(&c, "SELECT pg_backend_pid()").s, first.s);
	second = actor_query(&b, "SELECT pg_backend_pid()");
	cr_assert_str_neq(second.s, first.s);
	cr_assert(rig_admin_wait(backends_of(first.s).s, "0", RIG_PATIENCE_MS));
	cr_assert_str_eq(actor_query(&b, "SELECT pg_backend_pid()").s, second.s);
	cr_assert_str_neq(actor_query(&a, "SELECT pg_backend_pid()").s, second.s);
	cr_assert(rig_admin_wait(backends_of(second.s).s, "0", RIG_PATIENCE_MS));
	close_ends();
}

/* ---- the last one of an identity ---- */

static struct rig_text locks_here(void)
{
	return rig_printf(
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
		"(SELECT oid FROM pg_database WHERE datname = '%s')",
		database);
}

static void last_one_leaves(const char *name, const char *settings, const char *keys, bool breaks)
{
	struct rig_text locks;

	open_ends(name, settings, keys, SCENE_TWO_RULES);
	locks = locks_here();
	join(&a, "alice");
	actor_query(&a, "SELECT quietly()");
	cr_assert_str_eq(rig_admin_query(locks.s).s, "1");
	if (breaks)
		actor_drop(&a);
	else
		actor_leave(&a);
	cr_assert(rig_admin_wait(locks.s, "0", RIG_PATIENCE_MS), "a lock of nobody's");
	close_ends();
}

Test(border_ends, with_the_last_session_of_an_identity)
{
	last_one_leaves("be_last", NULL, "", false);
}

Test(border_ends, with_the_last_session_that_breaks_off)
{
	last_one_leaves("be_broken", NULL, "", true);
}

Test(border_ends, with_the_last_session_where_each_client_is_alone)
{
	last_one_leaves("be_lastclient", NULL, "server_reset=client", false);
}

Test(border_ends, with_the_last_session_where_servers_are_closed)
{
	last_one_leaves("be_lastclose", NULL, "server_reset=close", false);
}

Test(border_ends, with_the_last_session_in_session_mode)
{
	last_one_leaves("be_lastsession", "server_reset_query=\n", "pool_mode=session", false);
}

Test(border_ends, with_the_last_of_several_sessions)
{
	struct rig_text locks;

	open_ends("be_several", NULL, "", SCENE_TWO_RULES);
	locks = locks_here();
	join(&b, "bob");
	join(&c, "alice");
	join(&a, "alice");
	actor_query(&a, "SELECT quietly()");
	actor_leave(&a);
	actor_query(&c, "SELECT 1");
	actor_leave(&c);
	cr_assert(rig_admin_wait(locks.s, "0", RIG_PATIENCE_MS), "a lock of nobody's");
	cr_assert_str_eq(statements_of(&b).s, "0");
	close_ends();
}
