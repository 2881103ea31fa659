#include "pgseal/wire/message.h"
#include "pgseal/wire/reader.h"

#define RAISED_BY "pgseal" /* field F: PostgreSQL names its source file there */

/* --- errors and notices --- */

static void write_field(struct writer *w, char code, const char *text)
{
	if (text == NULL)
		return;
	writer_u8(w, (uint8_t)code);
	writer_str(w, text);
}

void message_write_error(struct writer *w, char type, const struct message_error *e)
{
	writer_begin(w, type);
	write_field(w, 'S', e->severity);
	write_field(w, 'V', e->severity);
	write_field(w, 'C', e->sqlstate);
	write_field(w, 'M', e->message);
	write_field(w, 'D', e->detail);
	write_field(w, 'H', e->hint);
	write_field(w, 'F', RAISED_BY);
	write_field(w, 'R', e->routine);
	writer_u8(w, 0);
	writer_end(w);
}

/* Where a field's text goes; NULL: not of interest. */
static struct bytes *field_slot(struct message_error_view *v, uint8_t code, bool *have_v)
{
	switch (code) {
	case 'V':
		*have_v = true;
		return &v->severity;
	case 'S': /* in the server's language: the second choice */
		return *have_v ? NULL : &v->severity;
	case 'C':
		return &v->sqlstate;
	case 'M':
		return &v->message;
	case 'D':
		return &v->detail;
	case 'H':
		return &v->hint;
	default:
		return NULL;
	}
}

enum err message_read_error(struct bytes body, struct message_error_view *out)
{
	struct message_error_view view = { 0 };
	struct reader r = reader_of(body);
	struct bytes text, *slot;
	bool have_v = false;
	uint8_t code;

	for (;;) {
		if (!reader_u8(&r, &code))
			return ERR_WIRE_FORMAT;
		if (code == 0)
			break;
		if (!reader_str(&r, &text))
			return ERR_WIRE_FORMAT;
		if ((slot = field_slot(&view, code, &have_v)) != NULL)
			*slot = text;
	}
	if (reader_left(&r) != 0)
		return ERR_WIRE_FORMAT;
	*out = view;
	return ERR_OK;
}

/* --- greeting --- */

void message_write_auth_ok(struct writer *w)
{
	writer_begin(w, 'R');
	writer_u32(w, 0);
	writer_end(w);
}

void message_write_parameter(struct writer *w, const char *name, const char *value)
{
	writer_begin(w, 'S');
	writer_str(w, name);
	writer_str(w, value);
	writer_end(w);
}

#define COLUMN_NULL UINT32_MAX

enum err message_read_row(struct bytes body, struct bytes *columns, size_t n)
{
	struct reader r = reader_of(body);
	uint16_t count;
	uint32_t len;
	size_t i;

	if (!reader_u16(&r, &count) || count != n)
		return ERR_WIRE_FORMAT;
	for (i = 0; i < n; i++) {
		columns[i] = (struct bytes){ NULL, 0 };
		if (!reader_u32(&r, &len))
			return ERR_WIRE_FORMAT;
		if (len == COLUMN_NULL)
			continue;
		if (!reader_take(&r, len, &columns[i].at))
			return ERR_WIRE_FORMAT;
		columns[i].len = len;
	}
	return reader_left(&r) == 0 ? ERR_OK : ERR_WIRE_FORMAT;
}

enum err message_read_parameter(struct bytes body, struct bytes *name, struct bytes *value)
{
	struct reader r = reader_of(body);
	struct bytes n, v;

	if (!reader_str(&r, &n) || !reader_str(&r, &v) || reader_left(&r) != 0)
		return ERR_WIRE_FORMAT;
	*name = n;
	*value = v;
	return ERR_OK;
}

void message_write_key(struct writer *w, uint32_t pid, struct bytes secret)
{
	writer_begin(w, 'K');
	writer_u32(w, pid);
	writer_bytes(w, secret);
	writer_end(w);
}

void message_write_negotiate(struct writer *w, uint32_t newest, const char *const *options,
                             size_t count)
{
	writer_begin(w, 'v');
	writer_u32(w, newest); /* major << 16 | minor, as PostgreSQL writes and libpq reads it */
	writer_u32(w, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		writer_str(w, options[i]);
	writer_end(w);
}

/* --- queries and answers --- */

void message_write_ready(struct writer *w, char status)
{
	writer_begin(w, 'Z');
	writer_u8(w, (uint8_t)status);
	writer_end(w);
}

void message_write_query(struct writer *w, const char *sql)
{
	writer_begin(w, 'Q');
	writer_str(w, sql);
	writer_end(w);
}

void message_write_command_complete(struct writer *w, const char *tag)
{
	writer_begin(w, 'C');
	writer_str(w, tag);
	writer_end(w);
}

static const struct {
	uint32_t oid;
	uint16_t size;
} fixed_types[] = {
	{ 16, 1 }, /* bool */
	{ 20, 8 }, /* int8 */
	{ 21, 2 }, /* int2 */
	{ 23, 4 }, /* int4 */
};

/* pg_type.typlen */
static uint16_t type_size(uint32_t oid)
{
	for (size_t i = 0; i < sizeof(fixed_types) / sizeof(fixed_types[0]); i++) {
		if (fixed_types[i].oid == oid)
			return fixed_types[i].size;
	}
	return UINT16_MAX; /* -1: varies */
}

void message_write_row_description(struct writer *w, const struct message_column *cols, size_t n)
{
	writer_begin(w, 'T');
	writer_u16(w, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		writer_str(w, cols[i].name);
		writer_u32(w, 0); /* no table */
		writer_u16(w, 0); /* nor column of one */
		writer_u32(w, cols[i].type_oid);
		writer_u16(w, type_size(cols[i].type_oid));
		writer_u32(w, UINT32_MAX); /* no type modifier */
		writer_u16(w, 0);          /* text */
	}
	writer_end(w);
}

void message_write_data_row(struct writer *w, const char *const *values, size_t n)
{
	struct bytes value;

	writer_begin(w, 'D');
	writer_u16(w, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		value = bytes_of(values[i]);
		writer_u32(w, values[i] == NULL ? UINT32_MAX : (uint32_t)value.len);
		if (values[i] != NULL)
			writer_bytes(w, value);
	}
	writer_end(w);
}
