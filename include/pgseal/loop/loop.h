/* One thread's event loop: descriptors, timers, mailboxes, signals. libevent lives behind this.
 *
 * A turn is one wait and the callbacks of all that became ready. Time stands still within a turn, and
 * what callbacks queued for its end (flushing, freeing) is run once, there. Everything here belongs
 * to the loop's own thread, except before loop_run. */
#ifndef PGSEAL_LOOP_LOOP_H
#define PGSEAL_LOOP_LOOP_H

#include <stdbool.h>

#include "pgseal/base/clock.h"
#include "pgseal/base/err.h"
#include "pgseal/base/mailbox.h"

struct loop;

enum err loop_create(struct loop **out) MUST_CHECK;
/* All watches, timers and mailboxes must have been freed or forgotten. NULL is fine. */
void loop_free(struct loop *loop);

/* Turn until loop_stop. end_of_turn(arg) is called behind the callbacks of every turn. */
void loop_run(struct loop *loop, void (*end_of_turn)(void *arg), void *arg);
void loop_stop(struct loop *loop);
/* Behind loop_run: let libevent do what it has put off, as for questions that were cancelled. No letter
 * is delivered any more. */
void loop_settle(struct loop *loop);

/* Monotonic time of the turn, read once. */
usec_t loop_now(struct loop *loop);

#define LOOP_READ  1u
#define LOOP_WRITE 2u

/* A descriptor, borrowed. Read interest is kept between turns; so is write interest until taken back. */
struct watch;
enum err watch_create(struct loop *loop, int fd, void (*ready)(void *arg, unsigned events), void *arg,
                      struct watch **out) MUST_CHECK;
/* Interest from now on; 0 is none. Costs a system call only where it changes. ERR_NO_MEMORY: the
 * interest is as before. */
enum err watch_set(struct watch *w, unsigned events) MUST_CHECK;
unsigned watch_get(const struct watch *w);
/* NULL is fine. Before the descriptor is closed. */
void watch_free(struct watch *w);

/* A one-shot timer, not armed when created. */
struct timer;
enum err timer_create_in(struct loop *loop, void (*due)(void *arg), void *arg,
                         struct timer **out) MUST_CHECK;
/* Due in `delay` microseconds, instead of whenever it was. */
void timer_set(struct timer *t, usec_t delay);
/* As timer_set, unless it is armed already: for queues whose head has the earliest deadline. */
void timer_set_once(struct timer *t, usec_t delay);
void timer_clear(struct timer *t);
void timer_free(struct timer *t);

/* Deliver the mailbox's letters in this loop from now on; frees nothing of it. */
enum err loop_add_mailbox(struct loop *loop, struct mailbox *mb) MUST_CHECK;

/* Call caught(arg, signo) in this loop whenever the process receives the signal. One loop only. */
enum err loop_add_signal(struct loop *loop, int signo, void (*caught)(void *arg, int signo),
                         void *arg) MUST_CHECK;

#endif
