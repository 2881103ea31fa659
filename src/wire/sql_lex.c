#include <string.h>

#include "sql_priv.h"

/* --- characters --- */

const uint8_t sql_class_of[256] = {
	['\t' ... '\r'] = SQL_IS_BLANK,
	[' '] = SQL_IS_BLANK,
	['\''] = SQL_IS_QUOTE,
	['"'] = SQL_IS_NAME_QUOTE,
	['-'] = SQL_IS_DASH,
	['/'] = SQL_IS_SLASH,
	['('] = SQL_IS_OPEN,
	[')'] = SQL_IS_CLOSE,
	[';'] = SQL_IS_SEMICOLON,
	['$'] = SQL_IS_DOLLAR,
	['0' ... '9'] = SQL_IS_DIGIT,
	['_'] = SQL_IS_LETTER,
	['a' ... 'z'] = SQL_IS_LETTER,
	['A' ... 'Z'] = SQL_IS_LETTER,
	[0x80 ... 0xff] = SQL_IS_LETTER,
};

bool sql_starts(struct bytes b, const char *word)
{
	size_t i = 0;

	while (i < b.len && word[i] != '\0' && sql_lower(b.at[i]) == (uint8_t)word[i])
		i++;
	return word[i] == '\0';
}

bool sql_same(struct bytes b, const char *word)
{
	size_t i = 0;

	while (i < b.len && word[i] != '\0' && sql_lower(b.at[i]) == (uint8_t)word[i])
		i++;
	return i == b.len && word[i] == '\0';
}

const uint8_t *sql_pairs_end(const struct sql_lexer *x, const uint8_t *at)
{
	while (at < x->end && sql_class_of[*at] >= SQL_IS_DOLLAR)
		at += sql_at_pair(x->leads, at, x->end) ? 2 : 1;
	return at;
}

static struct bytes span(const uint8_t *at, const uint8_t *end)
{
	return (struct bytes){ at, (size_t)(end - at) };
}

/* --- comments --- */

static const uint8_t *skip_line(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != '\n' && *at != '\r')
		at++;
	return at;
}

/* at is after the first opening; they nest. */
static const uint8_t *skip_comment(const uint8_t *at, const uint8_t *end)
{
	size_t depth = 1;

	while (depth > 0) {
		if (end - at < 2)
			return end;
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

static bool at_both(const uint8_t *at, const uint8_t *end, uint8_t first, uint8_t second)
{
	return end - at >= 2 && at[0] == first && at[1] == second;
}

static const uint8_t *skip_gap(const uint8_t *at, const uint8_t *end)
{
	for (;;) {
		if (at_both(at, end, '-', '-'))
			at = skip_line(at + 2, end);
		else if (at_both(at, end, '/', '*'))
			at = skip_comment(at + 2, end);
		else if (at < end && sql_class_of[*at] == SQL_IS_BLANK)
			at++;
		else
			return at;
	}
}

/* --- quotes --- */

const uint8_t *sql_find_quote(const uint8_t *at, const uint8_t *end, uint8_t quote)
{
	while ((at = memchr(at, quote, (size_t)(end - at))) != NULL) {
		if (end - at < 2 || at[1] != quote)
			return at;
		at += 2;
	}
	return end;
}

/* The same where a backslash takes the next byte with it. */
static const uint8_t *find_quote_escaped(const bool *leads, const uint8_t *at, const uint8_t *end)
{
	while (at < end) {
		if (sql_at_pair(leads, at, end))
			at += 2;
		else if (*at == '\\' || (*at == '\'' && end - at > 1 && at[1] == '\''))
			at += end - at > 1 ? 2 : 1;
		else if (*at == '\'')
			break;
		else
			at++;
	}
	return at;
}

/* A literal goes on after the next quote if only blanks and comments of one line are in between,
 * and a line ends there. It matters: escapes are escapes in the new piece too. NULL: no. */
static const uint8_t *next_piece(const uint8_t *at, const uint8_t *end)
{
	bool line = false;

	for (;; at++) {
		if (at_both(at, end, '-', '-'))
			at = skip_line(at, end);
		if (at == end || sql_class_of[*at] != SQL_IS_BLANK)
			break;
		line = line || *at == '\n' || *at == '\r';
	}
	return line && at < end && *at == '\'' ? at + 1 : NULL;
}

const uint8_t *sql_skip_literal(const struct sql_lexer *x, const uint8_t *at, bool escapes,
                                const uint8_t **first)
{
	const uint8_t *next = at + 1, *end = x->end;

	*first = NULL;
	do {
		at = escapes ? find_quote_escaped(x->leads, next, end)
		             : sql_find_quote(next, end, '\'');
		if (*first == NULL)
			*first = at;
		if (at == end)
			return end;
	} while ((next = next_piece(++at, end)) != NULL);
	return at;
}

/* at: a dollar that begins a tag of dollar quotes. The length of the tag with both dollars, or 0.
 * Two characters of the client's may become one of the server's, and then two tags are the same. */
static size_t tag_length(struct sql_lexer *x, const uint8_t *at)
{
	const uint8_t *p = at + 1, *end = x->end;

	if (p < end && sql_class_of[*p] == SQL_IS_LETTER) {
		p = sql_skip_class(p, end, SQL_IS_DIGIT);
		x->strange = x->strange || !bytes_ascii(span(at, p));
	}
	return p < end && *p == '$' ? (size_t)(p - at) + 1 : 0;
}

/* --- tokens --- */

static const uint8_t *take(struct sql_token *t, enum sql_token_kind kind, const uint8_t *at,
                           const uint8_t *end)
{
	t->kind = kind;
	t->whole = t->body = span(at, end);
	return end;
}

/* A literal whose prefix begins at at, and whose opening quote stands at quote. */
static const uint8_t *take_literal(const struct sql_lexer *x, struct sql_token *t,
                                   const uint8_t *at, const uint8_t *quote, bool escapes, bool odd)
{
	const uint8_t *first, *last = sql_skip_literal(x, quote, escapes, &first);

	take(t, SQL_STRING, at, last);
	t->body = span(quote + 1, first);
	if (odd || first == x->end || last != first + 1 ||
	    memchr(t->body.at, '\'', t->body.len) != NULL ||
	    (escapes && memchr(t->body.at, '\\', t->body.len) != NULL))
		t->kind = SQL_ODD_STRING;
	return last;
}

/* A name whose opening quote stands at quote. */
static const uint8_t *take_quoted(const struct sql_lexer *x, struct sql_token *t, const uint8_t *at,
                                  const uint8_t *quote)
{
	const uint8_t *close = sql_find_quote(quote + 1, x->end, '"');

	take(t, SQL_QUOTED, at, close < x->end ? close + 1 : x->end);
	t->body = span(quote + 1, close);
	return at + t->whole.len;
}

/* U&"..." is a name like any other if nothing in it can be an escape. */
static const uint8_t *take_unicode(struct sql_lexer *x, struct sql_token *t, const uint8_t *at)
{
	const uint8_t *behind = take_quoted(x, t, at, at + 2);

	if (memchr(t->body.at, '\\', t->body.len) != NULL ||
	    sql_starts(span(skip_gap(behind, x->end), x->end), "uescape")) {
		t->kind = SQL_UNICODE;
		x->strange = true;
	}
	return behind;
}

/* at: a word of one letter. A quote after some letters belongs to them. NULL: it is a word. */
static const uint8_t *take_prefixed(struct sql_lexer *x, struct sql_token *t, const uint8_t *at)
{
	const uint8_t *end = x->end, *quote = at + 1;
	uint8_t letter = sql_lower(*at);

	if (letter == 'u' && at_both(quote, end, '&', '\''))
		return take_literal(x, t, at, quote + 1, false, true);
	if (letter == 'u' && at_both(quote, end, '&', '"'))
		return take_unicode(x, t, at);
	if (quote == end || *quote != '\'')
		return NULL;
	if (letter == 'e')
		return take_literal(x, t, at, quote, true, false);
	if (letter == 'b' || letter == 'x')
		return take_literal(x, t, at, quote, false, true);
	return NULL; /* of N'...' only the quotes are special */
}

/* at: a letter. */
static inline const uint8_t *take_word(struct sql_lexer *x, struct sql_token *t, const uint8_t *at)
{
	const uint8_t *behind = sql_word_end(x, at), *literal = NULL;

	if (behind - at == 1)
		literal = take_prefixed(x, t, at);
	return literal != NULL ? literal : take(t, SQL_WORD, at, behind);
}

/* at: a dollar. */
static const uint8_t *take_dollar(struct sql_lexer *x, struct sql_token *t, const uint8_t *at)
{
	size_t tag = tag_length(x, at);
	const uint8_t *close;

	if (tag == 0)
		return take(t, SQL_SIGN, at, at + 1);
	close = memmem(at + tag, (size_t)(x->end - at) - tag, at, tag);
	take(t, close != NULL ? SQL_STRING : SQL_ODD_STRING, at,
	     close != NULL ? close + tag : x->end);
	t->body = span(at + tag, close != NULL ? close : x->end);
	return at + t->whole.len;
}

/* Take what begins at at. NULL: blanks or a comment, which end at *skipped. */
static inline const uint8_t *take_any(struct sql_lexer *x, struct sql_token *t, const uint8_t *at,
                                      const uint8_t **skipped)
{
	const uint8_t *end = x->end;
	bool paired = end - at >= 2;

	switch ((enum sql_class)sql_class_of[*at]) {
	case SQL_IS_LETTER:
		return take_word(x, t, at);
	case SQL_IS_BLANK:
		*skipped = at + 1;
		return NULL;
	case SQL_IS_QUOTE:
		return take_literal(x, t, at, at, x->backslashes, false);
	case SQL_IS_NAME_QUOTE:
		return take_quoted(x, t, at, at);
	case SQL_IS_DASH:
		if (!paired || at[1] != '-')
			break;
		*skipped = skip_line(at + 2, end);
		return NULL;
	case SQL_IS_SLASH:
		if (!paired || at[1] != '*')
			break;
		*skipped = skip_comment(at + 2, end);
		return NULL;
	case SQL_IS_OPEN:
		x->depth++;
		break;
	case SQL_IS_CLOSE:
		x->depth -= x->depth > 0;
		break;
	case SQL_IS_DOLLAR:
		return take_dollar(x, t, at);
	case SQL_IS_DIGIT:
		return take(t, SQL_SIGN, at, sql_skip_digits(at + 1, end));
	case SQL_IS_SEMICOLON:
	case SQL_IS_OTHER:
		break;
	}
	return take(t, SQL_SIGN, at, at + 1);
}

bool sql_token(struct sql_lexer *x, struct sql_token *out)
{
	const uint8_t *behind = NULL, *at = x->at;

	while (at < x->end && (behind = take_any(x, out, at, &at)) == NULL)
		;
	x->at = behind != NULL ? behind : at;
	x->taken++;
	x->touched |= x->at == x->end;
	return behind != NULL;
}
