#include "pgseal/loop/ebb.h"

#include "config.h"

#ifdef HAVE_MALLOC_TRIM
#include <malloc.h>
#endif

#define EBB_LEAST 256 /* fewer that went are not worth the walk through all free memory */
/* Those who leave together take a moment. */
#define EBB_DELAY_US (500 * USEC_PER_MS)

static void ebb_due(void *arg)
{
	struct ebb *e = arg;

	if (e->now < e->last) { /* they are still leaving */
		e->last = e->now;
		timer_set(e->timer, EBB_DELAY_US);
		return;
	}
	e->peak = e->now;
	e->out(e->arg);
}

enum err ebb_init(struct ebb *e, struct loop *loop, void (*out)(void *arg), void *arg)
{
	*e = (struct ebb){ .out = out, .arg = arg };
	return timer_create_in(loop, ebb_due, e, &e->timer);
}

void ebb_fini(struct ebb *e)
{
	timer_free(e->timer);
	e->timer = NULL;
}

void ebb_note(struct ebb *e, long connections)
{
	e->now = connections;
	if (connections > e->peak)
		e->peak = connections;
	if (connections < e->peak / 2 && e->peak - connections >= EBB_LEAST)
		timer_set_once(e->timer, EBB_DELAY_US);
	else
		e->last = connections;
}

void ebb_release(void)
{
#ifdef HAVE_MALLOC_TRIM
	malloc_trim(0);
#endif
}
