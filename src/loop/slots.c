/* Where libevent's memory comes from. It keeps a few bytes for each descriptor number that it has ever
 * seen, for good, made on first use: amid whatever else a connection allocates then. When five thousand
 * clients have gone, each of these would hold a page of what they had. So small pieces get blocks of their
 * own; all else is malloc's. Nothing that libevent has allocated may be handed to free() itself. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "loop_priv.h"

#define GRAIN 16           /* sizes are multiples, and so are addresses, as malloc's */
#define SMALL_MAX 64       /* bytes; libevent's own structs for a descriptor are smaller */
#define BLOCK_BYTES 65536u /* taken from malloc at a time, never given back */

/* In front of each piece. */
struct head {
	size_t size;       /* of the piece behind it; above SMALL_MAX it is malloc's */
	struct head *next; /* while free */
};
_Static_assert(sizeof(struct head) == GRAIN, "pieces are aligned as malloc aligns");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* each loop allocates in its own thread */
static struct head *unused[SMALL_MAX / GRAIN + 1];       /* by size */
static char *block;                                      /* what is left of the newest */
static size_t block_left;

static struct head *head_of(void *piece)
{
	return (struct head *)piece - 1;
}

/* Under the lock. */
static struct head *carve(size_t size)
{
	struct head *h = unused[size / GRAIN];

	if (h != NULL) {
		unused[size / GRAIN] = h->next;
		return h;
	}
	if (block_left < sizeof(*h) + size) {
		if ((block = malloc(BLOCK_BYTES)) == NULL) {
			block_left = 0;
			return NULL;
		}
		block_left = BLOCK_BYTES;
	}
	h = (struct head *)block;
	block += sizeof(*h) + size;
	block_left -= sizeof(*h) + size;
	return h;
}

static void *slots_take(size_t n)
{
	size_t size = n <= SMALL_MAX ? (n + GRAIN - 1) / GRAIN * GRAIN : n;
	struct head *h;

	if (size > SMALL_MAX) {
		h = size <= SIZE_MAX - sizeof(*h) ? malloc(sizeof(*h) + size) : NULL;
	} else {
		pthread_mutex_lock(&lock);
		h = carve(size);
		pthread_mutex_unlock(&lock);
	}
	if (h == NULL)
		return NULL;
	h->size = size;
	return h + 1;
}

static void slots_give(void *piece)
{
	struct head *h;

	if (piece == NULL)
		return;
	h = head_of(piece);
	if (h->size > SMALL_MAX) {
		free(h);
		return;
	}
	pthread_mutex_lock(&lock);
	h->next = unused[h->size / GRAIN];
	unused[h->size / GRAIN] = h;
	pthread_mutex_unlock(&lock);
}

static void *slots_resize(void *piece, size_t n)
{
	void *bigger;

	if (piece != NULL && n <= head_of(piece)->size)
		return piece;
	if ((bigger = slots_take(n)) == NULL)
		return NULL;
	if (piece != NULL)
		memcpy(bigger, piece, head_of(piece)->size);
	slots_give(piece);
	return bigger;
}

static void install(void)
{
	event_set_mem_functions(slots_take, slots_resize, slots_give);
}

void slots_install(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
}
