#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/wire/frame.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_SIZE ((size_t)1 << 20)

static const char client_types[] = "BCDEFHPQSXcdf";
static const char server_types[] = "123ACDEGHINSTVWZcdnst";

Test(frame, exactly_the_messages_of_a_session_are_known)
{
	for (int type = 0; type < 256; type++) {
		bool from_client = type != 0 && strchr(client_types, type) != NULL;
		bool from_server = type != 0 && strchr(server_types, type) != NULL;

		cr_expect_eq(frame_row(FRAME_FROM_CLIENT, (char)type) != NULL, from_client, "%d",
		             type);
		cr_expect_eq(frame_row(FRAME_FROM_SERVER, (char)type) != NULL, from_server, "%d",
		             type);
	}
}

Test(frame, rows_make_sense)
{
	for (int side = FRAME_FROM_CLIENT; side <= FRAME_FROM_SERVER; side++) {
		const char *types = side == FRAME_FROM_CLIENT ? client_types : server_types;

		for (; *types != '\0'; types++) {
			const struct frame_row *row = frame_row((enum frame_side)side, *types);

			cr_expect_eq(row->type, *types);
			cr_expect(row->min >= 4, "%s", row->name);
			cr_expect(row->max == 0 || row->max >= row->min, "%s", row->name);
			if (row->flags & FRAME_WHOLE)
				cr_expect(row->max != 0 && row->max < FRAME_WHOLE_MAX, "%s",
				          row->name);
		}
	}
}

struct peek_case {
	const char *what;
	enum frame_side side;
	char type;
	uint32_t length;
	size_t max_size;
	enum err want; /* ERR_OK: FRAME_READY */
};

static const struct peek_case peek_cases[] = {
	{ "shortest Query", FRAME_FROM_CLIENT, 'Q', 4, MAX_SIZE, ERR_OK },
	{ "a length below its own size", FRAME_FROM_CLIENT, 'Q', 3, MAX_SIZE, ERR_WIRE_SHORT },
	{ "length 0", FRAME_FROM_SERVER, 'D', 0, MAX_SIZE, ERR_WIRE_SHORT },
	{ "as long as allowed", FRAME_FROM_CLIENT, 'd', MAX_SIZE - 1, MAX_SIZE, ERR_OK },
	{ "one byte more", FRAME_FROM_CLIENT, 'd', MAX_SIZE, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "2^31 - 1", FRAME_FROM_SERVER, 'D', INT32_MAX, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "2^31 - 1 allowed", FRAME_FROM_SERVER, 'D', INT32_MAX, SIZE_MAX, ERR_OK },
	{ "2^31", FRAME_FROM_SERVER, 'D', UINT32_C(0x80000000), SIZE_MAX, ERR_WIRE_LIMIT },
	{ "-1", FRAME_FROM_CLIENT, 'P', UINT32_MAX, SIZE_MAX, ERR_WIRE_LIMIT },
	{ "a password in a session", FRAME_FROM_CLIENT, 'p', 8, MAX_SIZE, ERR_WIRE_TYPE },
	{ "authentication in a session", FRAME_FROM_SERVER, 'R', 8, MAX_SIZE, ERR_WIRE_TYPE },
	{ "a key in a session", FRAME_FROM_SERVER, 'K', 12, MAX_SIZE, ERR_WIRE_TYPE },
	{ "a wrong type is told before a wrong length", FRAME_FROM_CLIENT, '!', 0, 16,
	  ERR_WIRE_TYPE },
	{ "a server's message from a client", FRAME_FROM_CLIENT, 'Z', 5, MAX_SIZE, ERR_WIRE_TYPE },
	{ "Sync", FRAME_FROM_CLIENT, 'S', 4, MAX_SIZE, ERR_OK },
	{ "Sync with contents", FRAME_FROM_CLIENT, 'S', 5, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "Flush with contents", FRAME_FROM_CLIENT, 'H', 8, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "Terminate with contents", FRAME_FROM_CLIENT, 'X', 5, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "CopyDone with contents", FRAME_FROM_CLIENT, 'c', 5, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "ReadyForQuery", FRAME_FROM_SERVER, 'Z', 5, MAX_SIZE, ERR_OK },
	{ "ReadyForQuery without status", FRAME_FROM_SERVER, 'Z', 4, MAX_SIZE, ERR_WIRE_SHORT },
	{ "ReadyForQuery with more", FRAME_FROM_SERVER, 'Z', 6, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "ParseComplete with contents", FRAME_FROM_SERVER, '1', 5, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "long ParameterStatus", FRAME_FROM_SERVER, 'S', FRAME_WHOLE_MAX - 1, MAX_SIZE, ERR_OK },
	{ "too long", FRAME_FROM_SERVER, 'S', FRAME_WHOLE_MAX, MAX_SIZE, ERR_WIRE_LIMIT },
	{ "error over 64 kB", FRAME_FROM_SERVER, 'E', FRAME_WHOLE_MAX * 4, MAX_SIZE, ERR_OK },
	{ "no room at all", FRAME_FROM_SERVER, 'D', 4, 4, ERR_WIRE_LIMIT },
};

static void put_header(uint8_t at[FRAME_HEADER], char type, uint32_t length)
{
	at[0] = (uint8_t)type;
	for (int i = 0; i < 4; i++)
		at[1 + i] = (uint8_t)(length >> (24 - 8 * i));
}

Test(frame, header_alone_decides)
{
	for (size_t i = 0; i < COUNT(peek_cases); i++) {
		const struct peek_case *c = &peek_cases[i];
		uint8_t header[FRAME_HEADER];
		enum err why = ERR_OK;
		struct frame f = { 0 };
		enum frame_next next;

		put_header(header, c->type, c->length);
		next = frame_peek(c->side, (struct bytes){ header, sizeof(header) }, c->max_size,
		                  &f, &why);
		cr_expect_eq(next, c->want == ERR_OK ? FRAME_READY : FRAME_BAD, "%s", c->what);
		cr_expect_eq(why, c->want, "%s: %s", c->what, err_text(why));
		if (next == FRAME_READY) {
			cr_expect_eq(f.size, (size_t)c->length + 1, "%s", c->what);
			cr_expect_eq(f.row->type, c->type, "%s", c->what);
		}
	}
}

Test(frame, less_than_a_header_is_waited_for)
{
	const uint8_t bad[FRAME_HEADER] = { '!', 0xff, 0xff, 0xff, 0xff };
	enum err why = ERR_OK;
	struct frame f;

	for (size_t len = 0; len < FRAME_HEADER; len++) {
		cr_expect_eq(frame_peek(FRAME_FROM_CLIENT, (struct bytes){ bad, len }, MAX_SIZE, &f,
		                        &why),
		             FRAME_MORE);
	}
	cr_expect_eq(why, ERR_OK);
}

/* Put a message of so many bytes in all at *at. */
static void put_message(uint8_t **at, char type, uint32_t size)
{
	put_header(*at, type, size - 1);
	memset(*at + FRAME_HEADER, 'x', size - FRAME_HEADER);
	*at += size;
}

Test(frame, run_takes_whole_messages_of_one_kind)
{
	const struct frame_row *row = frame_row(FRAME_FROM_SERVER, 'D');
	uint8_t bytes[256], *end = bytes;
	size_t rows, len;

	put_message(&end, 'D', 12);
	put_message(&end, 'D', FRAME_HEADER);
	put_message(&end, 'D', 40);
	rows = (size_t)(end - bytes);
	put_message(&end, 'C', 20);
	put_message(&end, 'D', 12);
	cr_expect_eq(frame_run(row, (struct bytes){ bytes, sizeof(bytes) }, MAX_SIZE), rows);
	cr_expect_eq(frame_run(row, (struct bytes){ bytes, 0 }, MAX_SIZE), 0);
	cr_expect_eq(frame_run(row, (struct bytes){ bytes + rows, 32 }, MAX_SIZE), 0);
	for (len = 0; len < rows; len++)
		cr_expect_eq(frame_run(row, (struct bytes){ bytes, len }, MAX_SIZE),
		             len < 12 ? 0 : len < 17 ? 12 : 17, "%zu bytes", len);
}

Test(frame, run_ends_where_peek_would_refuse)
{
	const struct frame_row *row = frame_row(FRAME_FROM_SERVER, 'D');
	const uint32_t refused[] = { 0, 3, 39, 40, INT32_MAX, UINT32_MAX };
	uint8_t bytes[128];

	for (size_t i = 0; i < COUNT(refused); i++) {
		uint8_t *end = bytes;

		put_message(&end, 'D', 12);
		put_header(end, 'D', refused[i]);
		cr_expect_eq(frame_run(row, (struct bytes){ bytes, sizeof(bytes) }, 39), 12,
		             "length word %u", refused[i]);
	}
}
