/* "key = value" pairs with blanks between, as in the values of [databases] and [users]: the notation of
 * libpq's connection strings. A value with blanks stands in single quotes; a backslash takes what follows
 * as it is. */
#ifndef PGSEAL_CORE_PAIRS_H
#define PGSEAL_CORE_PAIRS_H

enum pairs_next {
	PAIRS_PAIR,
	PAIRS_URI, /* a connection URI where a key is expected; it is in value */
	PAIRS_END,
	PAIRS_BAD, /* *why says what is wrong, key holds what there is of it */
};

/* The next one at *p, which moves behind it. key and value: room for the whole text each. */
enum pairs_next pairs_take(const char **p, char *key, char *value, const char **why);

#endif
