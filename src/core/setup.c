/* In front of a transaction.
 *
 * Cleaning is awaited: if it fails, it is for reasons that are not the client's, and another server will do. The rest
 * goes in one write with the client's message, as extended messages without a Sync: after an error the server
 * ignores everything up to a Sync, and there is none before the client's message, be it a Query. */
#include "pgseal/core/setup.h"

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "statements_priv.h"

static enum server_reset mode_of(const struct pool *p)
{
	return p->terms.server_reset;
}

bool setup_is_foreign(const struct server *srv, const struct session *s)
{
	switch (mode_of(s->pool)) {
	case SERVER_RESET_SUSPECTED:
		return false;
	case SERVER_RESET_CLIENT:
		return srv->authn != NULL && srv->last_session != s->id;
	case SERVER_RESET_IDENTITY:
	case SERVER_RESET_CLOSE:
		break;
	}
	return srv->authn != NULL && srv->authn != s->authn;
}

bool setup_is_orphan(const struct server *srv)
{
	if (srv->authn == NULL || mode_of(srv->pool) == SERVER_RESET_SUSPECTED)
		return false;
	return !authn_has_sessions(srv->authn) ||
	       (mode_of(srv->pool) == SERVER_RESET_CLIENT && srv->client_gone);
}

/* The sequence values of a session are with the server that it used last, if nobody has used that since. */
static void note_sequences(struct server *srv, const struct session *s)
{
	if (srv->sequences_of == 0)
		srv->sequences_of = s->id;
	else if (srv->sequences_of != s->id || s->last_server != srv->id)
		srv->sequences_of = SEQUENCES_MIXED;
}

void setup_note(struct server *srv, const struct session *s)
{
	srv->foreign = srv->foreign || setup_is_foreign(srv, s);
	srv->reseed = srv->reseed || (srv->seeded && srv->last_session != s->id);
	if (srv->authn != s->authn) {
		authn_release(srv->authn);
		srv->authn = authn_hold(s->authn);
	}
	note_sequences(srv, s);
	srv->last_session = s->id;
	srv->client_gone = false;
}

bool setup_is_due(const struct session *s)
{
	return s->server->reseed || s->server->in_force != s->asked;
}

enum err setup_clean(struct session *s)
{
	struct server *srv = s->server;
	enum err rc = setup_discard(srv);

	if (rc == ERR_OK)
		srv->chore = CHORE_SETUP;
	return rc;
}

bool setup_is_all(const struct server *srv)
{
	const struct tracker *t = &srv->tracker;

	return srv->steps.setup > 0 && tracker_in_batch(t) &&
	       t->sent - t->answered == srv->steps.setup;
}

/* ---- what there is to do ---- */

/* DISCARD ALL, which may not be in a transaction block, waits for others if the session has made deferrable
 * transactions its default: that goes first. Statements of ours may have been prepared anew in a DO block: nothing
 * short of DISCARD ALL is safe. */
static enum err write_discard(struct insertion *in)
{
	struct server *srv = in->srv;
	struct params *none = params_none(srv->pool->worker->params);

	if (none == NULL)
		return ERR_NO_MEMORY;
	insertion_setup(in, SETUP_BEGIN);
	insertion_setup(in, "RESET ALL");
	insertion_setup(in, "COMMIT");
	insertion_setup(in, "DISCARD ALL");
	copies_clear(&srv->copies);
	server_set_in_force(srv, none);
	srv->foreign = false;
	srv->sequences_of = srv->session != NULL ? srv->session->id : 0;
	return ERR_OK;
}

static enum err add_reseed(struct server *srv, struct buf *sql)
{
	uint32_t random;
	char text[64];
	int n;

	if (!srv->reseed)
		return ERR_OK;
	if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
		return ERR_TLS;
	n = snprintf(text, sizeof(text), "SELECT pg_catalog.setseed(0.%010u)", random);
	srv->reseed = srv->seeded = false;
	return buf_append(sql, text, (size_t)n + 1);
}

static void write_all(struct insertion *in, const struct buf *sql)
{
	const char *at = (const char *)sql->at, *end = at + sql->len;

	if (sql->len == 0)
		return;
	insertion_setup(in, SETUP_BEGIN);
	for (; at < end; at += strlen(at) + 1)
		insertion_setup(in, at);
	insertion_setup(in, "COMMIT");
}

static enum err write_setup(struct insertion *in, struct session *s)
{
	struct server *srv = in->srv;
	struct buf sql = { 0 };
	enum err rc;

	rc = params_difference(s->asked, srv->in_force, &sql);
	if (rc == ERR_OK)
		rc = add_reseed(srv, &sql);
	if (rc == ERR_OK)
		write_all(in, &sql);
	buf_free(&sql);
	return rc;
}

bool setup_send(struct session *s, struct feed *f)
{
	struct server *srv = s->server;
	struct about a = { .s = s, .srv = srv, .f = f };
	struct insertion in = insertion_begin(srv);

	if (write_setup(&in, s) != ERR_OK)
		in.failed = true;
	insertion_flush(&in); /* what fails is to show at once */
	server_set_in_force(srv, params_hold(s->asked));
	server_settle_reading(srv);
	return insertion_send(&in, &a) == FEED_ON;
}

enum err setup_discard(struct server *srv)
{
	struct insertion in = insertion_begin(srv);

	if (write_discard(&in) != ERR_OK)
		in.failed = true;
	insertion_sync(&in);
	srv->unnamed_ticket = 0;
	buf_free(&srv->words);
	return insertion_send_alone(&in);
}
