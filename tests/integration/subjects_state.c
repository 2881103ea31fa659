/* Subjects of conversations: what a session has of its own, and what functions do to it. */
#include <stddef.h>

#include "tests/integration/subjects.h"

/* --- roles --- */

void say_role(struct talker *t)
{
	static const char *const words[] = {
		"SET ROLE app_ro",
		"SET ROLE app_rw",
		"set session role 'app_ro'",
		"SET ROLE NONE",
		"RESET ROLE",
		"RESET ALL",
		"SET LOCAL ROLE app_rw",
		"SELECT set_config('role', 'app_ro', false)",
		"SELECT set_config('role', 'app_rw', true)",
		"SELECT set_config('role', 'none', false)",
		"BEGIN; SET ROLE app_rw; ROLLBACK",
		"BEGIN; SAVEPOINT r; SET ROLE app_ro; ROLLBACK TO r; COMMIT",
		"SET ROLE nosuch",
		"SET ROLE bob",
		"SET SESSION AUTHORIZATION alice",
		"RESET SESSION AUTHORIZATION",
	};
	static const char *const looks[] = {
		"SELECT current_user, session_user",
		"SHOW role",
		"SELECT current_setting('role')",
		"SELECT count(*) FROM @.rows",
		"INSERT INTO @.rows VALUES (7, 'by a role') RETURNING word, current_user",
		"DELETE FROM @.keyed",
	};

	say_sql(t, chance(t, 50) ? PICK(t, words) : PICK(t, looks));
}

/* --- encodings --- */

#define E_ACUTE      "\xc3\xa9"     /* in UTF-8 */
#define E_ACUTE_1    "\xe9"         /* in LATIN1 */
#define TABLE        "\xe8\xa1\xa8" /* in UTF-8, a character whose */
#define TABLE_SJIS   "\x95\x5c"     /* second byte in SJIS is a backslash */

static const struct phrase encoded[] = {
	{ "SELECT 'caf" E_ACUTE "'::text || $1", "t" },
	{ "SELECT 'caf" E_ACUTE_1 "'::text", "" },
	{ "SELECT '" TABLE_SJIS "'::text, octet_length('" TABLE_SJIS "')", "" },
	{ "SELECT '" TABLE "'::text = $1::text, '" TABLE "'::text", "t" },
};

static void say_in_an_encoding(struct talker *t)
{
	static const char *const words[] = {
		"SET my.own = 'caf" E_ACUTE "'",
		"SET my.own = 'caf" E_ACUTE_1 "'",
		"SET my.own = '" TABLE_SJIS "'",
		"SET my.own = '" TABLE "'",
		"SET my.own = ''",
		"SET LOCAL my.own = '" E_ACUTE " #'",
		"SET \"my\".\"own\" TO E'\\\\ " E_ACUTE "\\''",
		"SELECT set_config('my.own', '" E_ACUTE " #', false)",
		"SELECT set_config('my.own', '" TABLE_SJIS "', false)",
		"SELECT set_config('my.own', '', false)",
		"BEGIN; SET my.own = '" E_ACUTE "'; ROLLBACK",
		"RESET my.own",
		"SET application_name = '" E_ACUTE "'",
		"SET application_name = '" TABLE_SJIS "'",
	};
	static const char *const looks[] = {
		"SELECT coalesce(current_setting('my.own', true), '')",
		"SELECT coalesce(octet_length(current_setting('my.own', true)), 0)",
		"SHOW application_name",
		"SELECT '" TABLE "', U&'\\8868'",
		"SELECT '" TABLE_SJIS "'",
		"SELECT '" E_ACUTE "', '" E_ACUTE_1 "'",
		"SELECT E'\\u00e9', chr(233)",
		"SELECT \"no" E_ACUTE "\"",
		"SELECT chr(9731)",
	};

	say_sql(t, chance(t, 55) ? PICK(t, words) : PICK(t, looks));
}

void say_encoding(struct talker *t)
{
	static const char *const changes[] = {
		"SET client_encoding TO 'SJIS'",
		"SET client_encoding TO 'SJIS'",
		"SET client_encoding TO LATIN1",
		"SET NAMES 'latin1'",
		"SET NAMES 'UTF8'",
		"SET LOCAL client_encoding TO SJIS",
		"RESET client_encoding",
		"SELECT set_config('client_encoding', 'SJIS', false)",
		"BEGIN; SET client_encoding TO LATIN1; ROLLBACK",
		"SET client_encoding TO EUC_CN",
	};
	int name;

	if (chance(t, 40))
		say_sql(t, PICK(t, changes));
	if (chance(t, 60)) {
		say_in_an_encoding(t);
		return;
	}
	name = (int)roll(t, UTTER_NAMES);
	utter_close(t, 'S', utter_name(name));
	utter_parse(t, name, &PICK(t, encoded));
	utter_bind(t, "", name);
	utter_execute(t, "", 0);
	utter_sync(t);
}

/* --- constants, which mean what the parameters say --- */

static const struct phrase constants[] = {
	{ "SELECT date '01/02/2024' - date '2024-01-01'", "" },
	{ "SELECT timestamptz '2024-06-01 12:00' > '2024-06-01 11:00+00'", "" },
	{ "SELECT extract(epoch FROM timestamptz '2024-06-01 12:00') + $1::int4", "i" },
	{ "SELECT extract(epoch FROM interval '-1 2:03:04')", "" },
	{ "SELECT date '03/04/2024' AS d, interval '1 day 2 hours' AS i", "" },
	{ "SELECT $1::text = NULL AS is_null", "t" },
	{ "SELECT '{NULL, 1}'::text[], array_to_string('{NULL}'::text[], '-', 'null')", "" },
	{ "SELECT 'a\\nb', length('\\\\')", "" },
	{ "SELECT '\\'' || $1::text || '\\''", "t" },
};

const struct phrase *some_constant(struct talker *t)
{
	return &PICK(t, constants);
}

static void say_dialect_word(struct talker *t)
{
	static const char *const words[] = {
		"SET DateStyle TO 'ISO, MDY'",
		"SET DateStyle TO 'German, DMY'",
		"SET LOCAL DateStyle TO 'SQL, DMY'",
		"SELECT set_config('DateStyle', 'ISO, YMD', false)",
		"RESET DateStyle",
		"SET IntervalStyle TO sql_standard",
		"SET IntervalStyle = 'iso_8601'",
		"RESET IntervalStyle",
		"SET TimeZone TO 'Asia/Tokyo'",
		"SET LOCAL TIME ZONE 'America/Lima'",
		"SET TIME ZONE DEFAULT",
		"SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE",
		"SET transform_null_equals = on",
		"SET transform_null_equals TO DEFAULT",
		"SET array_nulls = off",
		"RESET array_nulls",
		"SET standard_conforming_strings = off",
		"SET standard_conforming_strings = on",
		"SET escape_string_warning = off",
		"SET backslash_quote = on",
		"BEGIN; SET transform_null_equals = on; ROLLBACK",
		"RESET ALL",
	};

	say_sql(t, PICK(t, words));
}

/* One statement, parsed and executed under parameters that change in between. */
void say_dialect(struct talker *t)
{
	static const char *const by_sql[] = { "EXECUTE c", "EXECUTE C ('1')", "execute d (null)",
		                              "EXECUTE \"d\"(#)" };
	int name = (int)roll(t, UTTER_UNNAMED);

	if (chance(t, 50)) {
		if (t->known[name] != NULL && chance(t, 80))
			utter_close(t, 'S', utter_name(name));
		utter_parse(t, name, some_constant(t));
		utter_sync(t); /* or else a Query is not heard if this fails */
	}
	if (chance(t, 60))
		say_dialect_word(t);
	if (chance(t, 25)) {
		say_sql(t, PICK(t, by_sql));
		return;
	}
	utter_bind(t, "", name);
	if (chance(t, 30))
		utter_describe(t, 'P', "");
	utter_execute(t, "", 0);
	utter_sync(t);
}

/* --- SET LOCAL and savepoints --- */

void say_local(struct talker *t)
{
	static const char *const words[] = {
		"SET LOCAL DateStyle TO SQL",
		"SET DateStyle TO 'German'",
		"SET LOCAL my.own = 'local #'",
		"SET my.own = 'lasts #'",
		"SET LOCAL work_mem = '5MB'",
		"SET work_mem = '6MB'",
		"SET LOCAL ROLE app_ro",
		"SET ROLE app_rw",
		"SELECT set_config('TimeZone', 'Asia/Tokyo', true)",
		"SET TimeZone TO 'Europe/Paris'",
		"SAVEPOINT s",
		"SAVEPOINT s",
		"SAVEPOINT \"S\"",
		"ROLLBACK TO s",
		"ROLLBACK TO SAVEPOINT \"S\"",
		"RELEASE s",
		"SELECT 1/0",
	};
	static const char *const ends[] = { "COMMIT", "COMMIT", "ROLLBACK", "COMMIT AND CHAIN" };
	static const char *const looks[] = {
		"SHOW DateStyle",
		"SELECT coalesce(current_setting('my.own', true), '')",
		"SHOW work_mem",
		"SELECT current_user, current_setting('TimeZone')",
	};

	utter_query(t, "ROLLBACK; BEGIN");
	for (unsigned n = 2 + roll(t, 5); n > 0; n--)
		say_sql(t, chance(t, 80) ? PICK(t, words) : PICK(t, looks));
	say_sql(t, PICK(t, ends));
	if (chance(t, 50))
		utter_end(t);
	say_sql(t, PICK(t, looks));
}

/* --- sequences --- */

static void say_drawing(struct talker *t)
{
	static const char *const words[] = {
		"INSERT INTO @.drawn (word) VALUES ('#')",
		"INSERT INTO @.drawn (word) VALUES ('a'), ('b') RETURNING id",
		"INSERT INTO @.drawn (word) SELECT 'many' FROM generate_series(1, 3)",
		"SELECT nextval('@.drawn_id_seq')",
		"SELECT nextval('@.tickets')",
	};

	say_sql(t, PICK(t, words));
}

/* Means something to currval(), and nothing to lastval(). */
static void say_setting(struct talker *t)
{
	static const char *const words[] = {
		"SELECT setval('@.tickets', 40)",
		"SELECT setval('@.tickets', 50, false)",
		"SELECT setval('@.drawn_id_seq', 60)",
	};

	say_sql(t, PICK(t, words));
}

/* A value that begins with TRANSCRIPT_ASKED. */
static void say_asking(struct talker *t)
{
	static const char *const words[] = {
		"SELECT 'asked ' || lastval()",
		"SELECT 'asked ' || lastval()",
		"SELECT 'asked ' || currval('@.drawn_id_seq')",
		"SELECT 'asked ' || currval('@.tickets')",
	};

	say_sql(t, PICK(t, words));
}

/* What is asked in the block that has drawn has its answer. What is asked later is asked outside of any
 * block, so that no more than that depends on the answer, and the statement is gone after it. */
void say_sequence(struct talker *t)
{
	if (chance(t, 40)) {
		utter_query(t, "ROLLBACK; BEGIN");
		say_drawing(t);
		utter_query(t, "SELECT lastval() - lastval()");
		utter_query(t, chance(t, 70) ? "COMMIT" : "ROLLBACK");
	} else if (chance(t, 60)) {
		say_drawing(t);
	} else if (chance(t, 50)) {
		say_setting(t);
	} else if (chance(t, 30)) {
		utter_query(t, "DISCARD SEQUENCES");
	}
	if (chance(t, 40))
		utter_end(t);
	if (chance(t, 70)) {
		utter_query(t, "ROLLBACK");
		say_asking(t);
		utter_close(t, 'S', "");
		utter_sync(t);
	}
}

/* --- functions by their OID --- */

static const struct call set_calls[] = {
	{ 2078, { "DateStyle", "German", "f" } },
	{ 2078, { "TimeZone", "Asia/Tokyo", "f" } },
	{ 2078, { "my.own", "called by #", "f" } },
	{ 2078, { "work_mem", "#MB", "f" } },
	{ 2078, { "work_mem", "9MB", "t" } },
	{ 2078, { "role", "app_ro", "f" } },
	{ 2078, { "client_encoding", "LATIN1", "f" } },
	{ 2078, { "DateStyle", "nonsense", "f" } },
};

/* Each has a lock of its own, so that nobody waits for another. */
static const struct call lock_calls[] = {
	{ 2880, { "#" } }, /* pg_advisory_lock */
	{ 2881, { "#" } }, /* pg_advisory_lock_shared */
	{ 2884, { "#" } }, /* pg_advisory_unlock */
	{ 2885, { "#" } }, /* pg_advisory_unlock_shared */
	{ 2892, { NULL } }, /* pg_advisory_unlock_all */
};

static const struct call object_calls[] = {
	{ 715, { "9000#" } },           /* lo_create */
	{ 952, { "9000#", "393216" } }, /* lo_open, to read and write */
	{ 955, { "0", "by #" } },       /* lowrite */
	{ 954, { "0", "3" } },          /* loread */
	{ 953, { "0" } },               /* lo_close */
	{ 964, { "9000#" } },           /* lo_unlink */
	{ 1574, { "@.tickets" } },      /* nextval */
};

void say_function(struct talker *t)
{
	switch (roll(t, 3)) {
	case 0:
		utter_call(t, &PICK(t, set_calls));
		break;
	case 1:
		utter_call(t, &PICK(t, lock_calls));
		break;
	default:
		for (unsigned n = 1 + roll(t, 3); n > 0; n--)
			utter_call(t, &PICK(t, object_calls));
	}
}
