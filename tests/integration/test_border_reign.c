/* Settings of a client that is gone rule over nobody: neither over the next one, nor over what the pooler itself
 * does on the server in between. */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(border_reign, .timeout = 120);

struct reign {
	const char *mode; /* keys of the entry */
	const char *settings;
	const char *suffix; /* of the database */
};

static const struct reign reigns[] = {
	{ "", NULL, "t" },
	{ "pool_mode=session", NULL, "s" },
	{ "pool_mode=session", "server_reset_query=\n", "b" },
	{ "pool_mode=session", "server_reset_query=\nserver_reset=suspected\n", "u" },
};
#define REIGNS (sizeof(reigns) / sizeof(reigns[0]))

static struct rig *rig;
static struct actor a, b;
static struct rig_text database;

static void join(struct actor *who, const char *params)
{
	actor_enter(who, rig, "alice", database.s, params);
}

static void open_reign(const char *name, size_t r)
{
	database = rig_printf("%s_%s", name, reigns[r].suffix);
	crowd_database(database.s);
	rig = rig_start(reigns[r].settings,
	                crowd_entry(database.s, rig_printf("pool_size=1 %s", reigns[r].mode).s).s,
	                NULL);
	join(&a, "");
}

static void close_reign(void)
{
	actor_leave(&a);
	actor_leave(&b);
	rig_stop(rig);
}

static struct rig_text server_pid(struct actor *who)
{
	return actor_query(who, "SELECT pg_backend_pid()");
}

/* ---- a deferrable transaction waits for all writers ---- */

static void nobody_waits_for_writers(size_t r)
{
	PGconn *writer;
	struct rig_text answer;

	open_reign("rn_safe", r);
	writer = rig_admin_connect(database.s);
	rig_exec(writer, "CREATE TABLE t (i int)");
	actor_query(&a, "SET default_transaction_isolation = serializable; "
	                "SET default_transaction_deferrable = on; "
	                "SET default_transaction_read_only = on");
	rig_exec(writer, "BEGIN ISOLATION LEVEL SERIALIZABLE");
	rig_exec(writer, "INSERT INTO t VALUES (1)");
	actor_leave(&a);
	/* with parameters of its own, so that there is something to set up */
	join(&b, "TimeZone=Asia/Tokyo;work_mem=7MB;search_path=public");
	answer = actor_query(&b, "SELECT current_setting('transaction_isolation') || ' ' || "
	                         "current_setting('transaction_read_only') || ' ' || "
	                         "current_setting('transaction_deferrable') || ' ' || "
	                         "current_setting('work_mem')");
	cr_expect_str_eq(answer.s, "read committed off off 7MB", "%s", answer.s);
	actor_query(&b, "CREATE TEMP TABLE mine (i int); INSERT INTO mine VALUES (1)");
	rig_exec(writer, "ROLLBACK");
	PQfinish(writer);
	close_reign();
}

Test(border_reign, deferrable_transactions_hold_nobody_up)
{
	nobody_waits_for_writers(0);
}

Test(border_reign, deferrable_transactions_hold_nobody_up_in_session_mode)
{
	nobody_waits_for_writers(1);
}

Test(border_reign, deferrable_transactions_hold_nobody_up_without_reset_query)
{
	nobody_waits_for_writers(2);
}

Test(border_reign, deferrable_transactions_hold_nobody_up_as_texts_say)
{
	nobody_waits_for_writers(3);
}

/* The same while both are there. */
Test(border_reign, deferrable_transactions_of_one_do_not_hold_up_the_other)
{
	PGconn *writer;

	open_reign("rn_both", 0);
	writer = rig_admin_connect(database.s);
	rig_exec(writer, "CREATE TABLE t (i int)");
	join(&b, "TimeZone=Asia/Tokyo");
	actor_query(&a, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, "
	                "READ ONLY, DEFERRABLE");
	rig_exec(writer, "BEGIN ISOLATION LEVEL SERIALIZABLE");
	rig_exec(writer, "INSERT INTO t VALUES (1)");
	for (int i = 0; i < 3; i++)
		cr_assert_str_eq(actor_query(&b, "SHOW TimeZone").s, "Asia/Tokyo");
	cr_assert_str_eq(actor_query(&b, "SHOW transaction_deferrable").s, "off");
	rig_exec(writer, "ROLLBACK");
	PQfinish(writer);
	close_reign();
}

/* ---- a server that ends idle sessions ---- */

static void nobody_is_ended(size_t r, bool leaves)
{
	struct rig_text pid, answer;

	open_reign(leaves ? "rn_idle" : "rn_stay", r);
	join(&b, "");
	if (strcmp(reigns[r].mode, "") == 0)
		actor_query(&b, "SELECT 1");
	actor_query(&a, "SET idle_session_timeout = 200");
	pid = server_pid(&a);
	if (leaves)
		actor_leave(&a);
	/* gone, or idle for long enough to have been ended twice */
	cr_expect(rig_admin_wait(
			  rig_printf("SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND "
	                             "state = 'idle' AND clock_timestamp() - state_change > "
	                             "interval '400 ms'",
	                             pid.s)
				  .s,
			  "1", RIG_PATIENCE_MS),
	          "the server connection ended");
	answer = actor_do(&b, QUERY, "SELECT pg_backend_pid()");
	cr_expect_str_eq(answer.s, pid.s, "%s instead of %s", answer.s, pid.s);
	if (!leaves) {
		answer = actor_do(&a, QUERY, "SHOW idle_session_timeout");
		cr_expect_str_eq(answer.s, "200ms", "%s", answer.s);
	}
	cr_expect_eq(rig_log_count(rig, "57P05"), 0);
	close_reign();
}

Test(border_reign, idle_servers_are_not_ended_for_one_who_stays)
{
	nobody_is_ended(0, false);
}

Test(border_reign, idle_servers_are_not_ended_for_one_who_left)
{
	nobody_is_ended(0, true);
}

Test(border_reign, idle_servers_are_not_ended_in_session_mode)
{
	nobody_is_ended(1, true);
}

Test(border_reign, idle_servers_are_not_ended_in_session_mode_as_texts_say)
{
	nobody_is_ended(3, true);
}

/* ---- limits on time, and what else a statement of the pooler's could fail by ---- */

static const char *const tyrannies[] = {
	"SET statement_timeout = 1",
	"SET lock_timeout = 1",
	"SET transaction_read_only = on; SET default_transaction_read_only = on",
	"SET search_path = pg_temp, evil",
	"SET standard_conforming_strings = off",
	"SET array_nulls = off; SET transform_null_equals = on",
	"SET client_encoding = SQL_ASCII",
	"SET client_min_messages = debug5",
	"SET default_tablespace = ''; SET row_security = off",
	"SET idle_in_transaction_session_timeout = 1",
	"SET log_statement_stats = on",
	"SET extra_float_digits = -15; SET bytea_output = escape; SET IntervalStyle = iso_8601",
};

static void nobody_suffers(size_t r)
{
	struct rig_text answer;

	open_reign("rn_time", r);
	for (size_t i = 0; i < sizeof(tyrannies) / sizeof(tyrannies[0]); i++) {
		if (a.ssl == NULL)
			join(&a, "");
		actor_do(&a, QUERY, tyrannies[i]); /* some are refused, which is fine as well */
		actor_leave(&a);
		join(&b, "TimeZone=Asia/Tokyo");
		answer = actor_do(&b, QUERY,
		                  "SELECT current_setting('TimeZone') FROM pg_sleep(0.05)");
		cr_expect_str_eq(answer.s, "Asia/Tokyo", "after %s: %s", tyrannies[i], answer.s);
		answer = actor_do(&b, QUERY,
		                  "SELECT string_agg(name, ' ') FROM pg_settings "
		                  "WHERE source = 'session' AND name <> 'TimeZone' AND "
		                  "setting IS DISTINCT FROM reset_val");
		cr_expect_str_eq(answer.s, "(null)", "after %s: %s", tyrannies[i], answer.s);
		actor_leave(&b);
	}
	close_reign();
}

Test(border_reign, limits_of_who_left_end_nobodys_query)
{
	nobody_suffers(0);
}

Test(border_reign, limits_of_who_left_end_nobodys_query_in_session_mode)
{
	nobody_suffers(1);
}

Test(border_reign, limits_of_who_left_end_nobodys_query_as_texts_say)
{
	nobody_suffers(3);
}

Test(border_reign, limits_of_one_do_not_end_the_queries_of_the_other)
{
	open_reign("rn_limit", 0);
	join(&b, "TimeZone=Asia/Tokyo");
	for (int i = 0; i < 3; i++) {
		actor_do(&a, QUERY, "SET statement_timeout = 1");
		cr_assert_str_eq(actor_query(&b, "SELECT current_setting('TimeZone') FROM "
		                                 "pg_sleep(0.05)")
		                         .s,
		                 "Asia/Tokyo");
		cr_assert_str_eq(actor_query(&b, "SHOW statement_timeout").s, "0");
	}
	close_reign();
}
