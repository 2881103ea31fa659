#include <time.h>

#include "pgseal/base/clock.h"

static usec_t read_clock(clockid_t id)
{
	struct timespec ts;

	/* cannot fail: both clocks exist on every Linux and ts is valid memory */
	clock_gettime(id, &ts);
	return (usec_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

usec_t clock_now_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

usec_t clock_wall_us(void)
{
	return read_clock(CLOCK_REALTIME);
}
