/* What a server has prepared of clients' statements: the most recently used, up to
 * max_prepared_statements. Plain data without references, so that it may travel with its server. */
#ifndef PGSEAL_CORE_COPIES_H
#define PGSEAL_CORE_COPIES_H

#include <sys/queue.h>

#include "pgseal/core/prepared.h"

struct copy {
	UT_hash_handle hh;      /* by name */
	TAILQ_ENTRY(copy) link; /* most recently used first */
	uint64_t shape;         /* when it was prepared; 0: not known */
	bool leaving;           /* a Close of ours is on its way to it */
	bool lost;              /* the server says that it does not have it */
	char name[PSTATEMENT_NAME];
};

struct copies {
	struct copy *all; /* uthash */
	size_t leaving;
	TAILQ_HEAD(copy_list, copy) used;
};

void copies_init(struct copies *c);
void copies_clear(struct copies *c);
/* Those on their way out do not count. */
size_t copies_count(const struct copies *c);
/* Borrowed; NULL: the server does not have it. Counts as use. */
struct copy *copies_use(struct copies *c, struct bytes name);
/* The server has it, prepared anew. NULL: out of memory. */
struct copy *copies_put(struct copies *c, struct bytes name);
void copies_drop(struct copies *c, struct bytes name);
/* Those that are there as far as is known. */
size_t copies_sure(const struct copies *c);
void copies_set_all_lost(struct copies *c);
/* Who knows whether it is there: to be closed and prepared anew. */
void copies_set_lost(struct copies *c, struct bytes name);
/* A Close is sent for it, or was sent in vain. */
void copies_set_leaving(struct copies *c, struct bytes name, bool leaving);
/* The one that was not used for longest and is to stay so far; NULL: none. */
const struct copy *copies_oldest(const struct copies *c);

#endif
