/* What /metrics shows. Collected by a letter that goes through all threads (core/round.h): each adds its
 * own counters, whose number depends on pools and rules, never on sessions. */
#ifndef PGSEAL_ADMIN_METRICS_H
#define PGSEAL_ADMIN_METRICS_H

#include <stdbool.h>

#include "pgseal/base/bytes.h"
#include "pgseal/core/crew.h"
#include "pgseal/core/site.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics;

/* What control knows itself. Times are of the wall, in microseconds. */
struct metrics_control {
	const struct site *site;
	usec_t started, loaded; /* the process; the configuration in force */
	uint64_t reloads, refused;
	bool last_refused;      /* the last reload */
	bool ready;
};

/* Ask everybody. done(arg, m) is called later, in control's thread, and owns m; or never, when the process
 * ends. ERR_NO_MEMORY. Control's thread. */
enum err metrics_collect(struct crew *crew, void (*done)(void *arg, struct metrics *m),
                         void *arg) MUST_CHECK;
/* Append the text. ERR_NO_MEMORY. */
enum err metrics_write(struct metrics *m, const struct metrics_control *control,
                       struct buf *out) MUST_CHECK;
void metrics_free(struct metrics *m);

#endif
