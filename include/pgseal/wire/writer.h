/* Putting messages together in a growable buffer. protocol: Message Formats.
 *
 * Errors stick: once memory ran out, further calls do nothing and writer_end tells. */
#ifndef PGSEAL_WIRE_WRITER_H
#define PGSEAL_WIRE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"

struct writer {
	struct buf *to; /* borrowed */
	size_t start;   /* offset of the open message's length word */
	bool failed;
};

struct writer writer_to(struct buf *b);
/* Open a message of this type; 0 opens one without a type byte (startup packets). */
void writer_begin(struct writer *w, char type);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_bytes(struct writer *w, struct bytes b);
void writer_str(struct writer *w, const char *s); /* with its NUL */
/* Close the open message: the length word is patched. */
void writer_end(struct writer *w);
/* ERR_NO_MEMORY if anything since writer_to failed. */
enum err writer_status(const struct writer *w) MUST_CHECK;

#endif
