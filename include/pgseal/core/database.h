/* One entry of [databases]: a libpq connection string and the pooler's own keys. Immutable,
 * reference-counted: sites, pools and servers share it. */
#ifndef PGSEAL_CORE_DATABASE_H
#define PGSEAL_CORE_DATABASE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "pgseal/base/report.h"
#include "pgseal/base/settings.h"

struct database {
	atomic_uint refs;
	char *name;           /* "*" for the fallback entry */
	struct place at;      /* file: a copy, owned */
	char **keywords;      /* NULL-terminated, for libpq, with the server_tls_* defaults filled in; */
	char **values;        /* no user and no dbname unless the entry says so */
	size_t count;
	bool has_user;        /* the entry fixes the login role */
	bool has_dbname;
	int64_t pool_size;    /* of each role; the default filled in */
	int64_t min_pool_size;
	int64_t reserve_pool_size;
	int64_t max_db_connections;        /* 0: no limit */
	int64_t max_db_client_connections; /* likewise */
	enum pool_mode pool_mode;
	enum server_reset server_reset;
	usec_t server_lifetime;
	usec_t query_wait_timeout;
};

/* Parse one entry. Findings go to rep; NULL when there were any or without memory. */
struct database *database_parse(const char *name, const char *value, struct place at,
                                const struct settings *settings, struct report *rep);
struct database *database_hold(struct database *db);
void database_release(struct database *db);

/* First value of a libpq keyword; NULL: not given. */
const char *database_value(const struct database *db, const char *keyword);
/* Where it is, as the entry says: host, else hostaddr; NULL: libpq's default. */
const char *database_host(const struct database *db);
/* Does target_session_attrs choose among servers? */
bool database_chooses(const struct database *db);
/* Is one like that what it chooses: in_hot_standby, default_transaction_read_only? */
bool database_wants(const struct database *db, bool standby, bool read_only);
/* Would both log in to the same place the same way? Otherwise servers of the old one are replaced. */
bool database_same_login(const struct database *a, const struct database *b);

#endif
