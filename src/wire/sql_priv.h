/* sql_lex.c: tokens, as PostgreSQL's lexer finds them. sql.c: statements. sql_parameters.c: those
 * that set parameters. */
#ifndef PGSEAL_WIRE_SQL_PRIV_H
#define PGSEAL_WIRE_SQL_PRIV_H

#include "pgseal/wire/sql.h"

enum sql_token_kind {
	SQL_WORD,    /* keyword or name without quotes */
	SQL_QUOTED,  /* "name"; "" stands for one quote */
	SQL_UNICODE, /* U&"name" */
	SQL_STRING,  /* a literal whose value is its body, byte for byte */
	SQL_ODD_STRING, /* any other: escapes, quotes within, B'', X'', U&'', in pieces, without an end */
	SQL_SIGN,       /* anything else: one byte, or the digits of a number */
};

struct sql_token {
	enum sql_token_kind kind;
	struct bytes whole; /* as it stands in the text */
	struct bytes body;  /* without prefix and quotes */
};

/* The bit of a letter in a set of letters, whatever its case. Some other bytes share it. */
#define SQL_LETTER(c) (1u << ((unsigned char)(c)&31u))

/* The next token. False: the text has ended. */
bool sql_token(struct sql_lexer *x, struct sql_token *out);

/* The next word or quoted name that begins with one of the letters (or shares its bit), or the
 * semicolon that ends the statement. */
bool sql_seek(struct sql_lexer *x, uint32_t letters, struct sql_token *out);

/* Letters of ASCII only, as the server does with names in UTF-8. */
static inline uint8_t sql_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Are these bytes that word (in lower case), in any case? */
bool sql_same(struct bytes b, const char *word);

/* --- what may come next --- */

bool sql_is_word(const struct sql_token *t, const char *word);
bool sql_is_sign(const struct sql_token *t, char sign);

/* Take the next token if it is that. False: nothing is taken. */
bool sql_accept_word(struct sql_lexer *x, const char *word);
bool sql_accept_sign(struct sql_lexer *x, char sign);
bool sql_accept_name(struct sql_lexer *x, struct sql_token *t); /* *t is written in any case */

/* --- mentions --- */

/* A name in the making. More than SQL_NAME_MAX bytes are counted, not kept. */
struct sql_name {
	char *text;
	size_t len;
};
void sql_name_put(struct sql_name *n, uint8_t c);
/* What the name in t means, folded as the server does, or all to lower case. */
void sql_name_add(struct sql_name *n, const struct sql_token *t, bool fold_quoted);

/* Make *out a mention without a name, which is the caller's to fill in. Always true. */
bool sql_tell(struct sql_cursor *c, struct sql_mention *out, enum sql_mention_kind kind,
              const uint8_t *at, size_t len);
/* The next of c->fixed, which is not NULL. Always true. */
bool sql_tell_fixed(struct sql_cursor *c, struct sql_mention *out);

/* The cursor is behind the word. True: *out is a mention. */
bool sql_read_set(struct sql_cursor *c, struct sql_mention *out);
bool sql_read_reset(struct sql_cursor *c, struct sql_mention *out);
bool sql_read_set_config(struct sql_cursor *c, struct sql_mention *out);

#endif
