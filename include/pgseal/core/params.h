/* Session parameters: sets of names and values. What a client asked for is one set (session->asked), what a
 * server reports another (server->reported): the first is carried from server to server, the second is told.
 *
 * Sets are interned per worker, so "does this server suit this session?" is a comparison of pointers.
 * Names compare without regard to case, as PostgreSQL's do. Values are bytes of the server's encoding. */
#ifndef PGSEAL_CORE_PARAMS_H
#define PGSEAL_CORE_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"

struct param {
	const char *name;
	const char *value;
};

struct params; /* immutable, reference-counted, one worker's */
struct params_table;

struct params_table *params_table_create(void); /* NULL: out of memory */
void params_table_free(struct params_table *t); /* every set has been released */

struct params *params_hold(struct params *p);
void params_release(struct params_table *t, struct params *p); /* NULL is fine */

/* A number that differs where PostgreSQL could read the same text as another statement, or plan it to another
 * result, because of what the client has set: of all parameters but those that are known to be harmless.
 * Never 0, the same in all workers. */
uint64_t params_dialect(const struct params *p);

/* Set in a transaction, may it change what a text or a plan of it means to others? PostgreSQL itself minds the role and
 * the search_path when it uses a plan; what has a dot in its name is no parameter of its own. */
bool params_changes_reading(const char *name);

size_t params_count(const struct params *p);
const struct param *params_at(const struct params *p, size_t i);
const struct param *params_find(const struct params *p, const char *name); /* NULL: not in it */
const char *params_get(const struct params *p, const char *name);          /* NULL: not in it */

/* *p becomes the set with this value; the old reference is released. ERR_NO_MEMORY. */
enum err params_put(struct params_table *t, struct params **p, const char *name,
                    const char *value) MUST_CHECK;
/* *p becomes the set without it. ERR_NO_MEMORY. */
enum err params_drop(struct params_table *t, struct params **p, const char *name) MUST_CHECK;

/* Append to sql the statements that turn what is set on a server from `have` (NULL: nobody knows) into
 * `want`, each with its NUL; nothing when there is nothing to do. They return no values. */
enum err params_difference(const struct params *want, const struct params *have,
                           struct buf *sql) MUST_CHECK;
/* Append the statements, each with its NUL, that turn what changes how texts are read from `from` to `to`; nothing
 * when there is nothing to do. */
enum err params_switch(const struct params *to, const struct params *from, struct buf *sql) MUST_CHECK;
/* Is there one among them that acts on a connection by itself, a timeout: it must not be in force while the server
 * idles, or in the hands of whoever comes next? */
bool params_act(const struct params *p);
/* Append the one string of statements that undoes those; *have becomes the set without them. ERR_NO_MEMORY. */
enum err params_undo(struct params_table *t, struct params **have, struct buf *sql) MUST_CHECK;
/* Append a literal of these bytes of the server's encoding that means the same whatever the session's
 * parameters are, client_encoding included. */
enum err params_literal(struct buf *sql, const char *text) MUST_CHECK;
/* The server alone decides this one (server_version, is_superuser, ...): it is told, never set. */
bool params_read_only(const char *name);

/* Flat form, to pass between threads. */
struct bytes params_flat(const struct params *p);                       /* borrowed */
struct params *params_parse(struct params_table *t, struct bytes flat); /* NULL: out of memory */
/* The set of nothing; a new reference. NULL: out of memory. */
struct params *params_none(struct params_table *t);
/* Append one entry to a flat form under construction, in any order. */
enum err params_flat_add(struct buf *flat, const char *name, const char *value) MUST_CHECK;

#endif
