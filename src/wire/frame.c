#include <stddef.h>

#include "pgseal/wire/frame.h"
#include "pgseal/wire/reader.h"

#define TYPES 128 /* every type byte of the protocol is ASCII */

/* The length word counts itself but not the type byte. */
#define WHOLE_MAX (FRAME_WHOLE_MAX - 1)

/* min and max bind the length word. Bounds stand where we read fixed fields ourselves, and where
 * the message has no contents: a wrong length there would put both sides out of step. Elsewhere
 * the receiving end judges the contents. */
#define ROW(type, min, max, flags, name) [type] = { type, flags, min, max, name }

/* A row a line. */
/* clang-format off */
static const struct frame_row client_rows[TYPES] = {
	ROW('B', 4, 0, 0, "Bind"),
	ROW('C', 4, 0, 0, "Close"),
	ROW('D', 4, 0, 0, "Describe"),
	ROW('E', 4, 0, 0, "Execute"),
	ROW('F', 4, 0, 0, "FunctionCall"),
	ROW('H', 4, 4, 0, "Flush"),
	ROW('P', 4, 0, 0, "Parse"),
	ROW('Q', 4, 0, 0, "Query"),
	ROW('S', 4, 4, 0, "Sync"),
	ROW('X', 4, 4, 0, "Terminate"),
	ROW('c', 4, 4, 0, "CopyDone"),
	ROW('d', 4, 0, FRAME_MANY, "CopyData"),
	ROW('f', 4, 0, 0, "CopyFail"),
};

static const struct frame_row server_rows[TYPES] = {
	ROW('1', 4, 4, 0, "ParseComplete"),
	ROW('2', 4, 4, 0, "BindComplete"),
	ROW('3', 4, 4, 0, "CloseComplete"),
	ROW('A', 4, 0, FRAME_ASYNC, "NotificationResponse"),
	ROW('C', 4, 0, FRAME_PEEK, "CommandComplete"),
	ROW('D', 4, 0, FRAME_MANY, "DataRow"),
	ROW('E', 4, 0, FRAME_PEEK, "ErrorResponse"),
	ROW('G', 4, 0, 0, "CopyInResponse"),
	ROW('H', 4, 0, 0, "CopyOutResponse"),
	ROW('I', 4, 4, 0, "EmptyQueryResponse"),
	ROW('N', 4, 0, FRAME_PEEK | FRAME_ASYNC, "NoticeResponse"),
	ROW('S', 4, WHOLE_MAX, FRAME_WHOLE | FRAME_ASYNC, "ParameterStatus"),
	ROW('T', 4, 0, 0, "RowDescription"),
	ROW('V', 4, 0, 0, "FunctionCallResponse"),
	ROW('W', 4, 0, 0, "CopyBothResponse"),
	ROW('Z', 5, 5, FRAME_WHOLE, "ReadyForQuery"),
	ROW('c', 4, 4, 0, "CopyDone"),
	ROW('d', 4, 0, FRAME_MANY, "CopyData"),
	ROW('n', 4, 4, 0, "NoData"),
	ROW('s', 4, 4, 0, "PortalSuspended"),
	ROW('t', 4, 0, 0, "ParameterDescription"),
};
/* clang-format on */

const struct frame_row *frame_row(enum frame_side side, char type)
{
	unsigned at = (unsigned char)type;
	const struct frame_row *row;

	if (at >= TYPES)
		return NULL;
	row = side == FRAME_FROM_CLIENT ? &client_rows[at] : &server_rows[at];
	return row->name == NULL ? NULL : row;
}

static enum err check_length(const struct frame_row *row, uint32_t length, size_t max_size)
{
	if (length < row->min)
		return ERR_WIRE_SHORT;
	if (length > INT32_MAX || (row->max != 0 && length > row->max))
		return ERR_WIRE_LIMIT;
	if (length >= max_size) /* the whole message is one byte longer than its length word says */
		return ERR_WIRE_LIMIT;
	return ERR_OK;
}

enum frame_next frame_peek(enum frame_side side, struct bytes b, size_t max_size, struct frame *out,
                           enum err *why_bad)
{
	struct reader r = { .at = b.at, .len = b.len };
	const struct frame_row *row;
	uint8_t type;
	uint32_t length;
	enum err rc;

	if (!reader_head(&r, &type, &length))
		return FRAME_MORE;
	if ((row = frame_row(side, (char)type)) == NULL)
		rc = ERR_WIRE_TYPE;
	else
		rc = check_length(row, length, max_size);
	if (rc != ERR_OK) {
		*why_bad = rc;
		return FRAME_BAD;
	}
	out->row = row;
	out->size = (size_t)length + 1;
	return FRAME_READY;
}

size_t frame_run(const struct frame_row *row, struct bytes b, size_t max_size)
{
	struct reader r = reader_of(b);
	size_t max = row->max != 0 ? row->max : INT32_MAX;

	if (max_size == 0)
		return 0;
	return reader_run(&r, (uint8_t)row->type, row->min,
	                  (uint32_t)(max < max_size ? max : max_size - 1));
}
