/* appname.h: the address is whole, the name is cut between characters, 63 bytes are not exceeded; what
 * is not ASCII is spelled as servers do. */
#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/core/appname.h"

#define TEN "0123456789"
#define UMLAUT "\xc3\xa4"       /* two bytes */
#define CLEF "\xf0\x9d\x84\x9e" /* four */

Test(appname, has_name_and_host)
{
	cr_assert_str_eq(appname_with_host("psql", "192.0.2.1", 5000).s, "psql - 192.0.2.1:5000");
	cr_assert_str_eq(appname_with_host("psql", "2001:db8::1", 5000).s,
	                 "psql - [2001:db8::1]:5000");
	cr_assert_str_eq(appname_with_host("", "192.0.2.1", 1).s, "app - 192.0.2.1:1");
	cr_assert_str_eq(appname_with_host(NULL, "192.0.2.1", 1).s, "app - 192.0.2.1:1");
}

/* " - 192.0.2.1:5000" has 17 bytes: 46 are left for the name. */
Test(appname, long_names_give_way_to_the_host)
{
	static const struct {
		const char *name;
		size_t kept;
	} cases[] = {
		{ TEN TEN TEN TEN "012345", 46 },      { TEN TEN TEN TEN "0123456", 46 },
		{ TEN TEN TEN TEN "0123" UMLAUT, 46 }, { TEN TEN TEN TEN "01234" UMLAUT, 45 },
		{ TEN TEN TEN TEN "01" CLEF, 46 },     { TEN TEN TEN TEN "012" CLEF, 43 },
		{ TEN TEN TEN TEN "01234" CLEF, 45 },  { TEN TEN TEN TEN "012345" CLEF, 46 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct appname got = appname_with_host(cases[i].name, "192.0.2.1", 5000);

		cr_expect_eq(strlen(got.s), cases[i].kept + 17, "%zu: %s", i, got.s);
		cr_expect_eq(strncmp(got.s, cases[i].name, cases[i].kept), 0);
		cr_expect_str_eq(got.s + cases[i].kept, " - 192.0.2.1:5000");
	}
}

Test(appname, nothing_but_continuations_is_no_trouble)
{
	char name[100];

	memset(name, 0x80, sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_str_eq(appname_with_host(name, "192.0.2.1", 5000).s, " - 192.0.2.1:5000");
	cr_assert_str_eq(
		appname_with_host("n", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535).s,
		"n - [ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535");
}

/* --- as servers spell it --- */

/* After what is there already. In a buffer that the next call writes again. */
static const char *clean(const char *name, const char *version)
{
	static char text[400];
	struct buf out = { 0 };

	cr_assert_eq(buf_append(&out, "=", 1), ERR_OK);
	cr_assert_eq(appname_put_clean(name, version, &out), ERR_OK);
	cr_assert(out.len > 1 && out.len <= sizeof(text));
	cr_assert_eq(out.at[0], '=', "appended");
	cr_assert_eq(out.at[out.len - 1], '\0');
	memcpy(text, out.at + 1, out.len - 1);
	cr_assert_eq(strlen(text), out.len - 2);
	buf_free(&out);
	return text;
}

Test(appname, is_spelled_in_ascii)
{
	static const struct {
		const char *name, *hex, *marks; /* by 16 and later; before */
	} cases[] = {
		{ "", "", "" },
		{ "psql", "psql", "psql" },
		{ " ~", " ~", " ~" },
		{ "\x1f", "\\x1f", "?" },
		{ "\x7f", "\\x7f", "?" },
		{ "a\tb\n", "a\\x09b\\x0a", "a?b?" },
		{ UMLAUT "x" CLEF, "\\xc3\\xa4x\\xf0\\x9d\\x84\\x9e", "??x????" },
		{ "\x80\xff", "\\x80\\xff", "??" },
		{ "a\\x41'", "a\\x41'", "a\\x41'" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_str_eq(clean(cases[i].name, "16.1"), cases[i].hex, "case %zu", i);
		cr_expect_str_eq(clean(cases[i].name, "15.18"), cases[i].marks, "case %zu", i);
	}
}

Test(appname, is_spelled_by_the_servers_version)
{
	static const struct {
		const char *version;
		bool hex;
	} cases[] = {
		{ "9.6.24", false },
		{ "10.23", false },
		{ "15.18 (Debian 15.18-0+deb12u1)", false },
		{ "16beta1", true },
		{ "16.0", true },
		{ "17devel", true },
		{ "18.1", true },
		{ "100.1", true },
		{ NULL, false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(clean("\x01", cases[i].version), cases[i].hex ? "\\x01" : "?",
		                 "%s", cases[i].version != NULL ? cases[i].version : "none");
}
