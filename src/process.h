/* The process: builds a site, opens what listens, starts the threads, and answers signals. */
#ifndef PGSEAL_PROCESS_H
#define PGSEAL_PROCESS_H

#include "pgseal/base/err.h"

struct process_options {
	const char *config; /* path of the configuration */
	const char *user;   /* -u: instead of the setting; NULL: not given */
	int verbose;        /* -v: added to the setting */
};

/* Run until told to end. Returns the exit status. Main thread. */
int process_run(const struct process_options *opts);

#endif
