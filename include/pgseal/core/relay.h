/* Between a session and a server: framing, attaching, detaching, back-pressure. This file alone
 * decides when a server is lent and when it is free again. */
#ifndef PGSEAL_CORE_RELAY_H
#define PGSEAL_CORE_RELAY_H

#include "pgseal/core/server.h"
#include "pgseal/core/session.h"

extern const struct stream_ops relay_session_ops;
extern const struct stream_ops relay_server_ops;

/* The pool gives srv to s, which waited for it. */
void relay_grant(struct session *s, struct server *srv);
/* Pass on what s has sent so far, as far as that is possible now. */
void relay_resume(struct session *s);
/* s lets go of its server, wherever the conversation stands: free it or clean it up. cancel: stop
 * what still runs there. */
void relay_detach(struct session *s, bool cancel);
/* A worker's timer: servers have been kept long enough for a lastval(). */
void relay_hold_due(void *worker);
/* Does s hold its server without anything being under way? */
bool relay_between(const struct session *s);
/* Is the client inside a message, so that nothing of ours may be sent to it? */
bool relay_mid_message(const struct session *s);

#endif
