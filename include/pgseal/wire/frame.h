/* Message framing and the table of message types. protocol: Message Formats. No I/O. */
#ifndef PGSEAL_WIRE_FRAME_H
#define PGSEAL_WIRE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"

#define FRAME_HEADER 5         /* type byte and length word */
#define FRAME_WHOLE_MAX 65536u /* most that a message we must see whole may hold, header included */

enum frame_side { FRAME_FROM_CLIENT, FRAME_FROM_SERVER };

enum frame_flags {
	FRAME_WHOLE = 1, /* acted upon: must be complete in memory before it is passed on */
	FRAME_PEEK = 2,  /* looked at when it happens to be complete, passed on regardless */
	FRAME_ASYNC = 4, /* may come at any moment, answers nothing */
	FRAME_MANY = 8,  /* comes by the thousand: one more behind another of its kind changes nothing */
};

struct frame_row {
	char type;
	unsigned char flags; /* enum frame_flags */
	uint32_t min;        /* smallest length word allowed, at least 4 */
	uint32_t max;        /* largest length word allowed; 0: max_packet_size alone */
	const char *name;    /* as in the protocol chapter */
};

/* NULL: no such message from that side (in a session, after startup). */
const struct frame_row *frame_row(enum frame_side side, char type);

struct frame {
	const struct frame_row *row;
	size_t size; /* whole message, header included; at least FRAME_HEADER */
};

enum frame_next {
	FRAME_MORE,  /* fewer than FRAME_HEADER bytes: come back with more */
	FRAME_READY, /* *out is filled; the body may still be incomplete */
	FRAME_BAD,   /* *why_bad tells: ERR_WIRE_TYPE, ERR_WIRE_LIMIT, ERR_WIRE_SHORT (below min) */
};
/* Look at the header at the front of b. max_size: largest whole message, bytes. */
enum frame_next frame_peek(enum frame_side side, struct bytes b, size_t max_size, struct frame *out,
                           enum err *why_bad);
/* How many bytes at the front of b are whole messages of this row, each good to frame_peek. */
size_t frame_run(const struct frame_row *row, struct bytes b, size_t max_size);

#endif
