#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pgseal/base/mailbox.h"

/* A stack that senders push on and the owner takes whole. Pushing compares and swaps the head;
 * taking swaps in NULL. Nobody ever pops a single letter, so a head that was taken, delivered,
 * freed and pushed again at the same address (ABA) does no harm: the pusher's `next` is right then
 * too. */
struct mailbox {
	_Atomic(struct letter *) newest;
	int wake; /* eventfd, non-blocking */
	void *owner;
};

enum err mailbox_create(void *owner, struct mailbox **out)
{
	struct mailbox *mb = malloc(sizeof(*mb));

	if (mb == NULL)
		return ERR_NO_MEMORY;
	mb->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mb->wake < 0) {
		enum err rc = errno == ENOMEM ? ERR_NO_MEMORY : ERR_NO_DESCRIPTORS;

		free(mb);
		return rc;
	}
	atomic_init(&mb->newest, NULL);
	mb->owner = owner;
	*out = mb;
	return ERR_OK;
}

/* The whole queue, oldest first. */
static struct letter *take_all(struct mailbox *mb)
{
	/* acquire: pairs with the release in mailbox_post. Every push is a read-modify-write, so
	 * the pushes before the last one belong to its release sequence and their letters are seen
	 * whole as well, whichever thread pushed last. */
	struct letter *letter = atomic_exchange_explicit(&mb->newest, NULL, memory_order_acquire);
	struct letter *oldest = NULL;

	while (letter != NULL) {
		struct letter *older = letter->next;

		letter->next = oldest;
		oldest = letter;
		letter = older;
	}
	return oldest;
}

void mailbox_free(struct mailbox *mb)
{
	struct letter *letter, *next;

	if (mb == NULL)
		return;
	for (letter = take_all(mb); letter != NULL; letter = next) {
		next = letter->next;
		letter->discard(letter);
	}
	close(mb->wake);
	free(mb);
}

/* Make the descriptor readable. It fails only with the counter at its end, readable already. */
static void wake_up(struct mailbox *mb)
{
	const uint64_t one = 1;

	while (write(mb->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void mailbox_post(struct mailbox *mb, struct letter *letter)
{
	/* relaxed: the value is only compared and stored as `next`, never followed here */
	struct letter *before = atomic_load_explicit(&mb->newest, memory_order_relaxed);

	/* release: what the sender wrote into the message happens before the owner reads it.
	 * relaxed on failure: another try with the head that was found instead. */
	do
		letter->next = before;
	while (!atomic_compare_exchange_weak_explicit(&mb->newest, &before, letter,
	                                              memory_order_release, memory_order_relaxed));
	/* The letter may be delivered and freed by now, but mb lives: it outlasts its senders. Who
	 * pushed behind others need not wake: whoever pushed first upon NULL has done or will. */
	if (before == NULL)
		wake_up(mb);
}

int mailbox_fd(const struct mailbox *mb)
{
	return mb->wake;
}

void mailbox_drain(struct mailbox *mb)
{
	struct letter *letter, *next;
	uint64_t count;

	/* Reset the descriptor first, take second: a letter pushed in between is taken at once and
	 * its wake-up comes for nothing. The other way round it could be lost. */
	while (read(mb->wake, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	for (letter = take_all(mb); letter != NULL; letter = next) {
		next = letter->next; /* delivered letters may be freed */
		letter->deliver(letter, mb->owner);
	}
}
