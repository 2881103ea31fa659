#include "pgseal/core/replication.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pgseal/core/appname.h"
#include "pgseal/core/cancel.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/worker.h"

/* ---- what the client asked for ---- */

/* "options" are split at blanks; a backslash takes what follows as it is. */
static enum err add_escaped(struct buf *out, const char *text)
{
	enum err rc = ERR_OK;

	for (; rc == ERR_OK && *text != '\0'; text++) {
		if (strchr(" \t\n\v\f\r\\", *text) != NULL)
			rc = buf_append(out, "\\", 1);
		if (rc == ERR_OK)
			rc = buf_append(out, text, 1);
	}
	return rc;
}

static enum err add_text(struct buf *out, const char *text)
{
	return buf_append(out, text, strlen(text));
}

/* No setting has such a name, but in options it would be read as another's: the server shall refuse it, as
 * it refuses one without a value. */
static bool is_misleading(const char *name)
{
	return strpbrk(name, "=-") != NULL;
}

static enum err add_setting(struct buf *out, const struct startup_param *p)
{
	enum err rc = add_text(out, out->len > 0 ? " -c " : "-c ");

	if (rc == ERR_OK && is_misleading(p->name))
		return buf_append(out, "-", 1);
	if (rc == ERR_OK)
		rc = add_escaped(out, p->name);
	if (rc == ERR_OK)
		rc = add_text(out, "=");
	return rc == ERR_OK ? add_escaped(out, p->value) : rc;
}

/* Standbys are known by their application_name: it goes apart, as the entry may set one, which would win
 * over options. */
static enum err gather(const struct startup *st, const struct settings *s, struct buf *options,
                       const char **name)
{
	enum err rc = ERR_OK;
	size_t i;

	for (i = 0; rc == ERR_OK && i < st->param_count; i++) {
		const struct startup_param *p = &st->params[i];

		if (site_list_has(s->ignore_startup_parameters, p->name) ||
		    params_read_only(p->name))
			continue;
		if (strcasecmp(p->name, "application_name") == 0)
			*name = p->value;
		else
			rc = add_setting(options, p);
	}
	return rc == ERR_OK ? buf_append(options, "", 1) : rc;
}

struct replication *replication_create(const struct startup *st, const struct settings *s,
                                       const union peer_addr *peer)
{
	struct replication *r = calloc(1, sizeof(*r));
	struct buf options = { 0 };
	const char *name = NULL;
	struct appname named;
	char host[INET6_ADDRSTRLEN];
	int port;

	if (r == NULL || gather(st, s, &options, &name) != ERR_OK) {
		buf_free(&options);
		free(r);
		return NULL;
	}
	r->mode = st->mode;
	r->options = (char *)options.at;
	if (s->application_name_add_host) {
		peer_text(peer, host, sizeof(host), &port);
		named = appname_with_host(name, host, port);
		name = named.s;
	}
	if (name != NULL && (r->application_name = strdup(name)) == NULL) {
		replication_free(r);
		return NULL;
	}
	return r;
}

void replication_free(struct replication *r)
{
	if (r == NULL)
		return;
	free(r->options);
	free(r->application_name);
	free(r);
}

const char *replication_word(const struct route *route)
{
	const struct replication *r = route != NULL ? route_replication(route) : NULL;

	if (r == NULL)
		return "none";
	return r->mode == REPLICATION_LOGICAL ? "logical" : "physical";
}

/* ---- the login ---- */

static const char *value_of(const char **keywords, const char **values, size_t n,
                            const char *keyword)
{
	while (n-- > 0)
		if (strcmp(keywords[n], keyword) == 0)
			return values[n];
	return "";
}

static void add(const char **keywords, const char **values, size_t *n, const char *keyword,
                const char *value)
{
	keywords[*n] = keyword;
	values[(*n)++] = value;
}

/* Where a keyword comes twice, libpq goes by the last. */
enum err replication_login(const struct replication *r, const char **keywords, const char **values,
                           size_t *n, char **options)
{
	const char *own = value_of(keywords, values, *n, "options");
	size_t size = strlen(own) + 1 + strlen(r->options) + 1;

	if ((*options = malloc(size)) == NULL)
		return ERR_NO_MEMORY;
	snprintf(*options, size, "%s%s%s", own, own[0] != '\0' ? " " : "", r->options);
	if (r->options[0] != '\0')
		add(keywords, values, n, "options", *options);
	if (r->application_name != NULL)
		add(keywords, values, n, "application_name", r->application_name);
	add(keywords, values, n, "replication",
	    r->mode == REPLICATION_LOGICAL ? "database" : "true");
	return ERR_OK;
}

/* ---- its life ---- */

bool session_replicates(const struct session *s)
{
	return s->route != NULL && route_replication(s->route) != NULL;
}

void replication_terms(struct terms *terms)
{
	*terms = (struct terms){
		.pool_size = terms->pool_size,
		.pool_mode = POOL_SESSION,
		.query_wait_timeout = terms->query_wait_timeout,
	};
}

void replication_begin(struct pool *p, struct server *srv)
{
	struct session *s = TAILQ_FIRST(&p->waiters);

	server_set_state(srv, SERVER_IDLE);
	if (s == NULL) {
		server_close(srv, "its client left while it logged in");
		return;
	}
	p->greeting = params_hold(srv->reported);
	pool_forget(p, s);
	session_greet(s);
	if (s->state == SESSION_IDLE)
		relay_grant(s, srv);
	else
		server_close(srv, "its client could not be greeted");
}

/* Closing ends what streams. What does not look at its connection, such as a slot in the making that waits
 * for transactions, must be told. */
void replication_end(struct server *srv, bool half_sent, bool cancel)
{
	srv->cut = srv->cut || half_sent;
	if (cancel && !srv->tracker.copy_active && !tracker_quiet(&srv->tracker))
		cancel_server(srv);
	server_close(srv, "its replication client left");
}
