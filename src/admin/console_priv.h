/* A console session: what it has asked and not been answered yet. */
#ifndef PGSEAL_ADMIN_CONSOLE_PRIV_H
#define PGSEAL_ADMIN_CONSOLE_PRIV_H

#include <sys/queue.h>

#include "pgseal/wire/reader.h"
#include "reply_priv.h"
#include "request_priv.h"

#define CONSOLE_QUEUE_MAX (1024 * 1024)      /* bytes asked and not begun with */
#define CONSOLE_HELD_MAX (64 * 1024 * 1024)  /* bytes answered and not taken */
#define CONSOLE_NAMES_MAX 1000               /* prepared statements of one session; portals too */

/* A prepared statement or a portal: what a name of the extended protocol stands for. */
struct named {
	LIST_ENTRY(named) link;
	char kind;                    /* 'S' statement, 'P' portal, as in Describe and Close */
	char *name;                   /* "" is the unnamed one */
	char *sql;                    /* one statement, or none */
	const struct column *columns; /* NULL: it returns no rows */
	size_t column_count;
	/* a portal's */
	struct formats formats;
	struct result result;
	bool begun;                   /* result is there */
	size_t at;                    /* in result.rows: what was not delivered yet */
};

struct console {
	struct answer out;      /* of this turn */
	struct buf queue;       /* whole messages that wait */
	struct buf script;      /* text of the simple query under way, with its NUL; empty: none */
	const char *script_at;
	bool script_answered;   /* it held a statement */
	struct request *current; /* under way; NULL: none */
	bool running;           /* console_run is on the stack */
	bool closed;            /* the session ended meanwhile */
	bool skipping;          /* up to the next Sync, after an error in the extended protocol */
	struct named *executing; /* the portal whose result is awaited */
	size_t execute_max;     /* rows; 0: all */
	LIST_HEAD(, named) names;
	size_t name_count;
};

/* Nothing but blanks and comments in it? */
bool console_is_empty(const char *sql);
/* Begin with the next statement; console_done follows, perhaps before this returns. False: the
 * error has been written. */
bool console_begin(struct session *s, const char **sql);

/* --- extended.c --- */

/* Parse, Bind, Describe, Execute, Close, Flush, Sync. */
void extended_message(struct session *s, char type, struct bytes body);
/* The portal that is being executed has its result; takes its contents. */
void extended_result(struct console *c, struct result *r);
/* Forget the unnamed statement; a simple query does. */
void extended_drop_unnamed(struct console *c);
void extended_free(struct console *c);

#endif
