/* What a client says: subjects, chosen at random. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/utter.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- statements in messages of their own --- */

static const struct phrase phrases[] = {
	/* the same text by all clients */
	{ "SELECT 1 AS one, 'two'::text AS two", "" },
	{ "SELECT $1::int4 + 1", "i" },
	{ "SELECT $1::text || '!'", "t" },
	{ "SELECT $1::int4 AS n, $2::text AS t", "it" },
	{ "SELECT generate_series(1, $1::int4) AS i", "i" },
	{ "VALUES (1, 'a'), (2, 'b'), (3, NULL)", "" },
	{ "SELECT 10 / $1::int4", "i" },
	{ "SHOW DateStyle", "" },
	{ "BEGIN", "" },
	{ "COMMIT", "" },
	{ "ROLLBACK", "" },
	{ "", "" },
	/* each its own */
	{ "SELECT '#'::text AS client, $1::int4", "i" },
	{ "SELECT 'client #'::text", "" },
	{ "SELECT id, word FROM @.rows ORDER BY id, word", "" },
	{ "INSERT INTO @.rows VALUES ($1, $2)", "it" },
	{ "INSERT INTO @.keyed VALUES ($1)", "i" },
	{ "DELETE FROM @.rows WHERE id = $1 RETURNING word", "i" },
	{ "SELECT count(*) FROM @.keyed", "" },
	/* none of these can be parsed */
	{ "SELECT nonsense", "" },
	{ "selec # 1", "" },
	{ "SELECT 1; SELECT 2", "" },
};

/* Their DateStyle is that of the Parse. */
static const struct phrase folded[] = {
	{ "SELECT date '01/02/2024' - date '2024-01-01'", "" },
	{ "SELECT timestamptz '2024-06-01 12:00' > '2024-06-01 11:00+00'", "" },
};

static const char *const portals[] = { "", "", "p", "q" };

/* Whose portal may be executed now. Not the unnamed one of before: where a Query has failed in a block, it
 * is what is left of that Query, and PostgreSQL (15.18) dies of executing it. */
static const char *some_portal(struct talker *t)
{
	return portals[t->bound ? roll(t, COUNT(portals)) : 2 + roll(t, COUNT(portals) - 2)];
}

static const struct phrase *some_phrase(struct talker *t)
{
	if ((t->topics & TOPIC_FOLDED) && chance(t, 5))
		return &PICK(t, folded);
	return &PICK(t, phrases);
}

/* A name whose statement may be looked at now. */
static int some_name(struct talker *t)
{
	bool unnamed = t->unnamed || (t->topics & TOPIC_STALE);

	return (int)roll(t, UTTER_NAMES - !unnamed);
}

static void say_parse(struct talker *t)
{
	int name = (int)roll(t, UTTER_NAMES);

	/* most of those who use a name again close it before */
	if (t->known[name] != NULL && name != UTTER_UNNAMED && chance(t, 60))
		utter_close(t, 'S', utter_name(name));
	utter_parse(t, name, some_phrase(t));
}

static void say_bind(struct talker *t)
{
	if ((t->topics & TOPIC_SHARED) && chance(t, 5))
		utter_bind_to(t, "", chance(t, 50) ? "x" : "Y", "");
	else
		utter_bind(t, PICK(t, portals), some_name(t));
}

static void say_describe(struct talker *t)
{
	if (chance(t, 60))
		utter_describe(t, 'S', utter_name(some_name(t)));
	else
		utter_describe(t, 'P', some_portal(t));
}

static void say_execute(struct talker *t)
{
	utter_execute(t, some_portal(t), chance(t, 60) ? 0 : 1 + roll(t, 2));
}

static void say_close(struct talker *t)
{
	if (chance(t, 60))
		utter_close(t, 'S',
		            chance(t, 10) ? "nosuch" : utter_name((int)roll(t, UTTER_NAMES)));
	else
		utter_close(t, 'P', PICK(t, portals));
}

static void say_bind_and_execute(struct talker *t)
{
	const char *portal = PICK(t, portals);

	utter_bind(t, portal, some_name(t));
	if (chance(t, 40))
		utter_describe(t, 'P', portal);
	utter_execute(t, portal, chance(t, 70) ? 0 : 1 + roll(t, 2));
	if (chance(t, 15))
		utter_execute(t, portal, roll(t, 3));
}

static void say_messages(struct talker *t, unsigned most)
{
	static void (*const kinds[])(struct talker *) = { say_parse,
		                                          say_parse,
		                                          say_bind,
		                                          say_describe,
		                                          say_execute,
		                                          say_close,
		                                          say_bind_and_execute,
		                                          say_bind_and_execute,
		                                          say_bind_and_execute };

	for (unsigned n = 1 + roll(t, most); n > 0; n--)
		PICK(t, kinds)(t);
}

static void say_batch(struct talker *t)
{
	say_messages(t, 6);
	utter_sync(t);
	if (chance(t, 5))
		utter_sync(t);
}

/* What comes up to a Flush is waited for; then the batch goes on. */
static void say_flushed(struct talker *t)
{
	say_messages(t, 4);
	utter_flush(t);
	utter_end(t);
	if (chance(t, 25)) {
		utter_query(t, "SELECT 'in the middle'");
		utter_sync(t);
		utter_end_doubtful(t, 1);
	} else {
		if (chance(t, 70))
			say_messages(t, 3);
		utter_sync(t);
	}
}

/* As drivers do it: the statement in one round trip, its execution in the next. */
static void say_as_drivers(struct talker *t)
{
	int name = chance(t, 50) ? UTTER_UNNAMED : (int)roll(t, UTTER_NAMES);

	if (name != UTTER_UNNAMED && chance(t, 70))
		utter_close(t, 'S', utter_name(name));
	utter_parse(t, name, some_phrase(t));
	utter_describe(t, 'S', utter_name(name));
	utter_sync(t);
	if (chance(t, 70))
		utter_end(t);
	utter_bind(t, "", name);
	utter_execute(t, "", 0);
	utter_sync(t);
}

/* A portal, row by row, in a transaction. */
static void say_cursor(struct talker *t)
{
	static const struct phrase rows = { "SELECT generate_series(1, 5) AS i, '#'::text", "" };
	const char *portal = PICK(t, portals);

	utter_query(t, "ROLLBACK; BEGIN");
	if (chance(t, 50))
		utter_end(t);
	utter_parse(t, UTTER_UNNAMED, &rows);
	utter_bind(t, portal, UTTER_UNNAMED);
	utter_execute(t, portal, 1);
	if (chance(t, 50))
		utter_flush(t);
	else
		utter_sync(t);
	utter_end(t);
	utter_execute(t, portal, 1 + roll(t, 2));
	utter_sync(t);
	utter_end(t);
	if (chance(t, 50))
		utter_close(t, 'P', portal);
	utter_execute(t, portal, 0);
	utter_sync(t);
	utter_query(t, chance(t, 50) ? "COMMIT" : "ROLLBACK");
}

/* --- queries --- */

static void say_query(struct talker *t)
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

static void say_block(struct talker *t)
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
static void say_call(struct talker *t)
{
	static const uint32_t functions[] = { 177, 177, 1, 154, 89 };
	static const char *const values[] = { "1", "22", "0", "x" };
	const char *a = PICK(t, values), *b = PICK(t, values);

	utter_call(t, PICK(t, functions), a, b);
}

/* Either in a Query or in a batch. */
static void say_sql(struct talker *t, const char *sql)
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

static void say_parameter(struct talker *t)
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

static void say_unreported(struct talker *t)
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

static void say_prepare(struct talker *t)
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
	static const char *const shared[] = {
		"EXECUTE a",
		"DEALLOCATE b",
		"PREPARE c AS SELECT 'by SQL'",
		"SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name",
	};

	if ((t->topics & TOPIC_SHARED) && chance(t, 20))
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

static void say_copy_in(struct talker *t)
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
static void say_copy_early_sync(struct talker *t)
{
	static const struct phrase copy = { "COPY @.rows FROM STDIN", "" };

	utter_query(t, "ROLLBACK");
	utter_query(t, "RESET default_transaction_read_only");
	utter_end(t);
	utter_parse(t, UTTER_UNNAMED, &copy);
	utter_bind_to(t, "", "", "");
	utter_execute(t, "", 0);
	utter_sync(t);
	t->ready--;
	say_copy_data(t);
	say_copy_batch_end(t);
}

static void say_copy_in_batch(struct talker *t)
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

static void say_copy_out(struct talker *t)
{
	static const char *const words[] = {
		"COPY (SELECT generate_series(1, 5), 'client #') TO STDOUT",
		"COPY (SELECT 1 / (3 - generate_series(1, 5))) TO STDOUT",
		"COPY (SELECT id, word FROM @.rows ORDER BY 1, 2) TO STDOUT (FORMAT csv)",
		"COPY (SELECT repeat('x', 2000) FROM generate_series(1, 30)) TO STDOUT (FORMAT binary)",
	};

	say_sql(t, PICK(t, words));
}

/* --- all of it --- */

static const struct {
	unsigned topic;
	unsigned weight;
	void (*say)(struct talker *);
} subjects[] = {
	{ TOPIC_STATEMENTS, 12, say_batch },
	{ TOPIC_STATEMENTS, 4, say_flushed },
	{ TOPIC_STATEMENTS, 6, say_as_drivers },
	{ TOPIC_STATEMENTS, 2, say_cursor },
	{ TOPIC_STATEMENTS, 5, say_query },
	{ TOPIC_STATEMENTS, 5, say_block },
	{ TOPIC_CALLS, 1, say_call },
	{ TOPIC_PARAMETERS, 5, say_parameter },
	{ TOPIC_UNREPORTED, 5, say_unreported },
	{ TOPIC_PREPARE, 5, say_prepare },
	{ TOPIC_COPY, 2, say_copy_in },
	{ TOPIC_COPY, 1, say_copy_early_sync },
	{ TOPIC_COPY, 1, say_copy_in_batch },
	{ TOPIC_COPY, 2, say_copy_out },
};

static void say_something(struct talker *t)
{
	unsigned all = 0, chosen;
	size_t i;

	for (i = 0; i < COUNT(subjects); i++)
		all += t->topics & subjects[i].topic ? subjects[i].weight : 0;
	chosen = roll(t, all);
	for (i = 0; i < COUNT(subjects); i++) {
		unsigned weight = t->topics & subjects[i].topic ? subjects[i].weight : 0;

		if (chosen < weight)
			break;
		chosen -= weight;
	}
	subjects[i].say(t);
}

void conversation_make(struct conversation *c, uint64_t seed, int client, unsigned topics)
{
	struct talker t = { .to = c, .client = client, .topics = topics };
	unsigned things;

	t.dice = seed * 0x9e3779b97f4a7c15u + (uint64_t)client + 1;
	memset(c, 0, sizeof(*c));
	utter_query(&t, "TRUNCATE @.rows, @.keyed");
	utter_end(&t);
	for (things = 5 + roll(&t, 20); things > 0; things--) {
		say_something(&t);
		if (chance(&t, 60))
			utter_end(&t);
		else
			utter_end_pipelined(&t);
	}
	utter_query(&t, "ROLLBACK");
	utter_end(&t);
	utter_query(&t, "SELECT '" CONVERSATION_END "'");
	utter_end(&t);
}
