/* Words for a conversation: protocol messages put together into steps, and the dice that choose them. */
#ifndef PGSEAL_TESTS_UTTER_H
#define PGSEAL_TESTS_UTTER_H

#include "tests/integration/conversation.h"

#define UTTER_NAMES 5 /* a b c d and, last, the unnamed one */
#define UTTER_UNNAMED (UTTER_NAMES - 1)

/* SQL in which @ stands for the client's schema and # for its number, and what its parameters are:
 * i for int4, t for text. */
struct phrase {
	const char *sql;
	const char *params;
};

/* A function and its arguments, in which @ and # stand for the same; NULL after the last. */
struct call {
	uint32_t function;
	const char *args[4];
};

struct talker {
	struct conversation *to;
	uint64_t dice;
	int client;
	unsigned topics;
	int subject;
	size_t start; /* of the step that is being made */
	int ready;    /* ReadyForQuery that it owes so far */
	int answers;  /* messages since the last Sync, one answer for each */
	bool flushed; /* its last message was a Flush */
	bool unnamed; /* statement, parsed in this very batch */
	bool bound;   /* unnamed portal, the same */
	const struct phrase *known[UTTER_NAMES]; /* what was parsed last under the name */
};

/* 0 .. n - 1; true in so many of a hundred cases; one of an array. */
unsigned roll(struct talker *t, unsigned n);
bool chance(struct talker *t, unsigned percent);
#define PICK(t, array) ((array)[roll(t, sizeof(array) / sizeof((array)[0]))])

const char *utter_name(int name);

void utter_parse(struct talker *t, int name, const struct phrase *p);
/* With values that suit the statement known by that name, mostly. */
void utter_bind(struct talker *t, const char *portal, int name);
void utter_bind_to(struct talker *t, const char *portal, const char *statement, const char *params);
void utter_describe(struct talker *t, char kind, const char *name);
void utter_close(struct talker *t, char kind, const char *name);
void utter_execute(struct talker *t, const char *portal, uint32_t most);
void utter_sync(struct talker *t);
void utter_flush(struct talker *t);
void utter_query(struct talker *t, const char *sql);
/* One that is answered by a CopyInResponse; the ReadyForQuery comes behind what follows. */
void utter_copy_query(struct talker *t, const char *sql);
void utter_data(struct talker *t, const char *text);
void utter_done(struct talker *t);
void utter_fail(struct talker *t, const char *why);
void utter_call(struct talker *t, const struct call *c);

/* The step is whole; the client listens to all of its answers before it says the next. */
void utter_end(struct talker *t);
/* The next one follows at once. */
void utter_end_pipelined(struct talker *t);
/* In the middle of a batch in which `missing` of the ReadyForQuery do not come if it has failed. */
void utter_end_doubtful(struct talker *t, int missing);

#endif
