/* FunctionCall: no text says what it does. */
#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_calls, .timeout = 120);

#define DDL SCENE_SPOTS "CREATE SEQUENCE counter; GRANT ALL ON counter TO PUBLIC"

static const struct scene scenes[] = {
	{ .name = "path",
	  .lines =
	          (const struct line[]){
			  { 'a', CALL, "set_config(text,text,boolean) << search_path << evil << f",
	                    "evil" },
			  { 'a', ASK, "SELECT it FROM spot", "evil" },
			  { 'b', ASK, "SELECT it FROM spot", "public" },
			  { 'a', ASK, "SELECT it FROM spot", "evil" },
			  SCENE_END } },
	{ .name = "path, nothing asked in between",
	  .lines =
	          (const struct line[]){
			  { 'a', CALL, "set_config(text,text,boolean) << search_path << evil << f",
	                    "evil" },
			  { 'b', ASK, "SELECT it FROM spot", "public" },
			  { 'a', ASK, "SELECT it FROM spot", "evil" },
			  SCENE_END } },
	{ .name = "role",
	  .lines = (const struct line[]){ { 'a', CALL,
	                                    "set_config(text,text,boolean) << role << app_ro << f",
	                                    "app_ro" },
	                                  { 'a', ASK, "SELECT current_user", "app_ro" },
	                                  { 'b', ASK, "SELECT current_user", "alice" },
	                                  { 'a', ASK, "SELECT current_user", "app_ro" },
	                                  SCENE_END } },
	{ .name = "role in a transaction",
	  .lines = (const struct line[]){ { 'a', QUERY, "BEGIN", "" },
	                                  { 'a', CALL,
	                                    "set_config(text,text,boolean) << role << app_ro << f",
	                                    "app_ro" },
	                                  { 'a', QUERY, "COMMIT", "" },
	                                  { 'b', ASK, "SELECT current_user", "alice" },
	                                  { 'a', ASK, "SELECT current_user", "app_ro" },
	                                  SCENE_END } },
	{ .name = "own parameter",
	  .lines =
	          (const struct line[]){
			  { 'a', CALL, "set_config(text,text,boolean) << app.tenant << one << f",
	                    "one" },
			  { 'a', ASK, "SELECT current_setting('app.tenant', true)", "one" },
			  { 'b', ASK, "SELECT coalesce(current_setting('app.tenant', true), '')",
	                    "" },
			  { 'a', ASK, "SELECT current_setting('app.tenant', true)", "one" },
			  SCENE_END } },
	{ .name = "reported parameter",
	  .lines =
	          (const struct line[]){
			  { 'a', CALL,
	                    "set_config(text,text,boolean) << TimeZone << Asia/Tokyo << f",
	                    "Asia/Tokyo" },
			  { 'b', JOIN, "TimeZone=America/Lima", "" },
			  { 'b', ASK, "SHOW TimeZone", "America/Lima" },
			  { 'a', ASK, "SHOW TimeZone", "Asia/Tokyo" },
			  SCENE_END } },
	{ .name = "parameter of the transaction",
	  .lines = (const struct line[]){ { 'a', QUERY, "BEGIN", "" },
	                                  { 'a', CALL,
	                                    "set_config(text,text,boolean) << work_mem << 7MB << t",
	                                    "7MB" },
	                                  { 'a', QUERY, "SHOW work_mem", "7MB" },
	                                  { 'a', QUERY, "COMMIT", "" },
	                                  { 'b', ASK, "SHOW work_mem", "4MB" },
	                                  { 'a', ASK, "SHOW work_mem", "4MB" },
	                                  SCENE_END } },
	{ .name = "lock",
	  .lines = (const struct line[]){ { 'a', CALL, "pg_advisory_lock_shared(bigint) << 1", "" },
	                                  { 'a', ASK, SCENE_OWN_LOCKS, "1" },
	                                  { 'b', ASK, SCENE_OWN_LOCKS, "0" },
	                                  { 'a', ASK, SCENE_OWN_LOCKS, "1" },
	                                  { 'a', CALL, "pg_advisory_unlock_shared(bigint) << 1",
	                                    "t" },
	                                  { 'b', ASK, SCENE_OWN_LOCKS, "0" },
	                                  { 'a', ASK, SCENE_OWN_LOCKS, "0" },
	                                  SCENE_END } },
	{ .name = "lock, nothing asked in between",
	  .lines =
	          (const struct line[]){ { 'a', CALL,
	                                   "pg_try_advisory_lock_shared(integer,integer) << 1 << 2",
	                                   "t" },
	                                 { 'b', ASK, SCENE_OWN_LOCKS, "0" },
	                                 { 'a', ASK, SCENE_OWN_LOCKS, "1" },
	                                 SCENE_END } },
	{ .name = "function that does not exist",
	  .lines =
	          (const struct line[]){
			  { 'a', QUERY, "BEGIN", "" },
			  { 'a', CALL,
	                    "set_config(text,text,boolean) << no_such_thing << evil << f",
	                    "!42704" },
			  { 'a', QUERY, "ROLLBACK", "" },
			  { 'b', ASK, "SELECT it FROM spot", "public" },
			  SCENE_END } },
};

/* Drivers read and write large objects so; their descriptors end with the transaction. */
static const struct scene large_object = {
	.name = "large object",
	.lines =
		(const struct line[]){
			{ 'a', CALL, "lo_create(oid) << 4242", "4242" },
			{ 'a', QUERY, "BEGIN", "" },
			{ 'a', CALL, "lo_open(oid,integer) << 4242 << 393216", "0" },
			{ 'a', CALL, "lowrite(integer,bytea) << 0 << hello", "5" },
			{ 'b', QUERY, "SELECT it FROM spot", "public" },
			{ 'a', CALL, "lo_lseek(integer,integer,integer) << 0 << 1 << 0", "1" },
			{ 'a', CALL, "loread(integer,integer) << 0 << 10", "\\x656c6c6f" },
			{ 'a', CALL, "lo_close(integer) << 0", "0" },
			{ 'a', QUERY, "COMMIT", "" },
			{ 'b', QUERY, "SELECT convert_from(lo_get(4242), 'UTF8')", "hello" },
			{ 'a', CALL, "lo_unlink(oid) << 4242", "1" },
			SCENE_END },
};

static void play_calls(const char *database, const struct stage *stage)
{
	rig_require();
	scene_roles("GRANT app_ro TO alice");
	scene_open(database, DDL, stage);
	scene_play_all(scenes, sizeof(scenes) / sizeof(scenes[0]));
	scene_close();
}

Test(border_calls, on_two_servers)
{
	play_calls("bc_two", &scene_two_servers);
}

Test(border_calls, on_servers_in_turns)
{
	play_calls("bc_turns", &scene_turns);
}

Test(border_calls, after_who_left)
{
	play_calls("bc_left", &scene_leaves);
}

Test(border_calls, after_who_left_in_session_mode_as_texts_say)
{
	play_calls("bc_suspected", &scene_session_suspected);
}

Test(border_calls, of_large_objects_keep_no_server)
{
	rig_require();
	scene_open("bc_large", DDL, &scene_two_servers);
	scene_play(&large_object);
	cr_expect_eq(rig_log_count(scene_rig(), "pinned"), 0);
	scene_close();
}
