#include <string.h>

#include "sql_priv.h"

/* Tokens of the value in set_config(name, value, local) that are stepped over. A limit, because calls
 * within calls are looked at again. */
#define VALUE_TOKENS 100

/* --- parameters --- */

/* A name, perhaps with dots in it, that stands in the text. */
struct parameter {
	const uint8_t *at;
	size_t len;
	char name[SQL_NAME_MAX + 1];
	bool told; /* the name is all in there */
};

static bool accept_parameter(struct sql_lexer *x, struct parameter *p)
{
	struct sql_name name = { 0 };
	struct sql_token t;

	if (!sql_accept_name(x, &t))
		return false;
	*p = (struct parameter){ .at = t.whole.at, .told = true };
	name.text = p->name;
	do {
		if (name.len > 0)
			sql_name_put(&name, '.');
		sql_name_add(&name, &t, true);
		p->told = p->told && t.kind != SQL_UNICODE;
		p->len = (size_t)(t.whole.at + t.whole.len - p->at);
	} while (sql_accept_sign(x, '.') && sql_accept_name(x, &t));
	p->told = p->told && name.len <= SQL_NAME_MAX;
	return true;
}

/* Not of the seed: it cannot be read back, and every random number changes it. */
static bool tell_parameter(struct sql_cursor *c, struct sql_mention *out,
                           enum sql_mention_kind kind, const struct parameter *p)
{
	if (!p->told)
		return sql_tell(c, out, SQL_SET_UNKNOWN, p->at, 0);
	if (strcmp(p->name, "seed") == 0)
		return false;
	sql_tell(c, out, kind, p->at, p->len);
	memcpy(out->name, p->name, sizeof(out->name));
	return true;
}

/* SET and RESET of parameters that have a syntax of their own. */
struct phrase {
	const char *first, *second;
	const char *const *names; /* NULL: none that outlives the transaction */
	const char *standard;     /* besides DEFAULT, the value that resets */
};

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const struct phrase set_phrases[] = {
	{ "transaction", NULL, NULL, NULL },
	{ "constraints", NULL, NULL, NULL },
	{ "time", "zone", NAMES("timezone"), "local" },
	{ "names", NULL, NAMES("client_encoding"), NULL },
	{ "schema", NULL, NAMES("search_path"), NULL },
	{ "role", NULL, NAMES("role"), NULL },
	{ "xml", "option", NAMES("xmloption"), NULL },
	{ "session", "authorization", NAMES("session_authorization"), NULL },
	{ "session", "characteristics",
	  NAMES("default_transaction_isolation", "default_transaction_read_only",
	        "default_transaction_deferrable"),
	  NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct phrase reset_phrases[] = {
	{ "transaction", "isolation", NULL, NULL },
	{ "time", "zone", NAMES("timezone"), NULL },
	{ "session", "authorization", NAMES("session_authorization"), NULL },
	{ NULL, NULL, NULL, NULL },
};

static const struct phrase *accept_phrase(struct sql_lexer *x, const struct phrase *p)
{
	for (; p->first != NULL; p++) {
		struct sql_lexer behind = *x;

		if (!sql_accept_word(&behind, p->first) ||
		    (p->second != NULL && !sql_accept_word(&behind, p->second)))
			continue;
		*x = behind;
		return p;
	}
	return NULL;
}

/* They are mentioned next, without a place in the text. */
static void tell_later(struct sql_cursor *c, enum sql_mention_kind kind, const char *const *names)
{
	c->fixed = names;
	c->fixed_kind = kind;
	c->fixed_at = (size_t)(c->lex.at - c->text);
}

bool sql_tell_fixed(struct sql_cursor *c, struct sql_mention *out)
{
	sql_tell(c, out, c->fixed_kind, c->text + c->fixed_at, 0);
	memcpy(out->name, *c->fixed, strlen(*c->fixed));
	if (*++c->fixed == NULL)
		c->fixed = NULL;
	return true;
}

/* SET NAMES may have no value at all. */
static bool is_standard(struct sql_lexer x, const char *standard)
{
	struct sql_token t;

	return !sql_token(&x, &t) || sql_is_sign(&t, ';') || sql_is_word(&t, "default") ||
	       (standard != NULL && sql_is_word(&t, standard));
}

/* name = value, name TO value. Which of SET's words may be names is decided by what follows them. */
static bool accept_assignment(struct sql_lexer *x, struct parameter *p)
{
	struct sql_lexer behind = *x;

	if (!accept_parameter(&behind, p) ||
	    !(sql_accept_sign(&behind, '=') || sql_accept_word(&behind, "to")))
		return false;
	*x = behind;
	return true;
}

bool sql_read_set(struct sql_cursor *c, struct sql_mention *out)
{
	const struct phrase *phrase;
	struct parameter p;

	do {
		if (accept_assignment(&c->lex, &p))
			return tell_parameter(c, out,
			                      is_standard(c->lex, NULL) ? SQL_RESET : SQL_SET, &p);
		if ((phrase = accept_phrase(&c->lex, set_phrases)) != NULL) {
			tell_later(c, is_standard(c->lex, phrase->standard) ? SQL_RESET : SQL_SET,
			           phrase->names);
			return false;
		}
		if (sql_accept_word(&c->lex, "local")) {
			c->traits |= SQL_SETS_LOCAL;
			return false;
		}
	} while (sql_accept_word(&c->lex, "session"));
	return false;
}

bool sql_read_reset(struct sql_cursor *c, struct sql_mention *out)
{
	const struct phrase *phrase = accept_phrase(&c->lex, reset_phrases);
	struct parameter p;

	if (phrase != NULL) {
		tell_later(c, SQL_RESET, phrase->names);
		return false;
	}
	if (sql_accept_word(&c->lex, "all"))
		return sql_tell(c, out, SQL_RESET_ALL, c->lex.at, 0);
	return accept_parameter(&c->lex, &p) && tell_parameter(c, out, SQL_RESET, &p);
}

/* --- set_config(name, value, local) --- */

static void skip_cast(struct sql_lexer *x)
{
	struct sql_token t;

	while (sql_accept_sign(x, ':') && sql_accept_sign(x, ':'))
		while (sql_accept_name(x, &t) && sql_accept_sign(x, '.'))
			;
}

/* Up to the comma behind an argument. */
static bool skip_argument(struct sql_lexer *x, unsigned *budget)
{
	size_t depth = x->depth, brackets = 0;
	struct sql_token t;

	while (*budget > 0 && sql_token(x, &t) && x->depth >= depth) {
		--*budget;
		if (sql_is_sign(&t, ',') && x->depth == depth && brackets == 0)
			return true;
		if (sql_is_sign(&t, '['))
			brackets++;
		else if (sql_is_sign(&t, ']') && brackets > 0)
			brackets--;
	}
	return false;
}

/* Is the last argument, which begins here, a constant that means true? */
static bool is_true(struct sql_lexer x)
{
	static const char *const words[] = { "true", "t", "on", "yes", "y", "1" };
	struct sql_token t;
	bool found = false;

	if (!sql_token(&x, &t) || (t.kind != SQL_STRING && !sql_is_word(&t, "true")))
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !found; i++)
		found = sql_same(t.body, words[i]);
	skip_cast(&x);
	return found && sql_accept_sign(&x, ')');
}

/* Nothing is taken: there may be calls within the arguments. */
bool sql_read_set_config(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_lexer x = c->lex, last;
	unsigned budget = VALUE_TOKENS;
	struct parameter p = { .told = false };
	struct sql_name name = { .text = p.name };
	struct sql_token t;

	if (!sql_accept_sign(&x, '('))
		return false;
	last = x;
	if (skip_argument(&last, &budget) && skip_argument(&last, &budget) && is_true(last)) {
		c->traits |= SQL_SETS_LOCAL;
		return false;
	}
	if (!sql_token(&x, &t))
		return false;
	skip_cast(&x);
	p.at = t.whole.at;
	p.len = t.whole.len;
	if (t.kind == SQL_STRING && sql_accept_sign(&x, ',')) {
		sql_name_add(&name, &t, true);
		p.told = name.len <= SQL_NAME_MAX;
	}
	return tell_parameter(c, out, SQL_SET, &p);
}
