/* Certificates, keys and revocation lists from PEM files, each read once and checked. Private to
 * the tls floor.
 *
 * All functions report what they find to file->rep and return NULL when the file is of no use.
 * What they return is owned by the caller. */
#ifndef PGSEAL_TLS_FILES_PRIV_H
#define PGSEAL_TLS_FILES_PRIV_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "pgseal/tls/context.h"

struct pem_file {
	const char *setting; /* static */
	const char *path;
	struct place at;
	struct report *rep;
	struct tls_files *list; /* NULL: keep no record */
};

/* Is the setting given at all? */
bool files_given(const char *path);

/* A certificate with what belongs between it and its CA, the certificate first. */
STACK_OF(X509) * files_chain(const struct pem_file *file);
STACK_OF(X509) * files_authorities(const struct pem_file *file);
STACK_OF(X509_CRL) * files_crls(const struct pem_file *file);
EVP_PKEY *files_key(const struct pem_file *file);

/* Says so when the key is not the certificate's. */
void files_check_pair(const struct pem_file *key_file, X509 *cert, EVP_PKEY *key);
/* Says so when the certificate is marked for other purposes (X509_PURPOSE_*). */
void files_check_purpose(const struct pem_file *file, X509 *cert, int purpose, const char *word);

#endif
