#include "pgseal/loop/login.h"

#include <stdlib.h>

struct errand {
	struct loop *loop;
	void (*done)(void *arg, const struct login_failure *failure);
	void *arg;
	PGconn *conn; /* owned */
	struct watch *watch;
	struct timer *deadline;
};

static void errand_free(struct errand *e)
{
	watch_free(e->watch);
	timer_free(e->deadline);
	PQfinish(e->conn);
	free(e);
}

void errand_cancel(struct errand *e)
{
	if (e != NULL)
		errand_free(e);
}

static void errand_end(struct errand *e, const char *why)
{
	struct login_failure failure;

	if (why != NULL)
		login_failure_say(&failure, why);
	e->done(e->arg, why != NULL ? &failure : NULL);
	errand_free(e);
}

static void errand_ready(void *arg, unsigned events)
{
	struct errand *e = arg;
	ExecStatusType status;
	PGresult *res;

	if ((events & LOOP_WRITE) != 0 && PQflush(e->conn) == 0 &&
	    watch_set(e->watch, LOOP_READ) != ERR_OK) {
		errand_end(e, "out of memory");
		return;
	}
	if (!PQconsumeInput(e->conn)) {
		errand_end(e, PQerrorMessage(e->conn));
		return;
	}
	if (PQisBusy(e->conn))
		return;
	res = PQgetResult(e->conn);
	status = PQresultStatus(res);
	errand_end(e, status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ?
	              NULL : PQerrorMessage(e->conn));
	PQclear(res);
}

static void errand_due(void *arg)
{
	errand_end(arg, "timeout");
}

enum err errand_start(struct loop *loop, PGconn *conn, const char *sql, usec_t timeout,
                      void (*done)(void *arg, const struct login_failure *failure), void *arg,
                      struct errand **out)
{
	struct errand *e = calloc(1, sizeof(*e));

	if (e == NULL) {
		PQfinish(conn);
		return ERR_NO_MEMORY;
	}
	e->loop = loop;
	e->done = done;
	e->arg = arg;
	e->conn = conn;
	if (PQsetnonblocking(conn, 1) != 0 || !PQsendQuery(conn, sql) ||
	    watch_create(loop, PQsocket(conn), errand_ready, e, &e->watch) != ERR_OK ||
	    watch_set(e->watch, LOOP_READ | LOOP_WRITE) != ERR_OK ||
	    timer_create_in(loop, errand_due, e, &e->deadline) != ERR_OK) {
		errand_free(e);
		return ERR_NO_MEMORY;
	}
	timer_set(e->deadline, timeout);
	*out = e;
	return ERR_OK;
}
