/* The unnamed portal. A simple query makes one of its own, and when it fails in a transaction block, PostgreSQL
 * leaves that behind without the plan that it points to (15 does): an Execute then reads what has been
 * freed, and the crash ends the sessions of everybody. So the unnamed portal is only for those who have made
 * it by a Bind since, one that the server has carried out; for all others it does not exist, as it would not
 * had the query succeeded. */
#include "statements_priv.h"

size_t portal_need(const struct frame *frame)
{
	char type = frame->row->type;
	size_t need = type == 'B' || type == 'E' ? FRAME_HEADER + 1
	              : type == 'D'              ? FRAME_HEADER + 2
	                                         : 0;

	return need < frame->size ? need : frame->size;
}

bool portal_is_unnamed(char type, struct bytes have)
{
	const uint8_t *at = have.at + FRAME_HEADER;

	if (type == 'B' || type == 'E')
		return have.len > FRAME_HEADER && at[0] == '\0';
	return type == 'D' && have.len > FRAME_HEADER + 1 && at[0] == 'P' && at[1] == '\0';
}

/* A Bind is on its way that the server has not answered yet. */
static bool is_asked(const struct server *srv)
{
	return srv->portal_asked && (int32_t)(srv->portal_last - srv->tracker.answered) >= 0;
}

enum portal portal_find(const struct server *srv, char type, bool unnamed)
{
	if (!unnamed || type == 'B' || srv->portal_bound)
		return PORTAL_THERE;
	if (!is_asked(srv))
		return PORTAL_MISSING;
	/* If a Bind of this batch fails, so does what is behind it. */
	if ((int32_t)(srv->portal_last - srv->steps.batch) >= 0)
		return PORTAL_THERE;
	return tracker_unsure(&srv->tracker) ? PORTAL_MISSING : PORTAL_LATER;
}

void portal_forget(struct server *srv)
{
	srv->portal_bound = srv->portal_asked = srv->portal_tried = srv->portal_others = false;
}

void portal_note(struct server *srv, char type, bool unnamed, bool heeded)
{
	uint32_t place = srv->tracker.sent - 1;

	if (type == 'Q' && (heeded || tracker_unsure(&srv->tracker)))
		portal_forget(srv);
	if (type == 'B' && unnamed)
		srv->portal_tried = true;
	else if (type == 'B')
		srv->portal_others = true;
	if (type != 'B' || !unnamed || !heeded)
		return;
	if (!is_asked(srv))
		srv->portal_first = place;
	srv->portal_last = place;
	srv->portal_asked = true;
}

void portal_answered(struct server *srv, char type, uint32_t place)
{
	uint32_t answered = srv->tracker.answered;

	/* Places tell nothing, and what was thought skipped may have been heeded. */
	if (tracker_unsure(&srv->tracker)) {
		srv->portal_bound = srv->portal_bound ||
		                    (type == '2' && srv->portal_tried && !srv->portal_others);
		return;
	}
	if (!srv->portal_asked || answered == place)
		return;
	/* One of a named portal between the two tells that the first was good. */
	if (type == '2' && (int32_t)(place - srv->portal_first) >= 0 &&
	    (int32_t)(srv->portal_last - place) >= 0)
		srv->portal_bound = true;
	else if (type == 'E' && (int32_t)(srv->portal_first - answered) < 0)
		srv->portal_first = srv->portal_last;
}

enum feed_next portal_refuse(const struct about *a)
{
	struct insertion in = insertion_begin(a->srv);

	insertion_use_portal(&in, a->type, REFUSAL_PORTAL);
	return insertion_replace(&in, a);
}
