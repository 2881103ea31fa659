/* CLIENTS, SERVERS and SOCKETS: what has a connection. Rows are made in the thread that owns it. */
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "pgseal/admin/console.h"
#include "pgseal/admin/views.h"
#include "pgseal/base/log.h"
#include "pgseal/core/replication.h"
#include "request_priv.h"

/* --- whom it serves --- */

static const struct route *route_of(const struct row *row)
{
	return row->session != NULL ? row->session->route : row->server->route;
}

static void get_type(struct cell *out, const struct row *row)
{
	out->text = row->session != NULL ? "C" : "S";
}

static void get_user(struct cell *out, const struct row *row)
{
	const struct route *route = route_of(row);

	if (route != NULL)
		out->text = route_role(route);
	else
		out->text = row->session->identity->label;
}

static void get_database(struct cell *out, const struct row *row)
{
	const struct route *route = route_of(row);

	out->text = route != NULL ? route_database(route) : CONSOLE_DATABASE;
}

static void get_replication(struct cell *out, const struct row *row)
{
	out->text = replication_word(route_of(row));
}

static void get_state(struct cell *out, const struct row *row)
{
	if (row->session != NULL)
		out->text = session_state_word((enum session_state)row->session->state);
	else
		out->text = server_state_word(row->server->state);
}

/* --- where --- */

static void put_addr(struct cell *out, const union peer_addr *at)
{
	int port;

	if (at != NULL)
		peer_text(at, out->room, sizeof(out->room), &port);
	if (at != NULL)
		out->text = out->room;
}

static void put_port(struct cell *out, const union peer_addr *at)
{
	char text[128];
	int port = 0;

	if (at != NULL)
		peer_text(at, text, sizeof(text), &port);
	cell_int(out, port);
}

static void get_addr(struct cell *out, const struct row *row)
{
	put_addr(out, row->peer);
}

static void get_port(struct cell *out, const struct row *row)
{
	put_port(out, row->peer);
}

static void get_local_addr(struct cell *out, const struct row *row)
{
	put_addr(out, row->local);
}

static void get_local_port(struct cell *out, const struct row *row)
{
	put_port(out, row->local);
}

/* --- when --- */

static void get_connect_time(struct cell *out, const struct row *row)
{
	cell_moment(out, row, row->session != NULL ? row->session->born : row->server->born);
}

static void get_request_time(struct cell *out, const struct row *row)
{
	const struct session *s = row->session;

	if (s == NULL)
		cell_moment(out, row, row->server->since);
	else
		cell_moment(out, row, s->query_since != 0 ? s->query_since : s->since);
}

static usec_t waited(const struct row *row)
{
	const struct session *s = row->session;

	if (s == NULL || (s->state != SESSION_WAITING && s->state != SESSION_GREETING))
		return 0;
	return row->now - s->since;
}

static void get_wait(struct cell *out, const struct row *row)
{
	cell_int(out, waited(row) / USEC_PER_SEC);
}

static void get_wait_us(struct cell *out, const struct row *row)
{
	cell_int(out, waited(row) % USEC_PER_SEC);
}

/* --- the rest of PgBouncer's --- */

static void get_prepared(struct cell *out, const struct row *row)
{
	const struct prepared *of = row->session != NULL ? row->session->prepared : NULL;

	if (row->server != NULL)
		cell_uint(out, copies_count(&row->server->copies));
	else
		cell_uint(out, of != NULL ? prepared_count(of) : 0);
}

static void get_close_needed(struct cell *out, const struct row *row)
{
	out->text = row->server != NULL && row->server->stale ? "1" : "0";
}

static void get_ptr(struct cell *out, const struct row *row)
{
	cell_text(out, log_id_text(row->session != NULL ? row->session->id : row->server->id).s);
}

static void get_link(struct cell *out, const struct row *row)
{
	if (row->session != NULL && row->session->server != NULL)
		cell_text(out, log_id_text(row->session->server->id).s);
	else if (row->server != NULL && row->server->session != NULL)
		cell_text(out, log_id_text(row->server->session->id).s);
}

/* A client's is known on a Unix socket alone. */
static void get_remote_pid(struct cell *out, const struct row *row)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);

	if (row->server != NULL)
		cell_uint(out, row->server->pid);
	else if (row->peer != NULL && row->peer->sa.sa_family == AF_UNIX &&
	         getsockopt(row->stream->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		cell_int(out, peer.pid);
	else
		out->text = "0";
}

static void get_tls(struct cell *out, const struct row *row)
{
	SSL *ssl = row->stream->ssl;

	if (ssl != NULL)
		cell_printf(out, "%s/%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
}

static void get_application_name(struct cell *out, const struct row *row)
{
	const struct params *p = row->session != NULL ? row->session->told : row->server->reported;
	const char *name = p != NULL ? params_get(p, "application_name") : NULL;

	out->text = name != NULL ? name : "";
}

static void get_zero(struct cell *out, const struct row *row)
{
	(void)row;
	out->text = "0";
}

static void get_id(struct cell *out, const struct row *row)
{
	cell_uint(out, row->session != NULL ? row->session->id : row->server->id);
}

static void get_pkt_remain(struct cell *out, const struct row *row)
{
	cell_uint(out, row->session != NULL ? row->session->passing : row->server->passing);
}

static void get_send_remain(struct cell *out, const struct row *row)
{
	cell_uint(out, stream_held(row->stream));
}

/* --- ours: who the peer is --- */

/* Names of a server's certificate; NULL: none. Its client's were taken when it came in. */
static struct names *server_names(const struct row *row)
{
	X509 *cert = row->stream->ssl != NULL ? SSL_get1_peer_certificate(row->stream->ssl) : NULL;
	struct names *names = NULL;

	if (cert == NULL)
		return NULL;
	if (names_extract(cert, &names, NULL) != ERR_OK)
		names = NULL;
	X509_free(cert);
	return names;
}

static void put_server_name(struct cell *out, const struct names *names)
{
	enum name_type type = names_count(names, NAME_CN) > 0 ? NAME_CN : NAME_DNS;

	if (names_count(names, type) > 0)
		cell_text(out, names_at(names, type, 0));
}

static void get_identity(struct cell *out, const struct row *row)
{
	struct names *names;

	if (row->session != NULL) {
		out->text = row->session->identity->label;
	} else if (row->server != NULL && (names = server_names(row)) != NULL) {
		put_server_name(out, names);
		names_free(names);
	}
}

static void get_cert_serial(struct cell *out, const struct row *row)
{
	struct names *names;

	if (row->session != NULL) {
		out->text = row->stream->ssl != NULL ? row->session->identity->serial : "";
	} else if (row->server != NULL && (names = server_names(row)) != NULL) {
		cell_text(out, names_serial(names));
		names_free(names);
	}
}

static void get_cert_not_after(struct cell *out, const struct row *row)
{
	struct names *names;
	int64_t at = 0;

	if (row->session != NULL) {
		at = row->session->identity->not_after;
	} else if (row->server != NULL && (names = server_names(row)) != NULL) {
		at = names_not_after(names);
		names_free(names);
	}
	if (at != 0)
		cell_time(out, at);
}

static void get_tls_group(struct cell *out, const struct row *row)
{
	SSL *ssl = row->stream->ssl;
	int group = ssl != NULL ? (int)SSL_get_negotiated_group(ssl) : 0;
	const char *name = group != 0 ? SSL_group_to_name(ssl, group) : NULL;

	if (name != NULL)
		cell_text(out, name);
}

/* --- the columns --- */

#define SOCKET_COLUMNS                                                \
	{ "type", TYPE_TEXT, get_type },                              \
	{ "user", TYPE_TEXT, get_user },                              \
	{ "database", TYPE_TEXT, get_database },                      \
	{ "replication", TYPE_TEXT, get_replication },                \
	{ "state", TYPE_TEXT, get_state },                            \
	{ "addr", TYPE_TEXT, get_addr },                              \
	{ "port", TYPE_INT4, get_port },                              \
	{ "local_addr", TYPE_TEXT, get_local_addr },                  \
	{ "local_port", TYPE_INT4, get_local_port },                  \
	{ "connect_time", TYPE_TEXT, get_connect_time },              \
	{ "request_time", TYPE_TEXT, get_request_time },              \
	{ "wait", TYPE_INT4, get_wait },                              \
	{ "wait_us", TYPE_INT4, get_wait_us },                        \
	{ "close_needed", TYPE_INT4, get_close_needed },              \
	{ "ptr", TYPE_TEXT, get_ptr },                                \
	{ "link", TYPE_TEXT, get_link },                              \
	{ "remote_pid", TYPE_INT4, get_remote_pid },                  \
	{ "tls", TYPE_TEXT, get_tls },                                \
	{ "application_name", TYPE_TEXT, get_application_name },      \
	{ "prepared_statements", TYPE_INT4, get_prepared },           \
	{ "id", TYPE_INT8, get_id }

static const struct column plain_columns[] = { SOCKET_COLUMNS };

static const struct column extended_columns[] = {
	SOCKET_COLUMNS,
	{ "identity", TYPE_TEXT, get_identity },
	{ "cert_serial", TYPE_TEXT, get_cert_serial },
	{ "cert_not_after", TYPE_TEXT, get_cert_not_after },
	{ "tls_group", TYPE_TEXT, get_tls_group },
};

static const struct column buffer_columns[] = {
	SOCKET_COLUMNS,
	{ "recv_pos", TYPE_INT4, get_zero },
	{ "pkt_pos", TYPE_INT4, get_zero },
	{ "pkt_remain", TYPE_INT4, get_pkt_remain },
	{ "send_pos", TYPE_INT4, get_zero },
	{ "send_remain", TYPE_INT4, get_send_remain },
	{ "pkt_avail", TYPE_INT4, get_zero },
	{ "send_avail", TYPE_INT4, get_zero },
};

/* --- PINS --- */

static void get_pid(struct cell *out, const struct row *row)
{
	cell_uint(out, row->server->pid);
}

static void get_pin_reason(struct cell *out, const struct row *row)
{
	cell_text(out, pins_words(&row->server->pins).s);
}

static const struct column pins_columns[] = {
	{ "database", TYPE_TEXT, get_database },
	{ "user", TYPE_TEXT, get_user },
	{ "identity", TYPE_TEXT, get_identity },
	{ "application_name", TYPE_TEXT, get_application_name },
	{ "addr", TYPE_TEXT, get_addr },
	{ "port", TYPE_INT4, get_port },
	{ "id", TYPE_INT8, get_id },
	{ "server_pid", TYPE_INT4, get_pid },
	{ "request_time", TYPE_TEXT, get_request_time },
	{ "reason", TYPE_TEXT, get_pin_reason },
};

/* --- the rows --- */

/* So many in one turn of a worker: nobody's query waits for a view of thousands. */
#define SLICE_ROWS 100

static void socket_row(struct request *rq, struct row *row)
{
	union peer_addr local = { 0 }, peer = { 0 };
	socklen_t local_size = sizeof(local), peer_size = sizeof(peer);

	if (getsockname(row->stream->fd, &local.sa, &local_size) == 0)
		row->local = &local;
	if (row->peer == NULL && getpeername(row->stream->fd, &peer.sa, &peer_size) == 0)
		row->peer = &peer;
	view_row(rq, row);
}

/* Waiting for somebody, or with somebody. */
static bool is_active_client(const struct session *s)
{
	return s->state == SESSION_ACTIVE || s->state == SESSION_WAITING ||
	       s->state == SESSION_GREETING;
}

static bool is_wanted(const struct request *rq, const struct row *row)
{
	if (rq->action.command->view != &view_active_sockets)
		return true;
	return row->session != NULL ? is_active_client(row->session)
	                            : row->server->state != SERVER_IDLE;
}

/* Sessions stand in the order of their ids: a slice begins behind the last one of the slice
 * before. */
static enum tour_next clients_visit(struct request *rq, struct worker *w)
{
	usec_t now = loop_now(w->loop), wall = clock_wall_us();
	const struct session *s;
	size_t n = 0;

	TAILQ_FOREACH(s, &w->sessions, link) {
		struct row row = { .now = now, .wall = wall, .worker = w, .session = s,
		                   .stream = &s->stream, .peer = s->peer };

		if (s->id <= rq->last_session || !is_wanted(rq, &row))
			continue;
		if (n++ == SLICE_ROWS)
			return TOUR_AGAIN;
		socket_row(rq, &row);
		rq->last_session = s->id;
	}
	rq->last_session = 0;
	return TOUR_ON;
}

static size_t pool_servers(struct request *rq, const struct pool *p, struct row *row)
{
	const struct server *srv;
	size_t n = 0;

	for (size_t i = 0; i < SERVER_CLOSING; i++) {
		TAILQ_FOREACH(srv, &p->servers[i], link) {
			row->server = srv;
			row->stream = &srv->stream;
			row->peer = row->local = NULL;
			n++;
			if (is_wanted(rq, row))
				socket_row(rq, row);
		}
	}
	return n;
}

/* By whole pools. One that ends between two slices, which those with servers do not unless they
 * replicate, may hide another. */
static enum tour_next servers_visit(struct request *rq, struct worker *w)
{
	struct row row = { .now = loop_now(w->loop), .wall = clock_wall_us(), .worker = w };
	size_t at = 0, n = 0;

	for (const struct pool *p = w->pools; p != NULL; p = p->hh.next) {
		if (at++ < rq->pools_done)
			continue;
		if (n >= SLICE_ROWS)
			return TOUR_AGAIN;
		n += pool_servers(rq, p, &row);
		rq->pools_done = at;
	}
	rq->pools_done = 0;
	return TOUR_ON;
}

static enum tour_next sockets_visit(struct request *rq, struct worker *w)
{
	if (rq->pools_done == 0 && clients_visit(rq, w) != TOUR_ON)
		return TOUR_AGAIN;
	return servers_visit(rq, w);
}

static void pinned_rows(struct request *rq, struct worker *w, const struct pool *p)
{
	const struct server *srv;

	TAILQ_FOREACH(srv, &p->servers[SERVER_ACTIVE], link)
		if (srv->pins.held != 0 && srv->session->mode == POOL_TRANSACTION)
			view_row(rq, &(struct row){ .now = loop_now(w->loop),
			                            .wall = clock_wall_us(),
			                            .worker = w,
			                            .session = srv->session,
			                            .server = srv,
			                            .stream = &srv->session->stream,
			                            .peer = srv->session->peer });
}

static enum tour_next pins_visit(struct request *rq, struct worker *w)
{
	for (const struct pool *p = w->pools; p != NULL; p = p->hh.next)
		pinned_rows(rq, w, p);
	return TOUR_ON;
}

#define VIEW(columns_, visit_)                                                         \
	{ .columns = columns_, .count = sizeof(columns_) / sizeof(*columns_), .visit = visit_ }

const struct view view_clients = VIEW(plain_columns, clients_visit);
const struct view view_pins = VIEW(pins_columns, pins_visit);
const struct view view_clients_extended = VIEW(extended_columns, clients_visit);
const struct view view_servers = VIEW(plain_columns, servers_visit);
const struct view view_servers_extended = VIEW(extended_columns, servers_visit);
const struct view view_sockets = VIEW(buffer_columns, sockets_visit);
const struct view view_active_sockets = VIEW(buffer_columns, sockets_visit);
