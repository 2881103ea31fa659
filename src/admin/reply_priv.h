/* Results as messages. No I/O. protocol: Message Flow, Simple Query and Extended Query. */
#ifndef PGSEAL_ADMIN_REPLY_PRIV_H
#define PGSEAL_ADMIN_REPLY_PRIV_H

#include "pgseal/wire/message.h"
#include "request_priv.h"

/* Result format codes as Bind brings them: none is text for all, one is for all. */
struct formats {
	size_t count;
	uint8_t *at; /* 0 text, 1 binary; owned */
};

/* Messages on their way to the client. */
struct answer {
	struct buf bytes;
	bool no_memory; /* something is missing: the session cannot go on */
};

void reply_error(struct answer *out, const char *sqlstate, const char *message, const char *detail);
void reply_empty(struct answer *out, char type); /* a message without contents */
void reply_no_parameters(struct answer *out);
void reply_ready(struct answer *out);
/* formats NULL: text. */
void reply_columns(struct answer *out, const struct column *columns, size_t count,
                   const struct formats *formats);
/* Up to max rows (0: all) from the offset *at in r->rows, which moves on. */
void reply_rows(struct answer *out, const struct result *r, const struct formats *formats,
                size_t *at, size_t max);
/* What stands behind the rows of a result that went well: notice and tag. */
void reply_complete(struct answer *out, const struct result *r);

#endif
