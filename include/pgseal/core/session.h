/* A client that was let in. Made by a gate, then owned by one worker for life. */
#ifndef PGSEAL_CORE_SESSION_H
#define PGSEAL_CORE_SESSION_H

#include <netinet/in.h>
#include <sys/un.h>

#include "pgseal/base/mailbox.h"
#include "pgseal/core/authn.h"
#include "pgseal/core/crew.h"
#include "pgseal/core/params.h"
#include "pgseal/core/route.h"
#include "pgseal/core/spellings.h"
#include "pgseal/loop/stream.h"
#include "pgseal/tls/identity.h"
#include "pgseal/wire/startup.h"

struct console;
struct pool;
struct prepared;
struct pstatement;
struct server;
struct tally;

#define SESSION_STATE_TABLE(X)                                              \
	X(SESSION_GREETING, "login")   /* waits for its route's first server */ \
	X(SESSION_IDLE, "idle")                                             \
	X(SESSION_WAITING, "waiting")  /* in its pool's queue */            \
	X(SESSION_ACTIVE, "active")    /* holds session->server */          \
	X(SESSION_CLOSING, "close")    /* freed at the end of the turn */
enum session_state {
#define X(number, word) number,
	SESSION_STATE_TABLE(X)
#undef X
	SESSION_STATES
};

/* Why a session ends; session_end.c has the words for each. */
#define CLOSE_REASON_TABLE(X) \
	X(CLOSE_QUIT)             /* it said goodbye */ \
	X(CLOSE_LOST)             /* the connection broke */ \
	X(CLOSE_PROTOCOL) \
	X(CLOSE_SERVER_LOST) \
	X(CLOSE_SERVER_FATAL)     /* after its FATAL went through */ \
	X(CLOSE_SERVER_NONSENSE) \
	X(CLOSE_SERVER_LOGIN) \
	X(CLOSE_WAIT)             /* query_wait_timeout */ \
	X(CLOSE_PAUSED)           /* the same in a paused pool */ \
	X(CLOSE_QUERY_TIMEOUT) \
	X(CLOSE_TRANSACTION)      /* transaction_timeout */ \
	X(CLOSE_IDLE_TRANSACTION) /* idle_transaction_timeout */ \
	X(CLOSE_IDLE)             /* client_idle_timeout */ \
	X(CLOSE_SETUP)            /* the server refused its parameters */ \
	X(CLOSE_DISABLED) \
	X(CLOSE_KILLED)           /* from the console */ \
	X(CLOSE_SHUTDOWN) \
	X(CLOSE_PINNED)           /* max_pinned_servers */ \
	X(CLOSE_REPLACED)         /* server_fast_close */ \
	X(CLOSE_PARAMETERS)       /* max_client_parameters */ \
	X(CLOSE_NO_MEMORY)
enum close_reason {
#define X(number) number,
	CLOSE_REASON_TABLE(X)
#undef X
	CLOSE_REASONS
};

#define SESSION_SEATS 4 /* clients of the database, the role, the identity; replication */

union peer_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};
/* "192.0.2.1", "2001:db8::1" or "unix", and the port (0 for unix). */
void peer_text(const union peer_addr *a, char *out, size_t size, int *port);

struct session {
	struct letter letter;         /* the way from gate to worker */
	TAILQ_ENTRY(session) link;    /* in the worker's list */
	LIST_ENTRY(session) key_link; /* in the worker's by_key */
	TAILQ_ENTRY(session) wait_link; /* in the pool's queue, while waiting or greeting; in the worker's
	                                 * `holding`, while it holds */
	struct worker *worker;
	struct pool *pool;            /* borrowed; NULL for the console */
	struct server *server;        /* lent; set exactly while SESSION_ACTIVE */
	struct console *console;      /* set exactly for console sessions */
	struct params *asked;         /* parameters that it has set; a reference; NULL while greeting */
	struct params *initial;       /* those it began with, to which RESET leads; likewise */
	struct params *told;          /* what the client has heard of parameters; likewise */
	struct authn *authn;          /* a reference, counted; NULL for the console */
	uint64_t last_server;         /* id of the server that it used last; 0: none */
	struct identity *identity;    /* owned */
	struct route *route;          /* a reference; NULL for the console */
	struct quota *seats[SESSION_SEATS]; /* references; taken: it counts among these clients */
	struct quota *active;         /* a reference; NULL: its identity has no max_active */
	struct tally *tally;          /* its identity's, in the worker; NULL: it is not counted */
	struct startup *startup;      /* owned; until greeted */
	struct stream stream;         /* its SSL and descriptor are owned here */
	struct buf input;             /* plaintext that could not be passed on yet */
	size_t passing;               /* bytes of the current message still to come from the client */
	size_t needed;                /* bytes of input before it is worth while to look at it again */
	struct prepared *prepared;    /* statements it has; owned; NULL: none so far */
	const struct pstatement *rechecked; /* prepared anew for the message that is next; compared only */
	usec_t since;                 /* last change of state */
	usec_t born;
	usec_t query_since, xact_since; /* 0: none runs */
	usec_t hold_until;            /* while holding */
	usec_t stopped_at;            /* when query_timeout had its query cancelled; 0: it did not */
	uint64_t id;
	uint8_t secret[WIRE_SECRET_OURS];
	uint8_t secret_len;
	uint8_t state;                /* enum session_state */
	uint8_t mode;                 /* enum pool_mode, as it was when it came */
	bool dropping;                /* the message coming in is swallowed */
	bool held;                    /* its next message waits until all before its batch is answered */
	bool leaving;                 /* the client will send no more; answers may still go out */
	bool quitting;                /* it has said so, behind what it asked: they do */
	bool resets_prepared;         /* in session mode: a statement of it may lead parameters back; */
	bool resets_unnamed;          /* the unnamed one may */
	bool noticed;                 /* it has been told that it waits */
	bool skipping;                /* an error was answered here: drop up to the next Sync */
	bool counted;                 /* in crew->clients */
	bool charged;                 /* in active */
	bool holding;                 /* keeps its server for a lastval() that may come */
	bool throttled;               /* waits for that, in its pool's list of these */
	uint32_t key;                 /* the "process id" of its cancel key */
	union peer_addr *peer;        /* owned */
};

/* For the console's sessions; relay_session_ops are for all others. */
extern const struct stream_ops session_console_ops;
/* Behind console_ops.open: deal with what came early. */
void session_console_begin(struct session *s);

const char *session_state_word(enum session_state state);
const char *close_reason_word(enum close_reason reason); /* as in the log */
void session_set_state(struct session *s, enum session_state next);

/* A session in the making, for the gate. NULL: out of memory. */
struct session *session_create(int fd);
/* It counts no longer among the clients of anything. */
void session_leave_seats(struct session *s);
/* Frees everything, closes the connection. Not while a worker has it. */
void session_free(struct session *s);

/* Send the greeting: the parameters are known. What came early is the caller's to look at. */
void session_greet(struct session *s);
/* Is it known how servers, which report `greeting`, spell what it asks for? UNKNOWN: *which is one that nobody has asked
 * about; REFUSED: one that no server takes, the words in *words as in spellings.h. Any other: it may be greeted. */
enum spelling session_spelling(const struct session *s, const struct params *greeting, usec_t since,
                               struct param *which, struct buf *words);
/* Its StartupMessage is of no use any more. */
void session_drop_startup(struct session *s);
/* Tell why (detail may be NULL), give back or clean up what it holds, free at the end of the turn. */
void session_close(struct session *s, enum close_reason reason, const char *detail);
/* The same with other words than the reason's: a server's own, say. */
void session_close_words(struct session *s, enum close_reason reason, const char *sqlstate,
                         const char *message, const char *detail);
/* Likewise, with a hint that is not the reason's. */
struct message_error;
void session_close_error(struct session *s, enum close_reason reason,
                         const struct message_error *e);
/* End what it asks with an ERROR instead of a server's answer; the session goes on. Only while it
 * waits. */
void session_fail_request(struct session *s, const char *sqlstate, const char *message);
struct writer;
/* What has been written goes to the client, between messages, and is freed. ERR_NO_MEMORY: none of it. */
enum err session_send(struct session *s, struct writer *w);
void session_send_ready(struct session *s, char status); /* ReadyForQuery, likewise */
/* The server reports this, between messages: is it news to the client? s->told says so from now on. ERR_NO_MEMORY. */
enum err session_hear(struct session *s, const char *name, const char *value, bool *news) MUST_CHECK;
/* More, or larger, parameters than a client may have. */
bool session_asks_too_much(const struct session *s);
/* An ErrorResponse or notice of ours between messages. */
void session_tell(struct session *s, char type, const char *severity, const char *sqlstate,
                  const char *message, const char *detail, const char *hint);

#endif
