#include "pgseal/core/permit.h"

#include <stdio.h>
#include <string.h>

#include "pgseal/core/site.h"
#include "pgseal/core/user.h"

/* Where servers of this entry are, as it is written: what is written alike is counted together. */
static void host_text(const struct database *db, char *out, size_t size)
{
	const char *host = database_value(db, "hostaddr"), *port = database_value(db, "port");

	if (host == NULL)
		host = database_value(db, "host");
	snprintf(out, size, "%s:%s", host != NULL ? host : "", port != NULL ? port : "5432");
}

static bool plan_quotas(struct permit_plan *plan, struct quotas *all, const struct database *db,
                        const struct route *route)
{
	char host[512];

	host_text(db, host, sizeof(host));
	plan->quota[0] = quota_get(all, QUOTA_DATABASE_SERVERS, route_database(route));
	plan->quota[1] = quota_get(all, QUOTA_ROLE_SERVERS, route_role(route));
	plan->quota[2] = quota_get(all, QUOTA_HOST_SERVERS, host);
	return plan->quota[0] != NULL && plan->quota[1] != NULL && plan->quota[2] != NULL;
}

/* One server for one client, and under no limit but on how many of these there are: the client has
 * taken that. */
static const struct permit_plan private_plan = { .pool_size = 1 };

enum err permit_plan_make(struct permit_plan *plan, struct quotas *all, const struct site *site,
                          const struct database *db, const struct route *route)
{
	const struct settings *s = &site->settings;
	const struct user *user = site_user(site, route_role(route));
	struct permit_plan fresh = {
		.pool_size = USER_SAYS(user, pool_size, db->pool_size),
		.min = db->min_pool_size,
		.reserve = USER_SAYS(user, reserve_pool_size, db->reserve_pool_size),
		.reserve_timeout = s->reserve_pool_timeout,
		.limit = { db->max_db_connections,
		           USER_SAYS(user, max_user_connections, s->max_user_connections),
		           s->max_host_connections },
	};

	if (route_replication(route) != NULL) {
		permit_plan_fini(plan);
		*plan = private_plan;
		return ERR_OK;
	}
	if (fresh.min > fresh.pool_size)
		fresh.min = fresh.pool_size; /* what is over that would be closed at once */
	if (!plan_quotas(&fresh, all, db, route)) {
		permit_plan_fini(&fresh);
		return ERR_NO_MEMORY;
	}
	permit_plan_fini(plan);
	*plan = fresh;
	return ERR_OK;
}

void permit_plan_fini(struct permit_plan *plan)
{
	size_t i;

	for (i = 0; i < PERMIT_QUOTAS; i++)
		quota_release(plan->quota[i]);
	memset(plan->quota, 0, sizeof(plan->quota));
}

bool permit_plan_has(const struct permit_plan *plan, const struct quota *q)
{
	size_t i;

	for (i = 0; i < PERMIT_QUOTAS; i++)
		if (plan->quota[i] == q)
			return true;
	return false;
}

bool permit_take(struct permit *permit, struct route *route, const struct permit_plan *plan,
                 int64_t pool_size, struct quota **full)
{
	size_t i;

	/* The usual refusal touches nothing. */
	*full = NULL;
	if (route_servers(route) >= pool_size)
		return false;
	for (i = 0; i < PERMIT_QUOTAS && plan->quota[i] != NULL; i++) {
		if (!quota_take(plan->quota[i], plan->limit[i])) {
			*full = plan->quota[i];
			permit_give(permit);
			return false;
		}
		permit->quota[i] = quota_hold(plan->quota[i]);
	}
	if (!route_permit_take(route, (int)pool_size)) {
		permit_give(permit);
		return false;
	}
	permit->route = route;
	return true;
}

void permit_give(struct permit *permit)
{
	size_t i;

	for (i = 0; i < PERMIT_QUOTAS && permit->quota[i] != NULL; i++) {
		quota_give(permit->quota[i]);
		quota_release(permit->quota[i]);
	}
	if (permit->route != NULL)
		route_permit_give(permit->route);
	memset(permit, 0, sizeof(*permit));
}
