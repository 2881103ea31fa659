#include "pgseal/loop/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include <event2/dns.h>

#include "loop_priv.h"

/* evdns waits for five seconds, and gives a login three times that: longer than a login may take. The
 * options of resolv.conf win. */
#define TIMEOUT_S "1"
#define ATTEMPTS "3"

static const char *const files[] = { "/etc/resolv.conf", "/etc/hosts" };
#define FILES (sizeof(files) / sizeof(files[0]))

/* The two files as they were at one time. evdns reads them once only. */
struct book {
	SLIST_ENTRY(book) link;
	struct evdns_base *dns;
	struct stat read[FILES];
	size_t asked; /* questions without an answer yet */
};

struct resolver {
	struct loop *loop;
	struct book *current;
	SLIST_HEAD(, book) old; /* answers are still owed from these */
};

struct resolve {
	void (*done)(void *arg, const struct resolved *result); /* NULL: nobody wants it any more */
	void *arg;
	struct book *book;
	struct evdns_getaddrinfo_request *request;
	bool starting; /* inside resolve_start: evdns answers from hosts without leaving the call */
	bool finished;
};

/* ---- books ---- */

static void book_free(struct book *b)
{
	if (b->dns != NULL)
		evdns_base_free(b->dns, 0);
	free(b);
}

static void look_at_files(struct stat seen[FILES])
{
	memset(seen, 0, FILES * sizeof(seen[0]));
	for (size_t i = 0; i < FILES; i++)
		if (stat(files[i], &seen[i]) != 0)
			seen[i].st_ino = 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* NULL: out of memory. */
static struct book *book_read(struct loop *loop)
{
	struct book *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	look_at_files(b->read);
	/* An idle resolver must not keep descriptors busy: no inactive timeouts, no search for servers. */
	b->dns = evdns_base_new(loop_base(loop), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (b->dns == NULL || evdns_base_set_option(b->dns, "timeout:", TIMEOUT_S) != 0 ||
	    evdns_base_set_option(b->dns, "attempts:", ATTEMPTS) != 0) {
		book_free(b);
		return NULL;
	}
	if (evdns_base_resolv_conf_parse(b->dns, DNS_OPTIONS_ALL, files[0]) != 0)
		evdns_base_load_hosts(b->dns, files[1]);
	return b;
}

static void free_old(struct resolver *r, bool all)
{
	struct book *b, *next;

	for (b = SLIST_FIRST(&r->old); b != NULL; b = next) {
		next = SLIST_NEXT(b, link);
		if (b->asked > 0 && !all)
			continue;
		SLIST_REMOVE(&r->old, b, book, link);
		book_free(b);
	}
}

/* Files that changed are read anew, as the C library does. Without memory the old book stays. */
static void refresh(struct resolver *r)
{
	struct stat now[FILES];
	struct book *b;
	bool same = true;

	free_old(r, false);
	look_at_files(now);
	for (size_t i = 0; i < FILES; i++)
		same = same && same_file(&now[i], &r->current->read[i]);
	if (same || (b = book_read(r->loop)) == NULL)
		return;
	SLIST_INSERT_HEAD(&r->old, r->current, link);
	r->current = b;
}

enum err resolver_create(struct loop *loop, struct resolver **out)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return ERR_NO_MEMORY;
	r->loop = loop;
	SLIST_INIT(&r->old);
	if ((r->current = book_read(loop)) == NULL) {
		free(r);
		return ERR_NO_MEMORY;
	}
	*out = r;
	return ERR_OK;
}

void resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	free_old(r, true);
	book_free(r->current);
	free(r);
}

/* ---- questions ---- */

bool resolve_is_literal(const char *host)
{
	unsigned char addr[sizeof(struct in6_addr)];

	return host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
	       inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

static void collect(const struct evutil_addrinfo *list, struct resolved *out)
{
	const struct evutil_addrinfo *ai;

	for (ai = list; ai != NULL && out->count < RESOLVE_ADDRESSES_MAX; ai = ai->ai_next)
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, out->address[out->count],
		                RESOLVE_ADDRESS_BYTES, NULL, 0, NI_NUMERICHOST) == 0)
			out->count++;
}

static void answered(int rc, struct evutil_addrinfo *list, void *arg)
{
	struct resolve *q = arg;
	struct resolved result = { .count = 0, .why = "no address" };

	q->finished = true;
	if (q->done != NULL) {
		if (rc == 0)
			collect(list, &result);
		else
			result.why = evutil_gai_strerror(rc);
		q->done(q->arg, &result);
	}
	if (list != NULL)
		evutil_freeaddrinfo(list);
	q->book->asked--;
	if (!q->starting)
		free(q);
}

enum err resolve_start(struct resolver *r, const char *host,
                       void (*done)(void *arg, const struct resolved *result), void *arg,
                       struct resolve **out)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct resolve *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return ERR_NO_MEMORY;
	q->done = done;
	q->arg = arg;
	q->starting = true;
	refresh(r);
	q->book = r->current;
	q->book->asked++;
	q->request = evdns_getaddrinfo(q->book->dns, host, NULL, &hints, answered, q);
	q->starting = false;
	if (q->finished)
		free(q);
	else
		*out = q;
	return ERR_OK;
}

void resolve_cancel(struct resolve *q)
{
	if (q == NULL)
		return;
	q->done = NULL;
	/* evdns calls back once more, with EVUTIL_EAI_CANCEL; that frees it. */
	evdns_getaddrinfo_cancel(q->request);
}
