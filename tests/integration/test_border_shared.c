/* Statements that clients share: whatever rules PostgreSQL reads a text by, each client gets what its own rules
 * make of it, and keeps what they were when it prepared it. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_shared, .timeout = 120);

#define DDL                                                                      \
	SCENE_SPOTS                                                              \
	"CREATE TABLE holes (i int); INSERT INTO holes VALUES (1), (NULL), (3);" \
	"GRANT SELECT ON holes TO PUBLIC"

/* What is read when a text is parsed: the rule (#) and a text (@) of which it makes something else. */
struct rule {
	const char *rule, *text;
};

static const struct rule rules[] = {
	{ "transform_null_equals = on", "SELECT count(*) FROM holes WHERE i = NULL" },
	{ "array_nulls = off", "SELECT ('{NULL}'::text[])[1] IS NULL" },
	{ "timezone_abbreviations = 'Australia'",
	  "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00 EST')::bigint" },
	{ "TimeZone = 'Asia/Tokyo'",
	  "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')::bigint" },
	{ "datestyle = 'ISO, DMY'", "SELECT extract(month FROM date '01/02/2020')" },
	{ "intervalstyle = 'sql_standard'",
	  "SELECT extract(epoch FROM interval '-1 2:03:04')::int" },
	{ "xmloption = document", "SELECT '<a/><b/>'::xml IS NOT NULL" },
	{ "backslash_quote = off", "SELECT E'\\''" },
	{ "standard_conforming_strings = off", "SELECT length('\\\\')" },
	{ "client_encoding = 'LATIN1'", "SELECT octet_length('\303\274')" },
	{ "search_path = evil, public", "SELECT it FROM spot" },
	{ "role = app_ro", "SELECT current_user" },
	{ "default_text_search_config = 'pg_catalog.german'",
	  "SELECT to_tsvector('laufende')::text" },
	{ "datestyle = 'German'", "SELECT extract(month FROM '2.1.2020'::date)" },
};

/* The same of what is read when a constant expression is evaluated once for all executions. */
static const struct rule plans[] = {
	{ "bytea_output = 'escape'", "SELECT '\\x4142'::bytea::text" },
	{ "extra_float_digits = -15", "SELECT (0.1::float8 + 0.2::float8)::text" },
};

static const struct line both_again[] = { { 'b', BIND, "s", NULL },
	                                  { 'a', BIND, "s", NULL },
	                                  { 'b', BIND, "s", NULL },
	                                  { 'a', BIND, "s", NULL },
	                                  { 'a', BIND, "s", NULL },
	                                  { 'b', BIND, "s", NULL },
	                                  SCENE_END };

/* In each of them s is a statement of both, by other rules. */
static const struct scene ways[] = {
	{ .name = "the plain one first",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'b', BIND, "s", NULL },
	                                  { 'a', QUERY, "SET #", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'a', BIND, "s", NULL },
	                                  SCENE_END } },
	{ .name = "the plain one last",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET #", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'a', BIND, "s", NULL },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "the rule sent ahead in one piece",
	  .lines = (const struct line[]){ { 'a', HOLD, "SET #", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "the rule in the transaction",
	  .lines = (const struct line[]){ { 'a', QUERY, "BEGIN", "" },
	                                  { 'a', QUERY, "SET #", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "COMMIT", NULL },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "the rule in the transaction, which rolls back",
	  .lines = (const struct line[]){ { 'a', QUERY, "BEGIN; SET #", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "ROLLBACK", "" },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "the rule of the transaction",
	  .lines = (const struct line[]){ { 'a', QUERY, "BEGIN; SET LOCAL #", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "COMMIT", NULL },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "the rule of the transaction in one piece, the plain one first",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'a', HOLD, "BEGIN; SET LOCAL #", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "COMMIT", NULL },
	                                  SCENE_END } },
	{ .name = "the rule after the statement",
	  .lines = (const struct line[]){ { 'a', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "SET #", "" },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "the rule after the statement and away before its use",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET #", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "RESET ALL; RESET ROLE", "" },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "both prepare it unnamed before",
	  .lines = (const struct line[]){ { 'b', EXTENDED, "@", NULL },
	                                  { 'a', QUERY, "SET #", "" },
	                                  { 'a', EXTENDED, "@", NULL },
	                                  { 'b', EXTENDED, "@", NULL },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "prepared by SQL as well",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "PREPARE p AS @", NULL },
	                                  { 'a', QUERY, "SET #", "" },
	                                  { 'a', QUERY, "EXECUTE p", NULL },
	                                  { 'a', QUERY, "DEALLOCATE ALL", NULL },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  SCENE_END } },
};

/* Each way with each rule, or with one of so many. */
static void play_rules(const char *database, const struct stage *stage, const struct rule *list,
                       size_t n, size_t stride)
{
	size_t turn = 0;

	rig_require();
	scene_roles("GRANT app_ro TO alice");
	scene_open(database, DDL, stage);
	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
		for (size_t r = 0; r < n; r++) {
			struct rig_text name = rig_printf("%s: %s", ways[w].name, list[r].rule);
			struct scene scene = ways[w];

			scene.name = name.s;
			scene.hash = list[r].rule;
			scene.at = list[r].text;
			scene.more = both_again;
			if (turn++ % stride == 0)
				scene_play(&scene);
		}
	scene_close();
}

Test(border_shared, on_one_server)
{
	play_rules("bs_one", &scene_one_server, rules, sizeof(rules) / sizeof(rules[0]), 1);
}

Test(border_shared, on_servers_in_turns)
{
	play_rules("bs_turns", &scene_turns, rules, sizeof(rules) / sizeof(rules[0]), 3);
}

Test(border_shared, by_rules_of_plans)
{
	play_rules("bs_plans", &scene_one_server, plans, sizeof(plans) / sizeof(plans[0]), 1);
}

/* ---- set by what no text of the same transaction shows ---- */

static const struct scene hidden[] = {
	{ .name = "by a value in a message",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'a', EXTENDED,
	                                    "SELECT set_config($1, $2, false) << # << on", "on" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "by a value in a message of the same transaction",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "BEGIN", "" },
	                                  { 'a', EXTENDED,
	                                    "SELECT set_config($1, $2, false) << # << on", "on" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  { 'a', QUERY, "COMMIT", "" },
	                                  SCENE_END } },
	{ .name = "by a value in a message of the same Sync",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'a', OPEN,
	                                    "SELECT set_config($1, $2, false) << # << on", "" },
	                                  { 'a', PARSE, "s: @", "on" },
	                                  SCENE_END } },
	{ .name = "by a call",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'a', CALL,
	                                    "set_config(text,text,boolean) << # << on << f", "on" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "by a DO block",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'a', QUERY,
	                                    "DO $$ BEGIN EXECUTE 'SET # ' || '= on'; END $$", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "by a statement of another name",
	  .lines = (const struct line[]){ { 'b', PARSE, "s: @", NULL },
	                                  { 'a', PARSE, "t: SET # = on", NULL },
	                                  { 'a', HOLD, "EXECUTE t", "" },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  SCENE_END } },
	{ .name = "from the login on",
	  .lines = (const struct line[]){ { 'a', JOIN, "#=on", "" },
	                                  { 'b', PARSE, "s: @", NULL },
	                                  { 'a', PARSE, "s: @", NULL },
	                                  SCENE_END } },
};

static void play_hidden(const char *database, const struct stage *stage)
{
	scene_open(database, DDL, stage);
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		struct scene scene = hidden[i];

		scene.hash = "transform_null_equals";
		scene.at = "SELECT count(*) FROM holes WHERE i = NULL";
		scene.more = both_again;
		scene_play(&scene);
	}
	scene_close();
}

Test(border_shared, by_rules_that_do_not_show)
{
	play_hidden("bs_hidden", &scene_two_servers);
}

Test(border_shared, by_rules_that_do_not_show_on_servers_in_turns)
{
	play_hidden("bs_hidturns", &scene_turns);
}

/* ---- an instant does not move with its client's clock ---- */

#define INSTANT "SELECT extract(epoch FROM timestamptz '2020-01-01 00:00')::bigint"

static const struct scene instant = { .name = "instant",
	                              .lines = (const struct line[]){
					      { 'a', JOIN, "TimeZone=Asia/Tokyo", "" },
					      { 'a', PARSE, "s: " INSTANT, "" },
					      { 'a', BIND, "s", "1577804400" },
					      { 'a', QUERY, "SET TimeZone = 'America/Lima'", "" },
					      { 'b', QUERY, "BEGIN",
	                                        "" }, /* keeps the server that has it */
					      { 'a', BIND, "s", "1577804400" },
					      { 'a', BIND, "s", "1577804400" },
					      { 'a', EXTENDED, INSTANT, "1577854800" },
					      { 'a', PARSE, "t: " INSTANT, "" },
					      { 'a', BIND, "t", "1577854800" },
					      { 'b', QUERY, "COMMIT", "" },
					      { 'a', BIND, "s", "1577804400" },
					      { 'a', BIND, "t", "1577854800" },
					      { 'a', QUERY, "EXECUTE s", "1577804400" },
					      { 'a', QUERY, "EXECUTE t", "1577854800" },
					      SCENE_END } };

Test(border_shared, instants_stay_where_they_are)
{
	scene_open("bs_instant", NULL, &scene_two_servers);
	scene_play(&instant);
	scene_close();
}
