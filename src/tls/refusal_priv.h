/* What the context hangs on every handshake. Private to the tls floor. */
#ifndef PGSEAL_TLS_REFUSAL_PRIV_H
#define PGSEAL_TLS_REFUSAL_PRIV_H

#include <openssl/ssl.h>

/* OpenSSL's verify callback: remembers the first refusal in the SSL and changes nothing. */
int refusal_verify(int fine, X509_STORE_CTX *store);

#endif
