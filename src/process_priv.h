/* The process's inside: from start to end (process.c), and changes of the site (reload.c). */
#ifndef PGSEAL_PROCESS_PRIV_H
#define PGSEAL_PROCESS_PRIV_H

#include "health.h"
#include "listen.h"
#include "pgseal/base/bytes.h"
#include "pgseal/core/crew.h"
#include "pgseal/core/site.h"
#include "pgseal/loop/loop.h"
#include "process.h"

struct process {
	const struct process_options *opts;
	struct site *site;
	struct crew crew;
	struct listeners listeners;
	struct standing standing;
	struct health *health;
	struct loop *loop;
	struct timer *deadline; /* of a shutdown; or the next look at who is left */
	size_t started_workers, started_gates, drained_workers;
	char *pidfile;
	bool closing;     /* nobody new is let in */
	bool draining;
	bool at_once;
};

/* Tell the service manager. */
void process_notify(const char *state);

/* Log as that site wants. ERR_IO. */
enum err reload_open_log(const struct process *p, const struct site *site,
                         struct errbuf *why) MUST_CHECK;
/* Read the file and put all of it into force, or keep what is. The findings, one a line, go to
 * *text. */
enum err reload_site(struct process *p, struct buf *text) MUST_CHECK;
/* The same for one setting: what else there is to find its last reload has told. */
enum err reload_change(struct process *p, const struct setting *row, const char *value,
                       struct buf *text) MUST_CHECK;

#endif
