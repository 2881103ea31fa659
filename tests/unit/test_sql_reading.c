/* sql.h: texts that are read in more than one way. */
#include <criterion/criterion.h>

#include "sql_cases.h"

static struct sql_reading reading(enum sql_backslashes backslashes, enum sql_encoding encoding)
{
	return (struct sql_reading){ backslashes, encoding };
}

Test(sql_reading, backslashes_escape)
{
	static const struct sql_case cases[] = {
		{ "SELECT 'a\\'; LISTEN x; --'", 0, "" },
		{ "SELECT N'a\\'; LISTEN x; --'", 0, "" },
		{ "SELECT 'a\\\\'; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT '\\", 0, "" },
		{ "SELECT X'\\'; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT \"\\\"; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT $$\\$$; EXECUTE p", SQL_NAMES, "execute p" },
		{ "SELECT set_config('\\141', 'x', false)", SQL_SETS | SQL_TEMP | SQL_SEEDS,
		  "unknown" },
		{ "SELECT set_config('a', '\\'', true)", SQL_SETS_LOCAL, "local a ['a']" },
		{ "SET a = '\\''", SQL_SETS, "set a" },
	};

	sql_check(cases, COUNT(cases), reading(SQL_BACKSLASHES_ESCAPE, SQL_ENCODING_SAFE));
}

/* The traits are those of both; mentions are of one. */
Test(sql_reading, backslashes_unknown)
{
	static const struct sql_case cases[] = {
		{ "SELECT 'a\\'; LISTEN x; --'; CLOSE c", SQL_LISTENS | SQL_FORGETS, "" },
		{ "SELECT 'a'; LISTEN x", SQL_LISTENS, "" },
		{ "SELECT '\\\\'; EXECUTE p", SQL_NAMES, "execute p" },
	};

	sql_check(cases, COUNT(cases), reading(SQL_BACKSLASHES_UNKNOWN, SQL_ENCODING_SAFE));
}

/* The second byte of a character is no backslash, and no sign that ends a word. */
Test(sql_reading, sjis)
{
	static const struct sql_case cases[] = {
		{ "SELECT E'\x83\\'; LISTEN x; --'", SQL_LISTENS, "" },
		{ "SELECT E'\xb1\\'; LISTEN x; --'", 0, "" },
		{ "SELECT E'\xfc\\\\'; LISTEN x; --'", 0, "" },
		{ "SELECT E'\x83\\\\'; LISTEN x; --'", 0, "" },
		{ "SELECT E'\x83\\\\\\'; LISTEN x; --'", SQL_LISTENS, "" },
		{ "SELECT '\x83\\'; LISTEN x; --'", SQL_LISTENS, "" },
		{ "SELECT \x83[$a$;LISTEN x;SELECT $a$", SQL_LISTENS, "" },
		{ "PREPARE \x83\\A\x83"
		  "A AS SELECT 1",
		  SQL_PREPARES | SQL_NAMES,
		  "prepare \x83\\a\x83"
		  "A [\x83\\A\x83"
		  "A]" },
		{ "SELECT $\x83\\$;LISTEN x;$\x83\\$", SQL_UNKNOWN | SQL_LISTENS, "" },
		{ "SELECT '\x81_'", SQL_UNKNOWN, "" },
		{ "SELECT E'\x83'; LISTEN x", SQL_LISTENS, "" },
	};

	sql_check(cases, COUNT(cases), reading(SQL_BACKSLASHES_PLAIN, SQL_ENCODING_SJIS));
}

Test(sql_reading, wide)
{
	static const struct sql_case cases[] = {
		{ "SELECT E'\xb1\\'; LISTEN x; --'", SQL_LISTENS, "" },
		{ "SELECT E'\x81\x30\x81\x30\\'; LISTEN x; --'", 0, "" },
		{ "SELECT E'\xfe\\'; LISTEN x; --'", SQL_LISTENS, "" },
		{ "SELECT E'\xff\\'; LISTEN x; --'", 0, "" },
		{ "SELECT \xb1|$a$;LISTEN x;SELECT $a$", SQL_LISTENS, "" },
		{ "SELECT '\x81_'", 0, "" },
	};

	sql_check(cases, COUNT(cases), reading(SQL_BACKSLASHES_PLAIN, SQL_ENCODING_WIDE));
}

Test(sql_reading, pairs_and_plain_backslashes)
{
	static const struct sql_case cases[] = {
		{ "SELECT '\xb1\\'; LISTEN x; --'", SQL_LISTENS, "" },
		{ "SELECT 'x\\'; LISTEN x; --'", 0, "" },
	};

	sql_check(cases, COUNT(cases), reading(SQL_BACKSLASHES_ESCAPE, SQL_ENCODING_WIDE));
}

Test(sql_reading, encoding_unknown)
{
	static const struct sql_case cases[] = {
		{ "SELECT E'\x83\\'; LISTEN x; --'; CLOSE c", SQL_LISTENS | SQL_FORGETS, "" },
		{ "SELECT E'\xb1\\'; LISTEN x; --'; CLOSE c", SQL_LISTENS | SQL_FORGETS, "" },
		{ "SELECT \x83[$a$;LISTEN x;SELECT $a$", SQL_LISTENS, "" },
		{ "SELECT \x83$a$;LISTEN x;SELECT $a$", SQL_LISTENS, "" },
		{ "SELECT E'x\\'; LISTEN x; --'", 0, "" },
		{ "SELECT '\x81_'", SQL_UNKNOWN, "" },
	};

	sql_check(cases, COUNT(cases), reading(SQL_BACKSLASHES_PLAIN, SQL_ENCODING_UNKNOWN));
}

struct certain_case {
	const char *text;
	struct sql_reading how;
	bool certain;
};

Test(sql_reading, certain)
{
	static const struct certain_case cases[] = {
		{ "SELECT '\\'", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_SAFE }, true },
		{ "SELECT '\\'", { SQL_BACKSLASHES_ESCAPE, SQL_ENCODING_SAFE }, true },
		{ "SELECT '\\'", { SQL_BACKSLASHES_UNKNOWN, SQL_ENCODING_SAFE }, false },
		{ "SELECT '/'", { SQL_BACKSLASHES_UNKNOWN, SQL_ENCODING_UNKNOWN }, true },
		{ "\xe3\x81\x82'", { SQL_BACKSLASHES_UNKNOWN, SQL_ENCODING_UNKNOWN }, true },
		{ "\xe3\x81\x82z9", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_UNKNOWN }, true },
		{ "\xe3\x81\x82\\", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_UNKNOWN }, false },
		{ "\xe3\x81\x82]", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_UNKNOWN }, false },
		{ "\xe3\x81\x82~", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_UNKNOWN }, false },
		{ "\xe3\x81\x82\\", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_SJIS }, true },
		{ "\xe3\x81\x82\\", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_WIDE }, true },
		{ "\x81_", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_UNKNOWN }, false },
		{ "\x81_", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_SJIS }, false },
		{ "\x81_", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_WIDE }, true },
		{ "\x81_", { SQL_BACKSLASHES_PLAIN, SQL_ENCODING_SAFE }, true },
		{ "", { SQL_BACKSLASHES_UNKNOWN, SQL_ENCODING_UNKNOWN }, true },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(sql_certain(bytes_of(cases[i].text), cases[i].how), cases[i].certain,
		             "case %zu", i);
	cr_expect(sql_certain((struct bytes){ NULL, 0 }, sql_reading_of(NULL, NULL)));
}

struct name_case {
	const char *name;
	enum sql_encoding is;
};

/* As PostgreSQL reports them, and as clients may spell them. */
Test(sql_reading, encodings)
{
	static const struct name_case cases[] = {
		{ "UTF8", SQL_ENCODING_SAFE },
		{ "utf-8", SQL_ENCODING_SAFE },
		{ "Unicode", SQL_ENCODING_SAFE },
		{ "SQL_ASCII", SQL_ENCODING_SAFE },
		{ "LATIN1", SQL_ENCODING_SAFE },
		{ "LATIN10", SQL_ENCODING_SAFE },
		{ "ISO_8859_5", SQL_ENCODING_SAFE },
		{ "WIN1252", SQL_ENCODING_SAFE },
		{ "windows-1258", SQL_ENCODING_SAFE },
		{ "WIN866", SQL_ENCODING_SAFE },
		{ "WIN874", SQL_ENCODING_SAFE },
		{ "KOI8R", SQL_ENCODING_SAFE },
		{ "EUC_JP", SQL_ENCODING_SAFE },
		{ "EUC_JIS_2004", SQL_ENCODING_SAFE },
		{ "EUC_TW", SQL_ENCODING_SAFE },
		{ "MULE_INTERNAL", SQL_ENCODING_SAFE },
		{ "SJIS", SQL_ENCODING_SJIS },
		{ "ShiftJIS", SQL_ENCODING_SJIS },
		{ "Shift_JIS", SQL_ENCODING_SJIS },
		{ "SHIFT_JIS_2004", SQL_ENCODING_SJIS },
		{ "mskanji", SQL_ENCODING_SJIS },
		{ "win932", SQL_ENCODING_SJIS },
		{ "Windows-932", SQL_ENCODING_SJIS },
		{ "BIG5", SQL_ENCODING_WIDE },
		{ "win950", SQL_ENCODING_WIDE },
		{ "windows950", SQL_ENCODING_WIDE },
		{ "GBK", SQL_ENCODING_WIDE },
		{ "WIN936", SQL_ENCODING_WIDE },
		{ "windows936", SQL_ENCODING_WIDE },
		{ "UHC", SQL_ENCODING_WIDE },
		{ "win949", SQL_ENCODING_WIDE },
		{ "windows-949", SQL_ENCODING_WIDE },
		{ "GB18030", SQL_ENCODING_WIDE },
		{ "gb-18030", SQL_ENCODING_WIDE },
		{ "JOHAB", SQL_ENCODING_WIDE },
		{ "", SQL_ENCODING_UNKNOWN },
		{ "EBCDIC", SQL_ENCODING_UNKNOWN },
		{ "win9999", SQL_ENCODING_UNKNOWN },
		{ "a name that is far too long for any of them", SQL_ENCODING_UNKNOWN },
		{ NULL, SQL_ENCODING_UNKNOWN },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(sql_reading_of("on", cases[i].name).encoding, cases[i].is, "case %zu",
		             i);
}

Test(sql_reading, conforming_strings)
{
	cr_expect_eq(sql_reading_of("on", "UTF8").backslashes, SQL_BACKSLASHES_PLAIN);
	cr_expect_eq(sql_reading_of("ON", "UTF8").backslashes, SQL_BACKSLASHES_PLAIN);
	cr_expect_eq(sql_reading_of("off", "UTF8").backslashes, SQL_BACKSLASHES_ESCAPE);
	cr_expect_eq(sql_reading_of("of", "UTF8").backslashes, SQL_BACKSLASHES_UNKNOWN);
	cr_expect_eq(sql_reading_of("", "UTF8").backslashes, SQL_BACKSLASHES_UNKNOWN);
	cr_expect_eq(sql_reading_of(NULL, "UTF8").backslashes, SQL_BACKSLASHES_UNKNOWN);
}
