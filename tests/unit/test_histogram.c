/* histogram.h: which bucket takes what. */
#include <criterion/criterion.h>

#include "pgseal/base/histogram.h"

#define LAST HISTOGRAM_LIMIT_COUNT /* the bucket behind all limits */

Test(histogram, limits_rise_and_grow_by_two_or_two_and_a_half)
{
	for (size_t i = 1; i < HISTOGRAM_LIMIT_COUNT; i++) {
		cr_expect_geq(histogram_limits[i], 2 * histogram_limits[i - 1], "%zu", i);
		cr_expect_leq(2 * histogram_limits[i], 5 * histogram_limits[i - 1], "%zu", i);
	}
	cr_expect_eq(histogram_limits[0], 100);
	cr_expect_eq(histogram_limits[HISTOGRAM_LIMIT_COUNT - 1], 100 * USEC_PER_SEC);
}

Test(histogram, a_limit_belongs_to_its_bucket)
{
	for (size_t i = 0; i < HISTOGRAM_LIMIT_COUNT; i++) {
		struct histogram h = { .sum = 0 };

		histogram_add(&h, histogram_limits[i]);
		cr_expect_eq(h.counts[i], 1, "%zu", i);
		histogram_add(&h, histogram_limits[i] + 1);
		cr_expect_eq(h.counts[i + 1], 1, "%zu", i);
		cr_expect_eq(histogram_count(&h), 2, "%zu", i);
		cr_expect_eq(h.sum, 2 * (uint64_t)histogram_limits[i] + 1);
	}
}

Test(histogram, takes_nothing_and_less_and_for_ever)
{
	struct histogram h = { .sum = 0 };

	histogram_add(&h, 0);
	histogram_add(&h, -5);
	cr_expect_eq(h.counts[0], 2);
	cr_expect_eq(h.sum, 0);
	histogram_add(&h, 1000000 * USEC_PER_SEC);
	cr_expect_eq(h.counts[LAST], 1);
	cr_expect_eq(h.sum, 1000000 * (uint64_t)USEC_PER_SEC);
}

Test(histogram, merging_adds)
{
	struct histogram a = { .sum = 0 }, b = { .sum = 0 };

	histogram_add(&a, 50);
	histogram_add(&b, 50);
	histogram_add(&b, 200 * USEC_PER_SEC);
	histogram_merge(&a, &b);
	cr_expect_eq(a.counts[0], 2);
	cr_expect_eq(a.counts[LAST], 1);
	cr_expect_eq(histogram_count(&a), 3);
	cr_expect_eq(a.sum, 100 + 200 * (uint64_t)USEC_PER_SEC);
	cr_expect_eq(histogram_count(&b), 2);
}
