/* The console's commands: one row each, rights included, and the way to the process for those that
 * are not the workers' business. */
#ifndef PGSEAL_ADMIN_COMMANDS_H
#define PGSEAL_ADMIN_COMMANDS_H

#include <stdint.h>

#include "pgseal/admin/grammar.h"
#include "pgseal/admin/views.h"
#include "pgseal/base/bytes.h"
#include "pgseal/base/mailbox.h"
#include "pgseal/core/crew.h"
#include "pgseal/tls/identity.h"

struct action;
struct request;

/* --- the table --- */

struct command {
	const char *words;        /* "SHOW CLIENTS" */
	const char *args;         /* for people: "[db]" */
	enum console_right right; /* least that it takes; the dispatcher alone checks */
	unsigned char min_args, max_args; /* tokens behind the words */
	/* Is the rest of the statement, from token a->first_arg on, this command's? May fill in a's
	 * columns. NULL: whatever it is. */
	bool (*fits)(const struct statement *st, struct action *a);
	void (*run)(struct request *rq, struct session *s); /* console_done now or later */
	const struct view *view;  /* of SHOW */
	int option;               /* run's own */
	const char *help;
};
extern const struct command commands_table[];
extern const size_t commands_count;

/* A statement understood: what to run, and what its rows will look like. */
struct action {
	const struct command *command;
	size_t first_arg;             /* token behind the words */
	const struct column *columns; /* NULL: it returns no rows */
	size_t column_count;
	size_t probe;                 /* of what drivers ask for: which one */
};
/* The row with the longest words that fit, the first of several; arguments counted. SELECT is
 * another word for SHOW. ERR_SYNTAX with *why for the client. */
enum err commands_find(const struct statement *st, struct action *out,
                       struct errbuf *why) MUST_CHECK;
/* Check the right and run it. rq->action has been found. */
void commands_run(struct request *rq, struct session *s);

/* --- what the process does --- */

/* kind, tag, SQLSTATE of a refusal */
#define CONTROL_KIND_TABLE(X)                                                                  \
	X(CONTROL_RELOAD, "RELOAD", "F0000")                                                   \
	X(CONTROL_SET, "SET", "22023")                                                         \
	X(CONTROL_SHUTDOWN, "SHUTDOWN", "F0000") /* at once */                                 \
	X(CONTROL_SHUTDOWN_WAIT_FOR_SERVERS, "SHUTDOWN", "F0000") /* at each transaction's end */ \
	X(CONTROL_SHUTDOWN_WAIT_FOR_CLIENTS, "SHUTDOWN", "F0000") /* when they have left */
enum control_kind {
#define X(kind, tag, sqlstate) kind,
	CONTROL_KIND_TABLE(X)
#undef X
};

/* Travels from the console to control and back; whoever holds it owns it. */
struct control_request {
	struct letter letter;
	struct crew *crew;
	enum control_kind kind;
	size_t home;         /* worker of the session that asked */
	uint64_t session_id; /* it may be gone by then */
	const struct setting *setting; /* of SET; its value is the request's */
	const char *value;
	usec_t limit;        /* of SHUTDOWN: how long it waits, 0 for ever; -1: shutdown_timeout */
	bool ok;             /* the answer */
	struct buf text;     /* of the answer: one line per reason */
};

/* The process's part, in the control thread; set in crew->control_ops before the threads start.
 * Each takes the request and ends with control_answer, at once or later. */
struct control_ops {
	void (*reload)(void *process, struct control_request *req);
	void (*set)(void *process, struct control_request *req);
	void (*shutdown)(void *process, struct control_request *req);
};

/* Send it home. text: when not ok, the reasons, one per line; when ok, notices or NULL. Copied. */
void control_answer(struct control_request *req, bool ok, const char *text);

#endif
