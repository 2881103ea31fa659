/* Certificates for tests, made in memory and written to PEM files when asked. EC P-256 keys,
 * SHA-256.
 *
 *	struct pki_cert *ca = pki_ca("Test CA", NULL);
 *	struct pki_cert *alice = pki_client(ca, "alice");
 *	struct pki_cert *late = pki_make(&(struct pki_options){
 *		.cn = "bob", .issuer = ca, .from_s = -200, .until_s = -100 });
 *
 * Whatever fails ends the test program with a message. A certificate keeps what it needs of its
 * issuer: the two may be freed in any order. */
#ifndef PGSEAL_TESTS_PKI_H
#define PGSEAL_TESTS_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pki_cert {
	X509 *x509;
	EVP_PKEY *key;
};

/* One attribute of the subject. */
struct pki_attribute {
	const char *type;  /* "CN", "OU", ... or dotted; NULL ends the list */
	const void *value; /* bytes in the encoding of asn1_type */
	size_t len;        /* 0: strlen(value); PKI_EMPTY: none */
	int asn1_type;     /* V_ASN1_...; 0: UTF8String */
	bool joined;       /* in the same RDN as the one before */
};
#define PKI_EMPTY SIZE_MAX

enum pki_san_type { PKI_SAN_END, PKI_SAN_DNS, PKI_SAN_URI, PKI_SAN_EMAIL, PKI_SAN_IP };
struct pki_san {
	enum pki_san_type type;
	const void *value; /* text; of an IP the 4 or 16 bytes */
	size_t len;        /* as in pki_attribute */
};

#define PKI_ATTRIBUTES 16
#define PKI_SANS 16

/* Everything zero: self-signed, empty subject, no SAN, any purpose, valid from an hour ago for a
 * day. */
struct pki_options {
	const char *cn; /* short for one CN; goes last, after subject[] */
	struct pki_attribute subject[PKI_ATTRIBUTES]; /* in order of encoding: C first, CN last */
	const uint8_t *subject_der;                   /* a whole Name instead of the above */
	size_t subject_der_len;
	struct pki_san sans[PKI_SANS];
	const struct pki_san *more_sans; /* a longer list instead; ended by PKI_SAN_END */
	const char *eku;                 /* "clientAuth", "serverAuth,clientAuth", ... */
	int64_t from_s;                  /* validity, seconds from now; both 0: the default */
	int64_t until_s;
	bool ca;
	int64_t serial;                /* 0: the next of the process */
	const struct pki_cert *issuer; /* NULL: self-signed */
	EVP_PKEY *key;                 /* borrowed; NULL: a new one */
};

struct pki_cert *pki_make(const struct pki_options *options);
void pki_free(struct pki_cert *cert); /* NULL is fine */

/* The usual ones. pki_server has the host (a name or 127.0.0.1) as CN and as SAN. */
struct pki_cert *pki_ca(const char *cn, const struct pki_cert *issuer);
struct pki_cert *pki_client(const struct pki_cert *ca, const char *cn);
struct pki_cert *pki_server(const struct pki_cert *ca, const char *host);

/* Revocation list of ca: revokes the listed certificates (NULL-terminated), valid until until_s
 * from now. */
X509_CRL *pki_crl(const struct pki_cert *ca, const struct pki_cert *const revoked[],
                  int64_t until_s);

/* PEM files. The chain is written in the order given, NULL-terminated; keys get the mode. */
void pki_write_chain(const char *path, const struct pki_cert *const chain[]);
void pki_write_cert(const char *path, const struct pki_cert *cert);
void pki_write_key(const char *path, const struct pki_cert *cert, mode_t mode);
void pki_write_key_encrypted(const char *path, const struct pki_cert *cert, const char *passphrase);
void pki_write_crl(const char *path, X509_CRL *crl);
void pki_write_text(const char *path, const char *text, mode_t mode);

#endif
