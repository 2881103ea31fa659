/* sql.h: statements as people, drivers and tools write them, and texts made to be misread. */
#include <criterion/criterion.h>

#include "sql_cases.h"

#define FORGETS_ALL (SQL_FORGETS | SQL_FORGETS_STATEMENTS)

Test(sql, nothing_to_see)
{
	static const struct sql_case cases[] = {
		{ "", 0, "" },
		{ ";", 0, "" },
		{ " ;;; \n\t;", 0, "" },
		{ "select 1", 0, "" },
		{ "SELECT id, price, status FROM items i WHERE i.set = $1 AND p > $2", 0, "" },
		{ "BEGIN; DELETE FROM t; COMMIT", 0, "" },
		{ "SELECT 'SET x = 1; PREPARE p AS SELECT 1'", 0, "" },
		{ "SELECT \"EXECUTE\", prepare, deallocate FROM \"set\"", 0, "" },
		{ "GRANT EXECUTE ON FUNCTION f() TO alice", 0, "" },
		{ "UPDATE t SET a = 1, b = 'DEFAULT'", 0, "" },
		{ "ALTER ROLE alice SET work_mem = '1GB'", 0, "" },
		{ "ALTER SYSTEM SET work_mem = '1GB'", 0, "" },
		{ "SHOW work_mem", 0, "" },
		{ "FETCH ALL FROM c; MOVE c", 0, "" },
		{ "GRANT INSERT, UPDATE ON t TO alice", 0, "" },
		{ "SELECT name, value FROM pg_catalog.pg_settings AS s WHERE name = 'set'", 0, "" },
		{ "SELECT temp, temporary, hold FROM weather", 0, "" },
		{ "((((", 0, "" },
		{ "))))", 0, "" },
		{ "-", 0, "" },
		{ "/", 0, "" },
		{ "$", 0, "" },
		{ "U&", 0, "" },
	};

	CHECK(cases);
	cr_expect_eq(sql_traits((struct bytes){ NULL, 0 }, (struct sql_reading){ 0 }), 0);
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
		{ "PREPARE U&\"d\\0061t\" AS SELECT 1", SQL_PREPARES | SQL_NAMES | SQL_UNKNOWN,
		  "prepare [U&\"d\\0061t\"]" },
		{ "PREPARE U&\"Dat\" AS SELECT 1", SQL_PREPARES | SQL_NAMES,
		  "prepare Dat [U&\"Dat\"]" },
		{ "PREPARE \xc3\x9c AS SELECT 1", SQL_PREPARES | SQL_NAMES, "prepare \xc3\x9c" },
		{ "PREPARE TRANSACTION 'x'", 0, "" },
		{ "PREPARE transaction AS SELECT 1", SQL_PREPARES | SQL_NAMES, "prepare transaction" },
		{ "PREPARE TRANSACTION $$a$$", 0, "" },
		{ "PREPARE \"transaction\" AS SELECT 1", SQL_PREPARES | SQL_NAMES,
		  "prepare transaction [\"transaction\"]" },
		{ "PREPARE", 0, "" },
		{ "PREPARE 'p' AS SELECT 1", 0, "" },
		{ "PREPARE p AS INSERT INTO t SELECT a AS execute FROM u",
		  SQL_PREPARES | SQL_NAMES | SQL_DRAWS, "prepare p" },
		{ "EXECUTE p", SQL_NAMES, "execute p" },
		{ "execute p(1, 'x;EXECUTE q')", SQL_NAMES, "execute p" },
		{ "EXECUTE", 0, "" },
		{ "CREATE TABLE x AS EXECUTE p (1)", SQL_NAMES | SQL_CREATES, "execute p" },
		{ "CREATE TEMP TABLE x (a, b) WITH (fillfactor = 70) AS EXECUTE p",
		  SQL_NAMES | SQL_TEMP | SQL_CREATES, "execute p" },
		{ "CREATE TABLE x (a int GENERATED ALWAYS AS (execute * 2) STORED)", SQL_CREATES,
		  "" },
		{ "CREATE VIEW v AS SELECT a AS execute FROM t", SQL_CREATES, "" },
		{ "CREATE TABLE v AS SELECT a AS execute FROM t", SQL_CREATES, "" },
		{ "CREATE TRIGGER t AFTER INSERT ON u EXECUTE FUNCTION f()", SQL_CREATES, "" },
		{ "CREATE TRIGGER t AFTER INSERT ON u FOR EACH ROW EXECUTE PROCEDURE f()",
		  SQL_CREATES, "" },
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

/* The text that is explained, and the same by itself, are as good as each other. */
Test(sql, explain)
{
	static const struct sql_case cases[] = {
		{ "EXPLAIN EXECUTE p", SQL_NAMES, "execute p" },
		{ "EXPLAIN ANALYZE VERBOSE EXECUTE p(1)", SQL_NAMES, "execute p" },
		{ "explain (analyze, buffers off, format json) execute \"p\"", SQL_NAMES,
		  "execute p [\"p\"]" },
		{ "EXPLAIN (ANALYZE) CREATE TABLE x AS EXECUTE p", SQL_NAMES | SQL_CREATES,
		  "execute p" },
		{ "EXPLAIN ANALYZE CREATE TEMP TABLE x AS SELECT 1", SQL_TEMP | SQL_CREATES, "" },
		{ "EXPLAIN CREATE MATERIALIZED VIEW v AS SELECT 1", SQL_CREATES, "" },
		{ "EXPLAIN ANALYZE DECLARE c CURSOR WITH HOLD FOR SELECT 1", SQL_HOLDS, "" },
		{ "EXPLAIN (ANALYZE) SELECT 1 INTO TEMP t", SQL_TEMP | SQL_CREATES, "" },
		{ "EXPLAIN (ANALYZE, SERIALIZE (x)) INSERT INTO t VALUES (1)", SQL_DRAWS, "" },
		{ "EXPLAIN (ANALYZE) UPDATE t SET a = DEFAULT", SQL_DRAWS, "" },
		{ "EXPLAIN (WITH x AS (UPDATE t SET a = DEFAULT RETURNING 1) SELECT 1)", SQL_DRAWS,
		  "" },
		{ "EXPLAIN (SELECT pg_advisory_lock(1))", SQL_LOCKS, "" },
		{ "EXPLAIN EXPLAIN (ANALYZE) EXPLAIN EXECUTE p", SQL_NAMES, "execute p" },
		{ "EXPLAIN SELECT execute FROM t", 0, "" },
		{ "EXPLAIN (ANALYZE) (SELECT 1); EXECUTE p", SQL_NAMES, "execute p" },
		{ "EXPLAIN (ANALYZE; EXECUTE p", 0, "" },
	};

	CHECK(cases);
}

Test(sql, temporary_objects)
{
	static const struct sql_case cases[] = {
		{ "CREATE TEMP TABLE t (a int)", SQL_TEMP | SQL_CREATES, "" },
		{ "create or replace temporary view v as select 1", SQL_TEMP | SQL_CREATES, "" },
		{ "CREATE LOCAL TEMP SEQUENCE s", SQL_TEMP | SQL_CREATES, "" },
		{ "CREATE GLOBAL /* x */ TEMPORARY TABLE t ()", SQL_TEMP | SQL_CREATES, "" },
		{ "CREATE TABLE pg_temp.t (a int)", SQL_TEMP | SQL_CREATES, "" },
		{ "CREATE TABLE PG_TEMP_3.t (a int)", SQL_TEMP | SQL_CREATES, "" },
		{ "CREATE TABLE \"pg_temp_123456\".t (a int)", SQL_TEMP | SQL_CREATES, "" },
		{ "CREATE FUNCTION \"pg_temp\" . f() RETURNS int", SQL_TEMP | SQL_CREATES, "" },
		{ "CREATE FUNCTION U&\"pg_temp\".f() RETURNS int", SQL_TEMP | SQL_CREATES, "" },
		{ "CREATE EXTENSION x SCHEMA pg_temp", SQL_TEMP | SQL_CREATES, "" },
		{ "IMPORT FOREIGN SCHEMA s FROM SERVER x INTO pg_temp", SQL_TEMP | SQL_CREATES,
		  "" },
		{ "ALTER EXTENSION x SET SCHEMA pg_temp", SQL_TEMP, "" },
		{ "ALTER TYPE pg_temp.t ADD ATTRIBUTE b int", SQL_TEMP, "" },
		{ "CREATE TABLE temp (temporary int)", SQL_CREATES, "" },
		{ "CREATE UNLOGGED TABLE t (a int)", SQL_CREATES, "" },
		{ "CREATE TABLE my_pg_temp.t (a int)", SQL_CREATES, "" },
		{ "SELECT * FROM pg_temp.t", 0, "" },
		{ "UPDATE pg_temp.t SET a = 1", 0, "" },
		{ "ALTER TYPE t ADD ATTRIBUTE b int", 0, "" },
		{ "SELECT 1 INTO TEMP t", SQL_TEMP | SQL_CREATES, "" },
		{ "SELECT 1 INTO LOCAL TEMPORARY TABLE t FROM u", SQL_TEMP | SQL_CREATES, "" },
		{ "SELECT 1 INTO pg_temp.t", SQL_TEMP | SQL_CREATES, "" },
		{ "SELECT 1 INTO TABLE \"pg_temp\".t", SQL_TEMP | SQL_CREATES, "" },
		{ "SELECT 1 INTO UNLOGGED TABLE pg_temp_3.t", SQL_TEMP | SQL_CREATES, "" },
		{ "(SELECT 1 INTO pg_temp.t)", SQL_TEMP | SQL_CREATES, "" },
		{ "SELECT 1 INTO t", SQL_CREATES, "" },
		{ "INSERT INTO temp VALUES (1)", SQL_DRAWS, "" },
		{ "INSERT INTO pg_temp.t VALUES (1)", SQL_DRAWS | SQL_TEMP, "" },
		{ "WITH x AS (INSERT INTO temp VALUES (1) RETURNING 1) SELECT 1", SQL_DRAWS, "" },
		{ "MERGE INTO temp USING u ON true WHEN MATCHED THEN DELETE", SQL_DRAWS, "" },
	};

	CHECK(cases);
}

Test(sql, sequences)
{
	static const struct sql_case cases[] = {
		{ "INSERT INTO t VALUES (1)", SQL_DRAWS, "" },
		{ "WITH x AS (insert /**/ into t VALUES (1)) SELECT 1", SQL_DRAWS, "" },
		{ "(WITH x AS (INSERT INTO t VALUES (1)) SELECT 1)", SQL_DRAWS, "" },
		{ "WITH x AS (MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE) SELECT 1",
		  SQL_DRAWS, "" },
		{ "COPY t FROM STDIN", SQL_DRAWS, "" },
		{ "PREPARE p AS INSERT INTO t VALUES ($1)", SQL_DRAWS | SQL_PREPARES | SQL_NAMES,
		  "prepare p" },
		{ "CREATE TABLE t AS WITH x AS (INSERT INTO u VALUES (1) RETURNING 1) TABLE x",
		  SQL_DRAWS | SQL_CREATES, "" },
		{ "CREATE TABLE t AS WITH x AS (UPDATE u SET a = DEFAULT RETURNING 1) TABLE x",
		  SQL_DRAWS | SQL_CREATES, "" },
		{ "UPDATE t SET id = DEFAULT", SQL_DRAWS, "" },
		{ "WITH x AS (UPDATE t SET id = default RETURNING 1) SELECT 1", SQL_DRAWS, "" },
		{ "ALTER TABLE t ADD COLUMN id bigserial", SQL_DRAWS, "" },
		{ "ALTER FOREIGN TABLE t ADD COLUMN id int", SQL_DRAWS, "" },
		{ "SELECT nextval('s')", SQL_DRAWS, "" },
		{ "SELECT pg_catalog.\"nextval\" ('s')", SQL_DRAWS, "" },
		{ "SELECT U&\"nextval\"('s')", SQL_DRAWS, "" },
		{ "SELECT setval('s', 1)", SQL_DRAWS, "" },
		{ "SELECT currval('s')", SQL_ASKS_SEQUENCE, "" },
		{ "SELECT pg_catalog.LastVal()", SQL_ASKS_SEQUENCE, "" },
		{ "SELECT \"lastval\"(), \"currval\"('s')", SQL_ASKS_SEQUENCE, "" },
		{ "DELETE FROM t WHERE id = lastval/* */()", SQL_ASKS_SEQUENCE, "" },
		{ "INSERT INTO t VALUES (currval('s'))", SQL_ASKS_SEQUENCE | SQL_DRAWS, "" },
		{ "UPDATE t SET a = lastval()", SQL_ASKS_SEQUENCE, "" },
		{ "SELECT nextval, currval, lastval, setval, setseed FROM t", 0, "" },
		{ "SELECT 'lastval()', \"LASTVAL\"(), $$currval('s')$$", SQL_ASKS_SEQUENCE, "" },
		{ "SELECT my_nextval('s'), nextvals('s'), lastvals()", 0, "" },
		{ "SELECT insert FROM t; SELECT merge FROM t", 0, "" },
		{ "SELECT setseed(0.5)", SQL_SEEDS, "" },
		{ "SELECT pg_catalog.\"setseed\"(0.5)", SQL_SEEDS, "" },
		{ "SELECT random()", 0, "" },
	};

	CHECK(cases);
}

/* Names in Unicode escapes may be any, and so may be what DO does. */
Test(sql, unknown)
{
	static const struct sql_case cases[] = {
		{ "SELECT U&\"set_c\\006fnfig\"('a', 'x', false)", SQL_UNKNOWN, "" },
		{ "SELECT u&\"set_c!006fnfig\" UESCAPE '!' ('a', 'x', false)", SQL_UNKNOWN, "" },
		{ "SELECT u&\"set_c!006fnfig\"/* */--\n\tuescape'!'('a', 'x', false)", SQL_UNKNOWN,
		  "" },
		{ "SELECT 1 AS U&\"d\\0061t\"", SQL_UNKNOWN, "" },
		{ "SELECT U&\"pg_advisory_lock\"(1)", SQL_LOCKS, "" },
		{ "SELECT U&\"set_config\"('a', 'x', false)", SQL_SETS, "set a ['a']=x" },
		{ "SELECT U&\"a\" AS uescape", 0, "" },
		{ "SELECT 1 AS U&\"dat\", \"d\\0061t\", U&'d\\0061t'", 0, "" },
		{ "SELECT U & \"d\\0061t\"", 0, "" },
		{ "SET U&\"\\0061\" = 1", SQL_SETS | SQL_TEMP | SQL_SEEDS | SQL_UNKNOWN,
		  "unknown" },
		{ "SET U&\"A\" = 1", SQL_SETS, "set a [U&\"A\"]=1" },
		{ "DO $$ BEGIN NULL; END $$", SQL_UNKNOWN, "" },
		{ "DO LANGUAGE plpgsql 'BEGIN NULL; END'", SQL_UNKNOWN, "" },
		{ "SELECT $d\xc3\xa9$ LISTEN x $d\xc3\xa9$", SQL_UNKNOWN, "" },
		{ "SELECT pg_try_adv\xddsory_lock(1)", SQL_LOCKS, "" },
		{ "SELECT set_conf\xc4\xb0g('a', 'x', false)", SQL_SETS, "set a ['a']=x" },
		{ "SELECT \"set_conf\xddg\"('a', 'x', false), set_conf\xddx('a')", 0, "" },
	};

	CHECK(cases);
}

Test(sql, other_state)
{
	static const struct sql_case cases[] = {
		{ "SELECT pg_advisory_lock(1)", SQL_LOCKS, "" },
		{ "SELECT PG_CATALOG.PG_TRY_ADVISORY_LOCK(1)", SQL_LOCKS, "" },
		{ "SELECT \"pg_advisory_lock_shared\"(1), pg_try_advisory_lock_shared(1)",
		  SQL_LOCKS, "" },
		{ "SELECT pg_advisory_unlock(1)", SQL_LOCKS | SQL_FORGETS, "" },
		{ "SELECT pg_advisory_unlock_shared(1)", SQL_LOCKS | SQL_FORGETS, "" },
		{ "SELECT pg_advisory_unlock_all()", SQL_LOCKS | SQL_FORGETS, "" },
		{ "SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(1)", 0, "" },
		{ "SELECT pg_advisory_lock FROM t", 0, "" },
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
		{ "DISCARD ALL", FORGETS_ALL | SQL_SETS | SQL_RESETS, "discard" },
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
		{ "SELECT $a$ LISTEN x; $$ ; LISTEN y; $$ $b$a$;EXECUTE p", SQL_NAMES,
		  "execute p" },
		{ "SELECT a$b$;LISTEN x;SELECT a$b$", SQL_LISTENS, "" },
		{ "SELECT $1;EXECUTE p($1)", SQL_NAMES, "execute p" },
		{ "SELECT $1$$;LISTEN x$$", 0, "" },
		{ "SELECT $\xc3\xa9$;LISTEN x$\xc3\xa9$;EXECUTE p", SQL_NAMES | SQL_UNKNOWN,
		  "execute p" },
		{ "SELECT $a ;LISTEN x", SQL_LISTENS, "" },
		{ "SELECT $$ ;LISTEN x", 0, "" },
		{ "SELECT ' ;LISTEN x", 0, "" },
		{ "SELECT \" ;LISTEN x", 0, "" },
		{ "SELECT (';';LISTEN x;) ; EXECUTE p", SQL_NAMES, "execute p" },
		{ "CREATE RULE r AS ON INSERT TO t DO (NOTIFY a; LISTEN x); EXECUTE p",
		  SQL_NAMES | SQL_CREATES, "execute p" },
		{ "(SELECT 1);EXECUTE p", SQL_NAMES, "execute p" },
		{ "\v\fEXECUTE\vp", SQL_NAMES, "execute p" },
	};

	CHECK(cases);
}
