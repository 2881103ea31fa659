/* names.h: what a certificate's names are, and which certificates have none that can be trusted. */
#include <ctype.h>

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <string.h>
#include <time.h>

#include "../../src/tls/names_priv.h"
#include "../pki/pki.h"
#include "pgseal/tls/names.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])
#define BYTES(s) .value = (s), .len = sizeof(s) - 1

static enum err extract(const struct pki_options *o, struct names **out, struct errbuf *why)
{
	struct pki_cert *cert = pki_make(o);
	enum err rc = names_extract(cert->x509, out, why);

	pki_free(cert);
	return rc;
}

static struct names *must_extract(const struct pki_options *o)
{
	struct names *names = NULL;
	struct errbuf why = { "" };

	cr_assert_eq(extract(o, &names, &why), ERR_OK, "%s", why.text);
	return names;
}

Test(names, words_of_types)
{
	cr_assert_str_eq(name_type_word(NAME_CN), "cn");
	cr_assert_str_eq(name_type_word(NAME_SPKI), "spki");
}

Test(names, all_types_in_certificate_order)
{
	struct names *n = must_extract(
		&(struct pki_options){ .cn = "alice",
	                               .serial = 0x0abc,
	                               .sans = { { PKI_SAN_DNS, "a.example", 0 },
	                                         { PKI_SAN_URI, "spiffe://prod/sa/api", 0 },
	                                         { PKI_SAN_DNS, "*.b.example", 0 },
	                                         { PKI_SAN_IP, "\x7f\0\0\1", 4 },
	                                         { PKI_SAN_EMAIL, "a@example", 0 } } });

	cr_assert_eq(names_count(n, NAME_CN), 1);
	cr_assert_str_eq(names_at(n, NAME_CN, 0), "alice");
	cr_assert_str_eq(names_at(n, NAME_DN, 0), "CN=alice");
	cr_assert_eq(names_count(n, NAME_DNS), 2);
	cr_assert_str_eq(names_at(n, NAME_DNS, 0), "a.example");
	cr_assert_str_eq(names_at(n, NAME_DNS, 1), "*.b.example");
	cr_assert_str_eq(names_at(n, NAME_URI, 0), "spiffe://prod/sa/api");
	cr_assert_eq(names_count(n, NAME_EMAIL), 1);
	cr_assert_str_eq(names_at(n, NAME_EMAIL, 0), "a@example");
	cr_assert_str_eq(names_serial(n), "0ABC");
	names_free(n);
}

Test(names, neither_subject_nor_san_is_fine)
{
	struct names *n = must_extract(&(struct pki_options){ 0 });

	cr_assert_eq(names_count(n, NAME_CN), 0);
	cr_assert_eq(names_count(n, NAME_DN), 0);
	cr_assert_eq(names_count(n, NAME_DNS), 0);
	cr_assert_eq(names_count(n, NAME_SHA256), 1);
	names_free(n);
}

Test(names, time_of_expiry)
{
	int64_t want = time(NULL) + 1000;
	struct names *n = must_extract(&(struct pki_options){ .from_s = -1, .until_s = 1000 });

	cr_assert(names_not_after(n) - want >= 0 && names_not_after(n) - want < 20);
	names_free(n);
}

Test(names, digests_are_of_the_certificate_and_of_the_whole_key_info)
{
	struct pki_cert *cert = pki_make(&(struct pki_options){ .cn = "alice" });
	struct names *n = NULL;
	unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
	struct errbuf why;
	char hex[65];
	int len;

	cr_assert_eq(names_extract(cert->x509, &n, &why), ERR_OK);
	len = i2d_X509(cert->x509, &der);
	EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	cr_assert_str_eq(names_at(n, NAME_SHA256, 0), hex);
	OPENSSL_free(der);
	der = NULL;
	len = i2d_PUBKEY(cert->key, &der);
	EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	cr_assert_str_eq(names_at(n, NAME_SPKI, 0), hex);
	OPENSSL_free(der);
	names_free(n);
	pki_free(cert);
}

/* ------------------------------------------------------------------ RFC 4514 */

static const struct dn_case {
	const char *want;
	struct pki_attribute subject[4];
} dn_cases[] = {
	{ "CN=alice,OU=dba,O=Example,C=DE",
	  { { .type = "C", .value = "DE", .asn1_type = V_ASN1_PRINTABLESTRING },
	    { .type = "O", .value = "Example" },
	    { .type = "OU", .value = "dba" },
	    { .type = "CN", .value = "alice" } } },
	{ "UID=u,STREET=s,ST=st,L=l",
	  { { .type = "L", .value = "l" },
	    { .type = "ST", .value = "st" },
	    { .type = "street", .value = "s" },
	    { .type = "UID", .value = "u" } } },
	{ "DC=example,DC=org",
	  { { .type = "DC", .value = "org", .asn1_type = V_ASN1_IA5STRING },
	    { .type = "DC", .value = "example", .asn1_type = V_ASN1_IA5STRING } } },
	{ "CN=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h=i#j",
	  { { .type = "CN", .value = "a,b+c\"d\\e<f>g;h=i#j" } } },
	{ "CN=\\ a b\\ ", { { .type = "CN", .value = " a b " } } },
	{ "CN=\\ ", { { .type = "CN", .value = " " } } },
	{ "CN=\\ \\ ", { { .type = "CN", .value = "  " } } },
	{ "CN=\\##", { { .type = "CN", .value = "##" } } },
	{ "CN=Jos\xc3\xa9", { { .type = "CN", .value = "Jos\xc3\xa9" } } },
	{ "CN=Jos\xc3\xa9",
	  { { .type = "CN", BYTES("\0J\0o\0s\0\xe9"), .asn1_type = V_ASN1_BMPSTRING } } },
	{ "CN=Jos\xc3\xa9",
	  { { .type = "CN", .value = "Jos\xe9", .asn1_type = V_ASN1_T61STRING } } },
	{ "CN=\xf0\x9f\x98\x80",
	  { { .type = "CN", BYTES("\0\1\xf6\0"), .asn1_type = V_ASN1_UNIVERSALSTRING } } },
	{ "O=,CN=a",
	  { { .type = "CN", .value = "a" }, { .type = "O", .value = "", .len = PKI_EMPTY } } },
	/* the SET is sorted by its encoding, CN (2.5.4.3) before UID; the last comes first */
	{ "UID=7+CN=a,O=x",
	  { { .type = "O", .value = "x" },
	    { .type = "UID", .value = "7" },
	    { .type = "CN", .value = "a", .joined = true } } },
	{ "1.2.840.113549.1.9.1=#16026140,CN=a",
	  { { .type = "CN", .value = "a" },
	    { .type = "emailAddress", .value = "a@", .asn1_type = V_ASN1_IA5STRING } } },
	{ "1.3.6.1.4.1.99999.1=#0C0178", { { .type = "1.3.6.1.4.1.99999.1", .value = "x" } } },
};

Test(names, dn_is_canonical_rfc_4514)
{
	for (size_t i = 0; i < CASES(dn_cases); i++) {
		struct pki_options o = { 0 };
		struct names *n;

		memcpy(o.subject, dn_cases[i].subject, sizeof dn_cases[i].subject);
		n = must_extract(&o);
		cr_expect_str_eq(names_at(n, NAME_DN, 0), dn_cases[i].want, "want %s, have %s",
		                 dn_cases[i].want, names_at(n, NAME_DN, 0));
		names_free(n);
	}
}

/* ------------------------------------------------------------------ unusable names */

static const struct bad_case {
	const char *what;
	const char *why; /* must be in the text */
	struct pki_options o;
} bad_cases[] = {
	{ "two CNs",
	  "more than one CN",
	  { .subject = { { .type = "CN", .value = "a" } }, .cn = "b" } },
	{ "two CNs in one RDN",
	  "more than one CN",
	  { .subject = { { .type = "CN", .value = "a" },
	                 { .type = "CN", .value = "b", .joined = true } } } },
	{ "empty CN", "cn is empty", { .cn = "" } },
	{ "NUL in the CN", "\\x00", { .subject = { { .type = "CN", BYTES("alice\0bob") } } } },
	{ "line feed in the CN", "\\x0a", { .cn = "a\nb" } },
	{ "DEL in the CN", "\\x7f", { .cn = "a\x7f" } },
	{ "C1 control in the CN", "\\x85", { .cn = "a\xc2\x85" } },
	{ "NUL in a BMPString",
	  "\\x00",
	  { .subject = { { .type = "CN", BYTES("\0a\0\0\0b"), .asn1_type = V_ASN1_BMPSTRING } } } },
	{ "eighth bit in a PrintableString",
	  "ASCII type",
	  { .subject = { { .type = "CN",
	                   .value = "\xe9",
	                   .asn1_type = V_ASN1_PRINTABLESTRING } } } },
	{ "CN that is no text",
	  "not a well-formed text",
	  { .subject = { { .type = "CN", .value = "a", .asn1_type = V_ASN1_BIT_STRING } } } },
	{ "NUL elsewhere in the subject",
	  "\\x00",
	  { .subject = { { .type = "O", BYTES("x\0y") } }, .cn = "alice" } },
	{ "NUL in a dns name", "\\x00", { .sans = { { PKI_SAN_DNS, "a.example\0.evil", 15 } } } },
	{ "control in a uri", "\\x1b", { .sans = { { PKI_SAN_URI, "spiffe://\x1b[2J", 0 } } } },
	{ "eighth bit in an email",
	  "ASCII type",
	  { .sans = { { PKI_SAN_EMAIL, "\xc3\xa9@x", 0 } } } },
	{ "empty dns name", "dns is empty", { .sans = { { PKI_SAN_DNS, "", PKI_EMPTY } } } },
};

Test(names, ambiguous_names_are_refused)
{
	for (size_t i = 0; i < CASES(bad_cases); i++) {
		struct errbuf why = { "" };
		struct names *n = NULL;

		cr_expect_eq(extract(&bad_cases[i].o, &n, &why), ERR_DENIED, "%s",
		             bad_cases[i].what);
		cr_expect_null(n);
		cr_expect(strstr(why.text, bad_cases[i].why) != NULL, "%s: %s", bad_cases[i].what,
		          why.text);
		names_free(n);
	}
}

/* OpenSSL does not even parse a subject with these, so they come in by the back door. */
Test(names, broken_utf8_is_refused)
{
	static const char *const broken[] = { "a\xff", "\xc0\xaf", "\xed\xa0\x80",
		                              "\xf5\x80\x80\x80", "\xe2\x82" };
	struct names *n = names_create();
	struct errbuf why;

	for (size_t i = 0; i < CASES(broken); i++) {
		cr_expect_eq(names_add(n, NAME_CN, broken[i], &why), ERR_DENIED);
		cr_expect(strstr(why.text, "not valid UTF-8") != NULL, "%s", why.text);
	}
	cr_assert_eq(names_count(n, NAME_CN), 0);
	names_free(n);
}

Test(names, a_name_may_have_1024_bytes_and_no_more)
{
	char text[NAMES_MAX + 2];
	struct errbuf why;
	struct names *n = NULL;

	memset(text, 'a', sizeof text);
	n = must_extract(&(struct pki_options){ .sans = { { PKI_SAN_URI, text, NAMES_MAX } } });
	cr_assert_eq(strlen(names_at(n, NAME_URI, 0)), NAMES_MAX);
	names_free(n);
	n = NULL;
	cr_assert_eq(
		extract(&(struct pki_options){ .sans = { { PKI_SAN_URI, text, NAMES_MAX + 1 } } },
	                &n, &why),
		ERR_DENIED);
	cr_assert_null(n);
}

Test(names, a_subject_of_small_parts_may_be_too_long_as_a_whole)
{
	char text[600];
	struct errbuf why;
	struct names *n = NULL;
	struct pki_options o = { .subject = { { .type = "O", .value = text },
		                              { .type = "OU", .value = text } } };

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	cr_assert_eq(extract(&o, &n, &why), ERR_DENIED);
	cr_assert(strstr(why.text, "subject is longer") != NULL, "%s", why.text);
}

Test(names, no_more_than_256_of_a_type)
{
	struct pki_san sans[NAMES_COUNT_MAX + 2] = { 0 };
	struct errbuf why;
	struct names *n;

	for (size_t i = 0; i < NAMES_COUNT_MAX; i++)
		sans[i] = (struct pki_san){ PKI_SAN_DNS, "a.example", 0 };
	n = must_extract(&(struct pki_options){ .more_sans = sans });
	cr_assert_eq(names_count(n, NAME_DNS), NAMES_COUNT_MAX);
	names_free(n);
	n = NULL;
	sans[NAMES_COUNT_MAX] = (struct pki_san){ PKI_SAN_DNS, "b.example", 0 };
	cr_assert_eq(extract(&(struct pki_options){ .more_sans = sans }, &n, &why), ERR_DENIED);
}

Test(names, a_malformed_san_is_refused_and_leaves_no_error_behind)
{
	struct pki_cert *cert = pki_make(&(struct pki_options){ .cn = "alice" });
	ASN1_OCTET_STRING *junk = ASN1_OCTET_STRING_new();
	struct names *n = NULL;
	struct errbuf why;
	X509_EXTENSION *ext;

	ASN1_OCTET_STRING_set(junk, (const unsigned char *)"\x30\x05zzz", 5);
	ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, junk);
	X509_add_ext(cert->x509, ext, -1);
	cr_assert_eq(names_extract(cert->x509, &n, &why), ERR_DENIED);
	cr_assert(strstr(why.text, "malformed") != NULL);
	cr_assert_eq(ERR_peek_error(), 0);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(junk);
	pki_free(cert);
}

Test(names, two_san_extensions_are_refused)
{
	struct pki_cert *cert = pki_make(
		&(struct pki_options){ .sans = { { PKI_SAN_DNS, "a.example", 0 } } });
	int at = X509_get_ext_by_NID(cert->x509, NID_subject_alt_name, -1);
	struct names *n = NULL;
	struct errbuf why;

	X509_add_ext(cert->x509, X509_get_ext(cert->x509, at), -1);
	cr_assert_eq(names_extract(cert->x509, &n, &why), ERR_DENIED);
	pki_free(cert);
}

/* --- told by hand --- */

#define DIGEST "49117f7cbb75064661444c0d8802ea3fe2a003d63753e96a2e252d8c1eb89bb1"

Test(names, by_hand)
{
	static const char *const texts[] = { "cn:a b", "uri:spiffe://x/y:z", "dns:x.example",
		                             "dn:CN=a,O=b", "sha256:" DIGEST, "spki:AA:bb" };
	struct errbuf why = { "" };
	struct names *n;

	cr_assert_eq(names_parse(texts, 5, &n, &why), ERR_OK, "%s", why.text);
	cr_assert_str_eq(names_at(n, NAME_CN, 0), "a b");
	cr_assert_str_eq(names_at(n, NAME_URI, 0), "spiffe://x/y:z");
	cr_assert_str_eq(names_at(n, NAME_DN, 0), "CN=a,O=b");
	cr_assert_str_eq(names_at(n, NAME_SHA256, 0), DIGEST);
	cr_assert_eq(names_count(n, NAME_EMAIL), 0);
	names_free(n);
	cr_assert_eq(names_parse(texts, 6, &n, &why), ERR_SYNTAX);
}

Test(names, by_hand_and_wrong)
{
	static const struct {
		const char *text, *also;
		enum err want;
	} cases[] = {
		{ "alice", NULL, ERR_SYNTAX },
		{ ":alice", NULL, ERR_SYNTAX },
		{ "CN:alice", NULL, ERR_SYNTAX },
		{ "name:alice", NULL, ERR_SYNTAX },
		{ "dn:cn=a, o=b", NULL, ERR_SYNTAX },
		{ "cn:a", "cn:b", ERR_SYNTAX },
		{ "sha256:", NULL, ERR_SYNTAX },
		{ "sha256:" DIGEST "0", NULL, ERR_SYNTAX },
		{ "cn:", NULL, ERR_DENIED },
		{ "cn:a\nb", NULL, ERR_DENIED },
		{ "uri:\xff", NULL, ERR_DENIED },
	};
	struct names *n = NULL;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const texts[] = { cases[i].text, cases[i].also };
		struct errbuf why = { "" };

		cr_expect_eq(names_parse(texts, cases[i].also != NULL ? 2 : 1, &n, &why),
		             cases[i].want, "%s: %s", cases[i].text, why.text);
		cr_expect_null(n);
		cr_expect_str_neq(why.text, "");
	}
}

Test(names, by_hand_in_colons)
{
	char text[160] = "spki:";
	const char *const texts[] = { text };
	struct errbuf why = { "" };
	struct names *n;

	for (size_t i = 0; i < 64; i += 2)
		snprintf(text + strlen(text), 4, "%s%c%c", i > 0 ? ":" : "", toupper(DIGEST[i]),
		         toupper(DIGEST[i + 1]));
	cr_assert_eq(names_parse(texts, 1, &n, &why), ERR_OK, "%s", why.text);
	cr_assert_str_eq(names_at(n, NAME_SPKI, 0), DIGEST);
	names_free(n);
}
