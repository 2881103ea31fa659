/* How the servers of a route spell what clients ask for when they connect, and what they refuse of it. A server has
 * been asked for each once. Any thread. */
#ifndef PGSEAL_CORE_SPELLINGS_H
#define PGSEAL_CORE_SPELLINGS_H

#include <stdbool.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/clock.h"

/* Longest name and value together, in bytes, that servers are asked about. */
#define SPELLING_MAX 1000u
/* So many are remembered: the last ones. */
#define SPELLINGS_MAX 1000u

enum spelling {
	SPELLING_UNKNOWN, /* nobody has asked */
	SPELLING_SHOWN,   /* as servers show it */
	SPELLING_REFUSED, /* no server takes it */
	SPELLING_UNSEEN,  /* asked in vain, for reasons that may pass */
};

struct spellings;

struct spellings *spellings_create(void); /* NULL: out of memory */
void spellings_free(struct spellings *s);

/* What is known of this value of this parameter. Appended to *out, if it is not NULL: of one that is shown, the value, and
 * of one that is refused SQLSTATE, message, detail and hint, each with its NUL. Only what is shown counts if it is older
 * than `since`. Without memory nothing is known. */
enum spelling spellings_find(struct spellings *s, const char *name, const char *value, usec_t since,
                             struct buf *out);
/* How often they have been forgotten: what was asked before does not count. */
unsigned spellings_age(struct spellings *s);
/* It was asked at that age, and this came of it; text as in spellings_find. Without memory it is not remembered. */
void spellings_add(struct spellings *s, unsigned age, const char *name, const char *value,
                   enum spelling how, struct bytes text, usec_t at);
/* Servers have become others. */
void spellings_forget(struct spellings *s);

#endif
