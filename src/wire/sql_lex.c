#include <string.h>

#include "sql_priv.h"

/* --- characters --- */

/* In this order: what may begin a name, a tag of dollar quotes, what else may be in a tag, and what
 * else in a name stand last. */
enum sql_class {
	IS_OTHER,
	IS_BLANK,
	IS_QUOTE,
	IS_NAME_QUOTE,
	IS_DASH,
	IS_SLASH,
	IS_OPEN,
	IS_CLOSE,
	IS_SEMICOLON,
	IS_DOLLAR, /* from here on: may be in a word */
	IS_DIGIT,  /* from here on: may be in a tag */
	IS_LETTER, /* may begin both */
};

static const uint8_t class_of[256] = {
	['\t' ... '\r'] = IS_BLANK,
	[' '] = IS_BLANK,
	['\''] = IS_QUOTE,
	['"'] = IS_NAME_QUOTE,
	['-'] = IS_DASH,
	['/'] = IS_SLASH,
	['('] = IS_OPEN,
	[')'] = IS_CLOSE,
	[';'] = IS_SEMICOLON,
	['$'] = IS_DOLLAR,
	['0' ... '9'] = IS_DIGIT,
	['_'] = IS_LETTER,
	['a' ... 'z'] = IS_LETTER,
	['A' ... 'Z'] = IS_LETTER,
	[0x80 ... 0xff] = IS_LETTER,
};

bool sql_same(struct bytes b, const char *word)
{
	size_t i = 0;

	while (i < b.len && word[i] != '\0' && sql_lower(b.at[i]) == (uint8_t)word[i])
		i++;
	return i == b.len && word[i] == '\0';
}

static const uint8_t *skip_class(const uint8_t *at, const uint8_t *end, enum sql_class least)
{
	while (at < end && class_of[*at] >= least)
		at++;
	return at;
}

static const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end)
{
	while (at < end && class_of[*at] == IS_DIGIT)
		at++;
	return at;
}

/* --- comments --- */

static const uint8_t *skip_line(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != '\n' && *at != '\r')
		at++;
	return at;
}

/* at is behind the first opening; they nest. */
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

/* --- quotes --- */

/* at is behind the opening quote. Where the closing one stands, or the end. */
static const uint8_t *find_quote(const uint8_t *at, const uint8_t *end, uint8_t quote)
{
	while ((at = memchr(at, quote, (size_t)(end - at))) != NULL) {
		if (end - at < 2 || at[1] != quote)
			return at;
		at += 2;
	}
	return end;
}

/* The same where a backslash takes the next byte with it. */
static const uint8_t *find_quote_escaped(const uint8_t *at, const uint8_t *end)
{
	while (at < end) {
		if (*at == '\\' || (*at == '\'' && end - at > 1 && at[1] == '\''))
			at += end - at > 1 ? 2 : 1;
		else if (*at == '\'')
			break;
		else
			at++;
	}
	return at;
}

/* A literal goes on behind the next quote if only blanks and comments of one line are in between, and
 * a line ends there. It matters: escapes are escapes in the new piece too. NULL: it does not. */
static const uint8_t *next_piece(const uint8_t *at, const uint8_t *end)
{
	bool line = false;

	for (;; at++) {
		if (end - at >= 2 && at[0] == '-' && at[1] == '-')
			at = skip_line(at, end);
		if (at == end || class_of[*at] != IS_BLANK)
			break;
		line = line || *at == '\n' || *at == '\r';
	}
	return line && at < end && *at == '\'' ? at + 1 : NULL;
}

/* at: the opening quote. Where the literal ends; *first is the end of its first piece. */
static const uint8_t *skip_literal(const uint8_t *at, const uint8_t *end, bool escapes,
                                   const uint8_t **first)
{
	const uint8_t *next = at + 1;

	*first = NULL;
	do {
		at = escapes ? find_quote_escaped(next, end) : find_quote(next, end, '\'');
		if (*first == NULL)
			*first = at;
		if (at == end)
			return end;
	} while ((next = next_piece(++at, end)) != NULL);
	return at;
}

/* at: a dollar that begins a tag of dollar quotes. The length of the tag with both dollars, or 0. */
static size_t tag_length(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *p = at + 1;

	if (p < end && class_of[*p] == IS_LETTER)
		p = skip_class(p, end, IS_DIGIT);
	return p < end && *p == '$' ? (size_t)(p - at) + 1 : 0;
}

/* --- tokens --- */

static struct bytes span(const uint8_t *at, const uint8_t *end)
{
	return (struct bytes){ at, (size_t)(end - at) };
}

static const uint8_t *take(struct sql_token *t, enum sql_token_kind kind, const uint8_t *at,
                           const uint8_t *end)
{
	t->kind = kind;
	t->whole = t->body = span(at, end);
	return end;
}

/* A literal whose prefix begins at at, and whose opening quote stands at quote. */
static const uint8_t *take_literal(struct sql_token *t, const uint8_t *at, const uint8_t *quote,
                                   const uint8_t *end, bool escapes, bool strange)
{
	const uint8_t *first, *last = skip_literal(quote, end, escapes, &first);

	take(t, SQL_STRING, at, last);
	t->body = span(quote + 1, first);
	if (strange || first == end || last != first + 1 ||
	    memchr(t->body.at, '\'', t->body.len) != NULL ||
	    (escapes && memchr(t->body.at, '\\', t->body.len) != NULL))
		t->kind = SQL_ODD_STRING;
	return last;
}

/* A name whose opening quote stands at quote. */
static const uint8_t *take_quoted(struct sql_token *t, enum sql_token_kind kind, const uint8_t *at,
                                  const uint8_t *quote, const uint8_t *end)
{
	const uint8_t *close = find_quote(quote + 1, end, '"');

	take(t, kind, at, close < end ? close + 1 : end);
	t->body = span(quote + 1, close);
	return at + t->whole.len;
}

/* at: a word of one letter. A quote behind some letters belongs to them. NULL: it is a word. */
static const uint8_t *take_prefixed(const struct sql_lexer *x, struct sql_token *t,
                                    const uint8_t *at)
{
	const uint8_t *end = x->end, *quote = at + 1;
	uint8_t letter = sql_lower(*at);

	if (letter == 'u' && end - quote >= 2 && *quote == '&' && quote[1] == '\'')
		return take_literal(t, at, quote + 1, end, false, true);
	if (letter == 'u' && end - quote >= 2 && *quote == '&' && quote[1] == '"')
		return take_quoted(t, SQL_UNICODE, at, quote + 1, end);
	if (quote == end || *quote != '\'')
		return NULL;
	if (letter == 'e')
		return take_literal(t, at, quote, end, true, false);
	if (letter == 'b' || letter == 'x')
		return take_literal(t, at, quote, end, false, true);
	return NULL; /* of N'...' only the quotes are special */
}

/* at: a letter. */
static inline const uint8_t *take_word(const struct sql_lexer *x, struct sql_token *t,
                                       const uint8_t *at)
{
	const uint8_t *behind = skip_class(at + 1, x->end, IS_DOLLAR), *literal = NULL;

	if (behind - at == 1)
		literal = take_prefixed(x, t, at);
	return literal != NULL ? literal : take(t, SQL_WORD, at, behind);
}

/* at: a dollar. */
static const uint8_t *take_dollar(const struct sql_lexer *x, struct sql_token *t, const uint8_t *at)
{
	size_t tag = tag_length(at, x->end);
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

	switch ((enum sql_class)class_of[*at]) {
	case IS_LETTER:
		return take_word(x, t, at);
	case IS_BLANK:
		*skipped = at + 1;
		return NULL;
	case IS_QUOTE:
		return take_literal(t, at, at, end, x->backslashes, false);
	case IS_NAME_QUOTE:
		return take_quoted(t, SQL_QUOTED, at, at, end);
	case IS_DASH:
		if (!paired || at[1] != '-')
			break;
		*skipped = skip_line(at + 2, end);
		return NULL;
	case IS_SLASH:
		if (!paired || at[1] != '*')
			break;
		*skipped = skip_comment(at + 2, end);
		return NULL;
	case IS_OPEN:
		x->depth++;
		break;
	case IS_CLOSE:
		x->depth -= x->depth > 0;
		break;
	case IS_DOLLAR:
		return take_dollar(x, t, at);
	case IS_DIGIT:
		return take(t, SQL_SIGN, at, skip_digits(at + 1, end));
	case IS_SEMICOLON:
	case IS_OTHER:
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
	return behind != NULL;
}

/* --- what texts consist of, passed over quickly --- */

/* at: a letter. Behind the word, or NULL: it may be the prefix of a literal. */
static inline const uint8_t *skim_word(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *behind = skip_class(at + 1, end, IS_DOLLAR);

	if (behind - at == 1 && behind < end && (*behind == '\'' || *behind == '&'))
		return NULL;
	return behind;
}

static inline bool begins_with(const uint8_t *at, const uint8_t *end, uint32_t letters)
{
	return at < end && (letters & SQL_LETTER(*at)) != 0;
}

/* at: an opening quote of a name. Behind the name, or NULL: it has no end. */
static const uint8_t *skim_quoted(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *close = find_quote(at + 1, end, '"');

	return close < end ? close + 1 : NULL;
}

/* Over what is not sought. NULL: at is something that must be looked at more closely. */
static inline const uint8_t *skim_any(struct sql_lexer *x, uint32_t letters, const uint8_t *at)
{
	const uint8_t *end = x->end, *first;

	switch ((enum sql_class)class_of[*at]) {
	case IS_LETTER:
		return begins_with(at, end, letters) ? NULL : skim_word(at, end);
	case IS_QUOTE:
		return skip_literal(at, end, x->backslashes, &first);
	case IS_NAME_QUOTE:
		return begins_with(at + 1, end, letters) ? NULL : skim_quoted(at, end);
	case IS_OPEN:
		x->depth++;
		return at + 1;
	case IS_CLOSE:
		x->depth -= x->depth > 0;
		return at + 1;
	case IS_BLANK:
	case IS_DIGIT:
	case IS_OTHER:
		return at + 1;
	default:
		return NULL;
	}
}

static bool is_sought(const struct sql_lexer *x, uint32_t letters, const struct sql_token *t)
{
	if (t->kind == SQL_WORD || t->kind == SQL_QUOTED)
		return t->body.len > 0 && (letters & SQL_LETTER(t->body.at[0])) != 0;
	return t->kind == SQL_SIGN && t->whole.at[0] == ';' && x->depth == 0;
}

bool sql_seek(struct sql_lexer *x, uint32_t letters, struct sql_token *out)
{
	do {
		const uint8_t *at = x->at, *next;

		while (at < x->end && (next = skim_any(x, letters, at)) != NULL)
			at = next;
		x->at = at;
		if (!sql_token(x, out))
			return false;
	} while (!is_sought(x, letters, out));
	return true;
}

/* --- tokens that may come next --- */

bool sql_is_word(const struct sql_token *t, const char *word)
{
	return t->kind == SQL_WORD && sql_same(t->body, word);
}

bool sql_is_sign(const struct sql_token *t, char sign)
{
	return t->kind == SQL_SIGN && t->whole.at[0] == (uint8_t)sign;
}

static bool is_name(const struct sql_token *t)
{
	return t->kind == SQL_WORD || t->kind == SQL_QUOTED || t->kind == SQL_UNICODE;
}

bool sql_accept_word(struct sql_lexer *x, const char *word)
{
	struct sql_lexer behind = *x;
	struct sql_token t;

	if (!sql_token(&behind, &t) || !sql_is_word(&t, word))
		return false;
	*x = behind;
	return true;
}

bool sql_accept_sign(struct sql_lexer *x, char sign)
{
	struct sql_lexer behind = *x;
	struct sql_token t;

	if (!sql_token(&behind, &t) || !sql_is_sign(&t, sign))
		return false;
	*x = behind;
	return true;
}

bool sql_accept_name(struct sql_lexer *x, struct sql_token *t)
{
	struct sql_lexer behind = *x;

	if (!sql_token(&behind, t) || !is_name(t))
		return false;
	*x = behind;
	return true;
}
