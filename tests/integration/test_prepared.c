/* Prepared statements live in the servers: whose they are, and how long they keep a server. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

#define SILENCE_MS 300

TestSuite(prepared, .timeout = 60);

static struct rig *rig;
static struct frames a, b;
static struct script say;

static void start(const char *database, int pool_size)
{
	crowd_database(database);
	rig = rig_start(NULL, crowd_entry(database, rig_printf("pool_size=%d", pool_size).s).s,
	                NULL);
	frames_login(&a, rig, "alice", database);
	frames_login(&b, rig, "alice", database);
}

static void finish(void)
{
	frames_drop(&a);
	frames_drop(&b);
	rig_stop(rig);
}

static void describe(const char *name)
{
	script_text(&say, 'D', rig_printf("S%s", name).s);
}

/* As drivers do it: the statement in one round trip, its execution in the next. */
static void prepare(const char *name, const char *sql)
{
	script_parse(&say, name, sql);
	describe(name);
	script_sync(&say);
}

static void execute(const char *name)
{
	script_bind(&say, name);
	script_execute(&say, 0);
	script_sync(&say);
}

/* Send it, and hear that up to the ReadyForQuery. */
static void expect(struct frames *f, const char *answers)
{
	frames_send(f, &say);
	cr_assert_str_eq(frames_until(f, 'Z', 1).s, answers);
}

/* The same of something that yields so many rows: each client asks for a number of its own. */
static void expect_rows(struct frames *f, const char *answers, int rows)
{
	expect(f, answers);
	cr_assert_str_eq(f->tag, rig_printf("SELECT %d", rows).s, "rows of somebody else");
}

static void expect_error(struct frames *f, const char *sqlstate)
{
	expect(f, "EZ");
	cr_assert_str_eq(f->sqlstate, sqlstate, "%s %s", f->sqlstate, f->message);
}

static bool stays_silent(const struct frames *f)
{
	struct pollfd p = { .fd = SSL_get_fd(f->ssl), .events = POLLIN };

	return poll(&p, 1, SILENCE_MS) == 0;
}

/* --- the unnamed statement --- */

Test(prepared, unnamed_statements_of_two_clients_are_each_their_own)
{
	start("n_two", 1);
	for (int i = 0; i < 3; i++) {
		prepare("", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		prepare("", "SELECT generate_series(1, 7)");
		frames_send(&b, &say);
		cr_assert(stays_silent(&b), "lent with a statement that waits for its Bind");
		execute("");
		expect_rows(&a, "2DCZ", 3);
		cr_assert_str_eq(frames_until(&b, 'Z', 1).s, "1tTZ");
		execute("");
		expect_rows(&b, "2DCZ", 7);
	}
	finish();
}

Test(prepared, unnamed_statement_of_long_ago_is_gone_rather_than_anothers)
{
	start("n_long_ago", 1);
	for (int i = 0; i < 3; i++) {
		script_parse(&say, "", "SELECT generate_series(1, 3)");
		execute("");
		expect_rows(&a, "12DCZ", 3);
		script_parse(&say, "", "SELECT generate_series(1, 7)");
		execute("");
		expect_rows(&b, "12DCZ", 7);
		execute("");
		expect_error(&a, "26000");
		describe("");
		script_sync(&say);
		expect_error(&b, "26000");
	}
	finish();
}

Test(prepared, unnamed_statement_of_a_client_that_left_is_not_met)
{
	start("n_left", 1);
	prepare("", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	frames_drop(&b);
	execute("");
	expect_error(&a, "26000");
	finish();
}

Test(prepared, unnamed_statement_in_a_transaction_block_is_not_met_behind_it)
{
	start("n_block", 1);
	script_query(&say, "BEGIN");
	expect(&b, "CZ");
	prepare("", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	execute("");
	expect_rows(&b, "2DCZ", 7);
	script_parse(&say, "", "COMMIT");
	execute("");
	expect(&b, "12CZ");
	execute("");
	expect_error(&a, "26000");
	finish();
}

Test(prepared, error_leaves_no_statement_to_the_next_client)
{
	start("n_error", 1);
	script_parse(&say, "", "SELECT generate_series(1, 7)");
	script_bind(&say, "");
	script_text(&say, 'D', "Pnosuch");
	script_sync(&say);
	expect(&b, "12EZ");
	cr_assert_str_eq(b.sqlstate, "34000");
	execute("");
	expect_error(&a, "26000");
	finish();
}

Test(prepared, message_that_the_server_cannot_read_drops_nothing)
{
	start("n_unread", 1);
	script_parse(&say, "", "SELECT generate_series(1, 7)");
	execute("");
	expect_rows(&b, "12DCZ", 7);
	script_query(&say, "\xff");
	execute("");
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'Z', 2).s, "EZEZ");
	cr_assert_str_eq(a.sqlstate, "26000");
	finish();
}

Test(prepared, earlier_error_does_not_let_go_of_a_statement_parsed_behind_it)
{
	start("n_earlier", 1);
	script_query(&say, "SELECT 1/0");
	script_parse(&say, "", "SELECT generate_series(1, 3)");
	script_sync(&say);
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'Z', 2).s, "EZ1Z");
	execute("");
	frames_send(&b, &say);
	cr_assert(stays_silent(&b));
	execute("");
	expect_rows(&a, "2DCZ", 3);
	cr_assert_str_eq(frames_until(&b, 'Z', 1).s, "EZ");
	finish();
}

Test(prepared, batch_that_fails_before_it_is_whole_has_its_one_ready_for_query)
{
	start("n_dribble", 1);
	script_parse(&say, "", "SELECT generate_series(1, 7)");
	execute("");
	expect_rows(&b, "12DCZ", 7);
	for (int i = 0; i < 3; i++) {
		script_parse(&say, "", "selec");
		script_flush(&say);
		frames_send(&a, &say);
		cr_assert_str_eq(frames_until(&a, 'E', 1).s, "E");
		execute("");
		script_parse(&say, "", "SELECT generate_series(1, 3)");
		execute("");
		frames_send(&a, &say);
		cr_assert_str_eq(frames_until(&a, 'Z', 2).s, "Z12DCZ");
	}
	finish();
}

Test(prepared, statement_that_was_only_described_is_let_go_by_the_next_query)
{
	start("n_described", 1);
	prepare("", "SELECT 1 AS one, 2 AS two");
	expect(&a, "1tTZ");
	script_query(&say, "SELECT generate_series(1, 7)");
	frames_send(&b, &say);
	cr_assert(stays_silent(&b));
	script_query(&say, "SELECT generate_series(1, 3)");
	expect_rows(&a, "TDCZ", 3);
	expect_rows(&b, "TDCZ", 7);
	finish();
}

Test(prepared, statement_that_cannot_be_parsed_keeps_no_server)
{
	start("n_wrong", 1);
	prepare("", "SELECT nonsense");
	expect_error(&a, "42703");
	script_query(&say, "SELECT generate_series(1, 7)");
	expect_rows(&b, "TDCZ", 7);
	finish();
}

/* --- named ones --- */

Test(prepared, named_statement_keeps_its_server_and_disturbs_nobody)
{
	start("n_pinned", 2);
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	for (int i = 0; i < 5; i++) {
		script_query(&say, "SELECT generate_series(1, 7)");
		expect_rows(&b, "TDCZ", 7);
		execute("mine");
		expect_error(&b, "26000");
		execute("mine");
		expect_rows(&a, "2DCZ", 3);
	}
	prepare("mine", "SELECT generate_series(1, 8)");
	expect(&b, "1tTZ");
	execute("mine");
	expect_rows(&b, "2DCZ", 8);
	execute("mine");
	expect_rows(&a, "2DCZ", 3);
	cr_assert_eq(rig_log_count(rig, "pinned: server="), 2);
	finish();
}

Test(prepared, named_statement_keeps_the_only_server_until_its_client_leaves)
{
	start("n_only", 1);
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	prepare("mine", "SELECT generate_series(1, 7)");
	frames_send(&b, &say);
	cr_assert(stays_silent(&b));
	frames_drop(&a);
	cr_assert_str_eq(frames_until(&b, 'Z', 1).s, "1tTZ");
	execute("mine");
	expect_rows(&b, "2DCZ", 7);
	finish();
}

Test(prepared, names_are_free_again_once_their_clients_have_left)
{
	start("n_free", 2);
	for (int i = 0; i < 4; i++) {
		prepare("mine", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		prepare("mine", "SELECT generate_series(1, 7)");
		expect(&b, "1tTZ");
		frames_drop(&a);
		frames_drop(&b);
		frames_login(&a, rig, "alice", "n_free");
		frames_login(&b, rig, "alice", "n_free");
		execute("mine");
		expect_error(&a, "26000");
	}
	finish();
}
