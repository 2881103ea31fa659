/* One command under way, from its statement to its answer. */
#ifndef PGSEAL_ADMIN_REQUEST_PRIV_H
#define PGSEAL_ADMIN_REQUEST_PRIV_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "pgseal/admin/commands.h"
#include "pgseal/admin/views.h"
#include "pgseal/core/session.h"
#include "pgseal/core/worker.h"

#define CELL_NULL UINT32_MAX

/* What a command answers. Rows are kept apart from their wire form: the client may have asked for
 * binary, and for a few rows at a time. */
struct result {
	const struct column *columns; /* NULL: no rows come */
	size_t column_count;
	struct buf rows;      /* cells: uint32_t length or CELL_NULL, text */
	const char *tag;      /* of CommandComplete; static */
	const char *sqlstate; /* NULL: it went well */
	struct errbuf message;
	struct buf detail; /* text with its NUL; of an error or, when it went well, of a notice */
	const char *notice;   /* static */
	bool no_memory;
};
void result_free(struct result *r);
void result_cell(struct result *r, const char *text); /* NULL is SQL NULL */

struct dns_host;
struct sums;

/* What views count on the way round. */
struct request_counts {
	uint64_t client, server, pool, client_input, client_output, server_output;
	uint64_t login_clients;
};

struct request {
	struct tour tour;
	struct control_request control;
	struct statement statement;
	struct action action;
	struct result result;
	struct sums *sums;
	struct request_counts counts;
	uint64_t last_session;        /* of a view that comes in slices */
	size_t pools_done;
	LIST_HEAD(, dns_host) dns_hosts; /* names that servers were found by: views_system.c */
	size_t dns_host_count;
	enum tour_next (*part)(struct request *rq, struct worker *w); /* this worker's */
	/* Behind the last worker's. False: once more round, with the part and home set now. */
	bool (*home)(struct request *rq, struct worker *w);
	atomic_bool cancelled; /* the asking session wants no more of it; set in its thread */
	bool cut;              /* so a part that was not at its end went no further */
	/* the parts' own */
	const char *database, *role, *label; /* the statement's argument; NULL: all */
	usec_t since;
	uint64_t id;
	size_t hits;
	bool overtaken;
	bool fresh; /* nobody had ordered it before */
};

struct request *request_create(void); /* NULL: out of memory */
void request_free(struct request *rq);

/* The i-th token behind the command's words; NULL: not given. */
const char *request_arg(const struct request *rq, size_t i);
void request_fail(struct request *rq, const char *sqlstate, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Call part in every worker's thread in turn, then home in the asking session's, then console_done.
 * home may be NULL. */
void request_tour(struct request *rq, struct session *s,
                  enum tour_next (*part)(struct request *rq, struct worker *w),
                  bool (*home)(struct request *rq, struct worker *w));
/* Of a tour: end the waiting. Session's thread. */
void request_cancel(struct request *rq);
/* What stands behind the message, unless something does already; copied, NULL is nothing. */
void request_detail(struct request *rq, const char *text);
/* Fail for that reason; detail is static, may be NULL. */
void request_fail_cancelled(struct request *rq, const char *detail);
/* Send it to control and back, then console_done. */
void request_control(struct request *rq, struct session *s, enum control_kind kind);

/* A worker's part in rq->dns_hosts, and their end (views_system.c). */
enum tour_next view_dns_visit(struct request *rq, struct worker *w);
void view_dns_free(struct request *rq);

/* The answer is complete: give it to the session's console, which frees the request (console.c). */
void console_done(struct request *rq, struct session *s);

#endif
