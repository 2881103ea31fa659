#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/wire/message.h"

#define LIT(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })
#define SPAN(s)                                     \
	{                                           \
		(const uint8_t *)(s), sizeof(s) - 1 \
	} /* in tables */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What a writer wrote, and nothing else; frees. */
static void expect_written(struct buf *b, const struct writer *w, struct bytes want)
{
	cr_expect_eq(writer_status(w), ERR_OK);
	cr_expect(bytes_equal((struct bytes){ b->at, b->len }, want), "wrote %s",
	          quote((struct bytes){ b->at, b->len }).s);
	buf_free(b);
}

/* --- errors --- */

Test(message, error_with_all_fields)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	message_write_error(&w, 'E',
	                    &(struct message_error){ .severity = "FATAL",
	                                             .sqlstate = SQLSTATE_ADMIN_SHUTDOWN,
	                                             .message = "m",
	                                             .detail = "d",
	                                             .hint = "h" });
	expect_written(&b, &w,
	               LIT("E\0\0\0\x2b"
	                   "SFATAL\0VFATAL\0C57P01\0Mm\0Dd\0Hh\0Fpgseal\0\0"));
}

Test(message, missing_fields_are_left_out)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	message_write_error(&w, 'N',
	                    &(struct message_error){ .severity = "NOTICE", .message = "" });
	expect_written(&b, &w,
	               LIT("N\0\0\0\x1f"
	                   "SNOTICE\0VNOTICE\0M\0Fpgseal\0\0"));
}

struct error_case {
	const char *what;
	struct bytes body;
	enum err want;
	struct message_error_view view;
};

static const struct error_case error_cases[] = {
	{ "all fields, unknown ones among them",
	  SPAN("SFEHLER\0VERROR\0C42601\0Msyntax\0Ddetail\0Hhint\0P7\0?x\0\0"),
	  ERR_OK,
	  { SPAN("ERROR"), SPAN("42601"), SPAN("syntax"), SPAN("detail"), SPAN("hint") } },
	{ "V before S", SPAN("VERROR\0SFEHLER\0\0"), ERR_OK, { .severity = SPAN("ERROR") } },
	{ "an old server knows no V",
	  SPAN("SERROR\0Mm\0\0"),
	  ERR_OK,
	  { .severity = SPAN("ERROR"), .message = SPAN("m") } },
	{ "no SQLSTATE, empty fields", SPAN("S\0M\0\0"), ERR_OK, { .message.len = 0 } },
	{ "no fields", SPAN("\0"), ERR_OK, { .message.len = 0 } },
	{ "nothing at all", { NULL, 0 }, ERR_WIRE_FORMAT, { .message.len = 0 } },
	{ "no terminator", SPAN("Mm\0"), ERR_WIRE_FORMAT, { .message.len = 0 } },
	{ "a field without NUL", SPAN("Mm"), ERR_WIRE_FORMAT, { .message.len = 0 } },
	{ "bytes behind", SPAN("Mm\0\0x"), ERR_WIRE_FORMAT, { .message.len = 0 } },
};

Test(message, error_is_taken_apart)
{
	for (size_t i = 0; i < COUNT(error_cases); i++) {
		const struct error_case *c = &error_cases[i];
		struct message_error_view v = { 0 };

		cr_expect_eq(message_read_error(c->body, &v), c->want, "%s", c->what);
		cr_expect(bytes_equal(v.severity, c->view.severity), "%s", c->what);
		cr_expect(bytes_equal(v.sqlstate, c->view.sqlstate), "%s", c->what);
		cr_expect(bytes_equal(v.message, c->view.message), "%s", c->what);
		cr_expect(bytes_equal(v.detail, c->view.detail), "%s", c->what);
		cr_expect(bytes_equal(v.hint, c->view.hint), "%s", c->what);
	}
}

/* Cut anywhere, it is malformed, and never read beyond the cut. */
Test(message, error_cut_short)
{
	static const char whole[] = "SERROR\0VERROR\0C42601\0Mm\0";

	for (size_t len = 0; len < sizeof(whole); len++) {
		uint8_t *cut = malloc(len > 0 ? len : 1);
		struct message_error_view v;

		memcpy(cut, whole, len);
		cr_expect_eq(message_read_error((struct bytes){ cut, len }, &v), ERR_WIRE_FORMAT);
		free(cut);
	}
}

Test(message, what_we_write_we_can_read)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);
	struct message_error_view v;

	message_write_error(
		&w, 'E',
		&(struct message_error){ "ERROR", SQLSTATE_PROTOCOL_VIOLATION, "no", NULL, "ask", NULL });
	cr_assert_eq(writer_status(&w), ERR_OK);
	cr_assert_eq(message_read_error((struct bytes){ b.at + 5, b.len - 5 }, &v), ERR_OK);
	cr_assert(bytes_equal(v.sqlstate, bytes_of(SQLSTATE_PROTOCOL_VIOLATION)));
	cr_assert(bytes_equal(v.hint, LIT("ask")));
	cr_assert_eq(v.detail.len, 0);
	buf_free(&b);
}

/* --- the greeting --- */

Test(message, greeting)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	message_write_auth_ok(&w);
	message_write_parameter(&w, "TimeZone", "");
	message_write_key(&w, 0x01020304, LIT("\xff\0\x7f\x80"));
	message_write_ready(&w, 'I');
	expect_written(&b, &w,
	               LIT("R\0\0\0\x08\0\0\0\0"
	                   "S\0\0\0\x0eTimeZone\0\0"
	                   "K\0\0\0\x0c\x01\x02\x03\x04\xff\0\x7f\x80"
	                   "Z\0\0\0\x05I"));
}

Test(message, negotiate_tells_the_whole_version)
{
	static const char *const options[] = { "_pq_.x", "_pq_.y" };
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	message_write_negotiate(&w, 3 << 16 | 2, options, 2);
	message_write_negotiate(&w, 3 << 16, NULL, 0);
	expect_written(&b, &w,
	               LIT("v\0\0\0\x1a\0\x03\0\x02\0\0\0\x02_pq_.x\0_pq_.y\0"
	                   "v\0\0\0\x0c\0\x03\0\0\0\0\0\0"));
}

struct parameter_case {
	const char *what;
	struct bytes body;
	enum err want;
};

static const struct parameter_case parameter_cases[] = {
	{ "name and value", SPAN("a\0b\0"), ERR_OK },
	{ "empty value", SPAN("a\0\0"), ERR_OK },
	{ "no value", SPAN("a\0"), ERR_WIRE_FORMAT },
	{ "value without NUL", SPAN("a\0b"), ERR_WIRE_FORMAT },
	{ "bytes behind", SPAN("a\0b\0c"), ERR_WIRE_FORMAT },
	{ "nothing", { NULL, 0 }, ERR_WIRE_FORMAT },
};

Test(message, parameter_is_taken_apart)
{
	for (size_t i = 0; i < COUNT(parameter_cases); i++) {
		const struct parameter_case *c = &parameter_cases[i];
		struct bytes name = { NULL, 77 }, value = { NULL, 77 };

		cr_expect_eq(message_read_parameter(c->body, &name, &value), c->want, "%s",
		             c->what);
		cr_expect_eq(name.len, c->want == ERR_OK ? 1 : 77, "%s", c->what);
	}
}

/* --- queries and rows --- */

Test(message, query_and_completion)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	message_write_query(&w, "select 1");
	message_write_command_complete(&w, "SHOW");
	expect_written(&b, &w,
	               LIT("Q\0\0\0\x0dselect 1\0"
	                   "C\0\0\0\x09SHOW\0"));
}

Test(message, rows_of_text)
{
	static const struct message_column cols[] = { { "n", 20 }, { "t", 25 }, { "b", 16 } };
	static const char *const values[] = { "-7", NULL, "" };
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	message_write_row_description(&w, cols, 3);
	message_write_data_row(&w, values, 3);
	expect_written(&b, &w,
	               LIT("T\0\0\0\x42\0\x03"
	                   "n\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0"
	                   "t\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
	                   "b\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0"
	                   "D\0\0\0\x14\0\x03\0\0\0\x02-7\xff\xff\xff\xff\0\0\0\0"));
}

Test(message, no_columns)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	message_write_row_description(&w, NULL, 0);
	message_write_data_row(&w, NULL, 0);
	expect_written(&b, &w, LIT("T\0\0\0\x06\0\0D\0\0\0\x06\0\0"));
}

/* --- rows --- */

Test(message, row_has_its_columns_and_null)
{
	struct bytes columns[3];

	cr_assert_eq(message_read_row(LIT("\0\3\0\0\0\2ab\xff\xff\xff\xff\0\0\0\0"), columns, 3),
	             ERR_OK);
	cr_expect(bytes_equal(columns[0], LIT("ab")));
	cr_expect_null(columns[1].at);
	cr_expect_not_null(columns[2].at);
	cr_expect_eq(columns[2].len, 0);
}

Test(message, row_that_is_not_whole_or_another_is_none)
{
	static const struct bytes bodies[] = {
		SPAN(""),
		SPAN("\0"),
		SPAN("\0\2\0\0\0\1a"),
		SPAN("\0\1\0\0\0"),
		SPAN("\0\1\0\0\0\2a"),
		SPAN("\0\1\xff\xff\xff\xfe"),
		SPAN("\0\1\0\0\0\1ab"),
		SPAN("\0\2\0\0\0\1a\0\0\0\1b"),
		SPAN("\0\0"),
	};
	struct bytes column;

	for (size_t i = 0; i < COUNT(bodies); i++)
		cr_expect_eq(message_read_row(bodies[i], &column, 1), ERR_WIRE_FORMAT, "%zu", i);
}
