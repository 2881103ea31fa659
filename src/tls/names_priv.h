/* Names put together by hand. Private to the tls floor. */
#ifndef PGSEAL_TLS_NAMES_PRIV_H
#define PGSEAL_TLS_NAMES_PRIV_H

#include "pgseal/tls/names.h"

/* Serial "0", no expiry. NULL without memory. */
struct names *names_create(void);

/* Add a name after the checks that every name undergoes. ERR_DENIED, ERR_NO_MEMORY. */
enum err names_add(struct names *n, enum name_type t, const char *text,
                   struct errbuf *why) MUST_CHECK;

/* The type that the word stands for; false when there is none. */
bool name_type_find(const char *word, size_t len, enum name_type *out);

#endif
