#include <string.h>

#include "unit/tracker_model.h"

#define END_TRANSACTION 'r' /* a Query that the backend takes for ROLLBACK */
#define BARRIER 'b'         /* a Query of the pool's; its answer is led by its name */

static unsigned roll(struct model *m, unsigned n)
{
	return m->dice->roll(m->dice, n);
}

static bool one_in(struct model *m, unsigned n)
{
	return roll(m, n) == 0;
}

static void note(struct model *m, char what, char type)
{
	if (m->written + 3 >= sizeof(m->journal))
		return;
	m->journal[m->written++] = what;
	m->journal[m->written++] = type;
	m->journal[m->written] = '\0';
}

/* --- queues --- */

static void put(struct model *m, struct model_queue *q, char c, struct model_subject about)
{
	unsigned at = q->head + q->len;

	if (at == MODEL_QUEUE) {
		m->dice->used_up = true;
		return;
	}
	q->at[at] = c;
	q->about[at] = about;
	q->len++;
}

static char take(struct model_queue *q)
{
	char c = q->at[q->head++];

	if (--q->len == 0)
		q->head = 0;
	return c;
}

/* --- backend --- */

static void answer(struct model *m, char c)
{
	put(m, &m->out, c, m->about);
}

static void say(struct model *m, const char *types)
{
	for (; *types != '\0'; types++)
		answer(m, *types);
}

/* Nobody will hear of what has been sent up to the next Sync. */
static void skip(struct model *m)
{
	struct model_queue *q = &m->in;

	m->skipping = true;
	for (unsigned i = 0; i < q->len && q->at[q->head + i] != 'S'; i++)
		q->about[q->head + i].kind = ABOUT_NOTHING;
}

static void ready(struct model *m)
{
	m->batch = false;
	m->statements = 0;
	answer(m, 'Z');
	answer(m, m->transaction);
}

static void error(struct model *m)
{
	say(m, "E");
	if (m->transaction == 'T')
		m->transaction = 'E';
	m->copying = false;
	m->batch = false;
	if (m->extended)
		skip(m);
	else
		ready(m);
}

/* A command that ended well may have begun or ended a transaction block. */
static void complete(struct model *m)
{
	say(m, "C");
	if (one_in(m, 4))
		m->transaction = m->transaction == 'I' ? 'T' : 'I';
}

/* COPY FROM STDIN makes sense unless the client has already sent what would break it. */
static bool may_copy(struct model *m)
{
	for (unsigned i = 0; i < m->in.len; i++) {
		char c = m->in.at[m->in.head + i];

		if (c == 'c' || c == 'f')
			return true;
		if (strchr("dSH", c) == NULL)
			return one_in(m, 30);
	}
	return true;
}

/* False: an error, or a COPY that needs input. */
static bool run_statement(struct model *m)
{
	static const char *const results[] = { "", "D", "DDD", "", "N", "S" };

	if (one_in(m, 6)) {
		error(m);
		return false;
	}
	switch (roll(m, 5)) {
	case 0:
		if (!may_copy(m))
			break;
		say(m, "G");
		m->copying = true;
		if (one_in(m, 5)) /* a trigger, before anything is read */
			error(m);
		return false;
	case 1:
		say(m, "Hddc");
		break;
	default:
		say(m, m->extended ? "" : "T");
		say(m, results[roll(m, 6)]);
	}
	complete(m);
	return true;
}

static void run_query(struct model *m)
{
	while (m->statements > 0) {
		m->statements--;
		if (!run_statement(m))
			return;
	}
	ready(m);
}

static void query(struct model *m)
{
	if (one_in(m, 10)) {
		say(m, "I");
		ready(m);
		return;
	}
	m->statements = 1 + roll(m, 3);
	run_query(m);
}

static void execute(struct model *m)
{
	switch (roll(m, 6)) {
	case 0:
		say(m, "Ds");
		break;
	case 1:
		say(m, "I");
		break;
	default:
		(void)run_statement(m);
	}
}

static void read_in_copy(struct model *m, char type)
{
	switch (type) {
	case 'S':
	case 'H':
		break;
	case 'd':
		if (one_in(m, 8))
			error(m);
		break;
	case 'f':
		error(m);
		break;
	case 'c':
		if (one_in(m, 8)) { /* a constraint */
			error(m);
			break;
		}
		m->copying = false;
		complete(m);
		if (!m->extended)
			run_query(m);
		break;
	default: /* protocol synchronization was lost: FATAL */
		say(m, "E");
		m->dead = true;
	}
}

static void extended(struct model *m, char type)
{
	m->batch = true;
	if (one_in(m, 12)) {
		error(m);
		return;
	}
	switch (type) {
	case 'P':
		say(m, "1");
		break;
	case 'B':
		say(m, "2");
		break;
	case 'C':
		say(m, "3");
		break;
	case 'D':
		say(m, one_in(m, 2) ? "t" : "");
		say(m, one_in(m, 2) ? "T" : "n");
		break;
	default:
		execute(m);
	}
}

static void end_of_transaction(struct model *m)
{
	m->transaction = 'I';
	say(m, "C");
	ready(m);
}

static void read_at_top(struct model *m, char type)
{
	m->extended = strchr("PBDECH", type) != NULL;
	if (type == 'S')
		m->skipping = false;
	if (m->skipping)
		return;
	/* statement_timeout strikes between the messages of a batch, too. When it strikes at Flush with
	 * a Query behind it, nobody can tell whose the error is; the server is given up then. */
	if (m->batch && strchr("Hdcf", type) == NULL && one_in(m, 25)) {
		error(m);
		return;
	}
	switch (type) {
	case 'Q':
		query(m);
		break;
	case 'F':
		say(m, one_in(m, 4) ? "E" : "V");
		ready(m);
		break;
	case 'S':
		if (m->batch && one_in(m, 10))
			say(m, "E"); /* a deferred constraint */
		ready(m);
		break;
	case END_TRANSACTION:
		end_of_transaction(m);
		break;
	case BARRIER:
		answer(m, BARRIER);
		say(m, "TDC");
		ready(m);
		break;
	case 'H':
	case 'd':
	case 'c':
	case 'f':
		break;
	default:
		extended(m, type);
	}
}

static void backend_step(struct model *m)
{
	char type;

	if (m->in.len == 0 || m->dead)
		return;
	if (!m->copying) /* else it is still about the COPY */
		m->about = m->in.about[m->in.head];
	type = take(&m->in);
	note(m, '(', type);
	if (m->copying)
		read_in_copy(m, type);
	else
		read_at_top(m, type);
	if (one_in(m, 20))
		put(m, &m->out, 'A', (struct model_subject){ ABOUT_NOTHING, 0 });
}

/* --- the two sides of the tracker --- */

static struct model_subject subject_of(const struct model *m, char type)
{
	struct model_subject about = { ABOUT_NOTHING, m->tracker.sent };

	if (strchr("PBDEC", type) != NULL)
		about.kind = ABOUT_EXTENDED;
	else if (type == 'Q' || type == END_TRANSACTION)
		about.kind = ABOUT_QUERY;
	else if (type == 'S' || type == 'F')
		about.kind = ABOUT_SYNC;
	if (m->skipping && type != 'S' && memchr(&m->in.at[m->in.head], 'S', m->in.len) == NULL)
		about.kind = ABOUT_NOTHING;
	return about;
}

static void client_sends(struct model *m, char type)
{
	struct model_subject about = subject_of(m, type);
	enum tracker_client what;

	if (tracker_from_client(&m->tracker, type == END_TRANSACTION ? 'Q' : type, &what) != ERR_OK)
		model_fail(m, "a message of the client's was refused");
	else if (what == TRACK_FORWARD)
		put(m, &m->in, type, about);
	note(m, what == TRACK_FORWARD ? '>' : '~', type);
}

static void client_step(struct model *m)
{
	static const char anything[] = "PPBBDEEEECQQQFSSSSSSHdcf";
	static const char in_copy[] = "ddddSHcccf";

	if (m->tracker.copy_in && !one_in(m, 40))
		client_sends(m, in_copy[roll(m, sizeof(in_copy) - 1)]);
	else if (m->tracker.status != 'I' && one_in(m, 6))
		client_sends(m, END_TRANSACTION);
	else
		client_sends(m, anything[roll(m, sizeof(anything) - 1)]);
}

/* False: that was the beginning of the answer to the barrier. */
static bool tracker_sees(struct model *m)
{
	struct model_subject about = m->out.about[m->out.head];
	char type, status = 0;

	if (m->out.len == 0)
		return true;
	type = take(&m->out);
	note(m, '<', type);
	if (type == BARRIER)
		return false;
	if (type == 'Z')
		status = take(&m->out);
	model_check_answer(m, type, about);
	if (tracker_from_server(&m->tracker, type, status) != ERR_OK)
		model_fail(m, "a true answer was refused");
	return true;
}

/* --- episodes --- */

/* The pool asks; the client waits meanwhile. */
static void barrier(struct model *m)
{
	bool waiting = true;

	m->barriers++;
	put(m, &m->in, 'S', (struct model_subject){ ABOUT_SYNC, 0 });
	put(m, &m->in, BARRIER, (struct model_subject){ ABOUT_NOTHING, 0 });
	while (waiting && (m->in.len > 0 || m->out.len > 0) && !m->dead) {
		backend_step(m);
		while (waiting && m->out.len > 0)
			waiting = tracker_sees(m);
	}
	if (m->dead || m->dice->used_up)
		return;
	if (waiting)
		model_fail(m, "the barrier is never answered");
	while (m->out.len > 0)
		(void)tracker_sees(m);
	if (m->tracker.len > 0)
		model_fail(m, "something is owed behind the barrier");
	else
		tracker_barrier_passed(&m->tracker);
}

/* Everything is read and answered, and the client closes what it opened: idle must come. */
static void drain(struct model *m)
{
	const struct tracker *t = &m->tracker;

	for (int round = 0; round < 200 && m->failed == NULL && !m->dead; round++) {
		while (m->in.len > 0 && !m->dead)
			backend_step(m);
		while (m->out.len > 0)
			(void)tracker_sees(m);
		model_check(m);
		if (tracker_idle(t) || t->lost || m->dice->used_up)
			return;
		if (t->copy_in)
			client_sends(m, 'c');
		else if (t->batch_open || t->skipping)
			client_sends(m, 'S');
		else if (tracker_wants_barrier(t))
			barrier(m);
		else
			client_sends(m, END_TRANSACTION);
	}
	if (!m->dead)
		model_fail(m, "never idle again");
}

bool model_run(struct model *m, struct model_dice *dice, unsigned steps)
{
	*m = (struct model){ .dice = dice, .transaction = 'I' };
	tracker_init(&m->tracker);
	m->tracker.sent = m->tracker.answered = UINT32_MAX - 3; /* they wrap */
	for (unsigned i = 0; i < steps && m->failed == NULL && !m->dead && !dice->used_up; i++) {
		switch (roll(m, 3)) {
		case 0:
			client_step(m);
			break;
		case 1:
			backend_step(m);
			break;
		default:
			(void)tracker_sees(m);
		}
		if (tracker_wants_barrier(&m->tracker) && one_in(m, 2))
			barrier(m);
		model_check(m);
	}
	if (!dice->used_up && m->failed == NULL)
		drain(m);
	tracker_fini(&m->tracker);
	return m->failed == NULL;
}
