/* Known differences that have no remedy yet: each scene fails. */
#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_attack_open, .timeout = 120);

#define LINES (const struct line[])
#define N(x) (x), sizeof(x) / sizeof((x)[0])
#define DDL "CREATE TABLE t (id serial, i int); GRANT ALL ON t, t_id_seq TO PUBLIC"

static const struct scene sequences[] = {
	{ "after a rollback in one text", NULL, NULL,
	  LINES{ { 'b', QUERY, "INSERT INTO t (i) VALUES (1)", "" },
	         { 'b', QUERY, "SELECT lastval() IS NOT NULL", ANYTHING },
	         { 'b', QUERY, "INSERT INTO t (i) VALUES (1)", "" },
	         { 'b', QUERY, "SELECT lastval() IS NOT NULL", "t" },
	         { 'a', QUERY, "BEGIN", "" },
	         { 'a', QUERY, "SELECT 1/0", "!22012" },
	         { 'a', QUERY, "ROLLBACK; SELECT lastval()", "!55000" }, SCENE_END }, NULL },
};

Test(border_attack_open, lastval_after_a_rollback_in_one_text)
{
	scene_open("ao_seq", DDL, &scene_one_server);
	scene_play_all(N(sequences));
	scene_close();
}

static const struct scene roles[] = {
	{ "what a role may set", NULL, NULL,
	  LINES{ { 'a', QUERY, "SET ROLE attack_su", "" },
	         { 'a', QUERY, "SET session_replication_role = replica", "" },
	         { 'b', QUERY, "SHOW session_replication_role", "origin" },
	         { 'a', QUERY, "SHOW session_replication_role", "replica" },
	         { 'b', QUERY, "SHOW session_replication_role", "origin" }, SCENE_END }, NULL },
};

Test(border_attack_open, what_a_role_may_set)
{
	rig_require();
	scene_roles("CREATE ROLE attack_su SUPERUSER; GRANT attack_su TO alice");
	scene_open("ao_role", DDL, &scene_one_server);
	scene_play_all(N(roles));
	scene_close();
}

static const struct stage session_stays = { .keys = "pool_size=1 pool_mode=session" };
static const struct scene session[] = {
	{ "unnamed statement and a reset", NULL, NULL,
	  LINES{ { 'a', JOIN, "work_mem=5MB", "" },
	         { 'a', PARSE, "r: RESET work_mem", "" },
	         { 'a', PARSE, ": SELECT 42", "" },
	         { 'a', BIND, "r", "" },
	         { 'a', BIND, "", "42" }, SCENE_END }, NULL },
};

Test(border_attack_open, session_mode)
{
	scene_open("ao_session", DDL, &session_stays);
	scene_play_all(N(session));
	scene_close();
}

/* In a block a statement that deallocates another is bound, and not executed. */
static struct rig_text bound(const struct rig *rig)
{
	struct actor a;
	struct rig_text answer = actor_join(&a, rig, rig != NULL ? "alice" : "pgseal", "alice",
	                                    "ao_bound", "");
	struct frames to = { .ssl = a.ssl };

	cr_assert_str_empty(answer.s, "%s", answer.s);
	actor_do(&a, PARSE, "s: SELECT 1");
	actor_do(&a, PARSE, "d: DEALLOCATE s");
	actor_query(&a, "BEGIN");
	script_bind(&a.said, "d");
	script_sync(&a.said);
	a.owed++;
	frames_send(&to, &a.said);
	(void)actor_hear(&a);
	answer = actor_do(&a, BIND, "s");
	actor_leave(&a);
	return answer;
}

Test(border_attack_open, deallocate_that_is_bound_only)
{
	scene_open("ao_bound", NULL, &scene_one_server);
	cr_assert_str_eq(bound(NULL).s, "1");
	cr_expect_str_eq(bound(scene_rig()).s, "1");
	scene_close();
}

/* Where in the client's text the error is. */
Test(border_attack_open, position_after_a_name_that_was_replaced)
{
	PGconn *conn;
	PGresult *r;

	scene_open("ao_position", NULL, &scene_one_server);
	conn = rig_connect(scene_rig(), "dbname=ao_position");
	PQclear(PQprepare(conn, "s", "SELECT $1::int", 0, NULL));
	r = PQexec(conn, "EXECUTE s(nothing)");
	cr_expect_str_eq(PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION), "11");
	PQclear(r);
	PQfinish(conn);
	scene_close();
}
