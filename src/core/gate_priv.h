/* A gate's inside: the thread (gate.c), who knocks (visitor.c), and logins to servers (dialler.c). */
#ifndef PGSEAL_CORE_GATE_PRIV_H
#define PGSEAL_CORE_GATE_PRIV_H

#include <pthread.h>
#include <sys/queue.h>

#include "pgseal/core/gate.h"
#include "pgseal/core/session.h"
#include "pgseal/loop/ebb.h"
#include "pgseal/loop/resolve.h"

/* Requests for encryption that one connection may make before it must come to the point. */
#define VISITOR_REQUESTS_MAX 4
/* Longest that a refused connection is kept so that the refusal arrives before the reset. */
#define VISITOR_LINGER_US USEC_PER_SEC

enum visitor_state {
	VISITOR_FIRST,     /* in the clear: requests for encryption, cancels */
	VISITOR_HANDSHAKE,
	VISITOR_STARTUP,   /* behind the handshake, or on a Unix socket */
	VISITOR_LINGER,    /* refused; reading until the peer has closed */
	VISITOR_GONE,      /* freed at the end of the turn */
};

TAILQ_HEAD(visitor_list, visitor);

/* A connection that is not admitted yet. The stream is the future session's. */
struct visitor {
	TAILQ_ENTRY(visitor) link; /* in `list`: oldest first, all of a list have the same deadline */
	struct visitor_list *list; /* of the gate */
	struct gate *gate;
	struct session *s;         /* owned until it is sent to a worker */
	struct site *site;         /* a reference: what was in force when it came */
	struct buf early;          /* plaintext that is no whole packet yet */
	union peer_addr peer;
	enum visitor_state state;
	unsigned requests;
	usec_t since;              /* arrival, or refusal */
	bool local;
};

struct gate_door {
	struct gate *gate;
	struct watch *watch; /* NULL: closed */
	struct listener at;
};

struct gate {
	size_t index;
	struct crew *crew;
	struct loop *loop;
	struct io *io;
	struct mailbox *mailbox;
	struct site *site;
	struct resolver *resolver;
	struct visitor_list visitors;  /* those who may still get in */
	struct visitor_list lingering; /* those who were refused */
	struct visitor_list gone;
	size_t visitor_count;     /* of visitors */
	size_t lingering_count;
	struct timer *deadline;   /* of the oldest visitor */
	struct timer *linger;     /* of the oldest lingering one */
	struct ebb ebb;           /* of those not let in */
	struct timer *accept_rest; /* accepting again after descriptors ran out */
	struct gate_door *doors;
	size_t door_count;
	int spare_fd;             /* given up for a moment to refuse when descriptors run out */
	TAILQ_HEAD(, dial) dials; /* under way */
	pthread_t thread;
	struct gate_stats stats;
	struct letter close_order, stop_order; /* control's, on the way here */
};

/* visitor.c */
void visitor_accept(struct gate *g, int fd, const union peer_addr *peer, bool local);
void visitor_gone(struct visitor *v);
void visitor_free(struct visitor *v);
void visitor_deadline_due(void *arg);
void visitor_linger_due(void *arg);

/* admission.c: a StartupMessage or CancelRequest from somebody whose names are verified. */
void admission_startup(struct visitor *v, const struct startup_packet *p);
void admission_cancel(struct visitor *v, const struct startup_packet *p);
/* Tell the client no: an ErrorResponse, the log gets the detail, the metrics the cause. */
void visitor_refuse(struct visitor *v, enum refusal cause, const char *sqlstate,
                    const char *message, const char *detail);
/* The same with advice for the client, or NULL. */
void visitor_refuse_hint(struct visitor *v, enum refusal cause, const char *sqlstate,
                         const char *message, const char *hint, const char *detail);
/* Count one who was not told anything. */
void visitor_count(struct visitor *v, enum refusal cause, const char *why);

/* dialler.c */
void dialler_run(struct gate *g, struct dial *d);
void dialler_drop_all(struct gate *g);

#endif
