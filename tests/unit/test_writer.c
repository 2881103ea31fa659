#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/wire/writer.h"

#define LIT(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

static struct bytes contents(const struct buf *b)
{
	return (struct bytes){ b->at, b->len };
}

Test(writer, a_message_of_all_kinds_of_data)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	writer_begin(&w, 'B');
	writer_u8(&w, 0xfe);
	writer_u16(&w, 0x0102);
	writer_u32(&w, 0xa1a2a3a4);
	writer_str(&w, "name");
	writer_bytes(&w, LIT("x\0y"));
	writer_bytes(&w, (struct bytes){ NULL, 0 });
	writer_end(&w);
	cr_assert_eq(writer_status(&w), ERR_OK);
	cr_assert(bytes_equal(contents(&b), LIT("B\0\0\0\x13\xfe\x01\x02\xa1\xa2\xa3\xa4"
	                                        "name\0x\0y")));
	buf_free(&b);
}

Test(writer, messages_follow_what_is_there)
{
	struct buf b = { 0 };
	struct writer w;

	cr_assert_eq(buf_append(&b, "before", 6), ERR_OK);
	w = writer_to(&b);
	writer_begin(&w, 'S');
	writer_end(&w);
	writer_begin(&w, 0); /* a startup packet has no type */
	writer_u32(&w, 0x00030000);
	writer_end(&w);
	cr_assert_eq(writer_status(&w), ERR_OK);
	cr_assert(bytes_equal(contents(&b), LIT("beforeS\0\0\0\x04\0\0\0\x08\0\x03\0\0")));
	buf_free(&b);
}

Test(writer, lengths_over_64k)
{
	static char text[70001];
	struct buf b = { 0 };
	struct writer w = writer_to(&b);

	memset(text, 'x', sizeof(text) - 1);
	writer_begin(&w, 'Q');
	writer_str(&w, text);
	writer_end(&w);
	cr_assert_eq(writer_status(&w), ERR_OK);
	cr_assert_eq(b.len, 1 + 4 + sizeof(text));
	cr_assert_eq(memcmp(b.at, "Q\x00\x01\x11\x75", 5), 0);
	buf_free(&b);
}

/* More than memory can hold: the error sticks, later calls do nothing. */
Test(writer, failure_sticks)
{
	struct buf b = { 0 };
	struct writer w = writer_to(&b);
	size_t len;

	writer_begin(&w, 'D');
	writer_bytes(&w, (struct bytes){ (const uint8_t *)"x", SIZE_MAX });
	cr_assert_eq(writer_status(&w), ERR_NO_MEMORY);
	len = b.len;
	writer_u8(&w, 1);
	writer_str(&w, "more");
	writer_end(&w);
	writer_begin(&w, 'Z');
	writer_end(&w);
	cr_assert_eq(b.len, len);
	cr_assert_eq(writer_status(&w), ERR_NO_MEMORY);
	buf_free(&b);
}
