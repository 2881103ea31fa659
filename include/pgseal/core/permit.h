/* The right to have one server: its place in the pool's size, and in each quota above that. */
#ifndef PGSEAL_CORE_PERMIT_H
#define PGSEAL_CORE_PERMIT_H

#include "pgseal/core/quota.h"
#include "pgseal/core/route.h"

#define PERMIT_QUOTAS 3 /* of the database, the role, the host */

struct site;
struct database;

/* What holds for one pool, from the configuration in force. */
struct permit_plan {
	int64_t pool_size, min, reserve;
	usec_t reserve_timeout;
	struct quota *quota[PERMIT_QUOTAS];  /* references; NULL: none, as on private routes */
	int64_t limit[PERMIT_QUOTAS];        /* 0: none */
};

struct permit {
	struct route *route;                 /* borrowed; NULL: not taken */
	struct quota *quota[PERMIT_QUOTAS];  /* references */
};

/* Work it out anew. ERR_NO_MEMORY: *plan as before. */
enum err permit_plan_make(struct permit_plan *plan, struct quotas *all, const struct site *site,
                          const struct database *db, const struct route *route) MUST_CHECK;
void permit_plan_fini(struct permit_plan *plan);
/* Is the quota one of those that the plan is under? */
bool permit_plan_has(const struct permit_plan *plan, const struct quota *q);

/* All or nothing. False: *full is the quota that is used up, NULL if it is the pool's own size. What was
 * taken for a moment may have been missed by others: the caller hears the cries on the plan's quotas. */
bool permit_take(struct permit *permit, struct route *route, const struct permit_plan *plan,
                 int64_t pool_size, struct quota **full);
/* Nothing happens if it is not taken. */
void permit_give(struct permit *permit);

#endif
