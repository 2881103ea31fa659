/* Prepared statements as clients know them. Texts are interned per worker, so that clients which prepare
 * the same hold it once and share what servers have of it. All of this is one worker's. */
#ifndef PGSEAL_CORE_PREPARED_H
#define PGSEAL_CORE_PREPARED_H

#include "pgseal/base/bytes.h"
#include "pgseal/base/hash.h"
#include "pgseal/core/params.h"

/* What servers call statements of ours. Whatever else begins like this names none. */
#define PSTATEMENT_PREFIX "pgseal_"
#define PSTATEMENT_DIGEST 16
#define PSTATEMENT_NAME (sizeof(PSTATEMENT_PREFIX) - 1 + 2 * PSTATEMENT_DIGEST)
/* PostgreSQL cuts longer names (NAMEDATALEN - 1). */
#define PSTATEMENT_ALIAS_MAX 63

/* Text and declared types: a Parse but for its name. Immutable. */
struct pstatement {
	UT_hash_handle hh; /* in the worker's table, by dialect and body */
	unsigned refs;
	unsigned traits;                /* enum sql_trait of its text */
	char name[PSTATEMENT_NAME + 1]; /* on all servers; "" until pstatement_name */
	bool command;                   /* nothing in it is read before it runs */
	size_t len;
	/* Literals and names are read when it is parsed: under which parameters. See params_dialect. */
	bool one_clients;     /* parsed amid changes of parameters: it is nobody else's */
	struct params *under; /* a reference; NULL: not known, or as they are whenever it is parsed */
	uint64_t dialect;
	uint8_t body[]; /* text, NUL, count, types; as it came */
};

struct pstatement_table;

/* salt: SALT_BYTES that nobody outside can guess, the same for all workers; params: what sets belong to. Both are
 * borrowed. NULL: out of memory. */
#define PSTATEMENT_SALT 16
struct pstatement_table *pstatement_table_create(const uint8_t *salt, struct params_table *params);
void pstatement_table_free(struct pstatement_table *t); /* every statement has been released */

/* Find or make; a new reference. dialect: 0 for one that is never shared; under: what it stands for, may be NULL.
 * NULL: out of memory. */
struct pstatement *pstatement_intern(struct pstatement_table *t, struct bytes body, uint64_t dialect,
                                     struct params *under);
struct pstatement *pstatement_hold(struct pstatement *st);
void pstatement_release(struct pstatement_table *t, struct pstatement *st); /* NULL is fine */
/* Its name on servers, made of its contents: workers that know it each for themselves agree on it. */
struct bytes pstatement_name(struct pstatement_table *t, struct pstatement *st);
/* The query text alone. */
struct bytes pstatement_text(const struct pstatement *st);

/* What a client calls a statement. */
struct alias {
	UT_hash_handle hh;     /* in its session's names */
	UT_hash_handle behind; /* among those that are not by PREPARE, by their names on servers */
	/* A reference; NULL: it lives in the server under this name, made by PREPARE, or by Parse with
	 * max_prepared_statements=0. */
	struct pstatement *st;
	struct pstatement *now; /* a reference; the same as it is used under other parameters than it was parsed; NULL */
	struct pstatement *run; /* a reference; of such a one the text that made it; NULL: not known */
	uint64_t shape; /* when it was parsed: see wire/pstatement.h; 0: not known */
	bool fresh; /* of one that lives in the server: whether it does shows with the next answers */
	size_t len;
	char name[PSTATEMENT_ALIAS_MAX + 1];
};

/* What a session has prepared. */
struct prepared {
	struct alias *all;          /* uthash */
	struct alias *shared;       /* uthash by `behind`: as many of one key as there are twins */
	bool twins;                 /* some of them are the same but for their names */
	bool fresh;                 /* some were put since the last ReadyForQuery of which only an answer can tell */
	bool unsettled;             /* one was parsed under parameters that cannot be told yet */
	size_t bytes;               /* that its statements hold, shared ones counted whole */
	struct pstatement *unnamed; /* a reference; NULL: none, or too large to be remembered */
	uint64_t unnamed_shape;     /* as it was described to the client; 0: it was not */
	/* Marks the one Parse that it came from: a server with the same ticket has it. 0: there is no
	 * unnamed statement. */
	uint64_t unnamed_ticket;
};

/* name is cut as PostgreSQL cuts it. NULL: out of memory. */
struct alias *alias_create(struct bytes name, struct pstatement *st);
/* One that lives in the server. run may be NULL. */
struct alias *alias_create_own(struct bytes name, struct pstatement *run);
void alias_free(struct pstatement_table *t, struct alias *a); /* NULL is fine; in no table */
bool alias_is(const struct alias *a, struct bytes name);

struct alias *prepared_find(const struct prepared *n, struct bytes name); /* borrowed; NULL: none */
/* Takes a, whose statement has its name. One of that name makes room. ERR_NO_MEMORY: a is freed. */
enum err prepared_put(struct prepared *n, struct pstatement_table *t, struct alias *a) MUST_CHECK;
void prepared_drop(struct prepared *n, struct pstatement_table *t, struct bytes name);
void prepared_free(struct prepared *n, struct pstatement_table *t);     /* NULL is fine */
void prepared_drop_own(struct prepared *n, struct pstatement_table *t); /* made by PREPARE */
/* What was said to be prepared in the server has been answered: failed, what runs under the names is not known;
 * else it is settled. */
void prepared_settle_own(struct prepared *n, struct pstatement_table *t, bool failed);
/* Those that were parsed under parameters which could not be told were so under these, as far as is known now. */
void prepared_settle_rules(struct prepared *n, struct params *asked);
void prepared_drop_all(struct prepared *n, struct pstatement_table *t); /* not the unnamed one */
/* The unnamed one is st (taken; NULL: only the server has it) from now on; ticket 0: there is none. */
void prepared_set_unnamed(struct prepared *n, struct pstatement_table *t, struct pstatement *st,
                          uint64_t ticket);
/* Which of its aliases has that name on servers? NULL: none. */
struct alias *prepared_behind(const struct prepared *n, struct bytes server_name);
size_t prepared_count(const struct prepared *n);
/* What one more of this size would make of n->bytes. */
size_t prepared_cost(size_t body_len);

#endif
