/* What another process costs, from /proc. */
#ifndef PGSEAL_TESTS_BENCH_PROBE_H
#define PGSEAL_TESTS_BENCH_PROBE_H

#include <stdint.h>

/* Processor time of all its threads so far, user and system; pid 0: none. */
uint64_t probe_cpu_us(int pid);
/* Its share of memory (PSS); pid 0: none. */
long probe_pss_kb(int pid);

#endif
