/* Bodies of messages. */
#include <arpa/inet.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/body.h"

void body_add(struct body *b, const void *at, size_t n)
{
	cr_assert(n <= sizeof(b->at) - b->len);
	memcpy(b->at + b->len, at, n);
	b->len += n;
}

void body_string(struct body *b, const char *s)
{
	body_add(b, s, strlen(s) + 1);
}

void body_u16(struct body *b, size_t v)
{
	uint16_t be = htons((uint16_t)v);

	body_add(b, &be, sizeof(be));
}

void body_u32(struct body *b, size_t v)
{
	uint32_t be = htonl((uint32_t)v);

	body_add(b, &be, sizeof(be));
}
