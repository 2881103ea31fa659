#include "pgseal/base/histogram.h"

#include <stddef.h>

const usec_t histogram_limits[HISTOGRAM_LIMIT_COUNT] = {
#define X(limit) limit,
	HISTOGRAM_LIMITS(X)
#undef X
};

/* The first limit that is not below it. */
static size_t bucket_of(usec_t took)
{
	size_t low = 0, high = HISTOGRAM_LIMIT_COUNT, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (histogram_limits[middle] < took)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void histogram_add(struct histogram *h, usec_t took)
{
	if (took < 0)
		took = 0;
	h->counts[bucket_of(took)]++;
	h->sum += (uint64_t)took;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (size_t i = 0; i <= HISTOGRAM_LIMIT_COUNT; i++)
		to->counts[i] += from->counts[i];
	to->sum += from->sum;
}

uint64_t histogram_count(const struct histogram *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= HISTOGRAM_LIMIT_COUNT; i++)
		n += h->counts[i];
	return n;
}
