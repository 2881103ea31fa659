/* Logging in to a server with libpq, without blocking: resolve, connect, TLS, authenticate.
 *
 * What comes out is a connection behind its first ReadyForQuery whose socket and SSL are ours to use;
 * libpq is next called by PQfinish. libpq may replace its socket at any poll, keeping the number: the
 * watch is taken down before each poll and set up anew after it. */
#ifndef PGSEAL_LOOP_LOGIN_H
#define PGSEAL_LOOP_LOGIN_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "pgseal/loop/resolve.h"

/* Why a login failed. */
struct login_failure {
	char sqlstate[6];  /* the server's; "" when it was not the server who refused */
	char message[400]; /* one line, the server's own words where there are some */
};

/* In our own words or libpq's: the first line of `why`, no SQLSTATE. */
void login_failure_say(struct login_failure *f, const char *why);

struct login;

struct login_request {
	const char *const *keywords; /* NULL-terminated, as for PQconnectdbParams; borrowed for the call */
	const char *const *values;
	usec_t timeout;              /* for all of it; 0: none */
};

/* done(arg, conn, NULL) gives conn away; done(arg, NULL, failure) tells why not. Called exactly once,
 * later, unless login_cancel comes first. ERR_NO_MEMORY: it will not be called. */
enum err login_start(struct loop *loop, struct resolver *resolver, const struct login_request *req,
                     void (*done)(void *arg, PGconn *conn, const struct login_failure *failure),
                     void *arg, struct login **out) MUST_CHECK;
void login_cancel(struct login *l);

/* One statement over a connection that login_start made, by libpq itself, until its result; then the
 * connection is closed. done(arg, NULL) on success, else the reason. */
struct errand;
/* conn is taken in any case. ERR_NO_MEMORY: done will not be called. */
enum err errand_start(struct loop *loop, PGconn *conn, const char *sql, usec_t timeout,
                      void (*done)(void *arg, const struct login_failure *failure), void *arg,
                      struct errand **out) MUST_CHECK;
void errand_cancel(struct errand *e);

/* For the configuration's checks: is it a parameter of the linked libpq? */
bool login_knows_keyword(const char *keyword);

#endif
