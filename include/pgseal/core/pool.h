/* One worker's share of a route: its servers, and its sessions that wait for one. */
#ifndef PGSEAL_CORE_POOL_H
#define PGSEAL_CORE_POOL_H

#include <sys/queue.h>

#include "pgseal/base/hash.h"
#include "pgseal/base/histogram.h"
#include "pgseal/core/server.h"
#include "pgseal/core/session.h"
#include "pgseal/core/user.h"

TAILQ_HEAD(server_list, server);
TAILQ_HEAD(session_queue, session);

/* Longest that a waiter of another worker is passed over for one of ours. */
#define POOL_SLACK_US (2 * USEC_PER_MS)
#define POOL_RETRY_FIRST_US (100 * USEC_PER_MS)

/* counter, name in SHOW STATS_TOTALS */
#define POOL_STATS_TABLE(X) \
	X(server_assignment_count) X(xact_count) X(query_count) X(bytes_received) X(bytes_sent) \
	X(xact_time) X(query_time) X(wait_time) X(client_parse_count) X(server_parse_count) \
	X(bind_count) X(client_login_count)
struct pool_stats {
#define X(counter) uint64_t counter;
	POOL_STATS_TABLE(X)
#undef X
};

/* What takes how long. Measured on the clock of turns: durations are as coarse as a turn is long. */
struct pool_timings {
	struct histogram query;   /* from its turn at a server to its ReadyForQuery */
	struct histogram xact;
	struct histogram wait;    /* for a server, by each who asked for one: 0 when one was idle */
	struct histogram connect; /* logins to servers that succeeded */
};

/* Why a login to a server failed: word in metrics, how the SQLSTATEs begin. The first that fits. */
#define LOGIN_FAILURE_TABLE(X)                                                                \
	X(LOGIN_FAILURE_UNREACHABLE, "unreachable", "") /* has none: network, TLS, deadline */ \
	X(LOGIN_FAILURE_AUTHORIZATION, "authorization", "28")                                 \
	X(LOGIN_FAILURE_DATABASE, "database", "3D")                                           \
	X(LOGIN_FAILURE_RESOURCES, "resources", "53")                                         \
	X(LOGIN_FAILURE_UNAVAILABLE, "unavailable", "57")                                     \
	X(LOGIN_FAILURE_OTHER, "other", "")
enum login_failure_class {
#define X(number, word, prefix) number,
	LOGIN_FAILURE_TABLE(X)
#undef X
	LOGIN_FAILURES
};

struct pool {
	UT_hash_handle hh;            /* in the worker's pools, by route */
	struct worker *worker;
	struct route *route;          /* a reference; the key */
	struct database *db;          /* a reference; changes with a reload */
	struct terms terms;           /* what holds here; so do these */
	struct server_list servers[SERVER_STATES];
	unsigned server_count[SERVER_STATES];
	struct permit_plan plan;      /* how many servers it may have */
	struct quota *starved;        /* of the plan: what refused us a server last; NULL: nothing */
	struct session_queue waiters; /* oldest first */
	unsigned waiting;
	struct session_queue throttled; /* oldest first: not even in the queue, for max_active */
	unsigned throttling;
	unsigned opening;             /* logins under way for us */
	unsigned sessions;            /* that point here, those being freed included */
	unsigned session_count[SESSION_STATES]; /* the same, by state */
	usec_t renewed;                         /* the route's last renewal that has been seen to */
	struct params *greeting;      /* what servers report as their own; NULL: none seen yet */
	unsigned lessons;             /* of the route, when that was learnt */
	struct timer *wait_timer;     /* deadlines of the first waiter, checked when due, not re-armed per wait */
	struct timer *retry_timer;    /* end of the pause after a failed login */
	struct timer *sweep_timer;    /* next idle or lifetime limit */
	usec_t retry_pause;           /* 0: the last login succeeded */
	usec_t failed_at;
	struct login_failure failure; /* the last one's cause */
	bool permanent;               /* no use in waiting: wrong database, role not let in, ... */
	bool paused;
	struct pool_stats stats;
	struct pool_stats period_start, period; /* at the last period's start; over the last whole period */
	struct pool_timings timings;
};

/* Find or make. NULL: out of memory. */
struct pool *pool_get(struct worker *w, struct route *route, struct database *db);
/* Free it if nobody uses it and it never had a server, or had one for one client alone. */
void pool_drop_unused(struct pool *p);
void pool_free(struct pool *p); /* at exit; nobody is in it */

/* A server at once, or NULL: s has been queued, or was refused and closed. */
struct server *pool_acquire(struct pool *p, struct session *s);
/* s waits for a server, or was refused and closed. */
void pool_wait(struct pool *p, struct session *s);
/* s no longer waits. */
void pool_forget(struct pool *p, struct session *s);
/* srv is clean and free: to whom it is due, or to the idle ones. */
void pool_release(struct pool *p, struct server *srv);
/* A server or a permit may have come free elsewhere, or servers are wanted: look again. */
void pool_look_again(struct pool *p);
/* A server of this pool ended. */
void pool_server_gone(struct pool *p);
/* A server is gone from this worker: give its permit back and post to whoever cried for it. */
void pool_permit_back(struct worker *w, struct permit *permit, unsigned owed);
/* Somebody cried for this quota: close a server that idles under it, if there is one here. */
void pool_yield(struct worker *w, struct quota *q);
/* A cry of ours was heard: look again at every pool that lacks anything. */
void pool_look_all(struct worker *w);
/* s is done with the pool for now: another session of its identity may use it. */
void pool_uncharge(struct worker *w, struct session *s);
/* s, which is closing, leaves nothing behind in servers that idle, if nobody may meet it. */
void pool_session_gone(struct session *s);
/* Clean the idle servers of all pools whose users have gone. */
void pool_clean_orphans(struct worker *w);
/* Sessions of this pool came or left. */
void pool_count_session(struct pool *p, int change);
/* The database's entry in a new site. */
void pool_follow(struct pool *p, struct database *db);
/* Replace all servers as they come free; why is static. */
void pool_reconnect(struct pool *p, const char *why);
void pool_pause(struct pool *p, bool paused);
/* What they counted, to add up. */
void pool_stats_add(struct pool_stats *to, const struct pool_stats *s);
void pool_timings_add(struct pool_timings *to, const struct pool_timings *t);
/* Paused and no server left that a session holds, but for those that replicate. */
bool pool_drained(const struct pool *p);
/* Greet s, which has just come, if it is known with what, and true, as a server has spoken lately; or refuse it, if no
 * server takes what it asks for. False: neither, it must wait. */
bool pool_greet(struct pool *p, struct session *s);
/* Nobody uses srv, or has since its last reset: all that it reports is its own. */
void pool_learn(struct server *srv);
/* srv says that this is its own value now. If it is no longer what target_session_attrs wants, all of the route are
 * replaced. */
void pool_renew(struct server *srv, const char *name, const char *value);
/* The like, when it has just logged in: it is what there was to choose. */
void pool_judge(struct server *srv);
/* A server has answered, so that what it reports is true. */
void pool_spoken(struct server *srv);
/* Has a client set anything there that newcomers are told about? Then the server's own does not show. */
bool pool_greeting_hidden(const struct server *srv);

/* Answer to a login order. */
void pool_dialled(struct dial *d, struct worker *home);

#endif
