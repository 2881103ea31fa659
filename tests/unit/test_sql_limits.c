/* sql.h: names and texts that are too long, and texts that are made to take long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "sql_cases.h"

static const struct sql_reading usual = { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_SAFE };

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
	sql_begin(&c, bytes_of(text), usual);
	sql_next(&c, &m);
	return m;
}

/* One whose name does not fit has none. */
static void check_local(struct sql_mention m, size_t letters)
{
	cr_expect_eq(m.kind, SQL_SET_LOCAL);
	cr_expect_eq(strlen(m.name), letters <= SQL_NAME_MAX ? letters : 0);
}

Test(sql_limits, long_names)
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
		check_local(first_of("SET LOCAL ", n, " = 1"), n);
		check_local(first_of("SELECT set_config('", n, "', '', true)"), n);
	}
	cr_expect_eq(first_of("SET x.", 61, " = 1").kind, SQL_SET);
	cr_expect_eq(first_of("SET x.", 62, " = 1").kind, SQL_SET_UNKNOWN);
}

/* before, fill that many times, behind. Free what is returned. */
static char *around(const char *before, size_t times, const char *fill, const char *behind)
{
	size_t len = strlen(before), step = strlen(fill);
	char *text = malloc(len + times * step + strlen(behind) + 1);

	cr_assert_not_null(text);
	strcpy(text, before);
	for (size_t i = 0; i < times; i++, len += step)
		memcpy(text + len, fill, step);
	strcpy(text + len, behind);
	return text;
}

struct long_case {
	const char *before;
	size_t times;
	const char *fill, *behind;
	unsigned traits;
	const char *mentions;
};

static void check_long(const struct long_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct long_case *c = &cases[i];
		char *text = around(c->before, c->times, c->fill, c->behind);
		struct sql_case one = { text, c->traits, c->mentions };

		sql_check(&one, 1, usual);
		free(text);
	}
}

Test(sql_limits, long_texts)
{
	enum { MANY = 50000 };
	static const struct long_case cases[] = {
		{ "SELECT '", MANY, ";", "'; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT $a$", MANY, ";", "$a$; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT E'", MANY, "\\'", "'; EXECUTE p", SQL_NAMES, "execute p" },
		{ "", MANY, "(", "; EXECUTE p", 0, "" },
		{ "", MANY, "/*", "; EXECUTE p", 0, "" },
		{ "EXPLAIN ", MANY / 3, "EXPLAIN(", "; EXECUTE p", 0, "" },
		{ "SELECT set_config('a', '", MANY, "x", "', true)", SQL_SETS_LOCAL,
		  "local a ['a']" },
		{ "SELECT set_config('a', 1", 200, "+(1)", ", true)", SQL_SETS_LOCAL | SQL_RESETS,
		  "local a ['a']" },
		/* too far to look: better one too many */
		{ "SELECT set_config('a', 1", MANY, "+(1)", ", true)", SQL_SETS | SQL_RESETS,
		  "set a ['a']?" },
	};

	check_long(cases, COUNT(cases));
}

/* What stands where reading ends may be half of something: it is not told. */
Test(sql_limits, end_of_reading)
{
	static const struct long_case cases[] = {
		{ "EXECUTE p;", SQL_READ_MAX - 10, " ", "", SQL_NAMES, "execute p" },
		{ "EXECUTE p;", SQL_READ_MAX - 9, " ", "", SQL_NAMES | SQL_UNKNOWN, "execute p" },
		{ "EXECUTE p;", SQL_READ_MAX, " ", "LISTEN x; EXECUTE q", SQL_NAMES | SQL_UNKNOWN,
		  "execute p" },
		{ "EXECUTE ", SQL_READ_MAX - 7, "p", "", SQL_NAMES | SQL_UNKNOWN, "" },
		{ "DEALLOCATE PREPARE", SQL_READ_MAX, " ", "p",
		  SQL_NAMES | SQL_FORGETS | SQL_UNKNOWN, "" },
		{ "SET x =", SQL_READ_MAX, " ", "1", SQL_SETS | SQL_RESETS | SQL_UNKNOWN, "" },
		{ "SET x = 1", SQL_READ_MAX, " ", "2", SQL_SETS | SQL_UNKNOWN, "" },
		{ "EXECUTE p; SELECT '", SQL_READ_MAX, "x", "'", SQL_NAMES | SQL_UNKNOWN,
		  "execute p" },
	};

	check_long(cases, COUNT(cases));
}

/* Tokens that are taken, those that are looked at again included, to read all of a text. */
static size_t work(const char *text)
{
	struct sql_mention m;
	struct sql_cursor c;

	sql_begin(&c, bytes_of(text), usual);
	while (sql_next(&c, &m))
		;
	cr_expect_eq(c.lex.at, c.lex.end);
	return c.lex.taken;
}

/* Text that is longer by some factor takes longer by no more, whatever it consists of. */
Test(sql_limits, work_is_linear)
{
	static const char *const fills[] = {
		"set_config(",
		"SELECT set_config('a',",
		"SELECT set_config($1,set_config('a'::x,",
		"set_config('search_path',x,",
		"EXPLAIN(",
		"EXPLAIN (a) ",
		"EXPLAIN ANALYZE (EXPLAIN ",
		"SET SESSION ",
		"SET LOCAL ",
		"SET search_path = a,",
		"SET search_path = a;",
		"DECLARE a;",
		"DECLARE a b ",
		"RESET SESSION ",
		"U&\"a\" ",
		"U&\"a\"uescape ",
		"CREATE TABLE a AS ",
		"UPDATE pg_settings ",
		"INSERT INTO pg_temp.",
		"$a$ $b$ ",
		"(",
		";",
	};

	for (size_t i = 0; i < COUNT(fills); i++) {
		size_t times = SQL_READ_MAX / strlen(fills[i]) / 8;
		char *some = around("SELECT ", times, fills[i], ""),
		     *more = around("SELECT ", 7 * times, fills[i], "");

		cr_expect_leq(work(more), 8 * work(some) + 100, "%s", fills[i]);
		free(some);
		free(more);
	}
}
