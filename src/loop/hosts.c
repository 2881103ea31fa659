#include "pgseal/loop/hosts.h"

#include <stdlib.h>
#include <string.h>

struct hosts {
	struct resolver *resolver;
	void (*done)(void *arg, const struct host_lists *lists, const char *why);
	void *arg;
	char *names, *ports;            /* storage that the lists point into */
	char *name[HOSTS_MAX], *port[HOSTS_MAX];
	size_t count, port_count, next; /* next: the one being resolved */
	struct resolve *query;
	bool waiting;  /* an answer will come later and must go on by itself */
	bool starting; /* inside hosts_start */
	bool finished;
	size_t found;
	struct host_lists lists;
	char why[256];
};

static size_t split(char *list, char *out[HOSTS_MAX])
{
	size_t n = 0;
	char *p;

	for (p = list; p != NULL && n < HOSTS_MAX;) {
		out[n++] = p;
		if ((p = strchr(p, ',')) != NULL)
			*p++ = '\0';
	}
	return n;
}

static void append(char *to, size_t size, const char *item, bool first)
{
	size_t at = strlen(to);

	snprintf(to + at, size - at, "%s%s", first ? "" : ",", item);
}

static void hosts_add(struct hosts *h, const char *address)
{
	const char *port = h->port_count == 1 ? h->port[0] : "";

	if (h->found == HOSTS_MAX)
		return;
	if (h->port_count > 1 && h->next < h->port_count)
		port = h->port[h->next];
	append(h->lists.host, sizeof(h->lists.host), h->name[h->next], h->found == 0);
	append(h->lists.hostaddr, sizeof(h->lists.hostaddr), address, h->found == 0);
	append(h->lists.port, sizeof(h->lists.port), port, h->found == 0);
	h->found++;
}

static void hosts_free(struct hosts *h)
{
	free(h->names);
	free(h->ports);
	free(h);
}

static void hosts_finish(struct hosts *h)
{
	h->finished = true;
	if (h->found > 0)
		h->done(h->arg, &h->lists, NULL);
	else
		h->done(h->arg, NULL, h->why);
	if (!h->starting)
		hosts_free(h);
}

static void hosts_advance(struct hosts *h);

static void hosts_answered(void *arg, const struct resolved *result)
{
	struct hosts *h = arg;
	size_t i;

	h->query = NULL;
	for (i = 0; i < result->count; i++)
		hosts_add(h, result->address[i]);
	if (result->count == 0)
		snprintf(h->why, sizeof(h->why), "could not resolve host \"%.150s\": %s",
		         h->name[h->next], result->why);
	h->next++;
	if (h->waiting) {
		h->waiting = false;
		hosts_advance(h);
	}
}

static void hosts_advance(struct hosts *h)
{
	for (; h->next < h->count;) {
		if (resolve_is_literal(h->name[h->next])) {
			/* A path keeps an empty address: libpq then takes the path itself. */
			hosts_add(h, strchr("/@", h->name[h->next][0]) ? "" : h->name[h->next]);
			h->next++;
		} else if (resolve_start(h->resolver, h->name[h->next], hosts_answered, h,
		                         &h->query) != ERR_OK) {
			snprintf(h->why, sizeof(h->why), "out of memory");
			h->next++;
		} else if (h->query != NULL) {
			h->waiting = true;
			return;
		}
	}
	hosts_finish(h);
}

enum err hosts_start(struct resolver *r, const char *hosts, const char *ports,
                     void (*done)(void *arg, const struct host_lists *lists, const char *why),
                     void *arg, struct hosts **out)
{
	struct hosts *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return ERR_NO_MEMORY;
	h->resolver = r;
	h->done = done;
	h->arg = arg;
	h->names = strdup(hosts);
	h->ports = strdup(ports != NULL ? ports : "");
	if (h->names == NULL || h->ports == NULL) {
		hosts_free(h);
		return ERR_NO_MEMORY;
	}
	h->count = split(h->names, h->name);
	h->port_count = split(h->ports, h->port);
	h->starting = true;
	hosts_advance(h);
	h->starting = false;
	/* When it is finished, done may have freed what out points into. */
	if (h->finished)
		hosts_free(h);
	else
		*out = h;
	return ERR_OK;
}

void hosts_cancel(struct hosts *h)
{
	if (h == NULL)
		return;
	resolve_cancel(h->query);
	hosts_free(h);
}
