#include "pgseal/core/database.h"

#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "pgseal/base/bytes.h"
#include "pgseal/core/pairs.h"
#include "pgseal/core/tcp.h"
#include "pgseal/loop/login.h"

#define DATABASE_KEYWORDS_MAX 80

struct parse {
	struct database *db;
	const struct settings *settings;
	struct place at;
	struct report *rep;
	bool failed;
};

static void refuse(struct parse *ps, const char *key, const char *why)
{
	report_error(ps->rep, ps->at, "database \"%s\": %s: %s", ps->db->name, key, why);
	ps->failed = true;
}

static void add_keyword(struct parse *ps, const char *key, const char *value)
{
	struct database *db = ps->db;
	char *k, *v;

	if (db->count == DATABASE_KEYWORDS_MAX) {
		refuse(ps, key, "too many keywords");
		return;
	}
	k = strdup(key);
	v = strdup(value);
	if (k == NULL || v == NULL) {
		refuse(ps, key, "out of memory");
		free(k);
		free(v);
		return;
	}
	db->keywords[db->count] = k;
	db->values[db->count++] = v;
}

/* ---- the pooler's own keys, one row each ---- */

static enum err own_pool_size(struct database *db, const char *value)
{
	return parse_int(value, 1, 100000, &db->pool_size);
}

#define DEFINE_OWN_NUMBER(field)                                                    \
	static enum err own_##field(struct database *db, const char *value)        \
	{                                                                          \
		return parse_int(value, 0, OWN_NUMBER_MAX, &db->field);            \
	}
#define OWN_NUMBER_MAX 1000000
DEFINE_OWN_NUMBER(min_pool_size)
DEFINE_OWN_NUMBER(reserve_pool_size)
DEFINE_OWN_NUMBER(max_db_connections)
DEFINE_OWN_NUMBER(max_db_client_connections)

static enum err own_pool_mode(struct database *db, const char *value)
{
	if (strcmp(value, "transaction") == 0)
		db->pool_mode = POOL_TRANSACTION;
	else if (strcmp(value, "session") == 0)
		db->pool_mode = POOL_SESSION;
	else
		return ERR_SYNTAX;
	return ERR_OK;
}

static enum err own_server_reset(struct database *db, const char *value)
{
	int64_t n;
	enum err rc = settings_number(settings_find("server_reset"), value, &n, NULL);

	if (rc == ERR_OK)
		db->server_reset = (enum server_reset)n;
	return rc;
}

static enum err own_lifetime(struct database *db, const char *value)
{
	return parse_duration(value, &db->server_lifetime);
}

static enum err own_wait(struct database *db, const char *value)
{
	return parse_duration(value, &db->query_wait_timeout);
}

#define NUMBER_REMEDY "a whole number from 0 to 1000000 is needed"
static const struct own_key {
	const char *key;
	enum err (*set)(struct database *db, const char *value);
	const char *remedy;
} own_keys[] = {
	{ "pool_size", own_pool_size, "a whole number from 1 to 100000 is needed" },
	{ "min_pool_size", own_min_pool_size, NUMBER_REMEDY },
	{ "reserve_pool_size", own_reserve_pool_size, NUMBER_REMEDY },
	{ "reserve_pool", own_reserve_pool_size, NUMBER_REMEDY },
	{ "max_db_connections", own_max_db_connections, NUMBER_REMEDY },
	{ "max_db_client_connections", own_max_db_client_connections, NUMBER_REMEDY },
	{ "pool_mode", own_pool_mode, "use transaction or session" },
	{ "server_reset", own_server_reset, "use suspected, identity, client or close" },
	{ "server_lifetime", own_lifetime, "an interval such as 1h or 3600 is needed" },
	{ "query_wait_timeout", own_wait, "an interval such as 120s is needed" },
};

/* libpq keywords that would break what the pooler does with the connection. */
static const struct {
	const char *key;
	const char *why;
} refused_keys[] = {
	{ "gssencmode", "the server leg is TLS; leave it out" },
	{ "replication", "clients ask for it, and replication=yes in [identities] lets them" },
	{ "connect_timeout", "use server_connect_timeout in [pgseal]" },
	{ "requiressl", "use sslmode" },
};

static void set_key(struct parse *ps, const char *key, const char *value)
{
	size_t i;

	for (i = 0; i < sizeof(own_keys) / sizeof(own_keys[0]); i++)
		if (strcmp(key, own_keys[i].key) == 0) {
			if (own_keys[i].set(ps->db, value) != ERR_OK)
				refuse(ps, key, own_keys[i].remedy);
			return;
		}
	for (i = 0; i < sizeof(refused_keys) / sizeof(refused_keys[0]); i++)
		if (strcmp(key, refused_keys[i].key) == 0) {
			refuse(ps, key, refused_keys[i].why);
			return;
		}
	if (strcmp(key, "sslmode") == 0 &&
	    (strcmp(value, "prefer") == 0 || strcmp(value, "allow") == 0))
		refuse(ps, key,
		       "falls back to clear text in silence; use verify-full, or disable openly");
	else if (!login_knows_keyword(key))
		refuse(ps, key,
		       "neither a connection parameter of the linked libpq nor a key of pgseal");
	else
		add_keyword(ps, key, value);
}

/* A connection URI in front: libpq takes it apart. */
static void take_uri(struct parse *ps, const char *uri)
{
	PQconninfoOption *opts, *o;
	char *why = NULL;

	if ((opts = PQconninfoParse(uri, &why)) == NULL) {
		if (why != NULL)
			why[strcspn(why, "\n")] = '\0';
		refuse(ps, "connection URI", why != NULL ? why : "out of memory");
		PQfreemem(why);
		return;
	}
	for (o = opts; o->keyword != NULL; o++)
		if (o->val != NULL)
			set_key(ps, o->keyword, o->val);
	PQconninfoFree(opts);
}

static void parse_text(struct parse *ps, const char *p, char *key, char *value)
{
	const char *why;

	for (;;) {
		switch (pairs_take(&p, key, value, &why)) {
		case PAIRS_PAIR:
			set_key(ps, key, value);
			break;
		case PAIRS_URI:
			take_uri(ps, value);
			break;
		case PAIRS_BAD:
			refuse(ps, key, why);
			return;
		case PAIRS_END:
			return;
		}
	}
}

/* ---- what the entry leaves open ---- */

static void add_default(struct parse *ps, const char *key, const char *value)
{
	if (value[0] != '\0' && database_value(ps->db, key) == NULL)
		add_keyword(ps, key, value);
}

static void add_tcp_defaults(struct parse *ps)
{
	const char *keyword;
	char value[24];
	size_t i;

	for (i = 0; (keyword = tcp_keyword(i, ps->settings, value, sizeof(value))) != NULL; i++)
		add_default(ps, keyword, value);
}

static void add_defaults(struct parse *ps)
{
	static const char *const modes[] = { "disable", "require", "verify-ca", "verify-full" };
	const struct settings *s = ps->settings;

	add_default(ps, "sslmode", modes[s->server_tls_sslmode]);
	add_default(ps, "sslrootcert", s->server_tls_ca_file);
	add_default(ps, "sslcert", s->server_tls_cert_file);
	add_default(ps, "sslkey", s->server_tls_key_file);
	add_default(ps, "ssl_min_protocol_version",
	            strstr(s->server_tls_protocols, "1.2") != NULL ||
	            strcmp(s->server_tls_protocols, "secure") == 0 ? "TLSv1.2" : "TLSv1.3");
	add_tcp_defaults(ps);
	add_keyword(ps, "gssencmode", "disable");
	ps->db->has_user = database_value(ps->db, "user") != NULL;
	ps->db->has_dbname = database_value(ps->db, "dbname") != NULL;
}

struct database *database_parse(const char *name, const char *value, struct place at,
                                const struct settings *settings, struct report *rep)
{
	struct database *db = calloc(1, sizeof(*db));
	struct parse ps = { db, settings, at, rep, false };
	size_t room = strlen(value) + 1;
	char *key = malloc(room), *text = malloc(room);

	if (db != NULL) {
		atomic_init(&db->refs, 1);
		db->name = strdup(name);
		db->at.file = at.file != NULL ? strdup(at.file) : NULL;
		db->at.line = at.line;
		db->keywords = calloc(DATABASE_KEYWORDS_MAX + 1, sizeof(char *));
		db->values = calloc(DATABASE_KEYWORDS_MAX + 1, sizeof(char *));
		db->pool_size = settings->default_pool_size;
		db->min_pool_size = settings->min_pool_size;
		db->reserve_pool_size = settings->reserve_pool_size;
		db->max_db_connections = settings->max_db_connections;
		db->max_db_client_connections = settings->max_db_client_connections;
		db->pool_mode = (enum pool_mode)settings->pool_mode;
		db->server_reset = (enum server_reset)settings->server_reset;
		db->server_lifetime = settings->server_lifetime;
		db->query_wait_timeout = settings->query_wait_timeout;
	}
	if (key == NULL || text == NULL || db == NULL || db->name == NULL || db->keywords == NULL ||
	    db->values == NULL) {
		report_error(rep, at, "out of memory");
		ps.failed = true;
	} else {
		parse_text(&ps, value, key, text);
		add_defaults(&ps);
	}
	free(key);
	free(text);
	if (ps.failed) {
		database_release(db);
		return NULL;
	}
	return db;
}

struct database *database_hold(struct database *db)
{
	atomic_fetch_add_explicit(&db->refs, 1, memory_order_relaxed);
	return db;
}

void database_release(struct database *db)
{
	size_t i;

	/* The last one to let go must see what the others did before. */
	if (db == NULL || atomic_fetch_sub_explicit(&db->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (i = 0; i < db->count; i++) {
		free(db->keywords[i]);
		free(db->values[i]);
	}
	free(db->keywords);
	free(db->values);
	free(db->name);
	free((char *)db->at.file);
	free(db);
}

const char *database_value(const struct database *db, const char *keyword)
{
	size_t i;

	/* Later ones win, as in libpq. */
	for (i = db->count; i-- > 0;)
		if (strcmp(db->keywords[i], keyword) == 0)
			return db->values[i];
	return NULL;
}

const char *database_host(const struct database *db)
{
	const char *host = database_value(db, "host");

	return host != NULL ? host : database_value(db, "hostaddr");
}

/* libpq's words: which of the three kinds of servers each of them is for. */
static const struct choice {
	const char *attrs;
	bool writable, read_only, standby;
} choices[] = {
	{ .attrs = "any", .writable = true, .read_only = true, .standby = true },
	{ .attrs = "read-write", .writable = true },
	{ .attrs = "read-only", .read_only = true, .standby = true },
	{ .attrs = "primary", .writable = true, .read_only = true },
	{ .attrs = "standby", .standby = true },
	{ .attrs = "prefer-standby", .standby = true },
};

static const struct choice *choice_of(const struct database *db)
{
	const char *attrs = database_value(db, "target_session_attrs");
	size_t i;

	for (i = 1; attrs != NULL && i < sizeof(choices) / sizeof(choices[0]); i++)
		if (strcmp(attrs, choices[i].attrs) == 0)
			return &choices[i];
	return &choices[0];
}

bool database_chooses(const struct database *db)
{
	return choice_of(db) != &choices[0];
}

bool database_wants(const struct database *db, bool standby, bool read_only)
{
	const struct choice *c = choice_of(db);

	if (standby)
		return c->standby;
	return read_only ? c->read_only : c->writable;
}

bool database_same_login(const struct database *a, const struct database *b)
{
	size_t i;

	if (a->count != b->count)
		return false;
	for (i = 0; i < a->count; i++)
		if (strcmp(a->keywords[i], b->keywords[i]) != 0 ||
		    strcmp(a->values[i], b->values[i]) != 0)
			return false;
	return true;
}
