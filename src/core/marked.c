#include "pgseal/core/marked.h"

#include <stdlib.h>
#include <string.h>

bool marked_has(const struct marked_list *list, const char *database)
{
	const struct marked *p;

	LIST_FOREACH(p, list, link)
		if (strcmp(p->name, database) == 0)
			return true;
	return false;
}

enum err marked_add(struct marked_list *list, const char *database)
{
	size_t size = strlen(database) + 1;
	struct marked *p;

	if (marked_has(list, database))
		return ERR_OK;
	if ((p = malloc(sizeof(*p) + size)) == NULL)
		return ERR_NO_MEMORY;
	memcpy(p->name, database, size);
	LIST_INSERT_HEAD(list, p, link);
	return ERR_OK;
}

size_t marked_remove(struct marked_list *list, const char *database)
{
	struct marked *p, *next;
	size_t n = 0;

	for (p = LIST_FIRST(list); p != NULL; p = next) {
		next = LIST_NEXT(p, link);
		if (database != NULL && strcmp(p->name, database) != 0)
			continue;
		LIST_REMOVE(p, link);
		free(p);
		n++;
	}
	return n;
}
