/* Parse of sessions that share servers: see relay_statements.c. */
#include "relay_priv.h"

#include "pgseal/core/pins.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "statements_priv.h"

static struct pstatement_table *table_of(const struct session *s)
{
	return s->worker->statements;
}

size_t statements_most_memory(const struct session *s)
{
	return (size_t)s->worker->site->settings.max_client_prepared_memory;
}

/* Of a Parse as it came, which is at hand as a whole. */
static struct bytes whole_body(const struct about *a)
{
	return (struct bytes){ a->f->at + a->f->pos + a->m.head, a->size - a->m.head };
}

/* One that is too large is not remembered: it keeps its server. */
static enum feed_next pass_unnamed_parse(const struct about *a)
{
	struct step step = { .kind = STEP_PARSE, .unnamed = true };
	struct insertion in = insertion_begin(a->srv);
	bool fits = a->size <= FRAME_WHOLE_MAX &&
	            a->srv->steps.bytes <= statements_most_memory(a->s);
	struct params *under;
	uint64_t dialect = statements_dialect(a, &under);

	if (fits &&
	    (step.st = pstatement_intern(table_of(a->s), whole_body(a), dialect, under)) == NULL)
		return statements_no_memory(a);
	if (!a->rewritten)
		return statements_account(a, &step);
	insertion_client_parse(&in, bytes_of(""), a->body, &step);
	return insertion_replace(&in, a);
}

/* Under a name that is taken: the server finds that out when it has found nothing else to object to. There it
 * is a name that was taken for that very purpose, whatever has become of the statement itself. */
static enum feed_next pass_duplicate(const struct about *a)
{
	struct step step = { .kind = STEP_DUPLICATE };
	struct insertion in = insertion_begin(a->srv);

	insertion_parse_void(&in, bytes_of(TAKEN));
	if (insertion_send(&in, a) == FEED_STOP)
		return FEED_STOP;
	if ((step.alias = alias_create(a->m.name, NULL)) == NULL)
		return statements_no_memory(a);
	return statements_account(a, &step) == FEED_STOP
	               ? FEED_STOP
	               : statements_under_name(a, bytes_of(TAKEN));
}

/* In its place something that fails in the way that it is to fail. */
static enum feed_next pass_refusal(const struct about *a, const char *name)
{
	struct insertion in = insertion_begin(a->srv);

	insertion_bind(&in, name);
	return insertion_replace(&in, a);
}

/* The Parse itself, between what makes way for it and what asks for its shape. st: as it is sent. Takes the alias. */
static enum feed_next pass_new(const struct about *a, struct pstatement *st, struct alias *alias)
{
	struct step step = { .kind = STEP_PARSE, .st = pstatement_hold(st), .alias = alias };
	struct bytes name = pstatement_name(table_of(a->s), st);
	struct insertion in = insertion_begin(a->srv);

	insertion_make_way(&in, st, name);
	insertion_make_room(&in);
	insertion_client_parse(&in, name, a->body, &step);
	insertion_describe(&in, st, name, false);
	a->s->pool->stats.server_parse_count++;
	return insertion_replace(&in, a);
}

/* As the client calls it, and as it wrote it. NULL: out of memory. */
static struct alias *make_alias(const struct about *a, struct pstatement *sent, uint64_t dialect,
                                struct params *under)
{
	struct pstatement_table *t = table_of(a->s);
	struct alias *alias = NULL;
	struct pstatement *st;

	if (!a->rewritten)
		return alias_create(a->m.name, sent);
	if ((st = pstatement_intern(t, whole_body(a), dialect, under)) == NULL)
		return NULL;
	st->one_clients = sent->one_clients;
	if (pstatement_name(t, st).len > 0)
		alias = alias_create(a->m.name, st);
	pstatement_release(t, st);
	return alias;
}

static enum feed_next pass_shared(const struct about *a, struct pstatement *st, uint64_t dialect,
                                  struct params *under)
{
	const struct step *step = steps_of_statement(&a->srv->steps, st);
	struct alias *alias;

	if (step != NULL && !statements_in_batch(a->srv, step))
		return statements_hold(a);
	if (pstatement_name(table_of(a->s), st).len == 0 ||
	    (alias = make_alias(a, st, dialect, under)) == NULL)
		return statements_no_memory(a);
	return pass_new(a, st, alias);
}

static enum feed_next pass_named_parse(const struct about *a)
{
	size_t len = a->size - a->m.head;
	struct pstatement_table *t = table_of(a->s);
	struct params *under;
	uint64_t dialect = statements_dialect(a, &under);
	struct pstatement *st;
	enum feed_next next;

	/* What is on its way may fail, or roll back: under which parameters this will be parsed shows then. */
	if (under != a->s->asked && !tracker_in_batch(&a->srv->tracker))
		return statements_hold(a);
	if (a->s->prepared->bytes + a->srv->steps.bytes + prepared_cost(len) >
	    statements_most_memory(a->s))
		return pass_refusal(a, REFUSAL_LIMIT);
	if ((st = pstatement_intern(t, a->body, dialect, under)) == NULL)
		return statements_no_memory(a);
	st->one_clients = under != a->s->asked;
	a->s->prepared->unsettled = a->s->prepared->unsettled || under == NULL;
	next = pass_shared(a, st, dialect, under);
	pstatement_release(t, st);
	return next;
}

/* What lives in the server under the client's own name, if it comes to that. */
static enum feed_next pass_own_parse(const struct about *a)
{
	struct insertion in = insertion_begin(a->srv);
	struct target to = { .name = a->m.name };
	enum found found = statements_as_is(&to, a->m.name);

	if (a->rewritten) {
		insertion_client_parse(&in, to.name, a->body, NULL);
		return insertion_replace(&in, a);
	}
	if (statements_account(a, NULL) == FEED_STOP)
		return FEED_STOP;
	return found == FOUND_RENAMED ? statements_under_name(a, to.name) : FEED_ON;
}

/* With max_prepared_statements = 0 the statement lives in the server under the client's own name, and the
 * server is the session's. */
static enum feed_next pass_pinned_parse(const struct about *a)
{
	struct pstatement_table *t = table_of(a->s);
	struct prepared *n = a->s->prepared;
	bool fits = n->bytes + prepared_cost(a->size) <= statements_most_memory(a->s) &&
	            a->f->len - a->f->pos >= a->size;
	struct pstatement *run = fits ? pstatement_intern(t, whole_body(a), 0, NULL) : NULL;
	struct alias *alias = alias_create_own(a->m.name, run);

	pstatement_release(t, run);
	if (alias == NULL || prepared_put(n, t, alias) != ERR_OK)
		return statements_no_memory(a);
	pins_add(a->srv, PIN_STATEMENT);
	a->s->pool->stats.server_parse_count++;
	return pass_own_parse(a);
}

enum feed_next parse_pass(const struct about *a)
{
	const struct settings *settings = &a->s->worker->site->settings;
	const struct step *step = steps_of_alias(&a->srv->steps, a->m.name);
	const struct alias *alias = prepared_find(a->s->prepared, a->m.name);
	struct target to = { 0 };

	if (a->m.name.len == 0)
		return pass_unnamed_parse(a);
	if (statements_find_named(a, a->m.name, &to) == FOUND_LATER)
		return statements_hold(a);
	if (statements_deallocates(a->srv, a->m.name, step) || statements_forgets(a->srv, step)) {
		step = NULL; /* it is gone when this one comes */
		alias = NULL;
	}
	if (step != NULL ? step->kind != STEP_CLOSE : alias != NULL && alias->st != NULL)
		return pass_duplicate(a);
	if (step == NULL &&
	    alias != NULL) /* of that one the server alone knows whether it is there */
		return pass_own_parse(a);
	return settings->max_prepared_statements > 0 ? pass_named_parse(a) : pass_pinned_parse(a);
}
