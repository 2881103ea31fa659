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
