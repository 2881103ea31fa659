#include "pgseal/core/prepared.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "pgseal/wire/sql.h"

struct pstatement_table {
	struct pstatement *all;
	const uint8_t *salt;
	struct params_table *params;
};

struct pstatement_table *pstatement_table_create(const uint8_t *salt, struct params_table *params)
{
	struct pstatement_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->salt = salt;
	t->params = params;
	return t;
}

void pstatement_table_free(struct pstatement_table *t)
{
	if (t == NULL)
		return;
	assert(t->all == NULL);
	free(t);
}

/* ---- statements ---- */

struct bytes pstatement_text(const struct pstatement *st)
{
	const uint8_t *nul = memchr(st->body, '\0', st->len);

	return (struct bytes){ st->body, nul != NULL ? (size_t)(nul - st->body) : st->len };
}

/* What it is known by: dialect and body, which lie one behind the other. */
static struct bytes key_of(const struct pstatement *st)
{
	return (struct bytes){ (const uint8_t *)st + offsetof(struct pstatement, dialect),
		               offsetof(struct pstatement, body) -
		                       offsetof(struct pstatement, dialect) + st->len };
}

/* Whoever may prepare it, nobody knows how the server will read it. */
static const struct sql_reading any_reading = { SQL_BACKSLASHES_UNKNOWN, SQL_ENCODING_UNKNOWN };

struct pstatement *pstatement_intern(struct pstatement_table *t, struct bytes body, uint64_t dialect,
                                     struct params *under)
{
	struct pstatement *st = malloc(sizeof(*st) + body.len), *found = NULL;
	struct bytes key;

	if (st == NULL)
		return NULL;
	st->refs = 1;
	st->name[0] = '\0';
	st->len = body.len;
	st->dialect = dialect;
	memcpy(st->body, body.at, body.len);
	key = key_of(st);
	HASH_FIND(hh, t->all, key.at, key.len, found);
	if (found != NULL) {
		free(st);
		return pstatement_hold(found);
	}
	st->traits = sql_traits(pstatement_text(st), any_reading);
	if (st->traits != 0 && !sql_certain(pstatement_text(st), any_reading))
		st->traits |= SQL_UNKNOWN;
	st->command = sql_is_command(pstatement_text(st));
	st->under = NULL;
	st->one_clients = false;
	HASH_ADD_KEYPTR(hh, t->all, key.at, key.len, st);
	if (HASH_HAS(st)) {
		st->under = under != NULL ? params_hold(under) : NULL;
		return st;
	}
	free(st);
	return NULL;
}

struct pstatement *pstatement_hold(struct pstatement *st)
{
	st->refs++;
	return st;
}

void pstatement_release(struct pstatement_table *t, struct pstatement *st)
{
	if (st == NULL || --st->refs > 0)
		return;
	HASH_DELETE(hh, t->all, st);
	params_release(t->params, st->under);
	free(st);
}

/* Salted, so that nobody can look for two texts with one name. */
static bool digest(const struct pstatement_table *t, const struct pstatement *st, uint8_t *out)
{
	struct bytes key = key_of(st);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	     EVP_DigestUpdate(ctx, t->salt, PSTATEMENT_SALT) == 1 &&
	     EVP_DigestUpdate(ctx, key.at, key.len) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

struct bytes pstatement_name(struct pstatement_table *t, struct pstatement *st)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t sum[EVP_MAX_MD_SIZE];
	char *to = st->name;
	size_t i;

	if (*to == '\0' && digest(t, st, sum)) {
		memcpy(to, PSTATEMENT_PREFIX, sizeof(PSTATEMENT_PREFIX) - 1);
		to += sizeof(PSTATEMENT_PREFIX) - 1;
		for (i = 0; i < PSTATEMENT_DIGEST; i++) {
			*to++ = hex[sum[i] >> 4];
			*to++ = hex[sum[i] & 15];
		}
		*to = '\0';
	}
	return bytes_of(st->name);
}

/* ---- what a client calls them ---- */

static size_t cut(size_t len)
{
	return len < PSTATEMENT_ALIAS_MAX ? len : PSTATEMENT_ALIAS_MAX;
}

struct alias *alias_create(struct bytes name, struct pstatement *st)
{
	struct alias *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->len = cut(name.len);
	memcpy(a->name, name.at, a->len);
	a->st = st != NULL ? pstatement_hold(st) : NULL;
	return a;
}

struct alias *alias_create_own(struct bytes name, struct pstatement *run)
{
	struct alias *a = alias_create(name, NULL);

	if (a == NULL)
		return NULL;
	a->run = run != NULL ? pstatement_hold(run) : NULL;
	a->fresh = true;
	return a;
}

void alias_free(struct pstatement_table *t, struct alias *a)
{
	if (a == NULL)
		return;
	pstatement_release(t, a->st);
	pstatement_release(t, a->run);
	pstatement_release(t, a->now);
	free(a);
}

bool alias_is(const struct alias *a, struct bytes name)
{
	return a->len == cut(name.len) && memcmp(a->name, name.at, a->len) == 0;
}

struct alias *prepared_find(const struct prepared *n, struct bytes name)
{
	struct alias *a = NULL;

	HASH_FIND(hh, n->all, name.at, cut(name.len), a);
	return a;
}

size_t prepared_cost(size_t body_len)
{
	return sizeof(struct alias) + sizeof(struct pstatement) + body_len;
}

static size_t cost(const struct alias *a)
{
	const struct pstatement *st = a->st != NULL ? a->st : a->run;

	return st != NULL ? prepared_cost(st->len) : sizeof(*a);
}

static void take_out(struct prepared *n, struct pstatement_table *t, struct alias *a)
{
	n->bytes -= cost(a);
	HASH_DELETE(hh, n->all, a);
	if (a->behind.tbl != NULL)
		HASH_DELETE(behind, n->shared, a);
	alias_free(t, a);
}

/* Known by its statement too. */
static bool put_behind(struct prepared *n, struct alias *a)
{
	if (a->st == NULL)
		return true;
	n->twins = n->twins || prepared_behind(n, bytes_of(a->st->name)) != NULL;
	HASH_ADD_KEYPTR(behind, n->shared, a->st->name, PSTATEMENT_NAME, a);
	return a->behind.tbl != NULL;
}

enum err prepared_put(struct prepared *n, struct pstatement_table *t, struct alias *a)
{
	prepared_drop(n, t, (struct bytes){ (const uint8_t *)a->name, a->len });
	HASH_ADD_KEYPTR(hh, n->all, a->name, a->len, a);
	if (!HASH_HAS(a)) {
		alias_free(t, a);
		return ERR_NO_MEMORY;
	}
	n->bytes += cost(a);
	n->fresh = n->fresh || a->fresh;
	if (put_behind(n, a))
		return ERR_OK;
	take_out(n, t, a);
	return ERR_NO_MEMORY;
}

void prepared_drop(struct prepared *n, struct pstatement_table *t, struct bytes name)
{
	struct alias *a = prepared_find(n, name);

	if (a != NULL)
		take_out(n, t, a);
}

static void drop_those(struct prepared *n, struct pstatement_table *t, bool shared_too)
{
	struct alias *a, *next;

	HASH_ITER(hh, n->all, a, next)
		if (shared_too || a->st == NULL)
			take_out(n, t, a);
}

void prepared_settle_own(struct prepared *n, struct pstatement_table *t, bool failed)
{
	struct alias *a, *next;

	if (!n->fresh)
		return;
	n->fresh = false;
	HASH_ITER(hh, n->all, a, next) {
		if (!a->fresh)
			continue;
		a->fresh = false;
		if (!failed)
			continue;
		n->bytes -= cost(a);
		pstatement_release(t, a->run);
		a->run = NULL;
		n->bytes += cost(a);
	}
}

void prepared_settle_rules(struct prepared *n, struct params *asked)
{
	struct alias *a, *next;

	if (!n->unsettled)
		return;
	n->unsettled = false;
	HASH_ITER(hh, n->all, a, next)
		if (a->st != NULL && a->st->one_clients && a->st->under == NULL)
			a->st->under = params_hold(asked);
}

void prepared_drop_own(struct prepared *n, struct pstatement_table *t)
{
	drop_those(n, t, false);
}

void prepared_drop_all(struct prepared *n, struct pstatement_table *t)
{
	drop_those(n, t, true);
}

void prepared_free(struct prepared *n, struct pstatement_table *t)
{
	if (n == NULL)
		return;
	prepared_drop_all(n, t);
	pstatement_release(t, n->unnamed);
	free(n);
}

void prepared_set_unnamed(struct prepared *n, struct pstatement_table *t, struct pstatement *st,
                          uint64_t ticket)
{
	pstatement_release(t, n->unnamed);
	n->unnamed = st;
	n->unnamed_shape = 0;
	n->unnamed_ticket = ticket;
}

struct alias *prepared_behind(const struct prepared *n, struct bytes server_name)
{
	struct alias *a = NULL;

	if (server_name.len == PSTATEMENT_NAME)
		HASH_FIND(behind, n->shared, server_name.at, PSTATEMENT_NAME, a);
	return a;
}

size_t prepared_count(const struct prepared *n)
{
	return HASH_COUNT(n->all);
}
