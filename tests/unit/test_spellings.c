/* spellings.h: what is remembered of servers' answers, for how long, and how much. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "pgseal/base/hash.h"
#include "pgseal/core/spellings.h"

static struct spellings *all;

static void begin(void)
{
	cr_assert_not_null(all = spellings_create());
}

static void end(void)
{
	spellings_free(all);
}

TestSuite(spellings, .init = begin, .fini = end);

static void add(const char *name, const char *value, enum spelling how, const char *text, usec_t at)
{
	spellings_add(all, spellings_age(all), name, value, how,
	              (struct bytes){ (const uint8_t *)text, strlen(text) + 1 }, at);
}

static void is(const char *name, const char *value, usec_t since, enum spelling how,
               const char *text)
{
	struct buf out = { 0 };

	cr_assert_eq(spellings_find(all, name, value, since, NULL), how);
	cr_assert_eq(spellings_find(all, name, value, since, &out), how);
	if (text != NULL)
		cr_assert_str_eq((const char *)out.at, text);
	buf_free(&out);
}

Test(spellings, are_found_as_they_were_asked_for)
{
	is("TimeZone", "utc", 0, SPELLING_UNKNOWN, NULL);
	add("TimeZone", "utc", SPELLING_SHOWN, "UTC", 1);
	is("TimeZone", "utc", 0, SPELLING_SHOWN, "UTC");
	is("TimeZone", "Utc", 0, SPELLING_UNKNOWN, NULL);
	is("TimeZone", "", 0, SPELLING_UNKNOWN, NULL);
	is("TimeZoneu", "tc", 0, SPELLING_UNKNOWN, NULL);
	is("DateStyle", "utc", 0, SPELLING_UNKNOWN, NULL);
}

Test(spellings, are_replaced_by_newer_ones)
{
	add("a", "b", SPELLING_REFUSED, "22023", 1);
	add("a", "b", SPELLING_SHOWN, "B", 2);
	is("a", "b", 0, SPELLING_SHOWN, "B");
}

Test(spellings, that_were_shown_last_and_others_pass)
{
	add("a", "shown", SPELLING_SHOWN, "Shown", 10);
	add("a", "refused", SPELLING_REFUSED, "22023", 10);
	add("a", "unseen", SPELLING_UNSEEN, "53200", 10);
	is("a", "shown", 1000, SPELLING_SHOWN, "Shown");
	is("a", "refused", 10, SPELLING_REFUSED, "22023");
	is("a", "refused", 11, SPELLING_UNKNOWN, NULL);
	is("a", "unseen", 10, SPELLING_UNSEEN, "53200");
	is("a", "unseen", 11, SPELLING_UNKNOWN, NULL);
}

Test(spellings, are_forgotten)
{
	add("a", "b", SPELLING_SHOWN, "B", 1);
	spellings_forget(all);
	is("a", "b", 0, SPELLING_UNKNOWN, NULL);
}

Test(spellings, of_before_come_too_late)
{
	unsigned age = spellings_age(all);

	spellings_forget(all);
	spellings_add(all, age, "a", "b", SPELLING_SHOWN, (struct bytes){ (const uint8_t *)"B", 2 },
	              1);
	is("a", "b", 0, SPELLING_UNKNOWN, NULL);
}

Test(spellings, are_limited_in_length_and_number)
{
	char value[SPELLING_MAX + 2];

	memset(value, 'x', sizeof(value));
	value[SPELLING_MAX - 1] = '\0';
	add("n", value, SPELLING_SHOWN, "long", 1);
	is("n", value, 0, SPELLING_SHOWN, "long");
	value[SPELLING_MAX - 1] = 'x';
	value[SPELLING_MAX] = '\0';
	add("n", value, SPELLING_SHOWN, "longer", 1);
	is("n", value, 0, SPELLING_UNSEEN, NULL);
	for (unsigned i = 1; i < SPELLINGS_MAX; i++) {
		snprintf(value, sizeof(value), "%u", i);
		add("n", value, SPELLING_SHOWN, value, 1);
	}
	is("n", "1", 0, SPELLING_SHOWN, "1");
	add("n", "one more", SPELLING_SHOWN, "one more", 1);
	is("n", "1", 0, SPELLING_SHOWN, "1");
	add("n", "yet one", SPELLING_SHOWN, "yet one", 1);
	is("n", "1", 0, SPELLING_UNKNOWN, NULL);
	is("n", "2", 0, SPELLING_SHOWN, "2");
	is("n", "one more", 0, SPELLING_SHOWN, "one more");
}
