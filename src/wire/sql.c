#include <string.h>

#include "sql_priv.h"

/* Names that matter anywhere begin with these. */
#define FUNCTION_LETTERS \
	(SQL_LETTER('c') | SQL_LETTER('l') | SQL_LETTER('n') | SQL_LETTER('p') | SQL_LETTER('s'))
/* INTO, INSERT. */
#define SELECT_LETTERS (FUNCTION_LETTERS | SQL_LETTER('i'))
/* DEFAULT: of an UPDATE only, as elsewhere it is part of what has the trait anyway. */
#define UPDATE_LETTERS (FUNCTION_LETTERS | SQL_LETTER('d'))
/* All that may be in a WITH. */
#define ANY_LETTERS (SELECT_LETTERS | UPDATE_LETTERS | SQL_LETTER('m'))

/* Bytes of a text that are looked at ahead of where reading is, beyond the next few tokens. */
#define AHEAD_MAX ((size_t)64 * 1024)

/* --- mentions --- */

/* Traits follow from mentions where there are any, so that both tell the same. */
static const unsigned traits_of[SQL_MENTION_KINDS] = {
	[SQL_PREPARE] = SQL_PREPARES | SQL_NAMES,
	[SQL_EXECUTE] = SQL_NAMES,
	[SQL_DEALLOCATE] = SQL_NAMES | SQL_FORGETS,
	[SQL_DEALLOCATE_ALL] = SQL_FORGETS | SQL_FORGETS_STATEMENTS,
	[SQL_DISCARD_ALL] = SQL_SETS | SQL_RESETS | SQL_FORGETS | SQL_FORGETS_STATEMENTS,
	[SQL_SET] = SQL_SETS,
	[SQL_SET_LOCAL] = SQL_SETS_LOCAL,
	[SQL_RESET] = SQL_SETS | SQL_RESETS,
	[SQL_RESET_ALL] = SQL_SETS | SQL_RESETS | SQL_FORGETS,
	[SQL_SET_UNKNOWN] = SQL_SETS,
};

bool sql_tell(struct sql_cursor *c, struct sql_mention *out, enum sql_mention_kind kind,
              const uint8_t *at, size_t len)
{
	c->traits |= traits_of[kind];
	*out = (struct sql_mention){ .kind = kind, .at = (size_t)(at - c->text), .len = len };
	out->resets = (traits_of[kind] & SQL_RESETS) != 0;
	return true;
}

void sql_name_put(struct sql_name *n, uint8_t c)
{
	if (n->len < SQL_NAME_MAX)
		n->text[n->len] = (char)c;
	n->len++;
}

void sql_name_add(struct sql_name *n, const struct sql_lexer *x, const struct sql_token *t,
                  bool fold_quoted)
{
	const uint8_t *at = t->body.at, *end = at + t->body.len;
	bool fold = fold_quoted || t->kind == SQL_WORD;
	const bool *leads = x->leads;

	for (; at < end; at++) {
		if (sql_at_pair(leads, at, end)) {
			sql_name_put(n, *at++);
			sql_name_put(n, *at); /* looks like a letter, perhaps */
			continue;
		}
		sql_name_put(n, fold ? sql_lower(*at) : *at);
		if (t->kind == SQL_QUOTED && *at == '"')
			at++; /* the second of two */
	}
}

/* --- prepared statements --- */

static bool tell_statement(struct sql_cursor *c, struct sql_mention *out,
                           enum sql_mention_kind kind, const struct sql_token *t)
{
	struct sql_name name = { .text = out->name };

	sql_tell(c, out, kind, t->whole.at, t->whole.len);
	if (t->kind != SQL_UNICODE)
		sql_name_add(&name, &c->lex, t, false);
	return true;
}

static bool read_prepare(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_token t, next;
	struct sql_mark then;

	if (!sql_accept_name(&c->lex, &t))
		return false;
	then = sql_mark(&c->lex);
	if (sql_is_word(&t, "transaction") && sql_token(&c->lex, &next) &&
	    (next.kind == SQL_STRING || next.kind == SQL_ODD_STRING))
		return false; /* of two phases; otherwise that is a statement's name */
	sql_back(&c->lex, then);
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

/* CREATE TABLE ... AS, which may be EXECUTE name or any query: the first AS that is not in
 * parentheses. */
static bool read_as(struct sql_cursor *c, struct sql_mention *out)
{
	if (c->lex.depth > 0)
		return false;
	c->letters = ANY_LETTERS;
	return sql_accept_word(&c->lex, "execute") && read_execute(c, out);
}

/* The name that comes next. */
static void notice_temp_schema(struct sql_cursor *c)
{
	struct sql_token t;

	if (sql_accept_name(&c->lex, &t) && sql_may_be_temp(&t))
		c->traits |= SQL_TEMP;
}

/* SELECT ... INTO [TEMP] [TABLE] name. */
static bool read_into(struct sql_cursor *c, struct sql_mention *out)
{
	(void)out;
	c->traits |= SQL_CREATES;
	if (accept_temp(&c->lex))
		c->traits |= SQL_TEMP;
	else
		sql_accept_word(&c->lex, "unlogged");
	sql_accept_word(&c->lex, "table");
	notice_temp_schema(c);
	return false;
}

/* MERGE too. A table named temp may be what it goes into. Other INSERTs are names of rights and
 * events. */
static bool read_insert(struct sql_cursor *c, struct sql_mention *out)
{
	(void)out;
	if (!sql_accept_word(&c->lex, "into"))
		return false;
	c->traits |= SQL_DRAWS;
	notice_temp_schema(c);
	return false;
}

/* A new column may be filled from a sequence. */
static bool read_alter(struct sql_cursor *c, struct sql_mention *out)
{
	(void)out;
	if (sql_accept_word(&c->lex, "table") || sql_accept_word(&c->lex, "foreign"))
		c->traits |= SQL_DRAWS;
	return false;
}

/* The options of DECLARE stand before FOR, a query after it. */
static bool read_declare(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_mark before = sql_mark(&c->lex);
	struct sql_token t;
	bool with = false;

	(void)out;
	sql_accept_name(&c->lex, &t);
	while (sql_token(&c->lex, &t) && t.kind == SQL_WORD && !sql_is_word(&t, "for")) {
		if (with && sql_is_word(&t, "hold"))
			c->traits |= SQL_HOLDS;
		with = sql_is_word(&t, "with");
	}
	sql_back(&c->lex, before);
	return false;
}

/* --- statements --- */

/* Words that begin a statement, those of most texts first. What is not here is like SELECT as far
 * as this file is concerned. */
struct head {
	const char *word;
	size_t len;
	unsigned traits;
	uint32_t letters; /* of words that matter further on */
	bool makes;       /* or changes objects: pg_temp in it is where */
	/* Reads on. True: there is a mention. NULL: the first word tells all. */
	bool (*read)(struct sql_cursor *c, struct sql_mention *out);
};

static bool read_explain(struct sql_cursor *c, struct sql_mention *out);

static const struct head heads[] = {
	{ SQL_LITERAL("select"), 0, SELECT_LETTERS, false, NULL },
	{ SQL_LITERAL("insert"), 0, FUNCTION_LETTERS, false, read_insert },
	{ SQL_LITERAL("update"), 0, UPDATE_LETTERS, false, NULL },
	{ SQL_LITERAL("with"), 0, ANY_LETTERS, false, NULL },
	{ SQL_LITERAL("delete"), 0, SELECT_LETTERS, false, NULL },
	{ SQL_LITERAL("begin"), 0, FUNCTION_LETTERS, false, NULL },
	{ SQL_LITERAL("commit"), 0, FUNCTION_LETTERS, false, NULL },
	{ SQL_LITERAL("set"), 0, FUNCTION_LETTERS, false, sql_read_set },
	{ SQL_LITERAL("reset"), 0, FUNCTION_LETTERS, false, sql_read_reset },
	{ SQL_LITERAL("prepare"), 0, ANY_LETTERS, false, read_prepare },
	{ SQL_LITERAL("execute"), 0, FUNCTION_LETTERS, false, read_execute },
	{ SQL_LITERAL("deallocate"), SQL_FORGETS, FUNCTION_LETTERS, false, read_deallocate },
	{ SQL_LITERAL("discard"), SQL_FORGETS, FUNCTION_LETTERS, false, read_discard },
	{ SQL_LITERAL("create"), SQL_CREATES, FUNCTION_LETTERS, true, read_create },
	{ SQL_LITERAL("alter"), 0, FUNCTION_LETTERS, true, read_alter },
	{ SQL_LITERAL("import"), SQL_CREATES, SELECT_LETTERS, true, NULL },
	{ SQL_LITERAL("drop"), SQL_FORGETS, FUNCTION_LETTERS, false, NULL },
	{ SQL_LITERAL("declare"), 0, ANY_LETTERS, false, read_declare },
	{ SQL_LITERAL("close"), SQL_FORGETS, FUNCTION_LETTERS, false, NULL },
	{ SQL_LITERAL("listen"), SQL_LISTENS, FUNCTION_LETTERS, false, NULL },
	{ SQL_LITERAL("unlisten"), SQL_LISTENS | SQL_FORGETS, FUNCTION_LETTERS, false, NULL },
	{ SQL_LITERAL("explain"), 0, ANY_LETTERS, false, read_explain },
	{ SQL_LITERAL("merge"), 0, FUNCTION_LETTERS, false, read_insert },
	{ SQL_LITERAL("copy"), SQL_DRAWS, ANY_LETTERS, false, NULL },
	{ SQL_LITERAL("do"), SQL_UNKNOWN, FUNCTION_LETTERS, false, NULL },
};

static const struct head *head_of(const struct sql_token *t)
{
	char first = t->body.len > 0 ? (char)sql_lower(t->body.at[0]) : '\0';

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (first == heads[i].word[0] && t->body.len == heads[i].len &&
		    sql_is_word(t, heads[i].word))
			return &heads[i];
	return NULL;
}

/* What is explained is read as a statement, as far as it has a head: else what looked like options
 * may have been a SELECT in parentheses. */
static bool read_explain(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_lexer *x = &c->lex;
	struct sql_mark before = sql_mark(x), inner;
	struct sql_token t;

	(void)out;
	while (sql_accept_word(x, "analyze") || sql_accept_word(x, "analyse") ||
	       sql_accept_word(x, "verbose"))
		;
	if (sql_accept_sign(x, '('))
		while (x->depth > before.depth && sql_token(x, &t))
			;
	inner = sql_mark(x);
	c->inside = !sql_token(x, &t) || head_of(&t) == NULL;
	sql_back(x, c->inside ? before : inner);
	return false;
}

/* What a word must be to matter wherever it stands. */
enum notable_kind {
	KEYWORD, /* not in quotes */
	CALLED,  /* a parenthesis follows, which is taken */
	NAME,    /* the name of anything */
};

struct notable {
	const char *word;
	size_t len; /* sql_seek.c knows the lengths too */
	enum notable_kind kind;
	unsigned traits;
	bool (*read)(struct sql_cursor *c, struct sql_mention *out); /* as above */
};

static const struct notable notables[] = {
	{ SQL_LITERAL("into"), KEYWORD, 0, read_into },
	{ SQL_LITERAL("insert"), KEYWORD, 0, read_insert },
	{ SQL_LITERAL("merge"), KEYWORD, 0, read_insert },
	{ SQL_LITERAL("default"), KEYWORD, SQL_DRAWS, NULL },
	{ SQL_LITERAL("as"), KEYWORD, 0, read_as },
	{ SQL_LITERAL("set_config"), CALLED, 0, sql_read_set_config },
	{ SQL_LITERAL("set_limit"), CALLED, 0, sql_read_set_limit },
	{ SQL_LITERAL("setseed"), CALLED, SQL_SEEDS, NULL },
	{ SQL_LITERAL("setval"), CALLED, SQL_DRAWS, NULL },
	{ SQL_LITERAL("nextval"), CALLED, SQL_DRAWS, NULL },
	{ SQL_LITERAL("currval"), CALLED, SQL_ASKS_SEQUENCE, NULL },
	{ SQL_LITERAL("lastval"), CALLED, SQL_ASKS_SEQUENCE, NULL },
	{ SQL_LITERAL("pg_settings"), NAME, 0, sql_read_pg_settings },
	{ SQL_LITERAL("pg_advisory_lock"), CALLED, SQL_LOCKS, NULL },
	{ SQL_LITERAL("pg_advisory_lock_shared"), CALLED, SQL_LOCKS, NULL },
	{ SQL_LITERAL("pg_try_advisory_lock"), CALLED, SQL_LOCKS, NULL },
	{ SQL_LITERAL("pg_try_advisory_lock_shared"), CALLED, SQL_LOCKS, NULL },
	{ SQL_LITERAL("pg_advisory_unlock"), CALLED, SQL_LOCKS | SQL_FORGETS, NULL },
	{ SQL_LITERAL("pg_advisory_unlock_shared"), CALLED, SQL_LOCKS | SQL_FORGETS, NULL },
	{ SQL_LITERAL("pg_advisory_unlock_all"), CALLED, SQL_LOCKS | SQL_FORGETS, NULL },
};

#define NOTABLE_MAX 27 /* the longest of them */

static const struct notable *find_notable(const struct sql_token *t, struct bytes b)
{
	for (size_t i = 0; i < sizeof(notables) / sizeof(notables[0]); i++) {
		const struct notable *n = &notables[i];

		if (b.len == n->len && sql_same(b, n->word) &&
		    (n->kind != KEYWORD || t->kind == SQL_WORD))
			return n;
	}
	return NULL;
}

/* In a database in LATIN5 or WIN1254 with a Turkish locale, the lower case of a capital I with a
 * dot is the i of ASCII, in names without quotes. It is 0xdd there and C4 B0 in UTF-8. */
static const struct notable *find_dotted(const struct sql_token *t)
{
	const uint8_t *at = t->body.at, *end = at + t->body.len;
	uint8_t room[NOTABLE_MAX];
	size_t len = 0;

	for (; at < end && len < sizeof(room); at++) {
		bool two = at[0] == 0xc4 && end - at > 1 && at[1] == 0xb0;

		room[len++] = two || *at == 0xdd ? 'i' : *at;
		at += two;
	}
	return at == end ? find_notable(t, (struct bytes){ room, len }) : NULL;
}

static const struct notable *notable_of(const struct sql_token *t)
{
	const struct notable *n = find_notable(t, t->body);

	if (n != NULL || t->kind != SQL_WORD ||
	    !(sql_starts(t->body, "pg_") || sql_starts(t->body, "set")))
		return n;
	return bytes_ascii(t->body) ? NULL : find_dotted(t);
}

/* Quotes are as good as lower case: nothing else of that name could be meant. */
static bool read_word(struct sql_cursor *c, const struct sql_token *t, struct sql_mention *out)
{
	const struct notable *n = notable_of(t);

	if (c->makes && sql_may_be_temp(t))
		c->traits |= SQL_TEMP;
	if (n == NULL || (n->kind == CALLED && !sql_accept_sign(&c->lex, '(')))
		return false;
	c->traits |= n->traits;
	return n->read != NULL && n->read(c, out);
}

static bool read_head(struct sql_cursor *c, const struct sql_token *t, struct sql_mention *out)
{
	const struct head *head;

	if (sql_is_sign(t, c->lex.depth > 0 ? '(' : ';')) /* (WITH ... SELECT ...) */
		return false;
	c->inside = true;
	c->makes = false;
	c->letters = SELECT_LETTERS;
	if ((head = head_of(t)) == NULL)
		return false;
	c->letters = head->letters;
	c->makes = head->makes;
	c->traits |= head->traits;
	return head->read != NULL && head->read(c, out);
}

static bool next_mention(struct sql_cursor *c, struct sql_mention *out)
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

bool sql_next(struct sql_cursor *c, struct sql_mention *out)
{
	struct sql_lexer *x = &c->lex;
	bool found = next_mention(c, out);

	if (!x->cut || !x->touched)
		return found;
	/* What stands where reading ends may be half of something. */
	x->at = x->end;
	c->fixed = NULL;
	return false;
}

/* --- texts --- */

static inline void begin(struct sql_cursor *c, struct bytes text, struct sql_reading how)
{
	struct bytes b = sql_readable(text);

	*c = (struct sql_cursor){
		.text = b.at,
		.lex = {
			.at = b.at,
			.end = b.at + b.len,
			.leads = how.encoding != SQL_ENCODING_SAFE ? sql_leads(how.encoding) : NULL,
			.ahead = AHEAD_MAX,
			.backslashes = how.backslashes == SQL_BACKSLASHES_ESCAPE,
			.cut = b.len < text.len,
		},
	};
}

void sql_begin(struct sql_cursor *c, struct bytes text, struct sql_reading how)
{
	begin(c, text, how);
}

static unsigned traits_once(struct bytes text, struct sql_reading how)
{
	struct sql_mention unused;
	struct sql_cursor c;

	begin(&c, text, how);
	while (sql_next(&c, &unused))
		;
	return c.traits | (c.lex.cut || c.lex.strange ? SQL_UNKNOWN : 0);
}

/* Those of all readings. */
static unsigned traits_of_all(struct bytes text, struct sql_reading how)
{
	struct sql_doubts doubts = sql_doubts(text, how);
	unsigned b = doubts.backslashes ? SQL_BACKSLASHES_PLAIN : how.backslashes;
	unsigned last_b = doubts.backslashes ? SQL_BACKSLASHES_ESCAPE : b;
	unsigned first_e = doubts.encoding ? SQL_ENCODING_SAFE : how.encoding;
	unsigned last_e = doubts.encoding ? SQL_ENCODING_WIDE : first_e;
	unsigned traits = doubts.never ? SQL_UNKNOWN : 0;

	for (; b <= last_b; b++)
		for (unsigned e = first_e; e <= last_e; e++)
			traits |= traits_once(text, (struct sql_reading){ b, e });
	return traits;
}

unsigned sql_traits(struct bytes text, struct sql_reading how)
{
	if (how.backslashes != SQL_BACKSLASHES_UNKNOWN && how.encoding == SQL_ENCODING_SAFE)
		return traits_once(text, how);
	return traits_of_all(text, how);
}
