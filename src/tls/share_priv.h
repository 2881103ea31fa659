/* One copy of a certificate for all connections of a context that show it. Private to the tls floor. */
#ifndef PGSEAL_TLS_SHARE_PRIV_H
#define PGSEAL_TLS_SHARE_PRIV_H

#include <stdbool.h>

#include <openssl/ssl.h>

/* From now on clients of ctx are verified as ever, and certificates that are byte for byte those of
 * another connection are exchanged for that one's. False: out of memory. */
bool share_certificates(SSL_CTX *ctx);

#endif
