/* Messages about prepared statements on their way through a server, whose answers mean something to us:
 * what a client prepares and closes, which takes effect when the server says so and not before; and what
 * we put between a client's messages, whose answers no client may see. In the order sent; each is known by
 * its place among the extended messages (tracker.sent when it went out). */
#ifndef PGSEAL_CORE_STEPS_H
#define PGSEAL_CORE_STEPS_H

#include "pgseal/core/prepared.h"

enum step_kind {
	/* A client's. */
	STEP_PARSE,
	STEP_CLOSE,
	STEP_DESCRIBE,  /* of the unnamed one: what was the client told? */
	STEP_USE,       /* a Bind or Describe, if an error could not tell which statement it is about */
	STEP_DUPLICATE, /* a Parse under a name that is taken: the server must refuse it */
	/* Ours. */
	STEP_OUR_PARSE,
	STEP_OUR_DESCRIBE,
	STEP_OUR_CLOSE,
	STEP_OUR_EXECUTE, /* a part of a statement of ours in a batch of the client's, which fails with it */
	STEP_SETUP,       /* a part of what goes before a transaction: without it nothing of the client's runs */
};

struct step {
	uint32_t seq; /* tracker.sent before it went out */
	uint8_t kind;
	bool unnamed;          /* it is about the unnamed statement */
	bool awaited;          /* the client's next message waits for it */
	struct pstatement *st; /* a reference; NULL: none, or too large to be remembered */
	struct alias
		*alias; /* owned: what the client calls it, or wants to; NULL: our own business */
	char evicted[PSTATEMENT_NAME + 1]; /* of STEP_OUR_CLOSE: what goes */
};

/* The client is not heard while so many are on their way: they are looked through for each of its messages.
 * More than a server keeps answers to before it sends them by itself: 8 kB, of 5 bytes at least. */
#define STEPS_MAX 4096u

struct steps {
	struct step *ring; /* owned; NULL while empty, but for a small one that was used */
	uint32_t head, len, cap;
	uint32_t batch;   /* tracker.sent when the batch that is open began */
	uint32_t awaited; /* how many are */
	uint32_t parsing; /* Parses that will make copies */
	uint32_t named;   /* all but those about the unnamed statement */
	uint32_t setup;   /* of STEP_SETUP */
	size_t bytes;     /* what the clients' Parses among them hold */
	uint64_t shape;   /* of the description that is coming in */
};

/* Takes st's and alias's references. ERR_NO_MEMORY: they are released. */
enum err steps_push(struct steps *q, struct pstatement_table *t, struct step step) MUST_CHECK;
struct step *steps_front(struct steps *q); /* NULL: none */
/* The front goes; what it still owns is released. */
void steps_pop(struct steps *q, struct pstatement_table *t);
void steps_clear(struct steps *q, struct pstatement_table *t);

/* The last one about a client's name, the unnamed statement, a statement under its name on servers.
 * NULL: none is on its way. */
struct step *steps_of_alias(struct steps *q, struct bytes name);
struct step *steps_of_unnamed(struct steps *q);
struct step *steps_of_statement(struct steps *q, const struct pstatement *st);
/* It belongs to the batch that is open: if it fails, what follows is not carried out either. */
bool steps_in_batch(const struct steps *q, const struct step *step);

#endif
