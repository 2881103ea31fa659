/* Bytes that came from outside: spans, growable buffers, number parsing, quoting for logs. */
#ifndef PGSEAL_BASE_BYTES_H
#define PGSEAL_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pgseal/base/clock.h"
#include "pgseal/base/err.h"

/* Borrowed bytes; not NUL-terminated, may hold NUL. */
struct bytes {
	const uint8_t *at;
	size_t len;
};

struct bytes bytes_of(const char *s);
bool bytes_equal(struct bytes a, struct bytes b);

/* Growable bytes, owned. Zero-initialised is empty and valid; after buf_free it is so again. */
struct buf {
	uint8_t *at;
	size_t len;
	size_t cap;
};

/* Make room for n more bytes behind len. ERR_NO_MEMORY leaves the buffer as it was. */
enum err buf_reserve(struct buf *b, size_t n) MUST_CHECK;
enum err buf_append(struct buf *b, const void *at, size_t n) MUST_CHECK;
/* Drop the first n bytes (n <= len); memory is released when nothing is left. */
void buf_consume(struct buf *b, size_t n);
void buf_free(struct buf *b);

/* Text of a peer made safe for one log line: printable ASCII and valid UTF-8 stay, everything else
 * (control bytes, quote, backslash, broken UTF-8) becomes \xNN; "..." marks a cut. By value, so it
 * may stand inside a log call: quote(b).s */
struct quoted {
	char s[260];
};
struct quoted quote(struct bytes b);
struct quoted quote_str(const char *s);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool utf8_valid(struct bytes b);

/* True when none of the bytes is above 0x7f. */
bool bytes_ascii(struct bytes b);

/* The bytes that these hexadecimal digits, in lower case, stand for take their place. False: they are none. */
bool bytes_unhex(char *text);

/* True when both have the same length and bytes; the time taken tells nothing about contents. */
bool bytes_equal_secret(struct bytes a, struct bytes b);

/* Decimal integer, whole string, within [min, max]. ERR_SYNTAX, ERR_RANGE. */
enum err parse_int(const char *s, int64_t min, int64_t max, int64_t *out) MUST_CHECK;

/* Interval: number with an optional fraction and unit us, ms, s, min, h, d ("1.5s", "100ms"); a bare
 * number is seconds, as in PgBouncer. ERR_SYNTAX, ERR_RANGE. */
enum err parse_duration(const char *s, usec_t *out) MUST_CHECK;

/* Size: integer with an optional unit B, kB, MB, GB (powers of 1024, as PostgreSQL). */
enum err parse_size(const char *s, int64_t *out) MUST_CHECK;

/* 0/1, on/off, true/false, yes/no in any case. */
enum err parse_bool(const char *s, bool *out) MUST_CHECK;

/* Shortest exact form with the largest fitting unit: 100ms, 15s, 0. */
struct duration_text {
	char s[32];
};
struct duration_text duration_text(usec_t us);

#endif
