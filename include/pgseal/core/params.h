/* Session parameters: what a client wants to be in force and what a server has in force.
 *
 * Sets are interned per worker, so "does this server suit this session?" is a comparison of pointers.
 * Names compare without regard to case, as PostgreSQL's do, and keep the server's spelling. */
#ifndef PGSEAL_CORE_PARAMS_H
#define PGSEAL_CORE_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"

struct param {
	const char *name;
	const char *value;
	bool reported; /* the server tells of every change (ParameterStatus); others only we know */
};

struct params; /* immutable, reference-counted, one worker's */
struct params_table;

struct params_table *params_table_create(void); /* NULL: out of memory */
void params_table_free(struct params_table *t); /* every set has been released */

struct params *params_hold(struct params *p);
void params_release(struct params_table *t, struct params *p); /* NULL is fine */

/* A number that differs where PostgreSQL would read the same text as another statement: by the encoding it is
 * in, or what its literals mean. Never 0, the same in all workers. */
uint64_t params_dialect(const struct params *p);

size_t params_count(const struct params *p);
const struct param *params_at(const struct params *p, size_t i);
const struct param *params_find(const struct params *p, const char *name); /* NULL: not in it */
const char *params_get(const struct params *p, const char *name);          /* NULL: not in it */

/* *p becomes the set with this value; the old reference is released. ERR_NO_MEMORY. */
enum err params_put(struct params_table *t, struct params **p, const char *name, const char *value,
                    bool reported) MUST_CHECK;
/* *p becomes the set without it. ERR_NO_MEMORY. */
enum err params_drop(struct params_table *t, struct params **p, const char *name) MUST_CHECK;
/* *have, after our statements for `want` succeeded: its reported values as the server told them, the
 * others as wanted. */
enum err params_settle(struct params_table *t, struct params **have,
                       const struct params *want) MUST_CHECK;
/* *have after a client's SET or RESET: what the server does not report may be anything now. */
enum err params_doubt(struct params_table *t, struct params **have) MUST_CHECK;
/* *have after DISCARD ALL: only what the server reports. */
enum err params_forget(struct params_table *t, struct params **have) MUST_CHECK;

/* Append to sql the one string of statements that turns `have` into `want`: pg_catalog.set_config for
 * what differs, RESET for what only `have` knows; nothing when there is nothing to do. */
enum err params_difference(const struct params *want, const struct params *have,
                           struct buf *sql) MUST_CHECK;
/* Append a literal of this text that means the same whatever the session's parameters are. */
enum err params_literal(struct buf *sql, const char *text) MUST_CHECK;
/* The server alone decides this one (server_version, is_superuser, ...): it is told, never set. */
bool params_read_only(const char *name);

/* Flat form, to pass between threads. */
struct bytes params_flat(const struct params *p);                       /* borrowed */
struct params *params_parse(struct params_table *t, struct bytes flat); /* NULL: out of memory */
/* Append one entry to a flat form under construction, in any order. */
enum err params_flat_add(struct buf *flat, const char *name, const char *value,
                         bool reported) MUST_CHECK;

#endif
