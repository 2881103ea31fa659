/* Commands that act on pools and sessions, in every worker. */
#ifndef PGSEAL_ADMIN_POOL_COMMANDS_PRIV_H
#define PGSEAL_ADMIN_POOL_COMMANDS_PRIV_H

#include "request_priv.h"

/* --- pool_commands.c --- */

void command_pause(struct request *rq, struct session *s);
void command_resume(struct request *rq, struct session *s);
void command_disable(struct request *rq, struct session *s);
void command_enable(struct request *rq, struct session *s);
void command_reconnect(struct request *rq, struct session *s);
void command_wait_close(struct request *rq, struct session *s);

/* An order about one database, or all where the statement names none: log it, then round the
 * workers. */
void pool_order(struct request *rq, struct session *s, const char *act,
                enum tour_next (*part)(struct request *rq, struct worker *w),
                bool (*home)(struct request *rq, struct worker *w));
/* Is this pool one of rq->database and rq->role? */
bool pool_order_concerns(const struct request *rq, const struct pool *p);
/* Wait until none is left of the servers that were to be replaced at rq->since already. */
enum tour_next pool_order_worn_part(struct request *rq, struct worker *w);
bool pool_order_worn_home(struct request *rq, struct worker *w);

/* --- kill_commands.c --- */

void command_kill(struct request *rq, struct session *s);
void command_kill_user(struct request *rq, struct session *s);
void command_kill_identity(struct request *rq, struct session *s);
void command_kill_client(struct request *rq, struct session *s);

#endif
