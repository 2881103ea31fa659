/* Functions that set parameters, and the view that does so when it is updated. */
#include <string.h>

#include "sql_priv.h"

/* --- arguments --- */

static void skip_cast(struct sql_lexer *x)
{
	struct sql_token t;

	while (sql_accept_sign(x, ':') && sql_accept_sign(x, ':'))
		while (sql_accept_name(x, &t) && sql_accept_sign(x, '.'))
			;
}

/* Calls within calls are looked at again and again, hence there is a limit for the whole text. */
static bool take_ahead(struct sql_lexer *x, struct sql_token *t)
{
	const uint8_t *from = x->at;
	size_t used;
	bool taken;

	if (x->ahead == 0)
		return false;
	taken = sql_token(x, t);
	used = (size_t)(x->at - from);
	x->ahead -= used < x->ahead ? used : x->ahead;
	return taken;
}

/* Up to the comma after an argument. False: there is none, or it is too far away. */
static bool skip_argument(struct sql_lexer *x)
{
	size_t depth = x->depth, brackets = 0;
	struct sql_token t;

	while (take_ahead(x, &t) && x->depth >= depth) {
		if (sql_is_sign(&t, ',') && x->depth == depth && brackets == 0)
			return true;
		if (sql_is_sign(&t, '['))
			brackets++;
		else if (sql_is_sign(&t, ']') && brackets > 0)
			brackets--;
	}
	return false;
}

/* An argument that is a literal, perhaps with a cast, and the comma after it. Otherwise nothing is
 * taken. */
static bool accept_literal(struct sql_lexer *x, struct sql_token *t, bool *cast)
{
	struct sql_mark before = sql_mark(x);

	*cast = false;
	if (sql_token(x, t) && (t->kind == SQL_STRING || t->kind == SQL_ODD_STRING)) {
		if (sql_accept_sign(x, ','))
			return true;
		*cast = true;
		skip_cast(x);
		if (sql_accept_sign(x, ','))
			return true;
	}
	sql_back(x, before);
	return false;
}

/* *name is the literal that the name is, or has no bytes at all. */
static bool skip_name(struct sql_lexer *x, struct sql_token *name)
{
	bool cast;

	if (!accept_literal(x, name, &cast)) {
		*name = (struct sql_token){ .whole = { x->at, 0 } };
		return skip_argument(x);
	}
	if (name->kind != SQL_STRING)
		name->body.len = 0;
	return true;
}

static bool skip_value(struct sql_lexer *x, bool is_path, struct sql_value *v)
{
	struct sql_token t;
	bool cast;

	if (!accept_literal(x, &t, &cast))
		return skip_argument(x);
	v->resets = false;
	v->temp = is_path && sql_may_be_temp(&t);
	if (!cast && t.kind == SQL_STRING)
		v->exact = t.body;
	return true;
}

/* Is the last argument, which begins here, a constant that means true? */
static bool is_true(struct sql_lexer *x)
{
	static const char *const words[] = { "true", "t", "on", "yes", "y", "1" };
	struct sql_token t;
	bool found = false;

	if (!sql_token(x, &t) || (t.kind != SQL_STRING && !sql_is_word(&t, "true")))
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !found; i++)
		found = sql_same(t.body, words[i]);
	skip_cast(x);
	return found && sql_accept_sign(x, ')');
}

/* --- set_config(name, value, local) --- */

/* Nothing is taken: there may be calls within the arguments. */
bool sql_read_set_config(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_lexer *x = &c->lex;
	struct sql_mark before = sql_mark(x);
	struct sql_parameter p = { .told = false };
	struct sql_name name = { .text = p.name };
	struct sql_value v = { .resets = true };
	struct sql_token t;
	bool named = skip_name(x, &t);

	p.at = t.whole.at;
	p.len = t.whole.len;
	p.told = t.body.len > 0 && t.body.len <= SQL_NAME_MAX;
	p.special = sql_special_of(t.body);
	v.temp = p.special == SQL_PATH;
	v.local = named && skip_value(x, v.temp, &v) && is_true(x);
	sql_back(x, before);
	if (p.told)
		sql_name_add(&name, x, &t, true);
	return sql_tell_parameter(c, out, SQL_SET, &p, &v);
}

/* set_limit() of pg_trgm. */
bool sql_read_set_limit(struct sql_cursor *c, struct sql_mention *out)
{
	static const char *const names[] = { "pg_trgm.similarity_threshold", NULL };

	(void)out;
	sql_tell_later(c, SQL_SET, names, c->lex.at, (struct bytes){ NULL, 0 });
	return false;
}

/* --- UPDATE pg_settings --- */

/* UPDATE [ONLY] pg_settings [*] [[AS] alias] SET: what is updated is known by what follows. ONLY
 * may have parentheses. */
bool sql_read_pg_settings(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_parameter unknown = { .told = false };
	struct sql_value v = { .resets = true };
	struct sql_lexer *x = &c->lex;
	struct sql_mark before = sql_mark(x);
	struct sql_token t;
	bool found;

	unknown.at = x->at;
	sql_accept_sign(x, ')');
	sql_accept_sign(x, '*');
	if (sql_accept_word(x, "as"))
		sql_accept_name(x, &t);
	if (!(found = sql_accept_word(x, "set")) && sql_accept_name(x, &t))
		found = sql_accept_word(x, "set");
	sql_back(x, before);
	return found && sql_tell_parameter(c, out, SQL_SET, &unknown, &v);
}
