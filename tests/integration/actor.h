/* A client that says what a table tells it to; its answers come back as one text, so that those of PostgreSQL
 * and those through pgseal can be compared. */
#ifndef PGSEAL_TESTS_ACTOR_H
#define PGSEAL_TESTS_ACTOR_H

#include "tests/integration/frames.h"

#define ACTOR_TOLD_MAX 24

/* What an actor may do. Texts with values: "select $1 << first << second"; \N is NULL. */
enum deed {
	DEED_NONE,
	JOIN,     /* log in with these parameters: "name=value;name=value" */
	LEAVE,    /* Terminate */
	QUERY,    /* a simple query */
	ASK,      /* the same three times, which must yield the same */
	HOLD,     /* a simple query that goes out with the next deed that is not held */
	PARSE,    /* "name: text", and Sync */
	PARSING,  /* the same without Sync, held */
	BIND,     /* Bind, Execute, Sync of a statement's name, with values */
	CLOSE,    /* of a statement's name, and Sync */
	EXTENDED, /* the unnamed statement: Parse, Bind, Execute, Sync, with values */
	OPEN,     /* the same without Sync, held */
	CALL,     /* FunctionCall of a regprocedure, with values */
	ADMIN,    /* the superuser does it in the actor's database */
	WAIT,     /* until the superuser's query yields what is wanted */
};

struct actor {
	SSL *ssl; /* NULL: not there */
	char database[64];
	uint32_t pid; /* the cancel key */
	uint8_t secret[256];
	size_t secret_len;
	char transaction; /* status in the last ReadyForQuery */
	int owed;         /* ReadyForQuery that are to come for what was said */
	struct script said;
	int told; /* parameters, as ParameterStatus had them last */
	struct {
		char name[64], value[256];
	} parameters[ACTOR_TOLD_MAX];
};

/* Log in as alice; rig NULL: to PostgreSQL itself. What actor_do answers; also true of who is refused. */
struct rig_text actor_join(struct actor *who, const struct rig *rig, const char *cert,
                           const char *database, const char *params);
/* Must succeed. */
void actor_enter(struct actor *who, const struct rig *rig, const char *cert, const char *database,
                 const char *params);
/* Do it and hear all answers. Values of a row are joined by commas, rows by |, what belongs to one ReadyForQuery
 * by ; an error is !SQLSTATE and its message, a notification * and its channel, the end of the connection
 * (end), and (silence) is what did not come. */
struct rig_text actor_do(struct actor *who, enum deed deed, const char *text);
/* Say it, as actor_do does, and do not listen; and hear what is still to come. */
void actor_say(struct actor *who, enum deed deed, const char *text);
struct rig_text actor_hear(struct actor *who);
/* A request to cancel what it is at; returns when pgseal has taken it. */
void actor_cancel(const struct actor *who, const struct rig *rig);
/* Must succeed; the answer. */
struct rig_text actor_query(struct actor *who, const char *sql);
/* "" if SHOW yields for all parameters what the client was told, else the difference. */
struct rig_text actor_misled(struct actor *who);
/* NULL-safe ends: with Terminate, and by breaking off. */
void actor_leave(struct actor *who);
void actor_drop(struct actor *who);

#endif
