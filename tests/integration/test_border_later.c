/* What a text does by the name of another: whatever a statement was prepared for, it is its client's when it is
 * executed, by whatever way, and no other client meets it. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_later, .timeout = 120);

#define OWN_CHANNELS "SELECT count(*) FROM pg_listening_channels()"

/* What may be brought about. A query can be prepared by SQL as well, other commands by the protocol alone. */
struct effect {
	const char *name, *sql;
	bool query;
	const struct line *lines; /* its client sees it, the other one does not */
};

static const struct effect effects[] = {
	{ "role by set_config", "SELECT set_config('role', 'app_ro', false)", true,
	  (const struct line[]){ { 'a', ASK, "SELECT current_user", "app_ro" },
	                         { 'b', ASK, "SELECT current_user", "alice" },
	                         { 'a', ASK, "SELECT current_user", "app_ro" },
	                         SCENE_END } },
	{ "role by SET", "SET ROLE app_ro", false,
	  (const struct line[]){ { 'a', ASK, "SELECT current_user", "app_ro" },
	                         { 'b', ASK, "SELECT current_user", "alice" },
	                         { 'a', ASK, "SELECT current_user", "app_ro" },
	                         SCENE_END } },
	{ "path by set_config", "SELECT set_config('search_path', 'evil', false)", true,
	  (const struct line[]){ { 'a', ASK, "SELECT it FROM spot", "evil" },
	                         { 'b', ASK, "SELECT it FROM spot", "public" },
	                         { 'a', ASK, "SELECT it FROM spot", "evil" },
	                         SCENE_END } },
	{ "path by SET", "SET search_path = evil", false,
	  (const struct line[]){ { 'a', ASK, "SELECT it FROM spot", "evil" },
	                         { 'b', ASK, "SELECT it FROM spot", "public" },
	                         { 'a', ASK, "SELECT it FROM spot", "evil" },
	                         SCENE_END } },
	{ "memory by set_config", "SELECT set_config('work_mem', '7MB', false)", true,
	  (const struct line[]){ { 'a', ASK, "SHOW work_mem", "7MB" },
	                         { 'b', ASK, "SHOW work_mem", "4MB" },
	                         { 'a', ASK, "SHOW work_mem", "7MB" },
	                         SCENE_END } },
	{ "lock", "SELECT pg_try_advisory_lock_shared(1)", true,
	  (const struct line[]){ { 'a', ASK, SCENE_OWN_LOCKS, "1" },
	                         { 'b', ASK, SCENE_OWN_LOCKS, "0" },
	                         { 'a', ASK, SCENE_OWN_LOCKS, "1" },
	                         SCENE_END } },
	{ "channel", "LISTEN news", false,
	  (const struct line[]){ { 'a', ASK, OWN_CHANNELS, "1" },
	                         { 'b', ASK, OWN_CHANNELS, "0" },
	                         { 'a', ASK, OWN_CHANNELS, "1" },
	                         SCENE_END } },
	{ "notification", "LISTEN news", false,
	  (const struct line[]){ { 'c', QUERY, "NOTIFY news", "" },
	                         { 'b', ASK, "SELECT 1", "1" },
	                         { 'c', ASK, "SELECT 1", "1" },
	                         SCENE_END } },
};

/* How it is brought about. */
struct way {
	const char *name;
	bool query; /* of queries alone */
	const struct line *lines;
};

static const struct way ways[] = {
	{ "EXECUTE of a named Parse", false,
	  (const struct line[]){
		  { 'a', PARSE, "s: @", "" }, { 'a', QUERY, "execute s", NULL }, SCENE_END } },
	{ "EXECUTE in a transaction, the Parse before", false,
	  (const struct line[]){ { 'a', PARSE, "s: @", "" },
	                         { 'a', QUERY, "begin", "" },
	                         { 'a', QUERY, "execute s", NULL },
	                         { 'a', QUERY, "commit", "" },
	                         SCENE_END } },
	{ "EXECUTE long after", false,
	  (const struct line[]){ { 'a', PARSE, "s: @", "" },
	                         { 'b', QUERY, "SELECT 1", "1" },
	                         { 'a', QUERY, "SELECT 1", "1" },
	                         { 'a', QUERY, "SELECT 1; execute s", NULL },
	                         SCENE_END } },
	{ "EXECUTE by the unnamed statement", false,
	  (const struct line[]){
		  { 'a', PARSE, "s: @", "" }, { 'a', EXTENDED, "execute s", NULL }, SCENE_END } },
	{ "EXECUTE by a named statement", false,
	  (const struct line[]){ { 'a', PARSE, "s: @", "" },
	                         { 'a', PARSE, "d: execute s", "" },
	                         { 'b', QUERY, "SELECT 1", "1" },
	                         { 'a', BIND, "d", NULL },
	                         SCENE_END } },
	{ "EXPLAIN ANALYZE EXECUTE", true,
	  (const struct line[]){ { 'a', PARSE, "s: @", "" },
	                         { 'a', QUERY,
	                           "explain (analyze, timing off, summary off, costs off) "
	                           "execute s",
	                           NULL },
	                         SCENE_END } },
	{ "EXPLAIN ANALYZE", true,
	  (const struct line[]){ { 'a', QUERY,
	                           "explain (analyze, timing off, summary off, costs off) "
	                           "@",
	                           NULL },
	                         SCENE_END } },
	{ "CREATE TABLE AS EXECUTE", true,
	  (const struct line[]){ { 'a', PARSE, "s: @", "" },
	                         { 'a', QUERY, "create temp table x as execute s", "" },
	                         { 'a', ASK, "select to_regclass('x') is not null", "t" },
	                         { 'b', ASK, "select to_regclass('x')", "(null)" },
	                         SCENE_END } },
	{ "PREPARE, EXECUTE", true,
	  (const struct line[]){ { 'a', QUERY, "prepare s as @", "" },
	                         { 'a', QUERY, "execute s", NULL },
	                         SCENE_END } },
	{ "PREPARE, Bind", true,
	  (const struct line[]){
		  { 'a', QUERY, "prepare s as @", "" }, { 'a', BIND, "s", NULL }, SCENE_END } },
	{ "PREPARE, EXECUTE, DEALLOCATE", true,
	  (const struct line[]){ { 'a', QUERY, "prepare s as @", "" },
	                         { 'a', QUERY, "execute s", NULL },
	                         { 'a', QUERY, "deallocate s", "" },
	                         SCENE_END } },
	{ "PREPARE, Bind, DEALLOCATE", true,
	  (const struct line[]){ { 'a', QUERY, "prepare s as @", "" },
	                         { 'a', BIND, "s", NULL },
	                         { 'a', QUERY, "deallocate s", "" },
	                         SCENE_END } },
	{ "PREPARE, EXECUTE, DISCARD of nothing", true,
	  (const struct line[]){ { 'a', HOLD, "prepare s as @", "" },
	                         { 'a', HOLD, "execute s", "" },
	                         { 'a', QUERY, "deallocate all", NULL },
	                         SCENE_END } },
	{ "named Parse and Bind", false,
	  (const struct line[]){
		  { 'a', PARSE, "s: @", "" }, { 'a', BIND, "s", NULL }, SCENE_END } },
	{ "named Parse, Bind and Close", false,
	  (const struct line[]){ { 'a', PARSE, "s: @", "" },
	                         { 'b', QUERY, "SELECT 1", "1" },
	                         { 'a', BIND, "s", NULL },
	                         { 'a', CLOSE, "s", "" },
	                         SCENE_END } },
	{ "unnamed", false, (const struct line[]){ { 'a', EXTENDED, "@", NULL }, SCENE_END } },
};

#define EVERY 1 /* effect with each way; otherwise each way with one, in turns */

static void play_ways(const char *database, const struct stage *stage, size_t stride)
{
	const size_t kinds = sizeof(effects) / sizeof(effects[0]);
	size_t n = 0;

	rig_require();
	scene_roles("GRANT app_ro TO alice");
	scene_open(database, SCENE_SPOTS, stage);
	for (size_t i = 0; i < kinds * sizeof(ways) / sizeof(ways[0]); i++) {
		const struct way *w = &ways[i / kinds];
		const struct effect *e = &effects[i % kinds];
		struct rig_text name = rig_printf("%s, %s", w->name, e->name);

		if ((e->query || !w->query) && n++ % stride == 0)
			scene_play(&(struct scene){ .name = name.s,
			                            .at = e->sql,
			                            .lines = w->lines,
			                            .more = e->lines });
	}
	scene_close();
}

Test(border_later, one_after_the_other_on_two_servers)
{
	play_ways("bl_two", &scene_two_servers, EVERY);
}

Test(border_later, on_servers_in_turns)
{
	play_ways("bl_turns", &scene_turns, 5);
}

Test(border_later, without_statements_of_the_pooler)
{
	play_ways("bl_none", &scene_no_statements, 3);
}

Test(border_later, after_who_left)
{
	play_ways("bl_left", &scene_leaves, 5);
}

Test(border_later, after_who_left_in_session_mode)
{
	play_ways("bl_session", &scene_session, 5);
}

Test(border_later, after_who_left_in_session_mode_without_reset_query)
{
	play_ways("bl_bare", &scene_session_bare, 5);
}

Test(border_later, after_who_left_in_session_mode_as_texts_say)
{
	play_ways("bl_suspected", &scene_session_suspected, 5);
}
