/* From a verified certificate and a StartupMessage to a session: who is it, what may it do, is there
 * room, and which worker takes it. */
#include "gate_priv.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "pgseal/base/log.h"
#include "pgseal/core/cancel.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/worker.h"
#include "pgseal/tls/context.h"
#include "pgseal/tls/names.h"
#include "pgseal/wire/message.h"

/* ---- who ---- */

static enum err identify_certificate(struct visitor *v, struct identity **out, struct errbuf *why)
{
	X509 *cert = SSL_get0_peer_certificate(v->s->stream.ssl);
	struct names *names;
	enum err rc;

	if (cert == NULL)
		return err_set(why, ERR_DENIED, "no client certificate");
	if ((rc = names_extract(cert, &names, why)) != ERR_OK)
		return rc;
	rc = identity_find(v->site->rules, names, out, why);
	names_free(names);
	return rc;
}

/* Over the Unix socket the kernel vouches: the same user as ours, or root, administers. */
static enum err identify_local(struct visitor *v, struct identity **out, struct errbuf *why)
{
	static const struct identity template = {
		.label = "local", .name = "local", .type = NAME_CN, .serial = "-",
		.console = CONSOLE_ADMIN, .rule = SIZE_MAX,
	};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(v->s->stream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return err_set(why, ERR_DENIED, "no peer credentials");
	if (peer.uid != geteuid() && peer.uid != 0)
		return err_set(why, ERR_DENIED, "uid %u is neither root nor the pooler's",
		               peer.uid);
	*out = identity_copy(&template);
	return *out != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static enum err identify(struct visitor *v, struct identity **out, struct errbuf *why)
{
	return v->s->stream.ssl != NULL ? identify_certificate(v, out, why)
	                                : identify_local(v, out, why);
}

/* ---- what ---- */

/* The same words for every refusal: they tell nothing about which rule, role or database exists. */
static void deny(struct visitor *v, enum refusal cause, const struct startup *st, const char *why)
{
	char message[160];

	snprintf(message, sizeof(message), "certificate authentication failed for user \"%s\"",
	         st->user);
	visitor_refuse(v, cause, SQLSTATE_INVALID_AUTHORIZATION, message, why);
}

static void refuse_memory(struct visitor *v)
{
	visitor_refuse(v, REFUSAL_NO_MEMORY, SQLSTATE_OUT_OF_MEMORY, "out of memory",
	               "out of memory");
}

/* It reads all databases of the server, or all of one: who may do so has been told apart by somebody. */
static enum err authorise_replication(struct visitor *v, const struct startup *st,
                                      const struct identity *id)
{
	char why[300];

	if (st->mode == REPLICATION_NONE || id->replication)
		return ERR_OK;
	snprintf(why, sizeof(why), "identity %s has no replication=yes in [identities]", id->label);
	visitor_refuse(v, REFUSAL_REPLICATION, SQLSTATE_INSUFFICIENT_PRIVILEGE,
	               "permission denied to start WAL sender", why);
	return ERR_DENIED;
}

/* Tools for physical replication ask for this database, whatever they are told. */
#define REPLICATION_DATABASE "replication"

static void refuse_database(struct visitor *v, const struct startup *st)
{
	bool by_tool = st->mode == REPLICATION_PHYSICAL &&
	               strcmp(st->database, REPLICATION_DATABASE) == 0;
	char message[120];

	snprintf(message, sizeof(message), "database \"%s\" does not exist", st->database);
	visitor_refuse_hint(v, REFUSAL_DATABASE, SQLSTATE_UNDEFINED_DATABASE, message,
	                    by_tool ? "The pooler needs an entry of that name in [databases], which "
	                              "says where the server is."
	                            : NULL,
	                    by_tool ? "no entry \"replication\" in [databases], which physical "
	                              "replication asks for"
	                            : "no such entry in [databases]");
}

/* ERR_OK: it may. Otherwise it has been told. */
static enum err authorise(struct visitor *v, const struct startup *st, const struct identity *id)
{
	if (site_is_console(st->database)) {
		if (id->console != CONSOLE_NONE)
			return ERR_OK;
		deny(v, REFUSAL_RIGHT, st, "the identity has no console right");
		return ERR_DENIED;
	}
	if (!identity_may_role(id, st->user) || !identity_may_database(id, st->database)) {
		char why[300];

		snprintf(why, sizeof(why), "identity %s may not use role %s on database %s",
		         id->label, st->user, st->database);
		deny(v, REFUSAL_RIGHT, st, why);
		return ERR_DENIED;
	}
	if (authorise_replication(v, st, id) != ERR_OK)
		return ERR_DENIED;
	if (site_database(v->site, st->database) == NULL) {
		refuse_database(v, st);
		return ERR_DENIED;
	}
	return ERR_OK;
}

/* Whose clients it counts among, and how many these may be. */
struct seat {
	enum quota_kind kind;
	const char *what, *name;
	int64_t limit; /* 0: none */
	const char *setting;
	enum refusal cause;
};

/* A seat among the clients of something. ERR_OK, or it has been told. */
static enum err take_seat(struct visitor *v, size_t i, const struct seat *seat)
{
	struct quota *q = quota_get(v->gate->crew->quotas, seat->kind, seat->name);
	char message[160];

	if (q == NULL) {
		refuse_memory(v);
		return ERR_NO_MEMORY;
	}
	if (quota_take(q, seat->limit)) {
		v->s->seats[i] = q;
		return ERR_OK;
	}
	quota_release(q);
	snprintf(message, sizeof(message), "too many connections for %s \"%s\"", seat->what,
	         seat->name);
	visitor_refuse(v, seat->cause, SQLSTATE_TOO_MANY_CONNECTIONS, message, seat->setting);
	return ERR_LIMIT;
}

#define COMMON_SEATS (SESSION_SEATS - 1)

/* Counted apart; none at all may be let in. */
static enum err take_replication_seat(struct visitor *v, const struct startup *st)
{
	int64_t limit = v->site->settings.max_replication_connections;
	struct quota *q;
	char message[160];

	if (st->mode == REPLICATION_NONE)
		return ERR_OK;
	if ((q = quota_get(v->gate->crew->quotas, QUOTA_REPLICATION, "")) == NULL) {
		refuse_memory(v);
		return ERR_NO_MEMORY;
	}
	if (limit > 0 && quota_take(q, limit)) {
		v->s->seats[COMMON_SEATS] = q;
		return ERR_OK;
	}
	quota_release(q);
	snprintf(message, sizeof(message),
	         "number of requested replication connections exceeds "
	         "\"max_replication_connections\" (currently %jd)", (intmax_t)limit);
	visitor_refuse(v, REFUSAL_REPLICATION_CLIENTS, SQLSTATE_TOO_MANY_CONNECTIONS, message,
	               "max_replication_connections");
	return ERR_LIMIT;
}

static enum err take_seats(struct visitor *v, const struct startup *st)
{
	const struct identity *id = v->s->identity;
	const struct database *db = site_database(v->site, st->database);
	const struct user *user = site_user(v->site, st->user);
	enum err rc = ERR_OK;
	size_t i;
	const struct seat seats[COMMON_SEATS] = {
		{ QUOTA_DATABASE_CLIENTS, "database", st->database, db->max_db_client_connections,
		  "max_db_client_connections", REFUSAL_DATABASE_CLIENTS },
		{ QUOTA_ROLE_CLIENTS, "role", st->user,
		  USER_SAYS(user, max_user_client_connections,
		            v->site->settings.max_user_client_connections),
		  "max_user_client_connections", REFUSAL_ROLE_CLIENTS },
		{ QUOTA_IDENTITY_CLIENTS, "identity", id->label, id->max_clients,
		  "max_clients", REFUSAL_IDENTITY_CLIENTS },
	};

	for (i = 0; rc == ERR_OK && i < COMMON_SEATS; i++)
		rc = take_seat(v, i, &seats[i]);
	if (rc == ERR_OK)
		rc = take_replication_seat(v, st);
	if (rc != ERR_OK)
		session_leave_seats(v->s);
	return rc;
}

/* Count it in. The console always has room: it is how one looks after a full pool. */
static enum err make_place(struct visitor *v, const struct startup *st)
{
	struct crew *crew = v->gate->crew;

	if (atomic_fetch_add(&crew->clients, 1) >= v->site->settings.max_client_conn) {
		atomic_fetch_sub(&crew->clients, 1);
		visitor_refuse(v, REFUSAL_CLIENTS, SQLSTATE_TOO_MANY_CONNECTIONS,
		               "sorry, too many clients already", "max_client_conn");
		return ERR_LIMIT;
	}
	if (take_seats(v, st) != ERR_OK) {
		atomic_fetch_sub(&crew->clients, 1);
		return ERR_LIMIT;
	}
	v->s->counted = true;
	return ERR_OK;
}

/* ---- where ---- */

static struct worker *least_loaded(struct crew *crew)
{
	struct worker *best = crew->workers[0];
	size_t i;

	for (i = 1; i < crew->worker_count; i++)
		if (atomic_load(&crew->workers[i]->load) < atomic_load(&best->load))
			best = crew->workers[i];
	return best;
}

static struct route *replication_route(struct visitor *v, const struct startup *st)
{
	struct replication *r = replication_create(st, &v->site->settings, &v->peer);
	struct route *route = NULL;

	if (r != NULL)
		route = route_private(v->gate->crew->routes, st->database, st->user, r);
	if (route == NULL)
		replication_free(r);
	return route;
}

static enum err furnish(struct visitor *v, const struct startup *st)
{
	struct session *s = v->s;

	s->secret_len = st->version >= WIRE_PROTOCOL_3_2 ? WIRE_SECRET_OURS : WIRE_SECRET_MIN;
	if (RAND_bytes(s->secret, s->secret_len) != 1)
		return ERR_TLS;
	if ((s->peer = malloc(sizeof(*s->peer))) == NULL)
		return ERR_NO_MEMORY;
	*s->peer = v->peer;
	if (site_is_console(st->database))
		return ERR_OK;
	s->route = st->mode == REPLICATION_NONE
	                   ? route_get(v->gate->crew->routes, st->database, st->user)
	                   : replication_route(v, st);
	if (s->route == NULL)
		return ERR_NO_MEMORY;
	if (s->identity->max_active == 0 || st->mode != REPLICATION_NONE)
		return ERR_OK; /* replication takes nothing from a pool */
	s->active = quota_get(v->gate->crew->quotas, QUOTA_IDENTITY_ACTIVE, s->identity->label);
	return s->active != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* The session leaves the gate: nothing of it may be touched behind this. */
static void send_off(struct visitor *v)
{
	struct session *s = v->s;

	v->s = NULL;
	stream_stop(&s->stream);
	visitor_gone(v);
	worker_post_session(least_loaded(v->gate->crew), s);
}

/* What is in force now decides, not what was when it came. */
static enum err follow_site(struct visitor *v, struct errbuf *why)
{
	struct site *now = v->gate->site, *before = v->site;
	SSL *ssl = v->s->stream.ssl;
	enum err rc = ERR_OK;

	if (now == before)
		return ERR_OK;
	if (ssl != NULL && now->client_tls != NULL)
		rc = tls_verify_again(ssl, now->client_tls, why);
	v->site = site_hold(now);
	site_release(before);
	return rc;
}

/* ---- a StartupMessage ---- */

static void admit(struct visitor *v, struct startup *st)
{
	struct errbuf why;

	if (follow_site(v, &why) != ERR_OK) {
		deny(v, REFUSAL_IDENTITY, st, why.text);
		return;
	}
	if (v->s->identity == NULL && identify(v, &v->s->identity, &why) != ERR_OK) {
		deny(v, REFUSAL_IDENTITY, st, why.text);
		return;
	}
	if (authorise(v, st, v->s->identity) != ERR_OK)
		return;
	if (!site_is_console(st->database) && make_place(v, st) != ERR_OK)
		return;
	if (furnish(v, st) != ERR_OK) {
		if (v->s->counted)
			atomic_fetch_sub(&v->gate->crew->clients, 1);
		refuse_memory(v);
		return;
	}
	v->s->startup = st;
	send_off(v);
}

/* In PostgreSQL's words. */
static void refuse_replication_word(struct visitor *v, const struct startup *st)
{
	char message[200];

	snprintf(message, sizeof(message), "invalid value for parameter \"replication\": \"%.100s\"",
	         quote_str(st->replication).s);
	visitor_refuse_hint(v, REFUSAL_PROTOCOL, SQLSTATE_INVALID_PARAMETER_VALUE, message,
	                    "Valid values are: \"false\", 0, \"true\", 1, \"database\".",
	                    "replication is neither database nor a boolean");
}

void admission_startup(struct visitor *v, const struct startup_packet *p)
{
	struct startup *st;
	struct errbuf why;

	if (p->version >> 16 != 3) {
		char message[120];

		snprintf(message, sizeof(message),
		         "unsupported frontend protocol %u.%u: server supports 3.0 to 3.2",
		         p->version >> 16, p->version & 0xffff);
		visitor_refuse(v, REFUSAL_PROTOCOL, SQLSTATE_FEATURE_NOT_SUPPORTED, message,
		               "protocol version");
		return;
	}
	if ((st = calloc(1, sizeof(*st))) == NULL) {
		refuse_memory(v);
		return;
	}
	if (startup_parse(p, st, &why) != ERR_OK) {
		visitor_refuse(v, REFUSAL_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION, why.text,
		               why.text);
		free(st);
		return;
	}
	if (st->mode == REPLICATION_UNCLEAR)
		refuse_replication_word(v, st);
	else
		admit(v, st);
	if (v->s != NULL) {
		startup_free(st);
		free(st);
	}
}

/* ---- a CancelRequest ---- */

void admission_cancel(struct visitor *v, const struct startup_packet *p)
{
	struct cancel_request *req = calloc(1, sizeof(*req));
	struct cancel_key key;
	struct errbuf why;

	if (req == NULL || startup_cancel(p, &key) != ERR_OK) {
		if (req == NULL)
			visitor_count(v, REFUSAL_NO_MEMORY, "out of memory");
		else
			visitor_count(v, REFUSAL_PROTOCOL, "malformed CancelRequest");
		free(req);
		visitor_gone(v);
		return;
	}
	req->pid = key.pid;
	req->secret_len = key.secret.len;
	memcpy(req->secret, key.secret.at, key.secret.len);
	/* Over TLS it must be the same identity; a certificate that is nobody's cancels nothing. */
	if (follow_site(v, &why) != ERR_OK ||
	    (v->s->stream.ssl != NULL && identify_certificate(v, &req->identity, &why) != ERR_OK)) {
		log_info(LOG_CANCEL, 0, "refused: %s", quote_str(why.text).s);
		visitor_count(v, REFUSAL_CANCEL, why.text);
		free(req);
	} else {
		cancel_post(v->gate->crew, req);
	}
	visitor_gone(v);
}
