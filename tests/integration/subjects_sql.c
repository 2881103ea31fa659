/* Subjects of conversations: what SQL alone is about. */
#include <stddef.h>

#include "tests/integration/subjects.h"

/* --- queries --- */

void say_query(struct talker *t)
{
	static const char *const queries[] = {
		"SELECT 1",
		"SELECT '#' AS client, NULL AS nothing",
		"SELECT generate_series(1, 3); SELECT 'second'",
		"SELECT 1; SELECT 1/0; SELECT 'never'",
		"SELECT nonsense",
		"SELECT repeat('@', 3000), generate_series(1, 20)",
		"",
		" ; ",
		"INSERT INTO @.rows VALUES (1, 'simple'), (2, 'more')",
		"INSERT INTO @.keyed VALUES (1); INSERT INTO @.keyed VALUES (2)",
		"SELECT count(*), max(word) FROM @.rows",
		"DELETE FROM @.keyed",
		"UPDATE @.rows SET word = word || '#' WHERE id = 1",
		"DO $$ BEGIN RAISE NOTICE 'client #'; END $$",
		"DO $$ BEGIN RAISE EXCEPTION 'no, client #' USING ERRCODE = 'P0#00'; END $$",
		"NOTIFY nobody, 'client #'",
		"SHOW transaction_isolation",
		"DROP TABLE IF EXISTS @.nosuch",
		"LOCK TABLE @.rows",
		"ROLLBACK",
	};

	utter_query(t, PICK(t, queries));
}

void say_block(struct talker *t)
{
	static const char *const words[] = {
		"BEGIN",
		"BEGIN",
		"begin isolation level repeatable read, read only",
		"BEGIN; SELECT 1/0",
		"BEGIN; SELECT 'inside #'",
		"COMMIT",
		"COMMIT",
		"END; SELECT 'outside'",
		"ROLLBACK",
		"ROLLBACK",
		"ROLLBACK; BEGIN",
		"COMMIT AND CHAIN",
		"SAVEPOINT s",
		"ROLLBACK TO s",
		"RELEASE s",
	};

	utter_query(t, PICK(t, words));
}

/* Sum; no function at all; a division; one that does not take such arguments. */
void say_call(struct talker *t)
{
	static const uint32_t functions[] = { 177, 177, 1, 154, 89 };
	static const char *const values[] = { "1", "22", "0", "x" };
	struct call c = { PICK(t, functions), { PICK(t, values), PICK(t, values) } };

	utter_call(t, &c);
}

void say_sql(struct talker *t, const char *sql)
{
	const struct phrase p = { sql, "" };

	if (chance(t, 60)) {
		utter_query(t, sql);
		return;
	}
	utter_parse(t, UTTER_UNNAMED, &p);
	utter_bind_to(t, "", "", "");
	utter_execute(t, "", 0);
	utter_sync(t);
	t->known[UTTER_UNNAMED] = NULL; /* p is gone */
}

/* --- parameters --- */

void say_parameter(struct talker *t)
{
	static const char *const words[] = {
		"SET DateStyle TO German",
		"SET datestyle = 'ISO, DMY'",
		"SET application_name = 'client #'",
		"set Application_Name to \"it's #\"",
		"SET TIME ZONE 'UTC'",
		"SET timezone TO 'Asia/Tokyo'",
		"SET IntervalStyle TO sql_standard",
		"SET standard_conforming_strings = off",
		"SET client_encoding TO latin1",
		"SET client_encoding TO 'UTF8'",
		"SET default_transaction_read_only = on",
		"SET LOCAL DateStyle TO SQL",
		"SET DateStyle TO nonsense",
		"RESET DateStyle",
		"RESET application_name",
		"RESET default_transaction_read_only",
		"RESET ALL",
		"BEGIN; SET DateStyle TO 'SQL, DMY'; ROLLBACK",
		"SELECT set_config('TimeZone', 'Europe/Paris', false)",
		"SELECT set_config('DateStyle', 'Postgres, MDY', true)",
	};
	static const char *const looks[] = {
		"SHOW DateStyle",
		"SHOW timezone",
		"SHOW application_name",
		"SELECT current_setting('IntervalStyle'), current_setting('client_encoding')",
		"SELECT make_date(2024, 2, 1), make_interval(1, 2, 0, 3)",
		"SELECT make_timestamptz(2024, 2, 1, 12, 0, 0)",
		"SHOW default_transaction_read_only",
		"SHOW standard_conforming_strings",
	};

	say_sql(t, chance(t, 50) ? PICK(t, words) : PICK(t, looks));
}

void say_unreported(struct talker *t)
{
	static const char *const words[] = {
		"SET work_mem = '#MB'",
		"SET search_path TO @, public",
		"SET search_path = \"$user\"",
		"SET bytea_output TO escape",
		"SET extra_float_digits = 0",
		"SET LOCAL work_mem = '9MB'",
		"SET my.own = 'client #'",
		"BEGIN; SET work_mem = '8MB'; ROLLBACK",
		"BEGIN; SET work_mem = '7MB'; COMMIT",
		"BEGIN; SAVEPOINT v; SET bytea_output TO escape; ROLLBACK TO v; COMMIT",
		"/* mine */ sEt enable_seqscan -- mine\n to off",
		"RESET work_mem",
		"RESET search_path",
		"RESET ALL",
		"SET work_mem = nonsense",
	};
	static const char *const looks[] = {
		"SHOW work_mem",
		"SHOW search_path",
		"SELECT count(*) FROM rows",
		"SELECT 'bytes'::bytea, 0.1::float8 * 3",
		"SELECT coalesce(current_setting('my.own', true), '')",
		"SHOW enable_seqscan",
	};
	static const char *const hidden[] = {
		"SELECT set_config('work_mem', '#MB', false)",
		"SELECT set_config('my.own', '#', true)",
		"DO $$ BEGIN PERFORM set_config('search_path', '@', false); END $$",
	};

	if ((t->topics & TOPIC_HIDDEN) && chance(t, 15))
		say_sql(t, PICK(t, hidden));
	else
		say_sql(t, chance(t, 50) ? PICK(t, words) : PICK(t, looks));
}

/* --- statements of SQL --- */

void say_prepare(struct talker *t)
{
	static const char *const words[] = {
		"PREPARE x AS SELECT '#'::text AS prepared",
		"prepare X (int) as select $1 + #",
		"PREPARE \"Y\" AS VALUES (1), (2)",
		"/* a /* nested */ comment */ PREPARE x AS SELECT 'commented'",
		"EXECUTE x",
		"EXECUTE x (#)",
		"eXeCuTe \"Y\"",
		"EXECUTE Y",
		"SELECT 1; EXECUTE x",
		"DEALLOCATE x",
		"-- away with it\nDEALLOCATE PREPARE x",
		"deallocate \"Y\"",
		"DEALLOCATE ALL",
		"Deallocate /* of */ Prepare All",
		"DISCARD ALL",
		"discard -- plans\n plans",
		"BEGIN; PREPARE x AS SELECT 'in a block'; ROLLBACK",
		"PREPARE x AS SELECT nonsense",
	};
	/* EXECUTE of those of say_shape has an answer where PostgreSQL says that the result has changed. */
	static const char *const shared[] = {
		"EXECUTE c",
		"EXECUTE c (#)",
		"execute /* it */ D ('2', '3')",
		"EXECUTE d; EXECUTE c",
		"EXECUTE \"d\" (NULL)",
		"DEALLOCATE b",
		"DEALLOCATE ALL",
		"PREPARE c AS SELECT 'by SQL'",
		"PREPARE a (text) AS SELECT $1 || 'by SQL'; EXECUTE a ('#')",
		"DEALLOCATE c; EXECUTE d",
		"BEGIN; DEALLOCATE a; ROLLBACK",
	};

	if ((t->topics & TOPIC_CATALOG) && chance(t, 5))
		say_sql(t, "SELECT name, statement, parameter_types, from_sql "
		           "FROM pg_prepared_statements ORDER BY name");
	else if ((t->topics & TOPIC_SHARED) && chance(t, 20))
		say_sql(t, PICK(t, shared));
	else
		say_sql(t, PICK(t, words));
}

/* --- COPY --- */

static void say_rows(struct talker *t)
{
	static const char *const rows[] = { "1\tone\n", "2\t\\N\n", "3\tthree\n4\tfour\n",
		                            "5\tcut in", " two\n" };

	for (unsigned n = roll(t, 4); n > 0; n--)
		utter_data(t, rows[roll(t, 3)]);
	if (chance(t, 30)) {
		utter_data(t, rows[3]);
		utter_data(t, rows[4]);
	}
}

/* Rows and an end; each of them may go wrong. */
static void say_copy_data(struct talker *t)
{
	say_rows(t);
	if (chance(t, 20)) {
		utter_data(t, chance(t, 50) ? "bad\n" : "1\tx\ty\n");
		say_rows(t);
	}
	if (chance(t, 20))
		utter_fail(t, "client # does not like it");
	else
		utter_done(t);
}

void say_copy_in(struct talker *t)
{
	static const char *const words[] = { "COPY @.rows FROM STDIN", "copy @.keyed from stdin",
		                             "COPY @.nosuch FROM STDIN" };

	utter_copy_query(t, PICK(t, words));
	if (chance(t, 60))
		utter_end(t);
	say_copy_data(t);
	t->ready++;
	t->answers = 0;
}

/* So that no batch to come executes the COPY, which needs data behind it. */
static void say_copy_batch_end(struct talker *t)
{
	utter_sync(t);
	utter_close(t, 'S', "");
	utter_sync(t);
}

/* Begins with a Sync that the server takes for a part of the COPY, so it must not fail too early. */
void say_copy_early_sync(struct talker *t)
{
	static const struct phrase copy = { "COPY @.rows FROM STDIN", "" };

	utter_query(t, "ROLLBACK");
	utter_query(t, "RESET default_transaction_read_only");
	utter_query(t, "RESET ROLE");
	utter_end(t);
	utter_parse(t, UTTER_UNNAMED, &copy);
	utter_bind_to(t, "", "", "");
	utter_execute(t, "", 0);
	utter_sync(t);
	t->ready--;
	say_copy_data(t);
	say_copy_batch_end(t);
}

void say_copy_in_batch(struct talker *t)
{
	static const struct phrase copies[] = { { "COPY @.rows FROM STDIN", "" },
		                                { "COPY @.keyed FROM STDIN", "" } };

	utter_parse(t, UTTER_UNNAMED, &PICK(t, copies));
	utter_bind_to(t, "", "", "");
	utter_execute(t, "", 0);
	if (chance(t, 40)) {
		utter_flush(t);
		utter_end(t);
	}
	say_copy_data(t);
	say_copy_batch_end(t);
}

void say_copy_out(struct talker *t)
{
	static const char *const words[] = {
		"COPY (SELECT generate_series(1, 5), 'client #') TO STDOUT",
		"COPY (SELECT 1 / (3 - generate_series(1, 5))) TO STDOUT",
		"COPY (SELECT id, word FROM @.rows ORDER BY 1, 2) TO STDOUT (FORMAT csv)",
		"COPY (SELECT repeat('x', 2000) FROM generate_series(1, 30)) TO STDOUT (FORMAT binary)",
	};

	say_sql(t, PICK(t, words));
}
