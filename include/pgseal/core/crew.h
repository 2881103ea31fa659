/* The threads that work together, and the few things that they all may touch. Made by the process
 * before the threads start, gone after they were joined. */
#ifndef PGSEAL_CORE_CREW_H
#define PGSEAL_CORE_CREW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "pgseal/base/mailbox.h"

#define CREW_MAX 64

struct authns;
struct control_ops;
struct gate;
struct quotas;
struct routes;
struct session;
struct troubles;
struct worker;

/* What the floor above does with sessions of the console; set once, before the threads start. All in
 * the session's worker. */
struct console_ops {
	enum err (*open)(struct session *s);                      /* greeted already: make s->console */
	void (*message)(struct session *s, char type, const unsigned char *body, size_t len);
	void (*cancel)(struct session *s);                        /* a cancel request for what it runs */
	void (*close)(struct session *s);                         /* free s->console */
};

/* Letters to control: the floor above makes them, the process answers them. */
struct crew {
	struct worker *workers[CREW_MAX];
	size_t worker_count;
	struct gate *gates[CREW_MAX];
	size_t gate_count;
	struct mailbox *control;
	struct routes *routes;
	struct authns *authns;
	struct quotas *quotas;
	struct troubles *troubles;
	uint8_t salt[16];          /* random: for names that nobody can foresee; fixed once threads run */
	const struct console_ops *console;
	void *process;             /* for control's letters */
	/* Delivered to control when a worker has drained. */
	void (*worker_drained)(struct letter *letter, void *process);
	const struct control_ops *control_ops; /* how control answers the console; pgseal/admin/commands.h */
	atomic_int clients;        /* admitted sessions, for max_client_conn; the console's not counted */
	atomic_uint next_gate;     /* logins to servers go round */
};

#endif
