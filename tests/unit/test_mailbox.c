#include <criterion/criterion.h>
#include <poll.h>
#include <stdlib.h>

#include "pgseal/base/mailbox.h"

/* The owner of the mailbox under test: what was delivered, in order. */
struct inbox {
	struct mailbox *mb;
	int seen[16];
	int count;
	bool post_more;
};

struct note {
	struct letter letter;
	int number;
};

static int discarded;

static struct note *note_create(int number);

static void note_deliver(struct letter *letter, void *owner)
{
	struct note *note = (struct note *)letter;
	struct inbox *in = owner;

	in->seen[in->count++] = note->number;
	if (in->post_more) {
		in->post_more = false;
		mailbox_post(in->mb, &note_create(100)->letter);
	}
	free(note);
}

static void note_discard(struct letter *letter)
{
	discarded++;
	free(letter);
}

static struct note *note_create(int number)
{
	struct note *note = malloc(sizeof(*note));

	*note = (struct note){ { NULL, note_deliver, note_discard }, number };
	return note;
}

static struct inbox in;

static void start(void)
{
	in = (struct inbox){ 0 };
	discarded = 0;
	cr_assert_eq(mailbox_create(&in, &in.mb), ERR_OK);
}

static void stop(void)
{
	mailbox_free(in.mb);
}

static bool readable(void)
{
	struct pollfd p = { mailbox_fd(in.mb), POLLIN, 0 };

	return poll(&p, 1, 0) == 1;
}

static void post(int number)
{
	mailbox_post(in.mb, &note_create(number)->letter);
}

TestSuite(mailbox, .init = start, .fini = stop);

Test(mailbox, delivers_in_order)
{
	for (int i = 0; i < 10; i++)
		post(i);
	mailbox_drain(in.mb);
	cr_assert_eq(in.count, 10);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(in.seen[i], i);
}

Test(mailbox, descriptor_is_readable_exactly_while_letters_wait)
{
	cr_assert(!readable());
	mailbox_drain(in.mb);
	post(1);
	post(2);
	cr_assert(readable());
	mailbox_drain(in.mb);
	cr_assert(!readable());
	post(3);
	cr_assert(readable());
	mailbox_drain(in.mb);
	cr_assert_eq(in.count, 3);
}

Test(mailbox, what_a_delivery_posts_waits_for_the_next_drain)
{
	in.post_more = true;
	post(1);
	post(2);
	mailbox_drain(in.mb);
	cr_assert_eq(in.count, 2);
	cr_assert(readable());
	mailbox_drain(in.mb);
	cr_assert_eq(in.count, 3);
	cr_assert_eq(in.seen[2], 100);
}

Test(mailbox, free_discards_what_was_not_delivered)
{
	post(1);
	post(2);
	mailbox_free(in.mb);
	in.mb = NULL;
	cr_assert_eq(discarded, 2);
	cr_assert_eq(in.count, 0);
}
