/* pins.h: the words for what a server holds. */
#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/core/pins.h"

#define HELD(pin) (1u << (pin))

Test(pins, have_words)
{
	static const struct {
		unsigned held;
		const char *want;
	} cases[] = {
		{ 0, "" },
#define X(kind, word) { HELD(kind), word },
		PIN_TABLE(X)
#undef X
			{ HELD(PIN_TEMP) | HELD(PIN_LISTEN), "temporary object, LISTEN" },
		{ HELD(PIN_SETTING) | HELD(PIN_STATEMENT),
		  "prepared statement, parameter that does not show" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pins p = { .held = cases[i].held };

		cr_expect_str_eq(pins_words(&p).s, cases[i].want);
	}
}

/* What is only suspected is not told. */
Test(pins, words_are_for_what_is_held)
{
	struct pins p = { .held = HELD(PIN_LOCK), .suspected = ~0u, .found = ~0u, .warned = ~0u };

	cr_expect_str_eq(pins_words(&p).s, "advisory lock");
}

Test(pins, all_words_fit)
{
	struct pins p = { .held = HELD(PINS) - 1 };
	struct pin_words words = pins_words(&p);
	const char *at = words.s;

#define X(kind, word)                                               \
	cr_expect_eq(strncmp(at, word, strlen(word)), 0, "%s", at); \
	at += strlen(word) + 2;
	PIN_TABLE(X)
#undef X
	cr_expect_eq(at, words.s + strlen(words.s) + 2, "and nothing else");
	cr_expect_lt(strlen(words.s), sizeof(words.s) - 1);
}
