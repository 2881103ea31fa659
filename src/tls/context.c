#include "pgseal/tls/context.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "files_priv.h"
#include "pgseal/base/bytes.h"
#include "refusal_priv.h"
#include "share_priv.h"

#define CHAIN_DEPTH_MAX 10
#define CHAIN_BYTES_MAX (64 << 10)
#define SECURITY_LEVEL_MIN 2

static const char alpn_name[] = "postgresql";
static const unsigned char session_context[] = "pgseal";

/* For TLS 1.2: forward secrecy and authenticated encryption, nothing else. */
static const char default_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* Where the building of one context stands. */
struct build {
	const struct settings *s;
	struct place at;
	struct report *rep;
	struct tls_files *list;
	SSL_CTX *ctx;
};

/* Say what OpenSSL did not like about a setting. */
static void setting_fault(const struct build *b, const char *setting, const char *value,
                          const char *remedy)
{
	char detail[256];

	tls_error_text(detail, sizeof detail);
	report_error(b->rep, b->at, "%s: \"%s\": %s (%s)", setting, quote_str(value).s, remedy,
	             detail);
}

static struct pem_file file_of(const struct build *b, const char *setting, const char *path)
{
	return (struct pem_file){ setting, path, b->at, b->rep, b->list };
}

/* A file that must be there. */
static bool required(const struct build *b, const char *setting, const char *path, const char *what)
{
	if (files_given(path))
		return true;
	report_error(b->rep, b->at, "%s is not set: name the PEM file with %s", setting, what);
	return false;
}

/* ------------------------------------------------------------------ fixed properties */

/* The client's list is well-formed: OpenSSL has parsed it. RFC 7301 §3.2: no overlap ends it. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *unused)
{
	const unsigned char *end = in + in_len;

	(void)ssl;
	(void)unused;
	for (const unsigned char *p = in; p < end; p += 1 + *p) {
		if (*p == sizeof alpn_name - 1 && memcmp(p + 1, alpn_name, *p) == 0) {
			*out = p + 1;
			*out_len = *p;
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *create(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL || !share_certificates(ctx)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
	                                 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
	SSL_CTX_clear_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
	/* the chain to show is settled below, once, and not searched anew for each handshake */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	                              SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, refusal_verify);
	SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH_MAX);
	SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
	SSL_CTX_set_max_cert_list(ctx, CHAIN_BYTES_MAX);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	return ctx;
}

/* ------------------------------------------------------------------ versions, ciphers, groups */

/* Bits of enabled versions that a word of client_tls_protocols stands for. */
enum { TLS12 = 1, TLS13 = 2 };
static const struct protocol_word {
	const char *word;
	int versions;
} protocol_words[] = {
	{ "tlsv1.2", TLS12 },
	{ "tlsv1.3", TLS13 },
	{ "secure", TLS12 | TLS13 },
};

static int versions_of(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof protocol_words / sizeof protocol_words[0]; i++) {
		if (strlen(protocol_words[i].word) == len &&
		    strncasecmp(protocol_words[i].word, word, len) == 0)
			return protocol_words[i].versions;
	}
	return 0;
}

/* The next item of a list; *len 0 at its end. */
static const char *next_word(const char *at, const char *separators, size_t *len)
{
	at += strspn(at, separators);
	*len = strcspn(at, separators);
	return at;
}

static void set_protocols(const struct build *b)
{
	const char *list = b->s->client_tls_protocols;
	int versions = 0;
	size_t len;

	for (const char *p = next_word(list == NULL ? "" : list, ", \t", &len); len > 0;
	     p = next_word(p + len, ", \t", &len)) {
		int more = versions_of(p, len);

		if (more == 0)
			report_error(
				b->rep, b->at,
				"client_tls_protocols: \"%s\" is not supported: write tlsv1.3, "
				"tlsv1.2 or secure (both)",
				quote((struct bytes){ (const uint8_t *)p, len }).s);
		versions |= more;
	}
	if (versions == 0)
		versions = TLS13;
	SSL_CTX_set_min_proto_version(b->ctx, versions & TLS12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(b->ctx, versions & TLS13 ? TLS1_3_VERSION : TLS1_2_VERSION);
}

/* OpenSSL passes over names that it does not know as long as one is left: a misspelt cipher would
 * vanish in silence. So each is tried alone, on a context of its own. */
static bool ciphers_known(const struct build *b, const char *list)
{
	SSL_CTX *probe = SSL_CTX_new(TLS_server_method());
	bool known = probe != NULL;
	char word[128];
	size_t len;

	for (const char *p = next_word(list, ":, ", &len); len > 0 && known;
	     p = next_word(p + len, ":, ", &len)) {
		if (strchr("!-+@", *p) != NULL)
			continue;
		snprintf(word, sizeof word, "%.*s", (int)len, p);
		known = len < sizeof word && SSL_CTX_set_cipher_list(probe, word) == 1;
		if (!known)
			setting_fault(
				b, "client_tls_ciphers", word,
				"OpenSSL knows no such cipher: see openssl ciphers -s -tls1_2");
	}
	SSL_CTX_free(probe);
	return known;
}

static void set_ciphers(const struct build *b)
{
	const char *list = b->s->client_tls_ciphers;

	if (!files_given(list) || strcmp(list, "default") == 0)
		list = default_ciphers;
	if (ciphers_known(b, list) && SSL_CTX_set_cipher_list(b->ctx, list) != 1)
		setting_fault(b, "client_tls_ciphers", list, "no cipher is left");
}

static bool suite_enabled(const SSL_CTX *ctx, const char *name, size_t len)
{
	STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);

	for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		const char *known = SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i));

		if (strlen(known) == len && memcmp(known, name, len) == 0)
			return true;
	}
	return false;
}

/* Here too unknown names are passed over by OpenSSL: look for each afterwards. */
static void set_suites(const struct build *b)
{
	const char *list = b->s->client_tls13_ciphers;
	static const char remedy[] = "OpenSSL knows no such suite: see openssl ciphers -s -tls1_3";
	char word[128];
	size_t len;

	if (!files_given(list) || strcmp(list, "default") == 0)
		return;
	if (SSL_CTX_set_ciphersuites(b->ctx, list) != 1) {
		setting_fault(b, "client_tls13_ciphers", list, remedy);
		return;
	}
	for (const char *p = next_word(list, ":", &len); len > 0;
	     p = next_word(p + len, ":", &len)) {
		snprintf(word, sizeof word, "%.*s", (int)len, p);
		if (!suite_enabled(b->ctx, p, len))
			setting_fault(b, "client_tls13_ciphers", word, remedy);
	}
}

static void set_groups(const struct build *b)
{
	const char *list = b->s->client_tls_ecdhcurve;

	if (!files_given(list) || strcmp(list, "auto") == 0)
		return;
	if (SSL_CTX_set1_groups_list(b->ctx, list) != 1)
		setting_fault(
			b, "client_tls_ecdhcurve", list,
			"OpenSSL does not know all of these groups: write auto or names such as "
			"X25519:P-256");
}

/* A cipher list may lower the level (@SECLEVEL): not below what the world's defaults are. */
static void keep_level(const struct build *b)
{
	if (SSL_CTX_get_security_level(b->ctx) < SECURITY_LEVEL_MIN)
		SSL_CTX_set_security_level(b->ctx, SECURITY_LEVEL_MIN);
}

/* ------------------------------------------------------------------ files */

static void install_pair(const struct build *b, const struct pem_file *file, STACK_OF(X509) * chain,
                         EVP_PKEY *key)
{
	bool fine = SSL_CTX_use_certificate(b->ctx, sk_X509_value(chain, 0)) == 1;
	char detail[256];

	for (int i = 1; i < sk_X509_num(chain) && fine; i++)
		fine = SSL_CTX_add1_chain_cert(b->ctx, sk_X509_value(chain, i)) == 1;
	if (fine && SSL_CTX_use_PrivateKey(b->ctx, key) == 1)
		return;
	tls_error_text(detail, sizeof detail);
	report_error(b->rep, b->at, "%s: %s: OpenSSL refuses it: %s", file->setting,
	             quote_str(file->path).s, detail);
}

static void load_pair(const struct build *b)
{
	struct pem_file cert_file = file_of(b, "client_tls_cert_file", b->s->client_tls_cert_file);
	struct pem_file key_file = file_of(b, "client_tls_key_file", b->s->client_tls_key_file);
	size_t before = report_errors(b->rep);
	STACK_OF(X509) *chain = NULL;
	EVP_PKEY *key = NULL;

	if (required(b, cert_file.setting, cert_file.path, "the certificate shown to clients"))
		chain = files_chain(&cert_file);
	if (required(b, key_file.setting, key_file.path, "its private key"))
		key = files_key(&key_file);
	if (chain != NULL)
		files_check_purpose(&cert_file, sk_X509_value(chain, 0), X509_PURPOSE_SSL_SERVER,
		                    "server");
	if (chain != NULL && key != NULL)
		files_check_pair(&key_file, sk_X509_value(chain, 0), key);
	if (report_errors(b->rep) == before)
		install_pair(b, &cert_file, chain, key);
	EVP_PKEY_free(key);
	sk_X509_pop_free(chain, X509_free);
}

static void load_authorities(const struct build *b)
{
	struct pem_file file = file_of(b, "client_tls_ca_file", b->s->client_tls_ca_file);
	X509_STORE *store = SSL_CTX_get_cert_store(b->ctx);
	STACK_OF(X509) * certs;

	if (!required(b, file.setting, file.path, "the CAs that client certificates come from"))
		return;
	certs = files_authorities(&file);
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		if (X509_STORE_add_cert(store, cert) != 1 ||
		    SSL_CTX_add_client_CA(b->ctx, cert) != 1)
			setting_fault(b, file.setting, file.path, "OpenSSL refuses it");
	}
	sk_X509_pop_free(certs, X509_free);
}

static void load_crls(const struct build *b)
{
	struct pem_file file = file_of(b, "client_tls_crl_file", b->s->client_tls_crl_file);
	X509_STORE *store = SSL_CTX_get_cert_store(b->ctx);
	STACK_OF(X509_CRL) * crls;

	if (!files_given(file.path))
		return;
	crls = files_crls(&file);
	for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
		if (X509_STORE_add_crl(store, sk_X509_CRL_value(crls, i)) != 1)
			setting_fault(b, file.setting, file.path, "OpenSSL refuses it");
	}
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
}

/* When the certificate file brings no intermediates they may be in the CA file: take them from
 * there as far as they go. That the CA is another's is no fault. */
static void complete_chain(const struct build *b)
{
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_get0_chain_certs(b->ctx, &chain);
	if (sk_X509_num(chain) <= 0)
		SSL_CTX_build_cert_chain(b->ctx, SSL_BUILD_CHAIN_FLAG_NO_ROOT |
		                                         SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR);
	ERR_clear_error();
}

enum err tls_client_context(const struct settings *s, struct place at, struct report *rep,
                            SSL_CTX **out, struct tls_files *files)
{
	static void (*const steps[])(const struct build *) = {
		set_protocols, set_ciphers,      set_suites, set_groups,     keep_level,
		load_pair,     load_authorities, load_crls,  complete_chain,
	};
	struct build b = { .s = s, .at = at, .rep = rep, .list = files };
	size_t before = report_errors(rep);

	ERR_clear_error();
	b.ctx = create();
	if (b.ctx == NULL) {
		report_error(rep, at, "no TLS context: out of memory");
		return ERR_NO_MEMORY;
	}
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		steps[i](&b);
	if (report_errors(rep) > before) {
		SSL_CTX_free(b.ctx);
		return ERR_CONFIG;
	}
	*out = b.ctx;
	return ERR_OK;
}

/* ---- once more ---- */

static bool is_valid(X509_STORE_CTX *store, const SSL *ssl, SSL_CTX *ctx)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);

	return cert != NULL &&
	       X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(ctx), cert,
	                           SSL_get_peer_cert_chain(ssl)) == 1 &&
	       X509_STORE_CTX_set_default(store, "ssl_client") == 1 &&
	       X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(store), SSL_CTX_get0_param(ctx)) == 1 &&
	       X509_verify_cert(store) == 1;
}

enum err tls_verify_again(const SSL *ssl, SSL_CTX *ctx, struct errbuf *why)
{
	X509_STORE_CTX *store = X509_STORE_CTX_new();
	enum err rc = ERR_OK;

	if (store == NULL)
		return err_set(why, ERR_NO_MEMORY, "out of memory");
	if (!is_valid(store, ssl, ctx))
		rc = err_set(why, ERR_DENIED, "certificate does not verify any more: %s",
		             X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
	X509_STORE_CTX_free(store);
	ERR_clear_error();
	return rc;
}
