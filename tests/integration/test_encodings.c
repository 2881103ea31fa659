/* Clients of different encodings share servers: the values of each keep their characters. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(encodings, .timeout = 120);

/* Octal, because a hexadecimal escape takes all digits that follow. */
#define U_UTF8 "\303\274"
#define U_LATIN1 "\374"
#define O_UTF8 "\303\266"
#define O_LATIN1 "\366"
#define TABLE_SJIS "\225\134"     /* whose second byte is a backslash */
#define MERIT_BIG5 "\245\134"     /* the same */
#define NIHON_UTF8 "\346\227\245" /* for which LATIN1 has nothing */
#define NIHON_SJIS "\223\372"

#define DDL                                                      \
	"CREATE SCHEMA sch" O_UTF8 "ma; CREATE TABLE sch" O_UTF8 \
	"ma.spot AS SELECT 'there' AS it;"                       \
	"GRANT USAGE ON SCHEMA sch" O_UTF8 "ma TO PUBLIC;"       \
	"GRANT SELECT ON sch" O_UTF8 "ma.spot TO PUBLIC"

#define TENANT "SELECT current_setting('app.tenant', true)"
#define OCTETS "SELECT octet_length(convert_to(current_setting('app.tenant', true), 'UTF8'))"

static const struct scene scenes[] = {
	{ .name = "value in UTF8, the other is LATIN1",
	  .lines =
	          (const struct line[]){
			  { 'a', JOIN, "client_encoding=UTF8", "" },
			  { 'b', JOIN, "client_encoding=LATIN1", "" },
			  { 'a', QUERY, "SET app.tenant = 'M" U_UTF8 "ller'", "" },
			  { 'a', ASK, TENANT, "M" U_UTF8 "ller" },
			  { 'b', ASK, "SELECT octet_length('" U_LATIN1 "'), '" U_LATIN1 "'",
	                    "2," U_LATIN1 },
			  { 'a', ASK, TENANT, "M" U_UTF8 "ller" },
			  { 'a', ASK, OCTETS, "7" },
			  { 'b', ASK, "SELECT coalesce(current_setting('app.tenant', true), '')",
	                    "" },
			  SCENE_END } },
	{ .name = "value in LATIN1, the other is UTF8",
	  .lines = (const struct line[]){ { 'a', JOIN, "client_encoding=LATIN1", "" },
	                                  { 'b', JOIN, "client_encoding=UTF8", "" },
	                                  { 'a', QUERY, "SET app.tenant = 'M" U_LATIN1 "ller'",
	                                    "" },
	                                  { 'b', ASK,
	                                    "SELECT octet_length('" U_UTF8 "'), '" U_UTF8 "'",
	                                    "2," U_UTF8 },
	                                  { 'a', ASK, TENANT, "M" U_LATIN1 "ller" },
	                                  { 'a', ASK, OCTETS, "7" },
	                                  SCENE_END } },
	{ .name = "each has its own",
	  .lines = (const struct line[]){ { 'a', JOIN, "client_encoding=LATIN1", "" },
	                                  { 'b', JOIN, "client_encoding=UTF8", "" },
	                                  { 'a', QUERY, "SET app.tenant = 'M" U_LATIN1 "ller'",
	                                    "" },
	                                  { 'b', QUERY,
	                                    "SET app.tenant = 'J" O_UTF8 "rg " NIHON_UTF8 "'", "" },
	                                  { 'a', ASK, TENANT, "M" U_LATIN1 "ller" },
	                                  { 'b', ASK, TENANT, "J" O_UTF8 "rg " NIHON_UTF8 },
	                                  { 'a', ASK, OCTETS, "7" },
	                                  { 'b', ASK, OCTETS, "9" },
	                                  SCENE_END } },
	{ .name = "characters that the other's encoding does not have",
	  .lines = (const struct line[]){ { 'b', JOIN, "client_encoding=LATIN1", "" },
	                                  { 'a', QUERY,
	                                    "SELECT set_config('app.tenant', '" NIHON_UTF8
	                                    "', false)",
	                                    NIHON_UTF8 },
	                                  { 'b', ASK, "SELECT '" O_LATIN1 "'", O_LATIN1 },
	                                  { 'a', ASK, TENANT, NIHON_UTF8 },
	                                  { 'b', ASK, "SELECT '" O_LATIN1 "'", O_LATIN1 },
	                                  SCENE_END } },
	{ .name = "encoding changed after the value",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET app.tenant = 'M" U_UTF8 "ller'", "" },
	                                  { 'a', QUERY, "SET client_encoding = 'LATIN1'", "" },
	                                  { 'b', ASK, "SELECT '" U_UTF8 "'", U_UTF8 },
	                                  { 'a', ASK, TENANT, "M" U_LATIN1 "ller" },
	                                  { 'a', ASK, OCTETS, "7" },
	                                  { 'a', QUERY, "RESET client_encoding", "" },
	                                  { 'b', ASK, "SELECT '" U_UTF8 "'", U_UTF8 },
	                                  { 'a', ASK, TENANT, "M" U_UTF8 "ller" },
	                                  SCENE_END } },
	{ .name = "encoding and value set in one piece",
	  .lines = (const struct line[]){ { 'a', HOLD, "SET NAMES 'LATIN1'", "" },
	                                  { 'a', QUERY, "SET app.tenant = 'M" U_LATIN1 "ller'",
	                                    ";" },
	                                  { 'b', ASK, "SELECT '" U_UTF8 "'", U_UTF8 },
	                                  { 'a', ASK, TENANT, "M" U_LATIN1 "ller" },
	                                  { 'a', ASK, OCTETS, "7" },
	                                  SCENE_END } },
	{ .name = "value in a message",
	  .lines =
	          (const struct line[]){
			  { 'a', JOIN, "client_encoding=LATIN1", "" },
			  { 'a', EXTENDED,
	                    "SELECT set_config('app.tenant', $1, false) << M" U_LATIN1 "ller",
	                    "M" U_LATIN1 "ller" },
			  { 'b', ASK, "SELECT '" U_UTF8 "'", U_UTF8 },
			  { 'a', ASK, TENANT, "M" U_LATIN1 "ller" },
			  { 'a', ASK, OCTETS, "7" },
			  SCENE_END } },
	{ .name = "schema in search_path",
	  .lines = (const struct line[]){ { 'b', JOIN, "client_encoding=LATIN1", "" },
	                                  { 'a', QUERY, "SET search_path = sch" O_UTF8 "ma, public",
	                                    "" },
	                                  { 'a', ASK, "SELECT it FROM spot", "there" },
	                                  { 'b', ASK, "SELECT to_regclass('spot')", "(null)" },
	                                  { 'a', ASK, "SELECT it FROM spot", "there" },
	                                  { 'b', QUERY,
	                                    "SET search_path = sch" O_LATIN1 "ma, public", "" },
	                                  { 'a', ASK, "SELECT it FROM spot", "there" },
	                                  { 'b', ASK, "SELECT it FROM spot", "there" },
	                                  { 'b', ASK, "SHOW search_path", NULL },
	                                  SCENE_END } },
	{ .name = "schema in search_path of the login",
	  .lines = (const struct line[]){ { 'a', JOIN,
	                                    "client_encoding=UTF8;search_path=sch" O_UTF8
	                                    "ma, public",
	                                    "" },
	                                  { 'b', JOIN, "client_encoding=LATIN1", "" },
	                                  { 'b', ASK, "SELECT to_regclass('spot')", "(null)" },
	                                  { 'a', ASK, "SELECT it FROM spot", "there" },
	                                  SCENE_END } },
	{ .name = "second byte a backslash, SJIS",
	  .lines = (const struct line[]){ { 'a', JOIN, "client_encoding=SJIS", "" },
	                                  { 'b', JOIN, "client_encoding=BIG5", "" },
	                                  { 'a', QUERY, "SET app.tenant = '" TABLE_SJIS "'", "" },
	                                  { 'b', QUERY, "SET app.tenant = '" MERIT_BIG5 "x'", "" },
	                                  { 'c', QUERY, "SET app.tenant = 'M" U_UTF8 "ller'", "" },
	                                  { 'a', ASK, TENANT, TABLE_SJIS },
	                                  { 'b', ASK, TENANT, MERIT_BIG5 "x" },
	                                  { 'c', ASK, TENANT, "M" U_UTF8 "ller" },
	                                  { 'a', ASK, OCTETS, "3" },
	                                  { 'b', ASK, OCTETS, "4" },
	                                  SCENE_END } },
	{ .name = "second byte a backslash, escapes in plain strings",
	  .lines =
	          (const struct line[]){
			  { 'a', JOIN, "client_encoding=SJIS;standard_conforming_strings=off", "" },
			  { 'a', QUERY, "SET app.tenant = '" TABLE_SJIS "\\\\'", "" },
			  { 'b', ASK, "SELECT '" U_UTF8 "'", U_UTF8 },
			  { 'a', ASK, TENANT, TABLE_SJIS "\\" },
			  { 'a', ASK, OCTETS, "4" },
			  SCENE_END } },
	{ .name = "one statement's bytes, two texts",
	  .lines =
	          (const struct line[]){ { 'b', JOIN, "client_encoding=LATIN1", "" },
	                                 { 'a', PARSE, "s: SELECT octet_length('" U_UTF8 "')", "" },
	                                 { 'b', PARSE, "s: SELECT octet_length('" U_UTF8 "')", "" },
	                                 { 'a', BIND, "s", "2" },
	                                 { 'b', BIND, "s", "4" },
	                                 { 'a', BIND, "s", "2" },
	                                 { 'b', BIND, "s", "4" },
	                                 SCENE_END } },
	{ .name = "statement prepared before the encoding changed",
	  .lines = (const struct line[]){ { 'a', PARSE,
	                                    "s: SELECT '" U_UTF8 "'::text, octet_length('" U_UTF8
	                                    "')",
	                                    "" },
	                                  { 'a', QUERY, "SET client_encoding = LATIN1", "" },
	                                  { 'b', QUERY, "SELECT 1", "1" },
	                                  { 'a', BIND, "s", U_LATIN1 ",2" },
	                                  { 'a', BIND, "s", U_LATIN1 ",2" },
	                                  { 'a', BIND, "s", U_LATIN1 ",2" },
	                                  SCENE_END } },
	{ .name = "statement's name",
	  .lines = (const struct line[]){ { 'a', JOIN, "client_encoding=LATIN1", "" },
	                                  { 'a', PARSE, "s" U_LATIN1 ": SELECT 'mine'", "" },
	                                  { 'b', PARSE, "s" U_UTF8 ": SELECT 'yours'", "" },
	                                  { 'a', BIND, "s" U_LATIN1, "mine" },
	                                  { 'b', BIND, "s" U_UTF8, "yours" },
	                                  { 'a', QUERY, "EXECUTE \"s" U_LATIN1 "\"", "mine" },
	                                  { 'b', QUERY, "EXECUTE s" U_UTF8, "yours" },
	                                  { 'a', QUERY, "DEALLOCATE s" U_LATIN1, "" },
	                                  { 'a', BIND, "s" U_LATIN1, "!26000" },
	                                  { 'b', BIND, "s" U_UTF8, "yours" },
	                                  SCENE_END } },
};

/* PostgreSQL keeps of an application's name what is ASCII. */
static const struct scene names[] = {
	{ .name = "application_name of the login, LATIN1",
	  .lines =
	          (const struct line[]){
			  { 'a', JOIN, "client_encoding=LATIN1;application_name=M" U_LATIN1 "ller",
	                    "" },
			  { 'a', ASK, "SHOW application_name", "M?ller" },
			  { 'a', ASK,
	                    "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()",
	                    "M?ller" },
			  { 'b', ASK, "SHOW application_name", "" },
			  { 'a', ASK, "SHOW application_name", "M?ller" },
			  SCENE_END } },
	{ .name = "application_name of the login before its encoding",
	  .lines =
	          (const struct line[]){
			  { 'a', JOIN, "application_name=M" U_LATIN1 "ller;client_encoding=LATIN1",
	                    "" },
			  { 'a', ASK, "SHOW application_name", "M?ller" },
			  { 'b', JOIN, "application_name=M" U_UTF8 "ller", "" },
			  { 'b', ASK, "SHOW application_name", "M??ller" },
			  { 'a', ASK,
	                    "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()",
	                    "M?ller" },
			  SCENE_END } },
	{ .name = "application_name that is set",
	  .lines = (const struct line[]){ { 'a', JOIN, "client_encoding=LATIN1", "" },
	                                  { 'a', QUERY,
	                                    "SET application_name = 'M" U_LATIN1 "ller'", "" },
	                                  { 'b', QUERY, "SET application_name = 'M" U_UTF8 "ller'",
	                                    "" },
	                                  { 'a', ASK, "SHOW application_name", "M??ller" },
	                                  { 'b', ASK, "SHOW application_name", "M??ller" },
	                                  SCENE_END } },
	{ .name = "role",
	  .lines = (const struct line[]){ { 'b', JOIN, "client_encoding=LATIN1", "" },
	                                  { 'a', QUERY, "SET ROLE gr" U_UTF8 "n", "" },
	                                  { 'a', ASK, "SELECT current_user", "gr" U_UTF8 "n" },
	                                  { 'b', ASK, "SELECT current_user", "alice" },
	                                  { 'b', QUERY, "SET ROLE gr" U_LATIN1 "n", "" },
	                                  { 'a', ASK, "SELECT current_user", "gr" U_UTF8 "n" },
	                                  { 'b', ASK, "SELECT current_user", "gr" U_LATIN1 "n" },
	                                  { 'a', QUERY, "RESET ROLE", "" },
	                                  { 'b', ASK, "SELECT current_user", "gr" U_LATIN1 "n" },
	                                  { 'a', ASK, "SELECT current_user", "alice" },
	                                  SCENE_END } },
	{ .name = "role by set_config, encoding without the character",
	  .lines = (const struct line[]){ { 'b', JOIN, "client_encoding=SJIS", "" },
	                                  { 'a', QUERY,
	                                    "SELECT set_config('role', 'gr" U_UTF8 "n', false)",
	                                    NULL },
	                                  { 'b', ASK, "SELECT '" NIHON_SJIS "'", NIHON_SJIS },
	                                  { 'b', ASK, "SELECT current_user", "alice" },
	                                  { 'a', ASK, "SELECT current_user", "gr" U_UTF8 "n" },
	                                  SCENE_END } },
};

static void play_encodings(const char *database, const struct stage *stage)
{
	rig_require();
	scene_roles("DO $$ BEGIN IF to_regrole('gr" U_UTF8 "n') IS NULL THEN "
	            "CREATE ROLE gr" U_UTF8 "n; GRANT gr" U_UTF8 "n TO alice; END IF; END $$");
	scene_open(database, DDL, stage);
	scene_play_all(scenes, sizeof(scenes) / sizeof(scenes[0]));
	scene_play_all(names, sizeof(names) / sizeof(names[0]));
	scene_close();
}

Test(encodings, on_one_server)
{
	play_encodings("en_one", &scene_one_server);
}

Test(encodings, on_servers_in_turns)
{
	play_encodings("en_turns", &scene_turns);
}

Test(encodings, after_who_left)
{
	play_encodings("en_left", &scene_leaves);
}

Test(encodings, in_session_mode_as_texts_say)
{
	play_encodings("en_session", &scene_session_suspected);
}
