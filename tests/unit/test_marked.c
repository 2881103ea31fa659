/* marked.h: which databases the console has marked. */
#include <criterion/criterion.h>

#include "pgseal/core/marked.h"

Test(marked, names_are_kept_once_and_compared_exactly)
{
	struct marked_list list = { 0 };

	cr_assert_not(marked_has(&list, "app"));
	cr_assert_eq(marked_add(&list, "app"), ERR_OK);
	cr_assert_eq(marked_add(&list, "app"), ERR_OK);
	cr_assert_eq(marked_add(&list, "other"), ERR_OK);
	cr_assert(marked_has(&list, "app") && marked_has(&list, "other"));
	cr_assert_not(marked_has(&list, "App"));
	cr_assert_not(marked_has(&list, "ap"));
	cr_assert_eq(marked_remove(&list, "app"), 1);
	cr_assert_eq(marked_remove(&list, "app"), 0);
	cr_assert(marked_has(&list, "other"));
	cr_assert_eq(marked_remove(&list, "other"), 1);
}

Test(marked, all_go_together)
{
	struct marked_list list = { 0 };

	cr_assert_eq(marked_remove(&list, NULL), 0);
	cr_assert_eq(marked_add(&list, "a"), ERR_OK);
	cr_assert_eq(marked_add(&list, "b"), ERR_OK);
	cr_assert_eq(marked_remove(&list, NULL), 2);
	cr_assert_not(marked_has(&list, "a"));
	cr_assert_not(marked_has(&list, "b"));
}
