#include "pgseal/core/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "pgseal/base/log.h"
#include "pgseal/core/chore.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/tcp.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

#define BIT(n) (1u << (n))

static const unsigned legal[SERVER_STATES] = {
	[SERVER_IDLE] = BIT(SERVER_ACTIVE) | BIT(SERVER_CLEANING) | BIT(SERVER_CLOSING),
	[SERVER_ACTIVE] = BIT(SERVER_IDLE) | BIT(SERVER_CLEANING) | BIT(SERVER_CANCELED) |
	                  BIT(SERVER_CLOSING),
	[SERVER_CLEANING] = BIT(SERVER_IDLE) | BIT(SERVER_CANCELED) | BIT(SERVER_CLOSING),
	[SERVER_CANCELED] = BIT(SERVER_IDLE) | BIT(SERVER_CLOSING),
	[SERVER_CLOSING] = 0,
};

const char *server_state_word(enum server_state state)
{
	static const char *const words[] = {
#define X(number, word) [number] = word,
		SERVER_STATE_TABLE(X)
#undef X
	};

	return words[state];
}

/* The dead are the worker's, to be freed at the end of its turn; all others are in their pool. */
static struct server_list *list_of(struct server *srv, enum server_state state)
{
	if (state == SERVER_CLOSING)
		return &srv->pool->worker->dead_servers;
	return &srv->pool->servers[state];
}

/* The others look at this mark when they lack servers. */
static void mark_idle(struct pool *p)
{
	atomic_store(&route_mark(p->route, p->worker->index)->idle,
	             (int)p->server_count[SERVER_IDLE]);
}

static void list_in(struct server *srv)
{
	struct pool *p = srv->pool;

	/* Newest first: what is used stays warm, what is not ages at the end. */
	TAILQ_INSERT_HEAD(list_of(srv, srv->state), srv, link);
	p->server_count[srv->state]++;
	if (srv->state == SERVER_IDLE)
		mark_idle(p);
}

static void list_out(struct server *srv)
{
	struct pool *p = srv->pool;

	TAILQ_REMOVE(list_of(srv, srv->state), srv, link);
	p->server_count[srv->state]--;
	if (srv->state == SERVER_IDLE)
		mark_idle(p);
}

void server_set_state(struct server *srv, enum server_state next)
{
	if (srv->state == next)
		return;
	assert(legal[srv->state] & BIT(next));
	list_out(srv);
	srv->state = next;
	srv->since = loop_now(srv->pool->worker->loop);
	list_in(srv);
}

/* ---- beginning ---- */

static void arrive(struct letter *letter, void *owner);
static void discard(struct letter *letter);

/* Join a pool: at login, and at the end of a hand-over. */
static enum err join(struct server *srv, struct pool *p)
{
	struct worker *w = p->worker;
	enum err rc;

	if ((rc = stream_start(&srv->stream, w->io, &relay_server_ops, srv)) != ERR_OK)
		return rc;
	srv->pool = p;
	/* Not to be lent yet: that begins with pool_release. */
	srv->state = SERVER_CLEANING;
	srv->since = loop_now(w->loop);
	list_in(srv);
	return ERR_OK;
}

struct server *server_create(struct pool *pool, struct dial *d)
{
	struct worker *w = pool->worker;
	struct server *srv = calloc(1, sizeof(*srv));
	SSL *ssl = PQsslStruct(d->conn, "OpenSSL");

	if (srv == NULL)
		return NULL;
	tcp_set_buffers(PQsocket(d->conn), &w->site->settings);
	stream_init(&srv->stream, PQsocket(d->conn));
	tracker_init(&srv->tracker);
	copies_init(&srv->copies);
	srv->letter.deliver = arrive;
	srv->letter.discard = discard;
	srv->id = LOG_ID(w->index, ++w->next_id);
	srv->pid = (uint32_t)PQbackendPID(d->conn);
	/* This turn may have begun before the login did. */
	srv->born = loop_now(w->loop) > d->begun ? loop_now(w->loop) : d->begun;
	srv->reported = params_parse(w->params, (struct bytes){ d->params.at, d->params.len });
	srv->in_force = params_none(w->params);
	if (ssl != NULL)
		SSL_set_read_ahead(ssl, 1);
	if (srv->reported == NULL || srv->in_force == NULL || (ssl != NULL && stream_secure(&srv->stream, ssl) != ERR_OK) ||
	    join(srv, pool) != ERR_OK) {
		params_release(w->params, srv->reported);
		params_release(w->params, srv->in_force);
		/* libpq's own transport is gone from the SSL: the connection can only be closed. */
		srv->stream.parting = true;
		PQfinish(d->conn);
		d->conn = NULL;
		free(srv);
		return NULL;
	}
	srv->conn = d->conn;
	d->conn = NULL;
	srv->route = d->route;
	d->route = NULL;
	srv->permit = d->permit;
	memset(&d->permit, 0, sizeof(d->permit));
	srv->db = database_hold(d->db);
	return srv;
}

/* ---- end ---- */

void server_settle_reading(struct server *srv)
{
	srv->setting = false;
	srv->flux = 0;
	params_release(srv->pool->worker->params, srv->flux_params);
	srv->flux_params = NULL;
}

void server_set_in_force(struct server *srv, struct params *now)
{
	params_release(srv->pool->worker->params, srv->in_force);
	srv->in_force = now;
}

void server_wear_out(struct server *srv, const char *why)
{
	/* One that replicates is never free: it goes with its client, and nobody waits for that. */
	if (srv->stale != NULL || route_replication(srv->route) != NULL)
		return;
	srv->stale = why;
	srv->stale_since = loop_now(srv->pool->worker->loop);
}

void server_close(struct server *srv, const char *why)
{
	assert(srv->session == NULL);
	if (srv->state == SERVER_CLOSING)
		return;
	chore_spells_no_more(srv);
	if (why != NULL && srv->pool->worker->site->settings.log_disconnections)
		log_info(LOG_SERVER, srv->id,
		         "close: database=\"%s\" role=\"%s\" pid=%u reason=\"%s\"",
		         quote_str(route_database(srv->route)).s,
		         quote_str(route_role(srv->route)).s, srv->pid, why);
	server_set_state(srv, SERVER_CLOSING);
}

bool server_hurries(const struct server *srv)
{
	return srv->stale != NULL && (srv->session_bound || srv->pins.held != 0) &&
	       srv->pool->worker->site->settings.server_fast_close;
}

/* Everything but the pool's part; for those who travel too. */
static void destroy(struct server *srv)
{
	struct route *route = srv->route;

	/* libpq says goodbye through our transport while it closes; behind half a message its Terminate
	 * would complete that message, and the server would carry it out. */
	if (srv->cut)
		shutdown(srv->stream.fd, SHUT_WR);
	stream_part(&srv->stream);
	stream_stop(&srv->stream);
	PQfinish(srv->conn);
	stream_fini(&srv->stream);
	timer_free(srv->deadline);
	tracker_fini(&srv->tracker);
	copies_clear(&srv->copies);
	pins_clear(srv);
	buf_free(&srv->deallocating);
	buf_free(&srv->instead);
	buf_free(&srv->kept);
	buf_free(&srv->words);
	buf_free(&srv->spelling);
	buf_free(&srv->flat_reported);
	buf_free(&srv->flat_in_force);
	authn_release(srv->authn);
	database_release(srv->db);
	permit_give(&srv->permit);
	free(srv);
	route_release(route);
}

void server_free(struct server *srv)
{
	struct pool *p = srv->pool;
	struct permit permit = srv->permit;
	unsigned owed = srv->owed;

	list_out(srv);
	server_settle_reading(srv);
	params_release(p->worker->params, srv->reported);
	params_release(p->worker->params, srv->in_force);
	steps_clear(&srv->steps, p->worker->statements);
	memset(&srv->permit, 0, sizeof(srv->permit));
	destroy(srv);
	pool_permit_back(p->worker, &permit, owed);
	pool_server_gone(p);
	pool_drop_unused(p);
}

/* ---- hand-over ---- */

/* Sets belong to a worker: between two of them their flat forms travel. The one in force begins with a NUL, as
 * nothing at all means that it is not known. */
static enum err pack_params(struct server *srv)
{
	struct params_table *t = srv->pool->worker->params;
	struct bytes flat = params_flat(srv->reported);
	enum err rc = buf_append(&srv->flat_reported, flat.at, flat.len);

	if (rc == ERR_OK && srv->in_force != NULL) {
		flat = params_flat(srv->in_force);
		if ((rc = buf_append(&srv->flat_in_force, "", 1)) == ERR_OK)
			rc = buf_append(&srv->flat_in_force, flat.at, flat.len);
	}
	if (rc != ERR_OK)
		return rc;
	params_release(t, srv->reported);
	params_release(t, srv->in_force);
	srv->reported = srv->in_force = NULL;
	return ERR_OK;
}

static enum err unpack_params(struct server *srv, struct params_table *t)
{
	struct bytes reported = { srv->flat_reported.at, srv->flat_reported.len };
	const struct buf *set = &srv->flat_in_force;
	bool known = set->len > 0;

	srv->reported = params_parse(t, reported);
	if (known)
		srv->in_force = params_parse(t, (struct bytes){ set->at + 1, set->len - 1 });
	buf_free(&srv->flat_reported);
	buf_free(&srv->flat_in_force);
	return srv->reported == NULL || (known && srv->in_force == NULL) ? ERR_NO_MEMORY : ERR_OK;
}

static void arrive(struct letter *letter, void *owner)
{
	struct server *srv = (struct server *)letter;
	struct worker *w = owner;
	struct pool *p = pool_get(w, srv->route, srv->db);

	if (p == NULL || unpack_params(srv, w->params) != ERR_OK || join(srv, p) != ERR_OK) {
		log_error(LOG_SERVER, srv->id,
		          "close: reason=\"out of memory on the way to another worker\"");
		params_release(w->params, srv->reported);
		params_release(w->params, srv->in_force);
		pool_permit_back(w, &srv->permit, srv->owed);
		destroy(srv);
		return;
	}
	if (!database_same_login(srv->db, p->db))
		server_wear_out(srv, "configuration changed");
	if (srv->born < route_renewed(srv->route))
		server_wear_out(srv, "to be replaced");
	pool_release(p, srv);
	pool_look_again(p);
}

static void discard(struct letter *letter)
{
	destroy((struct server *)letter);
}

bool server_hand_over(struct server *srv, struct worker *to)
{
	assert(srv->state == SERVER_IDLE && srv->session == NULL && srv->cancel == NULL &&
	       srv->steps.len == 0);
	if (pack_params(srv) != ERR_OK) {
		server_close(srv, "out of memory");
		return false;
	}
	srv->client_gone = true; /* for all that can be told there */
	timer_free(srv->deadline);
	srv->deadline = NULL;
	stream_stop(&srv->stream);
	list_out(srv);
	srv->pool = NULL;
	worker_post(to, &srv->letter);
	return true;
}

/* ---- statements of ours ---- */

enum err server_query(struct server *srv, enum chore chore, const char *sql)
{
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	enum tracker_client what;
	enum err rc;

	message_write_query(&w, sql);
	if ((rc = writer_status(&w)) == ERR_OK &&
	    (rc = tracker_from_client(&srv->tracker, 'Q', &what)) == ERR_OK) {
		stream_write(&srv->stream, out.at, out.len);
		buf_free(&srv->words);
		srv->chore = chore;
		srv->unnamed_ticket = 0; /* a simple query drops it */
	}
	buf_free(&out);
	return rc;
}
