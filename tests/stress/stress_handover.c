/* Servers between workers: permits are exact, and nobody who waits is forgotten. The workers here
 * are the pools' way of dealing reduced to what crosses threads: marks, permits, letters. For TSan,
 * which criterion does not run under; exit status 0 is success. */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pgseal/base/mailbox.h"
#include "pgseal/core/route.h"

#define WORKERS 4
#define SERVERS_MAX 2 /* fewer than workers, so that there is always somebody who waits */
#define JOBS 15000    /* each */
#define PATIENCE_MS 30000

struct token { /* stands for a server */
	struct letter letter;
	uint64_t uses; /* plain memory: TSan sees two owners at once */
};

struct look {
	struct letter letter;
};

struct worker {
	size_t index;
	pthread_t thread;
	struct mailbox *mb;
	struct token *idle; /* at most one is kept */
	struct token *got;  /* for the job that waits */
	bool waiting;
	unsigned seed;
	uint64_t uses; /* of tokens that ended here */
	long jobs;
};

static struct routes *routes;
static struct route *route;
static struct worker workers[WORKERS];
static int servers; /* the route's limit */
static atomic_int alive, finished, faults, thinking;
static atomic_long total; /* jobs done */

static void fault(const char *what)
{
	fprintf(stderr, "%s\n", what);
	atomic_fetch_add(&faults, 1);
}

static usec_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (usec_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static struct route_mark *mark(const struct worker *w)
{
	return route_mark(route, w->index);
}

/* ---- letters ---- */

static void deal(struct worker *w);

static void look_deliver(struct letter *letter, void *owner)
{
	free(letter);
	deal(owner);
}

static void just_free(struct letter *letter)
{
	free(letter);
}

static void post_look(size_t to)
{
	struct look *look = calloc(1, sizeof(*look));

	if (look == NULL)
		abort();
	look->letter.deliver = look_deliver;
	look->letter.discard = just_free;
	mailbox_post(workers[to].mb, &look->letter);
}

static void keep(struct worker *w, struct token *t);

static void token_deliver(struct letter *letter, void *owner)
{
	keep(owner, (struct token *)letter);
}

static void token_discard(struct letter *letter)
{
	fault("a token was lost in the mail");
	free(letter);
}

/* ---- a worker's pool ---- */

static struct token *token_create(void)
{
	struct token *t = calloc(1, sizeof(*t));

	if (t == NULL)
		abort();
	t->letter.deliver = token_deliver;
	t->letter.discard = token_discard;
	if (atomic_fetch_add(&alive, 1) >= servers)
		fault("more tokens than permits");
	return t;
}

static void token_end(struct worker *w, struct token *t)
{
	size_t i;

	w->uses += t->uses;
	free(t);
	atomic_fetch_sub(&alive, 1);
	route_permit_give(route);
	for (i = 0; i < WORKERS; i++)
		if (i != w->index && atomic_load(&route_mark(route, i)->oldest_wait) != 0)
			post_look(i);
}

/* Whatever is idle goes to our waiter, or to another's. */
static void deal(struct worker *w)
{
	struct token *t = w->idle;
	usec_t since;
	int other;

	if (t != NULL && w->waiting && w->got == NULL) {
		w->got = t;
		w->idle = NULL;
	} else if (t != NULL && (other = route_oldest_other(route, w->index, &since)) >= 0) {
		w->idle = NULL;
		atomic_store(&mark(w)->idle, 0);
		mailbox_post(workers[other].mb, &t->letter);
	} else if (w->waiting && w->got == NULL && route_permit_take(route, servers)) {
		w->got = token_create();
	}
	atomic_store(&mark(w)->idle, w->idle != NULL);
}

/* A token is free here. Its mark must say idle before the others' marks are read. */
static void keep(struct worker *w, struct token *t)
{
	if (w->idle != NULL) {
		token_end(w, t);
		return;
	}
	w->idle = t;
	atomic_store(&mark(w)->idle, 1);
	deal(w);
}

/* ---- its jobs ---- */

/* Drain only when woken, so that a lost wake-up shows as a time-out. */
static bool sleep_until_mail(struct worker *w, int ms)
{
	struct pollfd p = { mailbox_fd(w->mb), POLLIN, 0 };

	if (poll(&p, 1, ms) != 1)
		return false;
	mailbox_drain(w->mb);
	return true;
}

static struct token *acquire(struct worker *w)
{
	struct token *t;
	int other;

	w->waiting = true;
	atomic_store(&mark(w)->oldest_wait, now());
	deal(w);
	if (w->got == NULL && (other = route_spare_other(route, w->index)) >= 0)
		post_look((size_t)other);
	while (w->got == NULL)
		if (!sleep_until_mail(w, PATIENCE_MS)) {
			fault("nobody remembers who waits");
			break;
		}
	w->waiting = false;
	atomic_store(&mark(w)->oldest_wait, 0);
	t = w->got;
	w->got = NULL;
	return t;
}

/* With nothing to do itself, a worker sees to it that the others get on: they lack nothing. */
static void think(struct worker *w)
{
	long before = atomic_load(&total);
	usec_t begun = now();

	if (atomic_exchange(&thinking, 1) != 0)
		return;
	while (atomic_load(&total) == before && atomic_load(&finished) < WORKERS - 1) {
		sleep_until_mail(w, 1);
		if (now() - begun > PATIENCE_MS * 1000) {
			fault("a free permit was kept from those who wait");
			break;
		}
	}
	atomic_store(&thinking, 0);
}

static void use(struct worker *w)
{
	struct token *t = acquire(w);

	if (t == NULL)
		return;
	t->uses++;
	w->jobs++;
	atomic_fetch_add(&total, 1);
	if (rand_r(&w->seed) % 3 != 0) {
		keep(w, t);
		return;
	}
	token_end(w, t);
	if (rand_r(&w->seed) % 10 == 0)
		think(w);
}

/* Routes come and go in the common table meanwhile. */
static void visit_another_route(struct worker *w)
{
	char name[16];
	struct route *r;

	snprintf(name, sizeof(name), "db%d", rand_r(&w->seed) % 3);
	if ((r = route_get(routes, name, "role")) == NULL)
		abort();
	route_release(route_hold(r));
	route_release(r);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < JOBS && atomic_load(&faults) == 0; i++) {
		use(w);
		if (i % 16 == 0)
			visit_another_route(w);
		sleep_until_mail(w, 0);
	}
	atomic_fetch_add(&finished, 1);
	while (atomic_load(&finished) < WORKERS)
		sleep_until_mail(w, 1);
	return NULL;
}

static void clean_up(void)
{
	uint64_t uses = 0, jobs = 0;

	for (int i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		mailbox_drain(workers[i].mb);
	}
	for (int i = 0; i < WORKERS; i++) {
		if (workers[i].idle != NULL)
			token_end(&workers[i], workers[i].idle);
		uses += workers[i].uses;
		jobs += (uint64_t)workers[i].jobs;
	}
	if (uses != jobs || jobs != (uint64_t)WORKERS * JOBS)
		fault("uses and jobs do not agree");
	if (atomic_load(&alive) != 0 || route_servers(route) != 0)
		fault("permits and tokens do not agree");
	for (int i = 0; i < WORKERS; i++)
		mailbox_free(workers[i].mb);
	route_release(route);
	routes_free(routes);
}

static bool run(int limit)
{
	memset(workers, 0, sizeof(workers));
	servers = limit;
	atomic_store(&finished, 0);
	if (routes_create(WORKERS, &routes) != ERR_OK ||
	    (route = route_get(routes, "app", "alice")) == NULL)
		return false;
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i].index = i;
		workers[i].seed = (unsigned)i + 1;
		if (mailbox_create(&workers[i], &workers[i].mb) != ERR_OK)
			return false;
	}
	for (size_t i = 0; i < WORKERS; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return false;
	clean_up();
	return atomic_load(&faults) == 0;
}

int main(void)
{
	for (int limit = 1; limit <= SERVERS_MAX; limit++)
		if (!run(limit))
			return 1;
	return 0;
}
