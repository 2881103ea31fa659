/* Hash tables: uthash, which by default ends the process where memory runs out, and lets anybody choose keys
 * that all meet in one place.
 *
 * Behind every HASH_ADD* ask HASH_HAS: false means out of memory; the element is then the caller's, and
 * the table as it was. */
#ifndef PGSEAL_BASE_HASH_H
#define PGSEAL_BASE_HASH_H

#include <stddef.h>

#include "pgseal/base/err.h"

/* What is hashed from now on depends on a number that nobody outside knows. Before the first table. */
enum err hash_seed(void) MUST_CHECK;
unsigned hash_bytes(const void *at, size_t n);

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(at, n, out) ((out) = hash_bytes((at), (n)))
#include <uthash.h>

#define HASH_HAS(element) ((element)->hh.tbl != NULL)

#endif
