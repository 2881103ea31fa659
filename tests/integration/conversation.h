/* What a client says to PostgreSQL in one session: made up at random, the same for the same seed.
 *
 * It is such that PostgreSQL's answers are the same each time: nothing of clocks, of process numbers, of
 * what other clients do. The client's tables c<number>.rows, c<number>.keyed and c<number>.drawn, whose id
 * is serial, must be there, and the sequence c<number>.tickets, and it must be free to make others there. It may
 * be app_ro and app_rw. */
#ifndef PGSEAL_TESTS_CONVERSATION_H
#define PGSEAL_TESTS_CONVERSATION_H

#include "tests/integration/frames.h"

#define CONVERSATION_CLIENTS 4
#define CONVERSATION_STEPS 160
#define CONVERSATION_END "the end" /* the only value of the last answer */

/* What may come up. */
enum conversation_topic {
	TOPIC_STATEMENTS = 1 << 0, /* Parse, Bind, Describe, Execute, Close; queries and blocks */
	TOPIC_COPY = 1 << 1,
	TOPIC_CALLS = 1 << 2,      /* FunctionCall */
	TOPIC_PARAMETERS = 1 << 3, /* SET of what the server reports */
	TOPIC_UNREPORTED = 1 << 4, /* SET of what it does not report */
	TOPIC_PREPARE = 1 << 5,    /* PREPARE, EXECUTE, DEALLOCATE, DISCARD in SQL */
	TOPIC_SHAPES = 1 << 6,     /* a table changes under its statements */
	/* what only those who have a server for themselves can count on */
	TOPIC_STALE = 1 << 7,   /* the unnamed statement, long after its Parse */
	TOPIC_SHARED = 1 << 8,  /* SQL about the statements of Parse, Bind of those of PREPARE */
	TOPIC_FOLDED = 1 << 9,  /* statements whose meaning the parameters at Parse settle */
	TOPIC_HIDDEN = 1 << 10, /* unreported parameters, set by a function */
	TOPIC_CATALOG = 1 << 11, /* pg_prepared_statements */
	/* what a session has of its own */
	TOPIC_ROLES = 1 << 12,
	TOPIC_ENCODINGS = 1 << 13, /* client_encoding, and what is not ASCII */
	TOPIC_DIALECTS = 1 << 14,  /* statements whose constants mean what the parameters say */
	TOPIC_SEQUENCES = 1 << 15, /* lastval() and currval() */
	TOPIC_FUNCTIONS = 1 << 16, /* FunctionCall of what leaves something */
	TOPIC_ALL = (1 << 17) - 1,
};

/* What is said in one go, by one or several writes. */
struct step {
	size_t at, len; /* in said */
	int ready;      /* ReadyForQuery that it owes */
	int missing;    /* so many of them do not come if the batch has failed before */
	int answers; /* at a Flush: other messages since the last ReadyForQuery, unless one fails */
	bool wait;   /* for all that is owed, before the next step */
	int subject; /* steps of the same one belong together */
	size_t grain; /* bytes per write; 0: all at once */
};

struct conversation {
	struct script said;
	struct step steps[CONVERSATION_STEPS];
	int count;
};

/* Subjects are numbered from 1; begin and end of the conversation are none. */
#define CONVERSATION_FRAME 0
void conversation_make(struct conversation *c, uint64_t seed, int client, unsigned topics);
/* Leave out what belongs to that subject; false if nothing does. */
bool conversation_drop(struct conversation *c, int subject);

#endif
