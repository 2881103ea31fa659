/* ASN.1 strings and times made plain. Private to the tls floor. */
#ifndef PGSEAL_TLS_TEXT_PRIV_H
#define PGSEAL_TLS_TEXT_PRIV_H

#include <openssl/asn1.h>
#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/err.h"

/* Is this a name that reads in one way only: no NUL, no control characters (C0, DEL, C1), valid
 * UTF-8, at most NAMES_MAX bytes? `what` stands for it in *why. ERR_DENIED. */
enum err text_check(struct bytes text, const char *what, struct errbuf *why) MUST_CHECK;

/* Convert to UTF-8, check as above and return a copy, NUL-terminated, owned by the caller. 7-bit
 * types (IA5String, PrintableString, ...) with the eighth bit set are refused: readers disagree
 * about them. ERR_DENIED, ERR_NO_MEMORY. */
enum err text_from_asn1(const ASN1_STRING *value, const char *what, char **out,
                        struct errbuf *why) MUST_CHECK;

/* Serial number as upper-case hex, as `openssl x509 -serial` prints it; owned by the caller,
 * freed with free(). NULL without memory. */
char *text_serial(const ASN1_INTEGER *serial);

/* Seconds since the epoch; false when the time is malformed. */
bool text_time(const ASN1_TIME *t, int64_t *out);

#endif
