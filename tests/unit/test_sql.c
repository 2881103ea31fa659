/* sql.h: statements as people, drivers and tools write them, and texts made to be misread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "pgseal/wire/sql.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define FORGETS_ALL (SQL_FORGETS | SQL_FORGETS_STATEMENTS)

/* mentions: what describe() makes of them. */
struct sql_case {
	const char *text;
	unsigned traits;
	const char *mentions;
};

static const char *const kinds[SQL_MENTION_KINDS] = {
	[SQL_PREPARE] = "prepare",       [SQL_EXECUTE] = "execute",
	[SQL_DEALLOCATE] = "deallocate", [SQL_DEALLOCATE_ALL] = "deallocate all",
	[SQL_DISCARD_ALL] = "discard",   [SQL_SET] = "set",
	[SQL_RESET] = "reset",           [SQL_RESET_ALL] = "reset all",
	[SQL_SET_UNKNOWN] = "unknown",
};

/* "kind name" of each, with a semicolon in between; a name that does not stand in the text, or means
 * something else, has that in brackets. */
static const char *describe(struct bytes text, bool backslashes)
{
	static char all[2000];
	struct sql_mention m;
	struct sql_cursor c;
	size_t used = 0;

	all[0] = '\0';
	sql_begin(&c, text, backslashes);
	while (sql_next(&c, &m)) {
		bool same = m.len == strlen(m.name) && memcmp(text.at + m.at, m.name, m.len) == 0;

		cr_assert(m.at <= text.len && m.len <= text.len - m.at);
		used += (size_t)snprintf(
			all + used, sizeof(all) - used, "%s%s%s%s%s%.*s%s", used > 0 ? "; " : "",
			kinds[m.kind], m.name[0] != '\0' ? " " : "", m.name, same ? "" : " [",
			same ? 0 : (int)m.len, (const char *)text.at + m.at, same ? "" : "]");
		cr_assert_lt(used, sizeof(all));
	}
	return all;
}

static void check(const struct sql_case *cases, size_t count, bool backslashes)
{
	for (size_t i = 0; i < count; i++) {
		struct bytes text = bytes_of(cases[i].text);
		unsigned traits = sql_traits(text, backslashes);

		cr_expect_eq(traits, cases[i].traits, "%s: %#x, not %#x", cases[i].text, traits,
		             cases[i].traits);
		cr_expect_str_eq(describe(text, backslashes), cases[i].mentions, "%s",
		                 cases[i].text);
	}
}

#define CHECK(cases) check(cases, COUNT(cases), false)

Test(sql, nothing_to_see)
{
	static const struct sql_case cases[] = {
		{ "", 0, "" },
		{ ";", 0, "" },
		{ " ;;; \n\t;", 0, "" },
		{ "select 1", 0, "" },
		{ "SELECT id, price, status FROM items i WHERE i.set = $1 AND p > $2", 0, "" },
		{ "BEGIN; INSERT INTO t VALUES (1); COMMIT", 0, "" },
		{ "SELECT 'SET x = 1; PREPARE p AS SELECT 1'", 0, "" },
		{ "SELECT \"EXECUTE\", prepare, deallocate FROM \"set\"", 0, "" },
		{ "GRANT EXECUTE ON FUNCTION f() TO alice", 0, "" },
		{ "UPDATE t SET a = 1, b = DEFAULT", 0, "" },
		{ "ALTER ROLE alice SET work_mem = '1GB'", 0, "" },
		{ "ALTER SYSTEM SET work_mem = '1GB'", 0, "" },
		{ "SHOW work_mem", 0, "" },
		{ "FETCH ALL FROM c; MOVE c", 0, "" },
		{ "COPY t FROM STDIN", 0, "" },
		{ "SELECT temp, temporary, hold FROM weather", 0, "" },
		{ "((((", 0, "" },
		{ "))))", 0, "" },
		{ "-", 0, "" },
		{ "/", 0, "" },
		{ "$", 0, "" },
		{ "U&", 0, "" },
	};

	CHECK(cases);
	cr_expect_eq(sql_traits((struct bytes){ NULL, 0 }, false), 0);
}

Test(sql, prepared_statements)
{
	static const struct sql_case cases[] = {
		{ "PREPARE p AS SELECT 1", SQL_PREPARES | SQL_NAMES, "prepare p" },
		{ "prepare P(int, text) as select $1", SQL_PREPARES | SQL_NAMES, "prepare p [P]" },
		{ "PREPARE \"P q\" AS SELECT 1", SQL_PREPARES | SQL_NAMES,
		  "prepare P q [\"P q\"]" },
		{ "PREPARE \"a\"\"b\" AS SELECT 1", SQL_PREPARES | SQL_NAMES,
		  "prepare a\"b [\"a\"\"b\"]" },
		{ "PREPARE U&\"d\\0061t\" AS SELECT 1", SQL_PREPARES | SQL_NAMES,
		  "prepare [U&\"d\\0061t\"]" },
		{ "PREPARE \xc3\x9c AS SELECT 1", SQL_PREPARES | SQL_NAMES, "prepare \xc3\x9c" },
		{ "PREPARE TRANSACTION 'x'", 0, "" },
		{ "PREPARE transaction AS SELECT 1", 0, "" },
		{ "PREPARE \"transaction\" AS SELECT 1", SQL_PREPARES | SQL_NAMES,
		  "prepare transaction [\"transaction\"]" },
		{ "PREPARE", 0, "" },
		{ "PREPARE 'p' AS SELECT 1", 0, "" },
		{ "PREPARE p AS INSERT INTO t SELECT a AS execute FROM u", SQL_PREPARES | SQL_NAMES,
		  "prepare p" },
		{ "EXECUTE p", SQL_NAMES, "execute p" },
		{ "execute p(1, 'x;EXECUTE q')", SQL_NAMES, "execute p" },
		{ "EXECUTE", 0, "" },
		{ "EXPLAIN EXECUTE p", SQL_NAMES, "execute p" },
		{ "EXPLAIN ANALYZE VERBOSE EXECUTE p(1)", SQL_NAMES, "execute p" },
		{ "explain (analyze, buffers off, format json) execute \"p\"", SQL_NAMES,
		  "execute p [\"p\"]" },
		{ "EXPLAIN (ANALYZE) CREATE TABLE x AS EXECUTE p", SQL_NAMES, "execute p" },
		{ "EXPLAIN SELECT execute FROM t", 0, "" },
		{ "CREATE TABLE x AS EXECUTE p (1)", SQL_NAMES, "execute p" },
		{ "CREATE TEMP TABLE x (a, b) WITH (fillfactor = 70) AS EXECUTE p",
		  SQL_NAMES | SQL_TEMP, "execute p" },
		{ "CREATE TABLE x (a int GENERATED ALWAYS AS (execute * 2) STORED)", 0, "" },
		{ "CREATE VIEW v AS SELECT a AS execute FROM t", 0, "" },
		{ "CREATE TABLE v AS SELECT a AS execute FROM t", 0, "" },
		{ "CREATE TRIGGER t AFTER INSERT ON u EXECUTE FUNCTION f()", 0, "" },
		{ "CREATE TRIGGER t AFTER INSERT ON u FOR EACH ROW EXECUTE PROCEDURE f()", 0, "" },
		{ "DEALLOCATE p", SQL_NAMES | SQL_FORGETS, "deallocate p" },
		{ "DEALLOCATE PREPARE \"Q\"", SQL_NAMES | SQL_FORGETS, "deallocate Q [\"Q\"]" },
		{ "DEALLOCATE prepare;", SQL_NAMES | SQL_FORGETS, "deallocate prepare" },
		{ "DEALLOCATE ALL", FORGETS_ALL, "deallocate all" },
		{ "deallocate prepare all", FORGETS_ALL, "deallocate all" },
		{ "DEALLOCATE \"all\"", SQL_NAMES | SQL_FORGETS, "deallocate all [\"all\"]" },
		{ "DEALLOCATE", SQL_FORGETS, "" },
	};

	CHECK(cases);
}

Test(sql, parameters)
{
	static const struct sql_case cases[] = {
		{ "SET a = 1", SQL_SETS, "set a" },
		{ "set SESSION Work_Mem to '1GB'", SQL_SETS, "set work_mem [Work_Mem]" },
		{ "SET search_path TO a, b", SQL_SETS, "set search_path" },
		{ "SET a.b = 1", SQL_SETS, "set a.b" },
		{ "SET \"A\" . \"b\"\"c\" TO x", SQL_SETS, "set a.b\"c [\"A\" . \"b\"\"c\"]" },
		{ "SET U&\"a\" = 1", SQL_SETS, "unknown" },
		{ "SET x TO DEFAULT", SQL_SETS, "reset x" },
		{ "SET x=default;", SQL_SETS, "reset x" },
		{ "SET x = \"default\"", SQL_SETS, "set x" },
		{ "SET LOCAL x = 1", SQL_SETS_LOCAL, "" },
		{ "SET local.x = 1", SQL_SETS, "set local.x" },
		{ "SET session.x = 1", SQL_SETS, "set session.x" },
		{ "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", 0, "" },
		{ "SET TRANSACTION SNAPSHOT '1'", 0, "" },
		{ "SET CONSTRAINTS ALL DEFERRED", 0, "" },
		{ "SET TIME ZONE 'UTC'", SQL_SETS, "set timezone []" },
		{ "SET SESSION TIME ZONE INTERVAL '1' HOUR", SQL_SETS, "set timezone []" },
		{ "SET TIME ZONE LOCAL", SQL_SETS, "reset timezone []" },
		{ "SET TIME ZONE DEFAULT", SQL_SETS, "reset timezone []" },
		{ "SET NAMES 'LATIN1'", SQL_SETS, "set client_encoding []" },
		{ "SET NAMES; SELECT 1", SQL_SETS, "reset client_encoding []" },
		{ "SET SCHEMA 'a'", SQL_SETS, "set search_path []" },
		{ "SET ROLE alice", SQL_SETS, "set role []" },
		{ "SET SESSION ROLE NONE", SQL_SETS, "set role []" },
		{ "SET role TO DEFAULT", SQL_SETS, "reset role" },
		{ "SET SESSION AUTHORIZATION alice", SQL_SETS, "set session_authorization []" },
		{ "SET SESSION SESSION AUTHORIZATION DEFAULT", SQL_SETS,
		  "reset session_authorization []" },
		{ "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SQL_SETS,
		  "set default_transaction_isolation []; set default_transaction_read_only []; "
		  "set default_transaction_deferrable []" },
		{ "SET XML OPTION DOCUMENT", SQL_SETS, "set xmloption []" },
		{ "SET seed TO 0.5", 0, "" },
		{ "SET", 0, "" },
		{ "SET ;", 0, "" },
		{ "SET SESSION SESSION SESSION", 0, "" },
		{ "RESET x", SQL_SETS, "reset x" },
		{ "RESET \"A\".b", SQL_SETS, "reset a.b [\"A\".b]" },
		{ "RESET TIME ZONE", SQL_SETS, "reset timezone []" },
		{ "RESET SESSION AUTHORIZATION", SQL_SETS, "reset session_authorization []" },
		{ "RESET TRANSACTION ISOLATION LEVEL", 0, "" },
		{ "RESET ALL", SQL_SETS | SQL_FORGETS, "reset all" },
		{ "RESET ROLE", SQL_SETS, "reset role [ROLE]" },
		{ "RESET", 0, "" },
		{ "SET a = 1; SET b = 2; RESET a", SQL_SETS, "set a; set b; reset a" },
	};

	CHECK(cases);
}

Test(sql, set_config)
{
	static const struct sql_case cases[] = {
		{ "SELECT set_config('Work_Mem', '1GB', false)", SQL_SETS,
		  "set work_mem ['Work_Mem']" },
		{ "SELECT pg_catalog.Set_Config ( 'a.b' , $1, $2 )", SQL_SETS, "set a.b ['a.b']" },
		{ "SELECT \"set_config\"(E'a', 'x', false)", SQL_SETS, "set a [E'a']" },
		{ "SELECT set_config($$a$$, 'x', false)", SQL_SETS, "set a [$$a$$]" },
		{ "SELECT set_config('a'::text, 'x'::pg_catalog.text, false)", SQL_SETS,
		  "set a ['a']" },
		{ "SELECT set_config('a', 'x', true)", SQL_SETS_LOCAL, "" },
		{ "SELECT set_config('a', 'x', TRUE)", SQL_SETS_LOCAL, "" },
		{ "SELECT set_config('a', 'x', 't')", SQL_SETS_LOCAL, "" },
		{ "SELECT set_config('a', 'x', 'on'::boolean)", SQL_SETS_LOCAL, "" },
		{ "SELECT set_config('a', f(x, ')', ARRAY[1, 2]), true)", SQL_SETS_LOCAL, "" },
		{ "SELECT set_config($1, $2, true)", SQL_SETS_LOCAL, "" },
		{ "SELECT set_config('a', 'x', true AND false)", SQL_SETS, "set a ['a']" },
		{ "SELECT set_config('a', 'x', NOT true)", SQL_SETS, "set a ['a']" },
		{ "SELECT set_config($1, $2, false)", SQL_SETS, "unknown" },
		{ "SELECT set_config('a' || 'b', 'x', false)", SQL_SETS, "unknown" },
		{ "SELECT set_config('a''b', 'x', false)", SQL_SETS, "unknown" },
		{ "SELECT set_config(E'\\x61', 'x', false)", SQL_SETS, "unknown" },
		{ "SELECT set_config('a'\n'b', 'x', false)", SQL_SETS, "unknown" },
		{ "SELECT set_config(setting_name => 'a', new_value => 'x', is_local => true)",
		  SQL_SETS, "unknown" },
		{ "SELECT set_config('a', set_config('b', 'x', false), true)",
		  SQL_SETS | SQL_SETS_LOCAL, "set b ['b']" },
		{ "SELECT set_config('a', set_config('b', 'x', true), false)",
		  SQL_SETS | SQL_SETS_LOCAL, "set a ['a']" },
		{ "SELECT set_config('a'", SQL_SETS, "unknown" },
		{ "SELECT set_config(", 0, "" },
		{ "SELECT set_config FROM t", 0, "" },
		{ "SELECT my_set_config('a', 'x', false)", 0, "" },
		{ "SELECT 'set_config(''a'', ''x'', false)'", 0, "" },
		{ "WITH x AS (SELECT set_config('a', 'x', false)) INSERT INTO t SELECT * FROM x",
		  SQL_SETS, "set a ['a']" },
		{ "PREPARE p AS SELECT set_config('a', $1, false)",
		  SQL_SETS | SQL_PREPARES | SQL_NAMES, "prepare p; set a ['a']" },
		{ "EXPLAIN (SELECT set_config('a', 'x', false))", SQL_SETS, "set a ['a']" },
	};

	CHECK(cases);
}

Test(sql, other_state)
{
	static const struct sql_case cases[] = {
		{ "CREATE TEMP TABLE t (a int)", SQL_TEMP, "" },
		{ "create or replace temporary view v as select 1", SQL_TEMP, "" },
		{ "CREATE LOCAL TEMP SEQUENCE s", SQL_TEMP, "" },
		{ "CREATE GLOBAL /* x */ TEMPORARY TABLE t ()", SQL_TEMP, "" },
		{ "CREATE TABLE pg_temp.t (a int)", SQL_TEMP, "" },
		{ "CREATE FUNCTION \"pg_temp\" . f() RETURNS int", SQL_TEMP, "" },
		{ "CREATE TABLE temp (temporary int)", 0, "" },
		{ "CREATE UNLOGGED TABLE t (a int)", 0, "" },
		{ "CREATE TABLE t (pg_temp int)", 0, "" },
		{ "SELECT * FROM pg_temp.t", 0, "" },
		{ "SELECT 1 INTO TEMP t", SQL_TEMP, "" },
		{ "SELECT 1 INTO LOCAL TEMPORARY TABLE t FROM u", SQL_TEMP, "" },
		{ "SELECT 1 INTO pg_temp.t", SQL_TEMP, "" },
		{ "SELECT 1 INTO t", 0, "" },
		{ "INSERT INTO temp VALUES (1)", 0, "" },
		{ "WITH x AS (INSERT INTO temp VALUES (1) RETURNING 1) SELECT 1", 0, "" },
		{ "MERGE INTO temp USING u ON true WHEN MATCHED THEN DELETE", 0, "" },
		{ "SELECT pg_advisory_lock(1)", SQL_LOCKS, "" },
		{ "SELECT PG_CATALOG.PG_TRY_ADVISORY_LOCK(1)", SQL_LOCKS, "" },
		{ "SELECT \"pg_advisory_lock_shared\"(1), pg_try_advisory_lock_shared(1)",
		  SQL_LOCKS, "" },
		{ "SELECT pg_advisory_unlock(1)", SQL_LOCKS | SQL_FORGETS, "" },
		{ "SELECT pg_advisory_unlock_shared(1)", SQL_LOCKS | SQL_FORGETS, "" },
		{ "SELECT pg_advisory_unlock_all()", SQL_LOCKS | SQL_FORGETS, "" },
		{ "SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(1)", 0, "" },
		{ "PREPARE p AS SELECT pg_advisory_lock(1)", SQL_LOCKS | SQL_PREPARES | SQL_NAMES,
		  "prepare p" },
		{ "DECLARE c CURSOR WITH HOLD FOR SELECT 1", SQL_HOLDS, "" },
		{ "declare \"hold\" binary scroll cursor with hold for select 1", SQL_HOLDS, "" },
		{ "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", 0, "" },
		{ "DECLARE c CURSOR FOR WITH hold AS (SELECT 1) TABLE hold", 0, "" },
		{ "CLOSE c", SQL_FORGETS, "" },
		{ "DROP TABLE t", SQL_FORGETS, "" },
		{ "LISTEN x", SQL_LISTENS, "" },
		{ "UNLISTEN *", SQL_LISTENS | SQL_FORGETS, "" },
		{ "NOTIFY x", 0, "" },
		{ "DISCARD TEMP", SQL_FORGETS, "" },
		{ "DISCARD PLANS", SQL_FORGETS, "" },
		{ "DISCARD ALL", FORGETS_ALL | SQL_SETS, "discard" },
	};

	CHECK(cases);
}

Test(sql, statements_are_found)
{
	static const struct sql_case cases[] = {
		{ "SELECT 1;LISTEN x;EXECUTE p", SQL_LISTENS | SQL_NAMES, "execute p" },
		{ ";;EXECUTE p;;EXECUTE q;", SQL_NAMES, "execute p; execute q" },
		{ "/* a /* b */ ; LISTEN x */EXECUTE/**/p--\n", SQL_NAMES, "execute p" },
		{ "-- LISTEN x\r EXECUTE -- LISTEN y\n p", SQL_NAMES, "execute p" },
		{ "/*/ */ EXECUTE p /* */", SQL_NAMES, "execute p" },
		{ "/* ; LISTEN x", 0, "" },
		{ "-- ; LISTEN x", 0, "" },
		{ "SELECT 1+--x\n2;LISTEN y", SQL_LISTENS, "" },
		{ "SELECT 2*/* ' */3;LISTEN y", SQL_LISTENS, "" },
		{ "SELECT '''; LISTEN x; ''' ; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT \"\"\"; LISTEN x; \"\"\" ; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT 'a\\'; EXECUTE p; --'", SQL_NAMES, "execute p" },
		{ "SELECT E'a\\'; EXECUTE p; --'", 0, "" },
		{ "SELECT e'a'\n'\\'; EXECUTE p; --'", 0, "" },
		{ "SELECT e'a' -- b\n -- c\n '\\'; EXECUTE p; --'", 0, "" },
		{ "SELECT e'a' '\\'; EXECUTE p; --'", SQL_NAMES, "execute p" },
		{ "SELECT ae'a\\'; EXECUTE p; --'", SQL_NAMES, "execute p" },
		{ "SELECT N'a\\'; EXECUTE p; --'", SQL_NAMES, "execute p" },
		{ "SELECT U&'a\\'; EXECUTE p; --'", SQL_NAMES, "execute p" },
		{ "SELECT B'1', X'f', x'';EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT U&\"a;LISTEN x\", b;EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT E'\\\\';EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT $$; LISTEN x; $a$ ' $$; EXECUTE p", SQL_NAMES, "execute p" },
		{ "DO $a$ LISTEN x; $$ ; LISTEN y; $$ $b$a$;EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT a$b$;LISTEN x;SELECT a$b$", SQL_LISTENS, "" },
		{ "SELECT $1;EXECUTE p($1)", SQL_NAMES, "execute p" },
		{ "SELECT $1$$;LISTEN x$$", 0, "" },
		{ "SELECT $\xc3\xa9$;LISTEN x$\xc3\xa9$;EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT $a ;LISTEN x", SQL_LISTENS, "" },
		{ "SELECT $$ ;LISTEN x", 0, "" },
		{ "SELECT ' ;LISTEN x", 0, "" },
		{ "SELECT \" ;LISTEN x", 0, "" },
		{ "SELECT (';';LISTEN x;) ; EXECUTE p", SQL_NAMES, "execute p" },
		{ "CREATE RULE r AS ON INSERT TO t DO (NOTIFY a; LISTEN x); EXECUTE p", SQL_NAMES,
		  "execute p" },
		{ "(SELECT 1);EXECUTE p", SQL_NAMES, "execute p" },
		{ "\v\fEXECUTE\vp", SQL_NAMES, "execute p" },
	};

	CHECK(cases);
}

Test(sql, backslashes)
{
	static const struct sql_case cases[] = {
		{ "SELECT 'a\\'; LISTEN x; --'", 0, "" },
		{ "SELECT N'a\\'; LISTEN x; --'", 0, "" },
		{ "SELECT 'a\\\\'; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT '\\", 0, "" },
		{ "SELECT X'\\'; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT \"\\\"; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT $$\\$$; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT set_config('\\141', 'x', false)", SQL_SETS, "unknown" },
		{ "SELECT set_config('a', '\\'', true)", SQL_SETS_LOCAL, "" },
	};

	check(cases, COUNT(cases), true);
}

/* The first mention in: before, a name of so many letters x, behind. */
static struct sql_mention first_of(const char *before, size_t letters, const char *behind)
{
	static char text[400];
	struct sql_mention m = { .kind = SQL_MENTION_KINDS };
	struct sql_cursor c;
	char name[200];

	memset(name, 'x', letters);
	name[letters] = '\0';
	snprintf(text, sizeof(text), "%s%s%s", before, name, behind);
	sql_begin(&c, bytes_of(text), false);
	sql_next(&c, &m);
	return m;
}

Test(sql, long_names)
{
	static const size_t sizes[] = { 1, 62, 63, 64, 100 };

	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i], kept = n < SQL_NAME_MAX ? n : SQL_NAME_MAX;
		struct sql_mention m = first_of("PREPARE \"", n, "\" AS SELECT 1");

		cr_expect_eq(m.kind, SQL_PREPARE);
		cr_expect_eq(m.len, n + 2);
		cr_expect_eq(strlen(m.name), kept);
		m = first_of("EXECUTE ", n, "");
		cr_expect_eq(m.len, n);
		cr_expect_eq(strlen(m.name), kept);
		m = first_of("SET ", n, " = 1");
		cr_expect_eq(m.kind, n <= SQL_NAME_MAX ? SQL_SET : SQL_SET_UNKNOWN);
		m = first_of("SELECT set_config('", n, "', '', false)");
		cr_expect_eq(m.kind, n <= SQL_NAME_MAX ? SQL_SET : SQL_SET_UNKNOWN);
	}
	cr_expect_eq(first_of("SET x.", 61, " = 1").kind, SQL_SET);
	cr_expect_eq(first_of("SET x.", 62, " = 1").kind, SQL_SET_UNKNOWN);
}

/* As describe(): a text of before, fill that many times, behind. */
static const char *around(const char *before, size_t times, const char *fill, const char *behind)
{
	size_t len = strlen(before), step = strlen(fill);
	char *text = malloc(len + times * step + strlen(behind) + 1);
	const char *described;

	cr_assert_not_null(text);
	strcpy(text, before);
	for (size_t i = 0; i < times; i++, len += step)
		memcpy(text + len, fill, step);
	strcpy(text + len, behind);
	described = describe(bytes_of(text), false);
	free(text);
	return described;
}

Test(sql, long_texts)
{
	size_t mega = 1 << 20;

	cr_expect_str_eq(around("SELECT '", mega, ";", "'; EXECUTE p"), "execute p");
	cr_expect_str_eq(around("SELECT $a$", mega, ";", "$a$; EXECUTE p"), "execute p");
	cr_expect_str_eq(around("SELECT E'", mega, "\\'", "'; EXECUTE p"), "execute p");
	cr_expect_str_eq(around("", mega, "(", "; EXECUTE p"), "");
	cr_expect_str_eq(around("", mega, "/*", "; EXECUTE p"), "");
	cr_expect_str_eq(around("EXPLAIN ", mega, "EXPLAIN(", "; EXECUTE p"), "");
	cr_expect_str_eq(around("SELECT set_config('a', '", mega, "x", "', true)"), "");
	cr_expect_str_eq(around("SELECT set_config('a', 1", 20, "+(1)", ", true)"), "");
	/* too far to look: better one too many */
	cr_expect_str_eq(around("SELECT set_config('a', 1", 200, "+(1)", ", true)"), "set a ['a']");
}

/* Calls within calls must not make time grow with the square of the length; that the test ends is
 * what it shows. */
Test(sql, nested_calls, .timeout = 60)
{
	static const char call[] = "set_config('a',";
	size_t count = 100000, len = sizeof(call) - 1, seen = 0;
	char *text = malloc(count * len);
	struct sql_mention m;
	struct sql_cursor c;

	cr_assert_not_null(text);
	for (size_t i = 0; i < count; i++)
		memcpy(text + i * len, call, len);
	sql_begin(&c, (struct bytes){ (const uint8_t *)text, count * len }, false);
	while (sql_next(&c, &m))
		seen += m.kind == SQL_SET;
	cr_expect_eq(seen, count - 1, "%zu", seen); /* the first word is no call */
	free(text);
}
