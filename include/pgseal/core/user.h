/* One entry of [users]: what holds for a role, whatever the database. Immutable, reference-counted as
 * databases are. */
#ifndef PGSEAL_CORE_USER_H
#define PGSEAL_CORE_USER_H

#include <stdatomic.h>

#include "pgseal/base/hash.h"

#include "pgseal/base/report.h"
#include "pgseal/base/settings.h"
#include "pgseal/core/database.h"

#define USER_UNSET (-1) /* in any of the values: the entry does not say */

struct user {
	UT_hash_handle hh;   /* in the site, by name */
	atomic_uint refs;
	char *name;
	struct place at;     /* file: a copy, owned */
	int64_t pool_size;   /* of each database */
	int64_t reserve_pool_size;
	int64_t pool_mode;   /* enum pool_mode */
	int64_t max_user_connections;
	int64_t max_user_client_connections;
	usec_t query_timeout;
	usec_t query_wait_timeout;
	usec_t idle_transaction_timeout;
	usec_t transaction_timeout;
	usec_t client_idle_timeout;
};

/* What an entry says about this, or else that; u may be NULL. */
#define USER_SAYS(u, field, otherwise) \
	((u) != NULL && (u)->field != USER_UNSET ? (u)->field : (otherwise))

/* Parse one entry. Findings go to rep, all at once; NULL when there were any or without memory. */
struct user *user_parse(const char *name, const char *value, struct place at, struct report *rep);
struct user *user_hold(struct user *u);
void user_release(struct user *u); /* NULL is fine */

/* What holds for one role on one database: the role's entry, else the database's, else [pgseal]. */
struct terms {
	int64_t pool_size;
	enum pool_mode pool_mode;
	enum server_reset server_reset;
	usec_t query_wait_timeout;
	usec_t query_timeout;
	usec_t idle_transaction_timeout;
	usec_t transaction_timeout;
	usec_t client_idle_timeout;
	usec_t cancel_wait_timeout;
	usec_t query_wait_notify;
};
/* u NULL: the role has no entry. */
void terms_agree(struct terms *out, const struct user *u, const struct database *db,
                 const struct settings *s);

#endif
