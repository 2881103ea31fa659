/* Commands that the process carries out, or nobody. */
#ifndef PGSEAL_ADMIN_CONTROL_COMMANDS_PRIV_H
#define PGSEAL_ADMIN_CONTROL_COMMANDS_PRIV_H

#include "request_priv.h"

/* The command's option is the kind. */
void command_control(struct request *rq, struct session *s);
void command_drain(struct request *rq, struct session *s);
/* Is a setting of the configuration named? */
bool control_is_setting(const struct statement *st, struct action *a);
void command_set(struct request *rq, struct session *s);
/* Known elsewhere, not here; the command's help tells why and what else to do. */
void command_refused(struct request *rq, struct session *s);

#endif
