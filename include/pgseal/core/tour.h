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

/* What becomes of a request behind a worker's part. */
enum tour_next {
	TOUR_ON,    /* done here: to the next worker, or home */
	TOUR_PARK,  /* stays here and is looked at again when something has changed */
	TOUR_AGAIN, /* so much for this turn of the worker; the same again in its next */
};

/* Embedded in a request of the floor above. */
struct tour {
	struct letter letter;
	STAILQ_ENTRY(tour) link;
	struct crew *crew;
	size_t at;                      /* index of the worker that has it; worker_count: going home */
	size_t home;                    /* worker of the session that asked */
	uint64_t session_id;            /* it may be gone by then */
	enum tour_next (*visit)(struct tour *t, struct worker *w); /* this worker's part */
	void (*come_home)(struct tour *t, struct worker *w, struct session *s); /* s NULL: gone. Frees */
	void (*drop)(struct tour *t);   /* frees, at shutdown */
};
STAILQ_HEAD(tour_list, tour);

void tour_start(struct tour *t);
/* Call visit again for the parked ones: something changed. Cheap when there are none. */
void tour_revisit(struct worker *w);
/* The same in every worker, from any: something changed that a tour looks at wherever it is. */
void tour_revisit_all(struct crew *crew);

#endif
