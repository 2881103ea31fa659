/* Time. All intervals and deadlines are monotonic microseconds; wall time is for people alone. */
#ifndef PGSEAL_BASE_CLOCK_H
#define PGSEAL_BASE_CLOCK_H

#include <stdint.h>

typedef int64_t usec_t;

#define USEC_PER_MS  ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)

/* CLOCK_MONOTONIC; never goes back, unaffected by clock changes. Any thread. */
usec_t clock_now_us(void);

/* CLOCK_REALTIME, microseconds since the epoch. Any thread. */
usec_t clock_wall_us(void);

#endif
