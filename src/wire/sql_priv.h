/* sql_lex.c: tokens, as PostgreSQL's lexer finds them. sql_seek.c: those that matter. sql.c:
 * statements. sql_parameters.c, sql_set_config.c: those that set parameters. sql_reading.c: which
 * readings a text has. */
#ifndef PGSEAL_WIRE_SQL_PRIV_H
#define PGSEAL_WIRE_SQL_PRIV_H

#include "pgseal/wire/sql.h"

/* A row of a table: a word and its length, which is compared first. */
#define SQL_LITERAL(s) s, sizeof(s) - 1

enum sql_token_kind {
	SQL_WORD,       /* keyword or name without quotes */
	SQL_QUOTED,     /* "name"; "" stands for one quote */
	SQL_UNICODE,    /* U&"name" that may have escapes in it */
	SQL_STRING,     /* a literal whose value is its body, byte for byte */
	SQL_ODD_STRING, /* any other: escapes, quotes in it, B'', X'', U&'', in pieces, no end */
	SQL_SIGN,       /* anything else: one byte, or the digits of a number */
};

struct sql_token {
	enum sql_token_kind kind;
	struct bytes whole; /* as it stands in the text */
	struct bytes body;  /* without prefix and quotes */
};

/* --- characters --- */

/* In this order: what may begin a name or a tag of dollar quotes stands last, before it what else
 * may be in a tag, and before that what else may be in a name. */
enum sql_class {
	SQL_IS_OTHER,
	SQL_IS_BLANK,
	SQL_IS_QUOTE,
	SQL_IS_NAME_QUOTE,
	SQL_IS_DASH,
	SQL_IS_SLASH,
	SQL_IS_OPEN,
	SQL_IS_CLOSE,
	SQL_IS_SEMICOLON,
	SQL_IS_DOLLAR, /* from here on: may be in a word */
	SQL_IS_DIGIT,  /* from here on: may be in a tag */
	SQL_IS_LETTER, /* may begin both */
};

extern const uint8_t sql_class_of[256];

static inline const uint8_t *sql_skip_class(const uint8_t *at, const uint8_t *end,
                                            enum sql_class least)
{
	for (; end - at >= 2; at += 2) { /* two at a time: this is where most of the work is */
		if (sql_class_of[at[0]] < least)
			return at;
		if (sql_class_of[at[1]] < least)
			return at + 1;
	}
	return at + (at < end && sql_class_of[*at] >= least);
}

static inline const uint8_t *sql_skip_digits(const uint8_t *at, const uint8_t *end)
{
	while (at < end && sql_class_of[*at] == SQL_IS_DIGIT)
		at++;
	return at;
}

/* Does a character of two bytes begin at at, which is not the end? What may not be a second byte is
 * not taken for one; the server refuses that. */
static inline bool sql_at_pair(const bool *leads, const uint8_t *at, const uint8_t *end)
{
	return leads != NULL && leads[*at] && end - at > 1 &&
	       (at[1] >= 0x40 || sql_class_of[at[1]] == SQL_IS_DIGIT);
}

/* at: where a word begins. Where it ends, if there are pairs. */
const uint8_t *sql_pairs_end(const struct sql_lexer *x, const uint8_t *at);

/* The same in any encoding. */
static inline const uint8_t *sql_word_end(const struct sql_lexer *x, const uint8_t *at)
{
	return x->leads != NULL ? sql_pairs_end(x, at)
	                        : sql_skip_class(at + 1, x->end, SQL_IS_DOLLAR);
}

/* Letters of ASCII only, as the server does with names in UTF-8. */
static inline uint8_t sql_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Are these bytes that word (in lower case), in any case? Do they begin with it? */
bool sql_same(struct bytes b, const char *word);
bool sql_starts(struct bytes b, const char *word);

/* at is after the opening quote. Where the closing one stands, or the end. */
const uint8_t *sql_find_quote(const uint8_t *at, const uint8_t *end, uint8_t quote);

/* at: the opening quote. Where the literal ends; *first is the end of its first piece. */
const uint8_t *sql_skip_literal(const struct sql_lexer *x, const uint8_t *at, bool escapes,
                                const uint8_t **first);

/* --- tokens --- */

/* The bit of a letter in a set of letters, whatever its case. Some other bytes share it. */
#define SQL_LETTER(c) (1u << ((unsigned char)(c)&31u))

/* The next token. False: the text has ended. */
bool sql_token(struct sql_lexer *x, struct sql_token *out);

/* The next word or quoted name that may be one that matters and begins with one of these letters,
 * or the semicolon that ends the statement. */
bool sql_seek(struct sql_lexer *x, uint32_t letters, struct sql_token *out);

/* --- what may come next --- */

bool sql_is_word(const struct sql_token *t, const char *word);
bool sql_is_sign(const struct sql_token *t, char sign);

/* Take the next token if it is that. False: nothing is taken. */
bool sql_accept_word(struct sql_lexer *x, const char *word);
bool sql_accept_sign(struct sql_lexer *x, char sign);
bool sql_accept_name(struct sql_lexer *x, struct sql_token *t); /* *t is written in any case */
bool sql_at_end(struct sql_lexer *x); /* of the statement; nothing is taken */

/* A place to go back to after looking ahead. */
struct sql_mark {
	const uint8_t *at;
	size_t depth;
};
struct sql_mark sql_mark(const struct sql_lexer *x);
void sql_back(struct sql_lexer *x, struct sql_mark to);

/* --- mentions --- */

/* A name in the making. More than SQL_NAME_MAX bytes are counted, not kept. */
struct sql_name {
	char *text;
	size_t len;
};
void sql_name_put(struct sql_name *n, uint8_t c);
/* What the name in t means, folded as the server does, or all to lower case. */
void sql_name_add(struct sql_name *n, const struct sql_lexer *x, const struct sql_token *t,
                  bool fold_quoted);

/* Make *out a mention without a name, which is the caller's to fill in. Always true. */
bool sql_tell(struct sql_cursor *c, struct sql_mention *out, enum sql_mention_kind kind,
              const uint8_t *at, size_t len);
/* The next of c->fixed, which is not NULL. Always true. */
bool sql_tell_fixed(struct sql_cursor *c, struct sql_mention *out);

/* The cursor is after the word. True: *out is a mention. */
bool sql_read_set(struct sql_cursor *c, struct sql_mention *out);
bool sql_read_reset(struct sql_cursor *c, struct sql_mention *out);
bool sql_read_pg_settings(struct sql_cursor *c, struct sql_mention *out);
/* The cursor is after the parenthesis that follows the word. */
bool sql_read_set_config(struct sql_cursor *c, struct sql_mention *out);
bool sql_read_set_limit(struct sql_cursor *c, struct sql_mention *out);

/* --- parameters --- */

/* Those that are more than a value. */
enum sql_special {
	SQL_ORDINARY,
	SQL_SEED,          /* what is done to it lasts, but cannot be read back */
	SQL_PATH,          /* search_path, a list too */
	SQL_LIST,          /* SET takes what it is given as a list of names, and quotes them */
	SQL_AUTHORIZATION, /* takes the role with it */
};
enum sql_special sql_special_of(struct bytes name);

/* A name, perhaps with dots in it, that stands in the text. */
struct sql_parameter {
	const uint8_t *at;
	size_t len;
	char name[SQL_NAME_MAX + 1];
	bool told; /* the name is all in there */
	enum sql_special special;
};

/* What it is set to, as far as that can be told. */
struct sql_value {
	bool local;         /* up to the end of the transaction */
	bool resets;        /* may lead back to what it was after the login */
	bool temp;          /* may be a search_path with pg_temp in it */
	struct bytes exact; /* it is this, byte for byte; at NULL: it is anything else */
};

/* May this be, or hold, the name of the schema of temporary objects? */
bool sql_may_be_temp(const struct sql_token *t);
/* Raises what follows from it. True: *out is a mention of it. */
bool sql_tell_parameter(struct sql_cursor *c, struct sql_mention *out, enum sql_mention_kind kind,
                        const struct sql_parameter *p, const struct sql_value *v);
/* These names, NULL-terminated, are mentioned next, without a place in the text but this one. */
void sql_tell_later(struct sql_cursor *c, enum sql_mention_kind kind, const char *const *names,
                    const uint8_t *at, struct bytes value);

/* --- readings --- */

/* What a reading leaves open that matters to this text. */
struct sql_doubts {
	bool backslashes, encoding;
	bool never; /* only the server knows */
};
struct sql_doubts sql_doubts(struct bytes text, struct sql_reading how);
/* The lead bytes of the encoding, NULL if none. */
const bool *sql_leads(enum sql_encoding e);
/* As much of the text as is read. */
static inline struct bytes sql_readable(struct bytes text)
{
	const uint8_t *at = text.at != NULL ? text.at : (const uint8_t *)"";

	return (struct bytes){ at, text.len < SQL_READ_MAX ? text.len : SQL_READ_MAX };
}

#endif
