/* The two halves of a pool: lending (pool.c) and logging in (pool_login.c). */
#ifndef PGSEAL_CORE_POOL_PRIV_H
#define PGSEAL_CORE_POOL_PRIV_H

#include "pgseal/core/pool.h"

/* Servers for those who wait: logins of our own while permits last, spare ones of other workers. */
void pool_seek(struct pool *p);
/* Behind a failed login: is it too early for the next? */
bool pool_resting(const struct pool *p);
/* The end of that rest. */
void pool_retry_due(void *arg);
/* All who wait learn at once why they wait in vain. */
void pool_refuse_all(struct pool *p);
/* A permit is free again: for whoever waits in other workers. */
void pool_wake_others(struct pool *p);
/* The first that waits to be greeted; NULL: none. */
struct session *pool_first_greeting(struct pool *p);
/* Greet them all, if it is known by now with what. */
void pool_greet_all(struct pool *p);

#endif
