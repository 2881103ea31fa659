/* What must hold whenever the tracker is asked. */
#include <string.h>

#include "unit/tracker_model.h"

void model_fail(struct model *m, const char *why)
{
	if (m->failed == NULL)
		m->failed = why;
}

/* Does q hold anything but these? */
static bool holds_other(const struct model_queue *q, const char *these)
{
	for (unsigned i = 0; i < q->len; i++) {
		if (strchr(these, q->at[q->head + i]) == NULL)
			return true;
	}
	return false;
}

/* Is anything in q about one of these? */
static bool holds_about(const struct model_queue *q, unsigned kinds)
{
	for (unsigned i = 0; i < q->len; i++) {
		if ((kinds & 1u << q->about[q->head + i].kind) != 0)
			return true;
	}
	return false;
}

void model_check_answer(struct model *m, char type, struct model_subject about)
{
	const struct tracker *t = &m->tracker;
	bool extended = about.kind == ABOUT_EXTENDED;

	if (t->doubtful || t->lost || strchr("ANS", type) != NULL)
		return;
	if (tracker_at_query(t) != (about.kind == ABOUT_QUERY))
		model_fail(m, "at a query, or not");
	if (tracker_at_extended(t) != extended)
		model_fail(m, "at an extended message, or not");
	if (extended && t->answered != about.place)
		model_fail(m, "at another place");
	m->times_placed += extended;
}

/* Whatever the tracker calls idle must be safe to lend: this is what it is all about. */
static void check_idle(struct model *m)
{
	m->times_idle++;
	if (m->dead || m->copying || m->skipping || m->batch || m->transaction != 'I')
		model_fail(m, "idle, but the backend is not at rest");
	if (holds_other(&m->out, "ANS"))
		model_fail(m, "idle, but answers are on their way");
	if (holds_other(&m->in, "dcfH"))
		model_fail(m, "idle, but messages are unread");
}

static void check_quiet(struct model *m)
{
	if (m->dead || m->copying)
		model_fail(m, "quiet, but the backend is not");
	if (holds_other(&m->out, "ANS"))
		model_fail(m, "quiet, but answers are on their way");
	if (m->tracker.skipping ? !holds_other(&m->in, "PBDECQFHdcfr")
	                        : !holds_other(&m->in, "dcfH"))
		return;
	model_fail(m, "quiet, but messages are unread");
}

/* What is owed to queries, and to batches before the one that is open. */
static void check_batch(struct model *m)
{
	const unsigned query = 1u << ABOUT_QUERY, ends = query | 1u << ABOUT_SYNC;
	const struct tracker *t = &m->tracker;
	bool in_copy = m->copying && m->about.kind == ABOUT_QUERY;

	if (!tracker_owes_query(t) &&
	    (in_copy || holds_about(&m->in, query) || holds_about(&m->out, query)))
		model_fail(m, "a query is on its way");
	/* in a COPY the Syncs that are unread are as good as gone */
	if (tracker_in_batch(t) && !t->copy_active &&
	    (in_copy || holds_about(&m->in, ends) || holds_about(&m->out, ends)))
		model_fail(m, "an earlier batch is on its way");
	m->times_behind += !tracker_in_batch(t);
	if ((tracker_owes_query(t) || !tracker_in_batch(t)) && m->in.len + m->out.len == 0 &&
	    !m->copying)
		model_fail(m, "nothing is on its way");
}

static void check_counts(struct model *m)
{
	const struct tracker *t = &m->tracker;
	int32_t owed = (int32_t)(t->sent - t->answered);

	if (owed < 0)
		model_fail(m, "more answered than sent");
	if (tracker_quiet(t) ? owed != 0 : tracker_at_extended(t) && owed == 0)
		model_fail(m, "sent and answered do not add up");
	if (tracker_at_query(t) && (tracker_in_batch(t) || !tracker_owes_query(t)))
		model_fail(m, "at a query that is not owed");
}

void model_check(struct model *m)
{
	const struct tracker *t = &m->tracker;

	if (tracker_idle(t))
		check_idle(m);
	if (tracker_quiet(t) && !t->doubtful && !t->lost)
		check_quiet(m);
	if (tracker_idle(t) && tracker_wants_barrier(t))
		model_fail(m, "idle and in doubt");
	if (t->len > t->cap)
		model_fail(m, "ring overrun");
	check_counts(m);
	if (!t->doubtful && !t->lost && !m->dice->used_up)
		check_batch(m);
}
