/* A connection to a PostgreSQL server: owned by one worker's pool, lent to one session at a time. */
#ifndef PGSEAL_CORE_SERVER_H
#define PGSEAL_CORE_SERVER_H

#include <libpq-fe.h>

#include "pgseal/core/authn.h"
#include "pgseal/core/copies.h"
#include "pgseal/core/dial.h"
#include "pgseal/core/params.h"
#include "pgseal/core/pins.h"
#include "pgseal/core/steps.h"
#include "pgseal/loop/stream.h"
#include "pgseal/wire/tracker.h"

struct pool;
struct session;

#define SERVER_STATE_TABLE(X)                                                             \
	X(SERVER_IDLE, "idle")         /* in the pool, newest first */                    \
	X(SERVER_ACTIVE, "active")     /* lent to srv->session */                         \
	X(SERVER_CLEANING, "tested")   /* its client left it in the middle, or a check: see chore */  \
	X(SERVER_CANCELED, "being_canceled") /* free but for cancels not answered yet */  \
	X(SERVER_CLOSING, "close")     /* dead; freed at the end of the turn */
enum server_state {
#define X(number, word) number,
	SERVER_STATE_TABLE(X)
#undef X
	SERVER_STATES
};

/* What statements of ours the server is at. Their answers never reach a client. */
enum chore {
	CHORE_NONE,
	CHORE_SETUP,   /* it is cleaned for the session that it was lent to */
	CHORE_FETCH,   /* a statement that the client's query mentions is prepared */
	CHORE_PROBE,   /* what has the session left in it? */
	CHORE_BARRIER, /* a query behind whose answer nothing of the client's can come */
	CHORE_DRAIN,   /* client gone: waiting for what it had asked */
	CHORE_ROLLBACK,
	CHORE_DISCARD, /* DISCARD ALL: nothing that a session had is left */
	CHORE_RESET,   /* server_reset_query */
	CHORE_UNDO,    /* parameters that act by themselves while it idles */
	CHORE_CHECK,   /* server_check_query, before it is lent after a long rest */
	CHORE_SPELL,   /* how is it spelled what a client asks for? */
};

struct server {
	struct letter letter;        /* for hand-over to another worker */
	TAILQ_ENTRY(server) link;    /* in the pool's list of its state */
	struct stream stream;
	PGconn *conn;                /* owned; the SSL and the descriptor belong to it */
	struct pool *pool;           /* borrowed; NULL while handed over */
	struct route *route;         /* a reference */
	struct permit permit;
	unsigned owed;               /* it is closed for what this worker - 1 cried for; 0: nobody */
	struct database *db;         /* a reference: what it was logged in with */
	struct session *session;     /* set exactly while SERVER_ACTIVE */
	struct params *reported;     /* what it has told of itself; a reference */
	struct sql_reading reading;  /* how it reads texts by that */
	bool reading_known;          /* nothing has been reported since `reading` was found */
	struct params *in_force;     /* what was set on it since its last reset; a reference; NULL: who knows? */
	struct authn *authn;         /* who used it last; a reference; NULL: nobody since its last reset */
	uint64_t last_session;       /* and in which session: its id */
	uint64_t sequences_of;       /* whose currval() and lastval() it has: a session's id, 0, SEQUENCES_MIXED */
	struct tracker tracker;
	struct buf kept;             /* the beginning of a message that is not whole yet */
	size_t passing;              /* bytes of the current message still to be passed on or dropped */
	uint64_t id;
	uint32_t pid;                /* backend's process id */
	enum server_state state;
	enum chore chore;
	usec_t born, since;          /* login; last change of state */
	struct timer *deadline;      /* of a chore for a client that is gone; made on first need */
	struct buf words;            /* the error that a chore met: a whole ErrorResponse body */
	struct buf spelling;         /* name and value that it is asked about, each with its NUL */
	unsigned spelling_age;       /* of the route's spellings, when it was asked */
	bool spelling_noted;         /* it has answered */
	struct dial *cancel;         /* borrowed mark: a cancel for it is under way */
	bool cancel_again;           /* and another was asked for meanwhile */
	bool barrier_seen;           /* the barrier's own answer has begun */
	uint8_t nonce[16];           /* types of parameters in its answer */
	char withheld;               /* status of a ReadyForQuery that the barrier holds back; 0: none */
	bool parse_withheld;         /* and a ParseComplete behind it */
	bool ready_owed;             /* the client's ReadyForQuery waits for what it reset to be set right */
	bool cut;                    /* half a message was sent: nothing may ever follow it */
	struct copies copies;        /* what is prepared on it */
	struct steps steps;          /* and what is about to be */
	uint64_t unnamed_ticket;     /* whose unnamed statement it has: see prepared.h; 0: nobody's who counts */
	/* Names in texts that were sent, in that order: the text's place (uint32_t), as in steps, and the name
	 * with its NUL. */
	struct buf deallocating;
	bool portal_bound;           /* its session has bound the unnamed portal since its last Query */
	bool portal_tried;           /* or has sent such a Bind, which may have been skipped; */
	bool portal_others;          /* and one of a named portal */
	bool portal_asked;           /* or has sent such Binds: places of the first and the last, as in steps */
	uint32_t portal_first, portal_last;
	bool setting;                /* this transaction may have changed how texts are read: `flux` stands for it */
	uint64_t flux;               /* a ticket; 0: not asked for so far */
	struct params *flux_params;  /* what the session has set by then, as its texts tell; a reference; NULL: they do not */
	bool doubted;                /* it did, and nobody asked which */
	bool drew;                   /* one that may have drawn from a sequence, and lastval() was not asked since */
	bool seeded;                 /* random() goes on where a client set it to */
	bool foreign;                /* its last user was somebody else: DISCARD ALL goes first */
	bool reseed;                 /* setseed() likewise */
	bool client_gone;            /* the session of last_session has ended */
	bool forgetting;             /* a text was sent that drops all named statements */
	uint32_t forgetting_place;   /* behind how many extended messages */
	struct buf instead;          /* goes to the client for the message that is being dropped */
	bool session_bound;          /* lent in session mode: reset before anybody else gets it */
	struct pins pins;            /* what it has of its session's that nobody else may meet */
	bool used;                   /* was lent at least once */
	bool wanted;                 /* it is what target_session_attrs wants */
	usec_t stale_since;
	const char *stale;           /* why it is replaced as soon as it is free; static; NULL: it is not */
	bool fatal;                  /* it said FATAL: the words have reached the client */
	bool dropping;               /* the message being passed is dropped instead */
	struct buf flat_reported, flat_in_force; /* while handed over; the latter empty: as in_force NULL */
};

#define SEQUENCES_MIXED UINT64_MAX /* of several sessions */

const char *server_state_word(enum server_state state);

/* Make a server of a successful login; takes over d's connection, route reference and permit. NULL:
 * out of memory, d untouched. */
struct server *server_create(struct pool *pool, struct dial *d);
/* The one way to change state; moves it between the pool's lists. */
void server_set_state(struct server *srv, enum server_state next);
/* This is what is set on it now; takes the reference. NULL: nobody knows. */
void server_set_in_force(struct server *srv, struct params *now);
/* How texts are read on it is known again. */
void server_settle_reading(struct server *srv);
/* To be replaced as soon as it is free; why is static. The first reason counts. */
void server_wear_out(struct server *srv, const char *why);
/* End it: log the reason, give the permit back, free at the end of the turn. A session that holds it
 * must have been told before. why: for the log, NULL: say nothing. */
void server_close(struct server *srv, const char *why);
/* It is to be replaced at the end of the transaction, though its session would keep it. */
bool server_hurries(const struct server *srv);
/* Now; for the end of a turn and for shutdown. */
void server_free(struct server *srv);

/* Pass it to another worker, which looks for its own pool of the route. Must be idle and whole. False:
 * out of memory, it was closed instead. */
bool server_hand_over(struct server *srv, struct worker *to);

/* A statement of ours; tracked like a client's. ERR_NO_MEMORY. */
enum err server_query(struct server *srv, enum chore chore, const char *sql) MUST_CHECK;

#endif
