/* What happens at the edges of what clients share on a server: nobody notices the others, and nothing
 * stops. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/rig_priv.h"

TestSuite(prepared_edges, .timeout = 60);

static void run(struct frames *f, const char *sql)
{
	script_query(&say, sql);
	frames_send(f, &say);
	cr_assert(strchr(frames_until(f, 'Z', 1).s, 'E') == NULL, "%s: %s", sql, f->message);
}

/* ---- the unnamed statement ---- */

Test(prepared_edges, queries_of_ours_leave_the_unnamed_statement)
{
	duo_start("e_unnamed", 1, NULL);
	run(&a, "SET statement_timeout = '50s'");
	prepare("", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	run(&b, "SELECT 1"); /* its parameters are others */
	execute("");
	expect_rows(&a, "2DCZ", 3);
	/* what a transaction leaves behind is asked for by a query */
	script_parse(&say, "", "SELECT set_config('statement_timeout', '40s', false)");
	execute("");
	expect_rows(&a, "12DCZ", 1);
	execute("");
	expect_rows(&a, "2DCZ", 1);
	duo_finish();
}

/* A Parse that fails drops the old one even so, whoever's that was. */
Test(prepared_edges, replay_that_fails_drops_the_statement_that_was_there)
{
	duo_start("e_replay", 1, NULL);
	run(&a, "CREATE TABLE t (x int)");
	prepare("", "SELECT x FROM t");
	expect(&a, "1tTZ");
	prepare("", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	run(&b, "BEGIN"); /* its own goes */
	run(&b, "DROP TABLE t");
	run(&b, "COMMIT");
	prepare("", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	execute("");
	expect_error(&a, "EZ", "42P01", "\"t\" does not exist");
	execute("");
	expect_rows(&b, "2DCZ", 7);
	duo_finish();
}

/* ---- parameters ---- */

/* One that is too long to be carried along keeps the server. */
Test(prepared_edges, long_value_is_nobody_elses)
{
	duo_start("e_long", 2, "server_round_robin=1\nmin_pool_size=2\n");
	run(&a, "SELECT set_config('app.claims', repeat('x', 9000), false)");
	for (int i = 0; i < 4; i++) {
		cr_assert_str_eq(ask(&b, "SELECT coalesce(length(current_setting('app.claims', true)), 0)").s,
		                 "0");
		cr_assert_str_eq(ask(&a, "SELECT length(current_setting('app.claims', true))").s,
		                 "9000");
	}
	duo_finish();
}

/* ---- COPY ---- */

/* Drivers send the Sync with the Execute: when the COPY fails, it is not certain who has read it. */
static void fail_copy(struct frames *f)
{
	script_parse(&say, "", "COPY pg_temp.t FROM STDIN");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
	frames_send(f, &say);
	cr_assert_str_eq(frames_until(f, 'G', 1).s, "12G");
	script_text(&say, 'd', "no number\n");
	frames_send(f, &say);
	cr_assert_str_eq(frames_until(f, 'E', 1).s, "E");
	script_put(&say, 'c', NULL, 0);
	script_sync(&say);
	expect(f, "Z");
}

Test(prepared_edges, doubt_ends_for_a_client_that_keeps_its_server)
{
	duo_start("e_doubt", 2, NULL);
	run(&a, "CREATE TEMP TABLE t (x int)");
	fail_copy(&a);
	prepare("one", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	execute("one");
	expect_rows(&a, "2DCZ", 3);
	duo_finish();
}

/* ---- names in texts ---- */

Test(prepared_edges, text_may_name_more_statements_than_a_server_keeps)
{
	duo_start("e_names", 1, "max_prepared_statements=1\n");
	prepare("one", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	prepare("two", "SELECT generate_series(1, 4)");
	expect(&a, "1tTZ");
	script_query(&say, "EXECUTE one; EXECUTE two; EXECUTE one");
	expect(&a, "TDCTDCTDCZ");
	execute("one");
	expect_rows(&a, "2DCZ", 3);
	execute("two");
	expect_rows(&a, "2DCZ", 4);
	duo_finish();
}

Test(prepared_edges, quotes_in_a_name_stay_in_it)
{
	duo_start("e_quotes", 1, NULL);
	script_query(&say, "EXECUTE \"pgseal_a\"\"b\"");
	expect_error(&a, "EZ", "26000", "gseal_a\"b\" does not exist");
	script_query(&say, "DEALLOCATE \"a\"\"b\"");
	expect_error(&a, "EZ", "26000", "\"a\"b\" does not exist");
	prepare("a\"b", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	script_query(&say, "EXECUTE \"a\"\"b\"; DEALLOCATE \"a\"\"b\"");
	expect(&a, "TDCCZ");
	execute("a\"b");
	expect_error(&a, "EZ", "26000", "\"a\"b\" does not exist");
	duo_finish();
}
