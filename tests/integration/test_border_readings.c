/* Texts that can be read in two ways: what counts is what PostgreSQL takes them for. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_readings, .timeout = 120);

/* A statement between two strings that a wrong reading makes one, or of which it makes one. */
#define LOCK "pg_try_advisory_lock_shared(77)"
#define ESCAPED "SELECT '\\'', " LOCK ", '\\''"
#define PLAIN "SELECT '\\', " LOCK ", '\\'"
#define ESCAPED_PATH "SELECT '\\''; SET search_path = evil; SELECT '\\''"
#define PLAIN_PATH "SELECT '\\'; SET search_path = evil; SELECT '\\'"

static const struct line locked[] = { { 'b', ASK, SCENE_OWN_LOCKS, "0" },
	                              { 'a', ASK, SCENE_OWN_LOCKS, "1" },
	                              { 'b', ASK, SCENE_OWN_LOCKS, "0" },
	                              SCENE_END };
static const struct line diverted[] = { { 'b', ASK, "SELECT it FROM spot", "public" },
	                                { 'a', ASK, "SELECT it FROM spot", "evil" },
	                                { 'b', ASK, "SELECT it FROM spot", "public" },
	                                SCENE_END };
static const struct line has_table[] = { { 'b', ASK, "SELECT to_regclass('t')", "(null)" },
	                                 { 'a', ASK, "SELECT count(*) FROM t", "0" },
	                                 { 'b', ASK, "SELECT to_regclass('t')", "(null)" },
	                                 SCENE_END };

/* How backslashes come to be escapes in plain strings, or no longer: # is the parameter's value, @ the text. */
static const struct scene ways[] = {
	{ .name = "set in a transaction before",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET standard_conforming_strings = #", "" },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  SCENE_END } },
	{ .name = "simple, set in a transaction before",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET standard_conforming_strings = #", "" },
	                                  { 'a', QUERY, "@", NULL },
	                                  SCENE_END } },
	{ .name = "set by what is sent ahead in one piece",
	  .lines = (const struct line[]){ { 'a', HOLD, "SET standard_conforming_strings = #", "" },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  SCENE_END } },
	{ .name = "simple, set by what is sent ahead in one piece",
	  .lines = (const struct line[]){ { 'a', HOLD, "SET standard_conforming_strings = #", "" },
	                                  { 'a', QUERY, "@", NULL },
	                                  SCENE_END } },
	{ .name = "set ahead of the same Sync",
	  .lines = (const struct line[]){ { 'a', OPEN, "SET standard_conforming_strings = #", "" },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  SCENE_END } },
	{ .name = "set by a function that does not say so",
	  .lines = (const struct line[]){ { 'a', EXTENDED,
	                                    "SELECT set_config($1, $2, false) << "
	                                    "standard_conforming_strings << #",
	                                    NULL },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  SCENE_END } },
	{ .name = "set for the transaction",
	  .lines = (const struct line[]){ { 'a', QUERY, "BEGIN", "" },
	                                  { 'a', QUERY, "SET LOCAL standard_conforming_strings = #",
	                                    "" },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  { 'a', QUERY, "COMMIT", "" },
	                                  SCENE_END } },
	{ .name = "set for the transaction and sent in one piece",
	  .lines = (const struct line[]){ { 'a', HOLD, "BEGIN", "" },
	                                  { 'a', HOLD, "SET LOCAL standard_conforming_strings = #",
	                                    "" },
	                                  { 'a', HOLD, "@", "" },
	                                  { 'a', QUERY, "COMMIT", NULL },
	                                  SCENE_END } },
	{ .name = "from the login on",
	  .lines = (const struct line[]){ { 'a', JOIN, "standard_conforming_strings=#", "" },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  SCENE_END } },
	{ .name = "from the login on, by options",
	  .lines = (const struct line[]){ { 'a', JOIN, "options=-c standard_conforming_strings=#",
	                                    "" },
	                                  { 'a', QUERY, "@", NULL },
	                                  SCENE_END } },
	{ .name = "reset to what it was at login",
	  .lines = (const struct line[]){ { 'a', JOIN, "standard_conforming_strings=#", "" },
	                                  { 'a', QUERY, "SET standard_conforming_strings = on",
	                                    "" },
	                                  { 'a', QUERY, "SET standard_conforming_strings = off",
	                                    "" },
	                                  { 'a', HOLD, "RESET standard_conforming_strings", "" },
	                                  { 'a', QUERY, "@", NULL },
	                                  SCENE_END } },
};

static void play_readings(const char *database, const char *ddl, const struct stage *stage)
{
	static const struct {
		const char *value, *lock, *path;
	} readings[] = { { "off", ESCAPED, ESCAPED_PATH }, { "on", PLAIN, PLAIN_PATH } };

	scene_open(database, ddl, stage);
	for (size_t r = 0; r < 2; r++)
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			struct scene scene = ways[i];
			const struct line *last = scene.lines;

			while (strcmp(last->text, "@") != 0)
				last++;
			scene.hash = readings[r].value;
			scene.at = readings[r].lock;
			scene.more = locked;
			scene_play(&scene);
			if (last->deed == EXTENDED)
				continue; /* one statement only */
			scene.at = readings[r].path;
			scene.more = diverted;
			scene_play(&scene);
		}
	scene_close();
}

Test(border_readings, of_backslashes)
{
	play_readings("br_slash", SCENE_SPOTS, &scene_two_servers);
}

Test(border_readings, of_backslashes_on_servers_in_turns)
{
	play_readings("br_turns", SCENE_SPOTS, &scene_turns);
}

Test(border_readings, of_backslashes_after_who_left)
{
	play_readings("br_left", SCENE_SPOTS, &scene_leaves);
}

Test(border_readings, of_backslashes_in_session_mode_as_texts_say)
{
	play_readings("br_session", SCENE_SPOTS, &scene_session_suspected);
}

Test(border_readings, of_backslashes_that_are_escapes_in_the_database)
{
	play_readings("br_database",
	              SCENE_SPOTS
	              "ALTER DATABASE br_database SET standard_conforming_strings = off",
	              &scene_two_servers);
}

/* Characters whose second byte is a backslash. */
static const struct {
	const char *encoding, *character;
} wide[] = {
	{ "SJIS", "\x95\x5c" }, { "SJIS", "\x83\x5c" }, { "SHIFT_JIS_2004", "\x95\x5c" },
	{ "BIG5", "\xa5\x5c" }, { "GBK", "\x95\x5c" },  { "GB18030", "\x95\x5c" },
};

static const struct scene wide_ways[] = {
	{ .name = "encoding of the login",
	  .lines = (const struct line[]){ { 'a', JOIN, "client_encoding=#", "" },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  SCENE_END } },
	{ .name = "encoding set before",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET client_encoding = '#'", "" },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', QUERY, "@", NULL },
	                                  SCENE_END } },
	{ .name = "encoding set ahead in one piece",
	  .lines = (const struct line[]){ { 'a', HOLD, "SET NAMES '#'", "" },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  SCENE_END } },
	{ .name = "plain strings with escapes",
	  .lines = (const struct line[]){ { 'a', HOLD, "SET standard_conforming_strings = off",
	                                    "" },
	                                  { 'a', HOLD, "SET client_encoding = '#'", "" },
	                                  { 'a', QUERY, "@", NULL },
	                                  SCENE_END } },
};

static void play_wide(const char *database, const struct stage *stage)
{
	scene_open(database, SCENE_SPOTS, stage);
	for (size_t k = 0; k < sizeof(wide) / sizeof(wide[0]); k++)
		for (size_t i = 0; i < sizeof(wide_ways) / sizeof(wide_ways[0]); i++) {
			const char *prefix = i == 3 ? "" : "E";
			struct rig_text text = rig_printf(
				"SELECT length(%s'%s'), " LOCK ", length(%s'%s')", prefix,
				wide[k].character, prefix, wide[k].character);
			struct scene scene = wide_ways[i];

			scene.hash = wide[k].encoding;
			scene.at = text.s;
			scene.more = locked;
			scene_play(&scene);
		}
	scene_close();
}

Test(border_readings, of_characters_that_end_with_a_backslash)
{
	play_wide("br_wide", &scene_two_servers);
}

Test(border_readings, of_characters_that_end_with_a_backslash_after_who_left)
{
	play_wide("br_wideleft", &scene_leaves);
}

/* ---- names, and tables that do not look temporary ---- */

#define NAMED(how, sql, then)                                                        \
	{                                                                            \
		.name = how, .at = sql, .more = then, .lines = (const struct line[]) \
		{                                                                    \
			{ 'a', QUERY, "@", NULL }, SCENE_END                         \
		}                                                                    \
	}

static const struct scene named[] = {
	NAMED("set_config with an escape in its name",
	      "SELECT U&\"set_c\\006fnfig\"('search_path', 'evil', false)", diverted),
	NAMED("set_config with a long escape",
	      "SELECT pg_catalog.u&\"set\\+00005fconfig\"('search_path', 'evil', false)", diverted),
	NAMED("set_config with an escape of its own",
	      "SELECT U&\"set!005fconfig\" UESCAPE '!' ('search_path', 'evil', false)", diverted),
	NAMED("set_config in quotes with a prefix",
	      "SELECT U&\"set_config\"('search_path', 'evil', false)", diverted),
	NAMED("lock with an escape in its name",
	      "SELECT U&\"pg_try_advisory_lock\\005fshared\"(77)", locked),
	NAMED("parameter with an escape in its name", "SET U&\"search\\005fpath\" = evil",
	      diverted),
	NAMED("in a DO block",
	      "DO $x$ BEGIN PERFORM set_config('search' || '_path', 'evil', false); "
	      "END $x$",
	      diverted),
	NAMED("after nested comments", "SELECT 1 /* /* ' */ ' */; SET search_path = evil -- '",
	      diverted),
	NAMED("after a dollar quote", "SELECT $a$ $b$ ' $a$; SET search_path = evil", diverted),
	NAMED("after a parameter of a function",
	      "SELECT 1 AS \"a'\"; SET search_path = evil; SELECT 1 AS \"a'\"", diverted),
	NAMED("by a rule of quoting that has two lines",
	      "SELECT E'\\'' \n '\\''; SET search_path = evil; SELECT 'x'", diverted),
	NAMED("table by way of search_path",
	      "SET search_path = pg_temp; CREATE TABLE t (i int); RESET search_path", has_table),
	NAMED("table by way of a quoted search_path",
	      "SET search_path = 'pg_temp'; CREATE TABLE t (i int); RESET search_path", has_table),
	NAMED("table by way of search_path with others",
	      "SET search_path TO PG_Temp, public; CREATE TABLE t (i int); RESET search_path",
	      has_table),
	NAMED("table by way of set_config",
	      "SELECT set_config('search_path', 'pg_' || 'temp', false); CREATE TABLE t (i int); "
	      "RESET search_path",
	      has_table),
	NAMED("table by way of the transaction's search_path",
	      "BEGIN; SET LOCAL search_path = pg_temp; CREATE TABLE t (i int); COMMIT", has_table),
	NAMED("table by its schema", "CREATE TABLE pg_temp.t (i int)", has_table),
	NAMED("table by its schema in quotes", "CREATE TABLE \"pg_temp\".t (i int)", has_table),
	NAMED("table by its schema in escapes", "CREATE TABLE U&\"pg\\005ftemp\".t (i int)",
	      has_table),
	NAMED("table by SELECT INTO",
	      "SET search_path = pg_temp; SELECT 1 AS i INTO t WHERE false; RESET search_path",
	      has_table),
	NAMED("view", "CREATE VIEW pg_temp.t AS SELECT 1 AS i WHERE false", has_table),
	NAMED("view that is made so by a temporary table",
	      "CREATE TEMP TABLE u (i int); CREATE VIEW t AS SELECT * FROM u", has_table),
	NAMED("table of a function's own search_path",
	      "CREATE OR REPLACE FUNCTION make() RETURNS void LANGUAGE plpgsql SET search_path = pg_temp "
	      "AS 'BEGIN CREATE TABLE t (i int); END'; SELECT make()",
	      has_table),
	{ .name = "table by the search_path of the login",
	  .lines = (const struct line[]){ { 'a', JOIN, "search_path=pg_temp", "" },
	                                  { 'a', QUERY, "CREATE TABLE t (i int)", "" },
	                                  SCENE_END },
	  .more = has_table },
	{ .name = "table by a parameter's value in a message",
	  .lines = (const struct line[]){ { 'a', EXTENDED,
	                                    "SELECT set_config('search_path', $1, false) "
	                                    "<< pg_temp",
	                                    "pg_temp" },
	                                  { 'a', EXTENDED, "CREATE TABLE t (i int)", "" },
	                                  { 'a', QUERY, "RESET search_path", "" },
	                                  SCENE_END },
	  .more = has_table },
};

static void play_named(const char *database, const struct stage *stage)
{
	scene_open(database, SCENE_SPOTS, stage);
	scene_play_all(named, sizeof(named) / sizeof(named[0]));
	scene_close();
}

Test(border_readings, of_names)
{
	play_named("br_names", &scene_two_servers);
}

Test(border_readings, of_names_after_who_left)
{
	play_named("br_namesleft", &scene_leaves);
}

Test(border_readings, of_names_in_session_mode_as_texts_say)
{
	play_named("br_namesess", &scene_session_suspected);
}
