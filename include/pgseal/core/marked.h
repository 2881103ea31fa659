/* Databases that the console has marked by name: as paused, as disabled, whether they have pools yet or
 * not. One worker's. */
#ifndef PGSEAL_CORE_MARKED_H
#define PGSEAL_CORE_MARKED_H

#include <stdbool.h>
#include <sys/queue.h>

#include "pgseal/base/err.h"

struct marked {
	LIST_ENTRY(marked) link;
	char name[];
};
LIST_HEAD(marked_list, marked); /* all zero is empty */

bool marked_has(const struct marked_list *list, const char *database);
/* Nothing happens when it is there already. ERR_NO_MEMORY. */
enum err marked_add(struct marked_list *list, const char *database) MUST_CHECK;
/* NULL: all. How many there were. */
size_t marked_remove(struct marked_list *list, const char *database);

#endif
