/* How control asks all threads without locks: a letter that travels through the workers, then the gates,
 * and home to control. Each does its part in its own thread. See tour.h for the console's. */
#ifndef PGSEAL_CORE_ROUND_H
#define PGSEAL_CORE_ROUND_H

#include "pgseal/core/crew.h"

/* Embedded in what the floor above collects into. */
struct round {
	struct letter letter;
	struct crew *crew;
	size_t at; /* whom it is with: index among the workers, then the gates */
	void (*visit_worker)(struct round *r, struct worker *w);
	void (*visit_gate)(struct round *r, struct gate *g);
	void (*come_home)(struct round *r, void *process); /* in control. Frees */
	void (*drop)(struct round *r);                     /* frees, at the end of the process */
};

/* Control's thread. */
void round_start(struct round *r);

#endif
