/* The two halves of the relay, and what they share. */
#ifndef PGSEAL_CORE_RELAY_PRIV_H
#define PGSEAL_CORE_RELAY_PRIV_H

#include "pgseal/core/relay.h"

/* Bytes being gone through: [run, pos) is to be passed on in one write, as it is. */
struct feed {
	const uint8_t *at;
	size_t len, pos, run;
};

enum feed_next {
	FEED_ON,
	FEED_STOP, /* no more for now: the rest is kept */
};

/* relay.c: lending, and who waits for whom */
bool relay_client_blocked(const struct session *s); /* may what it sends be gone through now? */
/* Whoever waits for a moment when nothing is owed has waited long enough. */
bool relay_scrub_moment(const struct tracker *t);
void relay_flow(struct session *s);
void relay_attach(struct session *s, struct server *srv);
void relay_start_clocks(struct session *s);
/* The server is no good any more: end it, and tell whoever holds it. */
void relay_ruin(struct server *srv, enum close_reason reason, const char *why);
/* All that had come from the server was gone through: where does that leave it? The server may belong
 * to somebody else behind this. */
void relay_settle(struct server *srv);

#endif
