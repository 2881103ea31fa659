#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pgseal/base/ini.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct report *rep;
static struct ini *ini;
static char dir[] = "/tmp/pgseal-test-ini.XXXXXX";
static char paths[16][64];
static size_t path_count;

static void start(void)
{
	rep = report_create();
	cr_assert_not_null(mkdtemp(dir));
}

static void stop(void)
{
	ini_release(ini);
	report_free(rep);
	while (path_count > 0)
		unlink(paths[--path_count]);
	rmdir(dir);
}

TestSuite(ini, .init = start, .fini = stop);

static const char *file(const char *name, const char *text)
{
	char *path = paths[path_count++];
	FILE *f;

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

/* All entries as "section.key=value@line|", for comparison. Static. */
static const char *dump(void)
{
	static char out[8192];
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ini_count(ini); i++) {
		const struct ini_entry *e = ini_at(ini, i);

		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s.%s=%s@%d|", e->section,
		                        e->key, e->value, e->at.line);
		cr_assert_lt(len, sizeof(out));
	}
	return out;
}

static const char *finding(size_t i)
{
	int is_error;

	return i < report_lines(rep) ? report_line(rep, i, &is_error) : "(none)";
}

static void load_text(const char *text, size_t len)
{
	ini_release(ini);
	report_free(rep);
	rep = report_create();
	ini = ini_load_text("t", text, len, rep);
	cr_assert_not_null(ini);
}

/* --- what is taken --- */

static const struct {
	const char *what;
	const char *text;
	const char *want;
} good_cases[] = {
	{ "empty", "", "" },
	{ "sections", "top = 0\n[a]\nx=1\n[b]\nx = 2\n", ".top=0@1|a.x=1@3|b.x=2@5|" },
	{ "blanks around", "[a]\r\nx\t=   1  \r\n\r\n", "a.x=1@2|" },
	{ "no newline at the end", "[a]\nx=1", "a.x=1@2|" },
	{ "byte order mark", "\xef\xbb\xbf[a]\nx=1\n", "a.x=1@2|" },
	{ "two byte order marks", "\xef\xbb\xbf\xef\xbb\xbf[a]\nx=1\n", "a.x=1@2|" },
	{ "comments", "; c\n# c\n[a] ; c\n  ; c\nx = 1 ; c\ny = 1;2\n", "a.x=1@5|a.y=1;2@6|" },
	{ "empty value", "[a]\nx =\n", "a.x=@2|" },
	{ "equals and colons in the value", "[a]\nx = host=h port=1:2\n",
	  "a.x=host=h port=1:2@2|" },
	{ "continuation", "[a]\nx = 1,\n  2,\n\t3\ny = 4\n", "a.x=1, 2, 3@2|a.y=4@5|" },
	{ "continuation of nothing yet", "[a]\nx =\n  1\n", "a.x=1@2|" },
	{ "continuation behind a comment", "[a]\nx = 1 ; c\n ; c\n\n  2 ; c\n", "a.x=1 2@2|" },
	{ "continuation that looks like a key", "[a]\nx = 1\n  y = 2\n", "a.x=1 y = 2@2|" },
	{ "continuation that looks like a section", "[a]\nx = 1\n [b]\n", "a.x=1 [b]@2|" },
	{ "same key twice", "[a]\nx = 1\nx = 2\n", "a.x=1@2|a.x=2@3|" },
	{ "key with blanks", "[a]\nx y = 1\n", "a.x y=1@2|" },
};

Test(ini, takes)
{
	for (size_t i = 0; i < COUNT(good_cases); i++) {
		load_text(good_cases[i].text, strlen(good_cases[i].text));
		cr_expect_eq(report_lines(rep), 0, "%s: %s", good_cases[i].what, finding(0));
		cr_expect_str_eq(dump(), good_cases[i].want, "%s: %s", good_cases[i].what, dump());
	}
}

Test(ini, key_longer_than_inih_remembers_still_continues)
{
	char text[256];
	char want[256];

	snprintf(text, sizeof(text), "%060d = a\n b\n", 7);
	snprintf(want, sizeof(want), ".%060d=a b@1|", 7);
	load_text(text, strlen(text));
	cr_assert_eq(report_lines(rep), 0);
	cr_assert_str_eq(dump(), want);
}

/* --- what is refused: findings in order, separated by '|' --- */

static const struct {
	const char *what;
	const char *text;
	const char *findings;
	const char *entries;
} bad_cases[] = {
	{ "no equals sign", "[a]\nword\nx=1\n", "t:2: neither|", "a.x=1@3|" },
	{ "comment before the equals sign", "[a]\nx ;= 1\n", "t:2: neither|", "" },
	{ "colon", "[a]\nx: 1\ny:z = 2\n", "t:2: ':' in a key|t:3: ':' in a key|", "" },
	{ "no key", "[a]\n= 1\n", "t:2: value without a key|", "" },
	{ "unended header loses its entries", "[a]\nx=1\n[b\ny=2\n[c]\nz=3\n",
	  "t:3: section header without its ]|", "a.x=1@2|c.z=3@6|" },
	{ "empty header", "[]\n", "t:1: section without a name|", "" },
	{ "text behind the header", "[a] x = 1\n", "t:1: text behind the section header|", "" },
	{ "semicolon in the header", "[a ;b]\n", "t:1: ';' in a section name|", "" },
	{ "long header", "[01234567890123456789012345678901234567890123456789]\n",
	  "t:1: section name longer|", "" },
	{ "indented first key", "[a]\n  x = 1\n", "t:2: an indented line|", "" },
	{ "indented key in the next section", "[a]\nx = 1\n[b]\n  y = 2\n",
	  "t:4: an indented line|", "a.x=1@2|" },
	{ "a refused line's continuation is refused silently", "[a]\nx = 1\nword\n  more\ny = 2\n",
	  "t:3: neither|", "a.x=1@2|a.y=2@5|" },
	{ "include from memory", "%include a\n", "t:1: %include works in files only|", "" },
	{ "another directive", "%import a\n%includea\n%include\n%include \n",
	  "t:1: %|t:2: %|t:3: %|t:4: %|", "" },
	{ "every finding at once", "a\nb\nc\n", "t:1: neither|t:2: neither|t:3: neither|", "" },
};

/* Does each finding begin with the next part of `want`, and is there none beside? */
static bool findings_are(const char *want)
{
	size_t i = 0;

	for (; *want != '\0'; i++) {
		size_t n = strcspn(want, "|");

		if (strncmp(finding(i), want, n) != 0)
			return false;
		want += n + 1;
	}
	return i == report_errors(rep) && i == report_lines(rep);
}

Test(ini, refuses)
{
	for (size_t i = 0; i < COUNT(bad_cases); i++) {
		load_text(bad_cases[i].text, strlen(bad_cases[i].text));
		cr_expect(findings_are(bad_cases[i].findings), "%s: %zu, %s", bad_cases[i].what,
		          report_lines(rep), finding(0));
		cr_expect_str_eq(dump(), bad_cases[i].entries, "%s: %s", bad_cases[i].what, dump());
	}
}

Test(ini, nul_bytes)
{
	static const char text[] = "[a]\nx = 1\0 2\n  3\ny = 2\0\n\0\n%include \0\n; \0\nz = 4\n";

	load_text(text, sizeof(text) - 1);
	cr_assert_eq(report_errors(rep), 5);
	cr_assert_str_eq(finding(0), "t:2: NUL byte; is this a text file in UTF-8?");
	cr_assert_str_eq(dump(), "a.z=4@8|");
}

/* "x = 111..." of so many bytes, then another entry */
static void load_long(size_t bytes, const char *first, const char *rest)
{
	char text[1024];

	memset(text, '1', sizeof(text));
	memcpy(text, first, strlen(first));
	snprintf(text + bytes, sizeof(text) - bytes, "%s", rest);
	load_text(text, strlen(text));
}

Test(ini, a_line_may_have_198_bytes)
{
	load_long(INI_LINE_BYTES, "x = ", "\r\ny = 2\n");
	cr_assert_eq(report_errors(rep), 0, "%s", finding(0));
	cr_assert_eq(strlen(ini_at(ini, 0)->value), INI_LINE_BYTES - 4);
	load_long(INI_LINE_BYTES + 1, "x = ", "\n  continued\ny = 2\n");
	cr_assert(findings_are("t:1: line longer than 198 bytes; break it|"), "%s", finding(0));
	cr_assert_str_eq(dump(), ".y=2@3|");
	load_long(600, "; ", "\ny = 2\n");
	cr_assert_eq(report_errors(rep), 0, "comments may be longer: %s", finding(0));
}

Test(ini, long_values_are_made_of_continuation_lines)
{
	char text[8192] = "x = begin\n";
	size_t len = strlen(text);

	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "  %040d\n", i);
	load_text(text, len);
	cr_assert_eq(report_errors(rep), 0);
	cr_assert_eq(strlen(ini_at(ini, 0)->value), 5 + 100 * 41);
}

Test(ini, sections_without_entries_are_known)
{
	load_text("[identities]\n[a]\nx=1\n", 21);
	cr_assert(ini_has_section(ini, "identities"));
	cr_assert(ini_has_section(ini, "a"));
	cr_assert(!ini_has_section(ini, "b"));
}

/* --- files --- */

Test(ini, include_is_relative_to_the_including_file)
{
	const char *main_path = file("main.ini", "[a]\nx = 1\n%include part.ini\nz = 3\n");

	file("part.ini", "\xef\xbb\xbfy = 2\n[b]\n\nw = 4\n");
	ini = ini_load(main_path, rep);
	cr_assert_eq(report_errors(rep), 0, "%s", finding(0));
	cr_assert_str_eq(dump(), "a.x=1@2|a.y=2@1|b.w=4@4|b.z=3@4|");
	cr_assert_str_eq(ini_at(ini, 0)->at.file, main_path);
	cr_assert_str_eq(ini_at(ini, 1)->at.file, paths[1]);
	cr_assert_str_eq(ini_at(ini, 3)->at.file, main_path);
}

Test(ini, indented_lines_do_not_reach_across_files)
{
	char want[256];
	const char *main_path = file("main.ini", "x = 1\n%include part.ini\n  2\n");

	file("part.ini", "  3\ny = 4\n");
	ini = ini_load(main_path, rep);
	cr_assert_eq(report_errors(rep), 2);
	snprintf(want, sizeof(want), "%s:1: an indented line", paths[1]);
	cr_assert_eq(strncmp(finding(0), want, strlen(want)), 0, "%s", finding(0));
	snprintf(want, sizeof(want), "%s:3: an indented line", main_path);
	cr_assert_eq(strncmp(finding(1), want, strlen(want)), 0, "%s", finding(1));
	cr_assert_str_eq(dump(), ".x=1@1|.y=4@2|");
}

Test(ini, missing_files_are_findings)
{
	const char *main_path = file("main.ini", "%include gone.ini\nx = 1\n%include /\n");

	ini = ini_load(main_path, rep);
	cr_assert_eq(report_errors(rep), 2);
	cr_assert_not_null(strstr(finding(0), "main.ini:1: \""));
	cr_assert_not_null(strstr(finding(0), "gone.ini\": cannot open: No such file"));
	cr_assert_not_null(strstr(finding(1), "main.ini:3: \"/\": cannot read: Is a directory"));
	cr_assert_str_eq(dump(), ".x=1@2|");
	ini_release(ini);
	ini = ini_load("/nonexistent/pgseal.ini", rep);
	cr_assert_eq(ini_count(ini), 0);
	cr_assert_str_eq(finding(2),
	                 "/nonexistent/pgseal.ini: cannot open: No such file or directory");
}

Test(ini, a_file_may_not_include_itself)
{
	const char *main_path = file("main.ini", "x = 1\n%include part.ini\n");

	file("part.ini", "%include ./main.ini\ny = 2\n");
	ini = ini_load(main_path, rep);
	cr_assert_eq(report_errors(rep), 1);
	cr_assert_not_null(strstr(finding(0), "includes itself"));
	cr_assert_str_eq(dump(), ".x=1@1|.y=2@2|");
}

Test(ini, includes_have_a_depth)
{
	char name[16], text[64];

	for (int i = 0; i <= INI_INCLUDE_DEPTH; i++) {
		snprintf(name, sizeof(name), "%d.ini", i);
		snprintf(text, sizeof(text), "x%d = 1\n%%include %d.ini\n", i, i + 1);
		file(name, text);
	}
	ini = ini_load(paths[0], rep);
	cr_assert_eq(report_errors(rep), 1);
	cr_assert_not_null(strstr(finding(0), "/9.ini:2: %include nested deeper than 10 files"),
	                   "%s", finding(0));
	cr_assert_eq(ini_count(ini), INI_INCLUDE_DEPTH);
}
