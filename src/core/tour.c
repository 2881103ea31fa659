/* Requests of the console on their way through the workers. */
#include "pgseal/core/tour.h"

#include "pgseal/core/worker.h"

static void tour_step(struct tour *t, struct worker *w);

static void tour_arrive(struct letter *letter, void *owner)
{
	tour_step((struct tour *)letter, owner);
}

static void tour_discard(struct letter *letter)
{
	struct tour *t = (struct tour *)letter;

	t->drop(t);
}

static void tour_step(struct tour *t, struct worker *w)
{
	if (t->at == t->crew->worker_count) {
		t->come_home(t, w, worker_session_by_id(w, t->session_id));
		return;
	}
	if (!t->visit(t, w)) {
		STAILQ_INSERT_TAIL(&w->parked, t, link);
		return;
	}
	t->at++;
	worker_post(t->crew->workers[t->at < t->crew->worker_count ? t->at : t->home], &t->letter);
}

void tour_start(struct tour *t)
{
	t->letter.deliver = tour_arrive;
	t->letter.discard = tour_discard;
	t->at = 0;
	worker_post(t->crew->workers[0], &t->letter);
}

void tour_revisit(struct worker *w)
{
	STAILQ_HEAD(, tour) again = STAILQ_HEAD_INITIALIZER(again);
	struct tour *t;

	if (STAILQ_EMPTY(&w->parked))
		return;
	STAILQ_CONCAT(&again, &w->parked);
	while ((t = STAILQ_FIRST(&again)) != NULL) {
		STAILQ_REMOVE_HEAD(&again, link);
		tour_step(t, w);
	}
}
