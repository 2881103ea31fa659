#include "pgseal/core/round.h"

#include "pgseal/core/gate.h"
#include "pgseal/core/worker.h"

static void send_on(struct round *r)
{
	struct crew *crew = r->crew;

	if (r->at < crew->worker_count)
		worker_post(crew->workers[r->at], &r->letter);
	else if (r->at < crew->worker_count + crew->gate_count)
		gate_post(crew->gates[r->at - crew->worker_count], &r->letter);
	else
		mailbox_post(crew->control, &r->letter);
}

/* owner: of the mailbox that it was sent to. */
static void arrive(struct letter *letter, void *owner)
{
	struct round *r = (struct round *)letter;
	struct crew *crew = r->crew;

	if (r->at < crew->worker_count) {
		r->visit_worker(r, owner);
	} else if (r->at < crew->worker_count + crew->gate_count) {
		r->visit_gate(r, owner);
	} else {
		r->come_home(r, owner);
		return;
	}
	r->at++;
	send_on(r);
}

static void discard(struct letter *letter)
{
	struct round *r = (struct round *)letter;

	r->drop(r);
}

void round_start(struct round *r)
{
	r->letter.deliver = arrive;
	r->letter.discard = discard;
	r->at = 0;
	send_on(r);
}
