/* POOLS, DATABASES, USERS and LISTS: what the workers' pools add up to. */
#include "pgseal/admin/console.h"
#include "pgseal/admin/views.h"
#include "request_priv.h"
#include "sums_priv.h"

/* --- shared by all of them --- */

static enum tour_next sums_visit(struct request *rq, struct worker *w)
{
	if (!sums_add(&rq->sums, w))
		rq->result.no_memory = true;
	return TOUR_ON;
}

static void get_name(struct cell *out, const struct row *row)
{
	out->text = row->name;
}

static void get_zero(struct cell *out, const struct row *row)
{
	(void)row;
	out->text = "0";
}

static const char *mode_word(int64_t mode)
{
	return mode == POOL_SESSION ? "session" : "transaction";
}

/* The console answers each statement by itself: PgBouncer's word for that. */
static void get_pool_mode(struct cell *out, const struct row *row)
{
	struct terms terms;

	out->text = "statement";
	if (row->database == NULL)
		return;
	terms_agree(&terms, row->user, row->database, &row->site->settings);
	out->text = mode_word(terms.pool_mode);
}

static void get_load_balance_hosts(struct cell *out, const struct row *row)
{
	out->text = row->database != NULL ? database_value(row->database, "load_balance_hosts")
	                                  : NULL;
}

#define SUM_TEXT(field)                                                                \
	static void get_##field(struct cell *out, const struct row *row)               \
	{                                                                              \
		out->text = row->sum->field;                                           \
	}
#define SUM_COUNT(name, expression)                                                    \
	static void get_##name(struct cell *out, const struct row *row)                \
	{                                                                              \
		cell_uint(out, row->sum != NULL ? (uint64_t)(expression) : 0);         \
	}
SUM_TEXT(database)
SUM_TEXT(user)
SUM_COUNT(cl_active, row->sum->clients - row->sum->waiting)
SUM_COUNT(cl_waiting, row->sum->waiting)
SUM_COUNT(sv_active, row->sum->servers[SERVER_ACTIVE])
SUM_COUNT(sv_being_canceled, row->sum->servers[SERVER_CANCELED])
SUM_COUNT(sv_idle, row->sum->servers[SERVER_IDLE])
SUM_COUNT(sv_tested, row->sum->servers[SERVER_CLEANING])
SUM_COUNT(sv_login, row->sum->opening)
SUM_COUNT(maxwait, row->sum->maxwait / USEC_PER_SEC)
SUM_COUNT(maxwait_us, row->sum->maxwait % USEC_PER_SEC)
SUM_COUNT(current_connections, sum_servers(row->sum))
SUM_COUNT(current_clients, row->sum->clients)

#define VIEW(columns_, home_)                                                          \
	{ .columns = columns_, .count = sizeof(columns_) / sizeof(*columns_),          \
	  .visit = sums_visit, .home = home_ }

/* --- POOLS --- */

static const struct column pools_columns[] = {
	{ "database", TYPE_TEXT, get_database },
	{ "user", TYPE_TEXT, get_user },
	{ "cl_active", TYPE_INT4, get_cl_active },
	{ "cl_waiting", TYPE_INT4, get_cl_waiting },
	{ "cl_active_cancel_req", TYPE_INT4, get_zero },
	{ "cl_waiting_cancel_req", TYPE_INT4, get_zero },
	{ "sv_active", TYPE_INT4, get_sv_active },
	{ "sv_active_cancel", TYPE_INT4, get_zero },
	{ "sv_being_canceled", TYPE_INT4, get_sv_being_canceled },
	{ "sv_idle", TYPE_INT4, get_sv_idle },
	{ "sv_used", TYPE_INT4, get_zero },
	{ "sv_tested", TYPE_INT4, get_sv_tested },
	{ "sv_login", TYPE_INT4, get_sv_login },
	{ "maxwait", TYPE_INT4, get_maxwait },
	{ "maxwait_us", TYPE_INT4, get_maxwait_us },
	{ "pool_mode", TYPE_TEXT, get_pool_mode },
	{ "load_balance_hosts", TYPE_TEXT, get_load_balance_hosts },
};

static void pools_home(struct request *rq, struct worker *w)
{
	if (rq->sums == NULL)
		return;
	sums_sort(rq->sums);
	for (const struct sum *sum = rq->sums->by_key; sum != NULL; sum = sum->hh.next)
		view_row(rq, &(struct row){ .sum = sum, .site = w->site, .database = sum->db,
		                            .user = site_user(w->site, sum->user) });
}

const struct view view_pools = VIEW(pools_columns, pools_home);

/* --- DATABASES --- */

static void get_host(struct cell *out, const struct row *row)
{
	out->text = row->database != NULL ? database_host(row->database) : NULL;
}

static void get_port(struct cell *out, const struct row *row)
{
	const char *port = row->database != NULL ? database_value(row->database, "port") : NULL;
	int64_t number;

	if (row->database == NULL)
		cell_int(out, row->site->settings.listen_port);
	else if (port == NULL)
		out->text = "5432";
	else if (parse_int(port, 0, UINT16_MAX, &number) == ERR_OK)
		cell_int(out, number);
	else
		cell_int(out, 0); /* several: one per host */
}

static void get_dbname(struct cell *out, const struct row *row)
{
	const char *name = NULL;

	if (row->database != NULL && row->database->has_dbname)
		name = database_value(row->database, "dbname");
	out->text = name != NULL ? name : row->name;
}

static void get_force_user(struct cell *out, const struct row *row)
{
	if (row->database == NULL)
		out->text = CONSOLE_DATABASE;
	else
		out->text = row->database->has_user ? database_value(row->database, "user") : NULL;
}

static void get_pool_size(struct cell *out, const struct row *row)
{
	cell_int(out, row->database != NULL ? row->database->pool_size : 0);
}

#define DATABASE_NUMBER(field)                                                            \
	static void get_##field(struct cell *out, const struct row *row)                  \
	{                                                                                 \
		cell_int(out, row->database != NULL ? row->database->field : 0);          \
	}
DATABASE_NUMBER(min_pool_size)
DATABASE_NUMBER(reserve_pool_size)
DATABASE_NUMBER(max_db_connections)
DATABASE_NUMBER(max_db_client_connections)

static void get_server_lifetime(struct cell *out, const struct row *row)
{
	cell_int(out, row->database != NULL ? row->database->server_lifetime / USEC_PER_SEC : 0);
}

static void get_paused(struct cell *out, const struct row *row)
{
	bool paused = row->database != NULL &&
	              (row->worker->paused ||
	               marked_has(&row->worker->paused_databases, row->name));

	out->text = paused ? "1" : "0";
}

static void get_disabled(struct cell *out, const struct row *row)
{
	bool disabled = row->database != NULL &&
	                marked_has(&row->worker->disabled_databases, row->name);

	out->text = disabled ? "1" : "0";
}

static const struct column databases_columns[] = {
	{ "name", TYPE_TEXT, get_name },
	{ "host", TYPE_TEXT, get_host },
	{ "port", TYPE_INT4, get_port },
	{ "database", TYPE_TEXT, get_dbname },
	{ "force_user", TYPE_TEXT, get_force_user },
	{ "pool_size", TYPE_INT4, get_pool_size },
	{ "min_pool_size", TYPE_INT4, get_min_pool_size },
	{ "reserve_pool_size", TYPE_INT4, get_reserve_pool_size },
	{ "server_lifetime", TYPE_INT4, get_server_lifetime },
	{ "pool_mode", TYPE_TEXT, get_pool_mode },
	{ "load_balance_hosts", TYPE_TEXT, get_load_balance_hosts },
	{ "max_connections", TYPE_INT4, get_max_db_connections },
	{ "current_connections", TYPE_INT4, get_current_connections },
	{ "max_client_connections", TYPE_INT4, get_max_db_client_connections },
	{ "current_client_connections", TYPE_INT4, get_current_clients },
	{ "paused", TYPE_INT4, get_paused },
	{ "disabled", TYPE_INT4, get_disabled },
};

static const struct sum *sum_of(const struct sums *sums, const char *database)
{
	const struct sum *sum = sums->by_key;

	while (sum != NULL && strcmp(sum->database, database) != 0)
		sum = sum->hh.next;
	return sum;
}

static bool has_entry(const struct site *site, const char *name)
{
	for (size_t i = 0; i < site->database_count; i++) {
		if (strcmp(site->databases[i]->name, name) == 0)
			return true;
	}
	return false;
}

/* The entries of the file, then what came in by the fallback entry, then the console. */
static void databases_home(struct request *rq, struct worker *w)
{
	struct sums *sums = rq->sums != NULL ? sums_group(rq->sums, SUMS_BY_DATABASE) : NULL;
	struct row row = { .worker = w, .site = w->site };

	rq->result.no_memory = rq->result.no_memory || sums == NULL;
	if (sums == NULL)
		return;
	sums_sort(sums);
	for (size_t i = 0; i < w->site->database_count; i++) {
		row.database = w->site->databases[i];
		row.name = row.database->name;
		row.sum = sum_of(sums, row.name);
		if (row.database != w->site->fallback)
			view_row(rq, &row);
	}
	for (row.sum = sums->by_key; row.sum != NULL; row.sum = row.sum->hh.next) {
		row.database = row.sum->db;
		row.name = row.sum->database;
		if (!has_entry(w->site, row.name))
			view_row(rq, &row);
	}
	row.database = NULL;
	row.name = CONSOLE_DATABASE;
	row.sum = sum_of(rq->sums, row.name);
	view_row(rq, &row);
	sums_free(sums);
}

const struct view view_databases = VIEW(databases_columns, databases_home);

/* --- USERS --- */

/* What the role's entry in [users] says; NULL where it says nothing. */
static int64_t said(const struct row *row, size_t offset)
{
	return row->user != NULL ? *(const int64_t *)((const char *)row->user + offset) : USER_UNSET;
}

static void get_user_number(struct cell *out, const struct row *row, size_t offset)
{
	out->text = NULL;
	if (said(row, offset) != USER_UNSET)
		cell_int(out, said(row, offset));
}

static void get_user_pool_size(struct cell *out, const struct row *row)
{
	get_user_number(out, row, offsetof(struct user, pool_size));
}

static void get_user_reserve(struct cell *out, const struct row *row)
{
	get_user_number(out, row, offsetof(struct user, reserve_pool_size));
}

static void get_user_mode(struct cell *out, const struct row *row)
{
	int64_t mode = said(row, offsetof(struct user, pool_mode));

	out->text = mode != USER_UNSET ? mode_word(mode) : NULL;
}

static void get_user_servers_limit(struct cell *out, const struct row *row)
{
	cell_int(out, USER_SAYS(row->user, max_user_connections,
	                        row->site->settings.max_user_connections));
}

static void get_user_clients_limit(struct cell *out, const struct row *row)
{
	cell_int(out, USER_SAYS(row->user, max_user_client_connections,
	                        row->site->settings.max_user_client_connections));
}

static const struct column users_columns[] = {
	{ "name", TYPE_TEXT, get_name },
	{ "pool_size", TYPE_INT4, get_user_pool_size },
	{ "reserve_pool_size", TYPE_INT4, get_user_reserve },
	{ "pool_mode", TYPE_TEXT, get_user_mode },
	{ "max_user_connections", TYPE_INT4, get_user_servers_limit },
	{ "current_connections", TYPE_INT4, get_current_connections },
	{ "max_user_client_connections", TYPE_INT4, get_user_clients_limit },
	{ "current_client_connections", TYPE_INT4, get_current_clients },
};

static const struct sum *sum_of_user(const struct sums *sums, const char *user)
{
	const struct sum *sum = sums->by_key;

	while (sum != NULL && strcmp(sum->user, user) != 0)
		sum = sum->hh.next;
	return sum;
}

/* The entries of the file, then the roles that use pools without one. */
static void users_home(struct request *rq, struct worker *w)
{
	struct sums *sums = rq->sums != NULL ? sums_group(rq->sums, SUMS_BY_USER) : NULL;
	const struct user *u;
	const struct sum *sum;

	rq->result.no_memory = rq->result.no_memory || sums == NULL;
	if (sums == NULL)
		return;
	sums_sort(sums);
	for (u = w->site->users; u != NULL; u = u->hh.next)
		view_row(rq, &(struct row){ .name = u->name, .user = u, .site = w->site,
		                            .sum = sum_of_user(sums, u->name) });
	for (sum = sums->by_key; sum != NULL; sum = sum->hh.next)
		if (site_user(w->site, sum->user) == NULL)
			view_row(rq, &(struct row){ .name = sum->user, .site = w->site,
			                            .sum = sum });
	sums_free(sums);
}

const struct view view_users = VIEW(users_columns, users_home);

/* --- LISTS --- */

static void get_items(struct cell *out, const struct row *row)
{
	cell_int(out, row->number);
}

static const struct column lists_columns[] = {
	{ "list", TYPE_TEXT, get_name },
	{ "items", TYPE_INT4, get_items },
};

static int64_t count_groups(const struct sums *sums, enum sums_by by)
{
	struct sums *group = sums_group(sums, by);
	int64_t n = group != NULL ? HASH_COUNT(group->by_key) : 0;

	sums_free(group);
	return n;
}

static enum tour_next lists_visit(struct request *rq, struct worker *w)
{
	(void)view_dns_visit(rq, w);
	for (const struct pool *p = w->pools; p != NULL; p = p->hh.next)
		rq->counts.login_clients += p->session_count[SESSION_GREETING];
	return sums_visit(rq, w);
}

/* free_ lists are memory that PgBouncer keeps for reuse, the last ones its resolver's: none
 * here. */
static void lists_home(struct request *rq, struct worker *w)
{
	int64_t clients = 0, servers = 0, opening = 0, pools = 0;
	const struct sum *sum = rq->sums != NULL ? rq->sums->by_key : NULL;

	if (sum == NULL && rq->result.no_memory)
		return;
	for (; sum != NULL; sum = sum->hh.next) {
		clients += (int64_t)sum->clients;
		servers += (int64_t)sum_servers(sum);
		opening += (int64_t)sum->opening;
		pools++;
	}
	const struct row rows[] = {
		{ .name = "databases", .number = (int64_t)w->site->database_count + 1 },
		{ .name = "users", .number = count_groups(rq->sums, SUMS_BY_USER) },
		{ .name = "peers" },
		{ .name = "pools", .number = pools },
		{ .name = "peer_pools" },
		{ .name = "free_clients" },
		{ .name = "used_clients", .number = clients },
		{ .name = "login_clients", .number = (int64_t)rq->counts.login_clients },
		{ .name = "free_servers" },
		{ .name = "used_servers", .number = servers + opening },
		{ .name = "dns_names", .number = (int64_t)rq->dns_host_count },
		{ .name = "dns_zones" },
		{ .name = "dns_queries" },
		{ .name = "dns_pending" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		view_row(rq, &rows[i]);
}

const struct view view_lists = {
	.columns = lists_columns, .count = sizeof(lists_columns) / sizeof(*lists_columns),
	.visit = lists_visit, .home = lists_home,
};
