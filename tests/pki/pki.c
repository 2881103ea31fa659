#include "pki.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FROM_DEFAULT_S (-3600)
#define UNTIL_DEFAULT_S (24 * 3600)
#define CA_UNTIL_S (3650LL * 24 * 3600)

static atomic_llong next_serial = 1000;

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "pki: %s failed\n", what);
	ERR_print_errors_fp(stderr);
	abort();
}

static size_t length_of(const void *value, size_t len)
{
	if (len == PKI_EMPTY)
		return 0;
	return len != 0 ? len : strlen(value);
}

/* ------------------------------------------------------------------ parts of a certificate */

/* Through ASN1_STRING by hand, as X509_NAME_add_entry_by_* refuses what tests need to be wrong. */
static void add_attribute(X509_NAME *name, const struct pki_attribute *a)
{
	ASN1_OBJECT *type = OBJ_txt2obj(a->type, 0);
	X509_NAME_ENTRY *entry = X509_NAME_ENTRY_new();
	ASN1_STRING *value;

	must(type != NULL && entry != NULL, "attribute type");
	must(X509_NAME_ENTRY_set_object(entry, type) == 1, "attribute");
	value = X509_NAME_ENTRY_get_data(entry);
	must(ASN1_STRING_set(value, a->value, (int)length_of(a->value, a->len)) == 1, "value");
	value->type = a->asn1_type != 0 ? a->asn1_type : V_ASN1_UTF8STRING;
	must(X509_NAME_add_entry(name, entry, -1, a->joined ? -1 : 0) == 1, "add attribute");
	X509_NAME_ENTRY_free(entry);
	ASN1_OBJECT_free(type);
}

static X509_NAME *make_subject(const struct pki_options *o)
{
	const uint8_t *der = o->subject_der;
	X509_NAME *name;

	if (der != NULL) {
		name = d2i_X509_NAME(NULL, &der, (long)o->subject_der_len);
		must(name != NULL, "subject from DER");
		return name;
	}
	name = X509_NAME_new();
	must(name != NULL, "subject");
	for (size_t i = 0; i < PKI_ATTRIBUTES && o->subject[i].type != NULL; i++)
		add_attribute(name, &o->subject[i]);
	if (o->cn != NULL)
		add_attribute(name, &(struct pki_attribute){ .type = "CN",
		                                             .value = o->cn,
		                                             .len = *o->cn ? 0 : PKI_EMPTY });
	return name;
}

static GENERAL_NAME *make_san(const struct pki_san *san)
{
	static const int types[] = {
		[PKI_SAN_DNS] = GEN_DNS,
		[PKI_SAN_URI] = GEN_URI,
		[PKI_SAN_EMAIL] = GEN_EMAIL,
		[PKI_SAN_IP] = GEN_IPADD,
	};
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *value = ASN1_STRING_type_new(san->type == PKI_SAN_IP ? V_ASN1_OCTET_STRING
	                                                                  : V_ASN1_IA5STRING);

	must(name != NULL && value != NULL, "SAN");
	must(ASN1_STRING_set(value, san->value, (int)length_of(san->value, san->len)) == 1, "SAN");
	GENERAL_NAME_set0_value(name, types[san->type], value);
	return name;
}

static void add_sans(X509 *x509, const struct pki_san *sans)
{
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();

	must(all != NULL, "SANs");
	for (size_t i = 0; sans[i].type != PKI_SAN_END; i++)
		must(sk_GENERAL_NAME_push(all, make_san(&sans[i])) > 0, "SAN");
	if (sk_GENERAL_NAME_num(all) > 0)
		must(X509_add1_ext_i2d(x509, NID_subject_alt_name, all, 0, 0) == 1, "SANs");
	GENERAL_NAMES_free(all);
}

static void add_extension(X509 *x509, const X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, (X509 *)issuer, x509, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(ext != NULL && X509_add_ext(x509, ext, -1) == 1, value);
	X509_EXTENSION_free(ext);
}

static void add_extensions(X509 *x509, const struct pki_options *o)
{
	const X509 *issuer = o->issuer != NULL ? o->issuer->x509 : x509;
	struct pki_san sans[PKI_SANS + 1] = { 0 };

	memcpy(sans, o->sans, sizeof o->sans);
	add_extension(x509, issuer, NID_basic_constraints,
	              o->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	add_extension(x509, issuer, NID_key_usage,
	              o->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
	add_extension(x509, issuer, NID_subject_key_identifier, "hash");
	add_extension(x509, issuer, NID_authority_key_identifier, "keyid");
	if (o->eku != NULL)
		add_extension(x509, issuer, NID_ext_key_usage, o->eku);
	add_sans(x509, o->more_sans != NULL ? o->more_sans : sans);
}

static void set_validity(X509 *x509, const struct pki_options *o)
{
	bool given = o->from_s != 0 || o->until_s != 0;
	time_t now = time(NULL);
	int64_t from = given ? o->from_s : FROM_DEFAULT_S;
	int64_t until = given ? o->until_s : o->ca ? CA_UNTIL_S : UNTIL_DEFAULT_S;

	must(ASN1_TIME_set(X509_getm_notBefore(x509), now + from) != NULL, "notBefore");
	must(ASN1_TIME_set(X509_getm_notAfter(x509), now + until) != NULL, "notAfter");
}

/* ------------------------------------------------------------------ certificates */

/* As a peer would receive it: the subject's order, for one, is settled by the encoding. */
static X509 *reread(X509 *x509)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x509, &der);
	const unsigned char *at = der;
	X509 *copy = len < 0 ? NULL : d2i_X509(NULL, &at, len);

	must(copy != NULL, "re-reading the certificate");
	OPENSSL_free(der);
	X509_free(x509);
	return copy;
}

struct pki_cert *pki_make(const struct pki_options *o)
{
	struct pki_cert *cert = calloc(1, sizeof *cert);
	X509_NAME *subject = make_subject(o);
	long long serial = o->serial != 0 ? o->serial : atomic_fetch_add(&next_serial, 1);

	must(cert != NULL && (cert->x509 = X509_new()) != NULL, "certificate");
	if (o->key != NULL && EVP_PKEY_up_ref(o->key) == 1)
		cert->key = o->key;
	else
		cert->key = EVP_EC_gen("P-256");
	must(cert->key != NULL, "key");
	X509_set_version(cert->x509, X509_VERSION_3);
	ASN1_INTEGER_set_int64(X509_get_serialNumber(cert->x509), serial);
	must(X509_set_subject_name(cert->x509, subject) == 1, "subject");
	must(X509_set_issuer_name(cert->x509, o->issuer != NULL
	                                              ? X509_get_subject_name(o->issuer->x509)
	                                              : subject) == 1,
	     "issuer");
	X509_set_pubkey(cert->x509, cert->key);
	set_validity(cert->x509, o);
	add_extensions(cert->x509, o);
	must(X509_sign(cert->x509, o->issuer != NULL ? o->issuer->key : cert->key, EVP_sha256()) >
	             0,
	     "signature");
	X509_NAME_free(subject);
	cert->x509 = reread(cert->x509);
	return cert;
}

void pki_free(struct pki_cert *cert)
{
	if (cert == NULL)
		return;
	X509_free(cert->x509);
	EVP_PKEY_free(cert->key);
	free(cert);
}

struct pki_cert *pki_ca(const char *cn, const struct pki_cert *issuer)
{
	return pki_make(&(struct pki_options){ .cn = cn, .ca = true, .issuer = issuer });
}

struct pki_cert *pki_client(const struct pki_cert *ca, const char *cn)
{
	return pki_make(&(struct pki_options){ .cn = cn,
	                                       .issuer = ca,
	                                       .eku = "clientAuth",
	                                       .until_s = 30 * UNTIL_DEFAULT_S,
	                                       .from_s = FROM_DEFAULT_S });
}

struct pki_cert *pki_server(const struct pki_cert *ca, const char *host)
{
	struct in_addr ip;
	bool is_ip = inet_pton(AF_INET, host, &ip) == 1;
	struct pki_options o = { .cn = host,
		                 .issuer = ca,
		                 .eku = "serverAuth",
		                 .until_s = 30 * UNTIL_DEFAULT_S,
		                 .from_s = FROM_DEFAULT_S };

	o.sans[0] = is_ip ? (struct pki_san){ PKI_SAN_IP, &ip, sizeof ip }
	                  : (struct pki_san){ PKI_SAN_DNS, host, 0 };
	return pki_make(&o);
}

static void revoke(X509_CRL *crl, const struct pki_cert *cert)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *now = ASN1_TIME_set(NULL, time(NULL));

	must(entry != NULL && now != NULL, "revocation");
	X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert->x509));
	X509_REVOKED_set_revocationDate(entry, now);
	must(X509_CRL_add0_revoked(crl, entry) == 1, "revocation");
	ASN1_TIME_free(now);
}

X509_CRL *pki_crl(const struct pki_cert *ca, const struct pki_cert *const revoked[],
                  int64_t until_s)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *from = ASN1_TIME_set(NULL, time(NULL) - 2 * UNTIL_DEFAULT_S);
	ASN1_TIME *until = ASN1_TIME_set(NULL, time(NULL) + until_s);

	must(crl != NULL && from != NULL && until != NULL, "CRL");
	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x509));
	X509_CRL_set1_lastUpdate(crl, from);
	X509_CRL_set1_nextUpdate(crl, until);
	for (size_t i = 0; revoked[i] != NULL; i++)
		revoke(crl, revoked[i]);
	X509_CRL_sort(crl);
	must(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0, "CRL signature");
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	return crl;
}

/* ------------------------------------------------------------------ files */

static FILE *create(const char *path, mode_t mode)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		perror(path);
	must(f != NULL && fchmod(fileno(f), mode) == 0, path);
	return f;
}

void pki_write_chain(const char *path, const struct pki_cert *const chain[])
{
	FILE *f = create(path, 0644);

	for (size_t i = 0; chain[i] != NULL; i++)
		must(PEM_write_X509(f, chain[i]->x509) == 1, path);
	must(fclose(f) == 0, path);
}

void pki_write_cert(const char *path, const struct pki_cert *cert)
{
	pki_write_chain(path, (const struct pki_cert *const[]){ cert, NULL });
}

void pki_write_key(const char *path, const struct pki_cert *cert, mode_t mode)
{
	FILE *f = create(path, mode);

	must(PEM_write_PrivateKey(f, cert->key, NULL, NULL, 0, NULL, NULL) == 1, path);
	must(fclose(f) == 0, path);
}

void pki_write_key_encrypted(const char *path, const struct pki_cert *cert, const char *passphrase)
{
	FILE *f = create(path, 0600);

	must(PEM_write_PrivateKey(f, cert->key, EVP_aes_256_cbc(),
	                          (const unsigned char *)passphrase, (int)strlen(passphrase), NULL,
	                          NULL) == 1,
	     path);
	must(fclose(f) == 0, path);
}

void pki_write_crl(const char *path, X509_CRL *crl)
{
	FILE *f = create(path, 0644);

	must(PEM_write_X509_CRL(f, crl) == 1, path);
	must(fclose(f) == 0, path);
}

void pki_write_text(const char *path, const char *text, mode_t mode)
{
	FILE *f = create(path, mode);

	must(fputs(text, f) >= 0 && fclose(f) == 0, path);
}
