#include "pgseal/core/cancel.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/core/chore.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/troubles.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"
#include "relay_priv.h"

/* The key is a positive int32 to drivers: 6 bits for the worker, 25 for the session. */
#define KEY_WORKER_BITS 6
#define KEY_SERIAL_MASK ((1u << 25) - 1)

uint32_t cancel_key_make(size_t worker, uint32_t serial)
{
	return (serial & KEY_SERIAL_MASK) << KEY_WORKER_BITS | (uint32_t)worker;
}

size_t cancel_key_worker(uint32_t key)
{
	return key & ((1u << KEY_WORKER_BITS) - 1);
}

static void request_free(struct cancel_request *req)
{
	identity_free(req->identity);
	free(req);
}

/* Over TLS the client has shown who it is, and the key of somebody else is worth nothing to it. */
static bool same_identity(const struct cancel_request *req, const struct session *s)
{
	return req->identity == NULL ||
	       (s->identity != NULL && strcmp(req->identity->label, s->identity->label) == 0 &&
	        strcmp(req->identity->name, s->identity->name) == 0);
}

static void cancel_session(struct session *s)
{
	if (s->console != NULL)
		s->worker->crew->console->cancel(s);
	else if (s->state == SESSION_WAITING)
		session_fail_request(s, SQLSTATE_QUERY_CANCELED,
		                     "canceling statement due to user request");
	else if (s->state == SESSION_ACTIVE && s->server->chore == CHORE_PROBE)
		/* Its query has ended; the next one may be here. */
		s->server->cancel_again = s->input.len > 0;
	else if (s->state == SESSION_ACTIVE && !tracker_quiet(&s->server->tracker))
		cancel_server(s->server);
}

static void arrive(struct letter *letter, void *owner)
{
	struct cancel_request *req = (struct cancel_request *)letter;
	struct worker *w = owner;
	struct session *s = worker_session(w, req->pid);
	struct bytes asked = { req->secret, req->secret_len };

	if (s == NULL || !bytes_equal_secret(asked, (struct bytes){ s->secret, s->secret_len }))
		log_info(LOG_CANCEL, 0, "refused: no session has the key pid=%u", req->pid);
	else if (!same_identity(req, s))
		log_warning(LOG_CANCEL, s->id,
		            "refused: the key belongs to another identity asked_by=%s",
		            req->identity->label);
	else
		cancel_session(s);
	request_free(req);
}

static void discard(struct letter *letter)
{
	request_free((struct cancel_request *)letter);
}

void cancel_post(struct crew *crew, struct cancel_request *req)
{
	size_t worker = cancel_key_worker(req->pid);

	req->letter.deliver = arrive;
	req->letter.discard = discard;
	if (worker < crew->worker_count)
		worker_post(crew->workers[worker], &req->letter);
	else
		request_free(req);
}

/* ---- the way to the server ---- */

static struct server *find_server(struct pool *p, uint64_t id)
{
	struct server *srv;
	int state;

	for (state = 0; state < SERVER_CLOSING; state++)
		TAILQ_FOREACH(srv, &p->servers[state], link)
			if (srv->id == id)
				return srv;
	return NULL;
}

static bool still_busy(const struct server *srv)
{
	return (srv->state == SERVER_ACTIVE || srv->state == SERVER_CLEANING) &&
	       !tracker_quiet(&srv->tracker);
}

static void answered(struct dial *d, struct worker *w)
{
	struct pool *p = NULL;
	bool astray = !d->ok && d->sent;
	struct server *srv;

	if (!d->ok) {
		log_warning(LOG_CANCEL, d->server_id, "failed: pid=%u reason=%s", d->cancel_pid,
		            quote_str(d->failure.message).s);
		troubles_note(w->crew->troubles, TROUBLE_SERVER, "cancel failed", d->host,
		              d->failure.sqlstate, d->failure.message);
	}
	HASH_FIND_PTR(w->pools, &d->route, p);
	srv = p != NULL ? find_server(p, d->server_id) : NULL;
	dial_free(d);
	if (srv == NULL)
		return;
	srv->cancel = NULL;
	/* Nobody can tell whether it will meet somebody's query yet. */
	if (astray)
		server_wear_out(srv, "a cancel for it went unanswered");
	if (srv->cancel_again && still_busy(srv)) {
		cancel_server(srv);
		return;
	}
	/* What was prepared for a query was there before it came: it is the query's, which is next. */
	srv->cancel_again = srv->cancel_again && srv->session != NULL &&
	                    srv->session->rechecked != NULL;
	if (srv->state == SERVER_CANCELED)
		pool_release(p, srv);
	else
		relay_settle(srv);
}

static char *copy_text(const char *s)
{
	return strdup(s != NULL ? s : "");
}

void cancel_server(struct server *srv)
{
	struct pool *p = srv->pool;
	struct dial *d;

	/* One at a time, and not while the server is cleaned for who wants it. What goes in front of the client's
	 * statement may be met in its place. */
	srv->cancel_again = srv->cancel != NULL || srv->chore == CHORE_SETUP ||
	                    srv->chore == CHORE_FETCH;
	if (srv->cancel != NULL || srv->chore == CHORE_SETUP)
		return;
	if ((d = dial_create(p->worker, p->route, srv->db)) == NULL) {
		log_error(LOG_CANCEL, srv->id, "failed: out of memory");
		return;
	}
	d->cancel_pid = srv->pid;
	d->timeout = p->worker->site->settings.cancel_wait_timeout;
	d->canceller = canceller_create(srv->conn);
	d->host = copy_text(PQhost(srv->conn));
	d->hostaddr = copy_text(PQhostaddr(srv->conn));
	d->port = copy_text(PQport(srv->conn));
	if (d->host == NULL || d->hostaddr == NULL || d->port == NULL) {
		log_error(LOG_CANCEL, srv->id, "failed: out of memory");
		dial_free(d);
		return;
	}
	d->server_id = srv->id;
	d->answer = answered;
	srv->cancel = d;
	dial_post(d);
}
