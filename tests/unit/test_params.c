/* params.h: sets are shared and sorted, and what is asked of them. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/core/params.h"

/* Freeing it proves that no reference is left. */
static struct params_table *table;

static void begin(void)
{
	cr_assert_not_null(table = params_table_create());
}

static void end(void)
{
	params_table_free(table);
}

TestSuite(params, .init = begin, .fini = end);

/* "name=value", those that are reported with a '*' in front; NULL ends. */
static struct params *set_of(const char *const *pairs)
{
	struct params *p = params_parse(table, (struct bytes){ NULL, 0 });

	cr_assert_not_null(p);
	for (; *pairs != NULL; pairs++) {
		const char *name = *pairs + (**pairs == '*');
		char *copy = strdup(name), *value = strchr(copy, '=');

		*value++ = '\0';
		cr_assert_eq(params_put(table, &p, copy, value, **pairs == '*'), ERR_OK);
		free(copy);
	}
	return p;
}

#define SET(...) set_of((const char *const[]){ __VA_ARGS__, NULL })

Test(params, are_found_without_regard_to_case)
{
	struct params *p = SET("work_mem=1MB", "*TimeZone=UTC", "my.own=x");
	const struct param *row;

	cr_assert_not_null(row = params_find(p, "timezone"));
	cr_expect_str_eq(row->name, "TimeZone", "in the server's spelling");
	cr_expect_str_eq(row->value, "UTC");
	cr_expect(row->reported);
	cr_assert_not_null(row = params_find(p, "WORK_MEM"));
	cr_expect_str_eq(row->value, "1MB");
	cr_expect_not(row->reported);
	cr_expect_str_eq(params_get(p, "my.own"), "x");
	cr_expect_null(params_find(p, "work"));
	cr_expect_null(params_find(p, "work_memory"));
	cr_expect_null(params_find(p, ""));
	cr_expect_null(params_get(p, "zzz"));
	params_release(table, p);
}

Test(params, nothing_is_found_in_none)
{
	struct params *p = SET(NULL);

	cr_expect_eq(params_count(p), 0);
	cr_expect_null(params_find(p, "TimeZone"));
	params_release(table, p);
}

Test(params, are_found_among_many)
{
	struct params *p = SET(NULL);
	char name[] = "a.a";

	for (char c = 'z'; c >= 'a'; c--) {
		name[2] = c;
		cr_assert_eq(params_put(table, &p, name, name + 2, false), ERR_OK);
	}
	cr_assert_eq(params_count(p), 26);
	for (char c = 'a'; c <= 'z'; c++) {
		name[2] = c;
		cr_expect_str_eq(params_get(p, name), name + 2);
	}
	params_release(table, p);
}

Test(params, dropped_from_any_place)
{
	static const struct {
		const char *name, *left[3];
	} cases[] = {
		{ "a", { "b", "c", "d" } }, { "b", { "a", "c", "d" } }, { "B", { "a", "c", "d" } },
		{ "c", { "a", "b", "d" } }, { "d", { "a", "b", "c" } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct params *p = SET("a=1", "*b=2", "c=3", "d=4"), *whole = params_hold(p);

		cr_assert_eq(params_drop(table, &p, cases[i].name), ERR_OK);
		cr_expect_null(params_find(p, cases[i].name), "%s", cases[i].name);
		cr_assert_eq(params_count(p), 3);
		for (size_t k = 0; k < 3; k++)
			cr_expect_str_eq(params_at(p, k)->name, cases[i].left[k]);
		cr_expect_eq(params_count(whole), 4, "the other reference sees nothing of it");
		params_release(table, p);
		params_release(table, whole);
	}
}

/* The set without it is the one that others have. */
Test(params, dropped_sets_are_shared)
{
	struct params *less = SET("a=1", "c=3"), *p = SET("c=3", "b=2", "a=1");

	cr_assert_eq(params_drop(table, &p, "b"), ERR_OK);
	cr_expect_eq(p, less);
	params_release(table, p);
	params_release(table, less);
}

Test(params, the_last_may_be_dropped)
{
	struct params *none = SET(NULL), *p = SET("a=1");

	cr_assert_eq(params_drop(table, &p, "a"), ERR_OK);
	cr_expect_eq(p, none);
	cr_assert_eq(params_drop(table, &p, "a"), ERR_OK);
	cr_expect_eq(p, none, "nothing to drop");
	params_release(table, p);
	params_release(table, none);
}

Test(params, what_is_not_there_cannot_be_dropped)
{
	struct params *p = SET("a=1", "b=2"), *same = params_hold(p);

	cr_assert_eq(params_drop(table, &p, "c"), ERR_OK);
	cr_expect_eq(p, same);
	params_release(table, p);
	params_release(table, same);
}

/* --- literals --- */

Test(params, literals)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "E''" },
		{ "UTC", "E'UTC'" },
		{ "it's", "E'it''s'" },
		{ "''", "E''''''" },
		{ "C:\\x", "E'C:\\\\x'" },
		{ "\\'", "E'\\\\'''" },
		{ "\\", "E'\\\\'" },
		{ "$$ \"a\" ; -- /* %s", "E'$$ \"a\" ; -- /* %s'" },
		{ "a\nb\tc", "E'a\nb\tc'" },
		{ "\xc3\xa4", "E'\xc3\xa4'" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf sql = { 0 };

		cr_assert_eq(buf_append(&sql, "x=", 2), ERR_OK);
		cr_assert_eq(params_literal(&sql, cases[i].text), ERR_OK);
		cr_assert_eq(buf_append(&sql, "", 1), ERR_OK);
		cr_expect_str_eq((const char *)sql.at + 2, cases[i].want);
		cr_expect_eq(memcmp(sql.at, "x=", 2), 0, "appended");
		buf_free(&sql);
	}
}
