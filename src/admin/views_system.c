/* MEM, DNS_HOSTS, DNS_ZONES, PEERS and PEER_POOLS: what PgBouncer keeps, as far as there is
 * anything here. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/admin/views.h"
#include "request_priv.h"

static void get_name(struct cell *out, const struct row *row)
{
	out->text = row->name;
}

static void get_value(struct cell *out, const struct row *row)
{
	out->text = row->value;
}

static void get_zero(struct cell *out, const struct row *row)
{
	(void)row;
	out->text = "0";
}

#define VIEW(columns_, visit_, home_)                                                  \
	{ .columns = columns_, .count = sizeof(columns_) / sizeof(*columns_),          \
	  .visit = visit_, .home = home_ }

/* --- MEM --- */

/* name, bytes of one */
#define MEMORY_TABLE(X)                                       \
	X(client, sizeof(struct session))                     \
	X(server, sizeof(struct server))                      \
	X(pool, sizeof(struct pool))                          \
	X(client_input, 1) /* not passed on yet */            \
	X(client_output, 1) /* not taken by the peer yet */   \
	X(server_output, 1)

/* What a row of the view tells. */
struct memory {
	const char *name;
	uint64_t size, used, free;
};

static void get_memory_name(struct cell *out, const struct row *row)
{
	out->text = row->memory->name;
}
#define MEMORY_NUMBER(name, expression)                                                \
	static void get_memory_##name(struct cell *out, const struct row *row)         \
	{                                                                              \
		const struct memory *m = row->memory;                                  \
		cell_uint(out, expression);                                            \
	}
MEMORY_NUMBER(size, m->size)
MEMORY_NUMBER(used, m->used)
MEMORY_NUMBER(free, m->free)
MEMORY_NUMBER(total, m->size * (m->used + m->free))

static const struct column memory_columns[] = {
	{ "name", TYPE_TEXT, get_memory_name },     { "size", TYPE_INT4, get_memory_size },
	{ "used", TYPE_INT8, get_memory_used },     { "free", TYPE_INT8, get_memory_free },
	{ "memtotal", TYPE_INT8, get_memory_total },
};

static void count_servers(struct request_counts *n, const struct pool *p)
{
	const struct server *srv;

	for (size_t i = 0; i < SERVER_CLOSING; i++) {
		TAILQ_FOREACH(srv, &p->servers[i], link) {
			n->server++;
			n->server_output += stream_held(&srv->stream);
		}
	}
}

static enum tour_next memory_visit(struct request *rq, struct worker *w)
{
	struct request_counts *n = &rq->counts;
	const struct session *s;

	TAILQ_FOREACH(s, &w->sessions, link) {
		n->client++;
		n->client_input += s->input.cap;
		n->client_output += stream_held(&s->stream);
	}
	for (const struct pool *p = w->pools; p != NULL; p = p->hh.next) {
		n->pool++;
		count_servers(n, p);
	}
	return TOUR_ON;
}

/* Of the whole process, as the C library counts it. */
static void heap_row(struct request *rq)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();
	const struct memory m = { "heap", 1, info.uordblks + info.hblkhd, info.fordblks };

	view_row(rq, &(struct row){ .memory = &m });
#else
	(void)rq;
#endif
}

static void memory_home(struct request *rq, struct worker *w)
{
	const struct memory rows[] = {
#define X(name, size) { #name, size, rq->counts.name, 0 },
		MEMORY_TABLE(X)
#undef X
	};

	(void)w;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		view_row(rq, &(struct row){ .memory = &rows[i] });
	heap_row(rq);
}

const struct view view_mem = VIEW(memory_columns, memory_visit, memory_home);

/* --- DNS_HOSTS --- */

/* Nothing is kept: a name is resolved anew at each login. But servers tell where names have led. */
static const struct column dns_hosts_columns[] = {
	{ "hostname", TYPE_TEXT, get_name },
	{ "ttl", TYPE_INT8, get_zero },
	{ "addrs", TYPE_TEXT, get_value },
};

/* A name that live servers were found by. */
struct dns_host {
	LIST_ENTRY(dns_host) link;
	char addrs[1024]; /* comma list */
	char name[];
};

static struct dns_host *get_host(struct request *rq, const char *name)
{
	size_t size = strlen(name) + 1;
	struct dns_host *h;

	LIST_FOREACH(h, &rq->dns_hosts, link) {
		if (strcmp(h->name, name) == 0)
			return h;
	}
	if ((h = calloc(1, sizeof(*h) + size)) == NULL) {
		rq->result.no_memory = true;
		return NULL;
	}
	memcpy(h->name, name, size);
	LIST_INSERT_HEAD(&rq->dns_hosts, h, link);
	rq->dns_host_count++;
	return h;
}

/* Once each, as long as they fit. */
static void add_addr(struct dns_host *h, const char *addr)
{
	size_t len = strlen(h->addrs);

	if (!site_list_has(h->addrs, addr))
		(void)snprintf(h->addrs + len, sizeof(h->addrs) - len, "%s%s", len > 0 ? "," : "",
		               addr);
}

static void pool_hosts(struct request *rq, const struct pool *p)
{
	const struct server *srv;

	for (size_t i = 0; i < SERVER_CLOSING; i++) {
		TAILQ_FOREACH(srv, &p->servers[i], link) {
			const char *name = PQhost(srv->conn), *addr = PQhostaddr(srv->conn);
			struct dns_host *h;

			if (name != NULL && !resolve_is_literal(name) &&
			    (h = get_host(rq, name)) != NULL && addr != NULL && *addr != '\0')
				add_addr(h, addr);
		}
	}
}

enum tour_next view_dns_visit(struct request *rq, struct worker *w)
{
	for (const struct pool *p = w->pools; p != NULL; p = p->hh.next)
		pool_hosts(rq, p);
	return TOUR_ON;
}

static void dns_home(struct request *rq, struct worker *w)
{
	const struct dns_host *h;

	(void)w;
	LIST_FOREACH(h, &rq->dns_hosts, link)
		view_row(rq, &(struct row){ .name = h->name, .value = h->addrs });
}

void view_dns_free(struct request *rq)
{
	struct dns_host *h;

	while ((h = LIST_FIRST(&rq->dns_hosts)) != NULL) {
		LIST_REMOVE(h, link);
		free(h);
	}
}

const struct view view_dns_hosts = VIEW(dns_hosts_columns, view_dns_visit, dns_home);

/* --- what there is none of --- */

static const struct column dns_zones_columns[] = {
	{ "zonename", TYPE_TEXT, get_zero },
	{ "serial", TYPE_INT8, get_zero },
	{ "count", TYPE_INT4, get_zero },
};

static const struct column peers_columns[] = {
	{ "peer_id", TYPE_INT4, get_zero },
	{ "host", TYPE_TEXT, get_zero },
	{ "port", TYPE_INT4, get_zero },
	{ "pool_size", TYPE_INT4, get_zero },
};

static const struct column peer_pools_columns[] = {
	{ "peer_id", TYPE_INT4, get_zero },
	{ "cl_active_cancel_req", TYPE_INT4, get_zero },
	{ "cl_waiting_cancel_req", TYPE_INT4, get_zero },
	{ "sv_active_cancel", TYPE_INT4, get_zero },
	{ "sv_login", TYPE_INT4, get_zero },
};

const struct view view_dns_zones = VIEW(dns_zones_columns, NULL, NULL);
const struct view view_peers = VIEW(peers_columns, NULL, NULL);
const struct view view_peer_pools = VIEW(peer_pools_columns, NULL, NULL);
