/* Commands that act on pools and sessions, in every worker. */
#ifndef PGSEAL_ADMIN_POOL_COMMANDS_PRIV_H
#define PGSEAL_ADMIN_POOL_COMMANDS_PRIV_H

#include "request_priv.h"

void command_pause(struct request *rq, struct session *s);
void command_resume(struct request *rq, struct session *s);
void command_disable(struct request *rq, struct session *s);
void command_enable(struct request *rq, struct session *s);
void command_reconnect(struct request *rq, struct session *s);
void command_kill_client(struct request *rq, struct session *s);

#endif
