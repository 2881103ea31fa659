/* Prepared statements of sessions that share servers.
 *
 * A client's statement has one name on all servers, made of its text. Parse, Bind, Describe and Close go on with
 * that name in the place of the client's; a server that lacks the statement, or has it with another shape than
 * the client was told of, gets it first. Every message of the client's is answered by the server itself, so
 * that answers and errors come in their order and in the server's words: what is to fail is sent so that it
 * fails. A name that stands for nothing goes on as it is, and the server does not know it either. */
#include "relay_priv.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/core/pins.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "statements_priv.h"

static struct pstatement_table *table_of(const struct session *s)
{
	return s->worker->statements;
}

enum feed_next statements_no_memory(const struct about *a)
{
	/* Some of what the tracker counts may not have been sent. */
	relay_ruin(a->srv, CLOSE_NO_MEMORY, "out of memory");
	return FEED_STOP;
}

enum feed_next statements_hold(const struct about *a)
{
	a->s->held = true;
	return FEED_STOP;
}

enum feed_next statements_fetch(const struct about *a, const struct target *to)
{
	bool unnamed = to->name.len == 0, wait = !unnamed || to->shape != 0;
	struct insertion in = insertion_begin(a->srv);

	/* What is owed to earlier batches could turn out to read what we send as something else. */
	if (!tracker_in_batch(&a->srv->tracker))
		return statements_hold(a);
	if (!unnamed && to->name.len != PSTATEMENT_NAME)
		return statements_no_memory(a);
	if (!unnamed)
		insertion_make_way(&in, to->st, to->name);
	if (!unnamed && !to->in_text)
		insertion_make_room(&in);
	insertion_parse(&in, to->st, to->name);
	if (wait)
		insertion_describe(&in, to->st, to->name, true);
	if (wait)
		insertion_flush(&in);
	if (insertion_send(&in, a) == FEED_STOP)
		return FEED_STOP;
	if (!wait)
		return FEED_ON;
	a->s->rechecked = to->st;
	return FEED_STOP;
}

/* ---- the client's message ---- */

enum feed_next statements_account(const struct about *a, const struct step *step)
{
	struct tracker *t = &a->srv->tracker;
	struct step placed = step != NULL ? *step : (struct step){ 0 };
	enum tracker_client what;

	placed.seq = t->sent;
	/* The step first: it takes the references even if it fails. */
	if ((step != NULL && steps_push(&a->srv->steps, table_of(a->s), placed) != ERR_OK) ||
	    tracker_from_client(t, a->type, &what) != ERR_OK)
		return statements_no_memory(a);
	a->s->passing = a->size;
	a->s->dropping = what == TRACK_SWALLOW;
	if (a->s->dropping)
		feed_flush(a->f, a->s);
	a->s->rechecked = NULL;
	if (strchr("SQF", a->type) != NULL)
		a->srv->steps.batch = t->sent;
	return FEED_ON;
}

/* Its first part now says this name; the rest is passed on by length. */
enum feed_next statements_under_name(const struct about *a, struct bytes name)
{
	size_t n = pstatement_head_size(&a->m, name.len);
	uint8_t small[512], *head = n <= sizeof(small) ? small : malloc(n);

	if (head == NULL)
		return statements_no_memory(a);
	pstatement_write_head(head, a->type, a->size, &a->m, name);
	feed_replace(a->f, a->s, a->m.head, head, n);
	a->s->passing = a->size - a->m.head;
	if (head != small)
		free(head);
	return FEED_ON;
}

/* What its names stand for is looked up when it is used, as PostgreSQL does: under which name, on this server, is it
 * that now? */
static enum found find_late(struct about *a, struct target *to, struct pstatement *now)
{
	const struct step *step = steps_of_statement(&a->srv->steps, now);

	to->st = now;
	to->shape = 0;
	if (a->m.name.len == 0)
		return FOUND_MISSING;
	if (pstatement_name(table_of(a->s), now).len == 0) {
		statements_no_memory(a);
		return FOUND_LATER;
	}
	to->name = bytes_of(now->name);
	if (step != NULL && step->kind != STEP_OUR_CLOSE && statements_in_batch(a->srv, step))
		return FOUND_RENAMED;
	return statements_find_copy(a, now, 0, to);
}

/* A Bind is as good as its execution. to: what was found. */
static enum feed_next run(const struct about *a, const struct target *to)
{
	const struct pstatement *st = to->st;

	if (st == NULL && a->m.name.len > 0)
		st = statements_behind(a, a->m.name);
	return st != NULL ? text_run(a, pstatement_text(st), st->traits) : text_run_unknown(a);
}

/* Bind, and Describe of a statement, which was found. */
static enum feed_next pass_found(const struct about *a, const struct target *to, enum found found,
                                 bool use)
{
	struct step step = { .kind = STEP_DESCRIBE, .unnamed = true };
	bool learn = a->type == 'D' && a->m.name.len == 0;

	if (use) {
		step = (struct step){ .kind = STEP_USE };
		if ((step.alias = alias_create(a->m.name, NULL)) == NULL)
			return statements_no_memory(a);
	}
	if (statements_account(a, learn || use ? &step : NULL) == FEED_STOP)
		return FEED_STOP;
	return found == FOUND_RENAMED ? statements_under_name(a, to->name) : FEED_ON;
}

static enum feed_next pass_late(struct about *a, struct target *to, enum found found)
{
	struct pstatement *st = to->st, *now = text_resolve_statement(a, st);
	enum feed_next next = FEED_STOP;

	if (now == NULL)
		return FEED_STOP;
	if (found != FOUND_AS_IS) /* nothing has changed in this batch */
		found = find_late(a, to, now);
	if (found == FOUND_LATER)
		next = statements_hold(a);
	else if (found != FOUND_MISSING || statements_fetch(a, to) == FEED_ON)
		next = FEED_ON;
	if (next == FEED_ON && a->type == 'B')
		next = text_run(a, pstatement_text(st), st->traits);
	if (next == FEED_ON)
		next = pass_found(a, to, found, found == FOUND_RENAMED);
	pstatement_release(table_of(a->s), now);
	return next;
}

static enum feed_next pass_use(struct about *a)
{
	struct target to = { 0 };
	enum found found = statements_find(a, &to);
	bool refused = found == FOUND_RENAMED && to.st == NULL;

	if (found == FOUND_LATER)
		return statements_hold(a);
	if (to.st != NULL && (to.st->traits & SQL_NAMES) != 0)
		return pass_late(a, &to, found);
	if (found == FOUND_MISSING && statements_fetch(a, &to) == FEED_STOP)
		return FEED_STOP;
	if (a->type == 'B' && !refused && run(a, &to) == FEED_STOP)
		return FEED_STOP;
	/* An error could not tell what it is called. */
	return pass_found(a, &to, found,
	                  found == FOUND_RENAMED && to.st != NULL &&
	                          (a->s->prepared->twins ||
	                           prepared_behind(a->s->prepared, to.name) == NULL));
}

static enum feed_next pass_close(const struct about *a)
{
	struct step step = { .kind = STEP_CLOSE, .unnamed = a->m.name.len == 0 };
	struct target to = { 0 };
	enum found found = statements_find(a, &to);

	if (found == FOUND_LATER)
		return statements_hold(a);
	/* The server keeps it, for others: it is told to close what it does not have. */
	if (!step.unnamed && (step.alias = alias_create(a->m.name, NULL)) == NULL)
		return statements_no_memory(a);
	if (statements_account(a, &step) == FEED_STOP)
		return FEED_STOP;
	pins_doubt(a->srv, PIN_STATEMENT); /* if the server has one of that name of its own */
	found = statements_as_is(&to, a->m.name);
	return found == FOUND_RENAMED ? statements_under_name(a, to.name) : FEED_ON;
}

/* ---- Query ---- */

static enum feed_next pass_query(const struct about *a)
{
	struct bytes as_written = { a->f->at + a->f->pos + FRAME_HEADER,
		                    a->f->len - a->f->pos < a->size ? a->f->len - a->f->pos : a->size };
	struct insertion in = insertion_begin(a->srv);

	as_written.len -= FRAME_HEADER;
	if (text_refuse(a, text_of(as_written), a->traits))
		return FEED_ON;
	if (text_run(a, text_of(as_written), a->traits) == FEED_STOP)
		return FEED_STOP;
	if (!a->rewritten)
		return statements_account(a, NULL);
	insertion_query(&in, a->body);
	return insertion_replace(&in, a);
}

/* ---- COPY that went wrong ---- */

/* Which answer belongs to what is not certain: only what needs no look at answers goes on. */
static enum feed_next pass_in_doubt(const struct about *a)
{
	struct prepared *n = a->s->prepared;
	struct target to = { 0 };
	const struct alias *alias;

	if (tracker_settles(&a->srv->tracker))
		return statements_hold(a);
	if (a->m.name.len == 0 && a->type == 'P') {
		a->srv->unnamed_ticket = statements_ticket(a->s->worker);
		prepared_set_unnamed(n, table_of(a->s), NULL, a->srv->unnamed_ticket);
		return statements_account(a, NULL);
	}
	if (a->m.name.len == 0 && n->unnamed_ticket != a->srv->unnamed_ticket)
		statements_refuse(&to, REFUSAL_UNNAMED);
	if (a->m.name.len > 0 && statements_as_is(&to, a->m.name) == FOUND_AS_IS &&
	    a->type != 'C') {
		alias = prepared_find(n, a->m.name);
		if (a->type == 'P' || alias == NULL || alias->st == NULL ||
		    copies_use(&a->srv->copies, pstatement_name(table_of(a->s), alias->st)) ==
		            NULL) {
			session_close(a->s, CLOSE_PROTOCOL,
			              "prepared statement behind a breach of COPY");
			return FEED_STOP;
		}
		to.name = bytes_of(alias->st->name);
	}
	if (statements_account(a, NULL) == FEED_STOP)
		return FEED_STOP;
	return to.name.len > 0 ? statements_under_name(a, to.name) : FEED_ON;
}

/* ---- all of them ---- */

/* Parameters of its own must be set anew when they are reset. */
static bool watches_resets(const struct session *s, char type)
{
	return s->mode == POOL_SESSION && s->initial != NULL && params_count(s->initial) > 0 &&
	       strchr("PQB", type) != NULL;
}

size_t statements_need(const struct session *s, const struct frame *frame, struct bytes have)
{
	struct pstatement_mention m;

	if (s->mode != POOL_TRANSACTION && !watches_resets(s, frame->row->type))
		return portal_need(frame);
	if (frame->row->type == 'F')
		return call_need(frame);
	if (frame->row->type == 'Q')
		return frame->size < FRAME_WHOLE_MAX ? frame->size : FRAME_WHOLE_MAX;
	switch (pstatement_find(have, frame->size, &m)) {
	case PSTATEMENT_MORE:
		return have.len < FRAME_WHOLE_MAX ? have.len + 1 : 0;
	case PSTATEMENT_NONE:
		return portal_need(frame);
	case PSTATEMENT_NAMED:
		break;
	}
	if (frame->row->type != 'P')
		return m.head;
	if (m.name.len == 0)
		return frame->size < FRAME_WHOLE_MAX ? frame->size : FRAME_WHOLE_MAX;
	return frame->size <= statements_most_memory(s) ? frame->size : m.head; /* to be refused */
}

static void count(struct session *s, char type)
{
	if (type == 'P')
		s->pool->stats.client_parse_count++;
	else if (type == 'B')
		s->pool->stats.bind_count++;
}

/* Very large ones go as they are. */
static enum feed_next pass_text(struct about *a)
{
	if (text_look(a) && text_resolve(a) == FEED_STOP)
		return FEED_STOP;
	return a->type == 'P' ? parse_pass(a) : pass_query(a);
}

/* One that mentions a statement, or holds a text. */
static enum feed_next pass(struct about *a)
{
	const struct tracker *t = &a->srv->tracker;
	enum feed_next next;

	if (a->s->prepared == NULL && (a->s->prepared = calloc(1, sizeof(*a->s->prepared))) == NULL)
		return statements_no_memory(a);
	if (tracker_unsure(t)) {
		text_suspected(a);
		return a->type == 'Q' ? statements_account(a, NULL) : pass_in_doubt(a);
	}
	switch (a->type) {
	case 'P':
	case 'Q':
		next = pass_text(a);
		buf_free(&a->text);
		return next;
	case 'C':
		return pass_close(a);
	default:
		return pass_use(a);
	}
}

/* What it names may be anything, and that as nobody expects it. */
static enum feed_next pass_endless_name(struct session *s)
{
	session_close(s, CLOSE_PROTOCOL, "name that is too long");
	return FEED_STOP;
}

enum feed_next statements_pass(struct session *s, struct feed *f, const struct frame *frame)
{
	struct about a = {
		.s = s, .srv = s->server, .f = f, .size = frame->size, .type = frame->row->type
	};
	const struct tracker *t = &s->server->tracker;
	struct bytes have = { f->at + f->pos, f->len - f->pos };
	bool unnamed = portal_is_unnamed(a.type, have), heeded = !t->skipping && !t->copy_in;
	enum portal portal = portal_find(s->server, a.type, unnamed);
	enum pstatement_next found;
	enum feed_next next;

	s->held = false;
	found = a.type != 'Q' ? pstatement_find(have, a.size, &a.m) : PSTATEMENT_NAMED;
	if (portal == PORTAL_LATER && heeded)
		return statements_hold(&a);
	if (portal == PORTAL_MISSING && heeded)
		return portal_refuse(&a);
	if (watches_resets(s, a.type) && found == PSTATEMENT_NAMED)
		text_watch_resets(&a);
	/* Skipped up to the Sync, or read as a piece of a COPY: it does not matter what it says. */
	if (s->mode == POOL_TRANSACTION && heeded && a.type == 'F')
		next = call_pass(&a);
	else if (s->mode != POOL_TRANSACTION || !heeded || found == PSTATEMENT_NONE)
		next = statements_account(&a, NULL);
	else if (found == PSTATEMENT_MORE)
		next = pass_endless_name(s);
	else
		next = pass(&a);
	if (next != FEED_ON)
		return next;
	portal_note(a.srv, a.type, unnamed, heeded);
	count(s, a.type);
	return FEED_ON;
}

bool statements_bind_to_server(const struct session *s)
{
	const struct prepared *n = s->prepared;

	return n != NULL && n->unnamed == NULL && n->unnamed_ticket != 0 &&
	       n->unnamed_ticket == s->server->unnamed_ticket;
}
