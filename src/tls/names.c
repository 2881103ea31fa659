#include "pgseal/tls/names.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "dn_priv.h"
#include "names_priv.h"
#include "text_priv.h"

#define SERIAL_BYTES_MAX 64 /* RFC 5280 allows 20 */
#define DIGEST_HEX (2 * SHA256_DIGEST_LENGTH + 1)

struct names {
	char **at[NAME_TYPES];
	size_t count[NAME_TYPES];
	char *serial;
	int64_t not_after;
};

static const char *const type_words[NAME_TYPES] = {
#define X(number, word) [number] = word,
	NAME_TYPE_TABLE(X)
#undef X
};

const char *name_type_word(enum name_type t)
{
	return type_words[t];
}

bool name_type_find(const char *word, size_t len, enum name_type *out)
{
	for (size_t i = 0; i < NAME_TYPES; i++) {
		if (strlen(type_words[i]) == len && memcmp(type_words[i], word, len) == 0) {
			*out = (enum name_type)i;
			return true;
		}
	}
	return false;
}

static enum err no_memory(struct errbuf *why)
{
	return err_set(why, ERR_NO_MEMORY, "out of memory");
}

/* Takes text over, also when it fails. */
static enum err add_owned(struct names *n, enum name_type t, char *text, struct errbuf *why)
{
	enum err rc = ERR_OK;
	char **grown;

	if (text[0] == '\0')
		rc = err_set(why, ERR_DENIED, "the certificate's %s is empty", type_words[t]);
	else if (n->count[t] == NAMES_COUNT_MAX)
		rc = err_set(why, ERR_DENIED, "the certificate has more than %u names of type %s",
		             NAMES_COUNT_MAX, type_words[t]);
	if (rc == ERR_OK) {
		grown = reallocarray(n->at[t], n->count[t] + 1, sizeof *grown);
		if (grown != NULL) {
			n->at[t] = grown;
			grown[n->count[t]++] = text;
			return ERR_OK;
		}
		rc = no_memory(why);
	}
	free(text);
	return rc;
}

enum err names_add(struct names *n, enum name_type t, const char *text, struct errbuf *why)
{
	enum err rc = text_check(bytes_of(text), type_words[t], why);
	char *copy;

	if (rc != ERR_OK)
		return rc;
	copy = strdup(text);
	return copy == NULL ? no_memory(why) : add_owned(n, t, copy, why);
}

static enum err add_asn1(struct names *n, enum name_type t, const ASN1_STRING *value,
                         struct errbuf *why)
{
	char what[64];
	char *text = NULL;
	enum err rc;

	snprintf(what, sizeof what, "the certificate's %s", type_words[t]);
	rc = text_from_asn1(value, what, &text, why);
	return rc == ERR_OK ? add_owned(n, t, text, why) : rc;
}

static enum err take_cn(struct names *n, X509 *cert, struct errbuf *why)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at < 0)
		return ERR_OK;
	if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return err_set(why, ERR_DENIED, "the certificate has more than one CN");
	return add_asn1(n, NAME_CN, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)),
	                why);
}

static enum err take_dn(struct names *n, X509 *cert, struct errbuf *why)
{
	char *text = NULL;
	enum err rc = dn_write(X509_get_subject_name(cert), &text, why);

	if (rc != ERR_OK)
		return rc;
	if (text[0] == '\0') {
		free(text);
		return ERR_OK;
	}
	return add_owned(n, NAME_DN, text, why);
}

static enum err take_general_name(struct names *n, const GENERAL_NAME *name, struct errbuf *why)
{
	static const struct {
		int from;
		enum name_type to;
	} kinds[] = {
		{ GEN_DNS, NAME_DNS },
		{ GEN_URI, NAME_URI },
		{ GEN_EMAIL, NAME_EMAIL },
	};
	int type;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (kinds[i].from == type)
			return add_asn1(n, kinds[i].to, value, why);
	}
	return ERR_OK;
}

static enum err take_san(struct names *n, X509 *cert, struct errbuf *why)
{
	int found;
	GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, &found, NULL);
	enum err rc = ERR_OK;

	/* -1 means that there is none; otherwise it is malformed or there are two */
	if (all == NULL)
		return found == -1
		               ? ERR_OK
		               : err_set(why, ERR_DENIED,
		                         "the certificate's subject alternative name is malformed");
	for (int i = 0; i < sk_GENERAL_NAME_num(all) && rc == ERR_OK; i++)
		rc = take_general_name(n, sk_GENERAL_NAME_value(all, i), why);
	GENERAL_NAMES_free(all);
	return rc;
}

static enum err add_digest(struct names *n, enum name_type t, const unsigned char *digest,
                           struct errbuf *why)
{
	char hex[DIGEST_HEX];

	for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return names_add(n, t, hex, why);
}

static enum err take_sha256(struct names *n, X509 *cert, struct errbuf *why)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	if (X509_digest(cert, EVP_sha256(), digest, NULL) != 1)
		return no_memory(why);
	return add_digest(n, NAME_SHA256, digest, why);
}

/* The whole SubjectPublicKeyInfo; X509_pubkey_digest would leave the algorithm out. */
static enum err take_spki(struct names *n, X509 *cert, struct errbuf *why)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	if (len < 0)
		return err_set(why, ERR_DENIED, "the certificate's public key cannot be encoded");
	SHA256(der, (size_t)len, digest);
	OPENSSL_free(der);
	return add_digest(n, NAME_SPKI, digest, why);
}

static enum err take_facts(struct names *n, X509 *cert, struct errbuf *why)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);

	if (ASN1_STRING_length(serial) > SERIAL_BYTES_MAX)
		return err_set(why, ERR_DENIED, "the certificate's serial number is over-long");
	if (!text_time(X509_get0_notAfter(cert), &n->not_after))
		return err_set(why, ERR_DENIED, "the certificate's time of expiry is malformed");
	free(n->serial);
	n->serial = text_serial(serial);
	return n->serial == NULL ? no_memory(why) : ERR_OK;
}

struct names *names_create(void)
{
	struct names *n = calloc(1, sizeof *n);

	if (n == NULL)
		return NULL;
	n->not_after = INT64_MAX;
	n->serial = strdup("0");
	if (n->serial == NULL) {
		free(n);
		return NULL;
	}
	return n;
}

enum err names_extract(X509 *cert, struct names **out, struct errbuf *why)
{
	static enum err (*const takers[])(struct names *, X509 *, struct errbuf *) = {
		take_facts, take_cn, take_dn, take_san, take_sha256, take_spki,
	};
	struct names *n = names_create();
	enum err rc = ERR_OK;

	if (n == NULL)
		return no_memory(why);
	/* what a malformed certificate leaves in the error queue would mislead SSL_get_error
	 * later */
	ERR_set_mark();
	for (size_t i = 0; i < sizeof takers / sizeof takers[0] && rc == ERR_OK; i++)
		rc = takers[i](n, cert, why);
	ERR_pop_to_mark();
	if (rc != ERR_OK) {
		names_free(n);
		return rc;
	}
	*out = n;
	return ERR_OK;
}

/* Lower-case hex without colons, as certificates' digests are written here. ERR_SYNTAX. */
static enum err plain_digest(const char *text, char out[DIGEST_HEX], struct errbuf *why)
{
	size_t n = 0;

	for (; *text != '\0' && n < DIGEST_HEX - 1; text++) {
		if (*text != ':')
			out[n++] = (char)tolower((unsigned char)*text);
	}
	out[n] = '\0';
	if (*text != '\0' || n != DIGEST_HEX - 1 || strspn(out, "0123456789abcdef") != n)
		return err_set(why, ERR_SYNTAX, "a digest is 64 hex digits, colons allowed");
	return ERR_OK;
}

static enum err parse_one(struct names *n, const char *text, struct errbuf *why)
{
	size_t len = strcspn(text, ":");
	const char *name = text + len + 1;
	char digest[DIGEST_HEX];
	enum err rc = ERR_OK;
	enum name_type t;

	if (text[len] == '\0' || !name_type_find(text, len, &t))
		return err_set(why, ERR_SYNTAX,
		               "\"%s\" is not type:name with a type of cn, dn, dns, uri, email, "
		               "sha256, spki",
		               quote_str(text).s);
	if (t == NAME_DN)
		rc = dn_check(name, why);
	if (t == NAME_SHA256 || t == NAME_SPKI) {
		rc = plain_digest(name, digest, why);
		name = digest;
	}
	return rc == ERR_OK ? names_add(n, t, name, why) : rc;
}

enum err names_parse(const char *const *texts, size_t count, struct names **out,
                     struct errbuf *why)
{
	struct names *n = names_create();
	enum err rc = n != NULL ? ERR_OK : no_memory(why);

	for (size_t i = 0; rc == ERR_OK && i < count; i++)
		rc = parse_one(n, texts[i], why);
	if (rc == ERR_OK && n->count[NAME_CN] > 1)
		rc = err_set(why, ERR_SYNTAX, "a certificate has one CN at most");
	if (rc != ERR_OK) {
		names_free(n);
		return rc;
	}
	*out = n;
	return ERR_OK;
}

void names_free(struct names *n)
{
	if (n == NULL)
		return;
	for (size_t t = 0; t < NAME_TYPES; t++) {
		for (size_t i = 0; i < n->count[t]; i++)
			free(n->at[t][i]);
		free(n->at[t]);
	}
	free(n->serial);
	free(n);
}

size_t names_count(const struct names *n, enum name_type t)
{
	return n->count[t];
}

const char *names_at(const struct names *n, enum name_type t, size_t i)
{
	return n->at[t][i];
}

const char *names_serial(const struct names *n)
{
	return n->serial;
}

int64_t names_not_after(const struct names *n)
{
	return n->not_after;
}
