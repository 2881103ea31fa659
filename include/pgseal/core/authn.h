/* An authenticated identity, PostgreSQL's authn_id: the rule and the verified name, or the rule alone
 * (share=rule). Two sessions with the same one may meet what the other left on a server connection; two
 * with different ones never.
 *
 * There is one object for each, in the whole process, so that a comparison of two pointers tells. A rule
 * is known by its label, across reloads. Any thread. */
#ifndef PGSEAL_CORE_AUTHN_H
#define PGSEAL_CORE_AUTHN_H

#include <stdbool.h>

#include "pgseal/base/err.h"

struct identity;
struct authns;
struct authn;

/* The table of them. ERR_NO_MEMORY. */
enum err authns_create(struct authns **out) MUST_CHECK;
void authns_free(struct authns *t); /* every reference has been let go */

/* Find or make; the caller gets a reference. Nothing of *id is kept. NULL: out of memory. */
struct authn *authn_get(struct authns *t, const struct identity *id);
struct authn *authn_hold(struct authn *a); /* another reference; NULL is fine */
void authn_release(struct authn *a);       /* likewise */

/* Count its sessions; who does so has a reference. An end for each beginning. */
void authn_session_began(struct authn *a);
bool authn_session_ended(struct authn *a); /* it was the last one; another may begin at any time */
bool authn_has_sessions(const struct authn *a);

#endif
