#include "pgseal/core/params.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "pgseal/base/hash.h"

/* One allocation: the struct, its rows, and the flat form that the rows point into.
 * Flat form: for each entry, sorted by name: 'r' or 's', name, NUL, value, NUL. */
struct params {
	UT_hash_handle hh; /* by flat form */
	unsigned refs;
	uint64_t dialect;
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
	return 1 + strlen(p->name) + 1 + strlen(p->value) + 1;
}

static uint8_t *flat_put(uint8_t *to, const struct param *p)
{
	size_t n = strlen(p->name) + 1, v = strlen(p->value) + 1;

	*to = p->reported ? 'r' : 's';
	memcpy(to + 1, p->name, n);
	memcpy(to + 1 + n, p->value, v);
	return to + 1 + n + v;
}

/* Rows of a well-formed flat form; returns how many, fills rows when not NULL. */
static size_t flat_rows(const uint8_t *flat, size_t len, struct param *rows)
{
	const uint8_t *end = flat + len;
	size_t n = 0, name, value;

	while (flat < end) {
		name = strlen((const char *)flat + 1) + 1;
		value = strlen((const char *)flat + 1 + name) + 1;
		if (rows != NULL)
			rows[n] = (struct param){ .name = (const char *)flat + 1,
				                  .value = (const char *)flat + 1 + name,
				                  .reported = *flat == 'r' };
		flat += 1 + name + value;
		n++;
	}
	return n;
}

/* Nobody can make up values that pass for those of others. */
static bool find_dialect(struct params *p)
{
	static const char *const names[] = { "client_encoding", "DateStyle", "IntervalStyle",
		                             "standard_conforming_strings", "TimeZone" };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sum[EVP_MAX_MD_SIZE];
	const char *value;
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	size_t i;

	for (i = 0; ok && i < sizeof(names) / sizeof(names[0]); i++) {
		value = params_get(p, names[i]);
		value = value != NULL ? value : "";
		ok = EVP_DigestUpdate(ctx, value, strlen(value) + 1) == 1;
	}
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

enum err params_put(struct params_table *t, struct params **p, const char *name, const char *value,
                    bool reported)
{
	const struct param *old = params_find(*p, name);
	struct param *rows;
	size_t count = (*p)->count, i;
	enum err rc;

	if (old != NULL && strcmp(old->value, value) == 0 && (old->reported || !reported))
		return ERR_OK;
	if ((rows = malloc((count + 1) * sizeof(rows[0]))) == NULL)
		return ERR_NO_MEMORY;
	memcpy(rows, (*p)->rows, count * sizeof(rows[0]));
	i = old != NULL ? (size_t)(old - (*p)->rows) : count++;
	/* The server's spelling of the name wins over a client's. */
	rows[i].name = old != NULL && !reported ? old->name : name;
	rows[i].value = value;
	rows[i].reported = reported || (old != NULL && old->reported);
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

/* Rows of `from` that are reported, or not, behind the first `count` of rows. */
static size_t pick(const struct params *from, bool reported, struct param *rows, size_t count)
{
	size_t i;

	for (i = 0; i < from->count; i++)
		if (from->rows[i].reported == reported)
			rows[count++] = from->rows[i];
	return count;
}

enum err params_settle(struct params_table *t, struct params **have, const struct params *want)
{
	struct param *rows = malloc(((*have)->count + want->count + 1) * sizeof(rows[0]));
	const struct param *known;
	size_t count, i;
	enum err rc;

	if (rows == NULL)
		return ERR_NO_MEMORY;
	count = pick(*have, true, rows, 0);
	for (i = 0; i < want->count; i++) {
		known = params_find(*have, want->rows[i].name);
		if (!want->rows[i].reported && (known == NULL || !known->reported))
			rows[count++] = want->rows[i];
	}
	rc = replace(t, have, rows, count);
	free(rows);
	return rc;
}

enum err params_doubt(struct params_table *t, struct params **have)
{
	struct param *rows = malloc(((*have)->count + 1) * sizeof(rows[0]));
	size_t i;
	enum err rc;

	if (rows == NULL)
		return ERR_NO_MEMORY;
	memcpy(rows, (*have)->rows, (*have)->count * sizeof(rows[0]));
	for (i = 0; i < (*have)->count; i++)
		if (!rows[i].reported)
			rows[i].value = "\001"; /* what nobody asks for */
	rc = replace(t, have, rows, (*have)->count);
	free(rows);
	return rc;
}

enum err params_forget(struct params_table *t, struct params **have)
{
	struct param *rows = malloc(((*have)->count + 1) * sizeof(rows[0]));
	enum err rc;

	if (rows == NULL)
		return ERR_NO_MEMORY;
	rc = replace(t, have, rows, pick(*have, true, rows, 0));
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

enum err params_literal(struct buf *sql, const char *s)
{
	enum err rc = put_text(sql, "E'");

	for (; rc == ERR_OK && *s != '\0'; s++) {
		if (*s == '\'' || *s == '\\')
			rc = buf_append(sql, s, 1);
		if (rc == ERR_OK)
			rc = buf_append(sql, s, 1);
	}
	return rc == ERR_OK ? put_text(sql, "'") : rc;
}

/* A quoted name; a dot separates the parts of a customized option's. */
static enum err put_name(struct buf *sql, const char *s)
{
	enum err rc = put_text(sql, "\"");

	for (; rc == ERR_OK && *s != '\0'; s++) {
		if (*s == '.')
			rc = put_text(sql, "\".\"");
		else if (*s == '"')
			rc = put_text(sql, "\"\"");
		else
			rc = buf_append(sql, s, 1);
	}
	return rc == ERR_OK ? put_text(sql, "\"") : rc;
}

static enum err put_set(struct buf *sql, const struct param *p, const char *before)
{
	enum err rc = put_text(sql, before);

	if (rc == ERR_OK)
		rc = put_text(sql, "pg_catalog.set_config(");

	if (rc == ERR_OK)
		rc = params_literal(sql, p->name);
	if (rc == ERR_OK)
		rc = put_text(sql, ",");
	if (rc == ERR_OK)
		rc = params_literal(sql, p->value);
	return rc == ERR_OK ? put_text(sql, ",false)") : rc;
}

static enum err put_reset(struct buf *sql, const struct param *p, bool first)
{
	enum err rc = put_text(sql, first ? "RESET " : ";RESET ");

	return rc == ERR_OK ? put_name(sql, p->name) : rc;
}

static bool is_role(const struct param *p)
{
	return strcasecmp(p->name, "role") == 0;
}

static bool differs(const struct param *p, const struct params *have)
{
	const struct param *other = params_find(have, p->name);

	return (other == NULL || strcmp(other->value, p->value) != 0) && !params_read_only(p->name);
}

static bool only_have(const struct param *p, const struct params *want)
{
	return !p->reported && params_find(want, p->name) == NULL;
}

/* Does the role that is in force have to make way? Another may not be allowed to set what differs. */
static bool role_in_way(const struct params *want, const struct params *have)
{
	size_t i;

	if (params_find(have, "role") == NULL)
		return false;
	for (i = 0; i < want->count; i++)
		if (differs(&want->rows[i], have))
			return true;
	for (i = 0; i < have->count; i++)
		if (only_have(&have->rows[i], want))
			return true;
	return false;
}

static enum err put_resets(struct buf *sql, const struct params *want, const struct params *have)
{
	const struct param *p = params_find(have, "role");
	size_t i, start = sql->len;
	enum err rc = ERR_OK;

	if (role_in_way(want, have))
		rc = put_reset(sql, p, true);
	for (i = 0; rc == ERR_OK && i < have->count; i++) {
		p = &have->rows[i];
		if (only_have(p, want) && !is_role(p))
			rc = put_reset(sql, p, sql->len == start);
	}
	return rc;
}

static enum err put_sets(struct buf *sql, size_t start, const struct params *want,
                         const struct params *have)
{
	const char *before = sql->len > start ? ";SELECT " : "SELECT ";
	const struct param *p, *role = NULL;
	enum err rc = ERR_OK;
	size_t i;

	for (i = 0; rc == ERR_OK && i < want->count; i++) {
		p = &want->rows[i];
		if (is_role(p) && (differs(p, have) || role_in_way(want, have)))
			role = p;
		if (is_role(p) || !differs(p, have))
			continue;
		rc = put_set(sql, p, before);
		before = ",";
	}
	return rc == ERR_OK && role != NULL ? put_set(sql, role, before) : rc;
}

/* What needs the rights of the session's own role comes while that is in force. */
enum err params_difference(const struct params *want, const struct params *have, struct buf *sql)
{
	size_t start = sql->len;
	enum err rc = put_resets(sql, want, have);

	return rc == ERR_OK ? put_sets(sql, start, want, have) : rc;
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

enum err params_flat_add(struct buf *flat, const char *name, const char *value, bool reported)
{
	struct param p = { .name = name, .value = value, .reported = reported };
	enum err rc = buf_reserve(flat, flat_size(&p));

	if (rc == ERR_OK)
		flat->len = (size_t)(flat_put(flat->at + flat->len, &p) - flat->at);
	return rc;
}
