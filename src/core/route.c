#include "pgseal/core/route.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/hash.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/spellings.h"

struct routes {
	pthread_mutex_t lock; /* the table and references that come from nothing */
	struct route *table;
	size_t workers;
};

struct route {
	UT_hash_handle hh; /* under routes->lock; by key; not of a private one */
	struct routes *all;
	char *key; /* database, NUL, role */
	const char *role;
	size_t key_len;
	struct replication *replication; /* owned; set: a private route */
	atomic_uint refs;
	atomic_int servers; /* permits taken */
	atomic_int sessions;
	atomic_int pinned;
	atomic_bool asks_sequences;
	_Atomic usec_t renewed;
	_Atomic usec_t spoken;
	_Atomic usec_t asked; /* the question that is open; 0: none */
	atomic_uint lessons;
	pthread_mutex_t lock;
	struct buf learnt; /* under lock */
	struct spellings *spellings; /* owned */
	struct route_mark marks[];
};

enum err routes_create(size_t workers, struct routes **out)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return ERR_NO_MEMORY;
	r->workers = workers;
	pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return ERR_OK;
}

void routes_free(struct routes *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void route_free(struct route *route)
{
	pthread_mutex_destroy(&route->lock);
	buf_free(&route->learnt);
	spellings_free(route->spellings);
	replication_free(route->replication);
	free(route->key);
	free(route);
}

static struct route *route_make(struct routes *r, const char *key, size_t key_len)
{
	size_t size = sizeof(struct route) + r->workers * sizeof(struct route_mark);
	struct route *route;

	size = (size + 63) & ~(size_t)63;
	if ((route = aligned_alloc(64, size)) == NULL)
		return NULL;
	memset(route, 0, size);
	if ((route->key = malloc(key_len)) == NULL ||
	    (route->spellings = spellings_create()) == NULL) {
		free(route->key);
		free(route);
		return NULL;
	}
	memcpy(route->key, key, key_len);
	route->key_len = key_len;
	route->role = route->key + strlen(route->key) + 1;
	route->all = r;
	pthread_mutex_init(&route->lock, NULL);
	return route;
}

#define KEY_MAX (2 * 64 + 8) /* both are PostgreSQL identifiers: at most 63 bytes */

/* Its length, the last NUL included; 0: too long. */
static size_t key_write(char key[KEY_MAX], const char *database, const char *role)
{
	int len = snprintf(key, KEY_MAX, "%s%c%s", database, '\0', role);

	return len < 0 || len >= KEY_MAX ? 0 : (size_t)len + 1;
}

struct route *route_private(struct routes *r, const char *database, const char *role,
                            struct replication *replication)
{
	char key[KEY_MAX];
	size_t len = key_write(key, database, role);
	struct route *route = len > 0 ? route_make(r, key, len) : NULL;

	if (route == NULL)
		return NULL;
	route->replication = replication;
	atomic_init(&route->refs, 1);
	return route;
}

struct route *route_get(struct routes *r, const char *database, const char *role)
{
	char key[KEY_MAX];
	size_t len = key_write(key, database, role);
	struct route *route = NULL;

	if (len == 0)
		return NULL;
	pthread_mutex_lock(&r->lock);
	HASH_FIND(hh, r->table, key, len, route);
	if (route == NULL && (route = route_make(r, key, len)) != NULL) {
		HASH_ADD_KEYPTR(hh, r->table, route->key, route->key_len, route);
		if (!HASH_HAS(route)) {
			route_free(route);
			route = NULL;
		}
	}
	if (route != NULL)
		atomic_fetch_add(&route->refs, 1);
	pthread_mutex_unlock(&r->lock);
	return route;
}

struct route *route_hold(struct route *route)
{
	atomic_fetch_add_explicit(&route->refs, 1, memory_order_relaxed);
	return route;
}

void route_release(struct route *route)
{
	struct routes *r;

	if (route == NULL)
		return;
	r = route->all;
	/* Under the lock, so that route_get cannot revive it between zero and the table. */
	pthread_mutex_lock(&r->lock);
	if (atomic_fetch_sub(&route->refs, 1) == 1) {
		if (route->replication == NULL)
			HASH_DELETE(hh, r->table, route);
		route_free(route);
	}
	pthread_mutex_unlock(&r->lock);
}

const char *route_database(const struct route *route)
{
	return route->key;
}

const char *route_role(const struct route *route)
{
	return route->role;
}

const struct replication *route_replication(const struct route *route)
{
	return route->replication;
}

bool route_permit_take(struct route *route, int limit)
{
	int n = atomic_load(&route->servers);

	while (n < limit)
		if (atomic_compare_exchange_weak(&route->servers, &n, n + 1))
			return true;
	return false;
}

void route_permit_give(struct route *route)
{
	atomic_fetch_sub(&route->servers, 1);
}

int route_servers(const struct route *route)
{
	return atomic_load(&route->servers);
}

int route_sessions(const struct route *route)
{
	return atomic_load(&route->sessions);
}

void route_count_session(struct route *route, int change)
{
	atomic_fetch_add(&route->sessions, change);
}

int route_count_pinned(struct route *route, int change)
{
	return atomic_fetch_add(&route->pinned, change) + change;
}

bool route_asks_sequences(const struct route *route)
{
	return atomic_load_explicit(&route->asks_sequences, memory_order_relaxed);
}

void route_note_sequences(struct route *route)
{
	atomic_store_explicit(&route->asks_sequences, true, memory_order_relaxed);
}

void route_renew(struct route *route, usec_t at)
{
	atomic_store(&route->renewed, at);
}

usec_t route_renewed(const struct route *route)
{
	return atomic_load(&route->renewed);
}

struct route_mark *route_mark(struct route *route, size_t worker)
{
	return &route->marks[worker];
}

size_t route_workers(const struct route *route)
{
	return route->all->workers;
}

int route_oldest_other(struct route *route, size_t me, usec_t *since)
{
	usec_t oldest;
	size_t i;
	int found = -1;

	for (i = 0; i < route->all->workers; i++) {
		if (i == me || (oldest = atomic_load(&route->marks[i].oldest_wait)) == 0)
			continue;
		if (found < 0 || oldest < *since) {
			*since = oldest;
			found = (int)i;
		}
	}
	return found;
}

int route_spare_other(struct route *route, size_t me)
{
	size_t i;

	for (i = 0; i < route->all->workers; i++)
		if (i != me && atomic_load(&route->marks[i].idle) > 0)
			return (int)i;
	return -1;
}

/* One that has not been answered by then never will be. */
#define QUESTION_US (200 * USEC_PER_MS)

bool route_note_spoken(struct route *route, usec_t at)
{
	if (atomic_load_explicit(&route->spoken, memory_order_relaxed) != at)
		atomic_store(&route->spoken, at);
	return atomic_load_explicit(&route->asked, memory_order_relaxed) != 0 &&
	       atomic_exchange(&route->asked, 0) != 0;
}

usec_t route_spoken(const struct route *route)
{
	return atomic_load(&route->spoken);
}

void route_forget_spoken(struct route *route)
{
	atomic_store(&route->spoken, 0);
}

bool route_is_asked(const struct route *route, usec_t now)
{
	usec_t asked = atomic_load(&route->asked);

	return asked != 0 && now - asked <= QUESTION_US;
}

bool route_claim_question(struct route *route, usec_t now)
{
	usec_t asked = atomic_load(&route->asked);

	return (asked == 0 || now - asked > QUESTION_US) &&
	       atomic_compare_exchange_strong(&route->asked, &asked, now);
}

void route_drop_question(struct route *route)
{
	atomic_store(&route->asked, 0);
}

struct spellings *route_spellings(const struct route *route)
{
	return route->spellings;
}

unsigned route_lessons(const struct route *route)
{
	return atomic_load(&route->lessons);
}

unsigned route_learn(struct route *route, struct bytes flat)
{
	unsigned lesson;

	pthread_mutex_lock(&route->lock);
	lesson = atomic_fetch_add(&route->lessons, 1) + 1;
	route->learnt.len = 0;
	/* Without memory the next server to log in teaches it again. */
	if (buf_append(&route->learnt, flat.at, flat.len) != ERR_OK)
		buf_free(&route->learnt);
	pthread_mutex_unlock(&route->lock);
	/* DateStyle, for one, is completed by the server's own. */
	spellings_forget(route->spellings);
	return lesson;
}

enum err route_learnt(struct route *route, struct buf *out)
{
	enum err rc = ERR_NOT_FOUND;

	pthread_mutex_lock(&route->lock);
	if (route->learnt.len > 0)
		rc = buf_append(out, route->learnt.at, route->learnt.len);
	pthread_mutex_unlock(&route->lock);
	return rc;
}
