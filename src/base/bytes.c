#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pgseal/base/bytes.h"

#define BUF_FIRST_BYTES 64
#define QUOTE_BYTES 256 /* what is left in struct quoted beside "..." and NUL */

struct bytes bytes_of(const char *s)
{
	if (s == NULL)
		return (struct bytes){ NULL, 0 };
	return (struct bytes){ (const uint8_t *)s, strlen(s) };
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool bytes_ascii(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.at[i] >= 0x80)
			return false;
	return true;
}

static bool hex_digit(char c, unsigned *out)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	if (at == NULL)
		return false;
	*out = (unsigned)(at - digits);
	return true;
}

bool bytes_unhex(char *text)
{
	unsigned high, low;
	char *to = text;

	for (; *text != '\0'; text += 2) {
		if (!hex_digit(text[0], &high) || !hex_digit(text[1], &low))
			return false;
		*to++ = (char)(high << 4 | low);
	}
	*to = '\0';
	return true;
}

bool bytes_equal_secret(struct bytes a, struct bytes b)
{
	volatile uint8_t differ = 0; /* volatile: the compiler may not leave the loop early */

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		differ = (uint8_t)(differ | (a.at[i] ^ b.at[i]));
	return differ == 0;
}

enum err buf_reserve(struct buf *b, size_t n)
{
	size_t cap = b->cap == 0 ? BUF_FIRST_BYTES : b->cap;
	uint8_t *at;

	if (n <= b->cap - b->len)
		return ERR_OK;
	if (n > SIZE_MAX / 2 - b->len)
		return ERR_NO_MEMORY;
	while (cap - b->len < n)
		cap *= 2;
	if ((at = realloc(b->at, cap)) == NULL)
		return ERR_NO_MEMORY;
	b->at = at;
	b->cap = cap;
	return ERR_OK;
}

enum err buf_append(struct buf *b, const void *at, size_t n)
{
	enum err rc = buf_reserve(b, n);

	if (rc != ERR_OK || n == 0)
		return rc;
	memcpy(b->at + b->len, at, n);
	b->len += n;
	return ERR_OK;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n >= b->len) {
		buf_free(b);
		return;
	}
	memmove(b->at, b->at + n, b->len - n);
	b->len -= n;
}

void buf_free(struct buf *b)
{
	free(b->at);
	*b = (struct buf){ 0 };
}

/* --- UTF-8 --- */

/* RFC 3629 section 4 as data: the first byte decides length and what the second byte may be; that
 * alone excludes overlong forms, surrogates and everything above U+10FFFF. */
static const struct utf8_row {
	uint8_t first_min, first_max;
	uint8_t second_min, second_max;
	uint8_t len;
} utf8_rows[] = {
	{ 0x00, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static const struct utf8_row *utf8_row_of(uint8_t first)
{
	for (size_t i = 0; i < sizeof(utf8_rows) / sizeof(utf8_rows[0]); i++)
		if (first >= utf8_rows[i].first_min && first <= utf8_rows[i].first_max)
			return &utf8_rows[i];
	return NULL;
}

/* Length of the sequence at the front of b, 0 when it is broken; b is not empty. */
static size_t utf8_next(struct bytes b)
{
	const struct utf8_row *row = utf8_row_of(b.at[0]);

	if (row == NULL || row->len > b.len)
		return 0;
	if (row->len > 1 && (b.at[1] < row->second_min || b.at[1] > row->second_max))
		return 0;
	for (size_t i = 2; i < row->len; i++)
		if ((b.at[i] & 0xc0) != 0x80)
			return 0;
	return row->len;
}

bool utf8_valid(struct bytes b)
{
	while (b.len > 0) {
		size_t n = utf8_next(b);

		if (n == 0)
			return false;
		b.at += n;
		b.len -= n;
	}
	return true;
}

/* --- quoting --- */

/* Well-formed, but commands to a terminal or a reader's eye: C1 controls, line and paragraph
 * separators, writing-direction overrides. */
static bool utf8_hides(const uint8_t *at, size_t len)
{
	if (len == 2)
		return at[0] == 0xc2 && at[1] < 0xa0;
	if (len != 3 || at[0] != 0xe2)
		return false;
	return (at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) ||
	       (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);
}

/* How many bytes at the front of b may stand as they are; 0: the first byte must be escaped. */
static size_t quote_plain(struct bytes b)
{
	size_t n = utf8_next(b);

	if (n == 1)
		return b.at[0] >= 0x20 && b.at[0] < 0x7f && b.at[0] != '"' && b.at[0] != '\\';
	return n > 1 && utf8_hides(b.at, n) ? 0 : n;
}

struct quoted quote(struct bytes b)
{
	static const char hex[] = "0123456789abcdef";
	struct quoted q;
	size_t out = 0;

	while (b.len > 0) {
		size_t plain = quote_plain(b);
		size_t take = plain == 0 ? 1 : plain;

		if (out + (plain == 0 ? 4 : plain) > QUOTE_BYTES)
			break;
		if (plain == 0) {
			const char x[4] = { '\\', 'x', hex[b.at[0] >> 4], hex[b.at[0] & 15] };

			memcpy(q.s + out, x, 4);
			out += 4;
		} else {
			memcpy(q.s + out, b.at, plain);
			out += plain;
		}
		b.at += take;
		b.len -= take;
	}
	memcpy(q.s + out, b.len > 0 ? "..." : "", b.len > 0 ? 4 : 1);
	return q;
}

struct quoted quote_str(const char *s)
{
	return quote(bytes_of(s));
}

/* --- numbers --- */

/* The digits at *s, as a number; *s is left behind them. ERR_SYNTAX without any digit. */
static enum err take_digits(const char **s, int64_t *out)
{
	int64_t n = 0;
	const char *p = *s;

	if (!isdigit((unsigned char)*p))
		return ERR_SYNTAX;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return ERR_RANGE;
	*s = p;
	*out = n;
	return ERR_OK;
}

enum err parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	bool negative = *s == '-';
	const char *p = s + negative;
	int64_t n;
	enum err rc;

	if (!isdigit((unsigned char)*p) || p[strspn(p, "0123456789")] != '\0')
		return ERR_SYNTAX;
	if ((rc = take_digits(&p, &n)) != ERR_OK)
		return rc;
	if (negative)
		n = -n;
	if (n < min || n > max)
		return ERR_RANGE;
	*out = n;
	return ERR_OK;
}

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit duration_units[] = {
	{ "d", 86400 * USEC_PER_SEC }, { "h", 3600 * USEC_PER_SEC },
	{ "min", 60 * USEC_PER_SEC },  { "s", USEC_PER_SEC },
	{ "ms", USEC_PER_MS },         { "us", 1 },
	{ "", USEC_PER_SEC },          { NULL, 0 },
};

static const struct unit size_units[] = {
	{ "GB", 1 << 30 }, { "MB", 1 << 20 }, { "kB", 1 << 10 }, { "B", 1 }, { "", 1 }, { NULL, 0 },
};

static int64_t unit_factor(const struct unit *units, const char *name)
{
	for (; units->name != NULL; units++)
		if (strcmp(units->name, name) == 0)
			return units->factor;
	return 0;
}

#define DECIMALS_MAX 6 /* keeps digits * unit within 64 bits */

/* The fraction behind a point at *s, in millionths; none is 0. */
static enum err take_millionths(const char **s, int64_t *out)
{
	const char *p = *s;
	int64_t n = 0;
	size_t digits = 0;

	if (*p != '.') {
		*out = 0;
		return ERR_OK;
	}
	for (p++; isdigit((unsigned char)*p); p++, digits++) {
		if (digits == DECIMALS_MAX)
			return ERR_SYNTAX;
		n = n * 10 + (*p - '0');
	}
	if (digits == 0)
		return ERR_SYNTAX;
	for (; digits < DECIMALS_MAX; digits++)
		n *= 10;
	*s = p;
	*out = n;
	return ERR_OK;
}

enum err parse_duration(const char *s, usec_t *out)
{
	int64_t whole, millionths, unit, n;
	enum err rc;

	if ((rc = take_digits(&s, &whole)) != ERR_OK ||
	    (rc = take_millionths(&s, &millionths)) != ERR_OK)
		return rc;
	if ((unit = unit_factor(duration_units, s)) == 0)
		return ERR_SYNTAX;
	/* rounded up: what is not zero must not become it, zero often means "no limit" */
	n = (millionths * unit + 999999) / 1000000;
	if (__builtin_mul_overflow(whole, unit, &whole) || __builtin_add_overflow(whole, n, &n))
		return ERR_RANGE;
	*out = n;
	return ERR_OK;
}

enum err parse_size(const char *s, int64_t *out)
{
	int64_t n, unit;
	enum err rc;

	if ((rc = take_digits(&s, &n)) != ERR_OK)
		return rc;
	if ((unit = unit_factor(size_units, s)) == 0)
		return ERR_SYNTAX;
	if (__builtin_mul_overflow(n, unit, &n))
		return ERR_RANGE;
	*out = n;
	return ERR_OK;
}

enum err parse_bool(const char *s, bool *out)
{
	static const char *const words[] = { "0", "1", "off", "on", "false", "true", "no", "yes" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(s, words[i]) == 0) {
			*out = i % 2 == 1;
			return ERR_OK;
		}
	}
	return ERR_SYNTAX;
}

struct duration_text duration_text(usec_t us)
{
	const struct unit *unit = duration_units;
	struct duration_text text;

	if (us == 0)
		return (struct duration_text){ "0" };
	while (us % unit->factor != 0)
		unit++; /* ends at the latest with "us" */
	snprintf(text.s, sizeof(text.s), "%" PRId64 "%s", us / unit->factor, unit->name);
	return text;
}
