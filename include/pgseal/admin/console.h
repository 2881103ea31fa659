/* The console: sessions of the database "pgseal" (also "pgbouncer") are answered here instead of by a
 * server, in the simple and in the extended protocol. Thread: the session's worker. */
#ifndef PGSEAL_ADMIN_CONSOLE_H
#define PGSEAL_ADMIN_CONSOLE_H

#include "pgseal/core/crew.h"

/* Under which tools know the console; they leave this one out of their sums. */
#define CONSOLE_DATABASE "pgbouncer"

/* For crew->console, before the threads start. */
extern const struct console_ops console_ops;

#endif
