/* paused.h: which databases a PAUSE named. */
#include <criterion/criterion.h>

#include "pgseal/core/paused.h"

Test(paused, names_are_kept_once_and_compared_exactly)
{
	struct paused_list list = { 0 };

	cr_assert_not(paused_has(&list, "app"));
	cr_assert_eq(paused_add(&list, "app"), ERR_OK);
	cr_assert_eq(paused_add(&list, "app"), ERR_OK);
	cr_assert_eq(paused_add(&list, "other"), ERR_OK);
	cr_assert(paused_has(&list, "app") && paused_has(&list, "other"));
	cr_assert_not(paused_has(&list, "App"));
	cr_assert_not(paused_has(&list, "ap"));
	cr_assert_eq(paused_remove(&list, "app"), 1);
	cr_assert_eq(paused_remove(&list, "app"), 0);
	cr_assert(paused_has(&list, "other"));
	cr_assert_eq(paused_remove(&list, "other"), 1);
}

Test(paused, all_go_together)
{
	struct paused_list list = { 0 };

	cr_assert_eq(paused_remove(&list, NULL), 0);
	cr_assert_eq(paused_add(&list, "a"), ERR_OK);
	cr_assert_eq(paused_add(&list, "b"), ERR_OK);
	cr_assert_eq(paused_remove(&list, NULL), 2);
	cr_assert_not(paused_has(&list, "a"));
	cr_assert_not(paused_has(&list, "b"));
}
