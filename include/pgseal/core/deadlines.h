/* How long sessions may take: query_timeout, transaction_timeout, idle_transaction_timeout and
 * client_idle_timeout, as far as a role's terms set them; and query_wait_notify.
 *
 * One timer per worker goes over all of its sessions. It is armed only while a session is there to whom a
 * limit applies, never per transaction: it comes back when the first limit is reached that is known by
 * then, or when one that began right behind it could be. A session is never ended early, and late by
 * DEADLINES_LATE_US at most, or by an eighth of the shortest limit. */
#ifndef PGSEAL_CORE_DEADLINES_H
#define PGSEAL_CORE_DEADLINES_H

#include "pgseal/core/pool.h"

#define DEADLINES_LATE_US (1 * USEC_PER_SEC)

/* A session has come into this pool. */
void deadlines_watch(const struct pool *p);
/* One of its sessions has begun to wait for a server. */
void deadlines_wait(const struct pool *p);
/* Other limits may hold: behind a reload. */
void deadlines_follow(struct worker *w);
/* The worker's timer is due. */
void deadlines_due(void *worker);

#endif
