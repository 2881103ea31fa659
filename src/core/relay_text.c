/* SQL in a client's messages, in transaction mode: what it leaves behind in the server, and names of prepared
 * statements in it, which are those of one client, but not on the server. */
#include "statements_priv.h"

#include <stdio.h>
#include <string.h>

#include "pgseal/core/chore.h"
#include "pgseal/core/pins.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"

/* One of these for each DEALLOCATE in a text. */
#define VOID_PREFIX PSTATEMENT_PREFIX "void"

struct bytes text_of(struct bytes body)
{
	const uint8_t *nul = memchr(body.at, '\0', body.len);

	return (struct bytes){ body.at, nul != NULL ? (size_t)(nul - body.at) : body.len };
}

static bool backslashes(const struct session *s)
{
	const char *conforming = params_get(s->wanted, "standard_conforming_strings");

	return conforming != NULL && strcmp(conforming, "off") == 0;
}

void text_noticed(const struct about *a, struct bytes text, unsigned traits)
{
	if ((traits & SQL_FORGETS_STATEMENTS) != 0) {
		a->srv->forgetting = true;
		a->srv->forgetting_place = a->srv->tracker.sent;
	}
	if ((traits & (SQL_SETS | SQL_SETS_LOCAL)) != 0)
		a->srv->setting = true;
	pins_notice(a->srv, text, traits);
}

/* ---- names ---- */

/* A text being written anew: what is in front of `done` is in a->text. */
struct rewriting {
	struct about *a;
	struct bytes from; /* the body as it came */
	size_t done;
	unsigned voids; /* empty statements that must be there before it */
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

	snprintf(name, sizeof(name), VOID_PREFIX "%u", r->voids++);
	return replace(r, m, bytes_of(name));
}

static enum feed_next send_voids(const struct rewriting *r)
{
	struct insertion in = insertion_begin(r->a->srv);
	char name[sizeof(VOID_PREFIX) + 12];
	unsigned i;

	for (i = 0; i < r->voids; i++) {
		snprintf(name, sizeof(name), VOID_PREFIX "%u", i);
		insertion_parse_void(&in, bytes_of(name));
	}
	return r->voids > 0 ? insertion_send(&in, r->a) : FEED_ON;
}

/* In front of a simple query nothing of ours may fail, which would make the server ignore it: what is
 * missing is prepared in a batch of its own. Twice is in vain, and so it is in a transaction that has failed:
 * then the server may say so. */
static enum feed_next fetch_for_query(const struct about *a, const struct target *to)
{
	const struct tracker *t = &a->srv->tracker;

	if (!tracker_in_batch(t))
		return statements_hold(a);
	if (t->len > 0 || t->batch_open || t->status == 'E' || a->s->rechecked == to->st)
		return FEED_ON;
	if (chore_fetch(a, to) != ERR_OK)
		return statements_no_memory(a);
	a->s->rechecked = to->st;
	return FEED_STOP;
}

static enum feed_next rename_one(struct rewriting *r, const struct sql_mention *m)
{
	struct about *a = r->a;
	struct target to = { .in_text = true };
	enum found found = statements_find_named(a, bytes_of(m->name), &to);

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
	if (found == FOUND_MISSING && a->type == 'P')
		return statements_fetch(a, &to);
	if (found == FOUND_MISSING)
		return fetch_for_query(a, &to);
	return replace(r, m, to.name);
}

/* What the text will do to the client's names, once the server says that it has. */
static enum feed_next remember(const struct about *a, const struct sql_mention *m)
{
	struct pstatement_table *t = a->s->worker->statements;
	struct buf *names = &a->srv->deallocating;
	uint32_t place = a->srv->tracker.sent;
	struct bytes name = bytes_of(m->name);
	struct alias *alias;

	if (m->kind == SQL_DEALLOCATE && names->len < FRAME_WHOLE_MAX &&
	    (buf_append(names, &place, sizeof(place)) != ERR_OK ||
	     buf_append(names, name.at, name.len + 1) != ERR_OK))
		return statements_no_memory(a);
	if (m->kind != SQL_PREPARE || prepared_find(a->s->prepared, name) != NULL ||
	    a->s->prepared->bytes > (size_t)a->s->worker->site->settings.max_client_prepared_memory)
		return FEED_ON;
	/* It will be there under its own name. If not, nothing is lost: the server judges. */
	if ((alias = alias_create(name, NULL)) == NULL ||
	    prepared_put(a->s->prepared, t, alias) != ERR_OK)
		return statements_no_memory(a);
	return FEED_ON;
}

/* Go through all names in the text with what is to be done about each. */
static enum feed_next each_name(struct about *a, struct rewriting *r)
{
	struct sql_mention m;
	struct sql_cursor c;
	enum feed_next next = FEED_ON;

	sql_begin(&c, text_of(a->body), backslashes(a->s));
	while (next == FEED_ON && sql_next(&c, &m)) {
		if (m.kind > SQL_DEALLOCATE || m.len == 0 || m.name[0] == '\0')
			continue;
		next = r != NULL ? rename_one(r, &m) : remember(a, &m);
	}
	return next;
}

static enum feed_next rewrite(struct about *a)
{
	struct rewriting r = { .a = a, .from = a->body };
	enum feed_next next = each_name(a, &r);

	if (next == FEED_ON && a->text.len > 0)
		next = put(&r, (struct bytes){ r.from.at + r.done, r.from.len - r.done });
	if (next == FEED_ON)
		next = each_name(a, NULL);
	if (next == FEED_ON && a->text.len > 0) {
		a->rewritten = true;
		a->body = (struct bytes){ a->text.at, a->text.len };
	}
	return next == FEED_ON ? send_voids(&r) : next;
}

/* True: all of it is here. */
static bool look(struct about *a)
{
	size_t head = a->type == 'P' ? a->m.head : FRAME_HEADER;
	size_t have = a->f->len - a->f->pos < a->size ? a->f->len - a->f->pos : a->size;

	a->body = (struct bytes){ a->f->at + a->f->pos + head, have - head };
	a->traits = sql_traits(text_of(a->body), backslashes(a->s));
	return have == a->size;
}

void text_suspected(struct about *a)
{
	if (a->type != 'P' && a->type != 'Q')
		return;
	look(a);
	text_noticed(a, text_of(a->body), a->traits);
}

enum feed_next text_prepare(struct about *a)
{
	/* Very large ones go as they are. */
	if (!look(a) || (a->traits & SQL_NAMES) == 0)
		return FEED_ON;
	/* What fails before it must not be taken for this one. */
	if (!tracker_in_batch(&a->srv->tracker))
		return statements_hold(a);
	return rewrite(a);
}

enum feed_next text_pass_query(struct about *a)
{
	struct bytes text = text_of(a->body);
	struct insertion in = insertion_begin(a->srv);

	text_noticed(a, text, a->traits);
	if (!a->rewritten)
		return statements_account(a, NULL);
	insertion_query(&in, a->body);
	return insertion_replace(&in, a);
}
