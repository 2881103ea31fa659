/* What a client can do, one row each. */
#ifndef PGSEAL_TESTS_BENCH_LOADS_H
#define PGSEAL_TESTS_BENCH_LOADS_H

#include "conn.h"

enum habit {
	HABIT_REPEAT,    /* ask again as soon as the answer is there */
	HABIT_RECONNECT, /* one request per connection */
	HABIT_HOLD,      /* log in and stay idle */
};

struct load {
	const char *name;
	void (*compose)(struct buf *to);
	unsigned answers;      /* ReadyForQuery for one request */
	unsigned transactions; /* that one request counts for */
	enum habit habit;
	void (*compose_opening)(struct buf *to); /* once for each connection, behind its login; one answer */
	void (*compose_long)(struct buf *to); /* every second client does this instead, uncounted */
	void (*compose_chunk)(struct buf *to); /* COPY data to send when asked for */
	unsigned chunks;
};

/* NULL: there is none of that name. */
const struct load *load_find(const char *name);
/* Their names, separated by blanks. */
const char *load_names(void);

void compose_query(struct buf *to, const char *sql);

#endif
