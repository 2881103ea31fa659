/* Logins to servers, and cancels over a login of their own. */
#include "gate_priv.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/core/params.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/worker.h"

#define DIAL_KEYWORDS_MAX 90
#define KEYWORDS_OURS 8 /* most that are added to what the entry says */

static void answer_arrive(struct letter *letter, void *owner)
{
	struct dial *d = (struct dial *)letter;

	d->answer(d, owner);
}

static void answer_discard(struct letter *letter)
{
	dial_free((struct dial *)letter);
}

static void send_home(struct gate *g, struct dial *d)
{
	TAILQ_REMOVE(&g->dials, d, link);
	d->took = loop_now(g->loop) - d->begun;
	d->letter.deliver = answer_arrive;
	d->letter.discard = answer_discard;
	worker_post(d->home, &d->letter);
}

/* Everything that PostgreSQL reports by itself, up to version 18; the settings may name more. */
static const char *const reported[] = {
	"application_name", "client_encoding", "DateStyle", "default_transaction_read_only",
	"in_hot_standby", "integer_datetimes", "IntervalStyle", "is_superuser", "scram_iterations",
	"search_path", "server_encoding", "server_version", "session_authorization",
	"standard_conforming_strings", "TimeZone",
};

static enum err note_parameter(struct dial *d, const char *name)
{
	const char *value = PQparameterStatus(d->conn, name);

	return value != NULL ? params_flat_add(&d->params, name, value) : ERR_OK;
}

static enum err note_parameters(struct dial *d)
{
	char *rest = NULL, *name;
	enum err rc = ERR_OK;
	size_t i;

	for (i = 0; rc == ERR_OK && i < sizeof(reported) / sizeof(reported[0]); i++)
		rc = note_parameter(d, reported[i]);
	for (name = strtok_r(d->extra_names, ", ", &rest); rc == ERR_OK && name != NULL;
	     name = strtok_r(NULL, ", ", &rest)) {
		for (i = 0; i < sizeof(reported) / sizeof(reported[0]); i++)
			if (strcasecmp(name, reported[i]) == 0)
				break;
		if (i == sizeof(reported) / sizeof(reported[0]))
			rc = note_parameter(d, name);
	}
	return rc;
}

static void cancel_done(void *arg, const struct login_failure *failure)
{
	struct dial *d = arg;

	d->errand = NULL;
	d->canceller = NULL;
	d->ok = failure == NULL;
	if (failure != NULL)
		d->failure = *failure;
	send_home(d->gate, d);
}

static void send_cancel(struct gate *g, struct dial *d, PGconn *conn)
{
	usec_t left = d->begun + d->timeout - loop_now(g->loop);
	char sql[80];

	d->sent = true;
	snprintf(sql, sizeof(sql), "SELECT pg_catalog.pg_cancel_backend(%u)", d->cancel_pid);
	if (errand_start(g->loop, conn, sql, left > 0 ? left : 1, cancel_done, d, &d->errand) != ERR_OK)
		send_home(g, d);
}

static void login_done(void *arg, PGconn *conn, const struct login_failure *failure)
{
	struct dial *d = arg;

	d->login = NULL;
	if (conn == NULL) {
		d->failure = *failure;
		send_home(d->gate, d);
	} else if (d->cancel_pid != 0) {
		send_cancel(d->gate, d, conn);
	} else {
		d->conn = conn;
		if ((d->ok = note_parameters(d) == ERR_OK) == false) {
			PQfinish(d->conn);
			d->conn = NULL;
			snprintf(d->failure.message, sizeof(d->failure.message), "out of memory");
		}
		send_home(d->gate, d);
	}
}

/* What makes libpq choose among servers. A cancel goes to the one that the backend runs on. */
#define CHOOSES_SERVER "host,hostaddr,port,target_session_attrs,load_balance_hosts,service"

static void add(const char **keywords, const char **values, size_t *n, const char *keyword,
                const char *value)
{
	keywords[*n] = keyword;
	values[(*n)++] = value;
}

/* Of an entry that does not say. What physical replication calls its database need not be one, but a
 * cancel is a statement and needs one, whichever. */
static const char *database_for(const struct dial *d)
{
	const struct replication *r = route_replication(d->route);

	if (d->cancel_pid != 0 && r != NULL && r->mode == REPLICATION_PHYSICAL)
		return "postgres";
	return route_database(d->route);
}

static void log_in(struct gate *g, struct dial *d)
{
	const char *keywords[DIAL_KEYWORDS_MAX + 1], *values[DIAL_KEYWORDS_MAX + 1];
	struct login_request req = { keywords, values, d->timeout };
	const struct replication *replication = route_replication(d->route);
	char *options = NULL;
	enum err rc = ERR_OK;
	size_t i, n = 0;

	for (i = 0; i < d->db->count && n < DIAL_KEYWORDS_MAX - KEYWORDS_OURS; i++)
		if (d->cancel_pid == 0 || !site_list_has(CHOOSES_SERVER, d->db->keywords[i]))
			add(keywords, values, &n, d->db->keywords[i], d->db->values[i]);
	if (d->cancel_pid != 0) {
		add(keywords, values, &n, "host", d->host);
		add(keywords, values, &n, "hostaddr", d->hostaddr);
		add(keywords, values, &n, "port", d->port);
	}
	if (!d->db->has_user)
		add(keywords, values, &n, "user", route_role(d->route));
	if (!d->db->has_dbname)
		add(keywords, values, &n, "dbname", database_for(d));
	if (replication != NULL && d->cancel_pid == 0)
		rc = replication_login(replication, keywords, values, &n, &options);
	keywords[n] = values[n] = NULL;
	if (rc == ERR_OK)
		rc = login_start(g->loop, g->resolver, &req, login_done, d, &d->login);
	free(options);
	if (rc != ERR_OK) {
		snprintf(d->failure.message, sizeof(d->failure.message), "out of memory");
		send_home(g, d);
	}
}

void dialler_run(struct gate *g, struct dial *d)
{
	d->gate = g;
	d->begun = loop_now(g->loop);
	TAILQ_INSERT_TAIL(&g->dials, d, link);
	if (d->canceller == NULL) {
		log_in(g, d);
		return;
	}
	d->sent = true; /* libpq does not tell how far it got */
	if (canceller_start(d->canceller, g->loop, d->timeout, cancel_done, d) != ERR_OK) {
		d->canceller = NULL;
		send_home(g, d);
	}
}

void dialler_drop_all(struct gate *g)
{
	struct dial *d;

	while ((d = TAILQ_FIRST(&g->dials)) != NULL) {
		TAILQ_REMOVE(&g->dials, d, link);
		dial_free(d);
	}
}
