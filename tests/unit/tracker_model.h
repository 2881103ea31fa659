/* A small PostgreSQL for the tracker: reads a client's messages in order, answers as the real one
 * does (skips to Sync behind an error, ignores Sync and Flush inside COPY), and lets the tracker
 * see the answers at any later time. What it really owes is compared with what the tracker believes. */
#ifndef PGSEAL_TESTS_TRACKER_MODEL_H
#define PGSEAL_TESTS_TRACKER_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "pgseal/wire/tracker.h"

/* Every choice comes from the caller: a random number below n. */
struct model_dice {
	unsigned (*roll)(struct model_dice *d, unsigned n);
	bool used_up; /* set by roll: end the episode */
};

#define MODEL_QUEUE 4096

/* What a message asks for or answers, as far as anybody will hear of it. */
struct model_subject {
	enum { ABOUT_NOTHING, ABOUT_EXTENDED, ABOUT_QUERY, ABOUT_SYNC /* or FunctionCall */ } kind;
	uint32_t place; /* of an extended one: tracker.sent before it was sent */
};

struct model_queue {
	char at[MODEL_QUEUE];
	struct model_subject about[MODEL_QUEUE];
	unsigned head, len;
};

struct model {
	struct tracker tracker;
	struct model_dice *dice;
	struct model_queue in;  /* sent, not yet read by the backend */
	struct model_queue out; /* answered, not yet seen by the tracker; status behind 'Z' */
	/* the backend */
	bool dead, copying, skipping, extended, batch;
	unsigned statements;        /* of the running Query, still to come behind the COPY */
	struct model_subject about; /* of what it is at */
	char transaction;
	/* the run so far */
	const char *failed; /* NULL: all is well; else the rule that was broken */
	char journal[8192]; /* >sent (read) <seen */
	unsigned written;
	unsigned times_idle, barriers, times_placed, times_behind;
};

/* One episode of at most so many steps, and a drain behind it. False: m->failed tells. */
bool model_run(struct model *m, struct model_dice *dice, unsigned steps);

/* tracker_rules.c. The first rule that is broken is kept. */
void model_fail(struct model *m, const char *why);
void model_check(struct model *m);
/* Does the tracker know what this answer is about before it sees it? */
void model_check_answer(struct model *m, char type, struct model_subject about);

#endif
