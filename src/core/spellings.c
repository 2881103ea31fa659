#include "pgseal/core/spellings.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/hash.h"

struct entry {
	UT_hash_handle hh; /* by key */
	enum spelling how;
	usec_t at;
	struct bytes text; /* behind the key */
	size_t key_len;
	char key[]; /* name, NUL, value */
};

struct spellings {
	pthread_mutex_t lock;
	struct entry *table; /* these under lock */
	unsigned age;
};

struct spellings *spellings_create(void)
{
	struct spellings *s = calloc(1, sizeof(*s));

	if (s != NULL)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

void spellings_free(struct spellings *s)
{
	if (s == NULL)
		return;
	spellings_forget(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Its length; 0: it is too long. */
static size_t make_key(char key[SPELLING_MAX + 1], const char *name, const char *value)
{
	size_t n = strlen(name) + 1, v = strlen(value);

	if (n + v > SPELLING_MAX + 1)
		return 0;
	memcpy(key, name, n);
	memcpy(key + n, value, v);
	return n + v;
}

enum spelling spellings_find(struct spellings *s, const char *name, const char *value, usec_t since,
                             struct buf *out)
{
	enum spelling how = SPELLING_UNKNOWN;
	char key[SPELLING_MAX + 1];
	size_t len = make_key(key, name, value);
	struct entry *e = NULL;

	if (len == 0)
		return SPELLING_UNSEEN;
	pthread_mutex_lock(&s->lock);
	HASH_FIND(hh, s->table, key, len, e);
	if (e != NULL && (e->how == SPELLING_SHOWN || e->at >= since) &&
	    (out == NULL || buf_append(out, e->text.at, e->text.len) == ERR_OK))
		how = e->how;
	pthread_mutex_unlock(&s->lock);
	return how;
}

static void forget(struct spellings *s)
{
	struct entry *e, *next;

	for (e = s->table; e != NULL; e = next) {
		next = e->hh.next;
		HASH_DELETE(hh, s->table, e);
		free(e);
	}
}

static void put(struct spellings *s, struct entry *e)
{
	struct entry *before = NULL;

	HASH_FIND(hh, s->table, e->key, e->key_len, before);
	if (before != NULL) {
		HASH_DELETE(hh, s->table, before);
		free(before);
	}
	if (HASH_COUNT(s->table) >= SPELLINGS_MAX) {
		before = s->table; /* the oldest */
		HASH_DELETE(hh, s->table, before);
		free(before);
	}
	HASH_ADD_KEYPTR(hh, s->table, e->key, e->key_len, e);
	if (!HASH_HAS(e))
		free(e);
}

unsigned spellings_age(struct spellings *s)
{
	unsigned age;

	pthread_mutex_lock(&s->lock);
	age = s->age;
	pthread_mutex_unlock(&s->lock);
	return age;
}

void spellings_add(struct spellings *s, unsigned age, const char *name, const char *value,
                   enum spelling how, struct bytes text, usec_t at)
{
	char key[SPELLING_MAX + 1];
	size_t len = make_key(key, name, value);
	struct entry *e = len > 0 ? calloc(1, sizeof(*e) + len + text.len) : NULL;

	if (e == NULL)
		return;
	e->how = how;
	e->at = at;
	e->key_len = len;
	memcpy(e->key, key, len);
	if (text.len > 0)
		memcpy(e->key + len, text.at, text.len);
	e->text = (struct bytes){ (const uint8_t *)e->key + len, text.len };
	pthread_mutex_lock(&s->lock);
	if (age == s->age)
		put(s, e);
	else
		free(e);
	pthread_mutex_unlock(&s->lock);
}

void spellings_forget(struct spellings *s)
{
	pthread_mutex_lock(&s->lock);
	s->age++;
	forget(s);
	pthread_mutex_unlock(&s->lock);
}
