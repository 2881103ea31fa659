/* Logins and sessions by identity: one worker's share. There are as many as [identities] has had labels
 * since the start. */
#ifndef PGSEAL_CORE_TALLY_H
#define PGSEAL_CORE_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/hash.h"

struct identity;

struct tally {
	UT_hash_handle hh;
	uint64_t logins;
	uint64_t sessions; /* now */
	char label[];
};

/* Find or make. NULL: out of memory. */
struct tally *tally_get(struct tally **table, const char *label);
/* The one of an identity: its rule's label; without rules, and on the Unix socket, "", because the
 * names of certificates have no end. */
struct tally *tally_of(struct tally **table, const struct identity *id);
/* Add a whole table to another. False: out of memory. */
bool tally_merge(struct tally **to, const struct tally *from);
void tally_free(struct tally **table);

#endif
