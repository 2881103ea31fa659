#include "dn_priv.h"

#include <ctype.h>
#include <openssl/objects.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/bytes.h"
#include "pgseal/tls/names.h"
#include "text_priv.h"

/* RFC 4514 §3: the short names that every reader must know. */
static const struct attribute_type {
	int nid;
	const char *word;
} attribute_types[] = {
	{ NID_commonName, "CN" },        { NID_organizationalUnitName, "OU" },
	{ NID_organizationName, "O" },   { NID_countryName, "C" },
	{ NID_localityName, "L" },       { NID_stateOrProvinceName, "ST" },
	{ NID_streetAddress, "STREET" }, { NID_domainComponent, "DC" },
	{ NID_userId, "UID" },
};
#define ATTRIBUTE_TYPES (sizeof attribute_types / sizeof attribute_types[0])

/* RFC 4514 §2.4: escaped wherever they stand. */
static const char dn_specials[] = "\"+,;<>\\";
static const char hex_digits[] = "0123456789ABCDEF";

static const char *short_name(const ASN1_OBJECT *type)
{
	int nid = OBJ_obj2nid(type);

	for (size_t i = 0; i < ATTRIBUTE_TYPES; i++) {
		if (attribute_types[i].nid == nid)
			return attribute_types[i].word;
	}
	return NULL;
}

static enum err put(struct buf *out, const char *text, size_t n, struct errbuf *why)
{
	if (n > NAMES_MAX - out->len)
		return err_set(why, ERR_DENIED, "subject is longer than %u bytes", NAMES_MAX);
	if (buf_append(out, text, n) != ERR_OK)
		return err_set(why, ERR_NO_MEMORY, "out of memory");
	return ERR_OK;
}

static bool needs_escape(const char *text, size_t i, size_t len)
{
	char c = text[i];

	if (c == ' ')
		return i == 0 || i == len - 1;
	if (c == '#')
		return i == 0;
	return strchr(dn_specials, c) != NULL;
}

static enum err put_escaped(struct buf *out, const char *text, struct errbuf *why)
{
	size_t len = strlen(text);
	enum err rc = ERR_OK;

	for (size_t i = 0; i < len && rc == ERR_OK; i++) {
		if (needs_escape(text, i, len))
			rc = put(out, "\\", 1, why);
		if (rc == ERR_OK)
			rc = put(out, text + i, 1, why);
	}
	return rc;
}

/* "#" and the BER of the value in hex: for types without a short name, whose syntax we do not
 * know. */
static enum err put_hex(struct buf *out, ASN1_STRING *value, struct errbuf *why)
{
	ASN1_TYPE any = { .type = ASN1_STRING_type(value), .value.asn1_string = value };
	unsigned char *der = NULL;
	int n = i2d_ASN1_TYPE(&any, &der);
	enum err rc;

	if (n < 0)
		return err_set(why, ERR_DENIED, "subject holds a value that cannot be encoded");
	rc = put(out, "#", 1, why);
	for (int i = 0; i < n && rc == ERR_OK; i++) {
		char pair[2] = { hex_digits[der[i] >> 4], hex_digits[der[i] & 15] };

		rc = put(out, pair, sizeof pair, why);
	}
	OPENSSL_free(der);
	return rc;
}

static enum err put_text(struct buf *out, const ASN1_STRING *value, struct errbuf *why)
{
	char *text = NULL;
	enum err rc = text_from_asn1(value, "a value of the subject", &text, why);

	if (rc == ERR_OK)
		rc = put_escaped(out, text, why);
	free(text);
	return rc;
}

static enum err put_attribute(struct buf *out, const X509_NAME_ENTRY *entry, struct errbuf *why)
{
	const ASN1_OBJECT *type = X509_NAME_ENTRY_get_object(entry);
	ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
	const char *word = short_name(type);
	char dotted[128];
	enum err rc;
	int n;

	if (word == NULL) {
		n = OBJ_obj2txt(dotted, sizeof dotted, type, 1);
		if (n <= 0 || (size_t)n >= sizeof dotted)
			return err_set(why, ERR_DENIED,
			               "subject holds an over-long attribute type");
	}
	rc = put(out, word != NULL ? word : dotted, strlen(word != NULL ? word : dotted), why);
	if (rc == ERR_OK)
		rc = put(out, "=", 1, why);
	if (rc != ERR_OK)
		return rc;
	return word != NULL ? put_text(out, value, why) : put_hex(out, value, why);
}

enum err dn_write(const X509_NAME *name, char **out, struct errbuf *why)
{
	struct buf text = { 0 };
	int count = X509_NAME_entry_count(name);
	enum err rc = ERR_OK;
	int rdn = 0;

	for (int i = count - 1; i >= 0 && rc == ERR_OK; i--) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		int of = X509_NAME_ENTRY_set(entry);

		if (i < count - 1)
			rc = put(&text, of == rdn ? "+" : ",", 1, why);
		if (rc == ERR_OK)
			rc = put_attribute(&text, entry, why);
		rdn = of;
	}
	if (rc == ERR_OK && buf_append(&text, "", 1) != ERR_OK)
		rc = err_set(why, ERR_NO_MEMORY, "out of memory");
	if (rc != ERR_OK) {
		buf_free(&text);
		return rc;
	}
	*out = (char *)text.at;
	return ERR_OK;
}

static char *display_loose(const X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *copy = NULL;
	char *at;
	long n;

	if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
		n = BIO_get_mem_data(bio, &at);
		copy = n > 0 ? strndup(at, (size_t)n) : strdup("");
	}
	BIO_free(bio);
	return copy;
}

char *dn_display(const X509_NAME *name)
{
	struct errbuf ignored;
	char *text = NULL;

	if (dn_write(name, &text, &ignored) == ERR_OK)
		return text;
	return display_loose(name);
}

static bool is_short_name(const char *at, size_t n)
{
	for (size_t i = 0; i < ATTRIBUTE_TYPES; i++) {
		if (strlen(attribute_types[i].word) == n &&
		    memcmp(attribute_types[i].word, at, n) == 0)
			return true;
	}
	return false;
}

static bool is_dotted(const char *at, size_t n)
{
	return n > 0 && isdigit((unsigned char)at[0]) && strspn(at, "0123456789.") == n;
}

/* Bytes up to the next comma or plus that no backslash guards. */
static size_t value_length(const char *at)
{
	size_t n = 0;

	while (at[n] != '\0' && at[n] != ',' && at[n] != '+')
		n += at[n] == '\\' && at[n + 1] != '\0' ? 2 : 1;
	return n;
}

/* Take the escapes off and compare with what put_escaped would make of the rest. */
static bool is_canonical(const char *at, size_t len)
{
	char plain[NAMES_MAX];
	size_t n = 0, pos = 0;

	for (size_t i = 0; i < len; i++) {
		if (n == sizeof plain)
			return false;
		if (at[i] == '\\' && i + 1 < len)
			i++;
		plain[n++] = at[i];
	}
	for (size_t i = 0; i < n; i++) {
		if (needs_escape(plain, i, n) && at[pos++] != '\\')
			return false;
		if (at[pos++] != plain[i])
			return false;
	}
	return pos == len;
}

static bool skip_value(const char **at)
{
	size_t n = value_length(*at);
	bool fine = is_canonical(*at, n);

	*at += fine ? n : 0;
	return fine;
}

static bool skip_hex(const char **at)
{
	size_t n;

	if (**at != '#')
		return false;
	n = strspn(*at + 1, hex_digits);
	*at += 1 + n;
	return n > 0 && n % 2 == 0 && (**at == '\0' || **at == ',' || **at == '+');
}

static const char rdn_remedy[] =
	"write CN=a,OU=b,O=c without blanks after commas; types are CN, OU, O, C, L, ST, STREET, "
	"DC, UID or a dotted number";
static const char escape_remedy[] =
	"a backslash must stand before \"+,;<>\\, a leading # and a blank at either end, "
	"and nowhere else";
static const char hex_remedy[] =
	"the value of a dotted type is # and upper-case hex of its encoding";

enum err dn_check(const char *text, struct errbuf *why)
{
	const char *at = text;

	for (;;) {
		size_t n = strcspn(at, "=,+");
		bool named = is_short_name(at, n);

		if (at[n] != '=' || (!named && !is_dotted(at, n)))
			return err_set(why, ERR_SYNTAX, "\"%s\" does not begin an RDN: %s",
			               quote_str(at).s, rdn_remedy);
		at += n + 1;
		if (named ? !skip_value(&at) : !skip_hex(&at))
			return err_set(why, ERR_SYNTAX, "near \"%s\": %s", quote_str(at).s,
			               named ? escape_remedy : hex_remedy);
		if (*at == '\0')
			return ERR_OK;
		at++;
	}
}
