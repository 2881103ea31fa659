/* Databases that a PAUSE named, whether they have pools yet or not. One worker's. */
#ifndef PGSEAL_CORE_PAUSED_H
#define PGSEAL_CORE_PAUSED_H

#include <stdbool.h>
#include <sys/queue.h>

#include "pgseal/base/err.h"

struct paused {
	LIST_ENTRY(paused) link;
	char name[];
};
LIST_HEAD(paused_list, paused); /* all zero is empty */

bool paused_has(const struct paused_list *list, const char *database);
/* Nothing happens when it is there already. ERR_NO_MEMORY. */
enum err paused_add(struct paused_list *list, const char *database) MUST_CHECK;
/* NULL: all. How many there were. */
size_t paused_remove(struct paused_list *list, const char *database);

#endif
