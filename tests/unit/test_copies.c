/* copies.h: what a server has prepared, the most recently used first. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "pgseal/core/copies.h"

/* Any name is as good as any other, if it has the length. */
static struct bytes name_of(unsigned n)
{
	static char names[8][PSTATEMENT_NAME + 1];
	static unsigned turn;
	char *name = names[turn++ % 8];

	snprintf(name, sizeof(names[0]), PSTATEMENT_PREFIX "%032x", n);
	return bytes_of(name);
}

static bool is(const struct copy *k, unsigned n)
{
	return k != NULL && memcmp(k->name, name_of(n).at, PSTATEMENT_NAME) == 0;
}

static void put(struct copies *c, unsigned from, unsigned to)
{
	for (; from <= to; from++)
		cr_assert_not_null(copies_put(c, name_of(from)));
}

Test(copies, begin_empty)
{
	struct copies c;

	copies_init(&c);
	cr_expect_eq(copies_count(&c), 0);
	cr_expect_null(copies_oldest(&c));
	cr_expect_null(copies_use(&c, name_of(1)));
	copies_drop(&c, name_of(1));
	copies_set_leaving(&c, name_of(1), true);
	cr_expect_eq(copies_count(&c), 0);
	copies_clear(&c);
}

Test(copies, go_by_the_order_of_use)
{
	struct copies c;

	copies_init(&c);
	put(&c, 1, 3);
	cr_expect_eq(copies_count(&c), 3);
	cr_expect(is(copies_oldest(&c), 1));
	cr_expect(is(copies_use(&c, name_of(1)), 1));
	cr_expect(is(copies_oldest(&c), 2), "1 was used");
	cr_expect(is(copies_use(&c, name_of(1)), 1));
	cr_expect(is(copies_oldest(&c), 2), "once more changes nothing");
	cr_expect(is(copies_use(&c, name_of(2)), 2));
	cr_expect(is(copies_oldest(&c), 3), "2 was used");
	cr_expect_null(copies_use(&c, name_of(4)));
	cr_expect(is(copies_oldest(&c), 3), "4 is not there");
	copies_clear(&c);
}

Test(copies, leave_from_any_place)
{
	static const unsigned orders[][3] = { { 1, 2, 3 }, { 2, 1, 3 }, { 3, 1, 2 } };

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct copies c;

		copies_init(&c);
		put(&c, 1, 3);
		copies_drop(&c, name_of(orders[i][0]));
		cr_expect_eq(copies_count(&c), 2);
		cr_expect_null(copies_use(&c, name_of(orders[i][0])));
		cr_expect(is(copies_oldest(&c), orders[i][1]), "%zu", i);
		copies_drop(&c, name_of(orders[i][1]));
		cr_expect(is(copies_oldest(&c), orders[i][2]), "%zu", i);
		copies_drop(&c, name_of(orders[i][2]));
		cr_expect_eq(copies_count(&c), 0);
		cr_expect_null(copies_oldest(&c));
		put(&c, 4, 4); /* empty is as new */
		cr_expect(is(copies_oldest(&c), 4));
		copies_clear(&c);
	}
}

Test(copies, on_their_way_out_do_not_count)
{
	struct copies c;

	copies_init(&c);
	put(&c, 1, 3);
	copies_set_leaving(&c, name_of(1), true);
	cr_expect_eq(copies_count(&c), 2);
	cr_expect(is(copies_oldest(&c), 2));
	copies_set_leaving(&c, name_of(1), true);
	cr_expect_eq(copies_count(&c), 2, "told twice");
	cr_expect(is(copies_use(&c, name_of(1)), 1), "it is still there");
	copies_set_leaving(&c, name_of(3), true);
	copies_set_leaving(&c, name_of(2), true);
	cr_expect_eq(copies_count(&c), 0);
	cr_expect_null(copies_oldest(&c));
	copies_drop(&c, name_of(3));
	cr_expect_eq(copies_count(&c), 0);
	copies_set_leaving(&c, name_of(2), false);
	cr_expect_eq(copies_count(&c), 1, "in vain");
	cr_expect(is(copies_oldest(&c), 2));
	copies_set_leaving(&c, name_of(2), false);
	cr_expect_eq(copies_count(&c), 1, "told twice");
	copies_clear(&c);
	cr_expect_eq(copies_count(&c), 0, "one was leaving");
	cr_expect_null(copies_use(&c, name_of(1)));
}

Test(copies, prepared_anew)
{
	struct copies c;
	struct copy *first;

	copies_init(&c);
	first = copies_put(&c, name_of(1));
	cr_assert_not_null(first);
	cr_expect_eq(first->shape, 0, "not known");
	first->shape = 4711;
	put(&c, 2, 2);
	cr_expect_eq(copies_put(&c, name_of(1)), first);
	cr_expect_eq(first->shape, 0, "not known any more");
	cr_expect_eq(copies_count(&c), 2);
	cr_expect(is(copies_oldest(&c), 2), "that was use");
	copies_clear(&c);
}

/* Names of clients are no names of copies. */
Test(copies, have_whole_names_only)
{
	struct copies c;
	struct bytes name = name_of(1);

	copies_init(&c);
	put(&c, 1, 1);
	for (name.len = 0; name.len < PSTATEMENT_NAME; name.len++)
		cr_expect_null(copies_use(&c, name), "%zu bytes", name.len);
	name.len = PSTATEMENT_NAME + 1; /* the NUL too */
	cr_expect_null(copies_use(&c, name));
	copies_drop(&c, name);
	cr_expect_eq(copies_count(&c), 1);
	cr_expect(is(copies_use(&c, name_of(1)), 1));
	copies_clear(&c);
}

/* As a server has them: over the limit the oldest goes. */
Test(copies, many_come_and_go)
{
	struct copies c;

	copies_init(&c);
	for (unsigned n = 1; n <= 5000; n++) {
		put(&c, n, n);
		if (copies_count(&c) > 100) {
			struct bytes oldest = { (const uint8_t *)copies_oldest(&c)->name,
				                PSTATEMENT_NAME };

			cr_assert(is(copies_oldest(&c), n - 100));
			copies_set_leaving(&c, oldest, true);
			copies_drop(&c, name_of(n - 100));
		}
	}
	cr_expect_eq(copies_count(&c), 100);
	copies_clear(&c);
	cr_expect_eq(copies_count(&c), 0);
}
