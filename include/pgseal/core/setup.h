/* What must be so on a server before the next transaction of its session begins: nothing of another identity's
 * is left, and the session's parameters are in force. */
#ifndef PGSEAL_CORE_SETUP_H
#define PGSEAL_CORE_SETUP_H

#include "pgseal/core/server.h"
#include "pgseal/core/session.h"

/* Isolation and deferrability of our own statements are not the client's: a deferrable transaction could wait for
 * others. Read-only it may be, as on a standby. */
#define SETUP_BEGIN "BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE"

struct feed;
struct insertion;

/* s is about to get srv, which is between transactions: what has to be done first? */
void setup_note(struct server *srv, const struct session *s);
/* Does srv have to be cleaned before s gets it, as somebody else used it last? */
bool setup_is_foreign(const struct server *srv, const struct session *s);
/* Whoever used it last has no session any more: it is cleaned before it idles. */
bool setup_is_orphan(const struct server *srv);
/* Somebody else's server, which s has got, is cleaned for it; what s has sent waits. ERR_NO_MEMORY. */
enum err setup_clean(struct session *s) MUST_CHECK;
/* Are there parameters to set before the session's next transaction? */
bool setup_is_due(const struct session *s);
/* Set them in front of the client's message, which the server ignores unless all of it succeeds. False: out of
 * memory, the session is closed. */
bool setup_send(struct session *s, struct feed *f);
/* Clean the server by itself: DISCARD ALL, with the answer of a batch of ours. ERR_NO_MEMORY. */
enum err setup_discard(struct server *srv) MUST_CHECK;
/* All that the server owes is about a setup: nothing of the client's has been sent. */
bool setup_is_all(const struct server *srv);

#endif
