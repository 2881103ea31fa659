/* Requests of the console on their way through the workers. */
#include "pgseal/core/tour.h"

#include <stdlib.h>

#include "pgseal/base/log.h"
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
	switch (t->visit(t, w)) {
	case TOUR_PARK:
		STAILQ_INSERT_TAIL(&w->parked, t, link);
		return;
	case TOUR_AGAIN:
		break;
	case TOUR_ON:
		t->at++;
		break;
	}
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

/* --- for all of them --- */

static enum tour_next wake_visit(struct tour *t, struct worker *w)
{
	(void)t;
	tour_revisit(w);
	return TOUR_ON;
}

static void wake_home(struct tour *t, struct worker *w, struct session *s)
{
	(void)w;
	(void)s;
	free(t);
}

static void wake_drop(struct tour *t)
{
	free(t);
}

void tour_revisit_all(struct crew *crew)
{
	struct tour *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		log_error(LOG_CONSOLE, 0, "requests that wait are not told: out of memory");
		return;
	}
	t->crew = crew;
	t->visit = wake_visit;
	t->come_home = wake_home;
	t->drop = wake_drop;
	tour_start(t);
}
