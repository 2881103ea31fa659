/* prepared.h: texts are shared, names are each client's own. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/core/prepared.h"
#include "pgseal/wire/sql.h"

#define TEXT(literal) ((struct bytes){ (const uint8_t *)(literal), sizeof(literal) - 1 })
#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN

static const uint8_t salt[PSTATEMENT_SALT] = "0123456789abcdef";

/* Freeing it proves that no reference is left. */
static struct pstatement_table *table;
static struct params_table *params;

static void begin(void)
{
	cr_assert_not_null(params = params_table_create());
	cr_assert_not_null(table = pstatement_table_create(salt, params));
}

static void end(void)
{
	pstatement_table_free(table);
	params_table_free(params);
}

TestSuite(prepared, .init = begin, .fini = end);

/* --- texts --- */

Test(prepared, same_bodies_are_one)
{
	struct pstatement *a = pstatement_intern(table, TEXT("SELECT 1\0\0\0"), 1, NULL);
	struct pstatement *b = pstatement_intern(table, TEXT("SELECT 1\0\0\0"), 1, NULL);

	cr_assert_not_null(a);
	cr_expect_eq(a, b);
	cr_expect_eq(a->refs, 2);
	cr_expect_eq(pstatement_hold(a), a);
	cr_expect_eq(a->refs, 3);
	pstatement_release(table, a);
	pstatement_release(table, a);
	cr_expect_eq(pstatement_intern(table, TEXT("SELECT 1\0\0\0"), 1, NULL), b, "until the last goes");
	pstatement_release(table, b);
	pstatement_release(table, b);
	pstatement_release(table, NULL);
}

Test(prepared, other_bodies_are_others)
{
	static const struct {
		const char *what;
		struct bytes body;
	} cases[] = {
		{ "as it was", { (const uint8_t *)"SELECT $1\0\0\0", 12 } },
		{ "other text", { (const uint8_t *)"SELECT $2\0\0\0", 12 } },
		{ "other case", { (const uint8_t *)"select $1\0\0\0", 12 } },
		{ "a declared type", { (const uint8_t *)"SELECT $1\0\0\1\0\0\0\27", 16 } },
		{ "another type", { (const uint8_t *)"SELECT $1\0\0\1\0\0\0\24", 16 } },
		{ "cut", { (const uint8_t *)"SELECT $1\0\0\0", 11 } },
		{ "nothing", { (const uint8_t *)"", 0 } },
	};
	struct pstatement *all[sizeof(cases) / sizeof(cases[0])];
	size_t n = sizeof(cases) / sizeof(cases[0]), i, k;

	for (i = 0; i < n; i++) {
		cr_assert_not_null(all[i] = pstatement_intern(table, cases[i].body, 1, NULL));
		(void)pstatement_name(table, all[i]);
		for (k = 0; k < i; k++)
			cr_expect(all[i] != all[k] && strcmp(all[i]->name, all[k]->name) != 0,
			          "%s, %s", cases[k].what, cases[i].what);
	}
	for (i = 0; i < n; i++)
		pstatement_release(table, all[i]);
}

Test(prepared, texts_end_at_their_nul)
{
	struct pstatement *whole = pstatement_intern(table, TEXT("LISTEN a\0\0\1\0\0\0\27"), 1, NULL);
	struct pstatement *cut = pstatement_intern(table, TEXT("SELECT 1"), 1, NULL);

	cr_expect(bytes_equal(pstatement_text(whole), bytes_of("LISTEN a")));
	cr_expect_eq(whole->traits & (SQL_LISTENS | SQL_SETS), SQL_LISTENS);
	cr_expect(bytes_equal(pstatement_text(cut), bytes_of("SELECT 1")), "there is none");
	cr_expect_eq(cut->traits & (SQL_LISTENS | SQL_SETS), 0);
	pstatement_release(table, whole);
	pstatement_release(table, cut);
}

/* --- names on servers --- */

/* The name that a table with that salt gives. */
static void name_with(const uint8_t *with, struct bytes body, char *out)
{
	struct pstatement_table *t = pstatement_table_create(with, params);
	struct pstatement *st = pstatement_intern(t, body, 1, NULL);
	struct bytes name = pstatement_name(t, st);

	cr_assert_eq(name.len, PSTATEMENT_NAME);
	memcpy(out, name.at, name.len + 1);
	pstatement_release(t, st);
	pstatement_table_free(t);
}

Test(prepared, names_are_made_of_contents_and_salt)
{
	static const uint8_t other_salt[PSTATEMENT_SALT] = "0123456789abcdeg";
	char a[PSTATEMENT_NAME + 1], b[PSTATEMENT_NAME + 1];

	name_with(salt, TEXT("SELECT 1\0\0\0"), a);
	cr_expect_eq(strncmp(a, PSTATEMENT_PREFIX, strlen(PSTATEMENT_PREFIX)), 0);
	cr_expect_eq(strlen(a), PSTATEMENT_NAME);
	cr_expect_eq(strspn(a + strlen(PSTATEMENT_PREFIX), "0123456789abcdef"),
	             2 * PSTATEMENT_DIGEST);
	name_with(salt, TEXT("SELECT 1\0\0\0"), b);
	cr_expect_str_eq(a, b, "workers agree");
	name_with(salt, TEXT("SELECT 2\0\0\0"), b);
	cr_expect_str_neq(a, b, "other contents");
	name_with(other_salt, TEXT("SELECT 1\0\0\0"), b);
	cr_expect_str_neq(a, b, "another salt");
}

Test(prepared, names_are_made_when_asked_for)
{
	struct pstatement *st = pstatement_intern(table, TEXT("SELECT 1\0\0\0"), 1, NULL);
	struct bytes name;

	cr_expect_str_eq(st->name, "");
	name = pstatement_name(table, st);
	cr_expect_eq(name.at, (const uint8_t *)st->name, "borrowed");
	cr_expect(bytes_equal(pstatement_name(table, st), name));
	pstatement_release(table, st);
}

/* --- what clients call them --- */

Test(prepared, aliases_are_cut_as_postgresql_cuts_them)
{
	static const struct {
		const char *name, *kept, *other;
	} cases[] = {
		{ "a", "a", "b" },
		{ "a", "a", "" },
		{ "", "", "a" },
		{ SIXTY "abc", SIXTY "abc", SIXTY "ab" },
		{ SIXTY "abcd", SIXTY "abc", SIXTY "abd" },
		{ SIXTY "abc" SIXTY, SIXTY "abc", SIXTY "abC" SIXTY },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct alias *a = alias_create(bytes_of(cases[i].name), NULL);

		cr_assert_not_null(a);
		cr_expect_str_eq(a->name, cases[i].kept);
		cr_expect_eq(a->len, strlen(cases[i].kept));
		cr_expect(alias_is(a, bytes_of(cases[i].name)), "%zu: as it came", i);
		cr_expect(alias_is(a, bytes_of(cases[i].kept)), "%zu: cut", i);
		cr_expect_not(alias_is(a, bytes_of(cases[i].other)), "%zu", i);
		alias_free(table, a);
	}
	alias_free(table, NULL);
}

Test(prepared, aliases_hold_their_statement)
{
	struct pstatement *st = pstatement_intern(table, TEXT("SELECT 1"), 1, NULL);
	struct alias *a = alias_create(bytes_of("a"), st);

	cr_expect_eq(st->refs, 2);
	cr_expect_eq(a->st, st);
	cr_expect_eq(a->shape, 0);
	alias_free(table, a);
	cr_expect_eq(st->refs, 1);
	pstatement_release(table, st);
}

static struct prepared *session(void)
{
	struct prepared *n = calloc(1, sizeof(*n));

	cr_assert_not_null(n);
	return n;
}

/* text NULL: one that was made by PREPARE. */
static struct alias *put(struct prepared *n, const char *name, const char *text)
{
	struct pstatement *st = text != NULL ? pstatement_intern(table, bytes_of(text), 1, NULL) : NULL;
	struct alias *a = alias_create(bytes_of(name), st);

	cr_assert_not_null(a);
	if (st != NULL)
		(void)pstatement_name(table, st);
	pstatement_release(table, st); /* the alias has its own */
	cr_assert_eq(prepared_put(n, table, a), ERR_OK);
	return a;
}

Test(prepared, names_stand_for_statements)
{
	struct prepared *n = session();
	struct alias *a = put(n, "a", "SELECT 1"), *b = put(n, "b", "SELECT 1");

	cr_expect_eq(prepared_count(n), 2);
	cr_expect_eq(prepared_find(n, bytes_of("a")), a);
	cr_expect_eq(prepared_find(n, bytes_of("b")), b);
	cr_expect_eq(a->st, b->st);
	cr_expect_null(prepared_find(n, bytes_of("A")));
	cr_expect_null(prepared_find(n, bytes_of("")));
	prepared_drop(n, table, bytes_of("c"));
	cr_expect_eq(prepared_count(n), 2);
	prepared_drop(n, table, bytes_of("a"));
	cr_expect_null(prepared_find(n, bytes_of("a")));
	cr_expect_eq(prepared_count(n), 1);
	cr_expect_eq(b->st->refs, 1);
	prepared_free(n, table);
	prepared_free(NULL, table);
}

Test(prepared, long_names_are_found_by_what_is_left_of_them)
{
	struct prepared *n = session();
	struct alias *a = put(n, SIXTY "abcd", "SELECT 1"), *b;

	cr_expect_eq(prepared_find(n, bytes_of(SIXTY "abcd")), a);
	cr_expect_eq(prepared_find(n, bytes_of(SIXTY "abcx")), a);
	cr_expect_eq(prepared_find(n, bytes_of(SIXTY "abc")), a);
	cr_expect_null(prepared_find(n, bytes_of(SIXTY "ab")));
	b = put(n, SIXTY "abcx", "SELECT 2");
	cr_expect_eq(prepared_count(n), 1, "the same name");
	cr_expect_eq(prepared_find(n, bytes_of(SIXTY "abcd")), b);
	prepared_drop(n, table, bytes_of(SIXTY "abcy"));
	cr_expect_eq(prepared_count(n), 0);
	prepared_free(n, table);
}

Test(prepared, one_of_the_same_name_makes_room)
{
	struct prepared *n = session();
	struct alias *b;

	put(n, "a", "SELECT 1, 'and more than that'");
	b = put(n, "a", "SELECT 2");
	cr_expect_eq(prepared_count(n), 1);
	cr_expect_eq(prepared_find(n, bytes_of("a")), b);
	cr_expect_eq(n->bytes, prepared_cost(strlen("SELECT 2")));
	b = put(n, "a", NULL);
	cr_expect_eq(prepared_find(n, bytes_of("a")), b);
	cr_expect_null(b->st);
	cr_expect_eq(prepared_count(n), 1);
	prepared_free(n, table);
}

Test(prepared, bytes_are_counted)
{
	struct bytes text = bytes_of("SELECT 1"), longer = bytes_of("SELECT 1, 2, 3");
	struct prepared *n = session();
	size_t one = prepared_cost(text.len), own;

	cr_expect_eq(prepared_cost(longer.len) - one, longer.len - text.len);
	put(n, "a", "SELECT 1");
	cr_expect_eq(n->bytes, one);
	put(n, "b", "SELECT 1");
	cr_expect_eq(n->bytes, 2 * one, "shared ones count whole");
	put(n, "c", "SELECT 1, 2, 3");
	cr_expect_eq(n->bytes, 2 * one + prepared_cost(longer.len));
	own = n->bytes;
	put(n, "d", NULL);
	cr_expect_gt(n->bytes, own, "those of PREPARE count too");
	prepared_drop(n, table, bytes_of("d"));
	cr_expect_eq(n->bytes, own);
	prepared_drop(n, table, bytes_of("b"));
	prepared_drop(n, table, bytes_of("c"));
	cr_expect_eq(n->bytes, one);
	prepared_drop(n, table, bytes_of("a"));
	cr_expect_eq(n->bytes, 0);
	prepared_free(n, table);
}

Test(prepared, all_go_or_those_of_prepare_alone)
{
	struct prepared *n = session();
	struct pstatement *unnamed = pstatement_intern(table, TEXT("SELECT 0"), 1, NULL);

	prepared_set_unnamed(n, table, unnamed, 1);
	put(n, "a", "SELECT 1");
	put(n, "b", NULL);
	put(n, "c", "SELECT 2");
	put(n, "d", NULL);
	prepared_drop_own(n, table);
	cr_expect_eq(prepared_count(n), 2);
	cr_expect_not_null(prepared_find(n, bytes_of("a")));
	cr_expect_not_null(prepared_find(n, bytes_of("c")));
	cr_expect_eq(n->bytes, 2 * prepared_cost(strlen("SELECT 1")));
	put(n, "b", NULL);
	prepared_drop_all(n, table);
	cr_expect_eq(prepared_count(n), 0);
	cr_expect_eq(n->bytes, 0);
	cr_expect_eq(n->unnamed, unnamed, "but the unnamed one");
	put(n, "a", "SELECT 1"); /* empty is as new */
	cr_expect_eq(prepared_count(n), 1);
	prepared_free(n, table);
}

Test(prepared, the_unnamed_one)
{
	struct prepared *n = session();
	struct pstatement *a = pstatement_intern(table, TEXT("SELECT 1"), 1, NULL);
	struct pstatement *b = pstatement_intern(table, TEXT("SELECT 2"), 1, NULL);

	prepared_set_unnamed(n, table, pstatement_hold(a), 7);
	cr_expect_eq(n->unnamed, a);
	cr_expect_eq(n->unnamed_ticket, 7);
	n->unnamed_shape = 4711;
	prepared_set_unnamed(n, table, pstatement_hold(b), 8);
	cr_expect_eq(a->refs, 1, "the former is released");
	cr_expect_eq(n->unnamed, b);
	cr_expect_eq(n->unnamed_shape, 0, "and its shape forgotten");
	cr_expect_eq(n->unnamed_ticket, 8);
	prepared_set_unnamed(n, table, pstatement_hold(b), 9);
	cr_expect_eq(b->refs, 2, "the same again");
	prepared_set_unnamed(n, table, NULL, 10);
	cr_expect_null(n->unnamed, "only the server has it");
	cr_expect_eq(n->unnamed_ticket, 10);
	cr_expect_eq(n->bytes, 0);
	prepared_set_unnamed(n, table, pstatement_hold(b), 11);
	prepared_free(n, table);
	cr_expect_eq(b->refs, 1);
	pstatement_release(table, a);
	pstatement_release(table, b);
}

Test(prepared, which_alias_is_behind_a_name_on_servers)
{
	struct prepared *n = session();
	struct alias *a, *c;

	cr_expect_null(prepared_behind(n, bytes_of(PSTATEMENT_PREFIX)));
	a = put(n, "a", "SELECT 1");
	put(n, "b", NULL);
	c = put(n, "c", "SELECT 2");
	cr_expect_eq(prepared_behind(n, bytes_of(a->st->name)), a);
	cr_expect_eq(prepared_behind(n, bytes_of(c->st->name)), c);
	cr_expect_null(prepared_behind(n, bytes_of("a")), "what clients call it");
	cr_expect_null(prepared_behind(n, bytes_of("b")));
	cr_expect_null(prepared_behind(n, bytes_of("")));
	cr_expect_null(prepared_behind(n, bytes_of(PSTATEMENT_PREFIX)));
	prepared_drop(n, table, bytes_of("a"));
	cr_expect_eq(prepared_behind(n, bytes_of(c->st->name)), c);
	prepared_free(n, table);
}

/* Under which parameters it was parsed is kept as long as it is. */
Test(prepared, keeps_what_it_was_parsed_under)
{
	struct params *under = params_none(params);
	struct pstatement *st, *same;

	cr_assert_eq(params_put(params, &under, "TimeZone", "UTC"), ERR_OK);
	st = pstatement_intern(table, bytes_of("SELECT 1"), params_dialect(under), under);
	cr_expect_eq(st->under, under);
	params_release(params, under);
	cr_expect_str_eq(params_get(st->under, "timezone"), "UTC");
	same = pstatement_intern(table, bytes_of("SELECT 1"), st->dialect, NULL);
	cr_expect_eq(same, st);
	cr_expect_not_null(same->under, "the first one to prepare it says");
	pstatement_release(table, st);
	pstatement_release(table, same);
}

static struct alias *put_own(struct prepared *n, const char *name, const char *text)
{
	struct pstatement *run = text != NULL ? pstatement_intern(table, bytes_of(text), 0, NULL) : NULL;
	struct alias *a = alias_create_own(bytes_of(name), run);

	pstatement_release(table, run);
	cr_assert_not_null(a);
	cr_assert_eq(prepared_put(n, table, a), ERR_OK);
	return a;
}

/* What is said to be prepared in the server may not be: what runs under that name is not known then. */
Test(prepared, own_ones_are_settled_by_answers)
{
	struct prepared *n = session();
	struct alias *a = put_own(n, "a", "LISTEN x"), *b;

	cr_expect(n->fresh);
	cr_expect(a->run->traits & SQL_LISTENS);
	prepared_settle_own(n, table, false);
	cr_expect_not(n->fresh);
	cr_expect_not_null(a->run);
	b = put_own(n, "b", "SELECT 2");
	prepared_settle_own(n, table, true);
	cr_expect_not_null(a->run, "that one was answered before");
	cr_expect_null(b->run);
	prepared_drop_own(n, table);
	cr_expect_eq(n->bytes, 0);
	prepared_free(n, table);
}

Test(prepared, many_names_come_and_go)
{
	struct prepared *n = session();
	char name[32], text[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "s%d", i % 700);
		snprintf(text, sizeof(text), "SELECT %d", i % 11);
		put(n, name, text);
		if (i % 3 == 0)
			prepared_drop(n, table, bytes_of(name));
	}
	cr_expect_gt(prepared_count(n), 0);
	prepared_drop_all(n, table);
	cr_expect_eq(n->bytes, 0);
	prepared_free(n, table);
}
