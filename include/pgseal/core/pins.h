/* What a client's session leaves in its server that the next one must not meet, in transaction mode.
 *
 * Texts (wire/sql.h) raise a suspicion; at the end of the transaction the server is asked what there really
 * is. Parameters become parameters of the session and follow it (core/params.h). Anything else pins: the
 * session keeps its server until it is gone. */
#ifndef PGSEAL_CORE_PINS_H
#define PGSEAL_CORE_PINS_H

#include <stdbool.h>

#include "pgseal/base/bytes.h"
#include "pgseal/wire/sql.h"

struct server;

/* kind, what it is, for people */
#define PIN_TABLE(X)                           \
	X(PIN_STATEMENT, "prepared statement") \
	X(PIN_TEMP, "temporary object")        \
	X(PIN_LOCK, "advisory lock")           \
	X(PIN_CURSOR, "cursor WITH HOLD")      \
	X(PIN_LISTEN, "LISTEN")                \
	X(PIN_ROLE, "session authorization")   \
	X(PIN_SETTING, "parameter that does not show") \
	X(PIN_CALL, "function call by protocol")
enum pin {
#define X(kind, word) kind,
	PIN_TABLE(X)
#undef X
		PINS
};

struct pins {
	unsigned held;      /* 1 << enum pin: what the server has of its session's */
	unsigned suspected; /* and what it may have: to be asked */
	unsigned found;     /* while it is asked */
	unsigned warned;    /* the client has been told of these: pin = warn */
	bool counted;       /* among those of its route */
	bool too_many;      /* it is one more than may be: its session ends */
	bool all_settings;  /* all parameters may have changed that PostgreSQL lists: to be asked */
	bool standby;       /* whether the server is one is to be asked */
	bool resetting;     /* among them such as RESET does not lead to what the session began with */
	struct buf touched; /* names of parameters that may have changed, each with its NUL */
	struct buf setting; /* name and value, each with its NUL, of a SET that is all that is on its way */
	struct buf explained; /* names of reported ones that texts of this transaction set, each with its NUL */
	struct buf numbers; /* names and values with fractions as they were written, each with its NUL */
};

/* The words for all that are held, separated by commas. */
struct pin_words {
	char s[160];
};
struct pin_words pins_words(const struct pins *p);

/* This text, read like this, with these traits, is about to be carried out for srv's session. */
void pins_notice(struct server *srv, struct bytes text, struct sql_reading how, unsigned traits);
/* The text, whose only trait is SQL_SETS, which cannot be read in another way, and which comes outside of a transaction
 * block with nothing else on its way, is one SET of a value that stands there: its CommandComplete will tell all. False:
 * it is not. */
bool pins_notice_set(struct server *srv, struct bytes text, struct sql_reading how);
enum err pins_set_done(struct server *srv) MUST_CHECK;
/* It has refused to write: is it still what target_session_attrs wants? */
void pins_ask_attrs(struct server *srv);
/* That parameter of its session may have changed. */
void pins_ask(struct server *srv, const char *name);
/* A text of this transaction sets it. */
bool pins_explain(const struct server *srv, const char *name);
/* Between two transactions, and all reports are in. */
void pins_transaction_ended(struct server *srv);
/* There is something to ask for. */
bool pins_ask_due(const struct server *srv);
/* What is notified is for its session. */
bool pins_listen(const struct server *srv);
/* Parameters of srv's session have been reset, it shows not which. In session mode too. */
void pins_reset(struct server *srv);
/* Texts are watched for what they do to its parameters. */
bool pins_watch(const struct server *srv);
/* It holds that for certain. */
void pins_add(struct server *srv, enum pin pin);
/* If it holds that, it may be gone: to be asked. */
void pins_doubt(struct server *srv, enum pin pin);
/* Its session cannot do without it, as far as is known. */
bool pins_hold(const struct server *srv);
/* The query that asks the server for what is suspected; NUL-terminated. ERR_NO_MEMORY. */
enum err pins_question(struct server *srv, struct buf *sql) MUST_CHECK;
/* A row of its answer: the body of the DataRow. ERR_NO_MEMORY, ERR_WIRE_FORMAT. */
enum err pins_row(struct server *srv, struct bytes body) MUST_CHECK;
/* The answer is complete; or it failed: then all that is suspected is held. */
void pins_answered(struct server *srv, bool failed);
/* Its session has discarded all: what cannot be asked for is gone, too. */
void pins_discarded(struct server *srv);
/* The server is as new. */
void pins_clear(struct server *srv);

#endif
