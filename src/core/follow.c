#include "pgseal/core/follow.h"

#include <string.h>
#include <strings.h>

#include "pgseal/core/pins.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

static struct params_table *table_of(const struct session *s)
{
	return s->worker->params;
}

/* What is wanted and what is in force are mostly one set, and stay so. A name is spelled as the server spells it, if that
 * is known: the same sets are to be one. */
static enum err put(struct server *srv, const char *name, const char *value)
{
	const struct param *reported = params_find(srv->reported, name);
	struct session *s = srv->session;
	bool same = s->asked == srv->in_force;
	enum err rc;

	name = reported != NULL ? reported->name : name;
	rc = params_put(table_of(s), &s->asked, name, value);

	if (rc != ERR_OK || srv->in_force == NULL)
		return rc;
	if (!same)
		return params_put(table_of(s), &srv->in_force, name, value);
	server_set_in_force(srv, params_hold(s->asked));
	return ERR_OK;
}

static enum err drop(struct server *srv, const char *name)
{
	struct session *s = srv->session;
	enum err rc = params_drop(table_of(s), &s->asked, name);

	return rc == ERR_OK && srv->in_force != NULL
	               ? params_drop(table_of(s), &srv->in_force, name)
	               : rc;
}

/* Is it what the server has by itself, so that nothing needs to be carried along? */
static bool is_usual(const struct server *srv, const char *name, const char *value)
{
	const char *usual = params_get(srv->pool->greeting, name);

	return usual != NULL && strcmp(usual, value) == 0 &&
	       params_find(srv->session->initial, name) == NULL;
}

/* No client can have changed that. */
static bool is_servers_own(const char *name)
{
	return strcasecmp(name, "in_hot_standby") == 0 || strcasecmp(name, "server_version") == 0 ||
	       strcasecmp(name, "server_encoding") == 0;
}

/* By what its client has set before, or by a text of this transaction. Otherwise a function may have done it, or an
 * administrator, whose changes nothing of ours may undo. */
static bool is_explained(const struct server *srv, const char *name)
{
	return params_find(srv->session->asked, name) != NULL || pins_explain(srv, name) ||
	       !pins_watch(srv);
}

enum err follow_report(struct server *srv, const char *name, const char *value, bool *news)
{
	enum err rc = session_hear(srv->session, name, value, news);

	if (rc != ERR_OK || !*news)
		return rc;
	if (is_servers_own(name))
		pool_renew(srv, name, value);
	if (params_read_only(name))
		return rc;
	if (is_usual(srv, name, value))
		return drop(srv, name);
	/* Reports come in the client's encoding: what is not ASCII is asked for. */
	if (bytes_ascii(bytes_of(value)) && is_explained(srv, name))
		return put(srv, name, value);
	pins_ask(srv, name);
	return ERR_OK;
}

enum err follow_set(struct server *srv, const char *name, const char *value)
{
	return put(srv, name, value);
}

/* The client has heard of the server's own value by now. */
static enum err tell_first(struct session *s, const struct param *first)
{
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	enum err rc;
	bool news;

	if (params_find(s->told, first->name) == NULL)
		return ERR_OK; /* none of those that are told */
	if ((rc = session_hear(s, first->name, first->value, &news)) != ERR_OK || !news)
		return rc;
	message_write_parameter(&w, first->name, first->value);
	return session_send(s, &w);
}

enum err follow_reset(struct server *srv, const char *name)
{
	struct session *s = srv->session;
	const struct param *first = params_find(s->initial, name);
	enum err rc = drop(srv, name);

	if (rc != ERR_OK || first == NULL)
		return rc;
	if ((rc = tell_first(s, first)) != ERR_OK)
		return rc;
	return params_put(table_of(s), &s->asked, first->name, first->value);
}

void follow_tell(struct server *srv)
{
	struct params *reported = params_hold(srv->reported);
	struct buf out = { 0 };
	struct writer w = writer_to(&out);
	const struct param *p;
	bool news;
	size_t i;

	for (i = 0; i < params_count(reported); i++) {
		p = params_at(reported, i);
		if (follow_report(srv, p->name, p->value, &news) == ERR_OK && news)
			message_write_parameter(&w, p->name, p->value);
	}
	session_send(srv->session, &w);
	params_release(table_of(srv->session), reported);
}
