/* A session comes from its gate into its worker: greeted, or left to wait for what to greet it with. */
#include <stdio.h>

#include "pgseal/base/log.h"
#include "pgseal/core/deadlines.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

static void log_login(const struct session *s)
{
	char addr[64];
	int port;

	if (!s->worker->site->settings.log_connections)
		return;
	peer_text(s->peer, addr, sizeof(addr), &port);
	log_info(LOG_SESSION, s->id,
	         "login: identity=\"%s\" role=\"%s\" database=\"%s\" peer=%s:%d tls=%s "
	         "serial=%s took=%s",
	         quote_str(s->identity->label).s, quote_str(s->startup->user).s,
	         quote_str(s->startup->database).s, addr, port,
	         s->stream.ssl != NULL ? SSL_get_version(s->stream.ssl) : "off",
	         s->identity->serial, duration_text(loop_now(s->worker->loop) - s->born).s);
}

static void open_console(struct session *s)
{
	struct worker *w = s->worker;

	session_greet(s);
	if (s->state == SESSION_CLOSING)
		return;
	if (w->crew->console->open(s) != ERR_OK)
		session_close(s, CLOSE_NO_MEMORY, NULL);
	else
		session_console_begin(s);
}

/* Greet it, from what is known of its route, or let it wait for the first server to tell. */
static void enter_pool(struct session *s, struct database *db)
{
	struct worker *w = s->worker;
	struct pool *p = db != NULL ? pool_get(w, s->route, db) : NULL;

	if (p == NULL) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return;
	}
	s->pool = p;
	s->mode = (uint8_t)p->terms.pool_mode;
	p->session_count[s->state]++;
	pool_count_session(p, 1);
	deadlines_watch(p);
	if (!pool_greet(p, s))
		pool_wait(p, s);
}

/* In PgBouncer's words, with PostgreSQL's SQLSTATE for a database that takes no connections. */
static void refuse_disabled(struct session *s)
{
	char message[160];

	snprintf(message, sizeof(message), "database \"%s\" is disabled", s->startup->database);
	session_close_words(s, CLOSE_DISABLED, SQLSTATE_NOT_IN_STATE, message, NULL);
}

/* False: out of memory, it is closed. */
static bool identify(struct session *s)
{
	if ((s->authn = authn_get(s->worker->crew->authns, s->identity)) != NULL) {
		authn_session_began(s->authn);
		return true;
	}
	session_close(s, CLOSE_NO_MEMORY, NULL);
	return false;
}

static void session_arrive(struct letter *letter, void *owner)
{
	struct session *s = (struct session *)letter;
	struct worker *w = owner;
	const struct stream_ops *ops = s->route != NULL ? &relay_session_ops : &session_console_ops;

	worker_enlist(w, s);
	if ((s->tally = tally_of(&w->tallies, s->identity)) != NULL)
		s->tally->sessions++;
	ebb_note(&w->ebb, atomic_load(&w->load));
	if (stream_start(&s->stream, w->io, ops, s) != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return;
	}
	log_login(s);
	if (s->route != NULL && !identify(s))
		return;
	if (s->route == NULL)
		open_console(s);
	else if (w->draining)
		session_close(s, CLOSE_SHUTDOWN, NULL);
	else if (marked_has(&w->disabled_databases, s->startup->database))
		refuse_disabled(s);
	else
		enter_pool(s, site_database(w->site, s->startup->database));
}

static void session_discard(struct letter *letter)
{
	session_free((struct session *)letter);
}

void worker_post_session(struct worker *w, struct session *s)
{
	s->letter.deliver = session_arrive;
	s->letter.discard = session_discard;
	atomic_fetch_add(&w->load, 1);
	worker_post(w, &s->letter);
}
