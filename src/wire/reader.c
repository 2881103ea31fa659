#include <string.h>

#include "pgseal/wire/reader.h"

struct reader reader_of(struct bytes b)
{
	return (struct reader){ .at = b.at, .len = b.len };
}

size_t reader_left(const struct reader *r)
{
	return r->len - r->pos;
}

bool reader_take(struct reader *r, size_t n, const uint8_t **out)
{
	if (n > r->len - r->pos) /* compare with what is left: pos + n could wrap */
		return false;
	*out = r->at == NULL ? NULL : r->at + r->pos; /* NULL + 0 is undefined in C */
	r->pos += n;
	return true;
}

bool reader_u8(struct reader *r, uint8_t *out)
{
	const uint8_t *p;

	if (!reader_take(r, 1, &p))
		return false;
	*out = p[0];
	return true;
}

bool reader_u16(struct reader *r, uint16_t *out)
{
	const uint8_t *p;

	if (!reader_take(r, 2, &p))
		return false;
	*out = (uint16_t)(p[0] << 8 | p[1]);
	return true;
}

bool reader_u32(struct reader *r, uint32_t *out)
{
	const uint8_t *p;

	if (!reader_take(r, 4, &p))
		return false;
	*out = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return true;
}

bool reader_str(struct reader *r, struct bytes *out)
{
	size_t left = reader_left(r);
	const uint8_t *from, *nul;

	if (left == 0)
		return false;
	from = r->at + r->pos;
	if ((nul = memchr(from, 0, left)) == NULL)
		return false;
	*out = (struct bytes){ from, (size_t)(nul - from) };
	r->pos += out->len + 1;
	return true;
}

struct bytes reader_rest(struct reader *r)
{
	struct bytes rest = { NULL, reader_left(r) };

	if (r->at != NULL)
		rest.at = r->at + r->pos;
	r->pos = r->len;
	return rest;
}

size_t reader_run(struct reader *r, uint8_t type, uint32_t min, uint32_t max)
{
	size_t left = r->len - r->pos, whole;
	const uint8_t *p;
	uint32_t length;

	while (left >= READER_HEAD && (p = r->at + r->len - left)[0] == type) {
		length = reader_length(p);
		if (length < min || length > max || length > left - 1)
			break;
		left -= (size_t)length + 1;
	}
	whole = r->len - r->pos - left;
	r->pos += whole;
	return whole;
}
