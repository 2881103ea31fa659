#include "pgseal/loop/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <event2/dns.h>

#include "loop_priv.h"

struct resolver {
	struct evdns_base *dns;
};

struct resolve {
	void (*done)(void *arg, const struct resolved *result); /* NULL: nobody wants it any more */
	void *arg;
	struct evdns_getaddrinfo_request *request;
	bool starting; /* inside resolve_start: evdns answers from hosts without leaving the call */
	bool finished;
};

enum err resolver_create(struct loop *loop, struct resolver **out)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return ERR_NO_MEMORY;
	/* An idle resolver must not keep descriptors busy: no inactive timeouts, no search for servers. */
	r->dns = evdns_base_new(loop_base(loop), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (r->dns == NULL) {
		free(r);
		return ERR_NO_MEMORY;
	}
	if (evdns_base_resolv_conf_parse(r->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf") != 0)
		evdns_base_load_hosts(r->dns, "/etc/hosts");
	*out = r;
	return ERR_OK;
}

void resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	evdns_base_free(r->dns, 0);
	free(r);
}

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
	q->request = evdns_getaddrinfo(r->dns, host, NULL, &hints, answered, q);
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
