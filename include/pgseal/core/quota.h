/* What may be held only so often in the whole process: servers of a database, of a role, of a host;
 * clients of a database, of a role, of an identity; replication connections. A quota counts; the limit is the taker's, from the
 * configuration that holds for him.
 *
 * Who is refused cries: he marks for his worker since when. Who gives one back, or has one to spare,
 * takes up the oldest cry. Both sides store before they look, sequentially consistent, so that at
 * least one of them sees the other. The mark stays until the crier has what he wants, so that nobody
 * who waits for less long gets in before. */
#ifndef PGSEAL_CORE_QUOTA_H
#define PGSEAL_CORE_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pgseal/base/clock.h"
#include "pgseal/base/err.h"

/* kind, the setting that limits it, what it is in words */
#define QUOTA_TABLE(X)                                                                           \
	X(QUOTA_DATABASE_SERVERS, "max_db_connections", "server connections of the database")    \
	X(QUOTA_ROLE_SERVERS, "max_user_connections", "server connections of the role")          \
	X(QUOTA_HOST_SERVERS, "max_host_connections", "connections to the host")                 \
	X(QUOTA_DATABASE_CLIENTS, "max_db_client_connections", "clients of the database")        \
	X(QUOTA_ROLE_CLIENTS, "max_user_client_connections", "clients of the role")              \
	X(QUOTA_IDENTITY_CLIENTS, "max_clients", "clients of the identity")                      \
	X(QUOTA_IDENTITY_ACTIVE, "max_active", "sessions of the identity that use the pool")     \
	X(QUOTA_REPLICATION, "max_replication_connections", "replication connections")
enum quota_kind {
#define X(kind, setting, words) kind,
	QUOTA_TABLE(X)
#undef X
};

struct quotas;
struct quota;

enum err quotas_create(size_t workers, struct quotas **out) MUST_CHECK;
void quotas_free(struct quotas *all); /* every quota has been let go; NULL is fine */

/* Find or make; the caller gets a reference. NULL: out of memory. Any thread, as all below. */
struct quota *quota_get(struct quotas *all, enum quota_kind kind, const char *name);
struct quota *quota_hold(struct quota *q);
void quota_release(struct quota *q); /* NULL is fine */

/* One more, unless that were more than limit; 0: no limit. */
bool quota_take(struct quota *q, int64_t limit);
void quota_give(struct quota *q);
int64_t quota_used(const struct quota *q);
enum quota_kind quota_kind_of(const struct quota *q);

/* This worker's oldest waits since then, and nobody has taken it up; 0: nobody waits. */
void quota_cry(struct quota *q, size_t worker, usec_t since);
/* Does this worker cry? */
bool quota_cries(const struct quota *q, size_t worker);
/* And has nobody taken it up yet? */
bool quota_unheard(const struct quota *q, size_t worker);
/* Nobody cries anywhere: one load, for the many times when that is so. */
bool quotas_silent(const struct quotas *all);
/* The worker whose cry is oldest and older than `before`; -1: none. */
int quota_oldest(const struct quota *q, usec_t before);
/* Take up that worker's cry: true for one caller only. He posts to the worker, which cries anew if
 * what it finds is not enough. */
bool quota_hear(struct quota *q, size_t worker);

#endif
