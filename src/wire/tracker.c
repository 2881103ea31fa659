#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/wire/tracker.h"

#define RING_INLINE (sizeof(((struct tracker *)0)->inline_runs) / sizeof(struct tracker_run))
#define RING_HEAP 64u /* first size on the heap; sizes are powers of two */
#define COUNT_MAX ((1u << 29) - 1)

enum run_kind {
	RUN_EXT,      /* Parse, Bind, Describe, Execute, Close: each owes one terminal answer */
	RUN_QUERY,    /* results, then ReadyForQuery */
	RUN_CALL,     /* FunctionCallResponse, then ReadyForQuery */
	RUN_SYNC,     /* ReadyForQuery */
	RUN_COPY_END, /* CopyDone or CopyFail that the server may find inside a COPY or outside */
};
#define HEAD(kind) (1u << (kind))

/* --- ring ---
 * A COPY_END is never at the front: what stood before it is answered then, so the server has read
 * past it and found it outside of COPY, where it is ignored. */

static struct tracker_run *run_at(struct tracker *t, uint32_t i)
{
	struct tracker_run *ring = t->runs != NULL ? t->runs : t->inline_runs;

	return &ring[(t->head + i) & (t->cap - 1)];
}

static void ring_reset(struct tracker *t)
{
	free(t->runs); /* a burst is over: give the memory back */
	t->runs = NULL;
	t->head = t->len = t->commands = t->queries = 0;
	t->cap = RING_INLINE;
}

static enum err ring_grow(struct tracker *t)
{
	uint32_t cap = t->runs == NULL ? RING_HEAP : t->cap * 2;
	struct tracker_run *runs = malloc(cap * sizeof(*runs));

	if (runs == NULL)
		return ERR_NO_MEMORY;
	for (uint32_t i = 0; i < t->len; i++)
		runs[i] = *run_at(t, i);
	free(t->runs);
	t->runs = runs;
	t->head = 0;
	t->cap = cap;
	return ERR_OK;
}

/* It owes a ReadyForQuery. */
static bool is_command(const struct tracker_run *run)
{
	return run->kind != RUN_EXT && run->kind != RUN_COPY_END;
}

/* It is one more, or one less, of those that are owed. */
static void account(struct tracker *t, const struct tracker_run *run, uint32_t by)
{
	if (is_command(run))
		t->commands += by;
	if (run->kind == RUN_QUERY)
		t->queries += by;
}

static enum err push(struct tracker *t, enum run_kind kind)
{
	struct tracker_run *last = t->len > 0 ? run_at(t, t->len - 1) : NULL;
	enum err rc;

	if (last != NULL && last->kind == kind && last->count < COUNT_MAX) {
		last->count++;
		return ERR_OK;
	}
	if (t->len == t->cap && (rc = ring_grow(t)) != ERR_OK)
		return rc;
	*run_at(t, t->len) = (struct tracker_run){ .kind = kind & 7u, .count = 1 };
	account(t, run_at(t, t->len), 1);
	t->len++;
	return ERR_OK;
}

static void pop_run(struct tracker *t)
{
	do {
		account(t, run_at(t, 0), (uint32_t)-1);
		t->head = (t->head + 1) & (t->cap - 1);
		t->len--;
	} while (t->len > 0 && run_at(t, 0)->kind == RUN_COPY_END);
	if (t->len == 0)
		ring_reset(t);
}

/* One unit of the front run is answered. */
static void pop_unit(struct tracker *t)
{
	struct tracker_run *front = run_at(t, 0);

	if (front->kind == RUN_EXT)
		t->answered++;
	if (front->count > 1)
		front->count--;
	else
		pop_run(t);
}

/* The front stays, the n runs behind it go. */
static void drop_behind_front(struct tracker *t, uint32_t n)
{
	for (uint32_t i = 1; i <= n; i++)
		account(t, run_at(t, i), (uint32_t)-1);
	*run_at(t, n) = *run_at(t, 0);
	t->head = (t->head + n) & (t->cap - 1);
	t->len -= n;
}

/* HEAD() of the front run, 0 when nothing is owed. */
static unsigned front_of(struct tracker *t)
{
	return t->len > 0 ? HEAD(run_at(t, 0)->kind) : 0;
}

/* --- state --- */

void tracker_init(struct tracker *t)
{
	*t = (struct tracker){ .cap = RING_INLINE, .status = 'I' };
}

void tracker_fini(struct tracker *t)
{
	ring_reset(t);
}

bool tracker_unsure(const struct tracker *t)
{
	return t->doubtful || t->lost;
}

/* Would the server meet this CopyData, CopyDone or CopyFail inside of something? */
static bool copy_message_matters(const struct tracker *t)
{
	return t->copy_active || t->len > 0 || tracker_unsure(t);
}

/* COPY is over. Syncs sent meanwhile were swallowed if the server read up to the client's end of it
 * (certain); else it may have stopped reading before any of them, and will answer those. */
static void copy_over(struct tracker *t, bool certain)
{
	if (t->dropped_syncs > 0 && !certain)
		t->doubtful = true;
	t->dropped_syncs = 0;
	t->copy_in = false;
	t->copy_active = false;
}

/* --- from the client --- */

/* Nothing but CopyData, its end, Flush and Sync may come while the server reads a COPY. */
static void check_copy_rules(struct tracker *t)
{
	if (t->copy_in)
		t->lost = true;
}

static enum err client_extended(struct tracker *t)
{
	enum err rc = t->skipping ? ERR_OK : push(t, RUN_EXT);

	if (rc != ERR_OK)
		return rc;
	if (!t->skipping)
		t->sent++;
	check_copy_rules(t);
	t->batch_open = true;
	t->flushed = false;
	return ERR_OK;
}

static enum err client_command(struct tracker *t, enum run_kind kind)
{
	enum err rc;

	if (t->skipping)
		return ERR_OK; /* ignored like everything up to Sync */
	if ((rc = push(t, kind)) != ERR_OK)
		return rc;
	check_copy_rules(t);
	t->batch_open = false; /* it commits what the batch did */
	return ERR_OK;
}

static enum err client_sync(struct tracker *t)
{
	enum err rc;

	if (t->copy_in) {
		if (t->dropped_syncs < UINT32_MAX)
			t->dropped_syncs++;
		return ERR_OK;
	}
	if ((rc = push(t, RUN_SYNC)) != ERR_OK)
		return rc;
	t->batch_open = false;
	t->skipping = false;
	return ERR_OK;
}

static enum err client_copy_end(struct tracker *t)
{
	if (t->copy_in) {
		t->copy_in = false;
		return ERR_OK;
	}
	return t->len > 0 ? push(t, RUN_COPY_END) : ERR_OK;
}

enum err tracker_from_client(struct tracker *t, char type, enum tracker_client *out)
{
	enum tracker_client what = TRACK_FORWARD;
	enum err rc = ERR_OK;

	switch (type) {
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		rc = client_extended(t);
		break;
	case 'Q':
		rc = client_command(t, RUN_QUERY);
		break;
	case 'F':
		rc = client_command(t, RUN_CALL);
		break;
	case 'S':
		rc = client_sync(t);
		break;
	case 'H':
		t->flushed = true;
		break;
	case 'd':
	case 'c':
	case 'f':
		if (!copy_message_matters(t))
			what = TRACK_SWALLOW;
		else if (type != 'd')
			rc = client_copy_end(t);
		break;
	case 'X':
		what = TRACK_LEAVE;
		break;
	default:
		rc = ERR_WIRE_TYPE;
	}
	if (rc == ERR_OK)
		*out = what;
	return rc;
}

bool tracker_needs_server(const struct tracker *t, char type)
{
	switch (type) {
	case 'd':
	case 'c':
	case 'f':
		return copy_message_matters(t);
	case 'H':
		return t->batch_open || t->skipping || copy_message_matters(t);
	case 'X':
		return false;
	default:
		return true;
	}
}

/* --- from the server --- */

static enum err take_nothing(struct tracker *t, char status)
{
	(void)t;
	(void)status;
	return ERR_OK;
}

/* The one answer that an extended message owes; below a Query merely a part of the results. */
static enum err take_terminal(struct tracker *t, char status)
{
	(void)status;
	if (front_of(t) == HEAD(RUN_EXT))
		pop_unit(t);
	return ERR_OK;
}

static enum err take_complete(struct tracker *t, char status)
{
	copy_over(t, !t->copy_in); /* one that needs no end of COPY may have left Syncs unread */
	return take_terminal(t, status);
}

/* Is the last message sent, ends of COPY aside, one of an extended batch? */
static bool ends_in_batch(struct tracker *t)
{
	uint32_t i = t->len;

	while (i > 0 && run_at(t, i - 1)->kind == RUN_COPY_END)
		i--;
	return i > 0 && run_at(t, i - 1)->kind == RUN_EXT;
}

/* The server reads a COPY now. What the client sent ahead is read there, not where we thought:
 * Syncs are swallowed up to the first end of COPY; anything else is a breach. */
static enum err take_copy_in(struct tracker *t, char status)
{
	uint32_t i = 1;

	(void)status;
	t->copy_active = true;
	t->copy_in = true;
	if (tracker_unsure(t)) { /* whose COPY this is we cannot tell, nor what it reads */
		t->lost = true;
		return ERR_OK;
	}
	if (run_at(t, 0)->count > 1)
		t->lost = true;
	for (; i < t->len && run_at(t, i)->kind == RUN_SYNC; i++)
		t->dropped_syncs += run_at(t, i)->count;
	if (i < t->len && run_at(t, i)->kind == RUN_COPY_END) {
		t->copy_in = false;
		if (--run_at(t, i)->count == 0)
			i++;
	} else if (i < t->len) {
		t->lost = true;
	}
	drop_behind_front(t, i - 1);
	if (ends_in_batch(t))
		t->batch_open = true; /* the Sync that closed it was swallowed */
	return ERR_OK;
}

static enum err take_copy_out(struct tracker *t, char status)
{
	(void)status;
	t->copy_active = true;
	return ERR_OK;
}

/* Replication: both sides stream, and it ends in ways not followed here. */
static enum err take_copy_both(struct tracker *t, char status)
{
	(void)status;
	t->copy_active = true;
	t->lost = true;
	return ERR_OK;
}

/* The server ignores everything up to the next Sync, commands that owe a ReadyForQuery included.
 * In doubt this may be wrong: a ReadyForQuery then ends it. To believe that too little is owed is
 * safe, the barrier finds out; to wait for what never comes would be for ever. */
static void skip_to_sync(struct tracker *t)
{
	while (t->len > 0 && front_of(t) != HEAD(RUN_SYNC)) {
		if (front_of(t) == HEAD(RUN_EXT))
			t->answered += run_at(t, 0)->count;
		pop_run(t);
	}
	if (t->len == 0)
		t->skipping = true;
}

static enum err take_error(struct tracker *t, char status)
{
	unsigned front = front_of(t);
	bool in_batch = front == HEAD(RUN_EXT) || (front == 0 && t->batch_open);
	bool guess = tracker_unsure(t);

	(void)status;
	copy_over(t, false);
	if (in_batch || guess)
		skip_to_sync(t);
	if (guess)
		return ERR_OK;
	if (in_batch && t->skipping)
		t->batch_open = false; /* as good as closed: nothing of it will be answered */
	else if (front == 0)
		t->lost = true; /* FATAL: the server is about to close */
	return ERR_OK;          /* behind Query, FunctionCall and Sync ReadyForQuery follows */
}

static enum err take_ready(struct tracker *t, char status)
{
	unsigned front = front_of(t);

	if (status != 'I' && status != 'T' && status != 'E')
		return ERR_WIRE_TYPE;
	/* A Sync cannot be answered before the extended messages ahead of it. In doubt this is the
	 * answer to one that was thought swallowed. */
	if ((front == 0 || front == HEAD(RUN_EXT)) && !tracker_unsure(t))
		return ERR_WIRE_TYPE;
	copy_over(t, false);
	if (front == 0)
		t->skipping = false;
	else if (front != HEAD(RUN_EXT))
		pop_unit(t);
	t->status = status;
	return ERR_OK;
}

#define ANY 0u
#define EXT HEAD(RUN_EXT)
#define RESULTS (HEAD(RUN_EXT) | HEAD(RUN_QUERY))

static const struct answer_row {
	enum err (*take)(struct tracker *t, char status); /* NULL: no such message */
	unsigned fronts; /* what must be owed first; ANY: judged by take */
} answers[128] = {
	['1'] = { take_terminal, EXT },
	['2'] = { take_terminal, EXT },
	['3'] = { take_terminal, EXT },
	['A'] = { take_nothing, ANY },
	['C'] = { take_complete, RESULTS },
	['D'] = { take_nothing, RESULTS },
	['E'] = { take_error, ANY },
	['G'] = { take_copy_in, RESULTS },
	['H'] = { take_copy_out, RESULTS },
	['I'] = { take_terminal, RESULTS },
	['N'] = { take_nothing, ANY },
	['S'] = { take_nothing, ANY },
	['T'] = { take_terminal, RESULTS }, /* Describe's; Execute sends none */
	['V'] = { take_nothing, HEAD(RUN_CALL) },
	['W'] = { take_copy_both, RESULTS },
	['Z'] = { take_ready, ANY },
	['c'] = { take_nothing, RESULTS },
	['d'] = { take_nothing, RESULTS },
	['n'] = { take_terminal, EXT },
	['s'] = { take_terminal, EXT },
	['t'] = { take_nothing, EXT }, /* RowDescription or NoData follows */
};

enum err tracker_from_server(struct tracker *t, char type, char status)
{
	unsigned at = (unsigned char)type;
	const struct answer_row *row;

	if (at >= sizeof(answers) / sizeof(answers[0]) || answers[at].take == NULL)
		return ERR_WIRE_TYPE;
	row = &answers[at];
	if (row->fronts != ANY && (front_of(t) & row->fronts) == 0 && !tracker_unsure(t))
		return ERR_WIRE_TYPE;
	return row->take(t, status);
}

/* --- verdicts --- */

bool tracker_quiet(const struct tracker *t)
{
	return t->len == 0 && !t->copy_active;
}

/* Between batches and queries. */
static bool rests(const struct tracker *t)
{
	return tracker_quiet(t) && !t->batch_open && !t->skipping && !t->copy_in && !t->lost;
}

bool tracker_idle(const struct tracker *t)
{
	return rests(t) && t->status == 'I' && !t->doubtful;
}

bool tracker_wants_barrier(const struct tracker *t)
{
	return rests(t) && t->doubtful;
}

void tracker_barrier_passed(struct tracker *t)
{
	assert(t->len == 0); /* nothing was sent meanwhile */
	t->doubtful = false;
	t->skipping = false;
	copy_over(t, true);
}

static const struct tracker_run *peek(const struct tracker *t, uint32_t i)
{
	const struct tracker_run *ring = t->runs != NULL ? t->runs : t->inline_runs;

	return &ring[(t->head + i) & (t->cap - 1)];
}

bool tracker_stalls(const struct tracker *t)
{
	return t->copy_in || (t->commands == 0 && !t->flushed);
}

bool tracker_ending(const struct tracker *t)
{
	return t->len == 0 ||
	       (t->len == 1 && peek(t, 0)->kind != RUN_EXT && peek(t, 0)->count == 1);
}

bool tracker_in_batch(const struct tracker *t)
{
	return t->commands == 0;
}

bool tracker_last_command(const struct tracker *t)
{
	const struct tracker_run *last = t->len > 0 ? peek(t, t->len - 1) : NULL;

	return t->commands == 1 && is_command(last) && last->count == 1 && !t->batch_open;
}

bool tracker_settles(const struct tracker *t)
{
	return t->doubtful && !t->lost && !t->batch_open && !t->skipping && !t->copy_in;
}

bool tracker_owes_query(const struct tracker *t)
{
	return t->queries > 0;
}

bool tracker_at_query(const struct tracker *t)
{
	return t->len > 0 && peek(t, 0)->kind == RUN_QUERY;
}

bool tracker_at_extended(const struct tracker *t)
{
	return t->len > 0 && peek(t, 0)->kind == RUN_EXT;
}

bool tracker_full(const struct tracker *t)
{
	return t->len >= TRACKER_RUNS_MAX;
}
