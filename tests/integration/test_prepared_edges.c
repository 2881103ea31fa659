/* What happens at the edges of what clients share on a server: nobody notices the others, and nothing
 * stops. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/rig_priv.h"

TestSuite(prepared_edges, .timeout = 60);

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

/* ---- errors that leave everything as it was ---- */

Test(prepared_edges, description_of_what_is_not_there)
{
	duo_start("e_describe", 2, "server_round_robin=1\nmin_pool_size=2\n");
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	for (int i = 0; i < 3; i++) {
		describe("none");
		script_bind(&say, "mine");
		script_sync(&say);
		expect_error(&a, "EZ", "26000", "prepared statement \"none\" does not exist");
		describe("mine"); /* another's */
		script_sync(&say);
		expect_error(&b, "EZ", "26000", "prepared statement \"mine\" does not exist");
		script_text(&say, 'D', "Pnone");
		script_sync(&say);
		expect_error(&a, "EZ", "34000", "portal \"none\" does not exist");
		describe("mine");
		script_sync(&say);
		expect(&a, "tTZ");
	}
	duo_finish();
}

/* The client goes on for a while before it reads the error, and sends its Sync last. */
Test(prepared_edges, failed_parse_whose_sync_comes_late)
{
	duo_start("e_late_sync", 2, "server_round_robin=1\nmin_pool_size=2\n");
	for (int i = 0; i < 3; i++) {
		script_parse(&say, "mine", "SELECT nonsense");
		script_flush(&say);
		frames_send(&a, &say);
		cr_assert_str_eq(frames_until(&a, 'E', 1).s, "E");
		cr_assert_str_eq(a.sqlstate, "42703");
		script_parse(&say, "mine", "SELECT generate_series(1, 3)");
		script_bind(&say, "mine");
		close_statement("other");
		script_flush(&say);
		frames_send(&a, &say);
		script_query(&say, "SELECT 1");
		expect(&b, "TDCZ");
		script_sync(&say);
		expect(&a, "Z");
		execute("mine");
		expect_error(&a, "EZ", "26000", "\"mine\" does not exist");
		prepare("mine", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		execute("mine");
		expect_rows(&a, "2DCZ", 3);
		close_statement("mine");
		script_sync(&say);
		expect(&a, "3Z");
	}
	duo_finish();
}

/* Room was made for what came before the error, and for nothing behind it. */
Test(prepared_edges, batch_that_fails_where_there_is_no_room)
{
	duo_start("e_room", 1, "max_prepared_statements=2\n");
	for (int i = 1; i <= 3; i++) {
		prepare(rig_printf("old%d", i).s, rig_printf("SELECT generate_series(1, %d)", i).s);
		expect(&a, "1tTZ");
	}
	for (int i = 0; i < 3; i++) {
		script_parse(&say, "new", "SELECT generate_series(1, 7)");
		script_parse(&say, "wrong", "selec");
		script_parse(&say, "skipped", "SELECT generate_series(1, 8)");
		script_bind(&say, "old1");
		script_sync(&say);
		script_bind(&say, "wrong");
		script_sync(&say);
		script_bind(&say, "skipped");
		script_sync(&say);
		execute("new");
		execute("old1");
		execute("old2");
		execute("old3");
		expect_rows(&a, "1EZEZEZ2DCZ2DCZ2DCZ2DCZ", 3);
		close_statement("new");
		script_sync(&say);
		expect(&a, "3Z");
		cr_assert_str_eq(ask(&b, "SELECT count(*) <= 2 FROM pg_prepared_statements").s, "t");
	}
	duo_finish();
}

/* Of a statement that this server has to prepare first, for somebody who gets its parameters wrong. */
Test(prepared_edges, bind_that_fails)
{
	duo_start("e_bind", 2, "server_round_robin=1\nmin_pool_size=2\n");
	prepare("mine", "SELECT generate_series(1, $1::int)");
	expect(&a, "1tTZ");
	for (int i = 0; i < 3; i++) {
		execute("mine");
		expect_error(&a, "EZ", "08P01", "requires 1");
		script_put(&say, 'B', "\0mine\0\0\0\0\1\0\0\0\0013\0\0", 17);
		script_execute(&say, 0);
		script_sync(&say);
		expect_rows(&a, "2DCZ", 3);
	}
	duo_finish();
}

/* What failed for one may be right a moment later, for everybody. */
Test(prepared_edges, text_that_could_not_be_parsed_is_not_remembered)
{
	duo_start("e_later", 2, "server_round_robin=1\nmin_pool_size=2\n");
	for (int i = 0; i < 3; i++) {
		prepare("mine", "SELECT * FROM later");
		expect_error(&a, "EZ", "42P01", "\"later\" does not exist");
	}
	run(&b, "CREATE TABLE later AS SELECT generate_series(1, 3)");
	prepare("mine", "SELECT * FROM later");
	expect(&a, "1tTZ");
	prepare("mine", "SELECT * FROM later");
	expect(&b, "1tTZ");
	for (int i = 0; i < 3; i++) {
		execute("mine");
		expect_rows(&a, "2DCZ", 3);
		execute("mine");
		expect_rows(&b, "2DCZ", 3);
	}
	duo_finish();
}

/* In a transaction nothing is prepared anew behind the client's back: it has failed, and is over. */
Test(prepared_edges, shape_that_changes_in_a_transaction)
{
	duo_start("e_shape", 2, "server_round_robin=1\nmin_pool_size=2\n");
	run(&a, "CREATE TABLE shape AS SELECT generate_series(1, 3) AS one");
	prepare("mine", "SELECT * FROM shape");
	expect(&a, "1tTZ");
	for (int i = 0; i < 3; i++) {
		run(&a, "BEGIN");
		run(&a, "ALTER TABLE shape ADD COLUMN two int");
		execute("mine");
		expect_error(&a, "EZ", "0A000", "cached plan must not change result type");
		execute("mine");
		expect_error(&a, "EZ", "25P02", "aborted");
		run(&a, "ROLLBACK");
		execute("mine");
		expect_rows(&a, "2DCZ", 3);
	}
	duo_finish();
}

/* ---- parameters ---- */

#define ROLE "SELECT current_user || ' ' || current_setting('session_replication_role')"
#define LENGTH "SELECT coalesce(length(current_setting('app.claims', true)), 0)"

/* One that is too long to be carried along keeps the server. */
Test(prepared_edges, long_value_is_nobody_elses)
{
	duo_start("e_long", 2, NULL);
	run(&a, "SELECT set_config('app.claims', repeat('x', 9000), false)");
	for (int i = 0; i < 4; i++) {
		cr_assert_str_eq(ask(&b, LENGTH).s, "0");
		cr_assert_str_eq(ask(&a, LENGTH).s, "9000");
	}
	duo_finish();
}

/* What a role may not set is set before it, whoever's role it is. */
Test(prepared_edges, role_is_set_last_and_reset_first)
{
	rig_admin_exec("GRANT bob TO alice");
	rig_admin_exec("GRANT SET ON PARAMETER session_replication_role TO alice");
	duo_start("e_role", 1, NULL);
	run(&a, "SET session_replication_role = 'replica'");
	run(&b, "SET ROLE bob");
	run(&a, "SELECT 1");
	run(&a, "SET ROLE bob");
	run(&b, "SELECT 1"); /* the same role, another parameter */
	for (int i = 0; i < 2; i++) {
		cr_assert_str_eq(ask(&a, ROLE).s, "bob replica");
		cr_assert_str_eq(ask(&b, ROLE).s, "bob origin");
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

/* One of several statements: what it forgets is forgotten, and nothing if it may not. */
Test(prepared_edges, statements_may_be_forgotten_in_the_middle_of_a_text)
{
	duo_start("e_middle", 2, "server_round_robin=1\nmin_pool_size=2\n");
	prepare("mine", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	for (int i = 0; i < 3; i++) {
		prepare("mine", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		script_query(&say, "SELECT 1; /* and */ dIsCaRd -- that\n aLL; SELECT 2");
		expect_error(&a, "TDCEZ", "25001", "DISCARD ALL cannot");
		run(&a, "BEGIN");
		script_parse(&say, "", "DISCARD ALL");
		execute("");
		expect_error(&a, "12EZ", "25001", "DISCARD ALL cannot");
		script_query(&say, "ROLLBACK");
		execute("mine");
		expect(&a, "CZ2DCZ");
		script_query(&say, "SELECT 1; -- all\n dEaLLoCaTe /* of them */ All; SELECT 2");
		execute("mine");
		expect_error(&a, "TDCCTDCZEZ", "26000", "\"mine\" does not exist");
		execute("mine");
		expect_rows(&b, "2DCZ", 7);
	}
	duo_finish();
}

Test(prepared_edges, prepare_and_its_kin_in_messages_of_their_own)
{
	duo_start("e_own", 2, "server_round_robin=1\nmin_pool_size=2\n");
	for (int i = 0; i < 3; i++) {
		script_parse(&say, "", "/* one */ PREPARE X AS SELECT generate_series(1, 3)");
		execute("");
		expect(&a, "12CZ");
		script_parse(&say, "", "EXECUTE x");
		execute("");
		expect_error(&b, "12EZ", "26000", "\"x\" does not exist");
		script_parse(&say, "again", "eXeCuTe /* it */ \"x\"");
		execute("again");
		execute("again");
		expect_rows(&a, "12DCZ2DCZ", 3);
		close_statement("again");
		script_parse(&say, "", "-- no more\nDEALLOCATE x");
		execute("");
		script_parse(&say, "", "EXECUTE x");
		execute("");
		expect_error(&a, "312CZ12EZ", "26000", "\"x\" does not exist");
	}
	duo_finish();
}

/* ---- memory ---- */

static char text_of_size[8000];

static const char *long_text(size_t n)
{
	memset(text_of_size, ' ', n);
	memcpy(text_of_size, "SELECT 1", 8);
	text_of_size[n] = '\0';
	return text_of_size;
}

Test(prepared_edges, statements_on_their_way_count)
{
	duo_start("e_memory", 1, "max_client_prepared_memory=10kB\n");
	for (size_t i = 0; i < 4; i++)
		script_parse(&say, rig_printf("s%zu", i).s, long_text(3000 + i));
	script_sync(&say);
	expect_error(&a, "111EZ", "53400", "more memory");
	duo_finish();
}

/* It is not taken in to be refused. */
Test(prepared_edges, statement_that_is_too_large_is_refused_before_it_is_here)
{
	uint8_t head[] = { 'P', 0, 0x10, 0, 0, 'o', 'n', 'e', 0, 'S' };
	struct script rest = { 0 };

	duo_start("e_large", 1, "max_client_prepared_memory=10kB\n");
	memcpy(say.at, head, sizeof(head));
	say.len = sizeof(head);
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'E', 1).s, "E");
	cr_assert_str_eq(a.sqlstate, "53400");
	for (size_t left = 0x100000 + 1 - sizeof(head); left > 0; left -= rest.len) {
		rest.len = left < sizeof(rest.at) ? left : sizeof(rest.at);
		memset(rest.at, ' ', rest.len);
		say = rest;
		frames_send(&a, &say);
	}
	script_sync(&say);
	expect(&a, "Z");
	duo_finish();
}

/* ---- statements that are gone ---- */

/* What is done inside of functions is not seen: it costs one error, not all that come. */
Test(prepared_edges, statement_that_the_server_lost_is_prepared_again)
{
	PGconn *admin;

	duo_start("e_lost", 1, NULL);
	prepare("one", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	admin = rig_admin_connect("e_lost");
	rig_exec(admin, "CREATE FUNCTION hidden() RETURNS void LANGUAGE plpgsql AS "
	                "$$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
	PQfinish(admin);
	run(&b, "SELECT hidden()");
	execute("one");
	expect_error(&a, "EZ", "26000", "\"one\" does not exist");
	execute("one");
	expect_rows(&a, "2DCZ", 3);
	duo_finish();
}

Test(prepared_edges, words_of_a_client_are_its_own)
{
	duo_start("e_words", 1, NULL);
	script_query(&say, "SELECT 1 FROM \"pgseal_limit\"");
	expect_error(&a, "EZ", "42P01", "\"pgseal_limit\" does not exist");
	duo_finish();
}

/* ---- nothing waits for what does not come ---- */

Test(prepared_edges, late_end_of_copy_in_a_batch_stops_nothing)
{
	duo_start("e_late", 1, "max_prepared_statements=1\n");
	prepare("one", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	prepare("two", "SELECT generate_series(1, 4)");
	expect(&a, "1tTZ");
	script_parse(&say, "", "SELECT 1");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_put(&say, 'c', NULL, 0);
	script_bind(&say, "one");
	script_execute(&say, 0);
	script_sync(&say);
	expect(&a, "12DC2DCZ");
	duo_finish();
}

/* ---- the unnamed portal ---- */

/* A simple query that fails in a transaction block leaves its portal in some versions of PostgreSQL, which
 * end all of their sessions when it is used. */
Test(prepared_edges, portal_of_a_failed_query_is_out_of_reach)
{
	duo_start("e_portal", 1, NULL);
	run(&a, "BEGIN");
	script_query(&say, "SELECT 1 / (random() * 0)::int");
	script_execute(&say, 0);
	script_sync(&say);
	expect_error(&a, "TEZEZ", "34000", "portal \"\" does not exist");
	script_text(&say, 'D', "P");
	script_sync(&say);
	expect_error(&a, "EZ", "34000", "portal \"\" does not exist");
	script_parse(&say, "", "ROLLBACK");
	script_bind(&say, "");
	script_text(&say, 'D', "P");
	script_execute(&say, 0);
	script_sync(&say);
	expect(&a, "12nCZ");
	duo_finish();
}

/* In session mode too; and what was bound may be asked again, behind its Sync. */
Test(prepared_edges, portal_that_was_bound_is_there)
{
	duo_start("e_bound", 1, NULL);
	run(&a, "BEGIN");
	script_parse(&say, "", "SELECT generate_series(1, 5)");
	script_bind(&say, "");
	script_execute(&say, 2);
	script_sync(&say);
	expect(&a, "12DsZ");
	script_text(&say, 'D', "P");
	script_execute(&say, 0);
	script_sync(&say);
	expect_rows(&a, "TDCZ", 3);
	run(&a, "COMMIT");
	duo_finish();
	duo_start("e_bound_session", 2, "pool_mode=session\n");
	run(&a, "BEGIN");
	script_query(&say, "SELECT 1 / (random() * 0)::int");
	script_execute(&say, 0);
	script_sync(&say);
	expect_error(&a, "TEZEZ", "34000", "portal \"\" does not exist");
	duo_finish();
}
