/* Distinguished names as text, RFC 4514. Private to the tls floor. */
#ifndef PGSEAL_TLS_DN_PRIV_H
#define PGSEAL_TLS_DN_PRIV_H

#include <openssl/x509.h>

#include "pgseal/base/err.h"

/* The canonical form that names.h describes. The most specific RDN comes first, and within a
 * multi-valued RDN the last encoded value, which is the order of `openssl x509 -nameopt RFC2253`
 * and of PostgreSQL's clientname=DN. *out is owned by the caller; "" for a name without RDNs.
 * ERR_DENIED (a value that is unusable as a name, a text over NAMES_MAX), ERR_NO_MEMORY. */
enum err dn_write(const X509_NAME *name, char **out, struct errbuf *why) MUST_CHECK;

/* The same for people: a name that dn_write refuses comes out as OpenSSL writes it, control bytes
 * escaped. NULL without memory. */
char *dn_display(const X509_NAME *name);

/* Could dn_write ever give this text? ERR_SYNTAX with *why saying where and how to write it. */
enum err dn_check(const char *text, struct errbuf *why) MUST_CHECK;

#endif
