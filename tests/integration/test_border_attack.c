/* What hostile and merely unlucky clients find at the border. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_attack, .timeout = 120);

#define LINES (const struct line[])
#define INSTANT "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')::bigint"
#define DDL                                                                      \
	"CREATE TABLE t (id serial, i int); GRANT ALL ON t, t_id_seq TO PUBLIC;" \
	"CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO PUBLIC;"            \
	"CREATE TEXT SEARCH CONFIGURATION other.words (COPY = pg_catalog.simple)"

static const struct scene taken[] = {
	{ "word in capitals", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET app.tenant = BLUE", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW app.tenant", "blue" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW app.tenant", "blue" },
	         SCENE_END },
	  NULL },
	{ "role in capitals", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET ROLE APP_RO", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SELECT current_user", "app_ro" },
	         SCENE_END },
	  NULL },
	{ "role = in capitals", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET role = APP_RO", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SELECT current_user", "app_ro" },
	         SCENE_END },
	  NULL },
	{ "long word", NULL, NULL,
	  LINES{ { 'a', QUERY,
	           "SET app.tenant = aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
	           "ffffffffffgggggggggghhhhhhhh",
	           "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW app.tenant", NULL },
	         SCENE_END },
	  NULL },
	{ "configuration found by search_path", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET search_path = other", "" },
	         { 'a', QUERY, "SET default_text_search_config = words", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW default_text_search_config", "other.words" },
	         SCENE_END },
	  NULL },
	{ "configuration found by a search_path of then", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET search_path = other", "" },
	         { 'a', QUERY, "SET default_text_search_config = words", "" },
	         { 'a', QUERY, "RESET search_path", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW default_text_search_config", "other.words" },
	         SCENE_END },
	  NULL },
	{ "as a number", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET app.tenant = 007", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW app.tenant", NULL },
	         SCENE_END },
	  NULL },
	{ "as a positive number", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET app.tenant = +7", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW app.tenant", NULL },
	         SCENE_END },
	  NULL },
	{ "as a fraction", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET app.tenant = 1.50", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW app.tenant", NULL },
	         SCENE_END },
	  NULL },
	{ "keyword in capitals", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET app.tenant = TRUE", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "SHOW app.tenant", NULL },
	         SCENE_END },
	  NULL },
};

static const struct scene names[] = {
	{ "another of the same name", NULL, NULL,
	  LINES{ { 'a', PARSE, "s: SELECT 1", "" },
	         { 'a', QUERY, "DEALLOCATE s; PREPARE s AS SELECT 2; EXECUTE s", "2" },
	         { 'a', QUERY, "EXECUTE s", "2" },
	         { 'a', BIND, "s", "2" },
	         SCENE_END },
	  NULL },
	{ "another of the same name after all", NULL, NULL,
	  LINES{ { 'a', PARSE, "s: SELECT 1", "" },
	         { 'a', QUERY, "DEALLOCATE ALL; PREPARE s AS SELECT 2; EXECUTE s", "2" },
	         { 'a', QUERY, "EXECUTE s", "2" },
	         { 'a', BIND, "s", "2" },
	         { 'a', PARSE, "r: SELECT 1", "" },
	         { 'a', BIND, "r", "1" },
	         SCENE_END },
	  NULL },
	{ "used after it is gone", NULL, NULL,
	  LINES{ { 'a', PARSE, "s: SELECT 1", "" },
	         { 'a', QUERY, "DEALLOCATE s; EXECUTE s", "!26000" },
	         { 'a', QUERY, "EXECUTE s", "!26000" },
	         SCENE_END },
	  NULL },
	{ "used after all are gone", NULL, NULL,
	  LINES{ { 'a', PARSE, "s: SELECT 1", "" },
	         { 'a', QUERY, "DEALLOCATE ALL; EXECUTE s", "!26000" },
	         { 'a', QUERY, "EXECUTE s", "!26000" },
	         SCENE_END },
	  NULL },
	{ "twice in one text", NULL, NULL,
	  LINES{ { 'a', PARSE, "s: SELECT 1", "" },
	         { 'a', QUERY, "DEALLOCATE s; DEALLOCATE s", "!26000" },
	         { 'a', QUERY, "EXECUTE s", "!26000" },
	         SCENE_END },
	  NULL },
	{ "all by a DO block", NULL, NULL,
	  LINES{ { 'a', PARSE, "s: SELECT 1", "" },
	         { 'b', PARSE, "s: SELECT 1", "" },
	         { 'b', PARSE, "r: SELECT 2", "" },
	         { 'b', BIND, "s", "1" },
	         { 'a', QUERY, "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$", "" },
	         { 'b', BIND, "s", "1" },
	         { 'b', QUERY, "EXECUTE r", "2" },
	         SCENE_END },
	  NULL },
	{ "bound and never executed", NULL, NULL,
	  LINES{ { 'a', PARSE, "s: SELECT 1", "" },
	         { 'a', PARSE, "d: DEALLOCATE s", "" },
	         { 'a', QUERY, "BEGIN", "" },
	         { 'a', BIND, "d", "" },
	         { 'a', BIND, "s", "!26000" },
	         SCENE_END },
	  NULL },
};

static const struct scene called = { "a statement called transaction", NULL, NULL,
	                             LINES{ { 'a', QUERY, "PREPARE transaction AS SELECT 1", "" },
	                                    { 'b', QUERY, "PREPARE transaction AS SELECT 2", "" },
	                                    { 'a', QUERY, "EXECUTE transaction", "1" },
	                                    { 'b', QUERY, "EXECUTE transaction", "2" },
	                                    SCENE_END },
	                             NULL };

static const struct scene sequences[] = {
	{ "after a rollback", NULL, NULL,
	  LINES{ { 'b', QUERY, "INSERT INTO t (i) VALUES (1)", "" },
	         { 'b', QUERY, "SELECT lastval() IS NOT NULL", ANYTHING },
	         { 'b', QUERY, "INSERT INTO t (i) VALUES (1)", "" },
	         { 'b', QUERY, "SELECT lastval() IS NOT NULL", "t" },
	         { 'a', QUERY, "BEGIN", "" },
	         { 'a', QUERY, "SELECT 1/0", "!22012" },
	         { 'a', HOLD, "ROLLBACK", "" },
	         { 'a', QUERY, "SELECT lastval()", ";!55000" },
	         SCENE_END },
	  NULL },
	{ "after a rollback of one Sync", NULL, NULL,
	  LINES{ { 'b', QUERY, "INSERT INTO t (i) VALUES (1)", "" },
	         { 'b', QUERY, "SELECT lastval() IS NOT NULL", ANYTHING },
	         { 'b', QUERY, "INSERT INTO t (i) VALUES (1)", "" },
	         { 'b', QUERY, "SELECT lastval() IS NOT NULL", "t" },
	         { 'a', QUERY, "BEGIN", "" },
	         { 'a', QUERY, "SELECT 1/0", "!22012" },
	         { 'a', OPEN, "ROLLBACK", "" },
	         { 'a', EXTENDED, "SELECT lastval()", "!55000" },
	         SCENE_END },
	  NULL },
	{ "after a rollback in one text", NULL, NULL,
	  LINES{ { 'b', QUERY, "INSERT INTO t (i) VALUES (1)", "" },
	         { 'b', QUERY, "SELECT lastval() IS NOT NULL", ANYTHING },
	         { 'b', QUERY, "INSERT INTO t (i) VALUES (1)", "" },
	         { 'b', QUERY, "SELECT lastval() IS NOT NULL", "t" },
	         { 'a', QUERY, "BEGIN", "" },
	         { 'a', QUERY, "SELECT 1/0", "!22012" },
	         { 'a', QUERY, "ROLLBACK; SELECT lastval()", "!55000" },
	         SCENE_END },
	  NULL },
};

static const struct scene rules[] = {
	{ "unnamed statement under rules of then", NULL, NULL,
	  LINES{ { 'a', PARSE, "lima: SET TimeZone = 'America/Lima'", "" },
	         { 'a', QUERY, "SET TimeZone = 'Asia/Tokyo'", "" },
	         { 'a', PARSE, ": " INSTANT, "" },
	         { 'a', BIND, "lima", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', BIND, "", "1577804400" },
	         SCENE_END },
	  NULL },
	{ "isolation level under other rules", NULL, NULL,
	  LINES{ { 'a', PARSE, "iso: SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "" },
	         { 'a', QUERY, "SET TimeZone = 'Asia/Tokyo'", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', QUERY, "BEGIN", "" },
	         { 'a', BIND, "iso", "" },
	         { 'a', QUERY, "SHOW transaction_isolation", "serializable" },
	         { 'a', QUERY, "COMMIT", "" },
	         SCENE_END },
	  NULL },
	{ "vacuum under other rules", NULL, NULL,
	  LINES{ { 'a', PARSE, "v: VACUUM pg_catalog.pg_largeobject", "" },
	         { 'a', QUERY, "SET TimeZone = 'Asia/Tokyo'", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', BIND, "v", "" },
	         SCENE_END },
	  NULL },
	{ "discard under other rules", NULL, NULL,
	  LINES{ { 'a', PARSE, "v: DISCARD ALL", "" },
	         { 'a', QUERY, "SET TimeZone = 'Asia/Tokyo'", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', BIND, "v", "" },
	         { 'a', BIND, "v", "!26000" },
	         SCENE_END },
	  NULL },
	{ "begin under other rules", NULL, NULL,
	  LINES{ { 'a', PARSE, "v: BEGIN ISOLATION LEVEL SERIALIZABLE", "" },
	         { 'a', QUERY, "SET TimeZone = 'Asia/Tokyo'", "" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         { 'a', BIND, "v", "" },
	         { 'a', QUERY, "SHOW transaction_isolation", "serializable" },
	         { 'a', QUERY, "SAVEPOINT x", "" },
	         { 'a', QUERY, "COMMIT", "" },
	         SCENE_END },
	  NULL },
};

#define N(x) (x), sizeof(x) / sizeof((x)[0])

Test(border_attack, values_that_are_followed_without_a_question)
{
	rig_require();
	scene_roles("GRANT app_ro TO alice");
	scene_open("at_taken", DDL, &scene_one_server);
	scene_play_all(N(taken));
	scene_close();
}

Test(border_attack, names)
{
	scene_open("at_names", DDL, &scene_one_server);
	scene_play_all(N(names));
	scene_close();
}

Test(border_attack, a_statement_called_transaction)
{
	scene_open("at_called", DDL, &scene_two_servers);
	scene_play(&called);
	scene_close();
}

Test(border_attack, sequences)
{
	scene_open("at_seq", DDL, &scene_one_server);
	scene_play_all(N(sequences));
	scene_close();
}

Test(border_attack, rules)
{
	scene_open("at_rules", DDL, &scene_one_server);
	scene_play_all(N(rules));
	scene_close();
}

static const struct stage no_statements_one = { .settings = "max_prepared_statements=0\n",
	                                        .keys = "pool_size=1" };
static const struct scene failing[] = {
	{ "a Parse that fails", NULL, NULL,
	  LINES{ { 'a', PARSE, "s: SELECT nothing.of(", "!42601" },
	         { 'b', QUERY, "SELECT 1", "1" },
	         SCENE_END },
	  NULL },
};

Test(border_attack, a_parse_that_fails_keeps_nothing)
{
	scene_open("at_fail", DDL, &no_statements_one);
	scene_play_all(N(failing));
	scene_close();
}

static const struct scene roles[] = {
	{ "what a role may set", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET ROLE attack_su", "" },
	         { 'a', QUERY, "SET session_replication_role = replica", "" },
	         { 'b', QUERY, "SHOW session_replication_role", "origin" },
	         { 'a', QUERY, "SHOW session_replication_role", "replica" },
	         { 'b', QUERY, "SHOW session_replication_role", "origin" },
	         SCENE_END },
	  NULL },
};

Test(border_attack, what_a_role_may_set)
{
	rig_require();
	scene_roles("CREATE ROLE attack_su SUPERUSER; GRANT attack_su TO alice");
	scene_open("at_role", NULL, &scene_two_servers);
	scene_play_all(N(roles));
	scene_close();
}

/* Nothing of the pooler's comes between a client and its unnamed statement. */
static const struct stage session_stays = { .keys = "pool_size=1 pool_mode=session" };
static const struct scene session[] = {
	{ "unnamed statement and a reset", NULL, NULL,
	  LINES{ { 'a', JOIN, "work_mem=5MB", "" },
	         { 'a', PARSE, "r: RESET work_mem", "" },
	         { 'a', PARSE, ": SELECT 42", "" },
	         { 'a', BIND, "r", "" },
	         { 'a', BIND, "", "42" },
	         { 'a', PARSE, ": SELECT set_config('app.x', 'y', false)", "" },
	         { 'a', BIND, "", "y" },
	         { 'a', BIND, "", "y" },
	         SCENE_END },
	  NULL },
};

Test(border_attack, session_mode)
{
	scene_open("at_session", NULL, &session_stays);
	scene_play_all(N(session));
	scene_close();
}
