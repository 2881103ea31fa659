/* What has gone wrong lately, by kind, for SHOW ERRORS: the last case of each and how many there
 * were.
 *
 * All threads write to it, under a mutex: a case costs a copy of a line, next to a handshake or a
 * login that failed. The kinds are few; beyond TROUBLES_MAX the one that is quiet for longest gives
 * way. */
#ifndef PGSEAL_CORE_TROUBLES_H
#define PGSEAL_CORE_TROUBLES_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/clock.h"
#include "pgseal/base/err.h"

#define TROUBLES_MAX 64

enum trouble_side {
	TROUBLE_CLIENT, /* host: the last one's address, all of a class are one kind */
	TROUBLE_SERVER, /* host: tells kinds apart */
	TROUBLE_FILE,   /* of the configuration; class: the setting, host: the path */
};

struct trouble {
	enum trouble_side side;
	const char *class; /* static */
	char host[256];
	char sqlstate[6];  /* "" none */
	struct quoted message; /* of the last case; safe for a line */
	uint64_t count;
	usec_t last_at;    /* wall */
	bool over;         /* settled since */
};

struct troubles;

struct troubles *troubles_create(void); /* NULL: out of memory */
void troubles_free(struct troubles *t); /* NULL is fine */
/* host, sqlstate and message are copied; NULL is "". Any thread. */
void troubles_note(struct troubles *t, enum trouble_side side, const char *class, const char *host,
                   const char *sqlstate, const char *message);
/* What there was on this side is over. Any thread. */
void troubles_settle(struct troubles *t, enum trouble_side side);
/* Copy them, the latest first; how many. Any thread. */
size_t troubles_list(struct troubles *t, struct trouble out[TROUBLES_MAX]);

#endif
