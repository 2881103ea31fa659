/* Statements that name other statements: what the name stands for when they are executed, not when they were
 * prepared. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_names, .timeout = 120);

#define NO_S1 "!26000 prepared statement \"s1\" does not exist"

static const struct scene scenes[] = {
	{ .name = "EXECUTE of another text under the same name",
	  .lines = (const struct line[]){ { 'a', PARSE, "s1: SELECT 'one'", "" },
	                                  { 'a', PARSE, "d: execute s1", "" },
	                                  { 'a', BIND, "d", "one" },
	                                  { 'a', CLOSE, "s1", "" },
	                                  { 'a', PARSE, "s1: SELECT 'two'", "" },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', BIND, "d", "two" },
	                                  { 'a', BIND, "d", "two" },
	                                  SCENE_END } },
	{ .name = "EXECUTE of what is no longer there",
	  .lines = (const struct line[]){ { 'a', PARSE, "s1: SELECT 'one'", "" },
	                                  { 'a', PARSE, "d: execute s1", "" },
	                                  { 'a', CLOSE, "s1", "" },
	                                  { 'a', BIND, "d", NO_S1 },
	                                  { 'a', PARSE, "s1: SELECT 'two'", "" },
	                                  { 'a', BIND, "d", "two" },
	                                  SCENE_END } },
	{ .name = "EXECUTE of a statement of PREPARE's and back",
	  .lines = (const struct line[]){ { 'a', QUERY, "PREPARE s1 AS SELECT 'sql'", "" },
	                                  { 'a', PARSE, "d: execute s1", "" },
	                                  { 'a', BIND, "d", "sql" },
	                                  { 'a', QUERY, "DEALLOCATE s1", "" },
	                                  { 'a', PARSE, "s1: SELECT 'protocol'", "" },
	                                  { 'a', BIND, "d", "protocol" },
	                                  { 'a', QUERY, "DEALLOCATE s1", "" },
	                                  { 'a', QUERY, "PREPARE s1 AS SELECT 'again'", "" },
	                                  { 'a', BIND, "d", "again" },
	                                  { 'b', PARSE, "d: execute s1", "" },
	                                  { 'b', BIND, "d", NO_S1 },
	                                  SCENE_END } },
	{ .name = "DEALLOCATE twice",
	  .lines = (const struct line[]){ { 'a', PARSE, "s1: SELECT 'one'", "" },
	                                  { 'a', PARSE, "d: deallocate s1", "" },
	                                  { 'a', BIND, "d", "" },
	                                  { 'a', BIND, "s1", NO_S1 },
	                                  { 'a', PARSE, "s1: SELECT 'two'", "" },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', BIND, "s1", "two" },
	                                  { 'a', BIND, "d", "" },
	                                  { 'a', BIND, "s1", NO_S1 },
	                                  { 'a', BIND, "d", NO_S1 },
	                                  { 'a', PARSE, "s1: SELECT 'three'", "" },
	                                  { 'a', BIND, "s1", "three" },
	                                  SCENE_END } },
	{ .name = "DEALLOCATE twice, of PREPARE's",
	  .lines = (const struct line[]){ { 'a', QUERY, "PREPARE s1 AS SELECT 'one'", "" },
	                                  { 'a', PARSE, "d: deallocate s1", "" },
	                                  { 'a', BIND, "d", "" },
	                                  { 'a', QUERY, "EXECUTE s1", NO_S1 },
	                                  { 'a', QUERY, "PREPARE s1 AS SELECT 'two'", "" },
	                                  { 'a', BIND, "d", "" },
	                                  { 'a', BIND, "d", NO_S1 },
	                                  SCENE_END } },
	{ .name = "EXECUTE of what is prepared later",
	  .lines = (const struct line[]){ { 'a', PARSE, "d: execute late", "" },
	                                  { 'a', BIND, "d",
	                                    "!26000 prepared statement \"late\" does not exist" },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', PARSE, "late: SELECT 'late'", "" },
	                                  { 'a', BIND, "d", "late" },
	                                  { 'a', QUERY, "execute late", "late" },
	                                  SCENE_END } },
	{ .name = "EXECUTE of what PREPARE prepares later",
	  .lines = (const struct line[]){ { 'a', PARSE, "d: execute late", "" },
	                                  { 'a', QUERY, "PREPARE late AS SELECT 'late'", "" },
	                                  { 'a', BIND, "d", "late" },
	                                  { 'b', BIND, "d", "!26000" },
	                                  SCENE_END } },
	{ .name = "DEALLOCATE of what is prepared later",
	  .lines = (const struct line[]){ { 'a', PARSE, "d: deallocate s1", "" },
	                                  { 'a', BIND, "d", NO_S1 },
	                                  { 'a', PARSE, "s1: SELECT 'late'", "" },
	                                  { 'a', BIND, "d", "" },
	                                  { 'a', BIND, "s1", NO_S1 },
	                                  SCENE_END } },
	{ .name = "the same text of two clients, and two statements",
	  .lines = (const struct line[]){ { 'a', PARSE, "s1: SELECT 'mine'", "" },
	                                  { 'b', PARSE, "s1: SELECT 'yours'", "" },
	                                  { 'a', PARSE, "d: execute s1", "" },
	                                  { 'b', PARSE, "d: execute s1", "" },
	                                  { 'a', BIND, "d", "mine" },
	                                  { 'b', BIND, "d", "yours" },
	                                  { 'a', BIND, "d", "mine" },
	                                  { 'b', CLOSE, "s1", "" },
	                                  { 'b', BIND, "d", NO_S1 },
	                                  { 'a', BIND, "d", "mine" },
	                                  SCENE_END } },
	{ .name = "all in one piece",
	  .lines = (const struct line[]){ { 'a', PARSE, "s1: SELECT 'one'", "" },
	                                  { 'a', PARSE, "d: execute s1", "" },
	                                  { 'a', HOLD, "DEALLOCATE s1", "" },
	                                  { 'a', PARSING, "s1: SELECT 'two'", "" },
	                                  { 'a', BIND, "d", ";two" },
	                                  SCENE_END } },
	{ .name = "EXECUTE with values, of another shape",
	  .lines = (const struct line[]){ { 'a', PARSE, "s1: SELECT $1::int + 1", "" },
	                                  { 'a', PARSE, "d: execute s1(41)", "" },
	                                  { 'a', BIND, "d", "42" },
	                                  { 'a', CLOSE, "s1", "" },
	                                  { 'a', PARSE, "s1: SELECT 'got ' || $1::text", "" },
	                                  { 'a', BIND, "d", "got 41" },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', BIND, "d", "got 41" },
	                                  SCENE_END } },
	{ .name = "DEALLOCATE ALL by a named statement",
	  .lines = (const struct line[]){ { 'a', PARSE, "s1: SELECT 'one'", "" },
	                                  { 'a', QUERY, "PREPARE s2 AS SELECT 'two'", "" },
	                                  { 'b', PARSE, "s1: SELECT 'yours'", "" },
	                                  { 'a', EXTENDED, "deallocate all", "" },
	                                  { 'a', BIND, "s1", NO_S1 },
	                                  { 'a', QUERY, "EXECUTE s2", "!26000" },
	                                  { 'b', BIND, "s1", "yours" },
	                                  SCENE_END } },
	{ .name = "EXECUTE of itself",
	  .lines = (const struct line[]){ { 'a', PARSE, "s1: execute s1", "" },
	                                  { 'a', BIND, "s1", ANYTHING },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', QUERY, "SELECT 1", "1" },
	                                  SCENE_END } },
};

static void play_names(const char *database, const struct stage *stage)
{
	scene_open(database, NULL, stage);
	scene_play_all(scenes, sizeof(scenes) / sizeof(scenes[0]));
	scene_close();
}

Test(border_names, on_two_servers)
{
	play_names("bn_two", &scene_two_servers);
}

Test(border_names, on_servers_in_turns)
{
	play_names("bn_turns", &scene_turns);
}

Test(border_names, without_statements_of_the_pooler)
{
	play_names("bn_none", &scene_no_statements);
}

Test(border_names, in_session_mode)
{
	play_names("bn_session", &scene_session);
}
