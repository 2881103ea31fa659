#include "pgseal/core/dial.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/core/crew.h"
#include "pgseal/core/gate.h"
#include "pgseal/core/worker.h"

struct dial *dial_create(struct worker *home, struct route *route, struct database *db)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->home = home;
	d->route = route_hold(route);
	d->db = database_hold(db);
	d->timeout = home->site->settings.server_connect_timeout;
	d->extra_names = strdup(home->site->settings.track_extra_parameters);
	if (d->extra_names == NULL) {
		dial_free(d);
		return NULL;
	}
	return d;
}

void dial_free(struct dial *d)
{
	if (d == NULL)
		return;
	login_cancel(d->login);
	errand_cancel(d->errand);
	canceller_free(d->canceller);
	PQfinish(d->conn);
	buf_free(&d->params);
	permit_give(&d->permit);
	route_release(d->route);
	database_release(d->db);
	free(d->extra_names);
	free(d->host);
	free(d->hostaddr);
	free(d->port);
	free(d);
}

void dial_post(struct dial *d)
{
	struct crew *crew = d->home->crew;
	unsigned turn = atomic_fetch_add_explicit(&crew->next_gate, 1, memory_order_relaxed);

	gate_post_dial(crew->gates[turn % crew->gate_count], d);
}
