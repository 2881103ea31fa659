/* Taking message contents apart. The only place that does arithmetic on lengths from a peer.
 * protocol: Message Data Types. */
#ifndef PGSEAL_WIRE_READER_H
#define PGSEAL_WIRE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"

struct reader {
	const uint8_t *at;
	size_t len;
	size_t pos;
};

struct reader reader_of(struct bytes b);
size_t reader_left(const struct reader *r);
/* Each takes from the front; false leaves *r and *out as they were. Integers are big-endian. */
bool reader_take(struct reader *r, size_t n, const uint8_t **out);
bool reader_u8(struct reader *r, uint8_t *out);
bool reader_u16(struct reader *r, uint16_t *out);
bool reader_u32(struct reader *r, uint32_t *out);
/* NUL-terminated string; the span does not include the NUL, at[len] is it. */
bool reader_str(struct reader *r, struct bytes *out);
struct bytes reader_rest(struct reader *r);
/* A message's type byte and its length word, which counts itself. Here because it is called for each. */
#define READER_HEAD 5
static inline uint32_t reader_length(const uint8_t *head)
{
	return (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
}
static inline bool reader_head(struct reader *r, uint8_t *type, uint32_t *length)
{
	if (r->len - r->pos < READER_HEAD)
		return false;
	*type = r->at[r->pos];
	*length = reader_length(r->at + r->pos);
	r->pos += READER_HEAD;
	return true;
}
/* Step over whole messages of that type whose length words are within [min, max]; returns how many
 * bytes they were. In one go, because rows come by the million. */
size_t reader_run(struct reader *r, uint8_t type, uint32_t min, uint32_t max);

#endif
