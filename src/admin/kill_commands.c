/* KILL and its relatives: sessions end at once, with 57P01. */
#include <inttypes.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/wire/message.h"
#include "pool_commands_priv.h"

/* --- many --- */

static bool is_victim(const struct request *rq, const struct session *s)
{
	if (rq->label != NULL) /* consoles too, but for the one that asks */
		return strcmp(rq->label, s->identity->label) == 0 && s->id != rq->tour.session_id;
	return s->pool != NULL && pool_order_concerns(rq, s->pool);
}

/* Their keys: ending one session may end others, so that no place in the list is sure to stay. */
static bool find_victims(const struct request *rq, const struct worker *w, bool with_server,
                         struct buf *keys)
{
	const struct session *s;

	TAILQ_FOREACH(s, &w->sessions, link) {
		if ((s->server != NULL) == with_server && is_victim(rq, s) &&
		    buf_append(keys, &s->key, sizeof(s->key)) != ERR_OK)
			return false;
	}
	return true;
}

static void close_victims(struct request *rq, struct worker *w, bool with_server)
{
	struct buf keys = { 0 };

	if (!find_victims(rq, w, with_server, &keys))
		rq->result.no_memory = true;
	for (size_t at = 0; at < keys.len; at += sizeof(uint32_t)) {
		struct session *s;
		uint32_t key;

		memcpy(&key, keys.at + at, sizeof(key));
		if ((s = worker_session(w, key)) != NULL) {
			rq->hits++;
			session_close(s, CLOSE_KILLED, NULL);
		}
	}
	buf_free(&keys);
}

static void replace_servers(const struct request *rq, struct worker *w)
{
	struct pool *p, *next;

	HASH_ITER(hh, w->pools, p, next) {
		if (pool_order_concerns(rq, p))
			pool_reconnect(p, "KILL");
	}
}

/* Everywhere those who wait go first and servers are worn out, then those who hold servers: none is
 * lent to a victim in between, here or in another worker. */
static enum tour_next kill_waiting_part(struct request *rq, struct worker *w)
{
	close_victims(rq, w, false);
	if (rq->label == NULL)
		replace_servers(rq, w);
	return TOUR_ON;
}

static enum tour_next kill_busy_part(struct request *rq, struct worker *w)
{
	close_victims(rq, w, true);
	return TOUR_ON;
}

/* What a session was at is cancelled and rolled back before its server is closed: wait for that. */
static bool kill_busy_home(struct request *rq, struct worker *w)
{
	(void)w;
	if (rq->hits == 0 && (rq->role != NULL || rq->label != NULL))
		request_fail(rq, SQLSTATE_UNDEFINED_OBJECT, "no client of %s %s",
		             rq->role != NULL ? "user" : "identity", request_arg(rq, 0));
	if (rq->result.sqlstate != NULL || rq->label != NULL)
		return true;
	rq->since = clock_now_us();
	rq->part = pool_order_worn_part;
	rq->home = pool_order_worn_home;
	return false;
}

static bool kill_waiting_home(struct request *rq, struct worker *w)
{
	(void)w;
	rq->part = kill_busy_part;
	rq->home = kill_busy_home;
	return false;
}

void command_kill(struct request *rq, struct session *s)
{
	pool_order(rq, s, "kill", kill_waiting_part, kill_waiting_home);
}

static void kill_of(struct request *rq, struct session *s, const char *what)
{
	rq->result.tag = "KILL";
	log_info(LOG_CONSOLE, s->id, "kill: by=\"%s\" %s=\"%s\"", quote_str(s->identity->label).s,
	         what, quote_str(request_arg(rq, 0)).s);
	request_tour(rq, s, kill_waiting_part, kill_waiting_home);
}

void command_kill_user(struct request *rq, struct session *s)
{
	rq->role = request_arg(rq, 0);
	kill_of(rq, s, "role");
}

void command_kill_identity(struct request *rq, struct session *s)
{
	rq->label = request_arg(rq, 0);
	kill_of(rq, s, "identity");
}

/* --- one --- */


static enum tour_next kill_client_part(struct request *rq, struct worker *w)
{
	struct session *victim = worker_session_by_id(w, rq->id);

	if (victim != NULL) {
		rq->hits++;
		session_close(victim, CLOSE_KILLED, NULL);
	}
	return TOUR_ON;
}

static bool kill_client_home(struct request *rq, struct worker *w)
{
	(void)w;
	if (rq->hits == 0)
		request_fail(rq, SQLSTATE_UNDEFINED_OBJECT, "client %s not found",
		             request_arg(rq, 0));
	return true;
}

/* The id as in the log and in column ptr, "3-1042", or as the number in column id. */
static bool parse_id(const char *text, uint64_t *out)
{
	int64_t number;

	if (log_id_parse(text, out))
		return true;
	if (parse_int(text, 1, INT64_MAX, &number) != ERR_OK)
		return false;
	*out = (uint64_t)number;
	return true;
}

void command_kill_client(struct request *rq, struct session *s)
{
	rq->result.tag = "KILL_CLIENT";
	if (!parse_id(request_arg(rq, 0), &rq->id)) {
		request_fail(rq, SQLSTATE_INVALID_PARAMETER_VALUE,
		             "KILL_CLIENT takes an id or ptr as in SHOW CLIENTS, such as 3-1042");
		console_done(rq, s);
		return;
	}
	log_info(LOG_CONSOLE, s->id, "kill_client: by=\"%s\" client=%s",
	         quote_str(s->identity->label).s, log_id_text(rq->id).s);
	request_tour(rq, s, kill_client_part, kill_client_home);
}
