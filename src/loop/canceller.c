#include "pgseal/loop/canceller.h"

#include "config.h"

#ifdef HAVE_PQCANCELCREATE

#include <stdlib.h>

struct canceller {
	PGcancelConn *conn; /* owned */
	struct loop *loop;
	struct watch *watch;
	struct timer *timer; /* first the start, which is never from within canceller_start */
	usec_t timeout;
	bool started;
	void (*done)(void *arg, const struct login_failure *failure);
	void *arg;
};

struct canceller *canceller_create(PGconn *conn)
{
	struct canceller *c = calloc(1, sizeof(*c));

	if (c != NULL && (c->conn = PQcancelCreate(conn)) != NULL)
		return c;
	free(c);
	return NULL;
}

void canceller_free(struct canceller *c)
{
	if (c == NULL)
		return;
	watch_free(c->watch);
	timer_free(c->timer);
	PQcancelFinish(c->conn);
	free(c);
}

static void canceller_end(struct canceller *c, const char *why)
{
	struct login_failure failure;

	if (why != NULL)
		login_failure_say(&failure, why);
	c->done(c->arg, why != NULL ? &failure : NULL);
	canceller_free(c);
}

static void canceller_ready(void *arg, unsigned events);

/* As with a login, libpq's socket may have become another one under the same number. */
static void canceller_wait(struct canceller *c, unsigned events)
{
	if (watch_create(c->loop, PQcancelSocket(c->conn), canceller_ready, c, &c->watch) !=
	            ERR_OK ||
	    watch_set(c->watch, events) != ERR_OK)
		canceller_end(c, "out of memory");
}

static void canceller_ready(void *arg, unsigned events)
{
	struct canceller *c = arg;
	PostgresPollingStatusType status;

	(void)events;
	watch_free(c->watch);
	c->watch = NULL;
	status = PQcancelPoll(c->conn);
	if (status == PGRES_POLLING_OK)
		canceller_end(c, NULL);
	else if (status == PGRES_POLLING_FAILED)
		canceller_end(c, PQcancelErrorMessage(c->conn));
	else
		canceller_wait(c, status == PGRES_POLLING_READING ? LOOP_READ : LOOP_WRITE);
}

static void canceller_due(void *arg)
{
	struct canceller *c = arg;

	if (c->started) {
		canceller_end(c, "timeout");
		return;
	}
	c->started = true;
	timer_set(c->timer, c->timeout);
	if (PQcancelStart(c->conn))
		canceller_wait(c, LOOP_WRITE);
	else
		canceller_end(c, PQcancelErrorMessage(c->conn));
}

enum err canceller_start(struct canceller *c, struct loop *loop, usec_t timeout,
                         void (*done)(void *arg, const struct login_failure *failure), void *arg)
{
	c->loop = loop;
	c->timeout = timeout;
	c->done = done;
	c->arg = arg;
	if (timer_create_in(loop, canceller_due, c, &c->timer) != ERR_OK) {
		canceller_free(c);
		return ERR_NO_MEMORY;
	}
	timer_set(c->timer, 0);
	return ERR_OK;
}

#else

struct canceller *canceller_create(PGconn *conn)
{
	(void)conn;
	return NULL;
}

void canceller_free(struct canceller *c)
{
	(void)c;
}

enum err canceller_start(struct canceller *c, struct loop *loop, usec_t timeout,
                         void (*done)(void *arg, const struct login_failure *failure), void *arg)
{
	(void)c;
	(void)loop;
	(void)timeout;
	(void)done;
	(void)arg;
	return ERR_NOT_FOUND;
}

#endif
