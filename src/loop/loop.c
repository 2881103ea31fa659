#include "loop_priv.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/time.h>

#include <event2/event_struct.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/log.h"

/* Mailboxes and signals live as long as the loop; it frees their events. */
struct fixture {
	SLIST_ENTRY(fixture) link;
	struct event event;
	void (*caught)(void *arg, int signo);
	void *arg;
};

struct loop {
	struct event_base *base;
	SLIST_HEAD(, fixture) fixtures;
	usec_t now; /* 0: not read in this turn yet */
	bool stop;
};

struct watch {
	struct loop *loop;
	void (*ready)(void *arg, unsigned events);
	void *arg;
	struct event
		*writer; /* made when write interest first arises: most connections never have it */
	unsigned interest;
	struct event reader;
};

struct timer {
	struct loop *loop;
	void (*due)(void *arg);
	void *arg;
	usec_t at;  /* when it is due */
	bool again; /* it came so late that descriptors are looked at first */
	struct event event;
};

/* libevent's own words, which it would print to stderr. */
static void say(int severity, const char *text)
{
	log_line(severity >= EVENT_LOG_WARN ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, LOG_PROCESS, 0,
	         "libevent: %s", quote_str(text).s);
}

enum err loop_create(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct event_config *cfg;

	slots_install();
	cfg = event_config_new();
	if (cfg != NULL && loop != NULL) {
		/* Each loop belongs to one thread and is woken by mailboxes alone. */
		event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
		loop->base = event_base_new_with_config(cfg);
	}
	if (cfg != NULL)
		event_config_free(cfg);
	if (loop == NULL || loop->base == NULL) {
		free(loop);
		return ERR_NO_MEMORY;
	}
	SLIST_INIT(&loop->fixtures);
	event_set_log_callback(say);
	*out = loop;
	return ERR_OK;
}

void loop_free(struct loop *loop)
{
	struct fixture *f;

	if (loop == NULL)
		return;
	while ((f = SLIST_FIRST(&loop->fixtures)) != NULL) {
		SLIST_REMOVE_HEAD(&loop->fixtures, link);
		event_del(&f->event);
		free(f);
	}
	event_base_free(loop->base);
	free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

void loop_run(struct loop *loop, void (*end_of_turn)(void *arg), void *arg)
{
	loop->now = 0; /* somebody asked while all of this was made: that may be long ago when the first turn begins */
	while (!loop->stop) {
		event_base_loop(loop->base, EVLOOP_ONCE);
		end_of_turn(arg);
		loop->now = 0;
	}
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
	event_base_loopbreak(loop->base);
}

void loop_settle(struct loop *loop)
{
	struct fixture *f;

	SLIST_FOREACH(f, &loop->fixtures, link)
		event_del(&f->event);
	event_base_loop(loop->base, EVLOOP_NONBLOCK);
}

usec_t loop_now(struct loop *loop)
{
	if (loop->now == 0)
		loop->now = clock_now_us();
	return loop->now;
}

/* ---- descriptors ---- */

static void watch_ready(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	w->ready(w->arg, (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0));
}

enum err watch_create(struct loop *loop, int fd, void (*ready)(void *arg, unsigned events),
                      void *arg, struct watch **out)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return ERR_NO_MEMORY;
	w->loop = loop;
	w->ready = ready;
	w->arg = arg;
	event_assign(&w->reader, loop->base, fd, EV_READ | EV_PERSIST, watch_ready, w);
	*out = w;
	return ERR_OK;
}

/* The write event of a connection, made on first need. */
static struct event *watch_writer(struct watch *w)
{
	if (w->writer == NULL)
		w->writer = event_new(w->loop->base, event_get_fd(&w->reader),
		                      EV_WRITE | EV_PERSIST, watch_ready, w);
	return w->writer;
}

enum err watch_set(struct watch *w, unsigned events)
{
	unsigned changed = events ^ w->interest;

	if ((changed & events & LOOP_WRITE) != 0 && watch_writer(w) == NULL)
		return ERR_NO_MEMORY;
	if ((changed & LOOP_READ) != 0) {
		if ((events & LOOP_READ) == 0)
			event_del(&w->reader);
		else if (event_add(&w->reader, NULL) != 0)
			return ERR_NO_MEMORY;
	}
	if ((changed & LOOP_WRITE) != 0) {
		if ((events & LOOP_WRITE) == 0)
			event_del(w->writer);
		else if (event_add(w->writer, NULL) != 0)
			return ERR_NO_MEMORY;
	}
	w->interest = events;
	return ERR_OK;
}

unsigned watch_get(const struct watch *w)
{
	return w->interest;
}

void watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	event_del(&w->reader);
	if (w->writer != NULL)
		event_free(w->writer);
	free(w);
}

/* ---- timers ---- */

/* Behind a timer that is that late the process was held up, stopped say, and epoll_wait may have come back without a
 * word of what had come meanwhile: that goes first. */
#define HELD_UP_US (100 * USEC_PER_MS)

static void timer_due(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval at_once = { 0, 0 };
	struct timer *t = arg;

	(void)fd;
	(void)what;
	if (!t->again && loop_now(t->loop) - t->at > HELD_UP_US) {
		t->again = true;
		event_add(&t->event, &at_once);
		return;
	}
	t->again = false;
	t->due(t->arg);
}

enum err timer_create_in(struct loop *loop, void (*due)(void *arg), void *arg, struct timer **out)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return ERR_NO_MEMORY;
	t->loop = loop;
	t->due = due;
	t->arg = arg;
	event_assign(&t->event, loop->base, -1, 0, timer_due, t);
	*out = t;
	return ERR_OK;
}

void timer_set(struct timer *t, usec_t delay)
{
	struct timeval tv;

	if (delay < 0)
		delay = 0;
	t->at = loop_now(t->loop) + delay;
	t->again = false;
	tv.tv_sec = (time_t)(delay / USEC_PER_SEC);
	tv.tv_usec = (suseconds_t)(delay % USEC_PER_SEC);
	event_add(&t->event, &tv);
}

void timer_set_once(struct timer *t, usec_t delay)
{
	if (!event_pending(&t->event, EV_TIMEOUT, NULL))
		timer_set(t, delay);
}

void timer_clear(struct timer *t)
{
	event_del(&t->event);
}

void timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	event_del(&t->event);
	free(t);
}

/* ---- mailboxes and signals ---- */

static struct fixture *fixture_add(struct loop *loop, int fd, short what, event_callback_fn run,
                                   void *run_arg)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	event_assign(&f->event, loop->base, fd, what, run, run_arg != NULL ? run_arg : f);
	if (event_add(&f->event, NULL) != 0) {
		free(f);
		return NULL;
	}
	SLIST_INSERT_HEAD(&loop->fixtures, f, link);
	return f;
}

static void mailbox_ready(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	mailbox_drain(arg);
}

enum err loop_add_mailbox(struct loop *loop, struct mailbox *mb)
{
	if (fixture_add(loop, mailbox_fd(mb), EV_READ | EV_PERSIST, mailbox_ready, mb) == NULL)
		return ERR_NO_MEMORY;
	return ERR_OK;
}

static void signal_caught(evutil_socket_t signo, short what, void *arg)
{
	struct fixture *f = arg;

	(void)what;
	f->caught(f->arg, (int)signo);
}

enum err loop_add_signal(struct loop *loop, int signo, void (*caught)(void *arg, int signo),
                         void *arg)
{
	struct fixture *f;

	/* libevent puts back what it found when the loop is freed: a signal that comes while the process
	 * ends must not kill it. */
	signal(signo, SIG_IGN);
	f = fixture_add(loop, signo, EV_SIGNAL | EV_PERSIST, signal_caught, NULL);
	if (f == NULL)
		return ERR_NO_MEMORY;
	f->caught = caught;
	f->arg = arg;
	return ERR_OK;
}
