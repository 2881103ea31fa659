/* A worker: the thread that established sessions, their pools and servers live in. */
#ifndef PGSEAL_CORE_WORKER_H
#define PGSEAL_CORE_WORKER_H

#include <pthread.h>

#include "pgseal/core/crew.h"
#include "pgseal/core/marked.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/site.h"
#include "pgseal/core/tally.h"
#include "pgseal/core/tour.h"
#include "pgseal/loop/ebb.h"

/* How long what a vanished client had asked may still run before it is cancelled. */
#define WORKER_LEAVE_GRACE_US (2 * USEC_PER_SEC)
#define WORKER_KEYS 1024

LIST_HEAD(session_list, session);

struct worker {
	size_t index;
	struct crew *crew;
	struct loop *loop;
	struct io *io;
	struct mailbox *mailbox;
	struct site *site;              /* a reference */
	struct pool *pools;             /* uthash by route */
	struct params_table *params;
	struct pstatement_table *statements;
	uint64_t next_ticket;           /* of unnamed statements */
	struct session_queue sessions;  /* all, oldest first */
	struct session_list by_key[WORKER_KEYS]; /* sessions by their cancel key */
	struct session_queue dead;      /* freed at the end of the turn */
	struct server_list dead_servers;
	struct session_queue holding;   /* for lastval(): they end in this order, or as soon as they send more */
	struct timer *hold_timer;
	struct timer *leave_timer;      /* clients that closed while a statement of theirs runs */
	struct timer *stats_timer;
	struct timer *deadline_timer;   /* see deadlines.h */
	usec_t deadline_at;             /* when it is due; 0: not armed */
	struct ebb ebb;                 /* of sessions */
	uint64_t next_id;
	uint32_t next_key;
	atomic_int load;                /* sessions: the gates pick the least */
	pthread_t thread;
	struct letter drain_order, drain_now_order, stop_order; /* control's, on the way here */
	struct letter farewell;         /* tells control that it is drained */
	bool draining;                  /* sessions end at their transaction's end */
	bool at_once;                   /* and there is no waiting for the rest */
	bool drained;                   /* said so to control */
	bool paused;                    /* PAUSE without a database: new pools too */
	struct marked_list paused_databases; /* PAUSE with one: new pools of it too */
	struct marked_list disabled_databases; /* DISABLE: nobody new */
	struct tour_list parked;        /* console requests that wait here for something */
	struct tally *tallies;          /* uthash by label of the identity */
	uint64_t closes[CLOSE_REASONS]; /* sessions that ended */
	/* Logins to servers; here, because a pool that never had a server goes with its clients. */
	uint64_t login_failures[LOGIN_FAILURES];
};

enum err worker_create(struct crew *crew, size_t index, struct site *site,
                       struct worker **out) MUST_CHECK;
enum err worker_start(struct worker *w) MUST_CHECK;
void worker_join(struct worker *w);
/* When no thread runs any more: discard what never arrived, which may belong to other workers' routes;
 * then free. */
void worker_empty(struct worker *w);
void worker_free(struct worker *w);

/* Letters from other threads. */
void worker_post(struct worker *w, struct letter *letter);
/* A session that a gate has let in, off its io: given away. */
void worker_post_session(struct worker *w, struct session *s);
struct letter *worker_site_letter(struct site *site); /* NULL: out of memory */
/* Drain: sessions end with 57P01 as they come to a transaction's end; at once: now. Control
 * is told when the last session is gone. */
void worker_post_drain(struct worker *w, bool at_once);
/* End the thread. It runs on behind a drain, for console requests that must get round. */
void worker_post_stop(struct worker *w);
/* A pool of this route may have something to do; NULL: any that lacks something. */
void worker_post_look(struct worker *w, struct route *route);
/* Somebody lacks a server for this quota: see pool_yield. */
void worker_post_yield(struct worker *w, struct quota *q);

/* The last session of an identity has ended: see pool_clean_orphans. */
void worker_post_orphans(struct worker *w);

/* s is this worker's from now on: id, key, place in the lists. */
void worker_enlist(struct worker *w, struct session *s);
struct session *worker_session(struct worker *w, uint32_t key);
struct session *worker_session_by_id(struct worker *w, uint64_t id);
/* A session or server ended: enough gone to stop? */
void worker_check_end(struct worker *w);

#endif
