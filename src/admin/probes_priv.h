/* Parameters that drivers ask for and set when they connect, answered as PostgreSQL would. */
#ifndef PGSEAL_ADMIN_PROBES_PRIV_H
#define PGSEAL_ADMIN_PROBES_PRIV_H

#include "request_priv.h"

/* SHOW name, from the statement's token `first` on: fills in action's columns and probe. */
bool probes_find(const struct statement *st, size_t first, struct action *action);
void probes_show(struct request *rq, struct session *s);
/* SELECT with nothing but a number: is anybody there? */
bool probes_is_ping(const struct statement *st);
extern const struct column probes_ping_column;
void probes_ping(struct request *rq, struct session *s);
/* SET of what makes no difference here. */
void probes_set(struct request *rq, struct session *s);

#endif
