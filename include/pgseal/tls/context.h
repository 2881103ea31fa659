/* The TLS context for clients, built and checked as a whole from files. OpenSSL.
 *
 * TLS 1.3 unless told otherwise, client certificate required and verified for its purpose, no tickets,
 * no session cache, no renegotiation, no compression; ALPN "postgresql" is chosen when offered. */
#ifndef PGSEAL_TLS_CONTEXT_H
#define PGSEAL_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "pgseal/base/report.h"
#include "pgseal/base/settings.h"

/* One file of certificates, or of a key, that the process uses, as SHOW TLS prints it. Owned by the
 * list's holder. Of a key the hash of its public key is told, as spki: in [identities]. */
struct tls_file {
	const char *setting; /* static: "client_tls_cert_file", ... */
	char *path;
	char *subject; /* RFC 4514; of the first certificate */
	char *issuer;
	char *serial;  /* hex */
	int64_t not_before; /* seconds since the epoch */
	int64_t not_after;  /* 0: a key's file, which does not end */
	char sha256[65];
	int64_t loaded_at;
};
struct tls_files {
	struct tls_file *at;
	size_t count;
};
void tls_files_free(struct tls_files *files);
/* *to is empty. ERR_NO_MEMORY: and stays so. */
enum err tls_files_copy(struct tls_files *to, const struct tls_files *from) MUST_CHECK;

/* Build the context from the client_tls_* settings. Every finding goes to rep, with `at` as its place
 * and the setting's name in the text: missing or unreadable files, a key that does not fit its
 * certificate, a world-readable key, a chain that does not verify from cert to the file's own
 * intermediates is fine (the CA need not be ours) but an expired or not yet valid certificate is an
 * error, ciphers or groups that OpenSSL does not know, an empty CA file. *out is written only when
 * nothing was wrong. files (may be NULL) gets one entry per certificate file appended. */
enum err tls_client_context(const struct settings *s, struct place at, struct report *rep,
                            SSL_CTX **out, struct tls_files *files) MUST_CHECK;

/* Verify what ssl's peer has shown once more, by another context than that of its handshake. ERR_DENIED with the reason,
 * ERR_NO_MEMORY. */
enum err tls_verify_again(const SSL *ssl, SSL_CTX *ctx, struct errbuf *why) MUST_CHECK;

/* Check the files that libpq will open for the server leg (server_tls_*), the same way; no context. */
void tls_check_server_files(const char *ca, const char *cert, const char *key, struct place at,
                            struct report *rep, struct tls_files *files);

/* Drain this thread's OpenSSL error queue into one line; "no detail" when empty. */
void tls_error_text(char *out, size_t size);

/* Why the peer's certificate was refused, for the log: filled by the context's verify callback in
 * the SSL's ex_data. */
struct tls_refusal {
	long code;        /* X509_V_ERR_*; 0: none */
	int depth;
	char subject[256];
	char serial[64];
};
const struct tls_refusal *tls_refusal(const SSL *ssl); /* NULL: none recorded */

#endif
