/* Cancel requests: from a gate to the session's worker, from there to the server, and the answer back.
 *
 * A server is not lent to anybody until every cancel sent for it has been answered, so a cancel can
 * only ever meet the session that it was meant for. */
#ifndef PGSEAL_CORE_CANCEL_H
#define PGSEAL_CORE_CANCEL_H

#include "pgseal/core/crew.h"
#include "pgseal/core/server.h"
#include "pgseal/core/session.h"

struct cancel_request {
	struct letter letter;
	uint32_t pid;
	uint8_t secret[WIRE_SECRET_MAX];
	size_t secret_len;
	struct identity *identity; /* owned; NULL: came without TLS */
};

/* Session keys: the worker is in the key, so that any gate finds it. */
uint32_t cancel_key_make(size_t worker, uint32_t serial);
size_t cancel_key_worker(uint32_t key);

/* Send it on its way; takes the request. The caller's connection may close: nothing is answered. */
void cancel_post(struct crew *crew, struct cancel_request *req);

/* Cancel what the server runs for its session, or behind one that left. Worker. */
void cancel_server(struct server *srv);

#endif
