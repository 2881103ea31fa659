/* Memory given back behind a burst. What thousands of connections leave free when they go, the allocator
 * keeps; here a thread notices that most of them went. */
#ifndef PGSEAL_LOOP_EBB_H
#define PGSEAL_LOOP_EBB_H

#include "pgseal/loop/loop.h"

struct ebb {
	struct timer *timer;
	void (*out)(void *arg);
	void *arg;
	long peak;      /* most connections since the last ebb */
	long now, last; /* last: when the timer was set, or looked last */
};

/* For one thread, of its loop. out(arg) is called a moment after most of the connections have gone: the
 * time to call ebb_release. ERR_NO_MEMORY. */
enum err ebb_init(struct ebb *e, struct loop *loop, void (*out)(void *arg), void *arg) MUST_CHECK;
void ebb_fini(struct ebb *e);
/* So many connections there are now. As long as their number goes up and down, nothing happens. */
void ebb_note(struct ebb *e, long connections);

/* Give all memory that is free, whichever thread's, back to the kernel. May take tens of milliseconds:
 * nothing for a thread that somebody's query waits for. */
void ebb_release(void);

#endif
