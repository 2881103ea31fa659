#include "pgseal/admin/grammar.h"

#include <string.h>
#include <strings.h>

/* --- characters --- */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool begins_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (unsigned char)c >= 0x80;
}

/* at is behind the beginning. A dash is part of "3-1042" and of "my-db", two are a comment. */
static bool continues_word(const char *at)
{
	if (*at == '-')
		return begins_word(at[1]);
	return begins_word(*at) || *at == '.' || *at == '$';
}

/* --- blanks and comments --- */

static const char *skip_line_comment(const char *at)
{
	return at + strcspn(at, "\n");
}

/* at is behind the opening one. NULL: it does not end. */
static const char *skip_block_comment(const char *at)
{
	size_t depth = 1;

	while (depth > 0) {
		if (*at == '\0')
			return NULL;
		if (at[0] == '*' && at[1] == '/') {
			depth--;
			at += 2;
		} else if (at[0] == '/' && at[1] == '*') {
			depth++;
			at += 2;
		} else {
			at++;
		}
	}
	return at;
}

/* NULL: a comment does not end. */
static const char *skip_blanks(const char *at)
{
	while (at != NULL) {
		if (is_blank(*at))
			at++;
		else if (at[0] == '-' && at[1] == '-')
			at = skip_line_comment(at);
		else if (at[0] == '/' && at[1] == '*')
			at = skip_block_comment(at + 2);
		else
			break;
	}
	return at;
}

/* --- tokens --- */

/* The last byte is kept for a NUL: what is there is always text. */
static void put_char(struct statement *st, char c)
{
	if (st->used < sizeof(st->text) - 1)
		st->text[st->used++] = c;
	else
		st->too_long = true;
}

static void close_token(struct statement *st)
{
	st->text[st->used] = '\0';
	if (st->used < sizeof(st->text) - 1)
		st->used++;
}

static void open_token(struct statement *st, enum token_kind kind)
{
	if (st->count == STATEMENT_TOKENS) {
		st->too_long = true;
		return;
	}
	st->token[st->count++] = (struct token){ .kind = kind, .text = st->text + st->used };
}

/* at is behind the opening quote. NULL: it does not end. */
static const char *take_quoted(struct statement *st, const char *at, char quote)
{
	for (; *at != '\0'; at++) {
		if (*at == quote) {
			if (at[1] != quote)
				return at + 1;
			at++;
		}
		put_char(st, *at);
	}
	return NULL;
}

static const char *take_word(struct statement *st, const char *at)
{
	do
		put_char(st, *at++);
	while (continues_word(at));
	return at;
}

/* NULL: a quote does not end. */
static const char *take_token(struct statement *st, const char *at)
{
	if (*at == '"' || *at == '\'') {
		open_token(st, *at == '"' ? TOKEN_NAME : TOKEN_STRING);
		at = take_quoted(st, at + 1, *at);
	} else if (begins_word(*at)) {
		open_token(st, TOKEN_WORD);
		at = take_word(st, at);
	} else {
		open_token(st, TOKEN_SIGN);
		put_char(st, *at++);
	}
	close_token(st);
	return at;
}

/* Up to the semicolon or the end. NULL: something does not end. */
static const char *take_statement(struct statement *st, const char *at)
{
	while ((at = skip_blanks(at)) != NULL && *at != '\0' && *at != ';') {
		if ((at = take_token(st, at)) == NULL)
			break;
	}
	return at;
}

enum statement_next statement_next(const char **at, struct statement *out, struct errbuf *why)
{
	const char *p = *at;

	do {
		if (*p == ';')
			p++;
		out->count = 0;
		out->used = 0;
		out->too_long = false;
		if ((p = take_statement(out, p)) == NULL) {
			*at += strlen(*at);
			(void)err_set(why, ERR_SYNTAX, "unterminated quote or comment");
			return STATEMENT_BAD;
		}
	} while (out->count == 0 && *p == ';');
	*at = *p == ';' ? p + 1 : p;
	return out->count == 0 ? STATEMENT_END : STATEMENT_READY;
}

size_t statement_begins(const struct statement *st, size_t first, const char *words)
{
	size_t n = 0;

	while (*words != '\0') {
		size_t len = strcspn(words, " ");
		const struct token *t = &st->token[first + n];

		if (first + n >= st->count || t->kind != TOKEN_WORD || strlen(t->text) != len ||
		    strncasecmp(t->text, words, len) != 0)
			return 0;
		n++;
		words += len;
		words += *words == ' ';
	}
	return n;
}
