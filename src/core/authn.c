#include "pgseal/core/authn.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/hash.h"
#include "pgseal/tls/identity.h"

struct authns {
	pthread_mutex_t lock; /* the table and references that come from nothing */
	struct authn *table;
};

struct authn {
	UT_hash_handle hh; /* under all->lock; by key */
	struct authns *all;
	atomic_uint refs;
	atomic_uint sessions;
	size_t key_len;
	char key[];
};

enum err authns_create(struct authns **out)
{
	struct authns *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return ERR_NO_MEMORY;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return ERR_OK;
}

void authns_free(struct authns *t)
{
	if (t == NULL)
		return;
	assert(t->table == NULL);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* What one identity differs in from another. None of the texts holds a NUL, so that their ends cannot be
 * taken for each other's. */
#define KEY_PARTS 4
struct key {
	const char *parts[KEY_PARTS]; /* label, kind, type of name, name */
};

static struct key key_of(const struct identity *id)
{
	if (id->share_rule)
		return (struct key){ { id->label, "rule", "", "" } };
	return (struct key){ { id->label, "name", name_type_word(id->type), id->name } };
}

/* Not in the table yet; the one reference is the caller's. */
static struct authn *make(struct authns *t, const struct identity *id)
{
	struct key key = key_of(id);
	struct authn *a;
	size_t len = 0;
	char *to;

	for (size_t i = 0; i < KEY_PARTS; i++)
		len += strlen(key.parts[i]) + 1;
	if ((a = calloc(1, sizeof(*a) + len)) == NULL)
		return NULL;
	atomic_init(&a->refs, 1);
	a->all = t;
	a->key_len = len;
	to = a->key;
	for (size_t i = 0; i < KEY_PARTS; i++)
		to = stpcpy(to, key.parts[i]) + 1;
	return a;
}

struct authn *authn_get(struct authns *t, const struct identity *id)
{
	struct authn *new = make(t, id), *a = NULL;

	if (new == NULL)
		return NULL;
	pthread_mutex_lock(&t->lock);
	HASH_FIND(hh, t->table, new->key, new->key_len, a);
	if (a != NULL) {
		atomic_fetch_add(&a->refs, 1);
	} else {
		HASH_ADD_KEYPTR(hh, t->table, new->key, new->key_len, new);
		if (HASH_HAS(new)) {
			a = new;
			new = NULL;
		}
	}
	pthread_mutex_unlock(&t->lock);
	free(new);
	return a;
}

struct authn *authn_hold(struct authn *a)
{
	if (a != NULL)
		atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

void authn_release(struct authn *a)
{
	struct authns *t;

	if (a == NULL)
		return;
	t = a->all;
	/* Under the lock, so that authn_get cannot revive it between zero and the table. */
	pthread_mutex_lock(&t->lock);
	if (atomic_fetch_sub(&a->refs, 1) == 1) {
		assert(atomic_load(&a->sessions) == 0);
		HASH_DELETE(hh, t->table, a);
		free(a);
	}
	pthread_mutex_unlock(&t->lock);
}

void authn_session_began(struct authn *a)
{
	atomic_fetch_add(&a->sessions, 1);
}

bool authn_session_ended(struct authn *a)
{
	unsigned before = atomic_fetch_sub(&a->sessions, 1);

	assert(before > 0);
	return before == 1;
}

bool authn_has_sessions(const struct authn *a)
{
	return atomic_load(&a->sessions) > 0;
}
