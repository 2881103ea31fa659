/* Hash tables: uthash, which by default ends the process where memory runs out.
 *
 * Behind every HASH_ADD* ask HASH_HAS: false means out of memory; the element is then the caller's, and
 * the table as it was. */
#ifndef PGSEAL_BASE_HASH_H
#define PGSEAL_BASE_HASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define HASH_HAS(element) ((element)->hh.tbl != NULL)

#endif
