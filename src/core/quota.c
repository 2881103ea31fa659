#include "pgseal/core/quota.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/hash.h"

struct quotas {
	pthread_mutex_t lock; /* the table and references that come from nothing */
	struct quota *table;
	size_t workers;
	atomic_int crying; /* marks that are set */
};

struct quota {
	UT_hash_handle hh; /* under all->lock; by key */
	struct quotas *all;
	char *key;         /* the kind as a letter, then the name */
	enum quota_kind kind;
	atomic_uint refs;
	_Atomic int64_t used;
	struct quota_mark {
		_Atomic usec_t since;
		atomic_bool heard;
	} marks[];
};

enum err quotas_create(size_t workers, struct quotas **out)
{
	struct quotas *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return ERR_NO_MEMORY;
	all->workers = workers;
	pthread_mutex_init(&all->lock, NULL);
	*out = all;
	return ERR_OK;
}

void quotas_free(struct quotas *all)
{
	if (all == NULL)
		return;
	pthread_mutex_destroy(&all->lock);
	free(all);
}

static struct quota *make(struct quotas *all, enum quota_kind kind, const char *key, size_t len)
{
	struct quota *q = calloc(1, sizeof(*q) + all->workers * sizeof(q->marks[0]));

	if (q == NULL || (q->key = malloc(len + 1)) == NULL) {
		free(q);
		return NULL;
	}
	memcpy(q->key, key, len + 1);
	q->kind = kind;
	q->all = all;
	HASH_ADD_KEYPTR(hh, all->table, q->key, len, q);
	if (HASH_HAS(q))
		return q;
	free(q->key);
	free(q);
	return NULL;
}

struct quota *quota_get(struct quotas *all, enum quota_kind kind, const char *name)
{
	struct quota *q = NULL;
	size_t len = strlen(name) + 1;
	char *key = malloc(len + 1);

	if (key == NULL)
		return NULL;
	key[0] = (char)('A' + (int)kind);
	memcpy(key + 1, name, len);
	pthread_mutex_lock(&all->lock);
	HASH_FIND(hh, all->table, key, len, q);
	if (q == NULL)
		q = make(all, kind, key, len);
	if (q != NULL)
		atomic_fetch_add(&q->refs, 1);
	pthread_mutex_unlock(&all->lock);
	free(key);
	return q;
}

struct quota *quota_hold(struct quota *q)
{
	atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
	return q;
}

void quota_release(struct quota *q)
{
	struct quotas *all;
	size_t i;

	if (q == NULL)
		return;
	all = q->all;
	/* Under the lock, so that quota_get cannot revive it between zero and the table. */
	pthread_mutex_lock(&all->lock);
	if (atomic_fetch_sub(&q->refs, 1) == 1) {
		HASH_DELETE(hh, all->table, q);
		for (i = 0; i < all->workers; i++)
			quota_cry(q, i, 0);
		free(q->key);
		free(q);
	}
	pthread_mutex_unlock(&all->lock);
}

bool quota_take(struct quota *q, int64_t limit)
{
	int64_t n = atomic_load(&q->used);

	while (limit == 0 || n < limit)
		if (atomic_compare_exchange_weak(&q->used, &n, n + 1))
			return true;
	return false;
}

void quota_give(struct quota *q)
{
	atomic_fetch_sub(&q->used, 1);
}

int64_t quota_used(const struct quota *q)
{
	return atomic_load(&q->used);
}

enum quota_kind quota_kind_of(const struct quota *q)
{
	return q->kind;
}

void quota_cry(struct quota *q, size_t worker, usec_t since)
{
	usec_t before;

	/* Counted before it shows, so that nobody who sees the mark finds silence. */
	if (since != 0)
		atomic_fetch_add(&q->all->crying, 1);
	before = atomic_exchange(&q->marks[worker].since, since);
	if (before != 0)
		atomic_fetch_sub(&q->all->crying, 1);
	atomic_store(&q->marks[worker].heard, false);
}

bool quota_cries(const struct quota *q, size_t worker)
{
	return atomic_load(&q->marks[worker].since) != 0;
}

bool quota_unheard(const struct quota *q, size_t worker)
{
	return quota_cries(q, worker) && !atomic_load(&q->marks[worker].heard);
}

bool quotas_silent(const struct quotas *all)
{
	return atomic_load(&all->crying) == 0;
}

int quota_oldest(const struct quota *q, usec_t before)
{
	usec_t since;
	size_t i;
	int found = -1;

	for (i = 0; i < q->all->workers; i++)
		if ((since = atomic_load(&q->marks[i].since)) != 0 && since < before) {
			before = since;
			found = (int)i;
		}
	return found;
}

bool quota_hear(struct quota *q, size_t worker)
{
	return quota_cries(q, worker) && !atomic_exchange(&q->marks[worker].heard, true);
}
