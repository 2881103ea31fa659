/* Error numbers, and the text that travels with them.
 *
 * A fallible function returns `enum err` and must be checked; detail that a person needs goes into
 * a `struct errbuf` that the caller owns. Out-parameters are written only on success. The fault is
 * logged once, where it stops travelling. */
#ifndef PGSEAL_BASE_ERR_H
#define PGSEAL_BASE_ERR_H

#include <stdarg.h>
#include <stdio.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* number, text for people */
#define ERR_TABLE(X)                                             \
	X(ERR_OK, "no error")                                    \
	X(ERR_NO_MEMORY, "out of memory")                        \
	X(ERR_NO_DESCRIPTORS, "out of file descriptors")         \
	X(ERR_IO, "input/output error")                          \
	X(ERR_CLOSED, "closed by the peer")                      \
	X(ERR_TIMEOUT, "deadline passed")                        \
	X(ERR_NOT_FOUND, "not found")                            \
	X(ERR_DENIED, "not allowed")                             \
	X(ERR_SYNTAX, "malformed")                               \
	X(ERR_RANGE, "out of range")                             \
	X(ERR_CONFIG, "configuration refused")                   \
	X(ERR_TLS, "TLS failure")                                \
	X(ERR_WIRE_SHORT, "message shorter than its contents")   \
	X(ERR_WIRE_LIMIT, "message longer than allowed")         \
	X(ERR_PARAMETERS, "more parameters than any server has") \
	X(ERR_WIRE_TYPE, "message type not expected here")       \
	X(ERR_WIRE_FORMAT, "message contents malformed")         \
	X(ERR_POOL_PAUSED, "pool is paused")                     \
	X(ERR_LIMIT, "limit reached")

enum err {
#define X(number, text) number,
	ERR_TABLE(X)
#undef X
	ERR_COUNT
};

/* Where a failing function explains itself; truncated, never overrun. */
struct errbuf {
	char text[512];
};

/* The row's text; borrowed, static. Any thread. */
const char *err_text(enum err e);

/* Fill *why (may be NULL) and return e, so that `return err_set(...)` is one line. */
enum err err_set(struct errbuf *why, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
