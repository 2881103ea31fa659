/* What goes before a transaction is cancelled while more than the client's message waits for it. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_attack_setup, .timeout = 60);

static struct rig *rig;
static char database[64];
static PGconn *admin;
static struct actor a, b;

static void join(struct actor *who, const char *params)
{
	actor_enter(who, rig, "alice", database, params);
}

static void open_setup(const char *name, const char *keys, const char *params)
{
	strcpy(database, name);
	crowd_database(database);
	admin = rig_admin_connect(database);
	rig_exec(admin, "CREATE TEXT SEARCH CONFIGURATION words (COPY = pg_catalog.simple)");
	rig = rig_start(NULL, crowd_entry(database, keys).s, NULL);
	join(&a, params);
}

static void close_setup(void)
{
	actor_leave(&a);
	actor_leave(&b);
	PQfinish(admin);
	rig_stop(rig);
}

#define WAITING "FROM pg_stat_activity WHERE datname = '%s' AND wait_event_type = 'Lock'"

/* What it says has to wait for a value that must be looked up, and there it is cancelled. */
static struct rig_text cancelled(enum deed deed, const char *text)
{
	struct rig_text answer;

	rig_exec(admin, "ALTER TEXT SEARCH CONFIGURATION words OWNER TO bob");
	rig_exec(admin, "BEGIN; LOCK TABLE pg_catalog.pg_ts_config IN ACCESS EXCLUSIVE MODE");
	actor_say(&a, deed, text);
	cr_assert(rig_admin_wait(rig_printf("SELECT count(*) " WAITING, database).s, "1",
	                         RIG_PATIENCE_MS),
	          "nothing is looked up: the test is of no use");
	actor_cancel(&a, rig);
	answer = actor_hear(&a);
	rig_exec(admin, "COMMIT");
	return answer;
}

static void one_answer(const char *name, const char *text)
{
	struct rig_text answer;

	open_setup(name, "pool_size=1", "");
	join(&b, "");
	answer = actor_do(&a, PARSE, "s: SELECT 7");
	actor_query(&a, "SET default_text_search_config = 'public.words'");
	actor_query(&b, "SELECT 1");
	answer = cancelled(QUERY, text);
	cr_expect(strstr(answer.s, "!57014") != NULL, "\"%s\"", answer.s);
	cr_expect_str_eq(actor_do(&a, QUERY, "SELECT 42").s, "42", "an answer too many");
	cr_expect_str_eq(actor_do(&a, QUERY, "SELECT 43").s, "43", "an answer too many");
	close_setup();
}

Test(border_attack_setup, before_sequences_are_discarded)
{
	one_answer("as_sequences", "SELECT lastval()");
}

Test(border_attack_setup, before_a_statement_is_prepared_for_a_text)
{
	one_answer("as_execute", "EXECUTE s");
}

/* Its temporary table is gone with the server: so must be the session. */
static void lost(const char *name, const char *keys)
{
	struct rig_text answer;

	open_setup(name, keys, "default_text_search_config=public.words");
	actor_query(&a, "CREATE TEMP TABLE mine (i int)");
	actor_query(&a, "RESET default_text_search_config");
	answer = cancelled(QUERY, "SELECT count(*) FROM mine");
	cr_expect(strstr(answer.s, "!57014") != NULL, "\"%s\"", answer.s);
	if (a.ssl != NULL)
		cr_expect_str_eq(actor_do(&a, QUERY, "SELECT count(*) FROM mine").s, "0");
	close_setup();
}

Test(border_attack_setup, of_a_server_that_is_kept)
{
	lost("as_pinned", "pool_size=1");
}

Test(border_attack_setup, of_a_server_in_session_mode)
{
	lost("as_session", "pool_size=1 pool_mode=session");
}
