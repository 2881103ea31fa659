/* loop/ebb.h: told once when most have gone, and not while they come and go. */
#include <criterion/criterion.h>

#include "pgseal/loop/ebb.h"

static struct loop *loop;
static struct ebb ebb;
static struct timer *end;
static int told;

static void nothing(void *arg)
{
	(void)arg;
}

static void out(void *arg)
{
	(void)arg;
	told++;
	loop_stop(loop);
}

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void start(void)
{
	cr_assert_eq(loop_create(&loop), ERR_OK);
	cr_assert_eq(ebb_init(&ebb, loop, out, NULL), ERR_OK);
	cr_assert_eq(timer_create_in(loop, stop, NULL, &end), ERR_OK);
}

static void finish(void)
{
	timer_free(end);
	ebb_fini(&ebb);
	loop_free(loop);
}

TestSuite(ebb, .init = start, .fini = finish);

Test(ebb, tells_when_most_have_gone)
{
	ebb_note(&ebb, 1000);
	ebb_note(&ebb, 400);
	ebb_note(&ebb, 30); /* more go before the timer is due */
	loop_run(loop, nothing, NULL);
	cr_assert_eq(told, 1);
	cr_assert_eq(ebb.peak, 30);
}

Test(ebb, is_silent_while_they_come_and_go)
{
	ebb_note(&ebb, 1000);
	ebb_note(&ebb, 501);
	ebb_note(&ebb, 900);
	ebb_note(&ebb, 600);
	timer_set(end, USEC_PER_SEC);
	loop_run(loop, nothing, NULL);
	cr_assert_eq(told, 0);
}

Test(ebb, a_few_are_not_worth_it)
{
	ebb_note(&ebb, 255);
	ebb_note(&ebb, 0);
	timer_set(end, USEC_PER_SEC);
	loop_run(loop, nothing, NULL);
	cr_assert_eq(told, 0);
}
