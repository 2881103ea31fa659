#include "pgseal/core/copies.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void copies_init(struct copies *c)
{
	c->all = NULL;
	c->leaving = 0;
	TAILQ_INIT(&c->used);
}

static void take_out(struct copies *c, struct copy *k)
{
	HASH_DELETE(hh, c->all, k);
	TAILQ_REMOVE(&c->used, k, link);
	c->leaving -= k->leaving;
	free(k);
}

void copies_clear(struct copies *c)
{
	struct copy *k, *next;

	HASH_ITER(hh, c->all, k, next)
		take_out(c, k);
}

size_t copies_count(const struct copies *c)
{
	return HASH_COUNT(c->all) - c->leaving;
}

static struct copy *find(const struct copies *c, struct bytes name)
{
	struct copy *k = NULL;

	if (name.len == PSTATEMENT_NAME)
		HASH_FIND(hh, c->all, name.at, PSTATEMENT_NAME, k);
	return k;
}

struct copy *copies_use(struct copies *c, struct bytes name)
{
	struct copy *k = find(c, name);

	if (k != NULL && k != TAILQ_FIRST(&c->used)) {
		TAILQ_REMOVE(&c->used, k, link);
		TAILQ_INSERT_HEAD(&c->used, k, link);
	}
	return k;
}

struct copy *copies_put(struct copies *c, struct bytes name)
{
	struct copy *k = copies_use(c, name);

	assert(name.len == PSTATEMENT_NAME);
	if (k != NULL) {
		k->shape = 0;
		k->lost = false;
		return k;
	}
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	memcpy(k->name, name.at, sizeof(k->name));
	HASH_ADD(hh, c->all, name, sizeof(k->name), k);
	if (!HASH_HAS(k)) {
		free(k);
		return NULL;
	}
	TAILQ_INSERT_HEAD(&c->used, k, link);
	return k;
}

void copies_drop(struct copies *c, struct bytes name)
{
	struct copy *k = find(c, name);

	if (k != NULL)
		take_out(c, k);
}

void copies_set_lost(struct copies *c, struct bytes name)
{
	struct copy *k = find(c, name);

	if (k != NULL)
		k->lost = true;
}

size_t copies_sure(const struct copies *c)
{
	const struct copy *k;
	size_t n = 0;

	TAILQ_FOREACH(k, &c->used, link)
		n += !k->lost;
	return n;
}

void copies_set_all_lost(struct copies *c)
{
	struct copy *k;

	TAILQ_FOREACH(k, &c->used, link)
		k->lost = true;
}

void copies_set_leaving(struct copies *c, struct bytes name, bool leaving)
{
	struct copy *k = find(c, name);

	if (k == NULL || k->leaving == leaving)
		return;
	k->leaving = leaving;
	c->leaving += leaving ? 1 : (size_t)-1;
}

const struct copy *copies_oldest(const struct copies *c)
{
	const struct copy *k = TAILQ_LAST(&c->used, copy_list);

	while (k != NULL && k->leaving)
		k = TAILQ_PREV(k, copy_list, link);
	return k;
}
