/* Values that build on the one before, and ways back to the first one: as on a connection of one's own. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_values, .timeout = 120);

#define ORDER "SELECT extract(month FROM '01/02/2020'::date)"

static const struct scene scenes[] = {
	{ .name = "half of DateStyle at login",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET datestyle = 'ISO, DMY'", "" },
	                                  { 'a', ASK, ORDER, "2" },
	                                  { 'b', JOIN, "DateStyle=ISO", "" },
	                                  { 'b', ASK, "SELECT '01/02/2020'::date", "2020-01-02" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, MDY" },
	                                  { 'a', ASK, ORDER, "2" },
	                                  SCENE_END } },
	{ .name = "other half of DateStyle at login",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET datestyle = 'German'", "" },
	                                  { 'b', JOIN, "DateStyle=YMD", "" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, YMD" },
	                                  { 'a', ASK, "SHOW datestyle", "German, DMY" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, YMD" },
	                                  SCENE_END } },
	{ .name = "half of DateStyle by options",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET datestyle = 'SQL, DMY'", "" },
	                                  { 'b', JOIN, "options=-c datestyle=ISO", "" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, MDY" },
	                                  SCENE_END } },
	{ .name = "half of DateStyle by SET",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET datestyle = 'SQL, DMY'", "" },
	                                  { 'b', QUERY, "SET datestyle = 'ISO'", "" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, MDY" },
	                                  { 'a', ASK, "SHOW datestyle", "SQL, DMY" },
	                                  SCENE_END } },
	{ .name = "style, then order",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET datestyle = German", "" },
	                                  { 'a', QUERY, "SET datestyle = MDY", "" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, MDY" },
	                                  { 'a', ASK, "SHOW datestyle", "German, MDY" },
	                                  SCENE_END } },
	{ .name = "style, then order, somebody else's in between",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET datestyle = German", "" },
	                                  { 'b', QUERY, "SET datestyle = 'Postgres, YMD'", "" },
	                                  { 'a', QUERY, "SET datestyle = MDY", "" },
	                                  { 'b', QUERY, "SET datestyle = SQL", "" },
	                                  { 'a', ASK, "SHOW datestyle", "German, MDY" },
	                                  { 'b', ASK, "SHOW datestyle", "SQL, YMD" },
	                                  SCENE_END } },
	{ .name = "style, then order, in one piece",
	  .lines = (const struct line[]){ { 'a', HOLD, "SET datestyle = German", "" },
	                                  { 'a', QUERY, "SET datestyle = MDY", ";" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, MDY" },
	                                  { 'a', ASK, "SHOW datestyle", "German, MDY" },
	                                  SCENE_END } },
	{ .name = "style, then order, in one transaction",
	  .lines = (const struct line[]){ { 'a', QUERY,
	                                    "SET datestyle = German; SET datestyle = MDY", "" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, MDY" },
	                                  { 'a', ASK, "SHOW datestyle", "German, MDY" },
	                                  SCENE_END } },
	{ .name = "style, then order, each half in a transaction that rolls back",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET datestyle = German", "" },
	                                  { 'a', QUERY, "BEGIN; SET datestyle = MDY; ROLLBACK",
	                                    "" },
	                                  { 'b', ASK, "SHOW datestyle", "ISO, MDY" },
	                                  { 'a', ASK, "SHOW datestyle", "German, DMY" },
	                                  SCENE_END } },
	{ .name = "DateStyle's default",
	  .lines = (const struct line[]){ { 'a', JOIN, "DateStyle=German", "" },
	                                  { 'a', QUERY, "SET datestyle = 'SQL, YMD'", "" },
	                                  { 'b', QUERY, "SET datestyle = 'Postgres, YMD'", "" },
	                                  { 'a', QUERY, "SET datestyle = DEFAULT", "" },
	                                  { 'b', ASK, "SHOW datestyle", "Postgres, YMD" },
	                                  { 'a', ASK, "SHOW datestyle", "German, DMY" },
	                                  SCENE_END } },
	{ .name = "spellings that cannot be said again as they are shown",
	  .lines = (const struct line[]){ { 'a', QUERY,
	                                    "SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE", "" },
	                                  { 'a', QUERY, "SET temp_tablespaces = ''", "" },
	                                  { 'a', QUERY, "SET work_mem = '1536kB'", "" },
	                                  { 'a', QUERY, "SET statement_timeout = '90s'", "" },
	                                  { 'a', QUERY, "SET search_path = ''", "" },
	                                  { 'b', ASK, "SHOW TimeZone", NULL },
	                                  { 'b', ASK, "SHOW search_path", "\"$user\", public" },
	                                  { 'a', ASK, "SELECT timestamptz '2020-01-01 00:00Z'",
	                                    "2019-12-31 15:30:00-08:30" },
	                                  { 'a', ASK, "SHOW TimeZone", "<-08:30>+08:30" },
	                                  { 'a', ASK, "SHOW work_mem", "1536kB" },
	                                  { 'a', ASK, "SHOW statement_timeout", "90s" },
	                                  { 'a', ASK, "SHOW search_path", "\"\"" },
	                                  { 'a', ASK, "SHOW temp_tablespaces", "\"\"" },
	                                  SCENE_END } },
	{ .name = "numbers and zones",
	  .lines = (const struct line[]){ { 'a', QUERY, "SET TIME ZONE -3.5", "" },
	                                  { 'b', QUERY, "SET TIME ZONE 'Asia/Tokyo'", "" },
	                                  { 'a', ASK, "SHOW TimeZone", "<-03:30>+03:30" },
	                                  { 'b', ASK, "SHOW TimeZone", "Asia/Tokyo" },
	                                  SCENE_END } },
	{ .name = "parameter of an application that is empty",
	  .lines =
	          (const struct line[]){
			  { 'a', QUERY, "SET app.x = ''", "" },
			  { 'b', QUERY, "SELECT 1", "1" },
			  { 'a', ASK, "SELECT current_setting('app.x', true) = ''", "t" },
			  { 'b', QUERY, "SELECT 1", "1" },
			  { 'a', ASK, "SELECT current_setting('app.x', true) = ''", "t" },
			  { 'a', QUERY, "SELECT set_config('app.x', NULL, false)", NULL },
			  { 'a', ASK, "SELECT current_setting('app.x', true) = ''", "t" },
			  SCENE_END } },
	{ .name = "isolation of transactions",
	  .lines =
	          (const struct line[]){
			  { 'a', QUERY,
	                    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, "
	                    "READ ONLY, DEFERRABLE",
	                    "" },
			  { 'b', ASK, "SHOW transaction_isolation", "read committed" },
			  { 'b', ASK, "SHOW transaction_read_only", "off" },
			  { 'b', ASK, "SHOW transaction_deferrable", "off" },
			  { 'a', ASK, "SHOW transaction_isolation", "serializable" },
			  { 'a', ASK, "SHOW transaction_read_only", "on" },
			  SCENE_END } },
};

/* ---- RESET and its sisters ---- */

/* From whatever was set after the login to what the login said. */
static const struct line back_with_others[] = { { 'a', ASK, "SHOW statement_timeout", "4321ms" },
	                                        { 'b', ASK, "SHOW statement_timeout", "0" },
	                                        { 'a', ASK, "SHOW statement_timeout", "4321ms" },
	                                        { 'a', QUERY, "SET statement_timeout = 2000", "" },
	                                        { 'b', ASK, "SHOW statement_timeout", "0" },
	                                        { 'a', ASK, "SHOW statement_timeout", "2s" },
	                                        SCENE_END };
static const struct line back_in_zone[] = { { 'a', ASK, "SHOW TimeZone", "Asia/Tokyo" },
	                                    { 'b', QUERY, "SET TimeZone = 'Europe/Oslo'", "" },
	                                    { 'a', ASK, "SHOW TimeZone", "Asia/Tokyo" },
	                                    { 'b', ASK, "SHOW TimeZone", "Europe/Oslo" },
	                                    SCENE_END };

static const struct line timeout_ways[] = { { 'a', JOIN, "statement_timeout=4321", "" },
	                                    { 'a', ASK, "SHOW statement_timeout", "4321ms" },
	                                    { 'a', QUERY, "SET statement_timeout = 1000", "" },
	                                    { 'a', ASK, "SHOW statement_timeout", "1s" },
	                                    { 'a', QUERY, "@", ANYTHING },
	                                    SCENE_END };
static const struct line timeout_extended[] = { { 'a', JOIN, "statement_timeout=4321", "" },
	                                        { 'a', QUERY, "SET statement_timeout = 1000", "" },
	                                        { 'b', QUERY, "SELECT 1", "1" },
	                                        { 'a', EXTENDED, "@", ANYTHING },
	                                        SCENE_END };
static const struct line timeout_held[] = { { 'a', JOIN, "statement_timeout=4321", "" },
	                                    { 'a', HOLD, "SET statement_timeout = 1000", "" },
	                                    { 'a', HOLD, "@", "" },
	                                    { 'a', QUERY, "SHOW statement_timeout", NULL },
	                                    SCENE_END };
static const struct line timeout_named[] = { { 'a', JOIN, "options=-c statement_timeout=4321", "" },
	                                     { 'a', PARSE, "back: @", "" },
	                                     { 'a', QUERY, "SET statement_timeout = 1000", "" },
	                                     { 'a', QUERY, "SHOW statement_timeout", "1s" },
	                                     { 'a', BIND, "back", ANYTHING },
	                                     SCENE_END };
static const struct line zone_ways[] = { { 'a', JOIN, "TimeZone=Asia/Tokyo", "" },
	                                 { 'a', QUERY, "SET TimeZone = 'America/Lima'", "" },
	                                 { 'a', ASK, "SHOW TimeZone", "America/Lima" },
	                                 { 'a', QUERY, "@", ANYTHING },
	                                 SCENE_END };

static const char *const timeout_texts[] = {
	"SET statement_timeout TO DEFAULT",
	"set statement_timeout to default",
	"SET SESSION statement_timeout = DEFAULT",
	"SET \"statement_timeout\" = default",
	"RESET statement_timeout",
	"RESET \"statement_timeout\"",
	"RESET ALL",
	"DISCARD ALL",
	/* what they return is the server's own value */
	"SELECT set_config('statement_timeout', NULL, false)",
	/* which parameter that is does not show: the server stays with its session */
	"SELECT set_config('statement_' || 'timeout', nullif('x', 'x'), false)",
};
#define TIMEOUT_TEXTS (sizeof(timeout_texts) / sizeof(timeout_texts[0]))

static const char *const zone_texts[] = {
	"SET TIME ZONE DEFAULT",
	"SET TIME ZONE LOCAL",
	"set session time zone local",
	"RESET TIME ZONE",
	"RESET TimeZone",
	"SET timezone = DEFAULT",
	"RESET ALL",
	"DISCARD ALL",
};

static void play_timeouts(const struct line *way, size_t count)
{
	for (size_t i = 0; i < count; i++)
		scene_play(&(struct scene){ .name = timeout_texts[i],
		                            .at = timeout_texts[i],
		                            .lines = way,
		                            .more = back_with_others });
}

static void play_resets(const struct stage *stage)
{
	static const struct line *const ways[] = { timeout_ways, timeout_extended, timeout_named };

	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
		play_timeouts(ways[w], TIMEOUT_TEXTS - (stage == &scene_one_server));
	for (size_t i = 0; i < sizeof(zone_texts) / sizeof(zone_texts[0]); i++)
		scene_play(&(struct scene){ .name = zone_texts[i],
		                            .at = zone_texts[i],
		                            .lines = zone_ways,
		                            .more = back_in_zone });
}

static void play_values(const char *database, const struct stage *stage)
{
	scene_open(database, NULL, stage);
	scene_play_all(scenes, sizeof(scenes) / sizeof(scenes[0]));
	play_resets(stage);
	scene_close();
}

Test(border_values, on_one_server)
{
	play_values("bv_one", &scene_one_server);
}

Test(border_values, on_servers_in_turns)
{
	play_values("bv_turns", &scene_turns);
}

Test(border_values, after_who_left)
{
	play_values("bv_left", &scene_leaves);
}

Test(border_values, in_session_mode)
{
	play_values("bv_session", &scene_session);
}

Test(border_values, in_session_mode_as_texts_say)
{
	play_values("bv_suspected", &scene_session_suspected);
}

/* ---- what comes right after a RESET sees the first value already ---- */

static void play_at_once(const char *database, const struct stage *stage)
{
	scene_open(database, NULL, stage);
	play_timeouts(timeout_held, TIMEOUT_TEXTS - 2);
	scene_close();
}

Test(border_values, resets_hold_at_once)
{
	play_at_once("bv_at_once", &scene_one_server);
}

Test(border_values, resets_hold_at_once_in_session_mode)
{
	play_at_once("bv_at_onceses", &scene_session);
}
