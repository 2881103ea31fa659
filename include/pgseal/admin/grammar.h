/* Statements of the console taken apart: words, "names" and 'strings', split at semicolons. No I/O.
 *
 * PostgreSQL's lexical rules as far as a console needs them: -- and nested comments, doubled quotes.
 * Words keep their case; who compares keywords ignores it. */
#ifndef PGSEAL_ADMIN_GRAMMAR_H
#define PGSEAL_ADMIN_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>

#include "pgseal/base/err.h"

#define STATEMENT_TOKENS 16
#define STATEMENT_TEXT   512 /* bytes of all tokens with their NULs */

enum token_kind {
	TOKEN_WORD,   /* identifier, keyword, number; '-' and '.' inside, for ids and names */
	TOKEN_NAME,   /* was in double quotes: never a keyword */
	TOKEN_STRING, /* was in single quotes */
	TOKEN_SIGN,   /* any other single character */
};

struct token {
	enum token_kind kind;
	const char *text; /* in the statement's own memory */
};

/* Points into itself: not to be copied. */
struct statement {
	struct token token[STATEMENT_TOKENS];
	size_t count;
	size_t used;   /* of text */
	bool too_long; /* there was more than fits: no command of ours */
	char text[STATEMENT_TEXT];
};

enum statement_next {
	STATEMENT_END,   /* nothing but blanks and comments to the end */
	STATEMENT_READY, /* *out is filled; *at stands behind it and its semicolon */
	STATEMENT_BAD,   /* *why tells: a quote or comment that does not end; *at is at the end */
};

/* Take the next statement that is not empty from the NUL-terminated text at *at. */
enum statement_next statement_next(const char **at, struct statement *out, struct errbuf *why);

/* Do the statement's tokens from `first` on begin with these words (separated by single blanks, in
 * any case, not quoted)? Gives how many there are; 0: no. */
size_t statement_begins(const struct statement *st, size_t first, const char *words);

#endif
