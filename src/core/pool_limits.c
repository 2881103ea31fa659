/* What a pool may have: its size, the reserve, the minimum, and the quotas that it shares with other
 * pools; and which sessions may use it at the same time. */
#include "pool_priv.h"

#include "pgseal/core/worker.h"

/* Longest that clients of another pool are passed over for ours, where serving them costs a login. */
#define ROOM_SLACK_US (100 * USEC_PER_MS)

static usec_t now_of(const struct pool *p)
{
	return loop_now(p->worker->loop);
}

/* ---- how many ---- */

int64_t pool_allowance(const struct pool *p)
{
	const struct session *first = TAILQ_FIRST(&p->waiters);
	const struct permit_plan *plan = &p->plan;

	if (plan->reserve > 0 && first != NULL &&
	    now_of(p) - first->since >= plan->reserve_timeout)
		return plan->pool_size + plan->reserve;
	return plan->pool_size;
}

/* The dead of this turn count in the route until its end. */
static int64_t left_over(const struct pool *p)
{
	return route_servers(p->route) - (int64_t)p->server_count[SERVER_CLOSING];
}

bool pool_over_size(const struct pool *p)
{
	int64_t n = left_over(p), size = p->plan.pool_size;
	usec_t since;

	if (n <= size)
		return false;
	/* The reserve serves on while anybody waits. */
	return n > size + p->plan.reserve ||
	       (p->waiting == 0 && route_oldest_other(p->route, p->worker->index, &since) < 0);
}

bool pool_keeps(const struct pool *p)
{
	return p->plan.min > 0 && route_sessions(p->route) > 0 &&
	       left_over(p) <= p->plan.min;
}

/* Not at the cost of those who wait for want of the same. */
bool pool_wants_more(const struct pool *p)
{
	size_t i;

	if (p->sessions == 0 || route_servers(p->route) >= p->plan.min)
		return false;
	for (i = 0; i < PERMIT_QUOTAS; i++)
		if (quota_oldest(p->plan.quota[i], INT64_MAX) >= 0)
			return false;
	return true;
}

void pool_count_session(struct pool *p, int change)
{
	p->sessions += (unsigned)change;
	route_count_session(p->route, change);
	if (change > 0 && p->plan.min > 0)
		pool_seek(p);
}

/* ---- cries ---- */

/* Since when the first waits here for want of q, in the queue or before it. */
static usec_t first_without(const struct pool *p, const struct quota *q)
{
	const struct session *s = p->starved == q ? TAILQ_FIRST(&p->waiters) : NULL;

	if (s != NULL)
		return s->since;
	TAILQ_FOREACH(s, &p->throttled, wait_link)
		if (s->active == q)
			return s->since;
	return 0;
}

/* Cry for q as loud as there is reason to; be silent if there is none. */
static void cry(struct worker *w, struct quota *q)
{
	const struct pool *p;
	usec_t since = 0, here;

	for (p = w->pools; p != NULL; p = p->hh.next)
		if ((here = first_without(p, q)) != 0 && (since == 0 || here < since))
			since = here;
	if (since != 0 || quota_cries(q, w->index))
		quota_cry(q, w->index, since);
}

/* The cry that has waited longest for one of these, older than `before`: hear it. 0: none; otherwise
 * the worker + 1. */
static unsigned hear(struct worker *w, struct quota *const *quotas, usec_t before)
{
	size_t i;
	int other;

	if (quotas_silent(w->crew->quotas))
		return 0;
	for (i = 0; i < PERMIT_QUOTAS && quotas[i] != NULL; i++)
		if ((other = quota_oldest(quotas[i], before)) >= 0 &&
		    quota_hear(quotas[i], (size_t)other))
			return (unsigned)other + 1;
	return 0;
}

static void post_owed(struct worker *w, unsigned owed)
{
	if (owed > 0)
		worker_post_look(w->crew->workers[owed - 1], NULL);
}

/* Something under each of these quotas may be free: the oldest that waits for it shall look. They need
 * not be the same, and who looks for one does not look for the others. */
static void pass_on(struct worker *w, struct quota *const *quotas)
{
	size_t i;

	for (i = 0; i < PERMIT_QUOTAS && quotas[i] != NULL; i++)
		post_owed(w, hear(w, (struct quota *[PERMIT_QUOTAS]){ quotas[i] }, INT64_MAX));
}

void pool_starve(struct pool *p, struct quota *q)
{
	struct quota *before = p->starved;

	p->starved = q;
	/* Who had to let us go first has his turn now. */
	if (before != NULL && before != q) {
		cry(p->worker, before);
		pass_on(p->worker, p->plan.quota);
	}
	if (q != NULL)
		cry(p->worker, q);
}

const char *pool_starved_words(const struct pool *p)
{
	static const char *const words[] = {
#define X(kind, setting, words) [kind] = "No more " words " are allowed by " setting ".",
		QUOTA_TABLE(X)
#undef X
	};

	return words[quota_kind_of(p->starved)];
}

/* ---- permits ---- */

/* A quota of the plan that somebody waits for who was here long before our first. */
static struct quota *due_to_others(const struct pool *p)
{
	const struct session *first = TAILQ_FIRST(&p->waiters);
	size_t i;

	if (first == NULL || quotas_silent(p->worker->crew->quotas))
		return NULL;
	for (i = 0; i < PERMIT_QUOTAS; i++)
		if (p->plan.limit[i] > 0 &&
		    quota_oldest(p->plan.quota[i], first->since - ROOM_SLACK_US) >= 0)
			return p->plan.quota[i];
	return NULL;
}

/* We were refused by that one, or by our own size: what was ours for a moment before may have been
 * missed by others. */
static void missed(struct pool *p, const struct quota *full)
{
	struct quota *before[PERMIT_QUOTAS] = { NULL };
	size_t i;

	for (i = 0; i < PERMIT_QUOTAS && p->plan.quota[i] != full; i++)
		before[i] = p->plan.quota[i];
	pass_on(p->worker, before);
}

static bool take(struct pool *p, int64_t up_to, struct permit *out, struct quota **full)
{
	if ((*full = due_to_others(p)) != NULL || route_servers(p->route) >= up_to)
		return false;
	if (permit_take(out, p->route, &p->plan, up_to, full))
		return true;
	missed(p, *full);
	return false;
}

/* Everybody who has one to spare shall close it. */
static void ask_for_room(struct worker *w, struct quota *q)
{
	size_t i;

	for (i = 0; i < w->crew->worker_count; i++)
		worker_post_yield(w->crew->workers[i], q);
}

bool pool_permit(struct pool *p, int64_t up_to, struct permit *out)
{
	struct quota *full, *cried = NULL;
	bool asked = false;

	while (!take(p, up_to, out, &full)) {
		/* What is short is not what we cried for, if we did: others shall not stand back. */
		if (full == NULL || p->opening >= p->waiting) {
			pool_starve(p, NULL);
			return false;
		}
		if (full == cried) {
			if (!asked)
				ask_for_room(p->worker, full);
			return false;
		}
		/* One may have come back before our cry could be heard: once more. */
		asked = quota_unheard(full, p->worker->index);
		pool_starve(p, full);
		cried = full;
	}
	pool_starve(p, NULL);
	return true;
}

void pool_permit_back(struct worker *w, struct permit *permit, unsigned owed)
{
	struct quota *quotas[PERMIT_QUOTAS] = { NULL };
	size_t i;

	for (i = 0; i < PERMIT_QUOTAS && permit->quota[i] != NULL; i++)
		quotas[i] = quota_hold(permit->quota[i]);
	permit_give(permit);
	post_owed(w, owed);
	pass_on(w, quotas);
	for (i = 0; i < PERMIT_QUOTAS; i++)
		quota_release(quotas[i]);
}

/* ---- room for others ---- */

static void close_for(struct server *srv, unsigned owed)
{
	srv->owed = owed;
	server_close(srv, "makes room for clients of another pool");
}

/* Who of other pools waits for less long than that stands back for those of this route. */
static usec_t patience(const struct pool *p)
{
	const struct session *first = TAILQ_FIRST(&p->waiters);
	usec_t before = first != NULL ? first->since - ROOM_SLACK_US : INT64_MAX, theirs;

	if (p->paused)
		return INT64_MAX; /* they could not be served anyway */
	if (route_oldest_other(p->route, p->worker->index, &theirs) >= 0 &&
	    theirs - ROOM_SLACK_US < before)
		before = theirs - ROOM_SLACK_US;
	return before;
}

bool pool_makes_room(struct pool *p, struct server *srv)
{
	unsigned owed;

	if (quotas_silent(p->worker->crew->quotas))
		return false;
	if ((owed = hear(p->worker, srv->permit.quota, patience(p))) == 0)
		return false;
	close_for(srv, owed);
	return true;
}

/* The one that idles longest under q and is nobody's of its own route. */
static struct server *longest_idle(struct worker *w, const struct quota *q)
{
	struct server *srv, *found = NULL;
	struct pool *p;

	for (p = w->pools; p != NULL; p = p->hh.next) {
		srv = TAILQ_LAST(&p->servers[SERVER_IDLE], server_list);
		if (srv != NULL && permit_plan_has(&p->plan, q) &&
		    (found == NULL || srv->since < found->since) &&
		    quota_oldest(q, patience(p)) >= 0)
			found = srv;
	}
	return found;
}

void pool_yield(struct worker *w, struct quota *q)
{
	struct server *srv = longest_idle(w, q);
	int other = srv != NULL ? quota_oldest(q, INT64_MAX) : -1;

	if (other >= 0 && quota_hear(q, (size_t)other))
		close_for(srv, (unsigned)other + 1);
}

/* ---- max_active ---- */

/* No other of its identity waits for longer. */
static bool is_its_turn(const struct session *s)
{
	return quota_oldest(s->active, s->since) < 0;
}

static bool try_charge(struct session *s)
{
	s->charged = is_its_turn(s) && quota_take(s->active, s->identity->max_active);
	return s->charged;
}

bool pool_charge(struct pool *p, struct session *s)
{
	if (s->active == NULL || s->charged)
		return true;
	session_set_state(s, SESSION_WAITING);
	if (!try_charge(s)) {
		s->throttled = true;
		TAILQ_INSERT_TAIL(&p->throttled, s, wait_link);
		p->throttling++;
		cry(p->worker, s->active);
		/* One may have come back before our cry could be heard. */
		if (!try_charge(s))
			return false;
		pool_unthrottle(p, s);
	}
	session_set_state(s, SESSION_IDLE);
	return true;
}

void pool_unthrottle(struct pool *p, struct session *s)
{
	TAILQ_REMOVE(&p->throttled, s, wait_link);
	p->throttling--;
	s->throttled = false;
	cry(p->worker, s->active);
	pass_on(p->worker, (struct quota *[PERMIT_QUOTAS]){ s->active });
}

void pool_uncharge(struct worker *w, struct session *s)
{
	if (!s->charged)
		return;
	s->charged = false;
	quota_give(s->active);
	pass_on(w, (struct quota *[PERMIT_QUOTAS]){ s->active });
}

/* The oldest of all throttled here that gets in now. */
static struct session *next_let_in(struct worker *w)
{
	struct session *s, *found = NULL;
	struct pool *p;

	for (p = w->pools; p != NULL; p = p->hh.next)
		TAILQ_FOREACH(s, &p->throttled, wait_link) {
			if (found != NULL && found->since <= s->since)
				break;
			if (quota_used(s->active) < s->identity->max_active && is_its_turn(s))
				found = s;
		}
	return found != NULL && try_charge(found) ? found : NULL;
}

static void let_in(struct worker *w)
{
	struct session *s;
	struct pool *p;

	while ((s = next_let_in(w)) != NULL) {
		p = s->pool;
		pool_unthrottle(p, s);
		pool_enqueue(p, s);
		pool_look_again(p);
	}
}

/* The cries of those who are left were taken up, in vain for them. */
static void cry_on(struct worker *w)
{
	const struct session *s;
	const struct pool *p;

	for (p = w->pools; p != NULL; p = p->hh.next)
		TAILQ_FOREACH(s, &p->throttled, wait_link)
			if (!quota_unheard(s->active, w->index))
				cry(w, s->active);
}

void pool_look_all(struct worker *w)
{
	struct pool *p, *next;

	let_in(w);
	cry_on(w);
	let_in(w); /* one may have come back before the cry */
	HASH_ITER(hh, w->pools, p, next)
		if (p->starved != NULL)
			pool_seek(p);
}
