/* Statements of ours on a server, in batches of their own: what has a session left, a barrier after doubtful
 * answers, the clean-up after a client that left in the middle, and the check after a long rest. */
#ifndef PGSEAL_CORE_CHORE_H
#define PGSEAL_CORE_CHORE_H

#include "pgseal/core/server.h"
#include "pgseal/wire/frame.h"

/* Longest that a server may take for being cleaned up or checked before it is closed instead. */
#define CHORE_DEADLINE_US (5 * USEC_PER_SEC)

enum chore_next {
	CHORE_GO_ON,  /* nothing to decide yet */
	CHORE_PASS,   /* this message is the client's after all */
	CHORE_DONE,   /* the server is the session's again, or clean: settle it */
	CHORE_FAILED, /* the statement failed; srv->words tells */
};

/* Ask the server what its session, which is between transactions, has left in it. ERR_NO_MEMORY. */
enum err chore_probe(struct server *srv) MUST_CHECK;
/* The client gets the ReadyForQuery that waited for that, if one does. */
void chore_release_ready(struct server *srv);
struct about;
struct target;
/* Prepare a statement in a batch of ours, in front of the client's message. Nothing may be owed.
 * ERR_NO_MEMORY. */
enum err chore_fetch(const struct about *a, const struct target *to) MUST_CHECK;
/* The session's query, which waits as a whole, is answered by an error of what was sent ahead of it. */
void chore_answered_instead(struct session *s);
enum err chore_barrier(struct server *srv) MUST_CHECK;
/* The session is gone. half_sent: the server has received half a message. May close or release it. */
void chore_clean(struct server *srv, bool half_sent, bool cancel);
/* A message arrived while srv->chore is not CHORE_NONE; body is NULL when it is not complete. */
enum chore_next chore_message(struct server *srv, const struct frame *f, const uint8_t *body);
/* Behind CHORE_DONE of a clean-up: the next step, or release. */
void chore_clean_on(struct server *srv);
/* An idle server that rested for longer than server_check_delay: false, it did not. Otherwise it is asked
 * whether it lives, and comes back by pool_release; or it is closed. */
bool chore_check_due(const struct server *srv);
void chore_check(struct server *srv);
/* One that idles is asked what has changed, and comes back likewise. */
void chore_ask(struct server *srv);
/* Likewise, how it spells a parameter that a client asks for, for the route's spellings. */
void chore_spell(struct server *srv, const char *name, const char *value);
/* It is being asked just that. */
bool chore_spells(const struct server *srv, const char *name, const char *value);
/* Or about another value of that parameter. */
bool chore_spells_name(const struct server *srv, const char *name);
/* It ends: whoever waits for its answer gets none. */
void chore_spells_no_more(struct server *srv);
/* If it idles and has begun to say something, nobody gets it until that is whole; it comes back likewise. */
void chore_hear_out(struct server *srv);
/* Is there anything to be done about it before somebody else gets it, or before it idles? */
bool chore_is_due(const struct server *srv);
/* It idles, and whoever used it has gone: clean it. It comes back by pool_release, or is closed. */
void chore_clean_orphan(struct server *srv);

#endif
