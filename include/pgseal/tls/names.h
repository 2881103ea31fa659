/* The names in a verified certificate. OpenSSL; RFC 5280 §4.2.1.6, RFC 4514.
 *
 * Compared byte for byte everywhere: never as host names, never with case folding or wildcards.
 * A name that could be read in two ways makes the certificate unusable, not ambiguous: NUL or
 * control bytes, invalid UTF-8, a second CN, an empty or over-long (NAMES_MAX) name. BMPString and
 * other ASN.1 string types are converted to UTF-8 first. */
#ifndef PGSEAL_TLS_NAMES_H
#define PGSEAL_TLS_NAMES_H

#include <openssl/x509.h>

#include "pgseal/base/bytes.h"

#define NAMES_MAX 1024u      /* bytes in one name */
#define NAMES_COUNT_MAX 256u /* names of one type */

#define NAME_TYPE_TABLE(X)   \
	X(NAME_CN, "cn")         \
	X(NAME_DN, "dn")         \
	X(NAME_DNS, "dns")       \
	X(NAME_URI, "uri")       \
	X(NAME_EMAIL, "email")   \
	X(NAME_SHA256, "sha256") \
	X(NAME_SPKI, "spki")
enum name_type {
#define X(number, word) number,
	NAME_TYPE_TABLE(X)
#undef X
	NAME_TYPES
};
const char *name_type_word(enum name_type t);

struct names; /* owned by the caller */

/* ERR_DENIED with *why for a certificate with an unusable name, ERR_NO_MEMORY. A certificate without a
 * CN is fine (it has none); one with two has ERR_DENIED. sha256 and spki are lower-case hex of the
 * SHA-256 of the DER certificate and of the DER SubjectPublicKeyInfo. dn is RFC 4514 in canonical
 * form: most specific RDN first as in the RFC, short names CN, OU, O, C, L, ST, STREET, DC, UID,
 * others dotted decimal with #hex value, multi-valued RDNs joined by '+', escapes of RFC 4514 §2.4,
 * UTF-8 kept. */
enum err names_extract(X509 *cert, struct names **out, struct errbuf *why) MUST_CHECK;
/* Names told by hand, as if a certificate held them: "type:name". ERR_SYNTAX for what is no type, a dn
 * that is not in canonical form or a digest that is none; else as above. */
enum err names_parse(const char *const *texts, size_t count, struct names **out,
                     struct errbuf *why) MUST_CHECK;
void names_free(struct names *n);

size_t names_count(const struct names *n, enum name_type t);
/* NUL-terminated, borrowed. */
const char *names_at(const struct names *n, enum name_type t, size_t i);

/* For logs and views. */
const char *names_serial(const struct names *n); /* hex */
int64_t names_not_after(const struct names *n);  /* seconds since the epoch */

#endif
