/* What a client heard in one session, without what may differ from one session to the next:
 *
 * - BackendKeyData and its secret;
 * - the moment at which a ParameterStatus comes: what changed since is written down at the next
 *   ReadyForQuery, sorted, however often and whenever it was told;
 * - where told so, file, line and routine of errors and notices (fields F, L, R);
 * - what of several things that are wrong with a Bind is told, likewise;
 * - whether a statement is missing or the transaction has failed, where both is true;
 * - the name of a statement of the protocol in what PostgreSQL says about it to SQL, likewise;
 * - a ParameterDescription right before an error: PostgreSQL finds out between the two that a statement no
 *   longer yields what it did, pgseal before. */
#ifndef PGSEAL_TESTS_TRANSCRIPT_H
#define PGSEAL_TESTS_TRANSCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TRANSCRIPT_PARAMETERS 32
#define TRANSCRIPT_STEPS 164
#define TRANSCRIPT_ASKED "asked " /* begin of what lastval() or currval() says */

struct transcript_parameter {
	char name[64], value[128], told[128]; /* told: as written down last */
};

struct transcript {
	bool places;    /* write down where errors come from */
	uint8_t *heard; /* messages with their headers; owned */
	size_t len, cap;
	uint8_t *half; /* begin of the message that has not come whole; owned */
	size_t half_len, half_cap;
	size_t marks[TRANSCRIPT_STEPS]; /* end of what belongs to the step of that number */
	struct transcript_parameter parameters[TRANSCRIPT_PARAMETERS];
	size_t described; /* where the ParameterDescription lies that came last, + 1; 0: something else came */
	int ready;   /* ReadyForQuery so far */
	int answers; /* since the last of them: ends of answers to messages of a batch */
	bool failed; /* since the last of them: an error */
	bool aborted; /* so was the transaction at the last of them */
};

void transcript_free(struct transcript *t);
/* More bytes of what the server sends. */
void transcript_hear(struct transcript *t, const uint8_t *at, size_t n);
/* Something that is no message: the connection broke off, or nothing more came. */
void transcript_note(struct transcript *t, const char *what);

/* Where in a the first message that differs begins; false: they are equal. Where a has heard a value that begins with
 * TRANSCRIPT_ASKED, b may have heard error 55000 in its place. */
bool transcript_differ(const struct transcript *a, const struct transcript *b, size_t *where);
/* Messages for people, one to a line. */
void transcript_print(FILE *f, const uint8_t *at, size_t n);

#endif
