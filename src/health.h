/* What programs ask by HTTP, on control's loop: /metrics, /live, /ready. */
#ifndef PGSEAL_HEALTH_H
#define PGSEAL_HEALTH_H

#include <stdbool.h>

#include "pgseal/core/crew.h"
#include "pgseal/core/site.h"
#include "pgseal/loop/loop.h"

/* How the process stands; it keeps this, in control's thread. */
struct standing {
	struct site *const *site; /* in force */
	const bool *closing;      /* nobody new is let in */
	usec_t started, loaded;   /* on the wall: the process; what is in force */
	uint64_t reloads, refused;
	bool last_refused;
};
void standing_reloaded(struct standing *st, bool refused);

struct health;

/* Listen where metrics_listen says; *out is NULL when that is nowhere. standing and crew are borrowed.
 * ERR_IO, ERR_NO_MEMORY, with *why. Before privileges are dropped. */
enum err health_open(struct loop *loop, struct crew *crew, const struct standing *standing,
                     struct health **out, struct errbuf *why) MUST_CHECK;
void health_close(struct health *h); /* NULL is fine */

#endif
