/* OpenSSL's transport, made of two functions of ours instead of a socket.
 *
 * A thread decrypts from and encrypts into buffers that all its connections share, so OpenSSL must
 * not touch the socket itself. KeyUpdates are counted here too: OpenSSL answers them in a loop inside
 * SSL_read, and a peer that sends nothing else would keep the thread busy for nothing. */
#ifndef PGSEAL_TLS_BIO_H
#define PGSEAL_TLS_BIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "pgseal/base/clock.h"
#include "pgseal/base/err.h"

/* KeyUpdates within so much application data or so much time after which a peer is closed. Real peers
 * send one per 2^24 records, or by the hour. */
#define TLS_KEY_UPDATES_MAX   32
#define TLS_KEY_UPDATES_BYTES 65536
#define TLS_KEY_UPDATES_US    (60 * USEC_PER_SEC)

/* One connection's transport. Embedded in its owner, which outlives the SSL. */
struct tls_end {
	/* Copy up to n bytes of ciphertext out; 0: none now. */
	size_t (*take)(struct tls_end *end, void *to, size_t n);
	/* Accept all n bytes of ciphertext; false: they cannot be kept. */
	bool (*give)(struct tls_end *end, const void *at, size_t n);
	uint16_t key_updates; /* since they were last forgiven */
	uint32_t data_bytes;  /* of application data since then */
	usec_t forgiven_at;
	bool flooded;         /* more than TLS_KEY_UPDATES_MAX: reads fail from now on */
};

/* So much application data came by now: KeyUpdates are forgiven in time. */
void tls_end_data(struct tls_end *end, size_t n, usec_t now);
/* Put end under ssl, replacing whatever transport it had. ERR_NO_MEMORY. */
enum err tls_end_attach(SSL *ssl, struct tls_end *end) MUST_CHECK;

#endif
