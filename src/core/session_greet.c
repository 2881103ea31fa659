/* What a session's client is told when it has been let in: what servers of its route report as their own, and over that
 * what it has asked for in its StartupMessage, as servers spell it. */
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "pgseal/core/appname.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/session.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

static struct appname named(const struct session *s, const char *name)
{
	char host[INET6_ADDRSTRLEN];
	int port;

	peer_text(s->peer, host, sizeof(host), &port);
	return appname_with_host(name, host, port);
}

/* It has asked for that, and hears of it as if a server had said so, where servers tell of it. */
static enum err ask(struct session *s, const char *name, const char *value)
{
	const struct param *told = params_find(s->told, name);
	bool news;
	enum err rc;

	if (told == NULL)
		return params_put(s->worker->params, &s->asked, name, value);
	rc = params_put(s->worker->params, &s->asked, told->name, value);
	return rc == ERR_OK ? session_hear(s, name, value, &news) : rc;
}

static enum err ask_name(struct session *s, const char *name)
{
	struct buf clean = { 0 };
	enum err rc = appname_put_clean(name, params_get(s->told, "server_version"), &clean);

	if (rc == ERR_OK)
		rc = ask(s, "application_name", (const char *)clean.at);
	buf_free(&clean);
	return rc;
}

static bool is_name(const struct startup_param *p)
{
	return strcasecmp(p->name, "application_name") == 0;
}

static bool is_taken(const struct session *s, const struct startup_param *p)
{
	return !site_list_has(s->worker->site->settings.ignore_startup_parameters, p->name) &&
	       !params_read_only(p->name);
}

/* Everybody may have another, and PostgreSQL shows it as it was asked for. */
static bool is_path(const struct startup_param *p)
{
	return strcasecmp(p->name, "search_path") == 0;
}

/* What servers of the route report as p: it matters how they spell it. NULL: they do not report it, or their own is
 * spelled like that. */
static const struct param *reported_as(const struct params *greeting, const struct startup_param *p)
{
	const struct param *own = is_name(p) || is_path(p) ? NULL : params_find(greeting, p->name);

	return own != NULL && strcmp(own->value, p->value) != 0 ? own : NULL;
}

enum spelling session_spelling(const struct session *s, const struct params *greeting, usec_t since,
                               struct param *which, struct buf *words)
{
	struct spellings *all = route_spellings(s->route);
	const struct startup_param *p = s->startup->params, *end = p + s->startup->param_count;
	enum spelling how, found = SPELLING_SHOWN;
	const struct param *own;

	for (; p < end && found != SPELLING_REFUSED; p++) {
		if (!is_taken(s, p) || (own = reported_as(greeting, p)) == NULL)
			continue;
		if (words != NULL)
			words->len = 0;
		how = spellings_find(all, own->name, p->value, since, words);
		if (how == SPELLING_REFUSED ||
		    (how == SPELLING_UNKNOWN && found == SPELLING_SHOWN)) {
			*which = (struct param){ own->name, p->value };
			found = how;
		}
	}
	return found;
}

/* Spelled as it was asked for, if it is not known better. */
static enum err ask_spelled(struct session *s, const struct startup_param *p)
{
	const struct param *own = reported_as(s->told, p);
	const char *value = p->value;
	struct buf text = { 0 };
	enum err rc;

	if (own != NULL && spellings_find(route_spellings(s->route), own->name, p->value, s->since,
	                                  &text) == SPELLING_SHOWN)
		value = (const char *)text.at;
	rc = ask(s, p->name, value);
	buf_free(&text);
	return rc;
}

/* What the client asked for in its StartupMessage, over what servers of the route report. */
static enum err overlay_startup(struct session *s)
{
	const struct startup_param *p = s->startup->params, *end = p + s->startup->param_count;
	const char *name = NULL;
	enum err rc = ERR_OK;

	for (; rc == ERR_OK && p < end; p++) {
		if (!is_taken(s, p))
			continue;
		rc = is_name(p) ? ask_name(s, name = p->value) : ask_spelled(s, p);
	}
	if (rc == ERR_OK && s->worker->site->settings.application_name_add_host)
		rc = ask_name(s, named(s, name).s);
	return rc;
}

static void write_parameters(struct writer *w, const struct params *p)
{
	size_t i;

	for (i = 0; i < params_count(p); i++)
		message_write_parameter(w, params_at(p, i)->name, params_at(p, i)->value);
}

/* The virtual database has parameters too: drivers look at them. */
static void write_console_parameters(struct writer *w)
{
	static const char *const fixed[][2] = {
		{ "server_version", "1.26.0/pgseal" },
		{ "client_encoding", "UTF8" },
		{ "server_encoding", "UTF8" },
		{ "DateStyle", "ISO" },
		{ "TimeZone", "GMT" },
		{ "standard_conforming_strings", "on" },
		{ "integer_datetimes", "on" },
		{ "is_superuser", "on" },
	};
	size_t i;

	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		message_write_parameter(w, fixed[i][0], fixed[i][1]);
}

static enum err write_greeting(struct session *s, struct buf *out)
{
	const struct startup *st = s->startup;
	/* 3.1 never was: who asks for it gets what there was before. */
	uint32_t spoken = st->version >= WIRE_PROTOCOL_3_2 ? WIRE_PROTOCOL_3_2 : WIRE_PROTOCOL_3_0;
	struct writer w = writer_to(out);

	if (st->unknown_count > 0 || st->version != spoken)
		message_write_negotiate(&w, spoken, st->unknown_options, st->unknown_count);
	message_write_auth_ok(&w);
	if (s->pool != NULL)
		write_parameters(&w, s->told);
	else
		write_console_parameters(&w);
	message_write_key(&w, s->key, (struct bytes){ s->secret, s->secret_len });
	message_write_ready(&w, 'I');
	return writer_status(&w);
}

static enum err begin_params(struct session *s)
{
	enum err rc = ERR_OK;

	if ((s->asked = params_none(s->worker->params)) == NULL)
		return ERR_NO_MEMORY;
	s->told = params_hold(s->pool->greeting);
	if (!session_replicates(s)) /* its server was logged in with all it asked for */
		rc = overlay_startup(s);
	s->initial = params_hold(s->asked);
	return rc;
}

void session_greet(struct session *s)
{
	struct buf out = { 0 };
	enum err rc = ERR_OK;

	if (s->pool != NULL) {
		rc = begin_params(s);
		s->pool->stats.client_login_count++;
	}
	if (rc == ERR_OK && (rc = write_greeting(s, &out)) == ERR_OK)
		stream_write(&s->stream, out.at, out.len);
	buf_free(&out);
	/* It waits for nothing any more: closing must not look for it in the queue. */
	session_set_state(s, SESSION_IDLE);
	if (rc != ERR_OK) {
		session_close(s, CLOSE_NO_MEMORY, NULL);
		return;
	}
	session_drop_startup(s);
	if (s->tally != NULL)
		s->tally->logins++;
	if (s->pool != NULL && session_asks_too_much(s))
		session_close(s, CLOSE_PARAMETERS, NULL);
}
