#include <assert.h>
#include <string.h>

#include "pgseal/wire/writer.h"

static void put(struct writer *w, const void *at, size_t n)
{
	if (!w->failed && buf_append(w->to, at, n) != ERR_OK)
		w->failed = true;
}

struct writer writer_to(struct buf *b)
{
	return (struct writer){ .to = b, .start = b->len };
}

void writer_begin(struct writer *w, char type)
{
	if (type != 0)
		put(w, &type, 1);
	w->start = w->to->len;
	writer_u32(w, 0); /* room for the length word */
}

void writer_u8(struct writer *w, uint8_t v)
{
	put(w, &v, 1);
}

void writer_u16(struct writer *w, uint16_t v)
{
	const uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(w, b, sizeof(b));
}

void writer_u32(struct writer *w, uint32_t v)
{
	const uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
		               (uint8_t)v };

	put(w, b, sizeof(b));
}

void writer_bytes(struct writer *w, struct bytes b)
{
	put(w, b.at, b.len);
}

void writer_str(struct writer *w, const char *s)
{
	put(w, s, strlen(s) + 1);
}

void writer_end(struct writer *w)
{
	size_t len;
	uint8_t *at;

	if (w->failed)
		return;
	assert(w->to->len >= w->start + 4);
	len = w->to->len - w->start;
	if (len > INT32_MAX) { /* no peer could read such a message */
		w->failed = true;
		return;
	}
	at = w->to->at + w->start;
	at[0] = (uint8_t)(len >> 24);
	at[1] = (uint8_t)(len >> 16);
	at[2] = (uint8_t)(len >> 8);
	at[3] = (uint8_t)len;
}

enum err writer_status(const struct writer *w)
{
	return w->failed ? ERR_NO_MEMORY : ERR_OK;
}
