/* params.h: sets are shared and sorted, and what is asked of them. */
#include <criterion/criterion.h>
#include <stdio.h>
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

/* "name=value"; NULL ends. */
static struct params *set_of(const char *const *pairs)
{
	struct params *p = params_parse(table, (struct bytes){ NULL, 0 });

	cr_assert_not_null(p);
	for (; *pairs != NULL; pairs++) {
		char *copy = strdup(*pairs), *value = strchr(copy, '=');

		*value++ = '\0';
		cr_assert_eq(params_put(table, &p, copy, value), ERR_OK);
		free(copy);
	}
	return p;
}

#define SET(...) set_of((const char *const[]){ __VA_ARGS__, NULL })

Test(params, are_found_without_regard_to_case)
{
	struct params *p = SET("work_mem=1MB", "TimeZone=UTC", "my.own=x");
	const struct param *row;

	cr_assert_not_null(row = params_find(p, "timezone"));
	cr_expect_str_eq(row->name, "TimeZone", "in the spelling that it came with");
	cr_expect_str_eq(row->value, "UTC");
	cr_assert_not_null(row = params_find(p, "WORK_MEM"));
	cr_expect_str_eq(row->value, "1MB");
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
		cr_assert_eq(params_put(table, &p, name, name + 2), ERR_OK);
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
		struct params *p = SET("a=1", "b=2", "c=3", "d=4"), *whole = params_hold(p);

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
		{ "it's", "E'it\\x27s'" },
		{ "C:\\x", "E'C:\\x5cx'" },
		{ "\\'", "E'\\x5c\\x27'" },
		{ "$$ \"a\" ; -- /* %s", "E'$$ \"a\" ; -- /* %s'" },
		{ "a\nb\tc", "E'a\nb\tc'" },
		{ "\xc3\xa4", "E'\\xc3\\xa4'" },
		{ "\x95\x5c", "E'\\x95\\x5c'" }, /* what looks like a backslash, too */
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

/* --- from one set to another --- */

/* The statements, each ended by "; ". */
static const char *difference(const struct params *want, const struct params *have)
{
	static char text[4096];
	struct buf sql = { 0 };
	size_t n = 0;

	cr_assert_eq(params_difference(want, have, &sql), ERR_OK);
	for (const char *at = (const char *)sql.at; at < (const char *)sql.at + sql.len;
	     at += strlen(at) + 1)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s; ", at);
	text[n] = '\0';
	buf_free(&sql);
	return text;
}

#define SETS(name, value) "pg_catalog.set_config(E'" name "',E'" value "',false) IS NULL"
#define PAIRS(...) ((const char *[]){ __VA_ARGS__, NULL })

Test(params, differences)
{
	const struct {
		const char *const *want, *const *have; /* have NULL: nobody knows */
		const char *sql;
	} cases[] = {
		{ PAIRS("a.b=1"), PAIRS("A.b=1"), "" },
		{ PAIRS("a.b=1"), PAIRS(NULL), "SELECT " SETS("a.b", "1") "; " },
		{ PAIRS("work_mem=2", "a.b=1"), PAIRS("work_mem=1", "a.b=1"),
		  "SELECT " SETS("work_mem", "2") "; " },
		{ PAIRS(NULL), PAIRS("a.b=1"), "RESET ALL; " },
		{ PAIRS("x.y=2", "z.z=3"), PAIRS("a.b=1", "z.z=3"),
		  "RESET ALL; SELECT " SETS("x.y", "2") ", " SETS("z.z", "3") "; " },
		{ PAIRS("z.z=3"), NULL, "RESET ROLE; RESET ALL; SELECT " SETS("z.z", "3") "; " },
		{ PAIRS(NULL), NULL, "RESET ROLE; RESET ALL; " },
		/* half a value builds on what was there before */
		{ PAIRS("datestyle=ISO"), PAIRS(NULL), "SELECT " SETS("datestyle", "ISO") "; " },
		{ PAIRS("datestyle=ISO"), PAIRS("DateStyle=German, DMY"),
		  "RESET DateStyle; SELECT " SETS("datestyle", "ISO") "; " },
		/* what needs the rights of the session's own role comes while that is in force */
		{ PAIRS("role=grp", "z.z=3"), PAIRS(NULL),
		  "SELECT " SETS("z.z", "3") ", " SETS("role", "grp") "; " },
		{ PAIRS(NULL), PAIRS("role=grp"), "RESET ROLE; " },
		{ PAIRS("role=grp", "z.z=3"), PAIRS("role=grp"),
		  "RESET ROLE; SELECT " SETS("z.z", "3") ", " SETS("role", "grp") "; " },
		{ PAIRS("role=b"), PAIRS("role=a", "z.z=3"),
		  "RESET ROLE; RESET ALL; SELECT " SETS("role", "b") "; " },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct params *want = set_of(cases[i].want);
		struct params *have = cases[i].have != NULL ? set_of(cases[i].have) : NULL;

		cr_expect_str_eq(difference(want, have), cases[i].sql, "case %zu", i);
		params_release(table, want);
		params_release(table, have);
	}
}

/* A SELECT has room for 1,664 columns. */
Test(params, many_are_set_by_several_statements)
{
	struct params *none = params_none(table), *want = params_none(table);
	struct buf sql = { 0 };
	size_t statements = 0, i;
	char name[32];

	for (i = 0; i < 1200; i++) {
		snprintf(name, sizeof(name), "n.n%zu", i);
		cr_assert_eq(params_put(table, &want, name, "1"), ERR_OK);
	}
	cr_assert_eq(params_difference(want, none, &sql), ERR_OK);
	for (i = 0; i < sql.len; i++)
		statements += sql.at[i] == '\0';
	cr_expect_eq(statements, 3);
	buf_free(&sql);
	params_release(table, want);
	params_release(table, none);
}

/* --- how texts are read --- */

Test(params, dialects)
{
	struct params *none = params_none(table), *a, *b;

	a = SET("application_name=x", "work_mem=1MB", "statement_timeout=1");
	cr_expect_eq(params_dialect(a), params_dialect(none), "harmless ones");
	params_release(table, a);
	a = SET("transform_null_equals=on");
	cr_expect_neq(params_dialect(a), params_dialect(none));
	b = SET("Transform_Null_Equals=on", "application_name=y");
	cr_expect_eq(params_dialect(a), params_dialect(b), "however it is spelled");
	params_release(table, b);
	b = SET("transform_null_equals=off");
	cr_expect_neq(params_dialect(a), params_dialect(b));
	params_release(table, b);
	b = SET("my.own=on"); /* nobody knows who reads that */
	cr_expect_neq(params_dialect(b), params_dialect(none));
	params_release(table, a);
	params_release(table, b);
	params_release(table, none);
}

/* Those that the harmless ones are looked up among, first and last included. */
Test(params, some_change_reading)
{
	static const struct {
		const char *name;
		bool changes;
	} cases[] = {
		{ "transform_null_equals", true },
		{ "standard_conforming_strings", true },
		{ "datestyle", true },
		{ "DateStyle", true },
		{ "timezone", true },
		{ "extra_float_digits", true },
		{ "session_authorization", true },
		{ "row_security", true },
		{ "no_such_parameter", true },
		{ "role", false },
		{ "Role", false },
		{ "search_path", false },
		{ "SEARCH_PATH", false },
		{ "application_name", false },
		{ "Application_Name", false },
		{ "work_mem", false },
		{ "statement_timeout", false },
		{ "work_memory", true },
		{ "work", true },
		{ "", true },
		{ "my.own", false },
		{ "role.x", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(params_changes_reading(cases[i].name), cases[i].changes, "%s",
		             cases[i].name);
}

Test(params, switch_of_what_changes_how_texts_are_read)
{
	struct params *from = SET("work_mem=1MB", "a.a=1", "b.b=1", "c.c=1");
	struct params *to = SET("work_mem=2MB", "b.b=2", "c.c=1", "d.d=1");
	struct buf sql = { 0 };
	char text[1024] = "";

	cr_assert_eq(params_switch(to, from, &sql), ERR_OK);
	for (const char *at = (const char *)sql.at; at < (const char *)sql.at + sql.len;
	     at += strlen(at) + 1)
		strcat(strcat(text, at + strlen("SELECT pg_catalog.set_config")), ";");
	cr_expect_str_eq(text, "(E'a.a',NULL,false) IS NULL;(E'b.b',NULL,false) IS NULL;"
	                       "(E'b.b',E'2',false) IS NULL;(E'd.d',E'1',false) IS NULL;");
	buf_free(&sql);
	params_release(table, from);
	params_release(table, to);
}

/* --- what acts by itself --- */

Test(params, some_act)
{
	static const struct {
		const char *pair;
		bool acts;
	} cases[] = {
		{ "idle_session_timeout=200ms", true },
		{ "idle_session_timeout=1h", true },
		{ "idle_session_timeout=0", false },
		{ "Idle_Session_Timeout=5", true },
		{ "statement_timeout=1", true },
		{ "statement_timeout=999ms", true },
		{ "statement_timeout=1s", false },
		{ "statement_timeout=30s", false },
		{ "statement_timeout=0", false },
		{ "statement_timeout=0.5s", true },
		{ "statement_timeout= 1 min", false },
		{ "transaction_timeout=10us", true },
		{ "work_mem=1", false },
		{ "statement_timeout=12 parsecs", true },
		{ "tcp_user_timeout=9000", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct params *p = SET(cases[i].pair);

		cr_expect_eq(params_act(p), cases[i].acts, "%s", cases[i].pair);
		params_release(table, p);
	}
}

Test(params, those_are_undone)
{
	struct params *p = SET("idle_session_timeout=1s", "work_mem=1MB", "statement_timeout=5"),
		      *left;
	struct buf sql = { 0 };

	cr_assert_eq(params_undo(table, &p, &sql), ERR_OK);
	cr_expect_str_eq((const char *)sql.at,
	                 "RESET idle_session_timeout;RESET statement_timeout;");
	left = SET("work_mem=1MB");
	cr_expect_eq(p, left);
	cr_expect_not(params_act(p));
	buf_free(&sql);
	params_release(table, p);
	params_release(table, left);
}
