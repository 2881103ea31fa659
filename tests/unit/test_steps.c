/* steps.h: what is on its way, in order, and what it is about. */
#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/core/steps.h"

static const uint8_t salt[PSTATEMENT_SALT] = "0123456789abcdef";

/* Freeing it proves that no reference is left. */
static struct pstatement_table *table;

static void begin(void)
{
	cr_assert_not_null(table = pstatement_table_create(salt, NULL));
}

static void end(void)
{
	pstatement_table_free(table);
}

TestSuite(steps, .init = begin, .fini = end);

static struct pstatement *statement(const char *text)
{
	struct pstatement *st = pstatement_intern(table, bytes_of(text), 1, NULL);

	cr_assert_not_null(st);
	cr_assert_eq(pstatement_name(table, st).len, PSTATEMENT_NAME);
	return st;
}

static struct alias *alias(const char *name, struct pstatement *st)
{
	struct alias *a = alias_create(bytes_of(name), st);

	cr_assert_not_null(a);
	return a;
}

static void push(struct steps *q, struct step step)
{
	cr_assert_eq(steps_push(q, table, step), ERR_OK);
}

/* A client's Parse of that name, as the relay has it: both own a reference. */
static struct step parse(const char *name, const char *text, uint32_t seq)
{
	struct pstatement *st = statement(text);

	return (struct step){ .seq = seq, .kind = STEP_PARSE, .st = st, .alias = alias(name, st) };
}

static struct step closing(const char *name, uint32_t seq)
{
	return (struct step){ .seq = seq, .kind = STEP_CLOSE, .alias = alias(name, NULL) };
}

static struct step unnamed(enum step_kind kind, uint32_t seq)
{
	return (struct step){ .seq = seq, .kind = (uint8_t)kind, .unnamed = true };
}

static struct step evicting(const struct pstatement *st, uint32_t seq)
{
	struct step step = { .seq = seq, .kind = STEP_OUR_CLOSE };

	memcpy(step.evicted, st->name, sizeof(step.evicted));
	return step;
}

static uint32_t seq_of(const struct step *step)
{
	return step != NULL ? step->seq : UINT32_MAX;
}

/* --- the ring --- */

Test(steps, none)
{
	struct steps q = { 0 };
	struct pstatement *st = statement("SELECT 1");

	cr_expect_null(steps_front(&q));
	cr_expect_null(steps_of_alias(&q, bytes_of("a")));
	cr_expect_null(steps_of_unnamed(&q));
	cr_expect_null(steps_of_statement(&q, st));
	steps_clear(&q, table);
	cr_expect_null(q.ring);
	pstatement_release(table, st);
}

Test(steps, come_out_in_the_order_sent)
{
	struct steps q = { 0 };

	for (uint32_t seq = 0; seq < 20; seq++)
		push(&q, unnamed(STEP_DESCRIBE, seq));
	for (uint32_t seq = 0; seq < 20; seq++) {
		cr_expect_eq(seq_of(steps_front(&q)), seq);
		steps_pop(&q, table);
	}
	cr_expect_null(steps_front(&q));
	steps_clear(&q, table);
}

/* Two come for each that goes, from every place of the ring on, so that it grows while it is wrapped. */
Test(steps, ring_wraps_and_grows)
{
	for (uint32_t lead = 0; lead < 16; lead++) {
		struct steps q = { 0 };
		uint32_t in = 0, out = 0;

		for (; in < lead; in++, out++) {
			push(&q, unnamed(STEP_DESCRIBE, in));
			steps_pop(&q, table);
		}
		while (q.len < 200) {
			push(&q, unnamed(STEP_DESCRIBE, in++));
			push(&q, unnamed(STEP_DESCRIBE, in++));
			cr_assert_eq(seq_of(steps_front(&q)), out++);
			steps_pop(&q, table);
			cr_assert_eq(q.len, in - out);
			cr_assert(q.len <= q.cap);
		}
		for (; q.len > 0; out++) {
			cr_assert_eq(seq_of(steps_front(&q)), out);
			steps_pop(&q, table);
		}
		cr_assert_eq(in, out);
		steps_clear(&q, table);
	}
}

Test(steps, a_burst_gives_its_memory_back)
{
	struct steps q = { 0 };

	for (uint32_t seq = 0; seq < 1000; seq++)
		push(&q, unnamed(STEP_DESCRIBE, seq));
	cr_assert_not_null(q.ring);
	while (q.len > 0)
		steps_pop(&q, table);
	cr_expect_null(q.ring);
	cr_expect_eq(q.cap, 0);
	push(&q, unnamed(STEP_DESCRIBE, 7));
	cr_expect_eq(seq_of(steps_front(&q)), 7, "and goes on");
	steps_clear(&q, table);
	cr_expect_null(q.ring);
}

/* --- counts --- */

struct counts {
	uint32_t len, awaited, parsing, named;
};

static void expect(const struct steps *q, const char *what, struct counts want)
{
	cr_expect_eq(q->len, want.len, "%s: %u", what, q->len);
	cr_expect_eq(q->awaited, want.awaited, "%s: %u awaited", what, q->awaited);
	cr_expect_eq(q->parsing, want.parsing, "%s: %u parsing", what, q->parsing);
	cr_expect_eq(q->named, want.named, "%s: %u named", what, q->named);
}

/* One of each kind, front first, and what is left when it has gone. */
static void push_all(struct steps *q, struct pstatement *st)
{
	struct step large = { .kind = STEP_PARSE, .alias = alias("large", NULL) };
	struct step ours = { .kind = STEP_OUR_PARSE, .st = pstatement_hold(st) };
	struct step ours_unnamed = unnamed(STEP_OUR_PARSE, 0);
	struct step describe = { .kind = STEP_OUR_DESCRIBE,
		                 .awaited = true,
		                 .st = pstatement_hold(st) };
	struct step same = { .kind = STEP_DUPLICATE, .alias = alias("a", NULL) };

	ours_unnamed.st = pstatement_hold(st);
	ours_unnamed.awaited = true;
	push(q, parse("a", "SELECT 2", 0));
	push(q, ours);
	push(q, ours_unnamed);
	push(q, describe);
	push(q, large);
	push(q, same);
	push(q, closing("a", 0));
	push(q, unnamed(STEP_PARSE, 0));
	push(q, unnamed(STEP_CLOSE, 0));
	push(q, unnamed(STEP_DESCRIBE, 0));
	push(q, evicting(st, 0));
}

Test(steps, are_counted)
{
	static const struct counts left[] = {
		{ 11, 2, 2, 7 }, /* Parse of a client's */
		{ 10, 2, 1, 6 }, /* of ours */
		{ 9, 2, 0, 5 },  /* of ours, unnamed and awaited */
		{ 8, 1, 0, 5 },  /* Describe of ours, awaited */
		{ 7, 0, 0, 4 },  /* Parse of what is not remembered */
		{ 6, 0, 0, 3 },  /* Parse under a name that is taken */
		{ 5, 0, 0, 2 },  /* Close */
		{ 4, 0, 0, 1 },  /* unnamed: Parse, Close, Describe */
		{ 3, 0, 0, 1 },  { 2, 0, 0, 1 }, { 1, 0, 0, 1 }, /* Close of ours */
		{ 0, 0, 0, 0 },
	};
	struct pstatement *st = statement("SELECT 1");
	struct steps q = { 0 };

	push_all(&q, st);
	for (size_t i = 0; q.len > 0; i++) {
		expect(&q, "popped", left[i]);
		steps_pop(&q, table);
	}
	expect(&q, "empty", left[11]);
	push_all(&q, st);
	expect(&q, "again", left[0]);
	steps_clear(&q, table);
	expect(&q, "cleared", left[11]);
	cr_expect_eq(st->refs, 1, "all were released");
	pstatement_release(table, st);
}

/* --- what they own --- */

Test(steps, take_and_release_references)
{
	struct pstatement *st = statement("SELECT 1");
	struct steps q = { 0 };

	push(&q, parse("a", "SELECT 1", 0));
	cr_expect_eq(st->refs, 3, "the step's and the alias's");
	steps_pop(&q, table);
	cr_expect_eq(st->refs, 1);
	for (uint32_t seq = 0; seq < 50; seq++)
		push(&q, parse("a", "SELECT 1", seq));
	cr_expect_eq(st->refs, 101);
	steps_clear(&q, table);
	cr_expect_eq(st->refs, 1);
	pstatement_release(table, st);
}

/* What is taken over from the front is not released with it. */
Test(steps, the_front_may_be_robbed)
{
	struct pstatement *st = statement("SELECT 1");
	struct steps q = { 0 };
	struct alias *taken;

	push(&q, parse("a", "SELECT 1", 0));
	taken = steps_front(&q)->alias;
	steps_front(&q)->alias = NULL;
	steps_pop(&q, table);
	cr_expect_eq(st->refs, 2, "the alias's");
	cr_expect(alias_is(taken, bytes_of("a")));
	alias_free(table, taken);
	steps_clear(&q, table);
	pstatement_release(table, st);
}

/* --- the last about something --- */

Test(steps, the_last_about_a_name)
{
	struct steps q = { 0 };

	push(&q, parse("a", "SELECT 1", 0));
	push(&q, parse("b", "SELECT 2", 1));
	cr_expect_eq(seq_of(steps_of_alias(&q, bytes_of("a"))), 0);
	push(&q, closing("a", 2));
	push(&q, parse("c", "SELECT 3", 3));
	cr_expect_eq(seq_of(steps_of_alias(&q, bytes_of("a"))), 2, "the newest");
	cr_expect_eq(seq_of(steps_of_alias(&q, bytes_of("b"))), 1);
	push(&q, parse("a", "SELECT 4", 4));
	push(&q, unnamed(STEP_PARSE, 5));
	cr_expect_eq(seq_of(steps_of_alias(&q, bytes_of("a"))), 4);
	push(&q, (struct step){ .seq = 6, .kind = STEP_DUPLICATE, .alias = alias("a", NULL) });
	cr_expect_eq(seq_of(steps_of_alias(&q, bytes_of("a"))), 4, "one that is to fail");
	cr_expect_null(steps_of_alias(&q, bytes_of("A")));
	cr_expect_null(steps_of_alias(&q, bytes_of("aa")));
	cr_expect_null(steps_of_alias(&q, bytes_of("")), "the unnamed one has no alias");
	while (seq_of(steps_front(&q)) < 5)
		steps_pop(&q, table);
	cr_expect_null(steps_of_alias(&q, bytes_of("a")), "it has been answered");
	steps_clear(&q, table);
}

Test(steps, the_last_about_the_unnamed_one)
{
	struct steps q = { 0 };

	push(&q, parse("a", "SELECT 1", 0));
	push(&q, unnamed(STEP_DESCRIBE, 1));
	cr_expect_null(steps_of_unnamed(&q), "to look at it changes nothing");
	push(&q, unnamed(STEP_PARSE, 2));
	push(&q, closing("a", 3));
	push(&q, unnamed(STEP_DESCRIBE, 4));
	cr_expect_eq(seq_of(steps_of_unnamed(&q)), 2);
	push(&q, unnamed(STEP_CLOSE, 5));
	cr_expect_eq(seq_of(steps_of_unnamed(&q)), 5);
	push(&q, unnamed(STEP_OUR_PARSE, 6));
	cr_expect_eq(seq_of(steps_of_unnamed(&q)), 6);
	steps_clear(&q, table);
	cr_expect_null(steps_of_unnamed(&q));
}

Test(steps, the_last_about_a_statement)
{
	struct pstatement *one = statement("SELECT 1"), *two = statement("SELECT 2");
	struct step same_unnamed = unnamed(STEP_PARSE, 5);
	struct steps q = { 0 };

	push(&q, parse("a", "SELECT 1", 0));
	push(&q, parse("b", "SELECT 2", 1));
	cr_expect_eq(seq_of(steps_of_statement(&q, one)), 0);
	cr_expect_eq(seq_of(steps_of_statement(&q, two)), 1);
	push(&q, evicting(one, 2));
	cr_expect_eq(seq_of(steps_of_statement(&q, one)), 2, "by the name that goes");
	cr_expect_eq(seq_of(steps_of_statement(&q, two)), 1);
	push(&q, (struct step){ .seq = 3, .kind = STEP_OUR_PARSE, .st = pstatement_hold(one) });
	cr_expect_eq(seq_of(steps_of_statement(&q, one)), 3, "the newest");
	push(&q, closing("a", 4));
	same_unnamed.st = pstatement_hold(one);
	push(&q, same_unnamed);
	cr_expect_eq(seq_of(steps_of_statement(&q, one)), 3,
	             "neither by what a client calls it, nor the same text without a name");
	while (seq_of(steps_front(&q)) < 4)
		steps_pop(&q, table);
	cr_expect_null(steps_of_statement(&q, one));
	cr_expect_null(steps_of_statement(&q, two));
	steps_clear(&q, table);
	pstatement_release(table, one);
	pstatement_release(table, two);
}

/* --- batches --- */

Test(steps, in_the_batch_that_is_open)
{
	static const struct {
		uint32_t batch, seq;
		bool in;
	} cases[] = {
		{ 0, 0, true },
		{ 0, 1, true },
		{ 5, 4, false },
		{ 5, 5, true },
		{ 5, 6, true },
		{ UINT32_MAX, UINT32_MAX, true },
		{ UINT32_MAX, UINT32_MAX - 1, false },
		{ UINT32_MAX, 0, true }, /* the count went on behind its end */
		{ UINT32_MAX - 3, 60000, true },
		{ 0, UINT32_MAX, false },
		{ 60000, UINT32_MAX - 3, false },
		{ INT32_MAX, INT32_MAX + 1u, true },
		{ INT32_MAX + 1u, INT32_MAX, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct steps q = { .batch = cases[i].batch };
		struct step step = { .seq = cases[i].seq };

		cr_expect_eq(steps_in_batch(&q, &step), cases[i].in, "%u in the batch from %u",
		             cases[i].seq, cases[i].batch);
	}
}

/* What goes before a transaction is counted, and is nobody's unnamed statement. */
Test(steps, of_a_setup)
{
	struct steps q = { 0 };

	cr_assert_eq(steps_push(&q, table, (struct step){ .kind = STEP_SETUP, .unnamed = true }), ERR_OK);
	cr_assert_eq(steps_push(&q, table, (struct step){ .kind = STEP_OUR_EXECUTE, .unnamed = true }),
	             ERR_OK);
	cr_expect_eq(q.setup, 1);
	cr_expect_eq(q.named, 0);
	cr_expect_null(steps_of_unnamed(&q));
	steps_pop(&q, table);
	cr_expect_eq(q.setup, 0);
	steps_clear(&q, table);
}
