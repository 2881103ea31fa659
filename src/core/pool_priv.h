/* The parts of a pool: lending (pool.c), what idles (pool_idle.c), what it may have (pool_limits.c), logging in (pool_login.c),
 * what is ordered from outside (pool_orders.c) and what it counts (pool_stats.c). */
#ifndef PGSEAL_CORE_POOL_PRIV_H
#define PGSEAL_CORE_POOL_PRIV_H

#include "pgseal/core/pool.h"

/* ---- pool_limits.c ---- */

/* How many servers may there be, now: the reserve counts when somebody has waited long enough. */
int64_t pool_allowance(const struct pool *p);
/* More than that, and nobody waits for the rest. */
bool pool_over_size(const struct pool *p);
/* Idle servers stay, for min_pool_size. */
bool pool_keeps(const struct pool *p);
/* A permit; without one, why is remembered and cried for. up_to: instead of the pool's size. */
bool pool_permit(struct pool *p, int64_t up_to, struct permit *out);
/* Is a server wanted, for min_pool_size? */
bool pool_wants_more(const struct pool *p);
/* q refuses us servers from now on, or nothing does: NULL. */
void pool_starve(struct pool *p, struct quota *q);
const char *pool_starved_words(const struct pool *p);
/* srv is idle. True: it was closed instead, for another pool whose clients wait longer than ours. */
bool pool_makes_room(struct pool *p, struct server *srv);
/* May s use the pool, by its identity's max_active? False: it waits for that, in p->throttled. */
bool pool_charge(struct pool *p, struct session *s);
void pool_unthrottle(struct pool *p, struct session *s);

/* ---- pool.c ---- */

/* What the site in force says about this role on this database. Without memory the limits stay. */
enum err pool_come_to_terms(struct pool *p) MUST_CHECK;
/* Arm the sweep for the first idle server to reach a limit. */
void pool_plan_sweep(struct pool *p, void (*set)(struct timer *t, usec_t delay));
/* s, or the first behind it in the queue, that is in this state; NULL: none. */
struct session *pool_waiter(struct session *s, enum session_state state);
/* Into the queue, to its place by age. Its state says so already. */
void pool_enqueue(struct pool *p, struct session *s);

/* ---- pool_idle.c ---- */

/* One that is as s wants it, among those that idle; NULL: none, for all that was looked at. */
struct server *pool_suitable_idle(struct pool *p, const struct session *s);

/* ---- pool_stats.c ---- */

/* A pool of a private route is about to go: what it has counted stays with the pool of its database and
 * role, as counters must not go back. Without memory they do. */
void pool_bequeath(struct pool *p);

/* ---- pool_orders.c ---- */

/* Servers that logged in before the route was renewed. */
void pool_replace_renewed(struct pool *p);

/* ---- pool_login.c ---- */

/* Servers for those who wait: logins of our own while permits last, spare ones of other workers. */
void pool_seek(struct pool *p);
/* Servers that are being checked, for somebody who waits. */
unsigned pool_checking(const struct pool *p);
/* Behind a failed login: is it too early for the next? */
bool pool_resting(const struct pool *p);
/* The end of that rest. */
void pool_retry_due(void *arg);
/* All who wait learn at once why they wait in vain. */
void pool_refuse_all(struct pool *p);
/* A permit is free again: for whoever waits in other workers. */
void pool_wake_others(struct pool *p);

/* ---- pool_greeting.c ---- */

/* The first that waits to be greeted; NULL: none. */
struct session *pool_first_greeting(struct pool *p);
/* When somebody who waits for that is to be greeted in any case; 0: nobody. */
usec_t pool_greeting_due(struct pool *p);
/* Greet those for whom it is known by now with what. False: nobody. */
bool pool_greet_all(struct pool *p);
/* And those who have waited for long enough, from memory. */
void pool_greet_due(struct pool *p);
/* srv, which idles, is asked what they wait for. False: it is not, as somebody else is, or nothing is known yet. */
bool pool_asks_greeting(struct pool *p, struct server *srv);
/* A server logs in: if anybody waits to be greeted, nobody else needs to be asked. */
void pool_logs_in_for_greeting(struct pool *p);
/* A server of ours is being asked how something is spelled. */
bool pool_asks_spelling(const struct pool *p);
/* Has a server been asked lately, in whatever worker, so that its answer may still come? */
bool pool_awaits_greeting(struct pool *p);

#endif
