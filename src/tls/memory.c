#include "pgseal/tls/memory.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/crypto.h>

static _Thread_local unsigned long failures;

static void *count(void *at)
{
	failures += at == NULL;
	return at;
}

/* ---- record buffers ----
 * An SSL that lets go of its buffers while it is idle gets and gives back two of them for each record or
 * two, and malloc is slow with that size. So each thread has a few at hand. */

#define RECORD_LEAST 16384u /* bytes: the largest record's contents; OpenSSL adds what goes around them */
#define RECORD_BYTES 20480u /* what is allocated for each */
#define RECORDS_AT_HAND 4u

static _Thread_local struct at_hand {
	void *at[RECORDS_AT_HAND];
	unsigned count;
	bool noted; /* the thread's end will free them */
} at_hand;
static pthread_key_t thread_end;

static void free_at_hand(void *records)
{
	struct at_hand *h = records;

	while (h->count > 0)
		free(h->at[--h->count]);
}

static void *record_take(void)
{
	return at_hand.count > 0 ? at_hand.at[--at_hand.count] : malloc(RECORD_BYTES);
}

static void record_give(void *at)
{
	if (!at_hand.noted)
		at_hand.noted = pthread_setspecific(thread_end, &at_hand) == 0;
	if (at_hand.noted && at_hand.count < RECORDS_AT_HAND)
		at_hand.at[at_hand.count++] = at;
	else
		free(at);
}

/* ---- what OpenSSL calls ---- */

static void *take(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	if (n >= RECORD_LEAST && n <= RECORD_BYTES)
		return count(record_take());
	return n > 0 ? count(malloc(n)) : NULL;
}

static void *resize(void *at, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	if (n > 0)
		return count(realloc(at, n));
	free(at);
	return NULL;
}

static void give_back(void *at, const char *file, int line)
{
	(void)file;
	(void)line;
	/* malloc may have rounded it up a little */
	if (at != NULL && malloc_usable_size(at) - RECORD_BYTES < 64)
		record_give(at);
	else
		free(at);
}

void tls_memory_watch(void)
{
	if (pthread_key_create(&thread_end, free_at_hand) != 0)
		return;
	CRYPTO_set_mem_functions(take, resize, give_back);
}

unsigned long tls_memory_failures(void)
{
	return failures;
}
