#include "pgseal/wire/pstatement.h"

#include <string.h>

#include "pgseal/wire/frame.h"
#include "pgseal/wire/reader.h"

/* ---- names ---- */

/* What stands in front of the name: false when it has not come, or is not there. */
static bool take_before(char type, struct reader *r, bool *about_statement)
{
	struct bytes portal;
	uint8_t kind;

	*about_statement = true;
	switch (type) {
	case 'P':
		return true;
	case 'B':
		return reader_str(r, &portal);
	case 'D':
	case 'C':
		if (!reader_u8(r, &kind))
			return false;
		*about_statement = kind == 'S';
		return true;
	default:
		*about_statement = false;
		return true;
	}
}

enum pstatement_next pstatement_find(struct bytes message, size_t size,
                                     struct pstatement_mention *out)
{
	size_t have = message.len < size ? message.len : size;
	struct reader r = reader_of((struct bytes){ message.at, have });
	struct pstatement_mention m;
	const uint8_t *header;
	bool about;

	if (!reader_take(&r, FRAME_HEADER, &header))
		return PSTATEMENT_MORE;
	if (take_before((char)header[0], &r, &about)) {
		if (!about)
			return PSTATEMENT_NONE;
		m.before = (struct bytes){ header + FRAME_HEADER, r.pos - FRAME_HEADER };
		if (reader_str(&r, &m.name)) {
			m.head = r.pos;
			*out = m;
			return PSTATEMENT_NAMED;
		}
	}
	return have < size ? PSTATEMENT_MORE : PSTATEMENT_NONE;
}

size_t pstatement_head_size(const struct pstatement_mention *m, size_t name_len)
{
	return FRAME_HEADER + m->before.len + name_len + 1;
}

void pstatement_write_head(uint8_t *to, char type, size_t size, const struct pstatement_mention *m,
                           struct bytes name)
{
	size_t length = size - 1 - m->name.len + name.len;

	to[0] = (uint8_t)type;
	to[1] = (uint8_t)(length >> 24);
	to[2] = (uint8_t)(length >> 16);
	to[3] = (uint8_t)(length >> 8);
	to[4] = (uint8_t)length;
	to += FRAME_HEADER;
	memmove(to, m->before.at, m->before.len);
	memmove(to + m->before.len, name.at, name.len);
	to[m->before.len + name.len] = '\0';
}

/* ---- shapes ---- */

/* FNV-1a: who would construct a collision would mislead nobody but himself. */
#define FNV_OFFSET 14695981039346656037u
#define FNV_PRIME 1099511628211u

static uint64_t mix(uint64_t shape, struct bytes b)
{
	size_t i;

	for (i = 0; i < b.len; i++)
		shape = (shape ^ b.at[i]) * FNV_PRIME;
	return shape != 0 ? shape : 1;
}

uint64_t pstatement_shape_begin(void)
{
	return FNV_OFFSET;
}

uint64_t pstatement_shape_parameters(uint64_t shape, struct bytes body)
{
	return mix(shape, body);
}

/* The columns of a whole RowDescription. False: it is broken. */
static bool mix_columns(uint64_t *shape, struct bytes body)
{
	struct reader r = reader_of(body);
	const uint8_t *origin, *type, *format;
	struct bytes name;
	uint16_t count;

	if (!reader_u16(&r, &count))
		return false;
	for (; count > 0; count--) {
		/* table, attribute number; type, size, modifier; format */
		if (!reader_str(&r, &name) || !reader_take(&r, 6, &origin) ||
		    !reader_take(&r, 10, &type) || !reader_take(&r, 2, &format))
			return false;
		/* with its NUL, so that two names are not taken for one */
		*shape = mix(*shape, (struct bytes){ name.at, name.len + 1 });
		*shape = mix(*shape, (struct bytes){ type, 10 });
	}
	return reader_left(&r) == 0;
}

uint64_t pstatement_shape_columns(uint64_t shape, struct bytes body)
{
	uint64_t with_columns = shape;

	return mix_columns(&with_columns, body) ? with_columns : mix(shape, body);
}
