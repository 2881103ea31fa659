#include "reply_priv.h"

#include <stdlib.h>
#include <string.h>

#define NUMERIC_BASE 10000u

static void finish(struct answer *out, const struct writer *w)
{
	if (writer_status(w) != ERR_OK)
		out->no_memory = true;
}

void reply_error(struct answer *out, const char *sqlstate, const char *message, const char *detail)
{
	const struct message_error e = {
		.severity = "ERROR", .sqlstate = sqlstate, .message = message, .detail = detail,
	};
	struct writer w = writer_to(&out->bytes);

	message_write_error(&w, 'E', &e);
	finish(out, &w);
}

void reply_empty(struct answer *out, char type)
{
	struct writer w = writer_to(&out->bytes);

	writer_begin(&w, type);
	writer_end(&w);
	finish(out, &w);
}

void reply_no_parameters(struct answer *out)
{
	struct writer w = writer_to(&out->bytes);

	writer_begin(&w, 't');
	writer_u16(&w, 0);
	writer_end(&w);
	finish(out, &w);
}

void reply_ready(struct answer *out)
{
	struct writer w = writer_to(&out->bytes);

	message_write_ready(&w, 'I');
	finish(out, &w);
}

/* --- columns --- */

static bool is_binary(const struct formats *formats, size_t i)
{
	if (formats == NULL || formats->count == 0)
		return false;
	return formats->at[formats->count == 1 ? 0 : i] != 0;
}

/* Bytes of the type; -1: they vary. */
static uint16_t type_size(enum column_type type)
{
	switch (type) {
	case TYPE_INT4:
		return 4;
	case TYPE_INT8:
		return 8;
	default:
		return UINT16_MAX;
	}
}

void reply_columns(struct answer *out, const struct column *columns, size_t count,
                   const struct formats *formats)
{
	struct writer w = writer_to(&out->bytes);

	writer_begin(&w, 'T');
	writer_u16(&w, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		writer_str(&w, columns[i].name);
		writer_u32(&w, 0); /* of no table */
		writer_u16(&w, 0);
		writer_u32(&w, (uint32_t)columns[i].type);
		writer_u16(&w, type_size(columns[i].type));
		writer_u32(&w, UINT32_MAX); /* no modifier */
		writer_u16(&w, is_binary(formats, i));
	}
	writer_end(&w);
	finish(out, &w);
}

/* --- cells --- */

static void write_text(struct writer *w, const char *text, size_t len)
{
	writer_u32(w, (uint32_t)len);
	writer_bytes(w, (struct bytes){ (const uint8_t *)text, len });
}

/* A whole number as PostgreSQL's numeric: digits to base 10000, most significant first, and the
 * weight of the first. */
static void write_numeric(struct writer *w, bool negative, uint64_t v)
{
	uint16_t digits[6];
	size_t n = 0;

	for (; v > 0; v /= NUMERIC_BASE)
		digits[n++] = (uint16_t)(v % NUMERIC_BASE);
	writer_u32(w, (uint32_t)(8 + 2 * n));
	writer_u16(w, (uint16_t)n);
	writer_u16(w, (uint16_t)(n > 0 ? n - 1 : 0));
	writer_u16(w, negative ? 0x4000 : 0);
	writer_u16(w, 0); /* digits behind the point */
	while (n > 0)
		writer_u16(w, digits[--n]);
}

static void write_binary(struct writer *w, enum column_type type, const char *text, size_t len)
{
	bool negative = len > 0 && text[0] == '-';
	uint64_t v = 0;

	if (type == TYPE_TEXT) {
		write_text(w, text, len);
		return;
	}
	for (size_t i = negative; i < len; i++)
		v = v * 10 + (uint64_t)(text[i] - '0');
	if (type == TYPE_NUMERIC) {
		write_numeric(w, negative, v);
		return;
	}
	v = negative ? 0 - v : v;
	writer_u32(w, type_size(type));
	if (type == TYPE_INT8)
		writer_u32(w, (uint32_t)(v >> 32));
	writer_u32(w, (uint32_t)v);
}

static uint32_t cell_len(const struct result *r, size_t at)
{
	uint32_t len;

	memcpy(&len, r->rows.at + at, sizeof(len));
	return len;
}

static void write_row(struct writer *w, const struct result *r, const struct formats *formats,
                      size_t *at)
{
	writer_begin(w, 'D');
	writer_u16(w, (uint16_t)r->column_count);
	for (size_t i = 0; i < r->column_count; i++) {
		uint32_t len = cell_len(r, *at);
		const char *text = (const char *)r->rows.at + *at + sizeof(len);

		*at += sizeof(len);
		if (len == CELL_NULL) {
			writer_u32(w, UINT32_MAX);
			continue;
		}
		*at += len;
		if (is_binary(formats, i))
			write_binary(w, r->columns[i].type, text, len);
		else
			write_text(w, text, len);
	}
	writer_end(w);
}

void reply_rows(struct answer *out, const struct result *r, const struct formats *formats,
                size_t *at, size_t max)
{
	struct writer w = writer_to(&out->bytes);

	for (size_t n = 0; *at < r->rows.len && (max == 0 || n < max); n++)
		write_row(&w, r, formats, at);
	finish(out, &w);
}

/* --- the end --- */

void reply_complete(struct answer *out, const struct result *r)
{
	struct writer w = writer_to(&out->bytes);

	if (r->notice != NULL) {
		const struct message_error e = {
			.severity = "NOTICE", .sqlstate = "00000", .message = r->notice,
			.detail = r->detail.len > 0 ? (const char *)r->detail.at : NULL,
		};

		message_write_error(&w, 'N', &e);
	}
	message_write_command_complete(&w, r->tag);
	finish(out, &w);
}
