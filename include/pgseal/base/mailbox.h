/* How threads talk: owned messages in a queue, and a descriptor that becomes readable.
 *
 * Any thread posts; one thread, the owner, receives. Posting is lock-free and never fails: a letter
 * is embedded in the message that the sender allocated. Letters of one sender arrive in order. */
#ifndef PGSEAL_BASE_MAILBOX_H
#define PGSEAL_BASE_MAILBOX_H

#include "pgseal/base/err.h"

struct mailbox;

/* First member of every message. Exactly one of the two is called, once, and then owns the message:
 * deliver by the receiver's thread, discard when the mailbox ends before (same thread that frees). */
struct letter {
	struct letter *next; /* the mailbox's, from post to delivery */
	void (*deliver)(struct letter *letter, void *owner);
	void (*discard)(struct letter *letter);
};

/* owner is handed to deliver(). ERR_NO_MEMORY, ERR_NO_DESCRIPTORS. */
enum err mailbox_create(void *owner, struct mailbox **out) MUST_CHECK;
/* Discards what was not delivered. No thread may post any more. NULL is fine. */
void mailbox_free(struct mailbox *mb);

/* Give a letter away; wakes the owner if its queue was empty. Any thread. */
void mailbox_post(struct mailbox *mb, struct letter *letter);

/* Readable while letters may wait; for the owner's event loop. */
int mailbox_fd(const struct mailbox *mb);
/* Deliver all that had been posted when the call began, oldest first. Owner's thread. */
void mailbox_drain(struct mailbox *mb);

#endif
