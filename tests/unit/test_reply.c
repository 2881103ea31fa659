/* reply_priv.h: results as messages, text and binary. */
#include <string.h>

#include <criterion/criterion.h>

#include "src/admin/reply_priv.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])

static void no_value(struct cell *out, const struct row *row)
{
	(void)row;
	out->text = NULL;
}

static const struct column columns[] = {
	{ "t", TYPE_TEXT, no_value },
	{ "i", TYPE_INT4, no_value },
	{ "b", TYPE_INT8, no_value },
	{ "n", TYPE_NUMERIC, no_value },
};

static void add_row(struct result *r, const char *t, const char *i, const char *b, const char *n)
{
	r->columns = columns;
	r->column_count = CASES(columns);
	result_cell(r, t);
	result_cell(r, i);
	result_cell(r, b);
	result_cell(r, n);
	cr_assert_not(r->no_memory);
}

static void expect(const struct answer *a, const void *want, size_t len)
{
	cr_assert_not(a->no_memory);
	cr_assert_eq(a->bytes.len, len, "%zu bytes instead of %zu", a->bytes.len, len);
	cr_assert_eq(memcmp(a->bytes.at, want, len), 0);
}
#define EXPECT(a, literal) expect(a, literal, sizeof(literal) - 1)

Test(reply, rows_in_text)
{
	struct result r = { 0 };
	struct answer a = { 0 };
	size_t at = 0;

	add_row(&r, "x", "-1", "", NULL);
	reply_rows(&a, &r, NULL, &at, 0);
	EXPECT(&a, "D\0\0\0\x19\0\4\0\0\0\1x\0\0\0\2-1\0\0\0\0\xff\xff\xff\xff");
	cr_assert_eq(at, r.rows.len);
	buf_free(&a.bytes);
	result_free(&r);
}

Test(reply, rows_in_binary)
{
	struct formats all = { .count = 1, .at = (uint8_t[]){ 1 } };
	struct result r = { 0 };
	struct answer a = { 0 };
	size_t at = 0;

	add_row(&r, "x", "-2", "8589934593", "120000003");
	reply_rows(&a, &r, &all, &at, 0);
	EXPECT(&a, "D\0\0\0\x31\0\4"
	           "\0\0\0\1x"
	           "\0\0\0\4\xff\xff\xff\xfe"
	           "\0\0\0\x08\0\0\0\2\0\0\0\1"
	           "\0\0\0\x0e\0\3\0\2\0\0\0\0\0\1\x07\xd0\0\3");
	buf_free(&a.bytes);
	result_free(&r);
}

Test(reply, numeric_in_binary)
{
	struct formats mixed = { .count = 4, .at = (uint8_t[]){ 0, 0, 0, 1 } };
	static const struct {
		const char *text, *want;
		size_t len;
	} cases[] = {
		{ "0", "\0\0\0\x08\0\0\0\0\0\0\0\0", 12 },
		{ "1", "\0\0\0\x0a\0\1\0\0\0\0\0\0\0\1", 14 },
		{ "-9999", "\0\0\0\x0a\0\1\0\0\x40\0\0\0\x27\x0f", 14 },
		{ "10000", "\0\0\0\x0c\0\2\0\1\0\0\0\0\0\1\0\0", 16 },
	};

	for (size_t i = 0; i < CASES(cases); i++) {
		struct result r = { 0 };
		struct answer a = { 0 };
		size_t at = 0;

		add_row(&r, NULL, NULL, NULL, cases[i].text);
		reply_rows(&a, &r, &mixed, &at, 0);
		cr_assert_eq(a.bytes.len, 7 + 12 + cases[i].len, "%s", cases[i].text);
		cr_assert_eq(memcmp(a.bytes.at + 19, cases[i].want, cases[i].len), 0, "%s",
		             cases[i].text);
		buf_free(&a.bytes);
		result_free(&r);
	}
}

Test(reply, rows_in_parts)
{
	struct result r = { 0 };
	struct answer a = { 0 };
	size_t at = 0, one;

	for (int i = 0; i < 5; i++)
		add_row(&r, "x", "1", "2", "3");
	reply_rows(&a, &r, NULL, &at, 2);
	one = a.bytes.len / 2;
	cr_assert_eq(at, r.rows.len / 5 * 2);
	reply_rows(&a, &r, NULL, &at, 2);
	reply_rows(&a, &r, NULL, &at, 2);
	cr_assert_eq(a.bytes.len, 5 * one);
	cr_assert_eq(at, r.rows.len);
	reply_rows(&a, &r, NULL, &at, 2);
	cr_assert_eq(a.bytes.len, 5 * one);
	buf_free(&a.bytes);
	result_free(&r);
}

Test(reply, columns_carry_types_sizes_and_formats)
{
	struct formats mixed = { .count = 4, .at = (uint8_t[]){ 0, 1, 0, 1 } };
	struct answer a = { 0 };

	reply_columns(&a, columns + 1, 1, &mixed);
	EXPECT(&a, "T\0\0\0\x1a\0\1i\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0");
	buf_free(&a.bytes);
	reply_columns(&a, columns, 2, &mixed);
	cr_assert_eq(a.bytes.at[a.bytes.len - 1], 1);
	cr_assert_eq(a.bytes.at[a.bytes.len / 2 + 3], 0);
	buf_free(&a.bytes);
}

Test(reply, a_notice_stands_before_the_tag)
{
	struct result r = { .tag = "SHOW", .notice = "Console usage" };
	struct answer a = { 0 };

	cr_assert_eq(buf_append(&r.detail, "\n\tSHOW", 7), ERR_OK);
	reply_complete(&a, &r);
	cr_assert_eq(a.bytes.at[0], 'N');
	cr_assert_eq(memcmp(a.bytes.at + a.bytes.len - 10, "C\0\0\0\tSHOW", 10), 0);
	buf_free(&a.bytes);
	result_free(&r);
}
