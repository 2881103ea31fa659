/* What a text may leave in its session, as it is about to be carried out: what is suspected of that, how texts are read
 * after it, and whose sequence values it meets. */
#include "statements_priv.h"

#include <string.h>
#include <strings.h>

#include "pgseal/core/pins.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/setup.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

/* Statements that execute statements that execute statements: more than that and nobody knows. */
#define DEPTH_MAX 4

/* What is executed by name is carried out too. */
static void notice_executed(const struct about *a, struct bytes text, int depth)
{
	const struct pstatement *st;
	struct sql_mention m;
	struct sql_cursor c;

	sql_begin(&c, text, a->how);
	while (sql_next(&c, &m)) {
		if (m.kind != SQL_EXECUTE)
			continue;
		st = m.name[0] != '\0' ? statements_behind(a, bytes_of(m.name)) : NULL;
		if (st == NULL || depth == DEPTH_MAX)
			text_notice(a, bytes_of(""), SQL_UNKNOWN, DEPTH_MAX);
		else
			text_notice(a, pstatement_text(st), st->traits, depth + 1);
	}
}

static void notice_sequences(struct server *srv, unsigned traits)
{
	if ((traits & (SQL_SEEDS | SQL_UNKNOWN)) != 0)
		srv->seeded = true;
	if ((traits & SQL_ASKS_SEQUENCE) != 0)
		srv->drew = false;
	else if ((traits & SQL_DRAWS) != 0)
		srv->drew = true;
}

static bool changes_reading(const struct sql_mention *m)
{
	switch (m->kind) {
	case SQL_RESET_ALL:
	case SQL_SET_UNKNOWN:
		return true;
	case SQL_SET:
	case SQL_SET_LOCAL:
	case SQL_RESET:
		return m->name[0] == '\0' || params_changes_reading(m->name);
	default:
		return false;
	}
}

#define FLUX_VALUE_MAX 63

/* The value in the text, if it is ASCII, as the client's encoding does not matter then. */
static bool take_value(struct bytes text, const struct sql_mention *m, char *out)
{
	return sql_value(text, m, out, FLUX_VALUE_MAX + 1) && bytes_ascii(bytes_of(out));
}

/* What would be in force for a statement that is parsed next. */
static void follow_flux(const struct about *a, struct bytes text, const struct sql_mention *m)
{
	struct params_table *t = a->s->worker->params;
	struct params **p = &a->srv->flux_params;
	char value[FLUX_VALUE_MAX + 1];
	enum err rc = ERR_NOT_FOUND;

	if (!a->srv->setting)
		*p = params_hold(a->s->asked);
	a->srv->setting = true;
	if (*p == NULL)
		return;
	if (m->kind == SQL_RESET && m->name[0] != '\0')
		rc = params_drop(t, p, m->name);
	else if (m->name[0] != '\0' && take_value(text, m, value))
		rc = params_put(t, p, m->name, value);
	if (rc == ERR_OK)
		return;
	params_release(t, *p);
	*p = NULL;
}

/* Up to the end of the transaction texts may be read otherwise. */
void text_notice_flux(const struct about *a, struct bytes text, unsigned traits)
{
	static const struct sql_mention unknown = { .kind = SQL_SET_UNKNOWN };
	struct sql_mention m;
	struct sql_cursor c;

	if ((traits & SQL_UNKNOWN) != 0)
		follow_flux(a, text, &unknown);
	if ((traits & (SQL_SETS | SQL_SETS_LOCAL)) == 0)
		return;
	sql_begin(&c, text, a->how);
	while (sql_next(&c, &m))
		if (changes_reading(&m))
			follow_flux(a, text, &m);
}

void text_notice(const struct about *a, struct bytes text, unsigned traits, int depth)
{
	struct server *srv = a->srv;

	if ((traits & SQL_FORGETS_STATEMENTS) != 0) {
		srv->forgetting = true;
		srv->forgetting_place = srv->tracker.sent;
	}
	text_notice_flux(a, text, traits);
	notice_sequences(srv, traits);
	pins_notice(srv, text, a->how, traits);
	if ((traits & SQL_NAMES) != 0)
		notice_executed(a, text, depth);
}

/* Of what it executes, too. */
unsigned text_all_traits(const struct about *a, struct bytes text, unsigned traits, int depth)
{
	const struct pstatement *st;
	struct sql_mention m;
	struct sql_cursor c;

	if ((traits & SQL_NAMES) == 0)
		return traits;
	sql_begin(&c, text, a->how);
	while (depth < DEPTH_MAX && sql_next(&c, &m))
		if (m.kind == SQL_EXECUTE && (st = statements_behind(a, bytes_of(m.name))) != NULL)
			traits |= text_all_traits(a, pstatement_text(st), st->traits, depth + 1);
	return traits;
}

/* Does it ask for, or may it overwrite, what another session has drawn from sequences? The latter matters where
 * anybody asks. */
bool text_meets_sequences(const struct about *a, unsigned traits)
{
	const unsigned asks = SQL_ASKS_SEQUENCE | SQL_UNKNOWN;

	if ((traits & SQL_ASKS_SEQUENCE) != 0)
		route_note_sequences(a->srv->route);
	if (a->srv->sequences_of == a->s->id)
		return false;
	return (traits & asks) != 0 ||
	       ((traits & SQL_DRAWS) != 0 && route_asks_sequences(a->srv->route));
}

static bool contains_word(struct bytes text, const char *word)
{
	size_t n = strlen(word), i;

	for (i = 0; i + n <= text.len; i++)
		if (strncasecmp((const char *)text.at + i, word, n) == 0)
			return true;
	return false;
}

/* In a block that has failed: may the text end that, and ask then? */
static bool may_end_block(struct bytes text)
{
	return contains_word(text, "rollback") || contains_word(text, "abort") ||
	       contains_word(text, "commit") || contains_word(text, "end");
}

/* Nothing of ours can go in between. */
bool text_refuse(const struct about *a, struct bytes text, unsigned traits)
{
	const struct tracker *t = &a->srv->tracker;

	if (t->status != 'E' || !tracker_quiet(t) || t->batch_open ||
	    (traits & SQL_ASKS_SEQUENCE) == 0 || a->srv->sequences_of == a->s->id ||
	    !may_end_block(text))
		return false;
	session_tell(a->s, 'E', "ERROR", SQLSTATE_NOT_IN_STATE,
	             "lastval is not yet defined in this session", NULL,
	             "Send what ends the transaction by itself, before what asks.");
	session_send_ready(a->s, 'E');
	a->s->passing = a->size;
	a->s->dropping = true;
	feed_flush(a->f, a->s);
	return true;
}

/* In front of a query it must not fail there, as nobody would send the Sync that the server then waits for. */
enum feed_next text_discard_sequences(const struct about *a)
{
	const struct tracker *t = &a->srv->tracker;
	struct insertion in = insertion_begin(a->srv);
	bool batch = t->batch_open && !setup_is_all(a->srv);

	/* In a block that has failed so does the text, unless what is on its way ends that. */
	if (t->status == 'E' && tracker_quiet(t) && !t->batch_open)
		return FEED_ON;
	if (t->status == 'E' && !tracker_in_batch(t))
		return statements_hold(a);
	if (a->type != 'B' && !batch && !tracker_in_batch(t))
		return statements_hold(a);
	a->srv->sequences_of = a->s->id;
	insertion_execute(&in, "DISCARD SEQUENCES");
	if (a->type == 'B' || batch)
		return insertion_send(&in, a);
	insertion_sync(&in);
	a->srv->chore = CHORE_FETCH;
	return insertion_send(&in, a) == FEED_ON ? FEED_STOP : statements_no_memory(a);
}
