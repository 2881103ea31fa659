/* A gate: the thread for everything that costs public-key cryptography or deals with a peer that is not
 * trusted yet. Inbound it takes a connection from accept to a session; outbound it logs in to servers. */
#ifndef PGSEAL_CORE_GATE_H
#define PGSEAL_CORE_GATE_H

#include "pgseal/base/histogram.h"
#include "pgseal/core/crew.h"
#include "pgseal/core/dial.h"
#include "pgseal/core/site.h"

/* A socket that listens; opened by the process, accepted from by every gate. */
struct listener {
	int fd;
	bool local; /* Unix socket */
};

/* Why somebody who came did not become a session; word in metrics. */
#define REFUSAL_TABLE(X)                                                                      \
	X(REFUSAL_CERTIFICATE, "certificate")         /* missing or not verified */           \
	X(REFUSAL_HANDSHAKE, "handshake")             /* failed otherwise, or broken off */   \
	X(REFUSAL_NO_TLS, "no_tls")                                                           \
	X(REFUSAL_PROTOCOL, "protocol")               /* no PostgreSQL client, or a bad one */ \
	X(REFUSAL_IDENTITY, "identity")               /* the certificate is nobody's */       \
	X(REFUSAL_RIGHT, "right")                     /* somebody else's role, database, console */ \
	X(REFUSAL_DATABASE, "unknown_database")                                               \
	X(REFUSAL_REPLICATION, "replication")                                                 \
	X(REFUSAL_CLIENTS, "max_client_conn")                                                 \
	X(REFUSAL_DATABASE_CLIENTS, "max_db_client_connections")                              \
	X(REFUSAL_ROLE_CLIENTS, "max_user_client_connections")                                \
	X(REFUSAL_IDENTITY_CLIENTS, "max_clients")                                            \
	X(REFUSAL_REPLICATION_CLIENTS, "max_replication_connections")                         \
	X(REFUSAL_VISITORS, "max_login_clients")                                              \
	X(REFUSAL_TIMEOUT, "client_login_timeout")                                            \
	X(REFUSAL_CANCEL, "cancel")                   /* in the clear, or nobody's */         \
	X(REFUSAL_LEFT, "left")                       /* by itself, before it was let in */   \
	X(REFUSAL_NO_MEMORY, "out_of_memory")
enum refusal {
#define X(number, word) number,
	REFUSAL_TABLE(X)
#undef X
	REFUSALS
};

/* What a gate counts, in its own thread. */
struct gate_stats {
	struct histogram handshake; /* from accept to the end of the TLS handshake; those that succeeded */
	uint64_t refusals[REFUSALS];
	uint64_t visitors;          /* now: not let in yet */
};
/* Add this gate's. Its thread. */
void gate_stats_add(struct gate_stats *to, const struct gate *g);

enum err gate_create(struct crew *crew, size_t index, struct site *site, const struct listener *at,
                     size_t count, struct gate **out) MUST_CHECK;
enum err gate_start(struct gate *g) MUST_CHECK;
void gate_join(struct gate *g);
void gate_free(struct gate *g);

/* Letters from other threads. */
void gate_post(struct gate *g, struct letter *letter);
void gate_post_dial(struct gate *g, struct dial *d);
struct letter *gate_site_letter(struct site *site); /* NULL: out of memory */
/* Give free memory back to the kernel: thousands of sessions have gone. */
void gate_post_release(struct gate *g);
/* Stop accepting, but from the Unix socket; drop whoever is not in yet. Logins to servers go on.
 * Once. */
void gate_post_close(struct gate *g);
/* End the thread. Once. */
void gate_post_stop(struct gate *g);

#endif
