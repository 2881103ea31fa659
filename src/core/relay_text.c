/* SQL in a client's messages, in transaction mode: what it leaves behind in the server, and names of prepared
 * statements in it, which are those of one client, but not on the server. */
#include "statements_priv.h"

#include <stdio.h>
#include <string.h>

#include "pgseal/core/chore.h"
#include "pgseal/core/pins.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/setup.h"
#include "pgseal/core/worker.h"

/* One of these for each DEALLOCATE in a text. */
#define VOID_PREFIX PSTATEMENT_PREFIX "void"

struct bytes text_of(struct bytes body)
{
	const uint8_t *nul = memchr(body.at, '\0', body.len);

	return (struct bytes){ body.at, nul != NULL ? (size_t)(nul - body.at) : body.len };
}

/* ---- how the server reads it ---- */

/* What is in force of a parameter when the message comes there; NULL: who knows? */
static const char *in_force(const struct about *a, const char *name)
{
	const char *reported = params_get(a->srv->reported, name), *asked, *usual;

	if (a->srv->steps.setup == 0)
		return reported;
	/* What is reported will be told only with the answer to the client's message. */
	if ((asked = params_get(a->s->asked, name)) != NULL)
		return asked;
	usual = params_get(a->s->pool->greeting, name);
	return reported != NULL && usual != NULL && strcmp(reported, usual) == 0 ? usual : NULL;
}

/* But what sets up the server. */
static bool nothing_is_on_its_way(const struct server *srv)
{
	const struct tracker *t = &srv->tracker;

	return (tracker_quiet(t) && !t->batch_open) || setup_is_all(srv);
}

static struct sql_reading reading_of(const struct about *a)
{
	/* Something on its way may change it. */
	if (!nothing_is_on_its_way(a->srv))
		return sql_reading_of(NULL, NULL);
	if (a->srv->reading_known && a->srv->steps.setup == 0)
		return a->srv->reading;
	a->srv->reading = sql_reading_of(in_force(a, "standard_conforming_strings"),
	                                 in_force(a, "client_encoding"));
	a->srv->reading_known = a->srv->steps.setup == 0;
	return a->srv->reading;
}

bool text_look(struct about *a)
{
	size_t head = a->type == 'P' ? a->m.head : FRAME_HEADER;
	size_t have = a->f->len - a->f->pos < a->size ? a->f->len - a->f->pos : a->size;

	a->body = (struct bytes){ a->f->at + a->f->pos + head, have - head };
	a->how = reading_of(a);
	a->traits = sql_traits(text_of(a->body), a->how);
	/* Mentions are those of one reading. */
	if (have < a->size || (a->traits != 0 && !sql_certain(text_of(a->body), a->how)))
		a->traits |= SQL_UNKNOWN;
	return have == a->size;
}

/* ---- names ---- */

/* A text being written anew: what is in front of `done` is in a->text. */
struct rewriting {
	struct about *a;
	struct bytes from; /* the body as it came */
	size_t done;
	struct buf gone; /* names that it has deallocated so far, each with its NUL */
	bool all_gone;
};

static enum feed_next put(struct rewriting *r, struct bytes b)
{
	return buf_append(&r->a->text, b.at, b.len) == ERR_OK ? FEED_ON
	                                                      : statements_no_memory(r->a);
}

/* In quotes; those that are in it twice. */
static enum feed_next put_name(struct rewriting *r, struct bytes name)
{
	const struct bytes quote = bytes_of("\"");
	enum feed_next next = put(r, quote);
	size_t i;

	for (i = 0; next == FEED_ON && i < name.len; i++) {
		if (name.at[i] == '"')
			next = put(r, quote);
		if (next == FEED_ON)
			next = put(r, (struct bytes){ name.at + i, 1 });
	}
	return next == FEED_ON ? put(r, quote) : next;
}

/* The name at the mention becomes this one. */
static enum feed_next replace(struct rewriting *r, const struct sql_mention *m, struct bytes name)
{
	struct bytes before = { r->from.at + r->done, m->at - r->done };

	r->done = m->at + m->len;
	return put(r, before) == FEED_ON ? put_name(r, name) : FEED_STOP;
}

/* The shared statement stays; the server gets an empty one to deallocate instead. */
static enum feed_next deallocate(struct rewriting *r, const struct sql_mention *m)
{
	char name[sizeof(VOID_PREFIX) + 12];

	if (buf_append(&r->gone, m->name, strlen(m->name) + 1) != ERR_OK)
		return statements_no_memory(r->a);
	snprintf(name, sizeof(name), VOID_PREFIX "%u", r->a->voids++);
	return replace(r, m, bytes_of(name));
}

static enum feed_next send_voids(const struct about *a)
{
	struct insertion in = insertion_begin(a->srv);
	char name[sizeof(VOID_PREFIX) + 12];
	unsigned i;

	for (i = 0; i < a->voids; i++) {
		snprintf(name, sizeof(name), VOID_PREFIX "%u", i);
		insertion_parse_void(&in, bytes_of(name));
	}
	return a->voids > 0 ? insertion_send(&in, a) : FEED_ON;
}

/* In front of a simple query nothing of ours may fail, which would make the server ignore it: what is
 * missing is prepared in a batch of its own. Twice is in vain, and so it is in a transaction that has failed:
 * then the server may say so. */
static enum feed_next fetch_for_query(const struct about *a, const struct target *to)
{
	const struct tracker *t = &a->srv->tracker;

	if (!tracker_in_batch(t))
		return statements_hold(a);
	if (((t->len > 0 || t->batch_open) && !setup_is_all(a->srv)) || t->status == 'E' ||
	    a->s->rechecked == to->st)
		return FEED_ON;
	if (chore_fetch(a, to) != ERR_OK)
		return statements_no_memory(a);
	a->s->rechecked = to->st;
	return FEED_STOP;
}

/* Nothing stands for it any more when the server comes to this mention, or what the text itself has prepared. */
static bool is_gone(const struct rewriting *r, const char *name)
{
	const char *at = (const char *)r->gone.at, *end = at + r->gone.len;

	for (; !r->all_gone && at < end; at += strlen(at) + 1)
		if (strcmp(at, name) == 0)
			return true;
	return r->all_gone;
}

static enum feed_next rename_one(struct rewriting *r, const struct sql_mention *m)
{
	struct about *a = r->a;
	struct target to = { .in_text = true };
	enum found found = is_gone(r, m->name) ? statements_as_is(&to, bytes_of(m->name))
	                                       : statements_find_named(a, bytes_of(m->name), &to);

	if (found == FOUND_LATER)
		return statements_hold(a);
	if (to.st == NULL) /* it lives in the server, or not at all */
		return found == FOUND_RENAMED ? replace(r, m, to.name) : FEED_ON;
	if (m->kind == SQL_DEALLOCATE)
		return deallocate(r, m);
	if (steps_of_alias(&a->srv->steps, bytes_of(m->name)) == NULL)
		found = statements_find_copy(a, to.st, 0, &to);
	if (found == FOUND_LATER)
		return statements_hold(a);
	if (found == FOUND_MISSING && a->type != 'Q')
		return statements_fetch(a, &to);
	if (found == FOUND_MISSING)
		return fetch_for_query(a, &to);
	return replace(r, m, to.name);
}

static enum feed_next each_name(struct about *a, struct rewriting *r)
{
	struct sql_mention m;
	struct sql_cursor c;
	enum feed_next next = FEED_ON;

	sql_begin(&c, text_of(r->from), a->how);
	while (next == FEED_ON && sql_next(&c, &m)) {
		if (m.kind <= SQL_DEALLOCATE && m.len > 0 && m.name[0] != '\0')
			next = rename_one(r, &m);
		r->all_gone = r->all_gone || m.kind == SQL_DEALLOCATE_ALL;
	}
	buf_free(&r->gone);
	return next;
}

enum feed_next text_resolve(struct about *a)
{
	struct rewriting r = { .a = a, .from = a->body };
	enum feed_next next;

	a->voids = 0;
	if ((a->traits & SQL_NAMES) == 0)
		return FEED_ON;
	/* What fails before it must not be taken for this one. */
	if (!tracker_in_batch(&a->srv->tracker))
		return statements_hold(a);
	if ((next = each_name(a, &r)) == FEED_ON && a->text.len > 0)
		next = put(&r, (struct bytes){ r.from.at + r.done, r.from.len - r.done });
	if (next == FEED_ON && a->text.len > 0) {
		a->rewritten = true;
		a->body = (struct bytes){ a->text.at, a->text.len };
	}
	return next;
}

struct pstatement *text_resolve_statement(struct about *a, struct pstatement *st)
{
	struct pstatement *now = NULL;

	a->body = (struct bytes){ st->body, st->len };
	a->how = reading_of(a);
	a->traits = st->traits;
	if (text_resolve(a) == FEED_ON) {
		now = pstatement_intern(a->s->worker->statements, a->body,
		                        statements_used_dialect(a, st), st->under);
		if (now == NULL)
			statements_no_memory(a);
	}
	buf_free(&a->text);
	a->rewritten = false;
	return now;
}

/* ---- it runs ---- */

/* A name that the text prepares: it will be there under its own name. If not, the answer tells. */
static enum feed_next remember_prepare(const struct about *a, struct bytes name, struct bytes text)
{
	struct pstatement_table *t = a->s->worker->statements;
	struct prepared *n = a->s->prepared;
	struct pstatement *run;
	struct alias *alias;

	if (prepared_find(n, name) != NULL ||
	    n->bytes > (size_t)a->s->worker->site->settings.max_client_prepared_memory)
		return FEED_ON;
	if ((run = pstatement_intern(t, text, 0, NULL)) == NULL)
		return statements_no_memory(a);
	alias = alias_create_own(name, run);
	pstatement_release(t, run);
	if (alias == NULL || prepared_put(n, t, alias) != ERR_OK)
		return statements_no_memory(a);
	return FEED_ON;
}

static enum feed_next remember_deallocate(const struct about *a, struct bytes name)
{
	struct buf *names = &a->srv->deallocating;
	uint32_t place = a->srv->tracker.sent;

	if (names->len >= FRAME_WHOLE_MAX)
		return FEED_ON;
	if (buf_append(names, &place, sizeof(place)) != ERR_OK ||
	    buf_append(names, name.at, name.len + 1) != ERR_OK)
		return statements_no_memory(a);
	return FEED_ON;
}

/* What the text will do to the client's names, once the server says that it has. */
static enum feed_next remember(const struct about *a, struct bytes text)
{
	enum feed_next next = FEED_ON;
	struct sql_mention m;
	struct sql_cursor c;

	sql_begin(&c, text, a->how);
	while (next == FEED_ON && sql_next(&c, &m)) {
		if (m.len == 0 || m.name[0] == '\0')
			continue;
		if (m.kind == SQL_PREPARE)
			next = remember_prepare(a, bytes_of(m.name), text);
		else if (m.kind == SQL_DEALLOCATE)
			next = remember_deallocate(a, bytes_of(m.name));
	}
	return next;
}

/* A client that connects sets a parameter or two: nothing needs to be asked about that. */
static bool sets_one(const struct about *a, struct bytes text, unsigned traits)
{
	return a->type == 'Q' && traits == SQL_SETS && a->srv->tracker.status == 'I' &&
	       nothing_is_on_its_way(a->srv) && pins_notice_set(a->srv, text, a->how);
}

enum feed_next text_run(const struct about *a, struct bytes text, unsigned traits)
{
	unsigned all = text_all_traits(a, text, traits, 0);

	if (sets_one(a, text, traits)) {
		text_notice_flux(a, text, traits);
		return FEED_ON;
	}
	if (text_meets_sequences(a, all) && text_discard_sequences(a) == FEED_STOP)
		return FEED_STOP;
	text_notice(a, text, traits, 0);
	if ((traits & SQL_NAMES) == 0)
		return FEED_ON;
	return remember(a, text) == FEED_ON ? send_voids(a) : FEED_STOP;
}

enum feed_next text_run_unknown(const struct about *a)
{
	return text_run(a, bytes_of(""), SQL_UNKNOWN);
}

void text_suspected(struct about *a)
{
	if (a->type != 'P' && a->type != 'Q')
		return;
	text_look(a);
	text_notice(a, text_of(a->body), a->traits, 0);
}

void text_watch_resets(struct about *a)
{
	struct session *s = a->s;
	bool may;

	if (a->type == 'B' && (a->m.name.len == 0 ? s->resets_unnamed : s->resets_prepared))
		pins_reset(a->srv);
	if (a->type != 'P' && a->type != 'Q')
		return;
	text_look(a);
	may = (a->traits & (SQL_RESETS | SQL_UNKNOWN)) != 0;
	if (a->type == 'Q' && may)
		pins_reset(a->srv);
	if (a->type == 'Q' || a->m.name.len == 0)
		s->resets_unnamed = a->type == 'P' && may;
	else
		s->resets_prepared = s->resets_prepared || may;
}
