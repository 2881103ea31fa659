/* State of a session that outlives its transactions, in transaction mode: it follows its client, or keeps the
 * server until it is gone; nobody else meets it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/rig_priv.h"

#define ROUND_ROBIN "server_round_robin=1\nmin_pool_size=2\n"

TestSuite(state, .timeout = 60);

/* On whichever server it gets. */
static void sees(struct frames *f, const char *sql, const char *want)
{
	for (int i = 0; i < 4; i++)
		cr_assert_str_eq(ask(f, sql).s, want, "%s: %s instead of %s", sql, ask(f, sql).s,
		                 want);
}

/* ---- parameters ---- */

Test(state, parameter_follows_its_client)
{
	duo_start("s_set", 2, ROUND_ROBIN);
	run(&a, "SET statement_timeout = '5s'");
	sees(&a, "SHOW statement_timeout", "5s");
	sees(&b, "SHOW statement_timeout", "0");
	run(&b, "/* mixed */ sEt SESSION statement_timeout TO 7000");
	sees(&b, "SHOW statement_timeout", "7s");
	sees(&a, "SHOW statement_timeout", "5s");
	run(&a, "RESET statement_timeout");
	sees(&a, "SHOW statement_timeout", "0");
	sees(&b, "SHOW statement_timeout", "7s");
	run(&b, "RESET ALL");
	sees(&b, "SHOW statement_timeout", "0");
	cr_assert_eq(rig_log_count(duo_rig, "pinned"), 0);
	duo_finish();
}

Test(state, parameter_of_an_application_follows_its_client)
{
	duo_start("s_custom", 2, ROUND_ROBIN);
	run(&a, "SET app.tenant = 'it''s \\ one'");
	run(&b, "SELECT set_config('app.tenant', 'two', false)");
	sees(&a, "SELECT current_setting('app.tenant', true)", "it's \\ one");
	sees(&b, "SELECT current_setting('app.tenant', true)", "two");
	run(&a, "RESET app.tenant");
	sees(&a, "SELECT coalesce(current_setting('app.tenant', true), '')", "");
	sees(&b, "SELECT current_setting('app.tenant', true)", "two");
	duo_finish();
}

Test(state, search_path_and_role_follow_their_client)
{
	duo_start("s_path", 2, ROUND_ROBIN);
	rig_admin_exec("GRANT app_ro TO alice");
	run(&a, "SET search_path = pg_catalog, \"$user\"");
	run(&a, "SET ROLE app_ro");
	sees(&a, "SELECT current_user || current_setting('search_path')",
	     "app_ropg_catalog, \"$user\"");
	sees(&b, "SELECT current_user || current_setting('search_path')", "alice\"$user\", public");
	run(&a, "RESET ROLE");
	sees(&a, "SELECT current_user", "alice");
	duo_finish();
}

Test(state, parameter_of_a_transaction_goes_with_it)
{
	duo_start("s_local", 2, ROUND_ROBIN);
	run(&a, "SET statement_timeout = '5s'");
	run(&a, "BEGIN; SET statement_timeout = '9s'; SET LOCAL lock_timeout = '4s'");
	cr_assert_str_eq(ask(&a, "SHOW statement_timeout").s, "9s");
	run(&a, "ROLLBACK");
	sees(&a, "SHOW statement_timeout", "5s");
	sees(&a, "SHOW lock_timeout", "0");
	run(&a, "BEGIN; SELECT set_config('statement_timeout', '8s', true); COMMIT");
	sees(&a, "SHOW statement_timeout", "5s");
	run(&a, "BEGIN; SET statement_timeout = '6s'; COMMIT");
	sees(&a, "SHOW statement_timeout", "6s");
	run(&a, "BEGIN; SET statement_timeout = '7s'; PREPARE TRANSACTION 's_local'");
	sees(&a, "SHOW statement_timeout", "7s");
	run(&b, "ROLLBACK PREPARED 's_local'");
	sees(&a, "SHOW statement_timeout", "7s");
	sees(&b, "SHOW statement_timeout", "0");
	duo_finish();
}

Test(state, parameter_set_by_a_prepared_statement)
{
	duo_start("s_extended", 2, ROUND_ROBIN);
	prepare("set", "SET statement_timeout = '5s'");
	expect(&a, "1tnZ");
	sees(&a, "SHOW statement_timeout", "0");
	execute("set");
	expect(&a, "2CZ");
	sees(&a, "SHOW statement_timeout", "5s");
	script_parse(&say, "", "SELECT set_config('statement_timeout', '6s', false)");
	execute("");
	expect(&b, "12DCZ");
	sees(&b, "SHOW statement_timeout", "6s");
	sees(&a, "SHOW statement_timeout", "5s");
	duo_finish();
}

Test(state, reset_leads_back_to_what_the_client_began_with)
{
	PGconn *c;

	duo_start("s_initial", 2, ROUND_ROBIN);
	c = rig_connect(duo_rig, "dbname=s_initial options='-c statement_timeout=3s'");
	rig_exec(c, "SET statement_timeout = '5s'");
	cr_assert_str_eq(rig_query(c, "SHOW statement_timeout").s, "5s");
	rig_exec(c, "RESET statement_timeout");
	for (int i = 0; i < 4; i++)
		cr_assert_str_eq(rig_query(c, "SHOW statement_timeout").s, "3s");
	rig_exec(c, "SET statement_timeout = '5s'");
	rig_exec(c, "DISCARD ALL");
	for (int i = 0; i < 4; i++)
		cr_assert_str_eq(rig_query(c, "SHOW statement_timeout").s, "3s");
	sees(&b, "SHOW statement_timeout", "0");
	PQfinish(c);
	duo_finish();
}

Test(state, several_in_one_text_all_count_or_none)
{
	duo_start("s_several", 2, ROUND_ROBIN);
	run(&a, "SET statement_timeout = '5s'; SELECT 1; SET lock_timeout = '6s'");
	sees(&a, "SELECT current_setting('statement_timeout') || current_setting('lock_timeout')",
	     "5s6s");
	script_query(&say, "SET statement_timeout = '7s'; SET lock_timeout = 'nonsense'");
	expect_error(&a, "CEZ", "22023", "lock_timeout");
	sees(&a, "SELECT current_setting('statement_timeout') || current_setting('lock_timeout')",
	     "5s6s");
	sees(&b, "SELECT current_setting('statement_timeout') || current_setting('lock_timeout')",
	     "00");
	duo_finish();
}

Test(state, characteristics_of_transactions)
{
	duo_start("s_character", 2, ROUND_ROBIN);
	run(&a, "BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY");
	cr_assert_str_eq(ask(&a, "SHOW transaction_isolation").s, "serializable");
	run(&a, "COMMIT");
	run(&a, "BEGIN; SET transaction_isolation = 'serializable'; COMMIT");
	sees(&a, "SHOW transaction_isolation", "read committed");
	sees(&a, "SHOW transaction_read_only", "off");
	run(&a, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ");
	sees(&a, "SHOW transaction_isolation", "repeatable read");
	sees(&b, "SHOW transaction_isolation", "read committed");
	cr_assert_eq(rig_log_count(duo_rig, "pinned"), 0);
	duo_finish();
}

/* The server says itself what became of those that it reports; others are those of the function alone. */
Test(state, parameter_set_in_a_function)
{
	duo_start("s_function", 2, ROUND_ROBIN);
	run(&a, "CREATE FUNCTION own() RETURNS text LANGUAGE sql SET work_mem = '7MB' "
	        "AS $$ SELECT current_setting('work_mem') $$");
	run(&a, "CREATE FUNCTION zone(text) RETURNS void LANGUAGE plpgsql AS "
	        "$$ BEGIN EXECUTE 'SET TimeZone = ' || quote_literal($1); END $$");
	cr_assert_str_eq(ask(&a, "SELECT own()").s, "7MB");
	run(&a, "SELECT zone('Asia/Tokyo')");
	run(&b, "SELECT zone('America/Lima')");
	run(&b, "BEGIN; SELECT zone('Europe/Oslo'); ROLLBACK");
	sees(&a, "SELECT current_setting('TimeZone') || current_setting('work_mem')",
	     "Asia/Tokyo4MB");
	sees(&b, "SELECT current_setting('TimeZone') || current_setting('work_mem')",
	     "America/Lima4MB");
	duo_finish();
}

Test(state, name_that_does_not_show_keeps_the_server_until_the_end)
{
	static const char bind[] = "\0\0\0\0\0\2\0\0\0\12app.tenant\0\0\0\3one\0";

	duo_start("s_hidden", 2, ROUND_ROBIN);
	script_parse(&say, "", "SELECT set_config($1, $2, false)");
	script_put(&say, 'B', bind, sizeof(bind));
	script_execute(&say, 0);
	script_sync(&say);
	expect(&a, "12DCZ");
	sees(&a, "SELECT current_setting('app.tenant', true)", "one");
	sees(&b, "SELECT coalesce(current_setting('app.tenant', true), '')", "");
	cr_assert(rig_log_contains(duo_rig, "pinned: .*parameter that does not show"));
	frames_drop(&a);
	frames_login(&a, duo_rig, "alice", "s_hidden");
	sees(&a, "SELECT coalesce(current_setting('app.tenant', true), '')", "");
	sees(&b, "SELECT coalesce(current_setting('app.tenant', true), '')", "");
	duo_finish();
}

/* ---- what keeps the only server ---- */

struct keeper {
	const char *database, *make, *use, *drop, *word;
};

static int count_pins(void)
{
	PGresult *res = rig_console(duo_rig, "SHOW PINS");
	int n = PQntuples(res);

	PQclear(res);
	return n;
}

static void keeps(const struct keeper *k)
{
	duo_start(k->database, 1, NULL);
	run(&a, k->make);
	cr_assert_str_eq(ask(&a, k->use).s, "1");
	script_query(&say, "SELECT 2");
	frames_send(&b, &say);
	cr_assert(stays_silent(&b), "lent with its %s", k->word);
	cr_assert_str_eq(ask(&a, k->use).s, "1");
	cr_assert(rig_log_contains(duo_rig, rig_printf("pinned: .*%s", k->word).s));
	cr_assert_str_eq(
		rig_console_value(duo_rig, "SHOW PINS", "database", k->database, "reason").s,
		k->word);
	run(&a, k->drop);
	cr_assert_str_eq(frames_until(&b, 'Z', 1).s, "TDCZ");
	cr_assert_eq(count_pins(), 0);
	/* and with its client */
	run(&a, k->make);
	script_query(&say, "SELECT 2");
	frames_send(&b, &say);
	cr_assert(stays_silent(&b));
	frames_drop(&a);
	cr_assert_str_eq(frames_until(&b, 'Z', 1).s, "TDCZ");
	script_query(&say, k->use);
	frames_send(&b, &say);
	if (strchr(frames_until(&b, 'Z', 1).s, 'E') == NULL)
		cr_assert_str_eq(ask(&b, k->use).s, "0", "%s of a client that left", k->word);
	duo_finish();
}

Test(state, temporary_table_keeps_the_server_until_it_is_gone)
{
	keeps(&(struct keeper){ "s_temp", "CREATE TEMP TABLE t AS SELECT 1 AS one",
	                        "SELECT one FROM t", "DROP TABLE t", "temporary object" });
}

Test(state, selected_into_keeps_the_server_until_it_is_gone)
{
	keeps(&(struct keeper){ "s_into", "SELECT 1 AS one INTO TEMPORARY t", "SELECT one FROM t",
	                        "DISCARD TEMP", "temporary object" });
}

Test(state, advisory_lock_keeps_the_server_until_it_is_gone)
{
	keeps(&(struct keeper){ "s_lock", "SELECT pg_advisory_lock(7)",
	                        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
	                        "pid = pg_backend_pid()",
	                        "SELECT pg_advisory_unlock(7)", "advisory lock" });
}

Test(state, cursor_with_hold_keeps_the_server_until_it_is_gone)
{
	keeps(&(struct keeper){ "s_cursor", "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
	                        "SELECT count(*) FROM pg_cursors WHERE is_holdable", "CLOSE c",
	                        "cursor WITH HOLD" });
}

Test(state, listen_keeps_the_server_until_it_is_gone)
{
	keeps(&(struct keeper){ "s_listen", "LISTEN news",
	                        "SELECT count(*) FROM pg_listening_channels()", "UNLISTEN *",
	                        "LISTEN" });
}

Test(state, prepare_keeps_the_server_until_it_is_gone)
{
	keeps(&(struct keeper){ "s_prepare", "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p",
	                        "prepared statement" });
}

Test(state, prepare_until_discard_all_keeps_the_server_until_it_is_gone)
{
	keeps(&(struct keeper){ "s_discard", "PREPARE p AS SELECT 1", "EXECUTE p", "DISCARD ALL",
	                        "prepared statement" });
}

Test(state, what_ends_with_its_transaction_keeps_nothing)
{
	duo_start("s_drop", 1, NULL);
	run(&a, "BEGIN; CREATE TEMP TABLE t (one int) ON COMMIT DROP; COMMIT");
	run(&a, "BEGIN; SELECT pg_advisory_xact_lock(7); DECLARE c CURSOR FOR SELECT 1; COMMIT");
	run(&a, "BEGIN; CREATE TEMP TABLE t (one int); ROLLBACK");
	run(&a, "CREATE TABLE public.temp (temp int); SELECT temp FROM public.temp");
	run(&b, "SELECT 1");
	cr_assert_eq(rig_log_count(duo_rig, "pinned"), 0);
	duo_finish();
}

Test(state, notifications_come_to_who_listens)
{
	uint8_t body[200];
	size_t n;

	duo_start("s_notify", 2, ROUND_ROBIN);
	run(&a, "LISTEN news");
	for (int i = 0; i < 3; i++) {
		run(&b, "NOTIFY news, 'heard'");
		cr_assert_eq(rig_tls_message(a.ssl, body, sizeof(body), &n, RIG_PATIENCE_MS), 'A');
		cr_assert_str_eq((const char *)body + 4, "news");
		cr_assert_str_eq((const char *)body + 9, "heard");
	}
	run(&a, "UNLISTEN news");
	duo_finish();
}

/* ---- PREPARE and its kin, and statements of the protocol ---- */

Test(state, prepare_by_sql_is_one_clients)
{
	duo_start("s_two", 2, ROUND_ROBIN);
	run(&a, "PREPARE p AS SELECT 'one'");
	run(&b, "prepare /* other */ P as SELECT 'two'");
	sees(&a, "EXECUTE p", "one");
	sees(&b, "EXECUTE \"p\"", "two");
	execute("p");
	expect(&a, "2DCZ");
	prepare("p", "SELECT 3");
	expect_error(&a, "EZ", "42P05", "prepared statement \"p\" already exists");
	close_statement("p");
	script_sync(&say);
	expect(&a, "3Z");
	prepare("p", "SELECT 3");
	expect(&a, "1tTZ");
	sees(&b, "EXECUTE p", "two");
	duo_finish();
}

Test(state, sql_reaches_statements_of_the_protocol)
{
	duo_start("s_reach", 2, ROUND_ROBIN);
	prepare("p", "SELECT 'mine', 1");
	expect(&a, "1tTZ");
	sees(&a, "EXECUTE p", "mine");
	sees(&a, "SELECT 'x'; EXECUTE p", "mine");
	script_parse(&say, "", "EXECUTE p");
	execute("");
	expect(&a, "12DCZ");
	script_query(&say, "PREPARE p AS SELECT 2");
	expect_error(&a, "EZ", "42P05", "prepared statement \"p\" already exists");
	script_query(&say, "EXECUTE p");
	expect_error(&b, "EZ", "26000", "prepared statement \"p\" does not exist");
	prepare("p", "SELECT 'mine', 1");
	expect(&b, "1tTZ");
	script_query(&say, "DEALLOCATE p");
	execute("p");
	expect_error(&a, "CZEZ", "26000", "prepared statement \"p\" does not exist");
	sees(&b, "EXECUTE p", "mine");
	script_query(&say, "DEALLOCATE p");
	expect_error(&a, "EZ", "26000", "prepared statement \"p\" does not exist");
	cr_assert_eq(rig_log_count(duo_rig, "pinned"), 0);
	duo_finish();
}

/* As some drivers end their statements. */
Test(state, deallocate_in_every_form)
{
	duo_start("s_forms", 2, ROUND_ROBIN);
	for (int i = 0; i < 3; i++) {
		prepare("P one", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		prepare("p2", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		script_query(&say,
		             "SELECT 1; Deallocate Prepare \"P one\" ;deallocate -- all\n p2");
		expect(&a, "TDCCCZ");
		prepare("p2", "SELECT generate_series(1, 4)");
		expect(&a, "1tTZ");
		script_parse(&say, "", "DEALLOCATE p2");
		execute("");
		expect(&a, "12CZ");
		prepare("p2", "SELECT generate_series(1, 4)");
		script_query(&say, "BEGIN");
		script_query(&say, "SELECT 1/0");
		script_query(&say, "DEALLOCATE p2");
		expect_error(&a, "1tTZCZEZEZ", "25P02", "aborted");
		script_query(&say, "ROLLBACK");
		script_query(&say, "DEALLOCATE p2");
		expect(&a, "CZCZ");
	}
	duo_finish();
}

/* ---- pin = warn, off, and the limit ---- */

static void count_warnings(void *arg, const PGresult *res)
{
	if (strcmp(PQresultErrorField(res, PG_DIAG_SQLSTATE), "01000") == 0)
		++*(int *)arg;
}

Test(state, warning_instead_of_a_pin)
{
	int warnings = 0;
	PGconn *c, *d;

	crowd_database("s_warn");
	duo_rig = rig_start("pin=warn\n", crowd_entry("s_warn", "pool_size=1").s, NULL);
	c = rig_connect(duo_rig, "dbname=s_warn");
	d = rig_connect(duo_rig, "dbname=s_warn");
	PQsetNoticeReceiver(c, count_warnings, &warnings);
	rig_exec(c, "CREATE TEMP TABLE t (one int)");
	rig_exec(c, "CREATE TEMP TABLE u (one int)");
	rig_exec(d, "SELECT 1");
	rig_exec(c, "SELECT 1");
	cr_assert_eq(warnings, 1);
	rig_exec(c, "SET statement_timeout = '5s'");
	cr_assert_str_eq(rig_query(d, "SHOW statement_timeout").s, "0");
	PQfinish(c);
	PQfinish(d);
	rig_stop(duo_rig);
}

Test(state, without_pins_state_is_left_behind)
{
	duo_start("s_off", 1, "pin=off\n");
	run(&a, "CREATE TEMP TABLE t AS SELECT 1 AS one");
	run(&a, "PREPARE p AS SELECT 2");
	sees(&b, "SELECT one FROM t", "1");
	cr_assert_eq(rig_log_count(duo_rig, "pinned|left behind"), 0);
	duo_finish();
}

Test(state, pins_of_a_pool_are_limited)
{
	duo_start("s_limit", 3, "max_pinned_servers=1\n");
	run(&a, "LISTEN news");
	script_query(&say, "LISTEN news");
	frames_send(&b, &say);
	frames_until(&b, 'E', 1);
	cr_assert_str_eq(b.sqlstate, "53400", "%s %s", b.sqlstate, b.message);
	frames_drop(&b);
	run(&a, "UNLISTEN *");
	frames_login(&b, duo_rig, "alice", "s_limit");
	run(&b, "LISTEN news");
	frames_drop(&b);
	frames_login(&b, duo_rig, "alice", "s_limit");
	run(&b, "LISTEN news");
	duo_finish();
}
