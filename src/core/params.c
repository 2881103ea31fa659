#include "params_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
	if (params_classify(p)) {
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
