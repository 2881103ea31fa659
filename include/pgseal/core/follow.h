/* A session's parameters as they change: what the client has set follows it from server to server, what servers
 * report is told. */
#ifndef PGSEAL_CORE_FOLLOW_H
#define PGSEAL_CORE_FOLLOW_H

#include "pgseal/core/server.h"
#include "pgseal/core/session.h"

/* The server of a session reports a value. *news: it is passed on to the client. ERR_NO_MEMORY. */
enum err follow_report(struct server *srv, const char *name, const char *value,
                       bool *news) MUST_CHECK;
/* The session has set this on its server; value: bytes of the server's encoding. ERR_NO_MEMORY. */
enum err follow_set(struct server *srv, const char *name, const char *value) MUST_CHECK;
/* It has reset this: what it began with is to be in force again. ERR_NO_MEMORY. */
enum err follow_reset(struct server *srv, const char *name) MUST_CHECK;
/* The client is about to get a ReadyForQuery, by which it knows all that servers report. What its server reported before
 * it was lent, and what came to the same again, is not reported: it is told here. Without memory it is told the
 * next time. */
void follow_tell(struct server *srv);

#endif
