/* Where the statements are that clients mention: under which name on the server, if it has them. */
#include <string.h>

#include "pgseal/core/pins.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "statements_priv.h"

static struct pstatement_table *table_of(const struct session *s)
{
	return s->worker->statements;
}

/* Is the step of the batch that is open? If it fails, so does all of the client's up to its Sync. */
bool statements_in_batch(const struct server *srv, const struct step *step)
{
	return steps_in_batch(&srv->steps, step) || tracker_in_batch(&srv->tracker);
}

/* ---- where a statement is ---- */

enum found statements_refuse(struct target *to, const char *name)
{
	to->name = bytes_of(name);
	return FOUND_RENAMED;
}

/* Nobody gets at statements of ours by the names that they have on servers. */
enum found statements_as_is(struct target *to, struct bytes name)
{
	struct bytes prefix = bytes_of(PSTATEMENT_PREFIX);

	if (name.len < prefix.len || memcmp(name.at, prefix.at, prefix.len) != 0)
		return FOUND_AS_IS;
	to->name.len = name.len < PSTATEMENT_ALIAS_MAX ? name.len : PSTATEMENT_ALIAS_MAX;
	to->name.at = memcpy(to->guarded, name.at, to->name.len);
	to->guarded[0] = 'P';
	return FOUND_RENAMED;
}

enum found statements_find_copy(const struct about *a, struct pstatement *st, uint64_t shape,
                                struct target *to)
{
	struct server *srv = a->srv;
	const struct step *step = steps_of_statement(&srv->steps, st);
	const struct copy *k;

	to->st = st;
	to->shape = shape;
	to->name = pstatement_name(table_of(a->s), st);
	if (step != NULL)
		return statements_in_batch(srv, step) ? FOUND_MISSING : FOUND_LATER;
	if ((k = copies_use(&srv->copies, to->name)) == NULL || k->lost)
		return FOUND_MISSING;
	if (k->shape == shape || k->shape == 0 || shape == 0)
		return FOUND_RENAMED;
	/* Prepared now it still yields something else than what the client was told. */
	return a->s->rechecked == st ? statements_refuse(to, REFUSAL_CHANGED) : FOUND_MISSING;
}

/* ---- under which parameters ---- */

/* Since it began this transaction may have changed them: which are in force shows when it has ended. */
static bool in_flux(const struct server *srv)
{
	return srv->setting || pins_ask_due(srv);
}

/* What is set in a transaction is nobody else's. */
static uint64_t dialect_now(const struct about *a)
{
	if (!in_flux(a->srv))
		return params_dialect(a->s->asked);
	if (a->srv->flux == 0)
		a->srv->flux = statements_ticket(a->s->worker);
	return a->srv->flux;
}

uint64_t statements_dialect(const struct about *a, struct params **under)
{
	*under = in_flux(a->srv) ? a->srv->flux_params : a->s->asked;
	return dialect_now(a);
}

/* Plans of a statement depend on the parameters of when they are made, too: used under others than it was parsed
 * it is one of its own. */
uint64_t statements_used_dialect(const struct about *a, const struct pstatement *st)
{
	uint64_t now = dialect_now(a);

	/* Plans of its own it has with PostgreSQL, too. A command is read when it runs; in a block that has failed only its end is carried out. */
	if (now == st->dialect || st->one_clients || st->command || a->srv->tracker.status == 'E')
		return st->dialect;
	return (st->dialect * 0x9e3779b97f4a7c15u ^ (now << 31 | now >> 33)) | 1;
}

/* As it is used now. NULL: out of memory. */
static struct pstatement *used(const struct about *a, struct alias *alias)
{
	struct pstatement_table *t = table_of(a->s);
	uint64_t dialect = statements_used_dialect(a, alias->st);

	if (dialect == alias->st->dialect)
		return alias->st;
	if (alias->now != NULL && alias->now->dialect == dialect)
		return alias->now;
	pstatement_release(t, alias->now);
	alias->now = pstatement_intern(t, (struct bytes){ alias->st->body, alias->st->len },
	                               dialect, alias->st->under);
	if (alias->now != NULL && pstatement_name(t, alias->now).len == 0) {
		pstatement_release(t, alias->now);
		alias->now = NULL;
	}
	return alias->now;
}

bool statements_reads_otherwise(const struct server *srv, const struct pstatement *st)
{
	return st->under != NULL && !st->command && srv->session != NULL &&
	       srv->tracker.status != 'E' &&
	       (in_flux(srv) || st->dialect != params_dialect(srv->session->asked));
}

/* A text that drops all is on its way, in the open batch or before it. */
static bool is_forgetting(struct server *srv)
{
	if (tracker_in_batch(&srv->tracker) &&
	    (int32_t)(srv->forgetting_place - srv->steps.batch) <= 0)
		srv->forgetting = false;
	return srv->forgetting;
}

bool statements_forgets(struct server *srv, const struct step *since)
{
	return is_forgetting(srv) &&
	       (since == NULL || (int32_t)(srv->forgetting_place - since->seq) > 0);
}

bool statements_deallocates(const struct server *srv, struct bytes name, const struct step *since)
{
	const uint8_t *at = srv->deallocating.at, *end = at + srv->deallocating.len;
	struct bytes named;
	uint32_t place;

	for (; at < end; at += sizeof(place) + named.len + 1) {
		memcpy(&place, at, sizeof(place));
		named = bytes_of((const char *)at + sizeof(place));
		if (bytes_equal(named, name) &&
		    (since == NULL || (int32_t)(place - since->seq) > 0))
			return true;
	}
	return false;
}

enum found statements_find_named(const struct about *a, struct bytes name, struct target *to)
{
	struct server *srv = a->srv;
	const struct prepared *n = a->s->prepared;
	const struct step *step = steps_of_alias(&srv->steps, name);
	struct pstatement *st;
	struct alias *alias;

	/* A query may be on its way that drops it. */
	if ((is_forgetting(srv) || srv->deallocating.len > 0) && !tracker_in_batch(&srv->tracker))
		return FOUND_LATER;
	if (step != NULL) {
		if (!statements_in_batch(srv, step))
			return FOUND_LATER;
		if (step->kind == STEP_CLOSE || statements_deallocates(srv, name, step))
			return statements_as_is(to, name);
		to->st = step->alias->st;
		to->name = pstatement_name(table_of(a->s), to->st);
		return FOUND_RENAMED;
	}
	alias = n != NULL ? prepared_find(n, name) : NULL;
	if (alias == NULL || alias->st == NULL || statements_deallocates(srv, name, NULL))
		return statements_as_is(to, name);
	if ((st = used(a, alias)) == NULL) {
		statements_no_memory(a);
		return FOUND_LATER;
	}
	return statements_find_copy(a, st, alias->shape, to);
}

const struct pstatement *statements_behind(const struct about *a, struct bytes name)
{
	const struct step *step = steps_of_alias(&a->srv->steps, name);
	const struct alias *alias;

	if (step != NULL)
		return step->kind != STEP_CLOSE ? step->alias->st : NULL;
	alias = a->s->prepared != NULL ? prepared_find(a->s->prepared, name) : NULL;
	if (alias == NULL)
		return NULL;
	return alias->st != NULL ? alias->st : alias->run;
}

static enum found find_unnamed(const struct about *a, struct target *to)
{
	struct server *srv = a->srv;
	const struct prepared *n = a->s->prepared;
	const struct step *step = steps_of_unnamed(&srv->steps);

	if (step != NULL && !statements_in_batch(srv, step))
		return FOUND_LATER;
	if (step != NULL) {
		to->st = step->st;
		return step->kind == STEP_CLOSE ? statements_refuse(to, REFUSAL_UNNAMED)
		                                : FOUND_AS_IS;
	}
	if (tracker_owes_query(&srv->tracker)) /* which drops it, unless it is skipped */
		return FOUND_LATER;
	if (n == NULL || n->unnamed_ticket == 0)
		return statements_refuse(to, REFUSAL_UNNAMED);
	to->st = n->unnamed;
	if (n->unnamed != NULL && (n->unnamed->traits & SQL_NAMES) != 0) {
		to->name = bytes_of(""); /* what its names stand for now */
		return FOUND_MISSING;
	}
	if (n->unnamed_ticket == srv->unnamed_ticket)
		return FOUND_AS_IS;
	if (n->unnamed == NULL)
		return statements_refuse(to, REFUSAL_UNNAMED);
	if (a->s->rechecked == n->unnamed)
		return statements_refuse(to, REFUSAL_CHANGED);
	to->shape = n->unnamed_shape;
	to->name = bytes_of("");
	return FOUND_MISSING;
}

enum found statements_find(const struct about *a, struct target *to)
{
	return a->m.name.len == 0 ? find_unnamed(a, to) : statements_find_named(a, a->m.name, to);
}
