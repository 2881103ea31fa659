/* The parts of params.h: sets (params.c), what names mean to us (params_kinds.c), statements (params_sql.c). */
#ifndef PGSEAL_CORE_PARAMS_PRIV_H
#define PGSEAL_CORE_PARAMS_PRIV_H

#include "pgseal/base/hash.h"
#include "pgseal/core/params.h"

/* One allocation: the struct, its rows, and the flat form that the rows point into.
 * Flat form: for each entry, sorted by name: name, NUL, value, NUL. */
struct params {
	UT_hash_handle hh; /* by flat form */
	unsigned refs;
	uint64_t dialect;
	bool acts; /* see params_act */
	size_t count;
	size_t flat_len;
	const uint8_t *flat;
	struct param rows[];
};

/* ---- params_kinds.c ---- */

/* It changes neither how a text is read nor what a plan of it yields. */
bool params_harmless(const char *name);
/* Set p->dialect and p->acts of a set that is whole otherwise. False: out of memory. */
bool params_classify(struct params *p);
/* A parameter that acts by itself with the value in p; static. NULL: none does. */
const char *params_first_acting(const struct params *p);

#endif
