/* base/hash.h: what decides where keys lie in tables. */
#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/base/hash.h"

#define LONGEST 40

Test(hash, same_bytes_wherever_they_lie)
{
	static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz....";
	char moved[LONGEST + 8];

	for (size_t n = 0; n <= LONGEST; n++)
		for (size_t by = 0; by < 8; by++) {
			memcpy(moved + by, text, n);
			cr_expect_eq(hash_bytes(moved + by, n), hash_bytes(text, n), "%zu", n);
		}
}

/* One that is the same in spite of this would be one of some thousand million. */
Test(hash, every_bit_counts_and_the_length)
{
	unsigned char key[LONGEST] = { 0 };

	for (size_t n = 1; n <= LONGEST; n++) {
		unsigned plain = hash_bytes(key, n);

		cr_expect_neq(plain, hash_bytes(key, n - 1), "%zu", n);
		for (size_t bit = 0; bit < n * 8; bit++) {
			key[bit / 8] ^= (unsigned char)(1u << bit % 8);
			cr_expect_neq(hash_bytes(key, n), plain, "bit %zu of %zu bytes", bit, n);
			key[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
	}
}

Test(hash, differs_from_process_to_process)
{
	unsigned before = hash_bytes("key", 3);

	cr_assert_eq(hash_seed(), ERR_OK);
	cr_expect_neq(hash_bytes("key", 3), before, "nobody can know it before");
	cr_expect_eq(hash_bytes("key", 3), hash_bytes("key", 3));
}
