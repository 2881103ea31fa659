#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/wire/reader.h"

#define LIT(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

Test(reader, integers_are_big_endian)
{
	struct reader r = reader_of(LIT("\x01\x02\x03\xff\xfe\xfd\xfc"));
	uint8_t a;
	uint16_t b;
	uint32_t c;

	cr_assert(reader_u8(&r, &a));
	cr_assert(reader_u16(&r, &b));
	cr_assert(reader_u32(&r, &c));
	cr_assert_eq(a, 1);
	cr_assert_eq(b, 0x0203);
	cr_assert_eq(c, 0xfffefdfc);
	cr_assert_eq(reader_left(&r), 0);
}

/* What does not fit leaves everything as it was. */
Test(reader, short_input_changes_nothing)
{
	const char three[] = "abc";
	uint8_t a = 7;
	uint16_t b = 7;
	uint32_t c = 7;
	const uint8_t *at = NULL;
	struct bytes s = { NULL, 7 };

	for (size_t len = 0; len <= 3; len++) {
		struct reader r = reader_of((struct bytes){ (const uint8_t *)three, len });

		cr_assert(!reader_u32(&r, &c));
		cr_assert(!reader_take(&r, len + 1, &at));
		cr_assert(!reader_take(&r, SIZE_MAX, &at));
		cr_assert(!reader_str(&r, &s));
		cr_assert_eq(reader_u16(&r, &b), len >= 2);
		cr_assert_eq(reader_left(&r), len >= 2 ? len - 2 : len);
		cr_assert_eq(reader_u8(&r, &a), len % 2 == 1);
		cr_assert_eq(reader_left(&r), 0);
	}
	cr_assert_eq(c, 7);
	cr_assert_null(at);
	cr_assert_eq(s.len, 7);
}

/* pos + n would wrap. */
Test(reader, huge_lengths_do_not_wrap)
{
	struct reader r = reader_of(LIT("abcdef"));
	const uint8_t *at;

	cr_assert(reader_take(&r, 4, &at));
	cr_assert(!reader_take(&r, SIZE_MAX, &at));
	cr_assert(!reader_take(&r, SIZE_MAX - 3, &at));
	cr_assert(reader_take(&r, 2, &at));
	cr_assert_eq(memcmp(at, "ef", 2), 0);
	cr_assert(reader_take(&r, 0, &at));
}

Test(reader, strings_end_at_nul)
{
	struct reader r = reader_of(LIT("one\0\0two\0rest"));
	struct bytes s;

	cr_assert(reader_str(&r, &s));
	cr_assert(bytes_equal(s, LIT("one")));
	cr_assert_eq(s.at[s.len], '\0');
	cr_assert(reader_str(&r, &s));
	cr_assert_eq(s.len, 0);
	cr_assert(reader_str(&r, &s));
	cr_assert(bytes_equal(s, LIT("two")));
	cr_assert(!reader_str(&r, &s), "no NUL");
	cr_assert(bytes_equal(reader_rest(&r), LIT("rest")));
	cr_assert_eq(reader_rest(&r).len, 0);
}

Test(reader, nothing_is_readable)
{
	struct reader r = reader_of((struct bytes){ NULL, 0 });
	const uint8_t *at;
	struct bytes s;
	uint8_t v;

	cr_assert_eq(reader_left(&r), 0);
	cr_assert(!reader_u8(&r, &v));
	cr_assert(!reader_str(&r, &s));
	cr_assert(reader_take(&r, 0, &at));
	cr_assert_eq(reader_rest(&r).len, 0);
}
