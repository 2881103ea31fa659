/* What servers say to messages about prepared statements: it takes effect here, in the order in which the
 * server carried it out. */
#include "relay_priv.h"

#include <string.h>

#include "pgseal/core/pins.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"
#include "pgseal/wire/reader.h"
#include "pgseal/wire/pstatement.h"
#include "statements_priv.h"

static struct pstatement_table *table_of(const struct server *srv)
{
	return srv->pool->worker->statements;
}

/* Of the session that has the server; NULL: it has left. */
static struct prepared *prepared_of(const struct server *srv)
{
	return srv->session != NULL ? srv->session->prepared : NULL;
}

/* ---- a step succeeded ---- */

/* Whichever worker's servers it may meet, nobody else's mark is the same. */
uint64_t statements_ticket(struct worker *w)
{
	return ++w->next_ticket * CREW_MAX + w->index;
}

static enum err unnamed_parsed(struct server *srv, struct step *step)
{
	struct worker *w = srv->pool->worker;
	struct prepared *n = prepared_of(srv);

	srv->unnamed_ticket = statements_ticket(w);
	if (n == NULL)
		return ERR_OK;
	prepared_set_unnamed(n, w->statements, step->st != NULL ? pstatement_hold(step->st) : NULL,
	                     srv->unnamed_ticket);
	return ERR_OK;
}

/* The name is the client's from the Parse on; the description that is asked for right behind completes it. */
static enum err parsed(struct server *srv, struct step *step)
{
	struct alias *alias = step->alias;
	struct step *next;

	if (step->unnamed)
		return unnamed_parsed(srv, step);
	if (copies_put(&srv->copies, bytes_of(step->st->name)) == NULL)
		return ERR_NO_MEMORY;
	step->alias = NULL;
	steps_pop(&srv->steps, table_of(srv));
	next = steps_front(&srv->steps);
	next->alias = alias;
	return ERR_OK;
}

static enum err our_unnamed_parsed(struct server *srv)
{
	struct prepared *n = prepared_of(srv);

	srv->unnamed_ticket = n != NULL ? n->unnamed_ticket : 0;
	return ERR_OK;
}

static enum err our_parsed(struct server *srv, struct step *step)
{
	if (step->unnamed)
		return our_unnamed_parsed(srv);
	if (step->st == NULL) /* one that is there to be deallocated */
		return ERR_OK;
	return copies_put(&srv->copies, bytes_of(step->st->name)) != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static enum err take_alias(struct server *srv, struct step *step, uint64_t shape)
{
	struct prepared *n = prepared_of(srv);
	struct alias *alias = step->alias;

	step->alias = NULL;
	if (alias == NULL || n == NULL) {
		alias_free(table_of(srv), alias);
		return ERR_OK;
	}
	alias->shape = shape;
	return prepared_put(n, table_of(srv), alias);
}

static enum err our_described(struct server *srv, struct step *step)
{
	struct prepared *n = prepared_of(srv);
	struct copy *k;

	if (step->unnamed) {
		if (n != NULL && n->unnamed_shape != srv->steps.shape)
			srv->unnamed_ticket = 0; /* not what the client was told of */
		return ERR_OK;
	}
	if ((k = copies_use(&srv->copies, bytes_of(step->st->name))) != NULL)
		k->shape = srv->steps.shape;
	return take_alias(srv, step, srv->steps.shape);
}

static enum err described(struct server *srv, struct step *step)
{
	struct prepared *n = prepared_of(srv);

	(void)step;
	if (n != NULL)
		n->unnamed_shape = srv->steps.shape;
	return ERR_OK;
}

static enum err closed(struct server *srv, struct step *step)
{
	struct prepared *n = prepared_of(srv);
	struct alias *alias = step->alias;

	if (step->unnamed)
		srv->unnamed_ticket = 0;
	if (n != NULL && step->unnamed)
		prepared_set_unnamed(n, table_of(srv), NULL, 0);
	else if (n != NULL)
		prepared_drop(n, table_of(srv),
		              (struct bytes){ (const uint8_t *)alias->name, alias->len });
	return ERR_OK;
}

static enum err our_closed(struct server *srv, struct step *step)
{
	copies_drop(&srv->copies, bytes_of(step->evicted));
	return ERR_OK;
}

/* Another text under a name of ours: nobody may meet that. */
static enum err not_refused(struct server *srv, struct step *step)
{
	(void)srv;
	(void)step;
	return ERR_WIRE_TYPE;
}

static enum err used(struct server *srv, struct step *step)
{
	(void)srv;
	(void)step;
	return ERR_OK;
}

static enum err (*const succeeded[])(struct server *srv, struct step *step) = {
	[STEP_PARSE] = parsed,         [STEP_CLOSE] = closed,
	[STEP_DESCRIBE] = described,   [STEP_USE] = used,
	[STEP_DUPLICATE] = not_refused,
	[STEP_OUR_PARSE] = our_parsed, [STEP_OUR_DESCRIBE] = our_described,
	[STEP_OUR_CLOSE] = our_closed, [STEP_OUR_EXECUTE] = used, [STEP_SETUP] = used,
};

/* ---- a step failed, or was skipped because something before it did ---- */

static bool makes_unnamed(const struct step *step)
{
	return step->unnamed && (step->kind == STEP_PARSE || step->kind == STEP_OUR_PARSE);
}

static enum err fail(struct server *srv, struct step *step, bool itself)
{
	struct prepared *n = prepared_of(srv);

	if (step->kind == STEP_OUR_CLOSE)
		copies_set_leaving(&srv->copies, bytes_of(step->evicted), false);
	if (step->kind == STEP_OUR_EXECUTE)
		srv->sequences_of = SEQUENCES_MIXED; /* it may have been to discard them */
	if (step->kind == STEP_OUR_DESCRIBE) /* the Parse before it was good */
		return take_alias(srv, step, 0);
	/* The old unnamed statement goes before the new one is looked at. */
	if (itself && makes_unnamed(step))
		srv->unnamed_ticket = 0;
	if (itself && step->unnamed && step->kind == STEP_PARSE && n != NULL)
		prepared_set_unnamed(n, table_of(srv), NULL, 0);
	return ERR_OK;
}

/* All that the tracker counts as answered is over. */
static enum err fail_all(struct server *srv, const struct step *itself)
{
	uint32_t answered = srv->tracker.answered;
	struct step *step;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && (step = steps_front(&srv->steps)) != NULL &&
	       (int32_t)(step->seq - answered) < 0) {
		rc = fail(srv, step, step == itself);
		steps_pop(&srv->steps, table_of(srv));
	}
	return rc;
}

/* ---- answers ---- */

static bool describes(const struct step *step)
{
	return step->kind == STEP_DESCRIBE || step->kind == STEP_OUR_DESCRIBE;
}

/* ParameterDescription, RowDescription, NoData. Too large to be looked at: the shape is not known. */
static void learn_shape(struct server *srv, char type, const uint8_t *body, size_t len)
{
	uint64_t *shape = &srv->steps.shape;

	if (type == 't')
		*shape = body == NULL ? 0
		                      : pstatement_shape_parameters(pstatement_shape_begin(),
		                                                    (struct bytes){ body, len });
	else if (type == 'T' && *shape != 0)
		*shape = body == NULL
		                 ? 0
		                 : pstatement_shape_columns(*shape, (struct bytes){ body, len });
}

struct step *statements_step(struct server *srv, const struct frame *f)
{
	struct step *step = steps_front(&srv->steps);

	if (step == NULL || (f->row->flags & FRAME_ASYNC) != 0 ||
	    !tracker_at_extended(&srv->tracker) || step->seq != srv->tracker.answered)
		return NULL;
	return step;
}

bool statements_look_at(struct server *srv, const struct frame *f)
{
	const struct step *step = statements_step(srv, f);

	return step != NULL && (f->row->type == 't' || f->row->type == 'T') && describes(step);
}

enum err statements_answer(struct server *srv, const struct frame *f, const uint8_t *body,
                           struct step *step, bool *ours)
{
	uint32_t seq = step != NULL ? step->seq : 0;
	enum err rc;

	*ours = false;
	if (f->row->type == 'E' && prepared_of(srv) != NULL && prepared_of(srv)->fresh)
		pins_doubt(srv, PIN_STATEMENT); /* what was to be prepared is not there */
	if (prepared_of(srv) != NULL && (f->row->type == 'E' || f->row->type == 'Z'))
		prepared_settle_own(prepared_of(srv), table_of(srv), f->row->type == 'E');
	if (f->row->type == 'E')
		return fail_all(srv, step);
	if (step == NULL)
		return ERR_OK;
	if (describes(step))
		learn_shape(srv, f->row->type, body, f->size - FRAME_HEADER);
	*ours = step->kind >= STEP_OUR_PARSE;
	if (srv->tracker.answered == seq) /* more of it is to come */
		return ERR_OK;
	rc = succeeded[step->kind](srv, step);
	/* One that was good for a name has passed that on, and is gone already. */
	step = steps_front(&srv->steps);
	if (rc == ERR_OK && step != NULL && step->seq == seq)
		steps_pop(&srv->steps, table_of(srv));
	return rc;
}

void statements_at_query(struct server *srv, bool clients)
{
	struct prepared *n = prepared_of(srv);

	srv->unnamed_ticket = 0;
	if (clients && n != NULL && n->unnamed_ticket != 0)
		prepared_set_unnamed(n, table_of(srv), NULL, 0);
}

void statements_deallocated(struct server *srv)
{
	struct buf *names = &srv->deallocating;
	struct prepared *n = prepared_of(srv);
	struct bytes name;

	if (names->len == 0)
		return;
	name = bytes_of((const char *)names->at + sizeof(uint32_t)); /* behind its place */
	if (n != NULL)
		prepared_drop(n, table_of(srv), name);
	buf_consume(names, sizeof(uint32_t) + name.len + 1);
}

void statements_forget(struct server *srv)
{
	struct prepared *n = prepared_of(srv);

	copies_clear(&srv->copies);
	if (n != NULL)
		prepared_drop_all(n, table_of(srv));
}

/* ---- errors ---- */

/* What a refusal means, in PostgreSQL's words where it has some, and how the server refused. */
#define MISSING SQLSTATE_INVALID_SQL_STATEMENT_NAME
static const struct refusal_row {
	const char *name, *refused, *sqlstate, *message, *hint, *routine;
} refusals[] = {
	{ REFUSAL_UNNAMED, MISSING, MISSING,
	  "unnamed prepared statement does not exist", NULL, "exec_bind_message" },
	/* Drivers that prepare anew by themselves go by the routine. */
	{ REFUSAL_CHANGED, MISSING, SQLSTATE_FEATURE_NOT_SUPPORTED,
	  "cached plan must not change result type", NULL, "RevalidateCachedQuery" },
	{ REFUSAL_LIMIT, MISSING, SQLSTATE_CONFIGURATION_LIMIT_EXCEEDED,
	  "prepared statements take more memory than a client may have",
	  "Close statements that are no longer needed, or raise max_client_prepared_memory.", NULL },
};

/* The statement of ours that an error names, in whatever quotes lc_messages makes of it; empty: none. */
static struct bytes named_in(struct bytes message)
{
	static const char prefix[] = PSTATEMENT_PREFIX,
			  letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct bytes name = { NULL, 0 };

	if (message.at != NULL)
		name.at = memmem(message.at, message.len, prefix, sizeof(prefix) - 1);
	if (name.at == NULL)
		return name;
	for (name.len = sizeof(prefix) - 1; name.at + name.len < message.at + message.len;
	     name.len++)
		if (name.at[name.len] == '\0' || strchr(letters, name.at[name.len]) == NULL)
			break;
	return name;
}

static bool write_refusal(const char *sqlstate, struct bytes name, struct writer *w)
{
	struct message_error e = { .severity = "ERROR" };
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (!bytes_equal(name, bytes_of(refusals[i].name)) ||
		    strcmp(sqlstate, refusals[i].refused) != 0)
			continue;
		e.sqlstate = refusals[i].sqlstate;
		e.message = refusals[i].message;
		e.hint = refusals[i].hint;
		e.routine = refusals[i].routine;
		message_write_error(w, 'E', &e);
		return true;
	}
	return false;
}

/* The client's name for it: of the very message that failed, or of what it has prepared. */
static const struct alias *client_name(struct server *srv, struct bytes name)
{
	const struct step *step = steps_front(&srv->steps);
	const struct prepared *n = prepared_of(srv);

	if (step != NULL && step->seq == srv->tracker.answered && (step->kind == STEP_DUPLICATE || step->kind == STEP_USE) &&
	    tracker_at_extended(&srv->tracker))
		return step->alias;
	return n != NULL ? prepared_behind(n, name) : NULL;
}

/* The same fields; a piece of the message is another. */
static bool write_renamed(struct bytes body, struct bytes piece, struct bytes by, struct writer *w)
{
	size_t before = (size_t)(piece.at - body.at);

	writer_begin(w, 'E');
	writer_bytes(w, (struct bytes){ body.at, before });
	writer_bytes(w, by);
	writer_bytes(w, (struct bytes){ piece.at + piece.len, body.len - before - piece.len });
	writer_end(w);
	return true;
}

bool statements_reword(struct server *srv, struct bytes body, struct buf *out)
{
	struct writer w = writer_to(out);
	struct message_error_view view;
	const struct alias *alias;
	struct bytes name;
	bool reworded;

	if (message_read_error(body, &view) != ERR_OK || view.sqlstate.at == NULL ||
	    (name = named_in(view.message)).len == 0)
		return false;
	/* Gone by a way that was not seen. */
	if (strcmp((const char *)view.sqlstate.at, MISSING) == 0)
		copies_set_lost(&srv->copies, name);
	reworded = write_refusal((const char *)view.sqlstate.at, name, &w);
	if (strcmp((const char *)view.sqlstate.at, SQLSTATE_INVALID_CURSOR_NAME) == 0 &&
	    bytes_equal(name, bytes_of(REFUSAL_PORTAL))) /* the unnamed one */
		reworded = write_renamed(body, name, bytes_of(""), &w);
	else if (!reworded && (alias = client_name(srv, name)) != NULL)
		reworded = write_renamed(
			body, name, (struct bytes){ (const uint8_t *)alias->name, alias->len }, &w);
	if (reworded && writer_status(&w) == ERR_OK)
		return true;
	buf_free(out);
	return false;
}
