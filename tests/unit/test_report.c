#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/report.h"

Test(report, keeps_order_and_counts_errors_apart)
{
	struct report *rep = report_create();
	int is_error = -1;

	cr_assert_eq(report_lines(rep), 0);
	report_error(rep, (struct place){ "a.ini", 3 }, "no such setting \"%s\"", "x");
	report_notice(rep, (struct place){ "a.ini", 0 }, "ignored");
	report_error(rep, (struct place){ NULL, 0 }, "no cores");
	cr_assert_eq(report_errors(rep), 2);
	cr_assert_eq(report_lines(rep), 3);
	cr_assert_str_eq(report_line(rep, 0, &is_error), "a.ini:3: no such setting \"x\"");
	cr_assert(is_error);
	cr_assert_str_eq(report_line(rep, 1, &is_error), "a.ini: ignored");
	cr_assert(!is_error);
	cr_assert_str_eq(report_line(rep, 2, &is_error), "no cores");
	report_free(rep);
}

Test(report, remembers_which_file)
{
	struct report *rep = report_create();
	const char *setting, *path;
	int is_error;

	report_error(rep, (struct place){ NULL, 0 }, "no cores");
	report_file_error(rep, (struct place){ "a.ini", 3 }, "key_file", "/a\tb", "is gone");
	cr_assert_eq(report_errors(rep), 2);
	cr_assert_not(report_file(rep, 0, &setting, &path));
	cr_assert(report_file(rep, 1, &setting, &path));
	cr_assert_str_eq(setting, "key_file");
	cr_assert_str_eq(path, "/a\tb");
	cr_assert_str_eq(report_line(rep, 1, &is_error), "a.ini:3: key_file: /a\\x09b: is gone");
	report_free(rep);
}

Test(report, holds_many_and_long_findings)
{
	struct report *rep = report_create();
	int is_error;

	for (int i = 1; i <= 1000; i++)
		report_error(rep, (struct place){ "a.ini", i }, "%1000d", i);
	cr_assert_eq(report_lines(rep), 1000);
	cr_assert_eq(strlen(report_line(rep, 999, &is_error)), strlen("a.ini:1000: ") + 1000);
	report_free(rep);
}

Test(report, prints_one_finding_a_line)
{
	struct report *rep = report_create();
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	report_notice(rep, (struct place){ "b.ini", 7 }, "old name");
	report_error(rep, (struct place){ "b.ini", 8 }, "%s", "100% wrong");
	report_print(rep, to);
	fclose(to);
	cr_assert_str_eq(text, "notice: b.ini:7: old name\nerror: b.ini:8: 100% wrong\n");
	free(text);
	report_free(rep);
	report_free(NULL);
}
