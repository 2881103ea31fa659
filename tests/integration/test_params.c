/* Session parameters: clients share a server, and each has its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

TestSuite(params, .timeout = 60);

static struct rig *rig;

static void start(const char *database)
{
	crowd_database(database);
	rig = rig_start("workers = 2\n", crowd_entry(database, "pool_size=1").s, NULL);
}

static PGconn *join(const char *database, const char *extra)
{
	return rig_connect(rig, rig_printf("dbname=%s %s", database, extra).s);
}

static void finish(PGconn *a, PGconn *b)
{
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

static void shows(PGconn *conn, const char *name, const char *value)
{
	cr_assert_str_eq(rig_query(conn, rig_printf("SHOW %s", name).s).s, value, "%s", name);
}

Test(params, of_the_startup_are_each_clients_own)
{
	static const char *const names[] = { "TimeZone",        "application_name", "DateStyle",
		                             "client_encoding", "search_path",      "work_mem" };
	static const char *const values[2][6] = {
		{ "Asia/Tokyo", "first", "ISO, DMY", "LATIN1", "one, two", "1MB" },
		{ "America/Lima", "second", "SQL, MDY", "UTF8", "three", "2MB" },
	};
	PGconn *conns[2];
	struct rig_text pid[2];

	start("q_own");
	for (int i = 0; i < 2; i++)
		conns[i] = join(
			"q_own",
			rig_printf(
				"application_name=%s client_encoding=%s options='-c TimeZone=%s -c DateStyle=%s "
				"-c search_path=%s --work-mem=%s'",
				values[i][1], values[i][3], values[i][0],
				i == 0 ? "ISO,DMY" : "SQL,MDY", i == 0 ? "one,\\\\ two" : "three",
				values[i][5])
				.s);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++) {
			pid[i] = rig_query(conns[i], "SELECT pg_backend_pid()");
			for (int k = 0; k < 6; k++)
				shows(conns[i], names[k], values[i][k]);
		}
		cr_assert_str_eq(pid[0].s, pid[1].s);
	}
	cr_assert_str_eq(PQparameterStatus(conns[0], "TimeZone"), "Asia/Tokyo");
	cr_assert_str_eq(PQparameterStatus(conns[0], "DateStyle"), "ISO, DMY");
	cr_assert_str_eq(PQparameterStatus(conns[1], "TimeZone"), "America/Lima");
	cr_assert_str_eq(PQparameterStatus(conns[1], "client_encoding"), "UTF8");
	finish(conns[0], conns[1]);
}

Test(params, that_one_client_sets_are_not_the_others)
{
	PGconn *a, *b;

	start("q_set");
	a = join("q_set", "application_name=a");
	b = join("q_set", "application_name=b");
	rig_exec(a, "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'");
	shows(b, "DateStyle", "ISO, MDY");
	cr_assert_str_neq(rig_query(b, "SHOW TimeZone").s, "Asia/Tokyo");
	rig_exec(b, "SET TimeZone = 'America/Lima'");
	shows(a, "TimeZone", "Asia/Tokyo");
	shows(a, "DateStyle", "SQL, DMY");
	shows(b, "TimeZone", "America/Lima");
	shows(a, "application_name", "a");
	rig_exec(a, "RESET TimeZone");
	cr_assert_str_neq(rig_query(a, "SHOW TimeZone").s, "Asia/Tokyo");
	shows(b, "TimeZone", "America/Lima");
	finish(a, b);
}

Test(params, set_in_a_transaction_that_rolls_back_are_as_before)
{
	PGconn *a, *b;

	start("q_rollback");
	a = join("q_rollback", "options='-c TimeZone=Asia/Tokyo'");
	b = join("q_rollback", "");
	rig_exec(a, "BEGIN");
	rig_exec(a, "SET TimeZone = 'America/Lima'");
	rig_exec(a, "ROLLBACK");
	rig_exec(a, "BEGIN; SET LOCAL TimeZone = 'Europe/Oslo'; COMMIT");
	cr_assert_str_neq(rig_query(b, "SHOW TimeZone").s, "Asia/Tokyo");
	shows(a, "TimeZone", "Asia/Tokyo");
	cr_assert_str_eq(PQparameterStatus(a, "TimeZone"), "Asia/Tokyo");
	finish(a, b);
}

Test(params, may_hold_any_characters)
{
	PGconn *a, *b;

	start("q_chars");
	a = join("q_chars", "application_name='o\\'clock \\\\ \"x\" $$ ; -- /* , %s'");
	b = join("q_chars", "application_name=''");
	shows(a, "application_name", "o'clock \\ \"x\" $$ ; -- /* , %s");
	shows(b, "application_name", "");
	shows(a, "application_name", "o'clock \\ \"x\" $$ ; -- /* , %s");
	rig_exec(a, "SET standard_conforming_strings = off");
	shows(b, "standard_conforming_strings", "on");
	shows(a, "application_name", "o'clock \\ \"x\" $$ ; -- /* , %s");
	shows(a, "standard_conforming_strings", "off");
	finish(a, b);
}

Test(params, in_another_spelling_cost_nothing_and_confuse_nobody)
{
	PGconn *a, *b;

	start("q_spelling");
	a = join("q_spelling",
	         "options='-c datestyle=iso -c timezone=utc -c CLIENT_ENCODING=utf-8'");
	b = join("q_spelling", "options='-c TIMEZONE=Asia/Tokyo'");
	shows(a, "TimeZone", "UTC");
	shows(b, "TimeZone", "Asia/Tokyo");
	shows(a, "DateStyle", "ISO, MDY");
	cr_assert_str_eq(PQparameterStatus(a, "client_encoding"), "UTF8");
	shows(b, "client_encoding", "UTF8");
	finish(a, b);
}

/* So many rounds of both clients; how many transactions they were to the server. */
static long transactions_of(PGconn *a, PGconn *b, int rounds)
{
	static const char *const count = "SELECT xact_commit FROM pg_stat_database "
					 "WHERE datname = current_database()";
	long before;

	rig_exec(a, "SELECT pg_stat_force_next_flush()");
	before = atol(rig_query(a, count).s);
	for (int i = 0; i < rounds; i++) {
		rig_exec(a, "SELECT 1");
		rig_exec(b, "SELECT 1");
	}
	rig_exec(a, "SELECT pg_stat_force_next_flush()");
	return atol(rig_query(a, count).s) - before;
}

/* The server has spelt out what they want: it is the same, and nobody has to set anything. */
Test(params, in_two_spellings_of_the_same_are_not_set_again)
{
	PGconn *a, *b, *c;
	const int rounds = 100;

	start("q_cost");
	a = join("q_cost", "application_name=x options='-c datestyle=iso -c timezone=utc'");
	b = join("q_cost", "application_name=x options='-c DateStyle=ISO,MDY -c TIMEZONE=UTC'");
	c = join("q_cost", "application_name=x options='-c DateStyle=German -c TIMEZONE=UTC'");
	for (int i = 0; i < 2; i++) {
		rig_exec(a, "SELECT 1");
		rig_exec(b, "SELECT 1");
		rig_exec(c, "SELECT 1");
	}
	/* a few are PostgreSQL's own */
	cr_assert_lt(transactions_of(a, b, rounds), 2 * rounds + rounds / 2);
	cr_assert_geq(transactions_of(a, c, rounds), 4 * rounds);
	PQfinish(c);
	finish(a, b);
}

/* Names in a list keep their quotes on the way from one server to another. */
Test(params, that_are_lists_keep_their_quotes)
{
	static const char *const paths[][2] = {
		{ "\"a,b\", \"c\"\"d\", public", "\"a,b\", \"c\"\"d\", public" },
		{ "''", "\"\"" },
		{ "E, ' f', 'g\"', \"h'i\"", "e, \" f\", \"g\"\"\", \"h'i\"" },
		{ "'\\', \"\\\\\", 'j, k'", "\"\\\", \"\\\\\", \"j, k\"" },
	};
	PGconn *a, *b;

	start("q_lists");
	a = join("q_lists", "");
	b = join("q_lists", "options='-c search_path=\"c\"\"d\",\"a,b\"'");
	rig_exec(a, "CREATE SCHEMA \"a,b\"; CREATE TABLE \"a,b\".t AS SELECT 'comma' AS it");
	rig_exec(a, "CREATE SCHEMA \"c\"\"d\"; CREATE TABLE \"c\"\"d\".t AS SELECT 'quote' AS it");
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		rig_exec(a, rig_printf("SET search_path = %s", paths[i][0]).s);
		for (int k = 0; k < 2; k++) {
			cr_assert_str_eq(rig_query(b, "SELECT it FROM t").s, "quote");
			shows(b, "search_path", "\"c\"\"d\",\"a,b\"");
			shows(a, "search_path", paths[i][1]);
		}
	}
	rig_exec(a, "SELECT set_config('search_path', '', false)"); /* none at all */
	shows(b, "search_path", "\"c\"\"d\",\"a,b\"");
	shows(a, "search_path", "");
	rig_exec(a, rig_printf("SET search_path = %s", paths[0][0]).s);
	cr_assert_str_eq(rig_query(b, "SELECT it FROM t").s, "quote");
	cr_assert_str_eq(rig_query(a, "SELECT it FROM t").s, "comma");
	finish(a, b);
}

Test(params, that_the_server_refuses_end_the_client_with_its_words)
{
	static const struct {
		const char *options, *sqlstate, *words;
	} cases[] = {
		{ "-c lc_monetary=nonsense", "22023",
		  "invalid value for parameter \"lc_monetary\"" },
		{ "-c no_such_thing=1", "42704",
		  "unrecognized configuration parameter \"no_such_thing\"" },
		{ "-c log_connections=on", "55P02", "cannot be set after connection start" },
		{ "-c port=1", "55P02", "cannot be changed without restarting the server" },
	};
	PGconn *a, *b;

	start("q_refused");
	b = join("q_refused", "");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		a = join("q_refused", rig_printf("options='%s'", cases[i].options).s);
		cr_assert_str_eq(rig_error(a, "SELECT 1").s, cases[i].sqlstate, "%s: %s",
		                 cases[i].options, PQerrorMessage(a));
		cr_assert(strstr(PQerrorMessage(a), cases[i].words) != NULL, "%s",
		          PQerrorMessage(a));
		cr_assert_eq(PQstatus(a), CONNECTION_BAD);
		PQfinish(a);
		cr_assert_str_eq(rig_query(b, "SELECT 'b'").s, "b");
	}
	finish(NULL, b);
}

Test(params, cannot_bend_the_poolers_own_statements)
{
	PGconn *admin, *a, *b;

	start("q_bend");
	admin = rig_admin_connect("q_bend");
	rig_exec(admin, "CREATE SCHEMA evil");
	rig_exec(admin, "CREATE TABLE evil.caught (what text)");
	rig_exec(admin, "GRANT ALL ON SCHEMA evil TO public; GRANT ALL ON evil.caught TO public");
	rig_exec(
		admin,
		"CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS "
		"'INSERT INTO evil.caught VALUES ($1) RETURNING what'");
	a = join("q_bend", "options='-c search_path=evil,pg_catalog -c TimeZone=Asia/Tokyo'");
	b = join("q_bend", "options='-c search_path=evil -c TimeZone=America/Lima'");
	for (int i = 0; i < 3; i++) {
		shows(a, "TimeZone", "Asia/Tokyo");
		shows(b, "TimeZone", "America/Lima");
	}
	cr_assert_str_eq(rig_query(admin, "SELECT count(*) FROM evil.caught").s, "0");
	PQfinish(admin);
	finish(a, b);
}

/* As PostgreSQL has it: RESET leads to what the connection began with, and the client hears of it. */
static void expect_first(PGconn *conn, const char *reset)
{
	/* at once: drivers go by it */
	cr_assert_str_eq(PQparameterStatus(conn, "TimeZone"), "Asia/Tokyo", "%s", reset);
	cr_assert_str_eq(PQparameterStatus(conn, "client_encoding"), "LATIN1", "%s", reset);
	shows(conn, "TimeZone", "Asia/Tokyo");
	shows(conn, "DateStyle", "SQL, DMY");
	shows(conn, "client_encoding", "LATIN1");
	shows(conn, "search_path", "one");
	shows(conn, "work_mem", "1MB");
}

static void resets(PGconn *conn, const char *change, const char *reset)
{
	rig_exec(conn, change);
	rig_exec(conn, reset);
	expect_first(conn, reset);
}

#define CHANGES                                                                          \
	"SET TimeZone = 'America/Lima'; SET DateStyle = 'ISO, MDY'; SET work_mem = '3MB';" \
	"SET client_encoding = 'UTF8'; SET search_path = two"
#define ONE_BY_ONE \
	"RESET timezone; RESET DateStyle; RESET client_encoding; RESET work_mem; RESET search_path"

/* Its text was seen when it was prepared, and not again. */
static void resets_by_statement(PGconn *conn)
{
	PQclear(PQprepare(conn, "back", "RESET ALL", 0, NULL));
	for (int i = 0; i < 3; i++) {
		rig_exec(conn, CHANGES);
		PQclear(PQexecPrepared(conn, "back", 0, NULL, NULL, NULL, 0));
		expect_first(conn, "by a statement");
	}
}

static void reset_leads_back(const char *database, const char *mode)
{
	PGconn *a, *b;

	crowd_database(database);
	rig = rig_start("workers = 1\n", crowd_entry(database, mode).s, NULL);
	a = join(database, "client_encoding=LATIN1 options='-c TimeZone=Asia/Tokyo -c DateStyle=SQL,DMY "
	                   "-c search_path=one -c work_mem=1MB'");
	b = join(database, "");
	resets(a, CHANGES, ONE_BY_ONE);
	resets(a, CHANGES, "RESET ALL");
	resets(a, CHANGES, "DISCARD ALL");
	resets(a, "BEGIN; " CHANGES "; COMMIT", "BEGIN; RESET ALL; COMMIT");
	resets(a, "SELECT 1", "DISCARD ALL");
	resets_by_statement(a);
	/* what is set anew behind it stays */
	rig_exec(a, "RESET ALL; SET work_mem = '4MB'; SET TimeZone = 'America/Lima'");
	shows(a, "work_mem", "4MB");
	shows(a, "TimeZone", "America/Lima");
	shows(a, "DateStyle", "SQL, DMY");
	shows(b, "client_encoding", "UTF8");
	shows(b, "work_mem", rig_admin_query("SHOW work_mem").s);
	finish(a, b);
}

Test(params, reset_leads_to_what_the_connection_began_with_in_transaction_mode)
{
	reset_leads_back("q_back", "pool_size=1");
}

Test(params, reset_leads_to_what_the_connection_began_with_in_session_mode)
{
	reset_leads_back("q_back_session", "pool_size=2 pool_mode=session");
}

/* The server does not tell what becomes of search_path. */
Test(params, that_the_server_does_not_report_are_in_force_whatever_a_client_does)
{
	static const char *const deeds[][2] = {
		{ "DISCARD ALL", "one" },
		{ "RESET ALL", "one" },
		{ "RESET search_path", "one" },
		{ "SET search_path = two", "two" },
		{ "BEGIN; SET search_path = two; COMMIT", "two" },
		{ "SELECT 1; SET search_path = two", "two" },
	};
	PGconn *a, *b, *plain;

	start("q_unreported");
	a = join("q_unreported", "options='-c search_path=one'");
	b = join("q_unreported", "options='-c search_path=one'");
	plain = join("q_unreported", "");
	shows(a, "search_path", "one");
	for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
		rig_exec(a, deeds[i][0]);
		cr_assert_str_eq(rig_query(b, "SHOW search_path").s, "one", "behind %s",
		                 deeds[i][0]);
		rig_exec(a, deeds[i][0]);
		cr_assert_str_eq(rig_query(plain, "SHOW search_path").s, "\"$user\", public",
		                 "behind %s", deeds[i][0]);
		rig_exec(a, deeds[i][0]);
		cr_assert_str_eq(rig_query(a, "SHOW search_path").s, deeds[i][1], "behind %s",
		                 deeds[i][0]);
	}
	PQfinish(plain);
	finish(a, b);
}

static void keep_own_zone(struct member *m)
{
	char zone[32], name[32], sql[64];

	snprintf(zone, sizeof(zone), "Etc/GMT+%d", 1 + m->index % 12);
	snprintf(name, sizeof(name), "client %d", m->index);
	snprintf(sql, sizeof(sql), "SET TimeZone = '%s'", zone);
	member_query(m, sql);
	snprintf(sql, sizeof(sql), "SET application_name = '%s'", name);
	member_query(m, sql);
	while (crowd_goes_on(m)) {
		struct rig_text seen = member_query(m, "SHOW TimeZone");

		if (m->faults == 0 && strcmp(seen.s, zone) != 0)
			member_fault(m, "TimeZone %s instead of %s", seen.s, zone);
		seen = member_query(m, "SHOW application_name");
		if (m->faults == 0 && strcmp(seen.s, name) != 0)
			member_fault(m, "application_name %s instead of %s", seen.s, name);
		m->done++;
	}
}

Test(params, of_many_clients_over_few_servers_never_mix)
{
	static struct crowd crowd;

	crowd_database("q_many");
	rig = rig_start("workers = 2\n", crowd_entry("q_many", "pool_size=3").s, NULL);
	crowd_start(&crowd, rig, 16, "dbname=q_many", 4000, keep_own_zone, NULL);
	crowd_join(&crowd);
	for (int i = 0; i < crowd.size; i++)
		cr_assert_gt(crowd.members[i].done, 0);
	rig_stop(rig);
}

Test(params, of_the_server_are_reset_behind_every_transaction_if_so_wished)
{
	PGconn *a, *b;

	crowd_database("q_reset");
	rig = rig_start("workers = 2\nserver_reset_query_always = 1\n",
	                crowd_entry("q_reset", "pool_size=1").s, NULL);
	a = join("q_reset", "");
	b = join("q_reset", "");
	for (int i = 0; i < 3; i++) {
		rig_exec(a, "SET work_mem = '77MB'");
		shows(b, "work_mem", "4MB");
		rig_exec(a, "BEGIN");
		rig_exec(a, "SET work_mem = '78MB'");
		shows(a, "work_mem", "78MB");
		rig_exec(a, "COMMIT");
		shows(b, "work_mem", "4MB");
		shows(a, "work_mem", "78MB"); /* it is the server that is reset, not what the client wants */
	}
	finish(a, b);
}
