#include "pgseal/core/tally.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/tls/identity.h"

struct tally *tally_get(struct tally **table, const char *label)
{
	size_t n = strlen(label);
	struct tally *t;

	HASH_FIND(hh, *table, label, n, t);
	if (t != NULL || (t = calloc(1, sizeof(*t) + n + 1)) == NULL)
		return t;
	memcpy(t->label, label, n + 1);
	HASH_ADD(hh, *table, label, n, t);
	if (HASH_HAS(t))
		return t;
	free(t);
	return NULL;
}

struct tally *tally_of(struct tally **table, const struct identity *id)
{
	return tally_get(table, id->rule != SIZE_MAX ? id->label : "");
}

bool tally_merge(struct tally **to, const struct tally *from)
{
	struct tally *t;

	for (; from != NULL; from = from->hh.next) {
		if ((t = tally_get(to, from->label)) == NULL)
			return false;
		t->logins += from->logins;
		t->sessions += from->sessions;
	}
	return true;
}

void tally_free(struct tally **table)
{
	struct tally *t, *next;

	HASH_ITER(hh, *table, t, next) {
		HASH_DELETE(hh, *table, t);
		free(t);
	}
}
