/* How a pool gets servers: logins, and their failures. */
#include "pool_priv.h"

#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/replication.h"
#include "pgseal/core/troubles.h"
#include "pgseal/core/worker.h"

static usec_t now_of(const struct pool *p)
{
	return loop_now(p->worker->loop);
}

/* ---- logins ---- */

bool pool_resting(const struct pool *p)
{
	return p->retry_pause > 0 && now_of(p) < p->failed_at + p->retry_pause;
}

/* Memory ran out: nothing else will come that makes those who wait be thought of. */
static void seek_later(struct pool *p)
{
	timer_set_once(p->retry_timer, POOL_RETRY_FIRST_US);
}

/* One more login, as long as there are fewer servers than that. False: no permit, or no memory. */
static bool open_one(struct pool *p, int64_t up_to)
{
	struct permit permit = { 0 };
	struct dial *d;

	if (!pool_permit(p, up_to, &permit))
		return false;
	if ((d = dial_create(p->worker, p->route, p->db)) == NULL) {
		pool_permit_back(p->worker, &permit, 0);
		seek_later(p);
		return false;
	}
	d->permit = permit;
	d->answer = pool_dialled;
	p->opening++;
	pool_logs_in_for_greeting(p);
	dial_post(d);
	return true;
}

unsigned pool_checking(const struct pool *p)
{
	const struct server *srv;
	unsigned n = 0;

	TAILQ_FOREACH(srv, &p->servers[SERVER_CLEANING], link)
		n += srv->chore == CHORE_CHECK;
	return n;
}

/* Servers that are wanted: one will do for all who wait to be greeted, and none of ours if another worker asks. */
static unsigned demand(struct pool *p, unsigned coming)
{
	unsigned greeting = p->session_count[SESSION_GREETING];

	if (greeting == 0 || greeting > p->waiting)
		return p->waiting;
	if ((coming == 0 && pool_awaits_greeting(p)) || pool_asks_spelling(p))
		return p->waiting - greeting;
	return p->waiting - greeting + 1;
}

/* Servers for those who wait: logins of our own while permits last, spare ones of other workers. */
void pool_seek(struct pool *p)
{
	unsigned coming = p->opening + pool_checking(p), wanted = demand(p, coming);
	int other;

	if (p->paused || p->worker->draining)
		return;
	for (; coming < wanted && !pool_resting(p); coming++)
		if (!open_one(p, pool_allowance(p)))
			break;
	while (pool_wants_more(p) && !pool_resting(p) && open_one(p, p->plan.min))
		;
	if (coming >= wanted)
		pool_starve(p, NULL); /* nothing is lacking: nobody shall stand back for us */
	if (coming < wanted && (other = route_spare_other(p->route, p->worker->index)) >= 0)
		worker_post_look(p->worker->crew->workers[other], p->route);
}

/* All who wait learn at once why they wait in vain. */
void pool_refuse_all(struct pool *p)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&p->waiters)) != NULL)
		session_close_words(s, CLOSE_SERVER_LOGIN, p->failure.sqlstate, p->failure.message,
		                    NULL);
}

/* The server's refusal is about who asks or for what: it will not pass by itself. */
static bool is_permanent(const char *sqlstate)
{
	static const char *const passing[] = { "53", "57", "58", "08", "XX", "55" };
	size_t i;

	if (sqlstate[0] == '\0')
		return false;
	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(sqlstate, passing[i], 2) == 0)
			return false;
	return true;
}

/* A permit is free again: for whoever waits. */
void pool_wake_others(struct pool *p)
{
	size_t i, n = route_workers(p->route);

	for (i = 0; i < n; i++)
		if (atomic_load(&route_mark(p->route, i)->oldest_wait) != 0 &&
		    i != p->worker->index)
			worker_post_look(p->worker->crew->workers[i], p->route);
}

static enum login_failure_class class_of(const struct login_failure *f)
{
	static const char *const prefixes[] = {
#define X(number, word, prefix) [number] = prefix,
		LOGIN_FAILURE_TABLE(X)
#undef X
	};
	size_t i;

	if (f->sqlstate[0] == '\0')
		return LOGIN_FAILURE_UNREACHABLE;
	for (i = LOGIN_FAILURE_UNREACHABLE + 1; i < LOGIN_FAILURE_OTHER; i++)
		if (strncmp(f->sqlstate, prefixes[i], strlen(prefixes[i])) == 0)
			break;
	return (enum login_failure_class)i;
}

static void login_failed(struct pool *p, const struct dial *d)
{
	usec_t longest = p->worker->site->settings.server_login_retry;

	p->failure = d->failure;
	p->worker->login_failures[class_of(&p->failure)]++;
	/* Several that fail together are one failure. */
	if (!pool_resting(p))
		p->retry_pause = p->retry_pause == 0 ? POOL_RETRY_FIRST_US : 2 * p->retry_pause;
	p->failed_at = now_of(p);
	route_drop_question(p->route); /* there may have been one that this was to answer */
	if (p->retry_pause > longest)
		p->retry_pause = longest > 0 ? longest : 1;
	p->permanent = is_permanent(d->failure.sqlstate);
	troubles_note(p->worker->crew->troubles, TROUBLE_SERVER, "login failed",
	              database_host(d->db), p->failure.sqlstate, p->failure.message);
	log_warning(LOG_POOL, 0,
	            "login failed: database=\"%s\" role=\"%s\" sqlstate=%s message=\"%s\" "
	            "retry_in=%s",
	            quote_str(route_database(p->route)).s, quote_str(route_role(p->route)).s,
	            p->failure.sqlstate, quote_str(p->failure.message).s,
	            duration_text(p->retry_pause).s);
	timer_set(p->retry_timer, p->retry_pause);
	pool_starve(p, NULL); /* nobody shall stand back for us meanwhile */
	/* While other servers live, those who wait can still be served. */
	if (p->permanent && route_servers(p->route) == 0)
		pool_refuse_all(p);
}

void pool_retry_due(void *arg)
{
	struct pool *p = arg;

	p->failed_at = 0; /* however early the timer is by our clock */
	pool_seek(p);
}

static void login_succeeded(struct pool *p, struct dial *d)
{
	struct server *srv;

	p->retry_pause = 0;
	p->permanent = false;
	histogram_add(&p->timings.connect, d->took);
	if ((srv = server_create(p, d)) == NULL) {
		log_error(LOG_POOL, 0, "login lost: out of memory");
		pool_permit_back(p->worker, &d->permit, 0);
		pool_wake_others(p);
		seek_later(p);
		return;
	}
	if (p->worker->site->settings.log_connections)
		log_info(LOG_SERVER, srv->id,
		         "login: database=\"%s\" role=\"%s\" host=%s pid=%u tls=%s took_us=%jd",
		         quote_str(route_database(p->route)).s, quote_str(route_role(p->route)).s,
		         PQhost(srv->conn), srv->pid,
		         srv->stream.ssl != NULL ? SSL_get_version(srv->stream.ssl) : "off",
		         (intmax_t)d->took);
	pool_judge(srv);
	if (!database_same_login(srv->db, p->db))
		server_wear_out(srv, "configuration changed");
	if (d->begun < route_renewed(p->route))
		server_wear_out(srv, "to be replaced");
	if (route_replication(p->route) != NULL) {
		replication_begin(p, srv);
		return;
	}
	pool_learn(srv);
	pool_release(p, srv);
}

void pool_dialled(struct dial *d, struct worker *home)
{
	struct pool *p = pool_get(home, d->route, d->db);

	if (p == NULL) {
		pool_permit_back(home, &d->permit, 0);
	} else {
		p->opening--;
		if (d->conn != NULL) {
			login_succeeded(p, d);
		} else {
			pool_permit_back(home, &d->permit, 0);
			login_failed(p, d);
			pool_wake_others(p);
			pool_seek(p);
		}
		pool_drop_unused(p);
	}
	dial_free(d);
	worker_check_end(home);
}
