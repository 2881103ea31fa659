#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/base/bytes.h"

#define LIT(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- spans and buffers --- */

Test(bytes, equal_compares_length_and_contents)
{
	cr_assert(bytes_equal(LIT("a\0b"), LIT("a\0b")));
	cr_assert(!bytes_equal(LIT("a\0b"), LIT("a\0c")));
	cr_assert(!bytes_equal(LIT("ab"), LIT("abc")));
	cr_assert(bytes_equal(bytes_of(NULL), bytes_of("")));
	cr_assert(bytes_equal_secret(LIT("key"), LIT("key")));
	cr_assert(!bytes_equal_secret(LIT("key"), LIT("kez")));
	cr_assert(!bytes_equal_secret(LIT("key"), LIT("keys")));
	cr_assert(bytes_equal_secret(bytes_of(NULL), bytes_of(NULL)));
}

Test(bytes, buffer_grows_and_gives_memory_back)
{
	struct buf b = { 0 };

	for (int i = 0; i < 1000; i++)
		cr_assert_eq(buf_append(&b, "0123456789", 10), ERR_OK);
	cr_assert_eq(b.len, 10000);
	buf_consume(&b, 9995);
	cr_assert_eq(b.len, 5);
	cr_assert_eq(memcmp(b.at, "56789", 5), 0);
	buf_consume(&b, 5);
	cr_assert_null(b.at);
	cr_assert_eq(buf_append(&b, NULL, 0), ERR_OK);
	cr_assert_eq(buf_append(&b, "x", 1), ERR_OK);
	buf_free(&b);
	cr_assert_eq(b.cap, 0);
}

Test(bytes, buffer_refuses_impossible_sizes_unchanged)
{
	struct buf b = { 0 };

	cr_assert_eq(buf_append(&b, "abc", 3), ERR_OK);
	cr_assert_eq(buf_reserve(&b, SIZE_MAX), ERR_NO_MEMORY);
	cr_assert_eq(buf_reserve(&b, SIZE_MAX / 2), ERR_NO_MEMORY);
	cr_assert_eq(b.len, 3);
	cr_assert_eq(memcmp(b.at, "abc", 3), 0);
	buf_free(&b);
}

/* --- UTF-8 --- */

static const struct {
	const char *what;
	struct bytes in;
	bool want;
} utf8_cases[] = {
	{ "empty", { NULL, 0 }, true },
	{ "ASCII with NUL", LIT("a\0b"), true },
	{ "two, three and four bytes", LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), true },
	{ "last code point", LIT("\xf4\x8f\xbf\xbf"), true },
	{ "above U+10FFFF", LIT("\xf4\x90\x80\x80"), false },
	{ "five byte form", LIT("\xf8\x88\x80\x80\x80"), false },
	{ "overlong slash, two bytes", LIT("\xc0\xaf"), false },
	{ "overlong slash, three bytes", LIT("\xe0\x80\xaf"), false },
	{ "overlong, four bytes", LIT("\xf0\x8f\xbf\xbf"), false },
	{ "surrogate", LIT("\xed\xa0\x80"), false },
	{ "last before the surrogates", LIT("\xed\x9f\xbf"), true },
	{ "first behind the surrogates", LIT("\xee\x80\x80"), true },
	{ "lone continuation", LIT("\x80"), false },
	{ "cut short", LIT("\xe2\x82"), false },
	{ "wrong continuation", LIT("\xe2\x82("), false },
	{ "wrong third of four", LIT("\xf0\x9f(\x80"), false },
};

Test(bytes, utf8_is_that_of_rfc_3629)
{
	for (size_t i = 0; i < COUNT(utf8_cases); i++)
		cr_expect_eq(utf8_valid(utf8_cases[i].in), utf8_cases[i].want, "%s",
		             utf8_cases[i].what);
}

Test(bytes, ascii_is_below_0x80)
{
	cr_expect(bytes_ascii(bytes_of("")));
	cr_expect(bytes_ascii(LIT("\0\x01 a~\x7f")));
	cr_expect_not(bytes_ascii(LIT("a\x80")));
	cr_expect_not(bytes_ascii(LIT("\xff")));
}

Test(bytes, unhex_takes_pairs_of_digits_in_lower_case)
{
	char good[] = "4d00c3bcff", *bad[] = { (char[]){ "4" }, (char[]){ "4d5" }, (char[]){ "4D" },
		                               (char[]){ "g0" }, (char[]){ "0 " } };
	char none[] = "";

	cr_assert(bytes_unhex(good));
	cr_expect_arr_eq(good, "M\0\xc3\xbc\xff", 6);
	cr_expect(bytes_unhex(none));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(bytes_unhex(bad[i]), "%zu", i);
}

/* --- quoting --- */

static const struct {
	const char *what;
	struct bytes in;
	const char *want;
} quote_cases[] = {
	{ "empty", { NULL, 0 }, "" },
	{ "plain", LIT("app user"), "app user" },
	{ "UTF-8 stays", LIT("J\xc3\xbcrgen"), "J\xc3\xbcrgen" },
	{ "line end and NUL", LIT("a\nb\0c"), "a\\x0ab\\x00c" },
	{ "quote and backslash", LIT("\"\\"), "\\x22\\x5c" },
	{ "DEL and escape", LIT("\x7f\x1b[0m"), "\\x7f\\x1b[0m" },
	{ "broken UTF-8", LIT("\xff\xc3("), "\\xff\\xc3(" },
	{ "C1 control", LIT("\xc2\x9b"), "\\xc2\\x9b" },
	{ "direction override", LIT("\xe2\x80\xae"), "\\xe2\\x80\\xae" },
	{ "direction isolate", LIT("\xe2\x81\xa6"), "\\xe2\\x81\\xa6" },
	{ "other punctuation stays", LIT("\xe2\x80\x93"), "\xe2\x80\x93" },
};

Test(bytes, quote_leaves_nothing_that_could_break_a_line)
{
	for (size_t i = 0; i < COUNT(quote_cases); i++)
		cr_expect_str_eq(quote(quote_cases[i].in).s, quote_cases[i].want, "%s",
		                 quote_cases[i].what);
	cr_expect_str_eq(quote_str(NULL).s, "");
}

Test(bytes, quote_marks_a_cut_and_cuts_between_characters)
{
	char in[400];
	struct quoted q;

	memset(in, 'x', sizeof(in));
	q = quote((struct bytes){ (uint8_t *)in, 256 });
	cr_assert_eq(strlen(q.s), 256);
	q = quote((struct bytes){ (uint8_t *)in, 257 });
	cr_assert_eq(strlen(q.s), 259);
	cr_assert_str_eq(q.s + 256, "...");
	in[255] = '\n'; /* its four characters do not fit any more */
	q = quote((struct bytes){ (uint8_t *)in, 256 });
	cr_assert_eq(strlen(q.s), 258);
	cr_assert_str_eq(q.s + 255, "...");
}

/* --- numbers --- */

struct number_case {
	const char *in;
	enum err rc;
	int64_t want;
};

static const struct number_case int_cases[] = {
	{ "0", ERR_OK, 0 },
	{ "-10", ERR_OK, -10 },
	{ "100", ERR_OK, 100 },
	{ "007", ERR_OK, 7 },
	{ "101", ERR_RANGE, 0 },
	{ "-11", ERR_RANGE, 0 },
	{ "99999999999999999999", ERR_RANGE, 0 },
	{ "99999999999999999999x", ERR_SYNTAX, 0 },
	{ "", ERR_SYNTAX, 0 },
	{ "-", ERR_SYNTAX, 0 },
	{ "+1", ERR_SYNTAX, 0 },
	{ " 1", ERR_SYNTAX, 0 },
	{ "1 ", ERR_SYNTAX, 0 },
	{ "0x10", ERR_SYNTAX, 0 },
	{ "1.0", ERR_SYNTAX, 0 },
};

Test(bytes, parse_int)
{
	for (size_t i = 0; i < COUNT(int_cases); i++) {
		const struct number_case *c = &int_cases[i];
		int64_t n = 0;

		cr_expect_eq(parse_int(c->in, -10, 100, &n), c->rc, "\"%s\"", c->in);
		cr_expect_eq(n, c->want, "\"%s\"", c->in);
	}
}

static const struct number_case duration_cases[] = {
	{ "0", ERR_OK, 0 },
	{ "15", ERR_OK, 15 * USEC_PER_SEC },
	{ "0.5", ERR_OK, 500 * USEC_PER_MS },
	{ "1.5s", ERR_OK, 1500 * USEC_PER_MS },
	{ "100ms", ERR_OK, 100 * USEC_PER_MS },
	{ "7us", ERR_OK, 7 },
	{ "0.1us", ERR_OK, 1 },
	{ "2min", ERR_OK, 120 * USEC_PER_SEC },
	{ "1h", ERR_OK, 3600 * USEC_PER_SEC },
	{ "0.000001d", ERR_OK, 86400 },
	{ "1d", ERR_OK, 86400 * USEC_PER_SEC },
	{ "99999999999d", ERR_RANGE, 0 },
	{ "9223372036854775807", ERR_RANGE, 0 },
	{ "99999999999999999999", ERR_RANGE, 0 },
	{ "-1", ERR_SYNTAX, 0 },
	{ "", ERR_SYNTAX, 0 },
	{ "s", ERR_SYNTAX, 0 },
	{ ".5", ERR_SYNTAX, 0 },
	{ "5.", ERR_SYNTAX, 0 },
	{ "0.1234567", ERR_SYNTAX, 0 },
	{ "1 s", ERR_SYNTAX, 0 },
	{ "1S", ERR_SYNTAX, 0 },
	{ "1m", ERR_SYNTAX, 0 },
	{ "1s2", ERR_SYNTAX, 0 },
};

Test(bytes, parse_duration)
{
	for (size_t i = 0; i < COUNT(duration_cases); i++) {
		const struct number_case *c = &duration_cases[i];
		usec_t us = 0;

		cr_expect_eq(parse_duration(c->in, &us), c->rc, "\"%s\"", c->in);
		cr_expect_eq(us, c->want, "\"%s\" gives %jd", c->in, (intmax_t)us);
	}
}

static const struct number_case size_cases[] = {
	{ "0", ERR_OK, 0 },
	{ "2147483647", ERR_OK, 2147483647 },
	{ "64kB", ERR_OK, 65536 },
	{ "1MB", ERR_OK, 1 << 20 },
	{ "3GB", ERR_OK, INT64_C(3) << 30 },
	{ "5B", ERR_OK, 5 },
	{ "9999999999999GB", ERR_RANGE, 0 },
	{ "1KB", ERR_SYNTAX, 0 },
	{ "1.5kB", ERR_SYNTAX, 0 },
	{ "-1", ERR_SYNTAX, 0 },
	{ "kB", ERR_SYNTAX, 0 },
};

Test(bytes, parse_size)
{
	for (size_t i = 0; i < COUNT(size_cases); i++) {
		const struct number_case *c = &size_cases[i];
		int64_t n = 0;

		cr_expect_eq(parse_size(c->in, &n), c->rc, "\"%s\"", c->in);
		cr_expect_eq(n, c->want, "\"%s\"", c->in);
	}
}

Test(bytes, parse_bool)
{
	static const char *const yes[] = { "1", "on", "True", "YES" };
	static const char *const no[] = { "0", "off", "False", "NO" };
	bool flag;

	for (size_t i = 0; i < COUNT(yes); i++)
		cr_expect(parse_bool(yes[i], &flag) == ERR_OK && flag, "%s", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		cr_expect(parse_bool(no[i], &flag) == ERR_OK && !flag, "%s", no[i]);
	cr_expect_eq(parse_bool("2", &flag), ERR_SYNTAX);
	cr_expect_eq(parse_bool("", &flag), ERR_SYNTAX);
}

Test(bytes, duration_text_is_short_and_exact)
{
	static const struct {
		usec_t us;
		const char *want;
	} cases[] = {
		{ 0, "0" },
		{ 1, "1us" },
		{ 1500, "1500us" },
		{ 100 * USEC_PER_MS, "100ms" },
		{ 15 * USEC_PER_SEC, "15s" },
		{ 90 * USEC_PER_SEC, "90s" },
		{ 120 * USEC_PER_SEC, "2min" },
		{ 3600 * USEC_PER_SEC, "1h" },
		{ 48 * 3600 * USEC_PER_SEC, "2d" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		usec_t back = -1;

		cr_expect_str_eq(duration_text(cases[i].us).s, cases[i].want);
		cr_expect_eq(parse_duration(cases[i].want, &back), ERR_OK);
		cr_expect_eq(back, cases[i].us);
	}
}

/* --- error texts: err.c is too small for a file of its own --- */

Test(err, every_number_has_a_text)
{
	for (int e = 0; e < ERR_COUNT; e++)
		cr_expect_not_null(err_text((enum err)e));
	cr_expect_str_eq(err_text(ERR_COUNT), "unknown error");
}

Test(err, set_returns_the_number_and_cuts_the_text)
{
	struct errbuf why;

	cr_expect_eq(err_set(NULL, ERR_IO, "no room"), ERR_IO);
	cr_expect_eq(err_set(&why, ERR_CONFIG, "%600d", 1), ERR_CONFIG);
	cr_expect_eq(strlen(why.text), sizeof(why.text) - 1);
}

Test(clock, goes_on)
{
	usec_t before = clock_now_us();

	cr_expect_geq(clock_now_us(), before);
	cr_expect_gt(clock_wall_us(), 1600000000 * USEC_PER_SEC);
}
