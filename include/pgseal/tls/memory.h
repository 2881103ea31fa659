/* What OpenSSL does not tell: that it went without something for lack of memory. A certificate whose
 * public key or extensions could not be unpacked is one that nobody trusts, without any error. */
#ifndef PGSEAL_TLS_MEMORY_H
#define PGSEAL_TLS_MEMORY_H

/* Count from now on. Before anything else of OpenSSL's; without effect behind that. */
void tls_memory_watch(void);
/* Allocations of OpenSSL's that have failed in this thread so far. */
unsigned long tls_memory_failures(void);

#endif
