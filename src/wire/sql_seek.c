#include <string.h>

#include "sql_priv.h"

/* --- what texts consist of, passed over quickly --- */

#define LENGTH(n) (1u << ((n)&31u)) /* some longer ones share it */
#define LENGTHS(from, to) (LENGTH((to) + 1) - LENGTH(from))

/* By their first letter: how long words that matter are, and their second letter, which they share.
 * Of pg_temp and what has an i in it there are some variants. */
static const struct {
	uint32_t lengths;
	uint8_t second;
} sought[32] = {
	['a' & 31] = { LENGTH(2), 's' },                        /* as */
	['c' & 31] = { LENGTH(7), 'u' },                        /* currval */
	['d' & 31] = { LENGTH(7), 'e' },                        /* default */
	['i' & 31] = { LENGTH(4) | LENGTH(6), 'n' },            /* into, insert */
	['l' & 31] = { LENGTH(7), 'a' },                        /* lastval */
	['m' & 31] = { LENGTH(5), 'e' },                        /* merge */
	['n' & 31] = { LENGTH(7), 'e' },                        /* nextval */
	['p' & 31] = { LENGTHS(7, 14) | LENGTHS(16, 28), 'g' }, /* pg_temp_1, pg_settings... */
	['s' & 31] = { LENGTHS(6, 7) | LENGTHS(9, 11), 'e' },   /* setval, setseed, set_... */
};

/* at: a letter that begins a name of so many bytes. */
static inline bool is_candidate(uint32_t letters, const uint8_t *at, size_t len)
{
	return (letters & SQL_LETTER(*at)) != 0 && (sought[*at & 31u].lengths & LENGTH(len)) != 0 &&
	       sql_lower(at[1]) == sought[*at & 31u].second;
}

/* at: a letter. After the word and a blank, or NULL: it is sought, or may be the prefix of a
 * literal. */
static inline const uint8_t *skim_word(const struct sql_lexer *x, uint32_t letters, bool pairs,
                                       const uint8_t *at)
{
	const uint8_t *behind = pairs ? sql_pairs_end(x, at)
	                              : sql_skip_class(at + 1, x->end, SQL_IS_DOLLAR);

	if (is_candidate(letters, at, (size_t)(behind - at)))
		return NULL;
	if (behind == x->end)
		return behind;
	if (behind - at == 1 && (*behind == '\'' || *behind == '&'))
		return NULL;
	return behind + (*behind == ' ');
}

/* at: an opening quote of a name. After the name, or NULL: it is sought, or has no end. */
static const uint8_t *skim_quoted(const struct sql_lexer *x, uint32_t letters, const uint8_t *at)
{
	const uint8_t *close = sql_find_quote(at + 1, x->end, '"');

	if (close == x->end || is_candidate(letters, at + 1, (size_t)(close - at) - 1))
		return NULL;
	return close + 1;
}

/* Over what is not sought. NULL: at is something that must be looked at more closely. */
static inline const uint8_t *skim_any(struct sql_lexer *x, uint32_t letters, bool pairs,
                                      const uint8_t *at)
{
	const uint8_t *first;

	switch ((enum sql_class)sql_class_of[*at]) {
	case SQL_IS_LETTER:
		return skim_word(x, letters, pairs, at);
	case SQL_IS_QUOTE:
		return sql_skip_literal(x, at, x->backslashes, &first);
	case SQL_IS_NAME_QUOTE:
		return skim_quoted(x, letters, at);
	case SQL_IS_OPEN:
		x->depth++;
		return at + 1;
	case SQL_IS_CLOSE:
		x->depth -= x->depth > 0;
		return at + 1;
	case SQL_IS_BLANK:
	case SQL_IS_DIGIT:
	case SQL_IS_OTHER:
		return at + 1;
	default:
		return NULL;
	}
}

static bool is_sought(const struct sql_lexer *x, uint32_t letters, const struct sql_token *t)
{
	if (t->kind == SQL_WORD || t->kind == SQL_QUOTED)
		return t->body.len > 0 && is_candidate(letters, t->body.at, t->body.len);
	return t->kind == SQL_SIGN && t->whole.at[0] == ';' && x->depth == 0;
}

bool sql_seek(struct sql_lexer *x, uint32_t letters, struct sql_token *out)
{
	const bool pairs = x->leads != NULL;

	do {
		const uint8_t *at = x->at, *next;

		while (at < x->end && (next = skim_any(x, letters, pairs, at)) != NULL)
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

struct sql_mark sql_mark(const struct sql_lexer *x)
{
	return (struct sql_mark){ x->at, x->depth };
}

void sql_back(struct sql_lexer *x, struct sql_mark to)
{
	x->at = to.at;
	x->depth = to.depth;
}

/* Forget the token that was taken since unless it is the right one. */
static bool back_unless(bool right, struct sql_lexer *x, struct sql_mark to)
{
	if (!right)
		sql_back(x, to);
	return right;
}

bool sql_accept_word(struct sql_lexer *x, const char *word)
{
	struct sql_mark before = sql_mark(x);
	struct sql_token t;

	return back_unless(sql_token(x, &t) && sql_is_word(&t, word), x, before);
}

bool sql_accept_sign(struct sql_lexer *x, char sign)
{
	struct sql_mark before = sql_mark(x);
	struct sql_token t;

	return back_unless(sql_token(x, &t) && sql_is_sign(&t, sign), x, before);
}

bool sql_accept_name(struct sql_lexer *x, struct sql_token *t)
{
	struct sql_mark before = sql_mark(x);

	return back_unless(sql_token(x, t) && is_name(t), x, before);
}

bool sql_at_end(struct sql_lexer *x)
{
	struct sql_mark before = sql_mark(x);
	struct sql_token t;
	bool is = !sql_token(x, &t) || sql_is_sign(&t, ';');

	sql_back(x, before);
	return is;
}
