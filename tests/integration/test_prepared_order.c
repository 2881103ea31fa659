/* What one message does shows to those behind it when it has been carried out, not before, and not when it
 * was only sent. */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/freeze.h"
#include "tests/integration/rig_priv.h"

TestSuite(prepared_order, .timeout = 60);

/* A query has failed in a transaction block, and left its portal. */
static void leave_portal(const char *database)
{
	duo_start(database, 1, NULL);
	run(&a, "BEGIN");
	script_query(&say, "SELECT 1 / (random() * 0)::int");
	expect_error(&a, "TEZ", "22012", "zero");
}

/* Nobody gets at it. */
static void expect_no_portal(void)
{
	script_execute(&say, 0);
	script_sync(&say);
	expect_error(&a, "EZ", "34000", "portal \"\" does not exist");
	duo_finish();
}

/* The portal that a failed query left is still there behind a Bind that fails, or is skipped. */
Test(prepared_order, bind_that_failed_gives_no_portal)
{
	leave_portal("o_portal");
	script_bind(&say, "nothing");
	script_sync(&say);
	expect_error(&a, "EZ", "26000", "nothing");
	expect_no_portal();
}

Test(prepared_order, bind_that_was_skipped_gives_no_portal)
{
	leave_portal("o_skipped");
	script_parse(&say, "", "nonsense");
	script_flush(&say);
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'E', 1).s, "E");
	script_bind(&say, "");
	script_sync(&say);
	expect(&a, "Z");
	expect_no_portal();
}

Test(prepared_order, bind_that_will_fail_gives_no_portal)
{
	duo_start("o_piped", 1, NULL);
	run(&a, "BEGIN");
	script_query(&say, "SELECT 1 / (random() * 0)::int");
	script_bind(&say, "nothing");
	script_sync(&say);
	script_execute(&say, 0);
	script_sync(&say);
	expect_error(&a, "TEZEZEZ", "34000", "portal \"\" does not exist");
	duo_finish();
}

/* ---- DEALLOCATE ---- */

Test(prepared_order, name_is_free_behind_deallocate_all_in_one_batch)
{
	duo_start("o_all", 1, NULL);
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	script_parse(&say, "", "DEALLOCATE ALL");
	script_bind(&say, "");
	script_execute(&say, 0);
	prepare("mine", "SELECT generate_series(1, 4)");
	expect(&a, "12C1tTZ");
	execute("mine");
	expect_rows(&a, "2DCZ", 4);
	duo_finish();
}

Test(prepared_order, name_is_free_behind_its_deallocate_in_one_batch)
{
	duo_start("o_free", 1, NULL);
	for (int i = 2; i < 4; i++) {
		script_parse(&say, "mine", "SELECT 1");
		script_parse(&say, "", "DEALLOCATE mine");
		script_bind(&say, "");
		script_execute(&say, 0);
		prepare("mine", rig_printf("SELECT generate_series(1, %d)", i).s);
		expect(&a, "112C1tTZ");
		execute("mine");
		expect_rows(&a, "2DCZ", i);
		script_parse(&say, "", "DEALLOCATE mine");
		script_bind(&say, "");
		script_execute(&say, 0);
		script_parse(&say, "", "DEALLOCATE mine");
		script_bind(&say, "");
		script_execute(&say, 0);
		script_sync(&say);
		expect_error(&a, "12C12EZ", "26000", "\"mine\"");
	}
	duo_finish();
}

/* ---- statements in queries ---- */

Test(prepared_order, query_that_names_two_that_are_lost_fails_once)
{
	duo_start("o_lost", 1, "max_prepared_statements=1\n");
	run(&a, "CREATE TABLE gone (i int)");
	prepare("one", "SELECT i FROM gone");
	expect(&a, "1tTZ");
	prepare("two", "SELECT i + 1 FROM gone");
	expect(&a, "1tTZ");
	run(&a, "DROP TABLE gone");
	prepare("other", "SELECT 1");
	expect(&a, "1tTZ");
	script_query(&say, "EXECUTE one; EXECUTE two");
	expect_error(&a, "EZ", "42P01", "gone");
	run(&a, "SELECT 1");
	duo_finish();
}

Test(prepared_order, cancel_meets_what_is_prepared_for_a_query)
{
	PGconn *admin;

	duo_start("o_cancel", 1, "max_prepared_statements=1\n");
	run(&a, "CREATE TABLE locked (i int)");
	prepare("one", "SELECT i FROM locked");
	expect(&a, "1tTZ");
	prepare("other", "SELECT 1");
	expect(&a, "1tTZ");
	admin = rig_admin_connect("o_cancel");
	rig_exec(admin, "BEGIN");
	rig_exec(admin, "LOCK TABLE locked");
	script_query(&say, "EXECUTE one");
	frames_send(&a, &say);
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = "
	                         "l.database WHERE datname = 'o_cancel' AND NOT granted",
	                         "1", RIG_PATIENCE_MS));
	frames_cancel(duo_rig, a.pid, a.secret, a.secret_len);
	cr_assert_str_eq(frames_until(&a, 'Z', 1).s, "EZ");
	cr_assert_str_eq(a.sqlstate, "57014", "%s", a.message);
	PQfinish(admin);
	run(&a, "SELECT 1");
	duo_finish();
}

/* What is held behind a query goes on when a cancel for that comes late. */
Test(prepared_order, held_query_goes_on_behind_a_late_cancel)
{
	PGconn *admin;
	struct freeze f;

	duo_start("o_held", 1, NULL);
	prepare("one", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	admin = rig_admin_connect("o_held");
	rig_exec(admin, "SELECT pg_advisory_lock(1)");
	script_query(&say, "SELECT FROM pg_advisory_xact_lock(1)");
	script_query(&say, "EXECUTE one");
	frames_send(&a, &say);
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = "
	                         "l.database WHERE datname = 'o_held' AND NOT granted",
	                         "1", RIG_PATIENCE_MS));
	freeze_logins(&f);
	frames_cancel(duo_rig, a.pid, a.secret, a.secret_len);
	rig_exec(admin, "SELECT pg_advisory_unlock(1)");
	cr_assert_str_eq(frames_until(&a, 'Z', 1).s, "TDCZ");
	freeze_end(&f);
	cr_assert_str_eq(frames_until(&a, 'Z', 1).s, "TDCZ");
	cr_assert_str_eq(a.tag, "SELECT 3");
	PQfinish(admin);
	duo_finish();
}

/* ---- warnings ---- */

static void count_warning(void *count, const PGresult *warning)
{
	cr_assert_str_eq(PQresultErrorField(warning, PG_DIAG_SQLSTATE), "22P06");
	++*(int *)count;
}

/* Under other parameters it is prepared once more, which is no business of its client's. */
Test(prepared_order, warning_about_a_text_comes_with_its_parse_only)
{
	int heard = 0;
	PGconn *conn;
	PGresult *res;

	duo_start("o_warning", 1, NULL);
	conn = rig_connect(duo_rig, "dbname=o_warning");
	PQsetNoticeReceiver(conn, count_warning, &heard);
	rig_exec(conn, "SET standard_conforming_strings = off");
	PQclear(PQprepare(conn, "s", "SELECT length('\\\\')", 0, NULL));
	cr_assert_eq(heard, 1);
	rig_exec(conn, "SET transform_null_equals = on");
	res = PQexecPrepared(conn, "s", 0, NULL, NULL, NULL, 0);
	cr_assert_str_eq(PQgetvalue(res, 0, 0), "1");
	cr_assert_eq(heard, 1);
	PQclear(res);
	PQfinish(conn);
	duo_finish();
}

/* ---- names that are ours on servers ---- */

Test(prepared_order, name_like_ours_without_room_on_servers)
{
	duo_start("o_ours", 2, "max_prepared_statements=0\n");
	prepare("pgseal_mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	execute("pgseal_mine");
	expect_rows(&a, "2DCZ", 3);
	duo_finish();
}

Test(prepared_order, name_like_ours_that_is_prepared_by_text)
{
	struct rig_text names;

	duo_start("o_text", 1, NULL);
	run(&a, "PREPARE pgseal_mine AS SELECT 1");
	script_parse(&say, "pgseal_mine", "SELECT 2");
	script_sync(&say);
	expect_error(&a, "EZ", "42P05", "already exists");
	names = ask(&a, "SELECT string_agg(name, ',') FROM pg_prepared_statements");
	cr_assert(strstr(names.s, "pgseal_mine") == NULL, "%s", names.s);
	duo_finish();
}
