/* Reading a PEM file as a whole. Private to the tls floor. */
#ifndef PGSEAL_TLS_PEM_PRIV_H
#define PGSEAL_TLS_PEM_PRIV_H

#include <openssl/bio.h>

#include "files_priv.h"

enum secrecy { PEM_PUBLIC, PEM_SECRET };

/* The file's contents in memory, to be freed by BIO_free. PEM_SECRET: the file must not be
 * accessible to others (root's may be readable by its group). */
BIO *pem_open(const struct pem_file *file, enum secrecy secrecy);

/* What stopped a loop of PEM_read_bio_*: nothing but the end of the file? Clears the error queue;
 * writes to *detail otherwise. */
bool pem_ended(char *detail, size_t size);

void file_fault(const struct pem_file *file, const char *fmt, ...) PRINTF_LIKE(2, 3);
void file_notice(const struct pem_file *file, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
