/* What one message does shows to those behind it when it has been carried out, not before, and not when it
 * was only sent. */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/rig_priv.h"

TestSuite(prepared_order, .timeout = 60);

static void run(struct frames *f, const char *sql)
{
	script_query(&say, sql);
	frames_send(f, &say);
	cr_assert(strchr(frames_until(f, 'Z', 1).s, 'E') == NULL, "%s: %s", sql, f->message);
}

/* The portal that a failed query left is still there behind a Bind that fails, or is skipped. */
Test(prepared_order, bind_that_failed_gives_no_portal)
{
	duo_start("o_portal", 1, NULL);
	run(&a, "BEGIN");
	script_query(&say, "SELECT 1 / (random() * 0)::int");
	expect_error(&a, "TEZ", "22012", "zero");
	script_bind(&say, "nothing");
	script_sync(&say);
	expect_error(&a, "EZ", "26000", "nothing");
	script_execute(&say, 0);
	script_sync(&say);
	expect_error(&a, "EZ", "34000", "portal \"\" does not exist");
	duo_finish();
}

Test(prepared_order, bind_that_was_skipped_gives_no_portal)
{
	duo_start("o_skipped", 1, NULL);
	run(&a, "BEGIN");
	script_query(&say, "SELECT 1 / (random() * 0)::int");
	expect_error(&a, "TEZ", "22012", "zero");
	script_parse(&say, "", "nonsense");
	script_flush(&say);
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'E', 1).s, "E");
	script_bind(&say, "");
	script_sync(&say);
	expect(&a, "Z");
	script_execute(&say, 0);
	script_sync(&say);
	expect_error(&a, "EZ", "34000", "portal \"\" does not exist");
	duo_finish();
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
