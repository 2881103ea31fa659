/* Many light clients in one thread: load -m MODE -P PORT -k PKI [options]
 *
 * Logs all clients in, lets them run for a moment, then measures. Prints one line: transactions,
 * seconds, bytes that came or went by COPY, processor time of process -p in µs, p50, p99 and maximum of
 * the time that a request took in µs, memory of -p in kB before, during and behind all that, and bytes of
 * the whole run.
 * SIGTERM ends the measuring early. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loads.h"
#include "probe.h"

#define NS_PER_SEC 1000000000u
#define OPENING_MAX 32u /* logins at a time */
#define WARM_NS (300u * 1000000u)
#define SETTLE_NS (1500u * 1000000u) /* before memory is looked at */
#define STUCK_NS (60ull * NS_PER_SEC)

struct options {
	const char *mode, *pki, *cert, *user, *database;
	int port, pid;
	unsigned clients;
	double seconds;
	uint64_t pause_ns; /* of a client between its requests */
};

struct samples {
	uint32_t *at; /* µs */
	size_t count, cap;
};

struct bench {
	struct hub hub; /* first: leads back here */
	struct options opt;
	const struct load *load;
	struct conn *conns;
	struct buf opening, request, long_request, chunk;
	struct flow flow, opening_flow; /* they tell which of the two was answered */
	unsigned opened, ready;
	bool measuring, closing;
	uint64_t transactions, broken;
	struct samples took;
	TAILQ_HEAD(, conn) resting;
};

static volatile sig_atomic_t stopped;

static void on_term(int signo)
{
	(void)signo;
	stopped = 1;
}

static struct bench *bench_of(struct conn *c)
{
	return (struct bench *)c->hub;
}

static bool is_long(const struct bench *b, const struct conn *c)
{
	return b->load->compose_long != NULL && c->index % 2 == 1;
}

/* ---- one client ---- */

static void client_ask(struct conn *c)
{
	struct bench *b = bench_of(c);
	const struct buf *what = is_long(b, c) ? &b->long_request : &b->request;

	/* a connection's time begins with it */
	if (b->load->habit != HABIT_RECONNECT)
		c->since_ns = now_ns();
	conn_send(c, (struct bytes){ what->at, what->len }, b->load->answers, &b->flow);
}

static void sample(struct bench *b, uint64_t ns)
{
	struct samples *s = &b->took;

	if (s->count == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 65536;
		if ((s->at = realloc(s->at, s->cap * sizeof(*s->at))) == NULL)
			die("out of memory");
	}
	s->at[s->count++] = (uint32_t)(ns / 1000);
}

static void client_done(struct conn *c)
{
	struct bench *b = bench_of(c);

	b->hub.bytes += (uint64_t)b->load->chunks * b->chunk.len;
	if (!b->measuring || is_long(b, c))
		return;
	b->transactions += b->load->transactions;
	sample(b, now_ns() - c->since_ns);
}

static void client_open(struct conn *c)
{
	c->since_ns = now_ns();
	conn_open(c, &bench_of(c)->hub);
}

static void open_more(struct bench *b)
{
	while (b->opened < b->opt.clients && b->opened - b->ready < OPENING_MAX) {
		b->conns[b->opened].hub = &b->hub;
		b->conns[b->opened].index = b->opened;
		client_open(&b->conns[b->opened++]);
	}
}

static void client_next(struct conn *c)
{
	struct bench *b = bench_of(c);

	if (b->opt.pause_ns == 0 || is_long(b, c)) {
		client_ask(c);
		return;
	}
	c->since_ns = now_ns();
	TAILQ_INSERT_TAIL(&b->resting, c, link);
}

/* c->since_ns of a resting client: since when. */
static void wake(struct bench *b, uint64_t now)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&b->resting)) != NULL && now - c->since_ns >= b->opt.pause_ns) {
		TAILQ_REMOVE(&b->resting, c, link);
		client_ask(c);
	}
}

static void client_ready(struct conn *c)
{
	struct bench *b = bench_of(c);
	bool greeted = c->flow == NULL || c->flow == &b->opening_flow;

	if (c->flow == NULL && b->opening.len > 0) {
		conn_send(c, (struct bytes){ b->opening.at, b->opening.len }, 1, &b->opening_flow);
		return;
	}
	if (!greeted)
		client_done(c);
	if (greeted && b->ready < b->opt.clients) {
		b->ready++;
		open_more(b);
	}
	if (b->closing) {
		conn_quit(c);
	} else if (greeted) {
		if (b->load->habit != HABIT_HOLD)
			client_ask(c);
	} else if (b->load->habit == HABIT_RECONNECT) {
		conn_quit(c);
		client_open(c);
	} else {
		client_next(c);
	}
}

static void client_lost(struct conn *c, const char *why)
{
	struct bench *b = bench_of(c);

	if (b->closing)
		return;
	if (b->broken++ == 0)
		fprintf(stderr, "load: client %u: %s%s%s\n", c->index, why,
		        b->hub.refusals > 0 ? ": " : "", b->hub.words);
	/* those that are lost while they log in count as opened: it must not wait for them */
	if (!c->logged_in)
		b->ready++;
}

/* ---- the run ---- */

static void run_until(struct bench *b, uint64_t until)
{
	uint64_t now = now_ns(), next;
	const struct conn *c;

	while (now < until && !stopped) {
		next = until;
		if ((c = TAILQ_FIRST(&b->resting)) != NULL && c->since_ns + b->opt.pause_ns < until)
			next = c->since_ns + b->opt.pause_ns;
		hub_turn(&b->hub, next > now ? (int64_t)(next - now) : 0);
		now = now_ns();
		wake(b, now);
	}
}

static void log_all_in(struct bench *b)
{
	uint64_t start = now_ns();

	open_more(b);
	while (b->ready < b->opt.clients) {
		hub_turn(&b->hub, NS_PER_SEC / 10);
		if (now_ns() - start > STUCK_NS)
			die("load: %u of %u clients are logged in", b->ready, b->opt.clients);
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t quantile(const struct samples *s, double q)
{
	return s->count > 0 ? s->at[(size_t)(q * (double)(s->count - 1))] : 0;
}

static long settled_pss(struct bench *b)
{
	if (b->load->habit == HABIT_HOLD)
		run_until(b, now_ns() + SETTLE_NS);
	return probe_pss_kb(b->opt.pid);
}

static unsigned count_open(const struct bench *b)
{
	unsigned i, n = 0;

	for (i = 0; i < b->opened; i++)
		n += b->conns[i].state != CONN_CLOSED;
	return n;
}

/* Nobody leaves in the middle of something: the next run shall find the pooler at rest. */
static void close_all(struct bench *b)
{
	uint64_t start = now_ns();
	unsigned i;

	b->closing = true;
	for (i = 0; i < b->opened; i++)
		if (b->conns[i].state == CONN_OPEN && b->conns[i].owed == 0)
			conn_quit(&b->conns[i]);
	while (count_open(b) > 0 && now_ns() - start < STUCK_NS)
		hub_turn(&b->hub, NS_PER_SEC / 10);
	TAILQ_INIT(&b->resting);
}

static void bench_run(struct bench *b)
{
	uint64_t cpu, start, end, bytes;
	long before = probe_pss_kb(b->opt.pid), during, behind;

	log_all_in(b);
	run_until(b, now_ns() + WARM_NS);
	during = settled_pss(b);
	b->measuring = true;
	bytes = b->hub.bytes;
	cpu = probe_cpu_us(b->opt.pid);
	start = now_ns();
	run_until(b, start + (uint64_t)(b->opt.seconds * NS_PER_SEC));
	end = now_ns();
	cpu = probe_cpu_us(b->opt.pid) - cpu;
	bytes = b->hub.bytes - bytes;
	b->measuring = false;
	close_all(b);
	behind = settled_pss(b);
	if (b->took.count > 0)
		qsort(b->took.at, b->took.count, sizeof(*b->took.at), by_size);
	printf("%lu\t%.3f\t%lu\t%lu\t%u\t%u\t%u\t%ld\t%ld\t%ld\t%lu\n", b->transactions,
	       (double)(end - start) / NS_PER_SEC, bytes, cpu, quantile(&b->took, 0.5),
	       quantile(&b->took, 0.99), quantile(&b->took, 1), before, during, behind,
	       b->hub.bytes);
}

/* ---- the program ---- */

static void usage(void)
{
	die("usage: load -m MODE -P PORT -k PKI [-C CERTIFICATE] [-U ROLE] [-d DATABASE] [-p PID]\n"
	    "            [-c CLIENTS] [-t SECONDS] [-r PAUSE-ms]\nmodes:%s",
	    load_names());
}

static void option(struct options *o, int letter, const char *value)
{
	switch (letter) {
	case 'm':
		o->mode = value;
		break;
	case 'P':
		o->port = atoi(value);
		break;
	case 'k':
		o->pki = value;
		break;
	case 'C':
		o->cert = value;
		break;
	case 'U':
		o->user = value;
		break;
	case 'd':
		o->database = value;
		break;
	case 'p':
		o->pid = atoi(value);
		break;
	case 'c':
		o->clients = (unsigned)atoi(value);
		break;
	case 't':
		o->seconds = atof(value);
		break;
	case 'r':
		o->pause_ns = (uint64_t)(atof(value) * 1e6);
		break;
	default:
		usage();
	}
}

static void prepare(struct bench *b)
{
	const struct load *l = b->load;

	l->compose(&b->request);
	if (l->compose_opening != NULL)
		l->compose_opening(&b->opening);
	if (l->compose_long != NULL)
		l->compose_long(&b->long_request);
	if (l->compose_chunk != NULL)
		l->compose_chunk(&b->chunk);
	b->flow = (struct flow){ { b->chunk.at, b->chunk.len }, l->chunks };
	b->hub.ready = client_ready;
	b->hub.lost = client_lost;
	TAILQ_INIT(&b->resting);
	if ((b->conns = calloc(b->opt.clients, sizeof(*b->conns))) == NULL)
		die("out of memory");
}

int main(int argc, char **argv)
{
	struct bench b = { .opt = { .cert = "alice",
		                    .user = "alice",
		                    .database = "app",
		                    .clients = 1,
		                    .seconds = 3 } };
	int letter;

	while ((letter = getopt(argc, argv, "m:P:k:C:U:d:p:c:t:r:")) != -1)
		option(&b.opt, letter, optarg);
	if (b.opt.mode == NULL || (b.load = load_find(b.opt.mode)) == NULL || b.opt.pki == NULL ||
	    b.opt.port == 0 || b.opt.clients == 0)
		usage();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_term);
	hub_init(&b.hub, b.opt.pki, b.opt.cert, b.opt.port, b.opt.user, b.opt.database);
	prepare(&b);
	bench_run(&b);
	free(b.conns);
	free(b.took.at);
	buf_free(&b.opening);
	buf_free(&b.request);
	buf_free(&b.long_request);
	buf_free(&b.chunk);
	hub_fini(&b.hub);
	if (b.broken > 0)
		fprintf(stderr, "load: %lu clients were lost\n", b.broken);
	return b.broken > 0 || b.hub.refusals > 0 ? 1 : 0;
}
