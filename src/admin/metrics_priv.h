/* What the files of /metrics share. */
#ifndef PGSEAL_ADMIN_METRICS_PRIV_H
#define PGSEAL_ADMIN_METRICS_PRIV_H

#include "exposition_priv.h"
#include "sums_priv.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define COUNTER(name, help) { name, FAMILY_COUNTER, help }
#define GAUGE(name, help) { name, FAMILY_GAUGE, help }
#define HISTOGRAM(name, help) { name, FAMILY_HISTOGRAM, help }

/* metrics_pools.c: what has labels of a pool. */
void metrics_write_pools(struct exposition *e, const struct sums *sums);

#endif
