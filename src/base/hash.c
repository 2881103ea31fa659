#include "pgseal/base/hash.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Set once, before there are threads or tables. */
static uint64_t seed[2];

enum err hash_seed(void)
{
	return getentropy(seed, sizeof(seed)) == 0 ? ERR_OK : ERR_IO;
}

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). */
struct sip {
	uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void mix(struct sip *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotate(s->b, 13) ^ s->a;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a = rotate(s->a, 32) + s->d;
	s->c += s->b;
	s->d = rotate(s->d, 21) ^ s->a;
	s->b = rotate(s->b, 17) ^ s->c;
	s->c = rotate(s->c, 32);
}

static void absorb(struct sip *s, uint64_t word)
{
	s->d ^= word;
	mix(s);
	s->a ^= word;
}

/* In the order of this machine's bytes: nobody else ever sees the result. */
unsigned hash_bytes(const void *at, size_t n)
{
	struct sip s = { seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
		         seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u };
	const uint8_t *from = at;
	uint64_t word;
	size_t left;
	int i;

	for (left = n; left >= sizeof(word); left -= sizeof(word), from += sizeof(word)) {
		memcpy(&word, from, sizeof(word));
		absorb(&s, word);
	}
	word = 0;
	if (left > 0)
		memcpy(&word, from, left);
	absorb(&s, word | (uint64_t)(n & 0xff) << 56);
	s.c ^= 0xff;
	for (i = 0; i < 3; i++)
		mix(&s);
	word = s.a ^ s.b ^ s.c ^ s.d;
	return (unsigned)(word ^ word >> 32);
}
