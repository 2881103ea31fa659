/* A cancel sent by libpq itself, encrypted like the connection it is for. Needs libpq 17; with older
 * ones canceller_create gives NULL and the caller goes another way (login.h, errand). */
#ifndef PGSEAL_LOOP_CANCELLER_H
#define PGSEAL_LOOP_CANCELLER_H

#include <libpq-fe.h>

#include "pgseal/loop/login.h"
#include "pgseal/loop/loop.h"

struct canceller;

/* Copies what it needs of conn, in the thread that owns conn. NULL: not possible. */
struct canceller *canceller_create(PGconn *conn);
/* Send it from this loop. done(arg, NULL) once the server has dealt with it, else with the reason;
 * the canceller is freed then. Called exactly once, later, unless canceller_free comes first.
 * ERR_NO_MEMORY: it will not be called, and c is freed. */
enum err canceller_start(struct canceller *c, struct loop *loop, usec_t timeout,
                         void (*done)(void *arg, const struct login_failure *failure),
                         void *arg) MUST_CHECK;
void canceller_free(struct canceller *c); /* NULL is fine */

#endif
