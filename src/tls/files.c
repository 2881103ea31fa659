#include "files_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dn_priv.h"
#include "pem_priv.h"
#include "pgseal/base/bytes.h"
#include "pgseal/base/clock.h"
#include "text_priv.h"

#define EXPIRES_SOON_S (7 * 24 * 3600)

bool files_given(const char *path)
{
	return path != NULL && path[0] != '\0';
}

static int64_t now_s(void)
{
	return clock_wall_us() / USEC_PER_SEC;
}

struct time_text {
	char s[32];
};

static struct time_text time_text(int64_t at)
{
	struct time_text text;
	time_t t = (time_t)at;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(text.s, sizeof text.s, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
		snprintf(text.s, sizeof text.s, "(no time)");
	return text;
}

/* ------------------------------------------------------------------ the record */

void tls_files_free(struct tls_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->at[i].path);
		free(files->at[i].subject);
		free(files->at[i].issuer);
		free(files->at[i].serial);
	}
	free(files->at);
	*files = (struct tls_files){ 0 };
}

enum err tls_files_copy(struct tls_files *to, const struct tls_files *from)
{
	bool whole = true;

	if (from->count == 0)
		return ERR_OK;
	if ((to->at = calloc(from->count, sizeof *to->at)) == NULL)
		return ERR_NO_MEMORY;
	for (; to->count < from->count; to->count++) {
		const struct tls_file *file = &from->at[to->count];
		struct tls_file *copy = &to->at[to->count];

		*copy = *file;
		copy->path = strdup(file->path);
		copy->subject = strdup(file->subject);
		copy->issuer = strdup(file->issuer);
		copy->serial = strdup(file->serial);
		whole = whole && copy->path != NULL && copy->subject != NULL &&
		        copy->issuer != NULL && copy->serial != NULL;
	}
	if (!whole)
		tls_files_free(to);
	return whole ? ERR_OK : ERR_NO_MEMORY;
}

static void hex_text(const unsigned char digest[32], char out[65])
{
	for (size_t i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void digest_text(X509 *cert, char out[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };

	X509_digest(cert, EVP_sha256(), digest, NULL);
	hex_text(digest, out);
}

static void key_digest_text(EVP_PKEY *key, char out[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);

	if (len > 0)
		EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	hex_text(digest, out);
}

/* One more entry of the list, without anything that only certificates have. NULL: none is kept, or
 * there is no memory. */
static struct tls_file *append_entry(const struct pem_file *file)
{
	struct tls_files *list = file->list;
	struct tls_file *grown;

	if (list == NULL)
		return NULL;
	grown = reallocarray(list->at, list->count + 1, sizeof *grown);
	if (grown == NULL) {
		file_fault(file, "out of memory");
		return NULL;
	}
	list->at = grown;
	grown[list->count] = (struct tls_file){
		.setting = file->setting,
		.path = strdup(file->path),
		.loaded_at = now_s(),
	};
	return &grown[list->count++];
}

static void check_entry(const struct pem_file *file, const struct tls_file *row)
{
	if (row->path == NULL || row->subject == NULL || row->issuer == NULL || row->serial == NULL)
		file_fault(file, "out of memory");
}

/* What SHOW TLS tells about the file; cert is its first certificate. */
static void record(const struct pem_file *file, X509 *cert)
{
	struct tls_file *row = append_entry(file);

	if (row == NULL)
		return;
	row->subject = dn_display(X509_get_subject_name(cert));
	row->issuer = dn_display(X509_get_issuer_name(cert));
	row->serial = text_serial(X509_get0_serialNumber(cert));
	text_time(X509_get0_notBefore(cert), &row->not_before);
	text_time(X509_get0_notAfter(cert), &row->not_after);
	digest_text(cert, row->sha256);
	check_entry(file, row);
}

static void record_key(const struct pem_file *file, EVP_PKEY *key)
{
	struct tls_file *row = append_entry(file);

	if (row == NULL)
		return;
	row->subject = strdup("");
	row->issuer = strdup("");
	row->serial = strdup("");
	key_digest_text(key, row->sha256);
	check_entry(file, row);
}

/* ------------------------------------------------------------------ certificates */

static STACK_OF(X509) * read_certificates(const struct pem_file *file)
{
	BIO *bio = pem_open(file, PEM_PUBLIC);
	STACK_OF(X509) * certs;
	char detail[256];
	X509 *cert;

	if (bio == NULL)
		return NULL;
	certs = sk_X509_new_null();
	ERR_clear_error();
	while (certs != NULL && (cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
		if (sk_X509_push(certs, cert) == 0)
			X509_free(cert);
	}
	BIO_free(bio);
	if (certs == NULL)
		file_fault(file, "out of memory");
	else if (!pem_ended(detail, sizeof detail))
		file_fault(file, "is damaged after certificate %d: %s", sk_X509_num(certs), detail);
	else if (sk_X509_num(certs) == 0)
		file_fault(file,
		           "holds no certificate: PEM is expected, with BEGIN CERTIFICATE lines");
	else
		return certs;
	sk_X509_pop_free(certs, X509_free);
	return NULL;
}

/* What is wrong with the times, in words; "" when they are fine. */
struct validity {
	char fault[96];
	char notice[96];
};

static struct validity validity(const ASN1_TIME *from, const ASN1_TIME *until)
{
	struct validity v = { 0 };
	int64_t now = now_s();
	int64_t start, end;

	if (!text_time(from, &start) || !text_time(until, &end))
		snprintf(v.fault, sizeof v.fault, "has a malformed time");
	else if (now < start)
		snprintf(v.fault, sizeof v.fault, "is not valid before %s", time_text(start).s);
	else if (now > end)
		snprintf(v.fault, sizeof v.fault, "expired at %s", time_text(end).s);
	else if (end - now < EXPIRES_SOON_S)
		snprintf(v.notice, sizeof v.notice, "expires soon, at %s", time_text(end).s);
	return v;
}

/* One certificate's times; true when it can be used now. `faults` tells whether not being so
 * refuses the configuration. */
static bool check_times(const struct pem_file *file, X509 *cert, bool faults)
{
	struct validity v = validity(X509_get0_notBefore(cert), X509_get0_notAfter(cert));
	char *subject = dn_display(X509_get_subject_name(cert));
	struct quoted who = quote_str(subject != NULL ? subject : "(no memory)");

	free(subject);
	if (v.fault[0] != '\0' && faults)
		file_fault(file, "the certificate of %s %s: renew it", who.s, v.fault);
	else if (v.fault[0] != '\0' || v.notice[0] != '\0')
		file_notice(file, "the certificate of %s %s", who.s,
		            v.fault[0] != '\0' ? v.fault : v.notice);
	return v.fault[0] == '\0';
}

STACK_OF(X509) * files_chain(const struct pem_file *file)
{
	STACK_OF(X509) *certs = read_certificates(file);

	if (certs == NULL)
		return NULL;
	record(file, sk_X509_value(certs, 0));
	for (int i = 0; i < sk_X509_num(certs); i++)
		check_times(file, sk_X509_value(certs, i), i == 0);
	return certs;
}

/* Bundles keep old authorities for a while: only a file of which nothing is left is a fault. */
STACK_OF(X509) * files_authorities(const struct pem_file *file)
{
	STACK_OF(X509) *certs = read_certificates(file);
	int usable = 0;

	if (certs == NULL)
		return NULL;
	record(file, sk_X509_value(certs, 0));
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		if (X509_check_ca(cert) == 0)
			file_notice(file, "certificate %d is not marked as a CA", i + 1);
		usable += check_times(file, cert, false);
	}
	if (usable == 0)
		file_fault(file, "none of its certificates is valid now: add one that is");
	return certs;
}

void files_check_purpose(const struct pem_file *file, X509 *cert, int purpose, const char *word)
{
	if (X509_check_purpose(cert, purpose, 0) != 1)
		file_notice(file,
		            "the certificate is not marked for TLS %s use (extended key usage): "
		            "peers that check will refuse it",
		            word);
}

/* ------------------------------------------------------------------ revocation lists */

static STACK_OF(X509_CRL) * read_crls(const struct pem_file *file)
{
	BIO *bio = pem_open(file, PEM_PUBLIC);
	STACK_OF(X509_CRL) * crls;
	char detail[256];
	X509_CRL *crl;

	if (bio == NULL)
		return NULL;
	crls = sk_X509_CRL_new_null();
	ERR_clear_error();
	while (crls != NULL && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
		if (sk_X509_CRL_push(crls, crl) == 0)
			X509_CRL_free(crl);
	}
	BIO_free(bio);
	if (crls == NULL)
		file_fault(file, "out of memory");
	else if (!pem_ended(detail, sizeof detail))
		file_fault(file, "is damaged after list %d: %s", sk_X509_CRL_num(crls), detail);
	else if (sk_X509_CRL_num(crls) == 0)
		file_fault(file,
		           "holds no revocation list: PEM is expected, with BEGIN X509 CRL lines");
	else
		return crls;
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	return NULL;
}

/* nextUpdate is optional; without it the list stays current. */
static bool check_crl_times(const struct pem_file *file, const X509_CRL *crl)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	int64_t until;

	if (next == NULL || (text_time(next, &until) && now_s() <= until))
		return true;
	file_notice(file,
	            "a revocation list is out of date: certificates of its CA will be refused");
	return false;
}

STACK_OF(X509_CRL) * files_crls(const struct pem_file *file)
{
	STACK_OF(X509_CRL) *crls = read_crls(file);
	int current = 0;

	if (crls == NULL)
		return NULL;
	for (int i = 0; i < sk_X509_CRL_num(crls); i++)
		current += check_crl_times(file, sk_X509_CRL_value(crls, i));
	if (current == 0)
		file_fault(file, "all its lists are out of date: every client would be refused; "
		                 "fetch new ones");
	return crls;
}

/* ------------------------------------------------------------------ keys */

/* OpenSSL would ask at the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *asked)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	*(bool *)asked = true;
	return -1;
}

EVP_PKEY *files_key(const struct pem_file *file)
{
	BIO *bio = pem_open(file, PEM_SECRET);
	bool encrypted = false;
	char detail[256];
	EVP_PKEY *key;

	if (bio == NULL)
		return NULL;
	ERR_clear_error();
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
	BIO_free(bio);
	if (key != NULL) {
		record_key(file, key);
		return key;
	}
	tls_error_text(detail, sizeof detail);
	if (encrypted)
		file_fault(file, "the private key is encrypted: store it without a passphrase "
		                 "(openssl pkey -in ... -out ...)");
	else
		file_fault(file, "holds no private key in PEM: %s", detail);
	return NULL;
}

void files_check_pair(const struct pem_file *key_file, X509 *cert, EVP_PKEY *key)
{
	if (X509_check_private_key(cert, key) != 1)
		file_fault(key_file, "the private key does not belong to the certificate: name the "
		                     "key that the certificate was made for");
	ERR_clear_error();
}

void tls_check_server_files(const char *ca, const char *cert, const char *key, struct place at,
                            struct report *rep, struct tls_files *files)
{
	struct pem_file ca_file = { "server_tls_ca_file", ca, at, rep, files };
	struct pem_file cert_file = { "server_tls_cert_file", cert, at, rep, files };
	struct pem_file key_file = { "server_tls_key_file", key, at, rep, files };
	STACK_OF(X509) *authorities = files_given(ca) ? files_authorities(&ca_file) : NULL;
	STACK_OF(X509) *chain = files_given(cert) ? files_chain(&cert_file) : NULL;
	EVP_PKEY *pkey = files_given(key) ? files_key(&key_file) : NULL;

	if (chain != NULL)
		files_check_purpose(&cert_file, sk_X509_value(chain, 0), X509_PURPOSE_SSL_CLIENT,
		                    "client");
	if (chain != NULL && pkey != NULL)
		files_check_pair(&key_file, sk_X509_value(chain, 0), pkey);
	EVP_PKEY_free(pkey);
	sk_X509_pop_free(chain, X509_free);
	sk_X509_pop_free(authorities, X509_free);
	ERR_clear_error();
}
