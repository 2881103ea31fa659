#include <string.h>

#include "sql_priv.h"

/* --- names --- */

enum sql_special sql_special_of(struct bytes name)
{
	static const struct {
		const char *name;
		size_t len;
		enum sql_special special;
	} rows[] = {
		{ SQL_LITERAL("seed"), SQL_SEED },
		{ SQL_LITERAL("search_path"), SQL_PATH },
		{ SQL_LITERAL("session_authorization"), SQL_AUTHORIZATION },
		{ SQL_LITERAL("temp_tablespaces"), SQL_LIST },
		{ SQL_LITERAL("local_preload_libraries"), SQL_LIST },
		{ SQL_LITERAL("session_preload_libraries"), SQL_LIST },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (name.len == rows[i].len && sql_same(name, rows[i].name))
			return rows[i].special;
	return SQL_ORDINARY;
}

/* What other letters than those of ASCII become in lower case is for the server's locale to say. */
static bool accept_parameter(struct sql_lexer *x, struct sql_parameter *p)
{
	struct sql_name name = { 0 };
	struct sql_token t;

	if (!sql_accept_name(x, &t))
		return false;
	*p = (struct sql_parameter){ .at = t.whole.at, .told = true };
	name.text = p->name;
	do {
		if (name.len > 0)
			sql_name_put(&name, '.');
		sql_name_add(&name, x, &t, true);
		if (t.kind == SQL_UNICODE || (t.kind == SQL_WORD && !bytes_ascii(t.body)))
			p->told = false;
		p->len = (size_t)(t.whole.at + t.whole.len - p->at);
	} while (sql_accept_sign(x, '.') && sql_accept_name(x, &t));
	p->told = p->told && name.len <= SQL_NAME_MAX;
	if (p->told)
		p->special = sql_special_of((struct bytes){ (const uint8_t *)p->name, name.len });
	return true;
}

/* --- values --- */

static bool is_digit(const uint8_t *at, const uint8_t *end)
{
	return at < end && sql_class_of[*at] == SQL_IS_DIGIT;
}

/* The end of the number that begins at at; at itself if there is none. */
static const uint8_t *number_end(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *p = at + (at < end && (*at == '-' || *at == '+')), *exponent;

	if (!is_digit(p, end) && !(p < end && *p == '.' && is_digit(p + 1, end)))
		return at;
	p = sql_skip_digits(p, end);
	if (p < end && *p == '.')
		p = sql_skip_digits(p + 1, end);
	if (p == end || sql_lower(*p) != 'e')
		return p;
	exponent = p + 1;
	exponent += exponent < end && (*exponent == '-' || *exponent == '+');
	return is_digit(exponent, end) ? sql_skip_digits(exponent, end) : p;
}

/* One that PostgreSQL, which puts identifiers in lower case and cuts them, takes as it stands there. */
static bool is_plain(struct bytes word)
{
	size_t i;

	for (i = 0; i < word.len; i++)
		if (word.at[i] >= 0x80 || sql_lower(word.at[i]) != word.at[i])
			return false;
	return word.len <= SQL_NAME_MAX;
}

/* A number, word or literal that begins with this token, which is taken, and is all that follows. */
static struct bytes exact_value(struct sql_lexer *x, const struct sql_token *t)
{
	const uint8_t *at = t->whole.at, *behind = number_end(at, x->end);
	struct bytes value = t->body;

	if (t->kind == SQL_SIGN && behind > at) {
		value = (struct bytes){ at, (size_t)(behind - at) };
		x->at = behind;
	} else if (t->kind != SQL_STRING && (t->kind != SQL_WORD || !is_plain(value))) {
		return (struct bytes){ NULL, 0 };
	}
	return sql_at_end(x) ? value : (struct bytes){ NULL, 0 };
}

bool sql_may_be_temp(const struct sql_token *t)
{
	struct bytes b = t->body;

	if (t->kind == SQL_UNICODE || t->kind == SQL_ODD_STRING)
		return true;
	if (t->kind == SQL_WORD || t->kind == SQL_QUOTED)
		return sql_starts(b, "pg_temp");
	for (; t->kind == SQL_STRING && b.len > 0; b.at++, b.len--)
		if (sql_starts(b, "pg_temp"))
			return true;
	return false;
}

/* Up to the end of the statement. */
static bool path_may_be_temp(struct sql_lexer *x)
{
	struct sql_token t;
	bool may = false;

	while (!sql_at_end(x) && sql_token(x, &t))
		may = may || sql_may_be_temp(&t);
	return may;
}

/* SET NAMES may have no value at all. standard: besides DEFAULT, the word that resets. */
static struct sql_value read_value(struct sql_lexer *x, const char *standard, bool is_path)
{
	struct sql_mark before = sql_mark(x);
	struct sql_value v = { .local = false };
	struct sql_token t;

	v.resets = !sql_token(x, &t) || sql_is_sign(&t, ';') || sql_is_word(&t, "default") ||
	           (standard != NULL && sql_is_word(&t, standard));
	if (!v.resets)
		v.exact = exact_value(x, &t);
	sql_back(x, before);
	v.temp = is_path && path_may_be_temp(x);
	return v;
}

/* --- mentions --- */

void sql_tell_later(struct sql_cursor *c, enum sql_mention_kind kind, const char *const *names,
                    const uint8_t *at, struct bytes value)
{
	c->fixed = names;
	c->fixed_kind = kind;
	c->fixed_at = (size_t)(at - c->text);
	c->fixed_value = value;
}

static void put_value(const struct sql_cursor *c, struct sql_mention *out, struct bytes value)
{
	if (value.at == NULL || (out->kind != SQL_SET && out->kind != SQL_SET_LOCAL))
		return;
	out->value_at = (size_t)(value.at - c->text);
	out->value_len = value.len;
}

/* Whole numbers lose what does not count, those with fractions keep it. */
static bool is_plain_number(struct bytes text, const struct sql_mention *m)
{
	const uint8_t *at = text.at + m->value_at, *end = at + m->value_len;

	if (at[-1] == '\'' || at[-1] == '$')
		return true; /* no number but a literal */
	if (*at == '+')
		return false;
	at += *at == '-';
	return end - at < 2 || *at != '0' || sql_skip_digits(at, end) != end;
}

bool sql_value(struct bytes text, const struct sql_mention *m, char *out, size_t size)
{
	if (m->value_len == 0 || m->value_len >= size || !is_plain_number(text, m))
		return false;
	memcpy(out, text.at + m->value_at, m->value_len);
	out[m->value_len] = '\0';
	return true;
}

bool sql_tell_fixed(struct sql_cursor *c, struct sql_mention *out)
{
	sql_tell(c, out, c->fixed_kind, c->text + c->fixed_at, 0);
	memcpy(out->name, *c->fixed, strlen(*c->fixed));
	put_value(c, out, c->fixed_value);
	if (*++c->fixed == NULL)
		c->fixed = NULL;
	return true;
}

/* Some of it lasts even if the value does not. */
static void raise_traits(struct sql_cursor *c, const struct sql_parameter *p,
                         const struct sql_value *v)
{
	if (!p->told || p->special == SQL_SEED)
		c->traits |= SQL_SEEDS;
	if (!p->told || v->temp)
		c->traits |= SQL_TEMP;
	if (v->resets)
		c->traits |= SQL_RESETS;
	if (v->local)
		c->traits |= SQL_SETS_LOCAL;
}

bool sql_tell_parameter(struct sql_cursor *c, struct sql_mention *out, enum sql_mention_kind kind,
                        const struct sql_parameter *p, const struct sql_value *v)
{
	static const char *const role[] = { "role", NULL };

	raise_traits(c, p, v);
	if (p->special == SQL_SEED)
		return false;
	if (v->local)
		kind = SQL_SET_LOCAL;
	sql_tell(c, out, p->told || v->local ? kind : SQL_SET_UNKNOWN, p->at, p->told ? p->len : 0);
	out->resets = v->resets;
	if (!p->told)
		return true;
	memcpy(out->name, p->name, sizeof(out->name));
	put_value(c, out, v->exact);
	if (p->special == SQL_AUTHORIZATION)
		sql_tell_later(c, kind, role, p->at + p->len, (struct bytes){ NULL, 0 });
	return true;
}

/* --- SET, RESET --- */

/* Of parameters that have a syntax of their own. */
struct phrase {
	const char *first, *second;
	const char *const *names; /* NULL: none that outlives the transaction */
	const char *standard;     /* besides DEFAULT, the value that resets */
	bool exact;               /* a literal or number is the value as it stands */
	bool path;                /* it is search_path */
};

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL }) /* lasts at file scope only */

static const struct phrase set_phrases[] = {
	{ .first = "transaction" },
	{ .first = "constraints" },
	{ "time", "zone", NAMES("timezone"), "local", true, false },
	{ "names", NULL, NAMES("client_encoding"), NULL, true, false },
	{ "schema", NULL, NAMES("search_path"), NULL, false, true },
	{ "role", NULL, NAMES("role"), NULL, true, false },
	{ "xml", "option", NAMES("xmloption"), NULL, false, false },
	{ "session", "authorization", NAMES("session_authorization", "role"), NULL, false, false },
	{ "session", "characteristics",
	  NAMES("default_transaction_isolation", "default_transaction_read_only",
	        "default_transaction_deferrable"),
	  NULL, false, false },
	{ .first = NULL },
};

static const struct phrase reset_phrases[] = {
	{ .first = "transaction", .second = "isolation" },
	{ .first = "time", .second = "zone", .names = NAMES("timezone") },
	{ .first = "session",
	  .second = "authorization",
	  .names = NAMES("session_authorization", "role") },
	{ .first = NULL },
};

static const struct phrase *accept_phrase(struct sql_lexer *x, const struct phrase *p)
{
	struct sql_mark before = sql_mark(x), between;
	struct sql_token first, second;

	if (!sql_accept_name(x, &first))
		return NULL;
	between = sql_mark(x);
	if (!sql_accept_name(x, &second))
		second = (struct sql_token){ .kind = SQL_SIGN };
	for (; p->first != NULL; p++) {
		if (!sql_is_word(&first, p->first) ||
		    (p->second != NULL && !sql_is_word(&second, p->second)))
			continue;
		if (p->second == NULL)
			sql_back(x, between);
		return p;
	}
	sql_back(x, before);
	return NULL;
}

/* name = value, name TO value, name FROM CURRENT, which makes a LOCAL one last. Which of SET's
 * words may be names is decided by what follows them. */
static bool accept_assignment(struct sql_lexer *x, struct sql_parameter *p, bool *current)
{
	struct sql_mark before = sql_mark(x);

	*current = false;
	if (accept_parameter(x, p)) {
		if (sql_accept_sign(x, '=') || sql_accept_word(x, "to"))
			return true;
		*current = sql_accept_word(x, "from") && sql_accept_word(x, "current");
		if (*current)
			return true;
	}
	sql_back(x, before);
	return false;
}

static bool tell_phrase(struct sql_cursor *c, const struct phrase *p, bool local)
{
	const uint8_t *at = c->lex.at;
	struct sql_value v = read_value(&c->lex, p->standard, p->path);

	if (v.temp)
		c->traits |= SQL_TEMP;
	if (!p->exact)
		v.exact = (struct bytes){ NULL, 0 };
	if (local && p->names != NULL && v.resets)
		c->traits |= SQL_RESETS;
	if (!local)
		sql_tell_later(c, v.resets ? SQL_RESET : SQL_SET, p->names, at, v.exact);
	else if (p->names != NULL)
		sql_tell_later(c, SQL_SET_LOCAL, p->names, at, v.exact);
	return false;
}

static bool tell_assignment(struct sql_cursor *c, struct sql_mention *out,
                            const struct sql_parameter *p, bool current, bool local)
{
	bool path = p->special == SQL_PATH;
	struct sql_value v = { .resets = current, .temp = current && path };

	if (!current)
		v = read_value(&c->lex, NULL, path);
	if (path || p->special == SQL_LIST)
		v.exact = (struct bytes){ NULL, 0 };
	v.local = local;
	return sql_tell_parameter(c, out, v.resets && !current ? SQL_RESET : SQL_SET, p, &v);
}

bool sql_read_set(struct sql_cursor *c, struct sql_mention *out)
{
	bool local = false, current;
	const struct phrase *phrase;
	struct sql_parameter p;

	for (;;) {
		if (accept_assignment(&c->lex, &p, &current))
			return tell_assignment(c, out, &p, current, local);
		if ((phrase = accept_phrase(&c->lex, set_phrases)) != NULL)
			return tell_phrase(c, phrase, local);
		if (sql_accept_word(&c->lex, "local")) {
			c->traits |= SQL_SETS_LOCAL;
			local = true;
		} else if (!sql_accept_word(&c->lex, "session")) {
			return false;
		}
	}
}

bool sql_read_reset(struct sql_cursor *c, struct sql_mention *out)
{
	const struct phrase *phrase = accept_phrase(&c->lex, reset_phrases);
	struct sql_value v = { .resets = true };
	struct sql_parameter p;

	if (phrase != NULL) {
		sql_tell_later(c, SQL_RESET, phrase->names, c->lex.at, v.exact);
		return false;
	}
	if (sql_accept_word(&c->lex, "all"))
		return sql_tell(c, out, SQL_RESET_ALL, c->lex.at, 0);
	return accept_parameter(&c->lex, &p) && sql_tell_parameter(c, out, SQL_RESET, &p, &v);
}
