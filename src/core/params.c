#include "pgseal/core/params.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "pgseal/base/hash.h"

/* One allocation: the struct, its rows, and the flat form that the rows point into.
 * Flat form: for each entry, sorted by name: name, NUL, value, NUL. */
struct params {
	UT_hash_handle hh; /* by flat form */
	unsigned refs;
	uint64_t dialect;
	bool acts; /* see params_act */
	size_t count;
	size_t flat_len;
	const uint8_t *flat;
	struct param rows[];
};

struct params_table {
	struct params *sets;
};

struct params_table *params_table_create(void)
{
	return calloc(1, sizeof(struct params_table));
}

void params_table_free(struct params_table *t)
{
	if (t == NULL)
		return;
	assert(t->sets == NULL);
	free(t);
}

static int by_name(const void *a, const void *b)
{
	return strcasecmp(((const struct param *)a)->name, ((const struct param *)b)->name);
}

static size_t flat_size(const struct param *p)
{
	return strlen(p->name) + 1 + strlen(p->value) + 1;
}

static uint8_t *flat_put(uint8_t *to, const struct param *p)
{
	size_t n = strlen(p->name) + 1, v = strlen(p->value) + 1;

	memcpy(to, p->name, n);
	memcpy(to + n, p->value, v);
	return to + n + v;
}

/* Rows of a well-formed flat form; returns how many, fills rows when not NULL. */
static size_t flat_rows(const uint8_t *flat, size_t len, struct param *rows)
{
	const uint8_t *end = flat + len;
	size_t n = 0, name, value;

	while (flat < end) {
		name = strlen((const char *)flat) + 1;
		value = strlen((const char *)flat + name) + 1;
		if (rows != NULL)
			rows[n] = (struct param){ .name = (const char *)flat,
				                  .value = (const char *)flat + name };
		flat += name + value;
		n++;
	}
	return n;
}

/* What changes neither how a text is read nor what a plan of it yields, at most how fast. Sorted. */
static const char *const harmless[] = {
	"application_name",
	"client_connection_check_interval",
	"client_min_messages",
	"commit_delay",
	"commit_siblings",
	"cpu_index_tuple_cost",
	"cpu_operator_cost",
	"cpu_tuple_cost",
	"deadlock_timeout",
	"default_transaction_deferrable",
	"default_transaction_isolation",
	"default_transaction_read_only",
	"effective_cache_size",
	"effective_io_concurrency",
	"enable_bitmapscan",
	"enable_hashagg",
	"enable_hashjoin",
	"enable_indexonlyscan",
	"enable_indexscan",
	"enable_material",
	"enable_memoize",
	"enable_mergejoin",
	"enable_nestloop",
	"enable_seqscan",
	"enable_sort",
	"enable_tidscan",
	"hash_mem_multiplier",
	"idle_in_transaction_session_timeout",
	"idle_session_timeout",
	"jit",
	"lc_messages",
	"lock_timeout",
	"log_duration",
	"log_min_duration_statement",
	"log_min_messages",
	"log_statement",
	"maintenance_work_mem",
	"max_parallel_workers",
	"max_parallel_workers_per_gather",
	"parallel_setup_cost",
	"parallel_tuple_cost",
	"plan_cache_mode",
	"random_page_cost",
	"seq_page_cost",
	"statement_timeout",
	"synchronous_commit",
	"tcp_keepalives_count",
	"tcp_keepalives_idle",
	"tcp_keepalives_interval",
	"tcp_user_timeout",
	"temp_buffers",
	"temp_file_limit",
	"track_activities",
	"transaction_timeout",
	"work_mem",
};

static int by_word(const void *name, const void *word)
{
	return strcasecmp(name, *(const char *const *)word);
}

static bool is_harmless(const char *name)
{
	return bsearch(name, harmless, sizeof(harmless) / sizeof(harmless[0]), sizeof(harmless[0]),
	               by_word) != NULL;
}

bool params_changes_reading(const char *name)
{
	return strchr(name, '.') == NULL && strcasecmp(name, "role") != 0 &&
	       strcasecmp(name, "search_path") != 0 && !is_harmless(name);
}

static bool digest_row(EVP_MD_CTX *ctx, const struct param *p)
{
	char folded[64];
	size_t n = strlen(p->name), i, part;

	for (i = 0; i < n; i += part) {
		part = n - i < sizeof(folded) ? n - i : sizeof(folded);
		for (size_t k = 0; k < part; k++)
			folded[k] = (char)tolower((unsigned char)p->name[i + k]);
		if (EVP_DigestUpdate(ctx, folded, part) != 1)
			return false;
	}
	return EVP_DigestUpdate(ctx, "", 1) == 1 &&
	       EVP_DigestUpdate(ctx, p->value, strlen(p->value) + 1) == 1;
}

/* Parameters that end a connection which does nothing, or statements of whoever comes next. Below that many
 * milliseconds, INT64_MAX: always. */
static const struct acting {
	const char *name;
	int64_t least_ms;
} acting[] = {
	{ "idle_session_timeout", INT64_MAX },
	{ "tcp_user_timeout", INT64_MAX },
	{ "statement_timeout", 1000 },
	{ "transaction_timeout", 1000 },
	{ "idle_in_transaction_session_timeout", 1000 },
};

/* As PostgreSQL reads and prints them: a number, of milliseconds if there is no unit. */
static int64_t milliseconds(const char *value)
{
	static const struct {
		const char *unit;
		double factor;
	} units[] = { { "us", 0.001 }, { "ms", 1 },      { "s", 1000 },      { "min", 60000 },
		      { "h", 3600e3 }, { "d", 86400e3 }, { "", 1 } };
	char *rest;
	double n = strtod(value, &rest);
	size_t i;

	while (*rest == ' ')
		rest++;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(rest, units[i].unit) == 0)
			break;
	if (i == sizeof(units) / sizeof(units[0]) || !(n > 0))
		return n > 0; /* what it cannot read acts soon */
	n *= units[i].factor;
	return n < 1 ? 1 : n > 1e15 ? INT64_MAX : (int64_t)n;
}

static bool acts(const struct params *p, const struct acting *row)
{
	const char *value = params_get(p, row->name);
	int64_t ms = value != NULL ? milliseconds(value) : 0;

	return ms > 0 && (row->least_ms == INT64_MAX || ms < row->least_ms);
}

static bool find_acting(const struct params *p)
{
	size_t i;

	for (i = 0; p->count > 0 && i < sizeof(acting) / sizeof(acting[0]); i++)
		if (acts(p, &acting[i]))
			return true;
	return false;
}

bool params_act(const struct params *p)
{
	return p->acts;
}

/* Nobody can make up values that pass for those of others. */
static bool find_dialect(struct params *p)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sum[EVP_MAX_MD_SIZE];
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	size_t i;

	for (i = 0; ok && i < p->count; i++)
		ok = is_harmless(p->rows[i].name) || digest_row(ctx, &p->rows[i]);
	ok = ok && EVP_DigestFinal_ex(ctx, sum, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	memcpy(&p->dialect, sum, sizeof(p->dialect));
	p->dialect |= 1; /* not 0 */
	return true;
}

/* The interned set of these rows, which it sorts. A new reference. */
static struct params *intern(struct params_table *t, struct param *rows, size_t count)
{
	size_t i, len = 0;
	struct params *p, *found = NULL;
	uint8_t *at;

	for (i = 0; i < count; i++)
		len += flat_size(&rows[i]);
	if (count > 0)
		qsort(rows, count, sizeof(rows[0]), by_name);
	if ((p = malloc(sizeof(*p) + count * sizeof(rows[0]) + len)) == NULL)
		return NULL;
	at = (uint8_t *)&p->rows[count];
	p->flat = at;
	p->flat_len = len;
	for (i = 0; i < count; i++)
		at = flat_put(at, &rows[i]);
	HASH_FIND(hh, t->sets, p->flat, len, found);
	if (found != NULL) {
		free(p);
		return params_hold(found);
	}
	p->refs = 1;
	p->count = flat_rows(p->flat, len, p->rows);
	p->acts = find_acting(p);
	if (find_dialect(p)) {
		HASH_ADD_KEYPTR(hh, t->sets, p->flat, p->flat_len, p);
		if (HASH_HAS(p))
			return p;
	}
	free(p);
	return NULL;
}

struct params *params_hold(struct params *p)
{
	p->refs++;
	return p;
}

void params_release(struct params_table *t, struct params *p)
{
	if (p == NULL || --p->refs > 0)
		return;
	HASH_DELETE(hh, t->sets, p);
	free(p);
}

uint64_t params_dialect(const struct params *p)
{
	return p->dialect;
}

size_t params_count(const struct params *p)
{
	return p->count;
}

const struct param *params_at(const struct params *p, size_t i)
{
	return &p->rows[i];
}

const struct param *params_find(const struct params *p, const char *name)
{
	struct param key = { .name = name };

	return bsearch(&key, p->rows, p->count, sizeof(p->rows[0]), by_name);
}

const char *params_get(const struct params *p, const char *name)
{
	const struct param *row = params_find(p, name);

	return row != NULL ? row->value : NULL;
}

/* Replace *p by the set of these rows. */
static enum err replace(struct params_table *t, struct params **p, struct param *rows, size_t count)
{
	struct params *next = intern(t, rows, count);

	if (next == NULL)
		return ERR_NO_MEMORY;
	params_release(t, *p);
	*p = next;
	return ERR_OK;
}

enum err params_put(struct params_table *t, struct params **p, const char *name, const char *value)
{
	const struct param *old = params_find(*p, name);
	struct param *rows;
	size_t count = (*p)->count, i;
	enum err rc;

	if (old != NULL && strcmp(old->value, value) == 0)
		return ERR_OK;
	if ((rows = malloc((count + 1) * sizeof(rows[0]))) == NULL)
		return ERR_NO_MEMORY;
	memcpy(rows, (*p)->rows, count * sizeof(rows[0]));
	i = old != NULL ? (size_t)(old - (*p)->rows) : count++;
	rows[i].name = old != NULL ? old->name : name;
	rows[i].value = value;
	rc = replace(t, p, rows, count);
	free(rows);
	return rc;
}

enum err params_drop(struct params_table *t, struct params **p, const char *name)
{
	const struct param *old = params_find(*p, name);
	size_t count = (*p)->count, i;
	struct param *rows;
	enum err rc;

	if (old == NULL)
		return ERR_OK;
	if ((rows = malloc(count * sizeof(rows[0]))) == NULL)
		return ERR_NO_MEMORY;
	memcpy(rows, (*p)->rows, count * sizeof(rows[0]));
	i = (size_t)(old - (*p)->rows);
	rows[i] = rows[count - 1];
	rc = replace(t, p, rows, count - 1);
	free(rows);
	return rc;
}

bool params_read_only(const char *name)
{
	static const char *const names[] = { "server_version",    "server_encoding",
		                             "is_superuser",      "session_authorization",
		                             "integer_datetimes", "in_hot_standby" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* ---- statements ---- */

static enum err put_text(struct buf *sql, const char *s)
{
	return buf_append(sql, s, strlen(s));
}

/* ASCII alone, which means the same bytes of the server's encoding in every client_encoding and under
 * every standard_conforming_strings. */
enum err params_literal(struct buf *sql, const char *s)
{
	static const char hex[] = "0123456789abcdef";
	enum err rc = put_text(sql, "E'");

	for (; rc == ERR_OK && *s != '\0'; s++) {
		uint8_t c = (uint8_t)*s;
		char escaped[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

		if (c == '\'' || c == '\\' || c >= 0x7f)
			rc = buf_append(sql, escaped, sizeof(escaped));
		else
			rc = buf_append(sql, s, 1);
	}
	return rc == ERR_OK ? put_text(sql, "'") : rc;
}

static enum err end_statement(struct buf *sql)
{
	return buf_append(sql, "", 1);
}

static bool is_role(const struct param *p)
{
	return strcasecmp(p->name, "role") == 0;
}

static bool differs(const struct param *p, const struct params *have)
{
	const struct param *other = have != NULL ? params_find(have, p->name) : NULL;

	return other == NULL || strcmp(other->value, p->value) != 0;
}

/* Something is set that is not wanted. A single one may be the superuser's to reset, all of them are
 * anybody's. The role is none of "all". */
static bool must_reset_all(const struct params *want, const struct params *have)
{
	size_t i;

	for (i = 0; i < have->count; i++)
		if (!is_role(&have->rows[i]) && params_find(want, have->rows[i].name) == NULL)
			return true;
	return false;
}

/* Another role may not be allowed to set what is wanted. */
static bool must_reset_role(const struct params *want, const struct params *have)
{
	const struct param *role = params_find(have, "role");

	return role != NULL && strcmp(role->value, "none") != 0 && want != have;
}

static enum err put_resets(struct buf *sql, const struct params *want, const struct params *have,
                           bool all)
{
	const struct param *style;
	enum err rc = ERR_OK;

	if (have == NULL || must_reset_role(want, have))
		rc = buf_append(sql, "RESET ROLE", sizeof("RESET ROLE"));
	if (rc == ERR_OK && all)
		return buf_append(sql, "RESET ALL", sizeof("RESET ALL"));
	/* The one parameter whose new value may leave a part of the old one in force. */
	style = params_find(want, "DateStyle");
	if (rc == ERR_OK && style != NULL && differs(style, have) &&
	    params_find(have, "DateStyle") != NULL)
		rc = buf_append(sql, "RESET DateStyle", sizeof("RESET DateStyle"));
	return rc;
}

/* A SELECT has room for 1,664 columns. */
#define SETS_PER_STATEMENT 500u

/* The value itself is not asked for: the client's encoding may have no way to say it. */
static enum err put_set(struct buf *sql, const struct param *p, size_t n)
{
	enum err rc = ERR_OK;

	if (n > 0 && n % SETS_PER_STATEMENT == 0)
		rc = end_statement(sql);
	if (rc == ERR_OK)
		rc = put_text(sql, n % SETS_PER_STATEMENT == 0 ? "SELECT pg_catalog.set_config("
		                                               : ", pg_catalog.set_config(");
	if (rc == ERR_OK)
		rc = params_literal(sql, p->name);
	if (rc == ERR_OK)
		rc = put_text(sql, ",");
	if (rc == ERR_OK)
		rc = params_literal(sql, p->value);
	return rc == ERR_OK ? put_text(sql, ",false) IS NULL") : rc;
}

static enum err put_sets(struct buf *sql, const struct params *want, const struct params *have)
{
	const struct param *p, *role = params_find(want, "role");
	enum err rc = ERR_OK;
	size_t i, n = 0;

	for (i = 0; rc == ERR_OK && i < want->count; i++) {
		p = &want->rows[i];
		if (p != role && differs(p, have))
			rc = put_set(sql, p, n++);
	}
	if (rc == ERR_OK && role != NULL)
		rc = put_set(sql, role, n++);
	return rc == ERR_OK && n > 0 ? end_statement(sql) : rc;
}

enum err params_difference(const struct params *want, const struct params *have, struct buf *sql)
{
	bool all = have == NULL || must_reset_all(want, have);
	enum err rc;

	if (want == have)
		return ERR_OK;
	rc = put_resets(sql, want, have, all);
	/* What needs the rights of the session's own role comes while that is in force. */
	return rc == ERR_OK ? put_sets(sql, want, all ? NULL : have) : rc;
}

/* value NULL: what it is without having been set. */
static enum err put_switch(struct buf *sql, const char *name, const char *value)
{
	enum err rc = put_text(sql, "SELECT pg_catalog.set_config(");

	if (rc == ERR_OK)
		rc = params_literal(sql, name);
	if (rc == ERR_OK)
		rc = put_text(sql, ",");
	if (rc == ERR_OK)
		rc = value != NULL ? params_literal(sql, value) : put_text(sql, "NULL");
	if (rc == ERR_OK)
		rc = put_text(sql, ",false) IS NULL");
	return rc == ERR_OK ? end_statement(sql) : rc;
}

enum err params_switch(const struct params *to, const struct params *from, struct buf *sql)
{
	enum err rc = ERR_OK;
	size_t i;

	for (i = 0; rc == ERR_OK && i < from->count; i++)
		if (!is_harmless(from->rows[i].name) && differs(&from->rows[i], to))
			rc = put_switch(sql, from->rows[i].name, NULL);
	for (i = 0; rc == ERR_OK && i < to->count; i++)
		if (!is_harmless(to->rows[i].name) && differs(&to->rows[i], from))
			rc = put_switch(sql, to->rows[i].name, to->rows[i].value);
	return rc;
}

enum err params_undo(struct params_table *t, struct params **have, struct buf *sql)
{
	enum err rc = ERR_OK;
	size_t i;

	for (i = 0; rc == ERR_OK && i < sizeof(acting) / sizeof(acting[0]); i++) {
		if (!acts(*have, &acting[i]))
			continue;
		if ((rc = put_text(sql, "RESET ")) == ERR_OK &&
		    (rc = put_text(sql, acting[i].name)) == ERR_OK &&
		    (rc = put_text(sql, ";")) == ERR_OK)
			rc = params_drop(t, have, acting[i].name);
	}
	return rc == ERR_OK ? end_statement(sql) : rc;
}

/* ---- flat form ---- */

struct bytes params_flat(const struct params *p)
{
	return (struct bytes){ .at = p->flat, .len = p->flat_len };
}

struct params *params_parse(struct params_table *t, struct bytes flat)
{
	size_t count = flat_rows(flat.at, flat.len, NULL);
	struct param *rows = malloc((count + 1) * sizeof(rows[0]));
	struct params *p;

	if (rows == NULL)
		return NULL;
	flat_rows(flat.at, flat.len, rows);
	p = intern(t, rows, count);
	free(rows);
	return p;
}

struct params *params_none(struct params_table *t)
{
	return intern(t, NULL, 0);
}

enum err params_flat_add(struct buf *flat, const char *name, const char *value)
{
	struct param p = { .name = name, .value = value };
	enum err rc = buf_reserve(flat, flat_size(&p));

	if (rc == ERR_OK)
		flat->len = (size_t)(flat_put(flat->at + flat->len, &p) - flat->at);
	return rc;
}
