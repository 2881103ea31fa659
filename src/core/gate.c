#include "gate_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pgseal/base/log.h"
#include "pgseal/core/tcp.h"

/* Most connections taken from one listener in a turn, so that nobody inside waits for a flood. */
#define ACCEPT_BATCH 64
#define ACCEPT_REST_US (100 * USEC_PER_MS)

/* ---- accepting ---- */

static void doors_set(struct gate *g, unsigned interest)
{
	size_t i;

	for (i = 0; i < g->door_count; i++)
		if (g->doors[i].watch != NULL &&
		    watch_set(g->doors[i].watch, interest) != ERR_OK)
			log_error(LOG_GATE, 0, "listener: out of memory");
}

/* No descriptor left: refuse one connection with the spare one, so that the backlog does not hang in
 * the air, and rest. */
static void out_of_descriptors(struct gate_door *door, int error)
{
	struct gate *g = door->gate;
	int fd;

	log_error(LOG_GATE, 0, "accept: %s; raise the limit of open files (LimitNOFILE=)",
	          strerror(error));
	if (g->spare_fd >= 0) {
		close(g->spare_fd);
		if ((fd = accept4(door->at.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			close(fd);
		g->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	doors_set(g, 0);
	timer_set(g->accept_rest, ACCEPT_REST_US);
}

static void accept_again(void *arg)
{
	doors_set(arg, LOOP_READ);
}

static void door_ready(void *arg, unsigned events)
{
	struct gate_door *door = arg;
	union peer_addr peer;
	socklen_t len;
	int fd, i;

	(void)events;
	for (i = 0; i < ACCEPT_BATCH && door->watch != NULL; i++) {
		len = sizeof(peer);
		memset(&peer, 0, sizeof(peer));
		fd = accept4(door->at.fd, &peer.sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			/* EAGAIN: another gate was faster, or the backlog is empty. Others concern the one
			 * connection that went away. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM)
				out_of_descriptors(door, errno);
			return;
		}
		if (!door->at.local)
			tcp_furnish(fd, &door->gate->site->settings);
		visitor_accept(door->gate, fd, &peer, door->at.local);
	}
}

/* ---- letters ---- */

static void dial_arrive(struct letter *letter, void *owner)
{
	dialler_run(owner, (struct dial *)letter);
}

static void dial_discard(struct letter *letter)
{
	dial_free((struct dial *)letter);
}

void gate_post(struct gate *g, struct letter *letter)
{
	mailbox_post(g->mailbox, letter);
}

void gate_post_dial(struct gate *g, struct dial *d)
{
	d->letter.deliver = dial_arrive;
	d->letter.discard = dial_discard;
	gate_post(g, &d->letter);
}

static void follow_site(void *owner, struct site *site)
{
	struct gate *g = owner;

	site_release(g->site);
	g->site = site;
}

struct letter *gate_site_letter(struct site *site)
{
	return site_letter(site, follow_site);
}

static void drop_visitors(struct visitor_list *list, bool local)
{
	struct visitor *v, *next;

	for (v = TAILQ_FIRST(list); v != NULL; v = next) {
		next = TAILQ_NEXT(v, link);
		if (local || !v->local)
			visitor_gone(v);
	}
}

/* The Unix socket's too, or all others: it leads to nothing but the console. */
static void close_doors(struct gate *g, bool local)
{
	size_t i;

	for (i = 0; i < g->door_count; i++) {
		if (!local && g->doors[i].at.local)
			continue;
		watch_free(g->doors[i].watch);
		g->doors[i].watch = NULL;
	}
	drop_visitors(&g->visitors, local);
	drop_visitors(&g->lingering, local);
}

static void release_discard(struct letter *letter)
{
	free(letter);
}

static void release_arrive(struct letter *letter, void *owner)
{
	(void)owner;
	ebb_release();
	release_discard(letter);
}

void gate_post_release(struct gate *g)
{
	struct letter *letter = calloc(1, sizeof(*letter));

	if (letter == NULL)
		return;
	letter->deliver = release_arrive;
	letter->discard = release_discard;
	mailbox_post(g->mailbox, letter);
}

static void visitors_gone(void *arg)
{
	(void)arg;
	ebb_release();
}

/* The orders that end a gate are part of it: they need no memory, and each is posted once. */
static void order_discard(struct letter *letter)
{
	(void)letter;
}

static void order_post(struct gate *g, struct letter *letter,
                       void (*deliver)(struct letter *letter, void *owner))
{
	letter->deliver = deliver;
	letter->discard = order_discard;
	gate_post(g, letter);
}

static void close_arrive(struct letter *letter, void *owner)
{
	(void)letter;
	close_doors(owner, false);
}

static void stop_arrive(struct letter *letter, void *owner)
{
	struct gate *g = owner;

	(void)letter;
	loop_stop(g->loop);
}

void gate_post_close(struct gate *g)
{
	order_post(g, &g->close_order, close_arrive);
}

void gate_post_stop(struct gate *g)
{
	order_post(g, &g->stop_order, stop_arrive);
}

/* ---- counters ---- */

void gate_stats_add(struct gate_stats *to, const struct gate *g)
{
	size_t i;

	histogram_merge(&to->handshake, &g->stats.handshake);
	for (i = 0; i < REFUSALS; i++)
		to->refusals[i] += g->stats.refusals[i];
	to->visitors += g->visitor_count;
}

/* ---- the thread ---- */

static void end_of_turn(void *arg)
{
	struct gate *g = arg;
	struct visitor *v;

	io_end_turn(g->io);
	while ((v = TAILQ_FIRST(&g->gone)) != NULL) {
		TAILQ_REMOVE(&g->gone, v, link);
		visitor_free(v);
		ebb_note(&g->ebb, (long)(g->visitor_count + g->lingering_count));
	}
}

static void *gate_main(void *arg)
{
	struct gate *g = arg;
	char name[8];

	snprintf(name, sizeof(name), "g%zu", g->index % 1000);
	log_thread(name);
	loop_run(g->loop, end_of_turn, g);
	close_doors(g, true);
	end_of_turn(g);
	dialler_drop_all(g);
	loop_settle(g->loop);
	return NULL;
}

enum err gate_start(struct gate *g)
{
	return pthread_create(&g->thread, NULL, gate_main, g) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

void gate_join(struct gate *g)
{
	pthread_join(g->thread, NULL);
}

static enum err open_doors(struct gate *g, const struct listener *at, size_t count)
{
	enum err rc = ERR_OK;
	size_t i;

	if ((g->doors = calloc(count + 1, sizeof(*g->doors))) == NULL)
		return ERR_NO_MEMORY;
	for (i = 0; rc == ERR_OK && i < count; i++) {
		g->doors[i].gate = g;
		g->doors[i].at = at[i];
		rc = watch_create(g->loop, at[i].fd, door_ready, &g->doors[i], &g->doors[i].watch);
		if (rc == ERR_OK) {
			g->door_count++;
			rc = watch_set(g->doors[i].watch, LOOP_READ);
		}
	}
	return rc;
}

static enum err gate_furnish(struct gate *g, const struct listener *at, size_t count)
{
	enum err rc;

	if ((rc = loop_create(&g->loop)) != ERR_OK ||
	    (rc = mailbox_create(g, &g->mailbox)) != ERR_OK ||
	    (rc = loop_add_mailbox(g->loop, g->mailbox)) != ERR_OK ||
	    (rc = resolver_create(g->loop, &g->resolver)) != ERR_OK)
		return rc;
	if ((g->io = io_create(g->loop)) == NULL)
		return ERR_NO_MEMORY;
	if ((rc = timer_create_in(g->loop, visitor_deadline_due, g, &g->deadline)) == ERR_OK &&
	    (rc = timer_create_in(g->loop, visitor_linger_due, g, &g->linger)) == ERR_OK &&
	    (rc = timer_create_in(g->loop, accept_again, g, &g->accept_rest)) == ERR_OK)
		rc = ebb_init(&g->ebb, g->loop, visitors_gone, g);
	if (rc == ERR_OK)
		rc = open_doors(g, at, count);
	return rc;
}

enum err gate_create(struct crew *crew, size_t index, struct site *site, const struct listener *at,
                     size_t count, struct gate **out)
{
	struct gate *g = calloc(1, sizeof(*g));
	enum err rc;

	if (g == NULL)
		return ERR_NO_MEMORY;
	g->index = index;
	g->crew = crew;
	g->site = site_hold(site);
	TAILQ_INIT(&g->visitors);
	TAILQ_INIT(&g->lingering);
	TAILQ_INIT(&g->gone);
	TAILQ_INIT(&g->dials);
	g->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if ((rc = gate_furnish(g, at, count)) != ERR_OK) {
		gate_free(g);
		return rc;
	}
	*out = g;
	return ERR_OK;
}

void gate_free(struct gate *g)
{
	size_t i;

	if (g == NULL)
		return;
	mailbox_free(g->mailbox);
	for (i = 0; i < g->door_count; i++)
		watch_free(g->doors[i].watch);
	free(g->doors);
	timer_free(g->deadline);
	timer_free(g->linger);
	ebb_fini(&g->ebb);
	timer_free(g->accept_rest);
	resolver_free(g->resolver);
	io_free(g->io);
	loop_free(g->loop);
	if (g->spare_fd >= 0)
		close(g->spare_fd);
	site_release(g->site);
	free(g);
}
