/* What somebody may do to a pooler who wants to hurt others: flood KIND PORT PKI ROLE COUNT [PID]
 *
 *   half_open    COUNT connections that stop in the middle of the TLS handshake and stay
 *   key_updates  COUNT TLS KeyUpdates from one client, made beforehand and sent at once
 *   cancels      COUNT cancel requests for a client's own query, a few at a time
 *   deaf         COUNT clients that ask for much and read nothing, for a few seconds
 *
 * ROLE is also the name of the certificate. Prints how many of them the pooler put up with, how long it
 * took in seconds, and the memory of process PID in kB before and at the end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loads.h"
#include "probe.h"

#define NS_PER_SEC 1000000000u
#define AT_ONCE 64u
#define STUCK_NS (30ull * NS_PER_SEC)
#define HOLD_NS (2ull * NS_PER_SEC)
#define BLAST_BYTES (1u << 20)

struct flood {
	struct hub hub; /* first: leads back here */
	struct conn *conns;
	unsigned count, opened, ready, lost;
	struct buf request;
	const struct flood_kind *kind;
	bool closing;
};

struct flood_kind {
	const char *name;
	void (*run)(struct flood *f);
	bool half_open, all; /* all: COUNT connections, else one */
};

static struct flood *flood_of(struct conn *c)
{
	return (struct flood *)c->hub;
}

static void open_more(struct flood *f)
{
	while (f->opened < f->count && f->opened - f->ready - f->lost < AT_ONCE) {
		f->conns[f->opened].hub = &f->hub;
		conn_open(&f->conns[f->opened++], &f->hub);
	}
}

static void flood_ready(struct conn *c)
{
	struct flood *f = flood_of(c);

	if (c->flow != NULL) {
		conn_send(c, (struct bytes){ f->request.at, f->request.len }, 1, c->flow);
		return;
	}
	f->ready++;
	if (f->kind->all)
		open_more(f);
}

static void flood_lost(struct conn *c, const char *why)
{
	struct flood *f = flood_of(c);

	(void)why;
	if (!c->logged_in && c->state != CONN_HALTED)
		f->lost++;
	if (f->kind->all && !f->closing)
		open_more(f);
}

/* Until so many have got as far as they shall, or were refused. */
static void wait_for(struct flood *f, unsigned count)
{
	uint64_t start = now_ns();

	while (f->ready + f->lost < count && now_ns() - start < STUCK_NS)
		hub_turn(&f->hub, NS_PER_SEC / 10);
}

static void hold(struct flood *f, uint64_t ns)
{
	uint64_t until = now_ns() + ns, now;

	while ((now = now_ns()) < until)
		hub_turn(&f->hub, (int64_t)(until - now));
}

/* ---- the kinds ---- */

static void run_half_open(struct flood *f)
{
	open_more(f);
	wait_for(f, f->count);
}

/* Bytes for the wire, as fast as the other side takes them. */
static bool blast(int fd, const uint8_t *at, size_t n)
{
	ssize_t sent;

	while (n > 0) {
		sent = send(fd, at, n < BLAST_BYTES ? n : BLAST_BYTES, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN)
			usleep(100);
		else if (sent <= 0)
			return false;
		else
			at += sent, n -= (size_t)sent;
	}
	return true;
}

static void run_key_updates(struct flood *f)
{
	struct conn *c = &f->conns[0];
	BIO *made = BIO_new(BIO_s_mem());
	unsigned updates = f->count, i;
	char *at;
	long n;

	f->count = 1;
	open_more(f);
	wait_for(f, 1);
	if (c->state != CONN_OPEN || made == NULL)
		die("flood: no session");
	SSL_set0_wbio(c->ssl, made);
	for (i = 0; i < updates; i++)
		if (SSL_key_update(c->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
		    SSL_do_handshake(c->ssl) != 1)
			die("flood: KeyUpdate %u", i);
	n = BIO_get_mem_data(made, &at);
	f->ready = blast(c->fd, (uint8_t *)at, (size_t)n) ? updates : 0;
	f->lost = updates - f->ready;
	hold(f, HOLD_NS);
}

/* One CancelRequest in the clear, as libpq before version 17 sends them. */
static int cancel_open(const struct hub *h, const uint8_t key[8])
{
	uint8_t packet[16] = { 0, 0, 0, 16, 4, 210, 22, 46 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(packet + 8, key, 8);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&h->addr, sizeof(h->addr)) != 0 ||
	    send(fd, packet, sizeof(packet), MSG_NOSIGNAL) != sizeof(packet)) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static void cancel_wait(int fd)
{
	struct timeval limit = { .tv_sec = 5 };
	char byte;

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)!recv(fd, &byte, 1, 0);
	close(fd);
}

static void run_cancels(struct flood *f)
{
	unsigned cancels = f->count, i;
	struct conn *c = &f->conns[0];
	static const struct flow none;
	int fds[AT_ONCE];

	f->count = 1;
	open_more(f);
	wait_for(f, 1);
	compose_query(&f->request, "select pg_sleep(0.01)");
	conn_send(c, (struct bytes){ f->request.at, f->request.len }, 1, &none);
	f->ready = 0;
	for (i = 0; i < cancels + AT_ONCE; i++) {
		if (i >= AT_ONCE)
			cancel_wait(fds[i % AT_ONCE]);
		fds[i % AT_ONCE] = i < cancels ? cancel_open(&f->hub, c->key) : -1;
		f->ready += i < cancels && fds[i % AT_ONCE] >= 0;
		hub_turn(&f->hub, 0);
	}
	f->lost = cancels - f->ready;
}

static void run_deaf(struct flood *f)
{
	unsigned i;

	open_more(f);
	wait_for(f, f->count);
	compose_query(&f->request, "select repeat('x', 1000) from generate_series(1, 100000)");
	for (i = 0; i < f->opened; i++) {
		if (f->conns[i].state != CONN_OPEN)
			continue;
		conn_send(&f->conns[i], (struct bytes){ f->request.at, f->request.len }, 1, NULL);
		conn_deafen(&f->conns[i]);
	}
	hold(f, 2 * HOLD_NS);
}

static const struct flood_kind kinds[] = {
	{ "half_open", run_half_open, true, true },
	{ "key_updates", run_key_updates, false, false },
	{ "cancels", run_cancels, false, false },
	{ "deaf", run_deaf, false, true },
};

static const struct flood_kind *kind_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct flood f = { 0 };
	int pid = argc > 6 ? atoi(argv[6]) : 0;
	uint64_t start;
	long before;
	unsigned i;

	if (argc < 6 || (f.kind = kind_find(argv[1])) == NULL)
		die("usage: flood half_open|key_updates|cancels|deaf PORT PKI ROLE COUNT [PID]");
	signal(SIGPIPE, SIG_IGN);
	hub_init(&f.hub, argv[3], argv[4], atoi(argv[2]), argv[4], "app");
	f.hub.half_open = f.kind->half_open;
	f.hub.ready = flood_ready;
	f.hub.lost = flood_lost;
	f.count = (unsigned)atoi(argv[5]);
	if (f.count == 0 || (f.conns = calloc(f.count, sizeof(*f.conns))) == NULL)
		die("flood: out of memory");
	before = probe_pss_kb(pid);
	start = now_ns();
	f.kind->run(&f);
	printf("%u\t%.3f\t%ld\t%ld\n", f.ready, (double)(now_ns() - start) / NS_PER_SEC, before,
	       probe_pss_kb(pid));
	f.closing = true;
	for (i = 0; i < f.opened; i++)
		conn_close(&f.conns[i]);
	free(f.conns);
	buf_free(&f.request);
	hub_fini(&f.hub);
	return 0;
}
