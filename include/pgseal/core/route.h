/* A route is a database and a role: what servers are exchangeable for. It is the one thing that all
 * workers share: how many servers may exist, who has waited how long, who has servers to spare.
 *
 * The permit counter makes the pool size exact for the whole process. The marks below are stored
 * sequentially consistent on both sides of each question ("I wait; has anybody a spare one?", "I have
 * a spare one; does anybody wait?"), so that at least one side sees the other. */
#ifndef PGSEAL_CORE_ROUTE_H
#define PGSEAL_CORE_ROUTE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/clock.h"

/* What one worker tells the others about its pool of this route. */
struct route_mark {
	alignas(64) _Atomic usec_t oldest_wait; /* since when its first waiter waits; 0: nobody */
	atomic_int idle;                        /* servers it has to spare */
};

struct replication;
struct routes;
struct route;
struct spellings;

/* workers: how many marks a route has. ERR_NO_MEMORY. */
enum err routes_create(size_t workers, struct routes **out) MUST_CHECK;
void routes_free(struct routes *r); /* every route has been let go */

/* Find or make; the caller gets a reference. NULL: out of memory. Any thread. */
struct route *route_get(struct routes *r, const char *database, const char *role);
/* A route that nobody else ever finds: of one replication connection, which it takes over. */
struct route *route_private(struct routes *r, const char *database, const char *role,
                            struct replication *replication);
struct route *route_hold(struct route *route);
void route_release(struct route *route);
const char *route_database(const struct route *route);
const char *route_role(const struct route *route);
/* NULL: an ordinary one, shared by all who come for this role on this database. */
const struct replication *route_replication(const struct route *route);

/* Permission to have one more server, up to limit. Any thread. */
bool route_permit_take(struct route *route, int limit);
void route_permit_give(struct route *route);
int route_servers(const struct route *route);
/* Sessions of this route in all workers; a change. Any thread. */
int route_sessions(const struct route *route);
void route_count_session(struct route *route, int change);

/* Servers of this route that sessions keep, in all workers; a change, and what it comes to. Any thread. */
int route_count_pinned(struct route *route, int change);

/* Clients of this route call lastval() or currval(): one has been seen to. Any thread. */
bool route_asks_sequences(const struct route *route);
void route_note_sequences(struct route *route);

/* Logins of this route that began before `at` are old: servers on their way between threads, where
 * no order finds them, are replaced when they arrive. Any thread. */
void route_renew(struct route *route, usec_t at);
usec_t route_renewed(const struct route *route); /* 0: never */

struct route_mark *route_mark(struct route *route, size_t worker);
size_t route_workers(const struct route *route);
/* The other worker whose first waiter waits longest, its since in *since; -1: none waits. */
int route_oldest_other(struct route *route, size_t me, usec_t *since);
/* Another worker with servers to spare; -1: none. */
int route_spare_other(struct route *route, size_t me);

/* The parameters that servers of this route report as their own, flat (params.h). Replaced when a server
 * reports others. The number of this lesson. Any thread. */
unsigned route_learn(struct route *route, struct bytes flat);
/* How often that was. */
unsigned route_lessons(const struct route *route);
/* Append to *out; ERR_NOT_FOUND: none yet. */
enum err route_learnt(struct route *route, struct buf *out) MUST_CHECK;

/* How its servers spell what clients ask for; owned by the route. Forgotten with each lesson. */
struct spellings *route_spellings(const struct route *route);

/* A server of this route has answered, which reports what has changed. True: somebody had asked for that. Any
 * thread. */
bool route_note_spoken(struct route *route, usec_t at);
usec_t route_spoken(const struct route *route); /* when one did last; 0: never, or it was forgotten */
void route_forget_spoken(struct route *route);
/* Ask, for all workers: false, somebody has just done so. */
bool route_claim_question(struct route *route, usec_t now);
/* Somebody has, and not so long ago that there is no hope of an answer. */
bool route_is_asked(const struct route *route, usec_t now);
/* There will be none. */
void route_drop_question(struct route *route);

#endif
