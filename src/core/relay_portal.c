/* The unnamed portal. A simple query makes one of its own, and when it fails in a transaction block, PostgreSQL
 * leaves that behind without the plan that it points to (15 does): an Execute then reads what has been
 * freed, and the crash ends the sessions of everybody. So the unnamed portal is only for those who have made
 * it by a Bind since; for all others it does not exist, as it would not had the query succeeded. */
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

bool portal_is_missing(const struct server *srv, char type, bool unnamed)
{
	return unnamed && type != 'B' && !srv->portal_bound;
}

void portal_note(struct server *srv, char type, bool unnamed)
{
	if (type == 'Q')
		srv->portal_bound = false;
	else if (type == 'B' && unnamed)
		srv->portal_bound = true;
}

enum feed_next portal_refuse(const struct about *a)
{
	struct insertion in = insertion_begin(a->srv);

	insertion_use_portal(&in, a->type, REFUSAL_PORTAL);
	return insertion_replace(&in, a);
}
