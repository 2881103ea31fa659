/* A worker's order to a gate: log in to a server, or send a cancel over a connection of its own; and the
 * way back. One allocation that travels there and back; whoever holds it owns it. */
#ifndef PGSEAL_CORE_DIAL_H
#define PGSEAL_CORE_DIAL_H

#include <sys/queue.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/mailbox.h"
#include "pgseal/core/database.h"
#include "pgseal/core/permit.h"
#include "pgseal/core/route.h"
#include "pgseal/loop/canceller.h"
#include "pgseal/loop/login.h"

struct gate;
struct worker;

struct dial {
	struct letter letter;
	struct worker *home;   /* where the answer goes */
	struct route *route;   /* a reference */
	struct permit permit;  /* a login's */
	struct database *db;   /* a reference */
	usec_t timeout;
	char *extra_names;     /* comma list: parameters to ask for beyond the known ones */
	void (*answer)(struct dial *d, struct worker *home); /* run by home, owns d */
	/* the order: 0 logs in; otherwise cancel what this backend runs, by libpq where it can */
	uint32_t cancel_pid;
	struct canceller *canceller; /* owned; NULL: by a statement over a login */
	uint64_t server_id;    /* of the cancelled server */
	char *host, *hostaddr, *port; /* where exactly it is: the pid means nothing elsewhere; owned */
	/* the answer */
	PGconn *conn;          /* owned; NULL: failed, or a cancel */
	bool ok;
	bool sent;             /* a cancel: it may have reached the server */
	struct login_failure failure;
	struct buf params;     /* flat */
	usec_t took;
	/* the gate's */
	TAILQ_ENTRY(dial) link;
	struct gate *gate;
	struct login *login;
	struct errand *errand;
	usec_t begun;
};

/* References are taken by this. NULL: out of memory. */
struct dial *dial_create(struct worker *home, struct route *route, struct database *db);
void dial_free(struct dial *d); /* closes conn if it is still there */
/* Give it to a gate. Worker's thread. */
void dial_post(struct dial *d);

#endif
