/* sql.h: parameters that are set, by SET and by functions. */
#include <criterion/criterion.h>

#include "sql_cases.h"

#define RESETS (SQL_SETS | SQL_RESETS)
/* Of a name that is not known. */
#define ANY (SQL_SETS | SQL_TEMP | SQL_SEEDS)

Test(sql_parameters, set)
{
	static const struct sql_case cases[] = {
		{ "SET a = b", SQL_SETS, "set a=b" },
		{ "set SESSION Work_Mem to '1GB'", SQL_SETS, "set work_mem [Work_Mem]=1GB" },
		{ "SET a.b = 1", SQL_SETS, "set a.b=1" },
		{ "SET \"A\" . \"b\"\"c\" TO x", SQL_SETS, "set a.b\"c [\"A\" . \"b\"\"c\"]=x" },
		{ "SET x = \"default\"", SQL_SETS, "set x" },
		{ "SET \xc4\xb0x = 1", ANY, "unknown" },
		{ "SET \"\xc4\xb0x\" = 1", SQL_SETS, "set \xc4\xb0x [\"\xc4\xb0x\"]=1" },
		{ "SET local.x = 1", SQL_SETS, "set local.x=1" },
		{ "SET session.x = 1", SQL_SETS, "set session.x=1" },
		{ "SET work_mem FROM CURRENT", RESETS, "set work_mem?" },
		{ "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", 0, "" },
		{ "SET TRANSACTION SNAPSHOT '1'", 0, "" },
		{ "SET CONSTRAINTS ALL DEFERRED", 0, "" },
		{ "SET TIME ZONE 'UTC'", SQL_SETS, "set timezone []=UTC" },
		{ "SET TIME ZONE -7", SQL_SETS, "set timezone []=-7" },
		{ "SET SESSION TIME ZONE INTERVAL '1' HOUR", SQL_SETS, "set timezone []" },
		{ "SET NAMES 'LATIN1'", SQL_SETS, "set client_encoding []=LATIN1" },
		{ "SET ROLE alice", SQL_SETS, "set role []=alice" },
		{ "SET SESSION ROLE NONE", SQL_SETS, "set role []" },
		{ "SET SESSION AUTHORIZATION alice", SQL_SETS,
		  "set session_authorization []; set role []" },
		{ "SET session_authorization = 'alice'", SQL_SETS,
		  "set session_authorization=alice; set role []" },
		{ "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SQL_SETS,
		  "set default_transaction_isolation []; set default_transaction_read_only []; "
		  "set default_transaction_deferrable []" },
		{ "SET XML OPTION DOCUMENT", SQL_SETS, "set xmloption []" },
		{ "SET", 0, "" },
		{ "SET ;", 0, "" },
		{ "SET SESSION SESSION SESSION", 0, "" },
		{ "SET LOCAL x = 1", SQL_SETS_LOCAL, "local x=1" },
		{ "SET LOCAL TIME ZONE 'UTC'", SQL_SETS_LOCAL, "local timezone []=UTC" },
		{ "SET LOCAL", SQL_SETS_LOCAL, "" },
	};

	CHECK(cases);
}

/* Up to the end of the transaction. */
#define ANY_LOCAL (SQL_SETS_LOCAL | SQL_TEMP | SQL_SEEDS)

Test(sql_parameters, local)
{
	static const struct sql_case cases[] = {
		{ "SET LOCAL Work_Mem TO '1GB'", SQL_SETS_LOCAL, "local work_mem [Work_Mem]=1GB" },
		{ "SET LOCAL a.b = 1", SQL_SETS_LOCAL, "local a.b=1" },
		{ "SET LOCAL \"A\".b = 1", SQL_SETS_LOCAL, "local a.b [\"A\".b]=1" },
		{ "SET LOCAL \xc4\xb0x = 1", ANY_LOCAL, "local" },
		{ "SET LOCAL U&\"\\0061\" = 1", ANY_LOCAL | SQL_UNKNOWN, "local" },
		{ "SET LOCAL x = 1; SET x = 2; SET LOCAL y = 3", SQL_SETS | SQL_SETS_LOCAL,
		  "local x=1; set x=2; local y=3" },
		{ "SET LOCAL TIME ZONE INTERVAL '1' HOUR", SQL_SETS_LOCAL, "local timezone []" },
		{ "SET LOCAL NAMES 'LATIN1'", SQL_SETS_LOCAL, "local client_encoding []=LATIN1" },
		{ "SET LOCAL ROLE alice", SQL_SETS_LOCAL, "local role []=alice" },
		{ "SET LOCAL XML OPTION DOCUMENT", SQL_SETS_LOCAL, "local xmloption []" },
		{ "SET LOCAL SESSION AUTHORIZATION alice", SQL_SETS_LOCAL,
		  "local session_authorization []; local role []" },
		{ "SET LOCAL session_authorization = 'alice'", SQL_SETS_LOCAL,
		  "local session_authorization=alice; local role []" },
		{ "SET LOCAL TRANSACTION READ ONLY", SQL_SETS_LOCAL, "" },
		{ "SELECT set_config('Work_Mem', '1GB', true)", SQL_SETS_LOCAL,
		  "local work_mem ['Work_Mem']=1GB" },
		{ "SELECT set_config('session_authorization', 'alice', true)", SQL_SETS_LOCAL,
		  "local session_authorization ['session_authorization']=alice; local role []" },
		{ "SELECT set_config($1, 'x', true)", ANY_LOCAL, "local" },
		{ "SELECT set_config($1, $2, true)", ANY_LOCAL | SQL_RESETS, "local" },
		{ "SELECT set_config('a' || 'b', 'x', true)", ANY_LOCAL, "local" },
		{ "SELECT set_config('a''b', 'x', true)", ANY_LOCAL, "local" },
		{ "SELECT set_config(E'\\x61', 'x', true)", ANY_LOCAL, "local" },
		{ "SELECT set_config('a', 'x', true), set_config('b', 'x', $1)",
		  SQL_SETS | SQL_SETS_LOCAL, "local a ['a']=x; set b ['b']=x" },
	};

	CHECK(cases);
}

Test(sql_parameters, reset)
{
	static const struct sql_case cases[] = {
		{ "SET x TO DEFAULT", RESETS, "reset x" },
		{ "SET x=default;", RESETS, "reset x" },
		{ "SET role TO DEFAULT", RESETS, "reset role" },
		{ "SET LOCAL x TO DEFAULT", SQL_SETS_LOCAL | SQL_RESETS, "local x" },
		{ "SET LOCAL TIME ZONE LOCAL", SQL_SETS_LOCAL | SQL_RESETS, "local timezone []" },
		{ "SET TIME ZONE LOCAL", RESETS, "reset timezone []" },
		{ "SET TIME ZONE DEFAULT", RESETS, "reset timezone []" },
		{ "SET NAMES; SELECT 1", RESETS, "reset client_encoding []" },
		{ "SET NAMES DEFAULT", RESETS, "reset client_encoding []" },
		{ "SET SESSION SESSION AUTHORIZATION DEFAULT", RESETS,
		  "reset session_authorization []; reset role []" },
		{ "RESET x", RESETS, "reset x" },
		{ "RESET \"A\".b", RESETS, "reset a.b [\"A\".b]" },
		{ "RESET TIME ZONE", RESETS, "reset timezone []" },
		{ "RESET SESSION AUTHORIZATION", RESETS,
		  "reset session_authorization []; reset role []" },
		{ "RESET session_authorization", RESETS,
		  "reset session_authorization; reset role []" },
		{ "RESET TRANSACTION ISOLATION LEVEL", 0, "" },
		{ "RESET ALL", RESETS | SQL_FORGETS, "reset all" },
		{ "RESET ROLE", RESETS, "reset role [ROLE]" },
		{ "RESET", 0, "" },
		{ "SET a = 1; SET b = 2; RESET a", RESETS, "set a=1; set b=2; reset a" },
	};

	CHECK(cases);
}

Test(sql_parameters, seed)
{
	static const struct sql_case cases[] = {
		{ "SET seed TO 0.5", SQL_SEEDS, "" },
		{ "SET Seed = 0.5", SQL_SEEDS, "" },
		{ "SET LOCAL \"seed\" TO 0.5", SQL_SEEDS | SQL_SETS_LOCAL, "" },
		{ "SELECT set_config('seed', '0.5', false)", SQL_SEEDS, "" },
		{ "SELECT set_config('SEED', '0.5', true)", SQL_SEEDS | SQL_SETS_LOCAL, "" },
		{ "RESET seed", SQL_SEEDS | SQL_RESETS, "" },
		{ "SET seeds = 1", SQL_SETS, "set seeds=1" },
	};

	CHECK(cases);
}

/* What leads to pg_temp lasts, in what is made there, even if the path does not. */
Test(sql_parameters, search_path)
{
	static const struct sql_case cases[] = {
		{ "SET search_path TO a, b", SQL_SETS, "set search_path" },
		{ "SET search_path = 'a'", SQL_SETS, "set search_path" },
		{ "SET search_path = a; SELECT 'pg_temp'", SQL_SETS, "set search_path" },
		{ "SET SCHEMA 'a'", SQL_SETS, "set search_path []" },
		{ "SET search_path TO DEFAULT", RESETS, "reset search_path" },
		{ "SET LOCAL search_path TO a", SQL_SETS_LOCAL, "local search_path" },
		{ "SET search_path TO a, pg_temp", SQL_SETS | SQL_TEMP, "set search_path" },
		{ "SET search_path TO PG_TEMP, a", SQL_SETS | SQL_TEMP, "set search_path" },
		{ "SET \"search_path\" TO \"a\", \"pg_temp_3\"", SQL_SETS | SQL_TEMP,
		  "set search_path [\"search_path\"]" },
		{ "SET search_path = 'Pg_Temp'", SQL_SETS | SQL_TEMP, "set search_path" },
		{ "SET search_path = E'pg_tem\\160'", SQL_SETS | SQL_TEMP, "set search_path" },
		{ "SET search_path = U&'pg_tem\\0070'", SQL_SETS | SQL_TEMP, "set search_path" },
		{ "SET search_path = 'pg_'\n'temp'", SQL_SETS | SQL_TEMP, "set search_path" },
		{ "SET search_path FROM CURRENT", RESETS | SQL_TEMP, "set search_path?" },
		{ "SET LOCAL search_path TO pg_temp", SQL_SETS_LOCAL | SQL_TEMP,
		  "local search_path" },
		{ "SET SCHEMA 'pg_temp'", SQL_SETS | SQL_TEMP, "set search_path []" },
		{ "SET LOCAL SCHEMA 'pg_temp'", SQL_SETS_LOCAL | SQL_TEMP, "local search_path []" },
		{ "SET x = pg_temp", SQL_SETS, "set x=pg_temp" },
		{ "SELECT set_config('search_path', 'a, b', false)", SQL_SETS,
		  "set search_path ['search_path']=a, b" },
		{ "SELECT set_config('search_path', 'a,\"pg_temp\"', false)", SQL_SETS | SQL_TEMP,
		  "set search_path ['search_path']=a,\"pg_temp\"" },
		{ "SELECT set_config('Search_Path', $1, false)", RESETS | SQL_TEMP,
		  "set search_path ['Search_Path']?" },
		{ "SELECT set_config('search_path', 'a' || b, true)",
		  SQL_SETS_LOCAL | SQL_TEMP | SQL_RESETS, "local search_path ['search_path']" },
		{ "SELECT set_config('search_path', 'pg_temp', true)", SQL_SETS_LOCAL | SQL_TEMP,
		  "local search_path ['search_path']=pg_temp" },
		{ "SELECT set_config('search_path', 'a', true)", SQL_SETS_LOCAL,
		  "local search_path ['search_path']=a" },
		{ "SELECT set_config('search_path')", ANY | SQL_RESETS, "unknown?" },
	};

	CHECK(cases);
}

Test(sql_parameters, set_config)
{
	static const struct sql_case cases[] = {
		{ "SELECT set_config('Work_Mem', '1GB', false)", SQL_SETS,
		  "set work_mem ['Work_Mem']=1GB" },
		{ "SELECT pg_catalog.Set_Config ( 'a.b' , $1, $2 )", RESETS, "set a.b ['a.b']?" },
		{ "SELECT \"set_config\"(E'a', 'x', false)", SQL_SETS, "set a [E'a']=x" },
		{ "SELECT set_config($$a$$, $$x$$, false)", SQL_SETS, "set a [$$a$$]=x" },
		{ "SELECT set_config('a'::text, 'x'::pg_catalog.text, false)", SQL_SETS,
		  "set a ['a']" },
		{ "SELECT set_config('a', 'x', true)", SQL_SETS_LOCAL, "local a ['a']=x" },
		{ "SELECT set_config('a', 'x', TRUE)", SQL_SETS_LOCAL, "local a ['a']=x" },
		{ "SELECT set_config('a', 'x', 't')", SQL_SETS_LOCAL, "local a ['a']=x" },
		{ "SELECT set_config('a', 'x', 'on'::boolean)", SQL_SETS_LOCAL, "local a ['a']=x" },
		{ "SELECT set_config('a', f(x, ')', ARRAY[1, 2]), true)",
		  SQL_SETS_LOCAL | SQL_RESETS, "local a ['a']" },
		{ "SELECT set_config('a', 'x', true AND false)", SQL_SETS, "set a ['a']=x" },
		{ "SELECT set_config('a', 'x', NOT true)", SQL_SETS, "set a ['a']=x" },
		{ "SELECT set_config($1, $2, false)", ANY | SQL_RESETS, "unknown?" },
		{ "SELECT set_config($1, 'x', false)", ANY, "unknown" },
		{ "SELECT set_config('a' || 'b', 'x', false)", ANY, "unknown" },
		{ "SELECT set_config('a''b', 'x', false)", ANY, "unknown" },
		{ "SELECT set_config(E'\\x61', 'x', false)", ANY, "unknown" },
		{ "SELECT set_config('a'\n'b', 'x', false)", ANY, "unknown" },
		{ "SELECT set_config(setting_name => 'a', new_value => 'x', is_local => true)",
		  ANY | SQL_RESETS, "unknown?" },
		{ "SELECT set_config('a', set_config('b', 'x', false), true)",
		  RESETS | SQL_SETS_LOCAL, "local a ['a']; set b ['b']=x" },
		{ "SELECT set_config('a', set_config('b', 'x', true), false)",
		  RESETS | SQL_SETS_LOCAL, "set a ['a']?; local b ['b']=x" },
		{ "SELECT set_config('a'", ANY | SQL_RESETS, "unknown?" },
		{ "SELECT set_config(", ANY | SQL_RESETS, "unknown?" },
		{ "SELECT set_config('a', NULL, false)", RESETS, "set a ['a']?" },
		{ "SELECT set_config('a', 'x' || NULL, false)", RESETS, "set a ['a']?" },
		{ "SELECT set_config('a', NULL, true)", SQL_SETS_LOCAL | SQL_RESETS,
		  "local a ['a']" },
		{ "SELECT set_config('a', E'\\x61', false)", SQL_SETS, "set a ['a']" },
		{ "SELECT set_config('session_authorization', 'alice', false)", SQL_SETS,
		  "set session_authorization ['session_authorization']=alice; set role []" },
		{ "SELECT set_config FROM t", 0, "" },
		{ "SELECT my_set_config('a', 'x', false)", 0, "" },
		{ "SELECT 'set_config(''a'', ''x'', false)'", 0, "" },
		{ "WITH x AS (SELECT set_config('a', 'x', false)) DELETE FROM t", SQL_SETS,
		  "set a ['a']=x" },
		{ "PREPARE p AS SELECT set_config('a', $1, false)",
		  RESETS | SQL_PREPARES | SQL_NAMES, "prepare p; set a ['a']?" },
		{ "EXPLAIN (SELECT set_config('a', 'x', false))", SQL_SETS, "set a ['a']=x" },
	};

	CHECK(cases);
}

Test(sql_parameters, other_ways)
{
	static const struct sql_case cases[] = {
		{ "SELECT set_limit(0.5)", SQL_SETS, "set pg_trgm.similarity_threshold []" },
		{ "SELECT public.\"set_limit\" (0.5), set_config('a', 'x', false)", SQL_SETS,
		  "set pg_trgm.similarity_threshold []; set a ['a']=x" },
		{ "SELECT set_limit FROM t", 0, "" },
		{ "UPDATE pg_settings SET setting = '1' WHERE name = 'a'", RESETS | ANY,
		  "unknown?" },
		{ "UPDATE ONLY (pg_catalog.\"pg_settings\") SET setting = '1'", RESETS | ANY,
		  "unknown?" },
		{ "WITH x AS (UPDATE PG_SETTINGS * AS set SET setting = '1') SELECT 1",
		  RESETS | ANY, "unknown?" },
		{ "UPDATE pg_settings s SET setting = '1'", RESETS | ANY, "unknown?" },
		{ "UPDATE t SET a = s.setting FROM pg_settings s", 0, "" },
		{ "SELECT * FROM pg_settings; SET x = 1", SQL_SETS, "set x=1" },
	};

	CHECK(cases);
}

/* A value is told if it is all that is there. */
Test(sql_parameters, values)
{
	static const struct sql_case cases[] = {
		{ "SET a = 1", SQL_SETS, "set a=1" },
		{ "SET a = 1; SELECT 1", SQL_SETS, "set a=1" },
		{ "SET a TO 1 -- one\n", SQL_SETS, "set a=1" },
		{ "SET a = -1.5e-3", SQL_SETS, "set a=-1.5e-3" },
		{ "SET a = +.5E7", SQL_SETS, "set a=+.5E7" },
		{ "SET a = 5.", SQL_SETS, "set a=5." },
		{ "SET a = - 1", SQL_SETS, "set a" },
		{ "SET a = 1e", SQL_SETS, "set a" },
		{ "SET a = 1e+", SQL_SETS, "set a" },
		{ "SET a = 0x1f", SQL_SETS, "set a" },
		{ "SET a = 1_000", SQL_SETS, "set a" },
		{ "SET a = 1, 2", SQL_SETS, "set a" },
		{ "SET a = .", SQL_SETS, "set a" },
		{ "SET a = on", SQL_SETS, "set a=on" },
		{ "SET a = 'x y'", SQL_SETS, "set a=x y" },
		{ "SET a = ''", SQL_SETS, "set a" },
		{ "SET a = 'x', 'y'", SQL_SETS, "set a" },
		{ "SET a = 'x''y'", SQL_SETS, "set a" },
		{ "SET a = 'x'\n'y'", SQL_SETS, "set a" },
		{ "SET a = E'x'", SQL_SETS, "set a=x" },
		{ "SET a = E'\\x61'", SQL_SETS, "set a" },
		{ "SET a = $b$x$b$", SQL_SETS, "set a=x" },
		{ "SET a = 'x", SQL_SETS, "set a" },
		{ "SET temp_tablespaces = 'a, b'", SQL_SETS, "set temp_tablespaces" },
		{ "SELECT set_config('a', 1, false)", RESETS, "set a ['a']?" },
	};

	CHECK(cases);
}
