/* How long things took: counts in fixed buckets whose limits grow by 2 or 2.5 times. One thread
 * writes; to add up several, each thread merges its own into a copy that travels. */
#ifndef PGSEAL_BASE_HISTOGRAM_H
#define PGSEAL_BASE_HISTOGRAM_H

#include <stdint.h>

#include "pgseal/base/clock.h"

/* Limits in microseconds, inclusive: what took longer than the last is in one more bucket behind. */
#define HISTOGRAM_LIMITS(X)                                                                 \
	X(100) X(250) X(500) X(1000) X(2500) X(5000) X(10000) X(25000) X(50000) X(100000)   \
	X(250000) X(500000) X(1000000) X(2500000) X(5000000) X(10000000) X(25000000)        \
	X(50000000) X(100000000)
enum {
#define X(limit) +1
	HISTOGRAM_LIMIT_COUNT = 0 HISTOGRAM_LIMITS(X)
#undef X
};

extern const usec_t histogram_limits[HISTOGRAM_LIMIT_COUNT];

/* Zero-initialised is empty. */
struct histogram {
	uint64_t counts[HISTOGRAM_LIMIT_COUNT + 1]; /* each bucket's own, not cumulated */
	uint64_t sum;                               /* microseconds */
};

/* Count one; what seems to have taken less than nothing took nothing. A few nanoseconds. */
void histogram_add(struct histogram *h, usec_t took);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* How many there are. */
uint64_t histogram_count(const struct histogram *h);

#endif
