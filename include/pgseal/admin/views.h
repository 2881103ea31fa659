/* Views of the console: an array of columns with name, type and getter each, so that header and cells
 * cannot drift apart. Names, number and order are those of PgBouncer 1.26; what is ours stands in
 * EXTENDED views behind theirs, or in views of ours. */
#ifndef PGSEAL_ADMIN_VIEWS_H
#define PGSEAL_ADMIN_VIEWS_H

#include <stdint.h>

#include "pgseal/core/pool.h"
#include "pgseal/core/site.h"
#include "pgseal/core/worker.h"

struct memory;
struct request;
struct sum;
struct trouble;

/* Type oids of PostgreSQL's catalog. */
enum column_type {
	TYPE_INT8 = 20,
	TYPE_INT4 = 23,
	TYPE_TEXT = 25,
	TYPE_NUMERIC = 1700, /* whole numbers only */
};

/* Where a getter puts its value: room, or text borrowed until the row is done. NULL is SQL NULL. */
struct cell {
	const char *text;
	char room[512];
};

/* What a row is about; each view sets what its getters use. */
struct row {
	usec_t now, wall;                /* of the turn; of the clock on the wall */
	const struct worker *worker;
	const struct site *site;
	const struct session *session;
	const struct server *server;
	const struct stream *stream;     /* of either */
	const union peer_addr *peer, *local;
	const struct sum *sum;
	const struct database *database;
	const struct user *user;
	const struct setting *setting;
	const struct identity_rule_view *rule;
	const struct identity *identity;
	const struct tls_file *file;
	const struct memory *memory;
	const struct trouble *trouble;
	const char *name, *value;
	int64_t number;
};

struct column {
	const char *name;
	enum column_type type;
	void (*get)(struct cell *out, const struct row *row);
};

struct view {
	const struct column *columns;
	size_t count;
	/* This worker's part, in its thread, perhaps in slices; NULL: no worker is asked. */
	enum tour_next (*visit)(struct request *rq, struct worker *w);
	/* The rest, in the worker of the session that asked; may be NULL. */
	void (*home)(struct request *rq, struct worker *w);
};

void cell_text(struct cell *out, const char *text); /* copied, cut if need be */
void cell_int(struct cell *out, int64_t v);
void cell_uint(struct cell *out, uint64_t v);
void cell_printf(struct cell *out, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Seconds of the day on the wall, as PgBouncer prints them: "2026-11-23 17:40:00 UTC". */
void cell_time(struct cell *out, int64_t epoch_seconds);
/* A monotonic time as wall time. */
void cell_moment(struct cell *out, const struct row *row, usec_t at);

/* What SHOW VERSION tells: tools look for PgBouncer and the first number behind it. */
extern const char view_version_text[];

/* One row of the request's view. */
void view_row(struct request *rq, const struct row *row);

extern const struct view view_version, view_config, view_databases, view_pools, view_clients,
	view_clients_extended, view_servers, view_servers_extended, view_sockets, view_stats,
	view_stats_totals, view_stats_averages, view_totals, view_lists, view_state, view_users,
	view_identities, view_tls, view_active_sockets, view_mem, view_dns_hosts, view_dns_zones,
	view_peers, view_peer_pools, view_map, view_errors, view_pins;

#endif
