#include "pgseal/core/pairs.h"

#include <stdbool.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

/* One value at *p into out: 'quoted' or bare, backslash escapes. False: the closing quote is missing. */
static bool take_value(const char **p, char *out)
{
	const char *s = *p;
	bool quoted = *s == '\'';

	if (quoted)
		s++;
	while (*s != '\0' && (quoted ? *s != '\'' : !is_blank(*s))) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		*out++ = *s++;
	}
	*out = '\0';
	if (quoted && *s++ != '\'')
		return false;
	*p = s;
	return true;
}

static bool is_uri(const char *p)
{
	return strncmp(p, "postgresql://", 13) == 0 || strncmp(p, "postgres://", 11) == 0;
}

enum pairs_next pairs_take(const char **p, char *key, char *value, const char **why)
{
	const char *s = skip_blanks(*p);
	size_t n = strcspn(s, "= \t\n\r");

	*p = s;
	if (*s == '\0')
		return PAIRS_END;
	if (is_uri(s)) {
		(void)take_value(p, value); /* not quoted: it cannot fail */
		return PAIRS_URI;
	}
	memcpy(key, s, n);
	key[n] = '\0';
	s = skip_blanks(s + n);
	if (*s != '=' || n == 0) {
		*why = "key=value is needed; quote values with blanks as 'a b'";
		return PAIRS_BAD;
	}
	*p = skip_blanks(s + 1);
	if (!take_value(p, value)) {
		*why = "the closing ' is missing";
		return PAIRS_BAD;
	}
	return PAIRS_PAIR;
}
