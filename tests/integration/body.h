/* The body of a message, put together piece by piece. */
#ifndef PGSEAL_TESTS_BODY_H
#define PGSEAL_TESTS_BODY_H

#include <stddef.h>
#include <stdint.h>

struct body {
	size_t len;
	uint8_t at[9000];
};

/* What does not fit fails the test. */
void body_add(struct body *b, const void *at, size_t n);
void body_string(struct body *b, const char *s); /* with its NUL */
void body_u16(struct body *b, size_t v);
void body_u32(struct body *b, size_t v);

#endif
