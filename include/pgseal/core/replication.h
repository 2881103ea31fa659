/* Replication connections: a client that streams WAL or logical changes has a server of its own, logged in
 * for it alone with what it asked for, and ended with it.
 *
 * Its route is private: nobody else finds it, so its pool has this one session and at most one server, and
 * nothing that concerns lending ever happens there. What else is different asks route_replication(). */
#ifndef PGSEAL_CORE_REPLICATION_H
#define PGSEAL_CORE_REPLICATION_H

#include "pgseal/base/settings.h"
#include "pgseal/core/session.h"

struct terms;

/* What the login is made with, beyond what the entry of the database says. Immutable. */
struct replication {
	enum replication_mode mode;
	char *options;          /* the client's settings as "-c name=value", "" for none */
	char *application_name; /* NULL: it named none */
};

/* What a client asked for: all of it goes into the login, as a walsender takes no SET later (a physical
 * one not at all, and none that begins with the session). NULL: out of memory. */
struct replication *replication_create(const struct startup *st, const struct settings *s,
                                       const union peer_addr *peer);
void replication_free(struct replication *r); /* NULL is fine */
/* As in SHOW CLIENTS, for a route or none; route NULL: the console. */
const char *replication_word(const struct route *route);

/* Pairs for libpq's login: what the entry says is in *keywords up to *n. *options is the caller's to
 * free behind the login. ERR_NO_MEMORY. */
enum err replication_login(const struct replication *r, const char **keywords, const char **values,
                           size_t *n, char **options) MUST_CHECK;

/* Does this one replicate? */
bool session_replicates(const struct session *s);
/* Only the wait for the login is limited: a stream is never idle, nor too long. */
void replication_terms(struct terms *terms);
/* The login for it succeeded: greet its client, and let the two be together to the end. */
void replication_begin(struct pool *p, struct server *srv);
/* The client of srv, which nobody has any more, is gone: end it. cancel: stop what it runs, half_sent:
 * within a message. */
void replication_end(struct server *srv, bool half_sent, bool cancel);

#endif
