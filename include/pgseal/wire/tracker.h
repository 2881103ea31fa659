/* Where a conversation stands: what the client has asked, what the server still owes, and when the
 * server may be lent to somebody else. protocol: Message Flow (Simple Query, Extended Query,
 * Pipelining, Function Call, COPY Operations). Pure bookkeeping: types and counts, no I/O.
 *
 * The queue holds runs: n extended-protocol messages that each owe one terminal answer, or n of the
 * messages that owe a ReadyForQuery (Query, FunctionCall, Sync), or the end of a COPY that the client
 * sent ahead of the server's CopyInResponse. */
#ifndef PGSEAL_WIRE_TRACKER_H
#define PGSEAL_WIRE_TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"

#define TRACKER_RUNS_MAX 65536u /* the caller stops reading the client at tracker_full() */

struct tracker_run {
	uint32_t kind : 3; /* enum in tracker.c */
	uint32_t count : 29;
};

struct tracker {
	struct tracker_run inline_runs[4];
	struct tracker_run *runs; /* NULL: inline_runs is the ring; owned */
	uint32_t head, len, cap;
	uint32_t commands;      /* runs among them that owe a ReadyForQuery */
	uint32_t queries;       /* and of these, those of simple queries */
	uint32_t dropped_syncs; /* Syncs the server may have swallowed during this COPY */
	/* Extended messages that owe an answer: sent so far, and answered or skipped. Both wrap. */
	uint32_t sent, answered;
	char status;            /* of the last ReadyForQuery: 'I', 'T', 'E' */
	bool batch_open;        /* extended messages sent, no Sync behind them yet */
	bool flushed;           /* nor any since the last Flush: their answers come without one */
	bool skipping;          /* an error: the server ignores all until a Sync not yet sent */
	bool copy_in;           /* server reads CopyData; the client has not ended it */
	bool copy_active;       /* between Copy*Response and its CommandComplete or error */
	bool doubtful;          /* the number of ReadyForQuery to come is not certain */
	bool lost;              /* rules broken inside COPY, COPY while doubtful, CopyBoth, or an
	                         * error that answers nothing: never lend this server */
};

void tracker_init(struct tracker *t); /* as behind a fresh ReadyForQuery 'I' */
void tracker_fini(struct tracker *t); /* frees; init again before further use */

enum tracker_client {
	TRACK_FORWARD, /* send it to the server */
	TRACK_SWALLOW, /* late CopyData/CopyDone/CopyFail behind a finished COPY: drop it */
	TRACK_LEAVE,   /* Terminate */
};
/* A message of this type from the client is about to be forwarded. ERR_NO_MEMORY changes nothing,
 * ERR_WIRE_TYPE: no message of a session. */
enum err tracker_from_client(struct tracker *t, char type, enum tracker_client *out) MUST_CHECK;

/* Would this message need a server? false for late COPY messages, for Flush with nothing open (a
 * server that holds no batch of ours has nothing to flush) and for Terminate. */
bool tracker_needs_server(const struct tracker *t, char type);

/* A message from the server; status only for 'Z'. ERR_WIRE_TYPE: an answer nobody asked for, or a
 * transaction status that does not exist: the server talks nonsense, close it. Never for 'E', which
 * may come at any time (FATAL); while doubtful or lost, answers are not held against the queue. */
enum err tracker_from_server(struct tracker *t, char type, char status) MUST_CHECK;

/* What is owed is a guess, and which answer belongs to what: a COPY went wrong, or rules were broken. */
bool tracker_unsure(const struct tracker *t);
/* Nothing owed, no batch or COPY open, not in a transaction block, no doubt: may be lent. Messages
 * count from their headers on: the caller must also have passed on the whole of the last one. */
bool tracker_idle(const struct tracker *t);
/* Nothing owed by the server for now (it may still be in a transaction block or doubtful). */
bool tracker_quiet(const struct tracker *t);
/* As quiet, nothing is open but perhaps a transaction block, and there is doubt: ask the server with a
 * barrier, a Sync and behind it something whose answer cannot be mistaken for anything else. (The Sync,
 * because in doubt the server may even be ignoring everything up to one; its own answer proves
 * nothing.) The barrier
 * does not go through tracker_from_client, and until it is answered nothing of the client's may;
 * all that the server sends, answers to the barrier included, goes through tracker_from_server. */
bool tracker_wants_barrier(const struct tracker *t);
/* The barrier's ReadyForQuery came, and tracker_from_server has seen it: nothing is owed. */
void tracker_barrier_passed(struct tracker *t);
/* What it still owes does not come unless the client sends more: the end of a COPY, a Sync or a Flush. */
bool tracker_stalls(const struct tracker *t);
/* The server owes no more than the end of what it is at: one ReadyForQuery, or nothing before the
 * client's next Sync. */
bool tracker_ending(const struct tracker *t);
bool tracker_full(const struct tracker *t);
/* All that is owed is of the batch that is open now: whatever came before it has been answered. */
bool tracker_in_batch(const struct tracker *t);
/* Of commands, which owe a ReadyForQuery, no more than one is, and nothing was sent after it. */
bool tracker_last_command(const struct tracker *t);
/* In doubt, but on the way to where a barrier can end that, by itself. */
bool tracker_settles(const struct tracker *t);
/* A simple query has been sent whose end has not come yet. */
bool tracker_owes_query(const struct tracker *t);
/* What the server says next is about a simple query; about the extended message whose place is
 * t->answered. */
bool tracker_at_query(const struct tracker *t);
bool tracker_at_extended(const struct tracker *t);

#endif
