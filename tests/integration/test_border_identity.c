/* Clients of two identities that have the same role: nothing of one comes to the other, by whatever way it was left
 * on the server. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_identity, .timeout = 120);

#define ONE_RULE "fleet = cn:/^(alice|bob)$/ roles=alice\n"

/* No text shows what a misdeed is. */
#define DDL                                                                                                \
	"CREATE TABLE deeds (name text PRIMARY KEY, sql text); CREATE SEQUENCE tickets;"                   \
	"INSERT INTO deeds VALUES"                                                                         \
	" ('parameter', $$SELECT set_config('app.tenant', 'one', false)$$),"                               \
	" ('memory', 'SET work_mem = ''7MB'''), ('path', 'SET search_path = evil'),"                       \
	" ('role', 'SET ROLE app_ro'), ('lock', 'SELECT pg_advisory_lock_shared(1)'),"                     \
	" ('table', 'CREATE TEMP TABLE left_behind (i int)'),"                                             \
	" ('view', 'CREATE TEMP VIEW left_behind AS SELECT 1'),"                                           \
	" ('function', $$CREATE FUNCTION pg_temp.left_behind() RETURNS int LANGUAGE sql AS 'SELECT 1'$$)," \
	" ('sequence', 'CREATE TEMP SEQUENCE left_behind; SELECT nextval(''left_behind'')'),"              \
	" ('statement', 'PREPARE pgseal_x AS SELECT 1'), ('channel', 'LISTEN news'),"                      \
	" ('draw', 'SELECT nextval(''tickets'')'), ('style', 'SET datestyle = ''German'''),"               \
	" ('zone', 'SET TimeZone = ''Asia/Tokyo'''), ('encoding', 'SET client_encoding = ''LATIN1'''),"    \
	" ('isolation', 'SET default_transaction_isolation = serializable'),"                              \
	" ('reading', 'SET default_transaction_read_only = on'),"                                          \
	" ('time', 'SET statement_timeout = 1'),"                                                          \
	" ('idle', 'SET idle_session_timeout = 1'),"                                                       \
	" ('cursor', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1');"                                          \
	"CREATE FUNCTION misdeed(text) RETURNS void LANGUAGE plpgsql AS "                                  \
	"$x$ DECLARE it text; BEGIN SELECT sql INTO it FROM deeds WHERE name = $1; EXECUTE it; END $x$;"   \
	"CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;"                                        \
	"GRANT SELECT ON deeds TO PUBLIC; GRANT ALL ON tickets TO PUBLIC"

/* All that the next one could notice. */
static const struct line clean[] = {
	{ 'b', ASK, "SELECT 'me', current_user, session_user", "me,alice,alice" },
	{ 'b', ASK, "SELECT coalesce(current_setting('app.tenant', true), '')", "" },
	{ 'b', ASK,
	  "SELECT string_agg(name || '=' || setting, ' ') FROM pg_settings WHERE setting IS "
	  "DISTINCT FROM reset_val AND source = 'session'",
	  "(null)" },
	{ 'b', ASK,
	  "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
	  "pid = pg_backend_pid()",
	  "0" },
	{ 'b', ASK, "SELECT to_regclass('left_behind'), to_regproc('pg_temp.left_behind')",
	  "(null),(null)" },
	{ 'b', ASK, "SELECT count(*) FROM pg_cursors WHERE is_holdable", "0" },
	{ 'b', ASK,
	  "SELECT count(*) FROM pg_prepared_statements WHERE name IN ('pgseal_x', 'pgseal_0') "
	  "OR statement LIKE '%misdeed%'",
	  "0" },
	{ 'b', ASK, "SELECT count(*) FROM pg_listening_channels()", "0" },
	{ 'b', ASK, "SHOW transaction_isolation", "read committed" },
	{ 'b', ASK, "SHOW transaction_read_only", "off" },
	{ 'b', ASK, "SHOW client_encoding", "UTF8" },
	{ 'b', ASK, "SHOW DateStyle", "ISO, MDY" },
	{ 'b', QUERY, "SELECT lastval()", "!55000" },
	{ 'b', QUERY, "SELECT currval('tickets')", "!55000" },
	SCENE_END
};

static const char *const deeds[] = { "parameter", "memory",  "path",     "role",     "lock",
	                             "table",     "view",    "function", "sequence", "statement",
	                             "channel",   "draw",    "style",    "zone",     "encoding",
	                             "isolation", "reading", "cursor",   "time",     "idle" };

/* The next one's identity has not been there, or was there before. */
static const struct scene ways[] = {
	{ .name = "by a function",
	  .lines = (const struct line[]){ { 'a', QUERY, "SELECT misdeed('@')", "" }, SCENE_END } },
	{ .name = "by a prepared statement, the other one was there",
	  .lines = (const struct line[]){ { 'c', QUERY, "SELECT 1", "1" },
	                                  { 'a', PARSE, "s: SELECT misdeed($1)", "" },
	                                  { 'a', BIND, "s << @", "" },
	                                  SCENE_END } },
	{ .name = "by a DO block in a transaction",
	  .lines = (const struct line[]){ { 'a', QUERY, "BEGIN", "" },
	                                  { 'a', QUERY, "DO $$ BEGIN PERFORM misdeed('@'); END $$",
	                                    "" },
	                                  { 'a', QUERY, "COMMIT", "" },
	                                  SCENE_END } },
};

static const struct scene others[] = {
	{ .name = "all at once",
	  .lines = (const struct line[]){ { 'a', QUERY,
	                                    "SELECT misdeed(name) FROM deeds WHERE name IN "
	                                    "('parameter', 'memory', 'lock', 'table', 'cursor', "
	                                    "'channel', 'draw', 'style', 'role')",
	                                    ANYTHING },
	                                  SCENE_END } },
	{ .name = "temporary table and statement that texts show",
	  .lines = (const struct line[]){ { 'a', QUERY, "CREATE TEMP TABLE left_behind (i int)",
	                                    "" },
	                                  { 'a', QUERY, "PREPARE pgseal_0 AS SELECT 2", "" },
	                                  SCENE_END } },
};

static void play_deeds(const char *database, const struct stage *stage)
{
	rig_require();
	scene_roles("GRANT app_ro TO alice");
	scene_open(database, DDL, stage);
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
		for (size_t i = w; i < sizeof(deeds) / sizeof(deeds[0]); i += w + 1) {
			struct rig_text name = rig_printf("%s, %s", deeds[i], ways[w].name);
			struct scene scene = ways[w];

			scene.name = name.s;
			scene.at = deeds[i];
			scene.more = clean;
			scene_play(&scene);
		}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct scene scene = others[i];

		scene.more = clean;
		scene_play(&scene);
	}
	scene_close();
}

/* b and c are bob. */
static struct stage of_two(const char *settings, const char *keys, const char *identities,
                           bool leaves)
{
	return (struct stage){ .settings = settings,
		               .keys = keys,
		               .identities = identities,
		               .certs = { NULL, "bob", "bob" },
		               .leaves = leaves };
}

Test(border_identity, of_two_rules)
{
	struct stage stage = of_two(NULL, "pool_size=1", SCENE_TWO_RULES, true);

	play_deeds("bi_rules", &stage);
}

Test(border_identity, of_two_names_of_a_rule)
{
	struct stage stage = of_two(NULL, "pool_size=1", ONE_RULE, true);

	play_deeds("bi_names", &stage);
}

Test(border_identity, of_two_rules_in_session_mode)
{
	struct stage stage = of_two("server_reset_query=\n", "pool_size=1 pool_mode=session",
	                            SCENE_TWO_RULES, true);

	play_deeds("bi_session", &stage);
}

/* Whatever keeps its server has it, and the other one gets another. */
Test(border_identity, of_two_who_are_there)
{
	struct stage stage = of_two("workers=1\n", "pool_size=2", SCENE_TWO_RULES, false);

	play_deeds("bi_there", &stage);
}

Test(border_identity, is_between_all_clients_if_so_wished)
{
	struct stage stage = { .settings = "server_reset=client\n",
		               .keys = "pool_size=1",
		               .leaves = true };

	play_deeds("bi_client", &stage);
}

Test(border_identity, is_between_all_clients_of_a_database_if_so_wished)
{
	struct stage stage = { .settings = "workers=1\n",
		               .keys = "pool_size=2 server_reset=client" };

	play_deeds("bi_clientkey", &stage);
}

Test(border_identity, a_server_that_is_closed_has_nothing_left)
{
	struct stage stage = of_two("server_reset=close\n", "pool_size=1", SCENE_TWO_RULES, true);

	play_deeds("bi_close", &stage);
}
