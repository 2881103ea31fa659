/* How a request of the console covers all workers without locks: it travels.
 *
 * Each worker does its part in its own thread and sends the request on; the last sends it home. */
#ifndef PGSEAL_CORE_TOUR_H
#define PGSEAL_CORE_TOUR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "pgseal/base/mailbox.h"

struct crew;
struct session;
struct worker;

/* Embedded in a request of the floor above. */
struct tour {
	struct letter letter;
	STAILQ_ENTRY(tour) link;
	struct crew *crew;
	size_t at;                      /* index of the worker that has it; worker_count: going home */
	size_t home;                    /* worker of the session that asked */
	uint64_t session_id;            /* it may be gone by then */
	/* This worker's part. False: not finished, park it here; it is called again when something
	 * changed. */
	bool (*visit)(struct tour *t, struct worker *w);
	void (*come_home)(struct tour *t, struct worker *w, struct session *s); /* s NULL: gone. Frees */
	void (*drop)(struct tour *t);   /* frees, at shutdown */
};
STAILQ_HEAD(tour_list, tour);

void tour_start(struct tour *t);
/* Call visit again for the parked ones: something changed. Cheap when there are none. */
void tour_revisit(struct worker *w);

#endif
