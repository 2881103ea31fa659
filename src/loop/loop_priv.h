#ifndef PGSEAL_LOOP_PRIV_H
#define PGSEAL_LOOP_PRIV_H

#include <event2/event.h>

#include "pgseal/loop/loop.h"

/* For the resolver, libevent's other user on this floor. */
struct event_base *loop_base(struct loop *loop);

/* libevent takes its memory from slots.c from now on. Before anything else of it is used. */
void slots_install(void);

#endif
