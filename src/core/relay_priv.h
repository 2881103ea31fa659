/* The two halves of the relay, and what they share. */
#ifndef PGSEAL_CORE_RELAY_PRIV_H
#define PGSEAL_CORE_RELAY_PRIV_H

#include "pgseal/core/relay.h"
#include "pgseal/wire/frame.h"

/* Bytes being gone through: [run, pos) is to be passed on in one write, as it is. What lies in front of
 * run may be written over. */
struct feed {
	uint8_t *at;
	size_t len, pos, run;
};

enum feed_next {
	FEED_ON,
	FEED_STOP, /* no more for now: the rest is kept */
};

/* feed.c: from the client to its server */
void feed_flush(struct feed *f, struct session *s);
/* Something of ours at this place. */
void feed_insert(struct feed *f, struct session *s, const struct buf *ours);
/* The next `skip` bytes become these, which lie elsewhere. */
void feed_replace(struct feed *f, struct session *s, size_t skip, const uint8_t *by, size_t n);

/* relay_statements.c: prepared statements on servers that are shared */
/* How much of this message must be at hand before it is looked at; 0: the header is enough. */
size_t statements_need(const struct session *s, const struct frame *frame, struct bytes have);
/* A message of the session that has its server: account for it and decide what goes on to the server, and
 * under which name. FEED_STOP: not yet. */
enum feed_next statements_pass(struct session *s, struct feed *f, const struct frame *frame);
/* relay_answers.c: what the server says to that. Before the tracker has heard it: which step is it about?
 * NULL: none. */
struct step *statements_step(struct server *srv, const struct frame *f);
/* And behind that: step is what statements_step said. *ours: no client may see it. ERR_WIRE_TYPE: it makes
 * no sense; ERR_NO_MEMORY. */
enum err statements_answer(struct server *srv, const struct frame *f, const uint8_t *body,
                           struct step *step, bool *ours) MUST_CHECK;
/* Must this one be at hand as a whole? */
bool statements_look_at(struct server *srv, const struct frame *f);
/* An error in the words that PostgreSQL would use to this client; false: as it is. */
bool statements_reword(struct server *srv, struct bytes body, struct buf *out);
/* A simple query is being carried out, a client's or ours: either drops the unnamed statement of the
 * server, but only its own does so for the client. */
void statements_at_query(struct server *srv, bool clients);
/* Marks an unnamed statement: see prepared.h. */
uint64_t statements_ticket(struct worker *w);
/* relay_portal.c: nobody has bound the unnamed portal. */
void portal_forget(struct server *srv);
/* Behind the tracker, which had counted so many extended messages as answered before. */
void portal_answered(struct server *srv, char type, uint32_t place);
/* The server has deallocated the next of those that were to be. */
void statements_deallocated(struct server *srv);
/* The server has dropped all named statements. */
void statements_forget(struct server *srv);
/* Something of the session's is in its server that could not be put into another. */
bool statements_bind_to_server(const struct session *s);

/* relay.c: lending, and who waits for whom */
/* Answers to what the client has asked will come without a word of it. It has a server. */
bool relay_answers_come(const struct session *s);
bool relay_client_blocked(const struct session *s); /* may what it sends be gone through now? */
void relay_flow(struct session *s);
void relay_attach(struct session *s, struct server *srv);
void relay_start_clocks(struct session *s);
/* It goes on: it keeps its server for something else now. */
void relay_end_hold(struct session *s);
/* The session goes on without its server, which is no good any more and the caller's to close. */
void relay_abandon(struct session *s);
/* The server is no good any more: end it, and tell whoever holds it. */
void relay_ruin(struct server *srv, enum close_reason reason, const char *why);
/* All that had come from the server was gone through: where does that leave it? The server may belong
 * to somebody else behind this. */
void relay_settle(struct server *srv);

#endif
