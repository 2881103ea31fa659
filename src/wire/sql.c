#include <string.h>

#include "sql_priv.h"

/* Words that matter anywhere begin with these: pg_..., set_config; INTO, INSERT. */
#define FUNCTION_LETTERS (SQL_LETTER('p') | SQL_LETTER('s'))
#define SELECT_LETTERS (FUNCTION_LETTERS | SQL_LETTER('i'))

/* --- mentions --- */

/* Traits follow from mentions where there are any, so that both tell the same. */
static const unsigned traits_of[SQL_MENTION_KINDS] = {
	[SQL_PREPARE] = SQL_PREPARES | SQL_NAMES,
	[SQL_EXECUTE] = SQL_NAMES,
	[SQL_DEALLOCATE] = SQL_NAMES | SQL_FORGETS,
	[SQL_DEALLOCATE_ALL] = SQL_FORGETS | SQL_FORGETS_STATEMENTS,
	[SQL_DISCARD_ALL] = SQL_SETS | SQL_FORGETS | SQL_FORGETS_STATEMENTS,
	[SQL_SET] = SQL_SETS,
	[SQL_RESET] = SQL_SETS,
	[SQL_RESET_ALL] = SQL_SETS | SQL_FORGETS,
	[SQL_SET_UNKNOWN] = SQL_SETS,
};

bool sql_tell(struct sql_cursor *c, struct sql_mention *out, enum sql_mention_kind kind,
              const uint8_t *at, size_t len)
{
	c->traits |= traits_of[kind];
	*out = (struct sql_mention){ .kind = kind, .at = (size_t)(at - c->text), .len = len };
	return true;
}

void sql_name_put(struct sql_name *n, uint8_t c)
{
	if (n->len < SQL_NAME_MAX)
		n->text[n->len] = (char)c;
	n->len++;
}

void sql_name_add(struct sql_name *n, const struct sql_token *t, bool fold_quoted)
{
	bool fold = fold_quoted || t->kind == SQL_WORD;

	for (size_t i = 0; i < t->body.len; i++) {
		sql_name_put(n, fold ? sql_lower(t->body.at[i]) : t->body.at[i]);
		if (t->kind == SQL_QUOTED && t->body.at[i] == '"')
			i++; /* the second of two */
	}
}

/* --- prepared statements --- */

static bool tell_statement(struct sql_cursor *c, struct sql_mention *out,
                           enum sql_mention_kind kind, const struct sql_token *t)
{
	struct sql_name name = { .text = out->name };

	sql_tell(c, out, kind, t->whole.at, t->whole.len);
	if (t->kind != SQL_UNICODE)
		sql_name_add(&name, t, false);
	return true;
}

static bool read_prepare(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_token t;

	if (!sql_accept_name(&c->lex, &t) || sql_is_word(&t, "transaction"))
		return false;
	return tell_statement(c, out, SQL_PREPARE, &t);
}

static bool read_execute(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_token t;

	return sql_accept_name(&c->lex, &t) && tell_statement(c, out, SQL_EXECUTE, &t);
}

static bool read_deallocate(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_token t, next;

	if (!sql_accept_name(&c->lex, &t))
		return false;
	if (sql_is_word(&t, "prepare") && sql_accept_name(&c->lex, &next))
		t = next; /* without one, it is itself the name */
	if (sql_is_word(&t, "all"))
		return sql_tell(c, out, SQL_DEALLOCATE_ALL, t.whole.at, 0);
	return tell_statement(c, out, SQL_DEALLOCATE, &t);
}

static bool read_discard(struct sql_cursor *c, struct sql_mention *out)
{
	return sql_accept_word(&c->lex, "all") && sql_tell(c, out, SQL_DISCARD_ALL, c->lex.at, 0);
}

/* --- temporary objects, cursors --- */

static bool accept_temp(struct sql_lexer *x)
{
	if (!sql_accept_word(x, "local"))
		sql_accept_word(x, "global");
	return sql_accept_word(x, "temp") || sql_accept_word(x, "temporary");
}

static bool read_create(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_lexer *x = &c->lex;

	(void)out;
	c->creates = true;
	if (sql_accept_word(x, "or"))
		sql_accept_word(x, "replace");
	if (accept_temp(x))
		c->traits |= SQL_TEMP;
	else
		sql_accept_word(x, "unlogged");
	if (sql_accept_word(x, "table"))
		c->letters |= SQL_LETTER('a');
	return false;
}

/* CREATE TABLE ... AS EXECUTE name: the first AS that is not in parentheses. */
static bool read_as(struct sql_cursor *c, struct sql_mention *out)
{
	if (c->lex.depth > 0)
		return false;
	c->letters &= ~SQL_LETTER('a');
	return sql_accept_word(&c->lex, "execute") && read_execute(c, out);
}

static bool read_pg_temp(struct sql_cursor *c, struct sql_mention *out)
{
	(void)out;
	if (c->creates && sql_accept_sign(&c->lex, '.'))
		c->traits |= SQL_TEMP;
	return false;
}

/* SELECT ... INTO [TEMP] name. INTO something else is read on from behind the name. */
static bool read_into(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_token t;

	(void)out;
	if (accept_temp(&c->lex) || (sql_accept_name(&c->lex, &t) && sql_same(t.body, "pg_temp") &&
	                             sql_accept_sign(&c->lex, '.')))
		c->traits |= SQL_TEMP;
	return false;
}

/* A table named temp may be what is inserted into. */
static bool read_insert(struct sql_cursor *c, struct sql_mention *out)
{
	(void)out;
	sql_accept_word(&c->lex, "into");
	return false;
}

/* The options of DECLARE stand in front of FOR, a query behind it. */
static bool read_declare(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_lexer x = c->lex;
	struct sql_token t;
	bool with = false;

	(void)out;
	sql_accept_name(&x, &t);
	while (sql_token(&x, &t) && t.kind == SQL_WORD && !sql_is_word(&t, "for")) {
		if (with && sql_is_word(&t, "hold"))
			c->traits |= SQL_HOLDS;
		with = sql_is_word(&t, "with");
	}
	return false;
}

/* --- statements --- */

#define WORD(s) s, sizeof(s) - 1

/* Words that begin a statement. What is not here is a SELECT as far as this file is concerned. */
struct head {
	const char *word;
	size_t len; /* of the word: compared first, as most differ in it */
	unsigned traits;
	uint32_t letters; /* of words that matter further on */
	/* Reads on. True: there is a mention. NULL: the first word tells all. */
	bool (*read)(struct sql_cursor *c, struct sql_mention *out);
};

static bool read_explain(struct sql_cursor *c, struct sql_mention *out);

static const struct head heads[] = {
	{ WORD("set"), 0, FUNCTION_LETTERS, sql_read_set },
	{ WORD("reset"), 0, FUNCTION_LETTERS, sql_read_reset },
	{ WORD("prepare"), 0, FUNCTION_LETTERS, read_prepare },
	{ WORD("execute"), 0, FUNCTION_LETTERS, read_execute },
	{ WORD("deallocate"), SQL_FORGETS, FUNCTION_LETTERS, read_deallocate },
	{ WORD("discard"), SQL_FORGETS, FUNCTION_LETTERS, read_discard },
	{ WORD("create"), 0, FUNCTION_LETTERS, read_create },
	{ WORD("drop"), SQL_FORGETS, FUNCTION_LETTERS, NULL },
	{ WORD("declare"), 0, FUNCTION_LETTERS, read_declare },
	{ WORD("close"), SQL_FORGETS, FUNCTION_LETTERS, NULL },
	{ WORD("listen"), SQL_LISTENS, FUNCTION_LETTERS, NULL },
	{ WORD("unlisten"), SQL_LISTENS | SQL_FORGETS, FUNCTION_LETTERS, NULL },
	{ WORD("explain"), 0, SELECT_LETTERS, read_explain },
	{ WORD("insert"), 0, FUNCTION_LETTERS, NULL },
	{ WORD("merge"), 0, FUNCTION_LETTERS, NULL },
};

static const struct head *head_of(const struct sql_token *t)
{
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (t->body.len == heads[i].len && sql_is_word(t, heads[i].word))
			return &heads[i];
	return NULL;
}

/* What is explained is read as a statement, as far as it has a head: else what looked like options may
 * have been a SELECT in parentheses. */
static bool read_explain(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_lexer x = c->lex, inner;
	struct sql_token t;

	(void)out;
	while (sql_accept_word(&x, "analyze") || sql_accept_word(&x, "analyse") ||
	       sql_accept_word(&x, "verbose"))
		;
	if (sql_accept_sign(&x, '('))
		while (x.depth > 0 && sql_token(&x, &t))
			;
	inner = x;
	if (sql_token(&x, &t) && head_of(&t) != NULL) {
		c->lex = inner;
		c->inside = false;
	}
	return false;
}

/* Words that matter wherever they stand. */
struct notable {
	const char *word;
	size_t len;
	bool keyword; /* not if it stands in quotes */
	unsigned traits;
	bool (*read)(struct sql_cursor *c, struct sql_mention *out); /* as above */
};

static const struct notable notables[] = {
	{ WORD("into"), true, 0, read_into },
	{ WORD("insert"), true, 0, read_insert },
	{ WORD("as"), true, 0, read_as },
	{ WORD("pg_temp"), false, 0, read_pg_temp },
	{ WORD("set_config"), false, 0, sql_read_set_config },
	{ WORD("pg_advisory_lock"), false, SQL_LOCKS, NULL },
	{ WORD("pg_advisory_lock_shared"), false, SQL_LOCKS, NULL },
	{ WORD("pg_try_advisory_lock"), false, SQL_LOCKS, NULL },
	{ WORD("pg_try_advisory_lock_shared"), false, SQL_LOCKS, NULL },
	{ WORD("pg_advisory_unlock"), false, SQL_LOCKS | SQL_FORGETS, NULL },
	{ WORD("pg_advisory_unlock_shared"), false, SQL_LOCKS | SQL_FORGETS, NULL },
	{ WORD("pg_advisory_unlock_all"), false, SQL_LOCKS | SQL_FORGETS, NULL },
};

/* Quotes are as good as lower case: nothing else of that name could be meant. */
static bool read_word(struct sql_cursor *c, const struct sql_token *t, struct sql_mention *out)
{
	char first = (char)sql_lower(t->body.at[0]); /* with the length, tells most words apart */

	for (size_t i = 0; i < sizeof(notables) / sizeof(notables[0]); i++) {
		const struct notable *n = &notables[i];

		if (t->body.len != n->len || first != n->word[0] || !sql_same(t->body, n->word) ||
		    (n->keyword && t->kind != SQL_WORD))
			continue;
		c->traits |= n->traits;
		return n->read != NULL && n->read(c, out);
	}
	return false;
}

static bool read_head(struct sql_cursor *c, const struct sql_token *t, struct sql_mention *out)
{
	const struct head *head;

	if (sql_is_sign(t, ';'))
		return false;
	c->inside = true;
	c->creates = false;
	c->letters = SELECT_LETTERS;
	if ((head = head_of(t)) == NULL)
		return false;
	c->letters = head->letters;
	c->traits |= head->traits;
	return head->read != NULL && head->read(c, out);
}

bool sql_next(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_token t;

	for (;;) {
		if (c->fixed != NULL)
			return sql_tell_fixed(c, out);
		if (!c->inside) {
			if (!sql_token(&c->lex, &t))
				return false;
			if (read_head(c, &t, out))
				return true;
		} else {
			if (!sql_seek(&c->lex, c->letters, &t))
				return false;
			if (sql_is_sign(&t, ';'))
				c->inside = false;
			else if (read_word(c, &t, out))
				return true;
		}
	}
}

void sql_begin(struct sql_cursor *c, struct bytes text, bool backslashes)
{
	const uint8_t *at = text.at != NULL ? text.at : (const uint8_t *)"";

	*c = (struct sql_cursor){ .text = at };
	c->lex = (struct sql_lexer){ .at = at, .end = at + text.len, .backslashes = backslashes };
}

unsigned sql_traits(struct bytes text, bool backslashes)
{
	struct sql_mention unused;
	struct sql_cursor c;

	sql_begin(&c, text, backslashes);
	while (sql_next(&c, &unused))
		;
	return c.traits;
}
