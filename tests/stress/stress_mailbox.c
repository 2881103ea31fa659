/* Many senders, one receiver: nothing lost, nothing doubled, each sender's letters in order. For
 * TSan, which criterion does not run under; exit status 0 is success. */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pgseal/base/mailbox.h"

#define SENDERS 6
#define LETTERS 200000 /* each */

struct parcel {
	struct letter letter;
	int sender;
	int serial;
	int check; /* plain memory that the sender wrote: TSan sees a missing barrier here */
};

struct receiver {
	struct mailbox *mb;
	int next[SENDERS]; /* serial expected from each */
	int faults;
	int discarded;
};

static struct receiver receiver;

static void parcel_deliver(struct letter *letter, void *owner)
{
	struct parcel *parcel = (struct parcel *)letter;
	struct receiver *to = owner;

	if (parcel->serial != to->next[parcel->sender] || parcel->check != ~parcel->serial)
		to->faults++;
	to->next[parcel->sender] = parcel->serial + 1;
	free(parcel);
}

static void parcel_discard(struct letter *letter)
{
	receiver.discarded++;
	free(letter);
}

static void *send_all(void *arg)
{
	int sender = (int)(intptr_t)arg;

	for (int i = 0; i < LETTERS; i++) {
		struct parcel *parcel = malloc(sizeof(*parcel));

		if (parcel == NULL)
			abort();
		*parcel =
			(struct parcel){ { NULL, parcel_deliver, parcel_discard }, sender, i, ~i };
		mailbox_post(receiver.mb, &parcel->letter);
		if (i % 1000 == 0)
			usleep(500); /* let the queue run empty now and then: the wake-up path */
	}
	return NULL;
}

static int received(void)
{
	int sum = 0;

	for (int i = 0; i < SENDERS; i++)
		sum += receiver.next[i];
	return sum;
}

/* Drain only when woken, so that a lost wake-up shows as a time-out. */
static int receive_all(void)
{
	struct pollfd p = { mailbox_fd(receiver.mb), POLLIN, 0 };

	while (received() < SENDERS * LETTERS) {
		if (poll(&p, 1, 20000) != 1) {
			fprintf(stderr, "no wake-up after %d letters\n", received());
			return 1;
		}
		mailbox_drain(receiver.mb);
	}
	return 0;
}

int main(void)
{
	pthread_t threads[SENDERS];
	int failed;

	if (mailbox_create(&receiver, &receiver.mb) != ERR_OK)
		return 1;
	for (int i = 0; i < SENDERS; i++)
		if (pthread_create(&threads[i], NULL, send_all, (void *)(intptr_t)i) != 0)
			return 1;
	failed = receive_all();
	for (int i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	mailbox_free(receiver.mb);
	if (failed == 0 && (receiver.faults != 0 || receiver.discarded != 0)) {
		fprintf(stderr, "faults=%d discarded=%d\n", receiver.faults, receiver.discarded);
		failed = 1;
	}
	return failed;
}
