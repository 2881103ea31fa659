#include "pgseal/core/troubles.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct troubles {
	pthread_mutex_t lock;
	struct trouble at[TROUBLES_MAX];
	size_t count;
};

struct troubles *troubles_create(void)
{
	struct troubles *t = calloc(1, sizeof(*t));

	if (t != NULL)
		pthread_mutex_init(&t->lock, NULL);
	return t;
}

void troubles_free(struct troubles *t)
{
	if (t == NULL)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static bool same_kind(const struct trouble *a, const struct trouble *b)
{
	return a->side == b->side && strcmp(a->class, b->class) == 0 &&
	       strcmp(a->sqlstate, b->sqlstate) == 0 &&
	       (a->side == TROUBLE_CLIENT || strcmp(a->host, b->host) == 0);
}

/* The kind's place, a free one, or that of the kind that is quiet for longest. */
static struct trouble *place_for(struct troubles *t, const struct trouble *new)
{
	struct trouble *oldest = &t->at[0];

	for (size_t i = 0; i < t->count; i++) {
		if (same_kind(&t->at[i], new))
			return &t->at[i];
		if (t->at[i].last_at < oldest->last_at)
			oldest = &t->at[i];
	}
	if (t->count < TROUBLES_MAX)
		oldest = &t->at[t->count++];
	oldest->count = 0;
	return oldest;
}

static void copy(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", text != NULL ? text : "");
}

void troubles_note(struct troubles *t, enum trouble_side side, const char *class, const char *host,
                   const char *sqlstate, const char *message)
{
	struct trouble new = { .side = side, .class = class, .last_at = clock_wall_us() };
	struct trouble *place;

	copy(new.host, sizeof(new.host), host);
	copy(new.sqlstate, sizeof(new.sqlstate), sqlstate);
	new.message = quote_str(message != NULL ? message : "");
	pthread_mutex_lock(&t->lock);
	place = place_for(t, &new);
	new.count = place->count + 1;
	*place = new;
	pthread_mutex_unlock(&t->lock);
}

void troubles_settle(struct troubles *t, enum trouble_side side)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->count; i++) {
		if (t->at[i].side == side)
			t->at[i].over = true;
	}
	pthread_mutex_unlock(&t->lock);
}

static int by_age(const void *a, const void *b)
{
	const struct trouble *x = a, *y = b;

	return (x->last_at < y->last_at) - (x->last_at > y->last_at);
}

size_t troubles_list(struct troubles *t, struct trouble out[TROUBLES_MAX])
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->count;
	memcpy(out, t->at, n * sizeof(*out));
	pthread_mutex_unlock(&t->lock);
	qsort(out, n, sizeof(*out), by_age);
	return n;
}
