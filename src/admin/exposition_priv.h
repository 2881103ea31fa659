/* Prometheus' text format, version 0.0.4: families of samples with labels. Base units are seconds and
 * bytes. prometheus.io: Exposition formats. */
#ifndef PGSEAL_ADMIN_EXPOSITION_PRIV_H
#define PGSEAL_ADMIN_EXPOSITION_PRIV_H

#include <stdbool.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/histogram.h"

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM };

struct family {
	const char *name; /* counters end in _total, durations in _seconds */
	enum family_type type;
	const char *help;
};

/* A list of them ends with one that has no name. Values may be any bytes. */
struct label {
	const char *name, *value;
};

struct exposition {
	struct buf *out;
	bool no_memory; /* something is missing */
};

/* HELP and TYPE; its samples follow, all of them before the next family. */
void exposition_family(struct exposition *e, const struct family *f);
void exposition_number(struct exposition *e, const struct family *f, const struct label *labels,
                       int64_t value);
/* How a value is counted here; microseconds, which are never negative, are shown as seconds. */
enum unit { UNIT_ONE, UNIT_USEC };
void exposition_value(struct exposition *e, const struct family *f, const struct label *labels,
                      enum unit unit, int64_t value);
void exposition_histogram(struct exposition *e, const struct family *f, const struct label *labels,
                          const struct histogram *h);

#endif
