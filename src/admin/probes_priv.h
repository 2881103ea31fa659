/* Parameters that drivers ask for and set when they connect, answered as PostgreSQL would. */
#ifndef PGSEAL_ADMIN_PROBES_PRIV_H
#define PGSEAL_ADMIN_PROBES_PRIV_H

#include "request_priv.h"

/* SHOW name; SELECT function(): they fill in the action's columns and probe. */
bool probes_is_parameter(const struct statement *st, struct action *a);
bool probes_is_function(const struct statement *st, struct action *a);
void probes_run(struct request *rq, struct session *s);
/* SELECT with nothing but a number: is anybody there? */
bool probes_is_ping(const struct statement *st, struct action *a);
void probes_ping(struct request *rq, struct session *s);
/* SET of what makes no difference here. */
void probes_set(struct request *rq, struct session *s);

#endif
