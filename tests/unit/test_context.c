/* context.h: which clients get in, over handshakes in memory. */
#include <criterion/criterion.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "context_rig.h"

#define HANDSHAKE_TURNS 20

TestSuite(context, .init = start, .fini = stop);

/* ------------------------------------------------------------------ handshakes */

struct pair {
	SSL_CTX *client_ctx;
	SSL *server;
	SSL *client;
	int alert;     /* read by the client; -1: none */
	bool finished; /* by the server, with the client's certificate accepted */
};

static void watch_alert(const SSL *ssl, int where, int value)
{
	struct pair *p = SSL_get_ex_data(ssl, 0);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
		p->alert = value & 0xff;
}

struct client_options {
	const struct pki_cert *cert;  /* NULL: none */
	const struct pki_cert *extra; /* intermediate sent along */
	const char *alpn;             /* wire form */
	int version;                  /* the only one; 0: any */
};

static void make_client(struct pair *p, const struct client_options *o)
{
	p->client_ctx = SSL_CTX_new(TLS_client_method());
	if (o->version != 0) {
		SSL_CTX_set_min_proto_version(p->client_ctx, o->version);
		SSL_CTX_set_max_proto_version(p->client_ctx, o->version);
	}
	if (o->cert != NULL) {
		SSL_CTX_use_certificate(p->client_ctx, o->cert->x509);
		SSL_CTX_use_PrivateKey(p->client_ctx, o->cert->key);
	}
	if (o->extra != NULL)
		SSL_CTX_add1_chain_cert(p->client_ctx, o->extra->x509);
	if (o->alpn != NULL)
		SSL_CTX_set_alpn_protos(p->client_ctx, (const unsigned char *)o->alpn,
		                        (unsigned)strlen(o->alpn));
	p->client = SSL_new(p->client_ctx);
	SSL_set_ex_data(p->client, 0, p);
	SSL_set_info_callback(p->client, watch_alert);
	SSL_set_connect_state(p->client);
}

static struct pair *shake(SSL_CTX *ctx, const struct client_options *o)
{
	struct pair *p = calloc(1, sizeof *p);
	BIO *a, *b;
	char c;

	p->alert = -1;
	make_client(p, o);
	p->server = SSL_new(ctx);
	SSL_set_accept_state(p->server);
	cr_assert_eq(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(p->server, a, a);
	SSL_set_bio(p->client, b, b);
	for (int i = 0; i < HANDSHAKE_TURNS; i++) {
		/* TLS 1.3 clients are done before the server has judged them: read to get the
		 * alert */
		if (SSL_do_handshake(p->client) == 1)
			SSL_read(p->client, &c, 1);
		SSL_do_handshake(p->server);
		ERR_clear_error();
	}
	p->finished = SSL_is_init_finished(p->server) && SSL_is_init_finished(p->client) &&
	              p->alert < 0;
	return p;
}

static void end(struct pair *p)
{
	SSL_free(p->server);
	SSL_free(p->client);
	SSL_CTX_free(p->client_ctx);
	free(p);
}

Test(context, a_good_client_gets_in_and_its_certificate_is_at_hand)
{
	SSL_CTX *ctx = build();
	struct pki_cert *alice = pki_client(ca, "alice");
	struct pair *p = shake(ctx, &(struct client_options){ .cert = alice });
	X509 *got = SSL_get0_peer_certificate(p->server);

	cr_assert(p->finished);
	cr_assert_eq(SSL_version(p->server), TLS1_3_VERSION);
	cr_assert_eq(X509_cmp(got, alice->x509), 0);
	cr_assert_null(tls_refusal(p->server));
	cr_assert_eq(SSL_session_reused(p->client), 0);
	cr_assert_eq(SSL_get_num_tickets(p->server), 0);
	end(p);
	pki_free(alice);
	SSL_CTX_free(ctx);
}

Test(context, fixed_properties)
{
	SSL_CTX *ctx = build();

	cr_assert_eq(SSL_CTX_get_min_proto_version(ctx), TLS1_3_VERSION);
	cr_assert_eq(SSL_CTX_get_max_proto_version(ctx), TLS1_3_VERSION);
	cr_assert_eq(SSL_CTX_get_verify_mode(ctx),
	             SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
	cr_assert(SSL_CTX_get_options(ctx) & SSL_OP_NO_TICKET);
	cr_assert(SSL_CTX_get_options(ctx) & SSL_OP_NO_RENEGOTIATION);
	cr_assert(SSL_CTX_get_options(ctx) & SSL_OP_NO_COMPRESSION);
	cr_assert_eq(SSL_CTX_get_session_cache_mode(ctx), SSL_SESS_CACHE_OFF);
	cr_assert_eq(SSL_CTX_get_mode(ctx) & SSL_MODE_ENABLE_PARTIAL_WRITE, 0);
	cr_assert(SSL_CTX_get_mode(ctx) & SSL_MODE_RELEASE_BUFFERS);
	cr_assert(SSL_CTX_get_mode(ctx) & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	cr_assert_eq(SSL_CTX_get_read_ahead(ctx), 1);
	cr_assert_eq(SSL_CTX_get_verify_depth(ctx), 10);
	cr_assert_geq(SSL_CTX_get_security_level(ctx), 2);
	cr_assert_eq(ERR_peek_error(), 0);
	SSL_CTX_free(ctx);
}

/* One kind of bad client certificate, made by a function as it needs keys and issuers. */
static struct pki_cert *make_expired(void)
{
	return pki_make(&(struct pki_options){
		.cn = "alice", .issuer = ca, .serial = 0xBEEF, .from_s = -200, .until_s = -100 });
}

static struct pki_cert *make_early(void)
{
	return pki_make(&(struct pki_options){
		.cn = "alice", .issuer = ca, .serial = 0xBEEF, .from_s = 1000, .until_s = 2000 });
}

static struct pki_cert *make_self_signed(void)
{
	return pki_make(&(struct pki_options){ .cn = "alice", .serial = 0xBEEF });
}

static struct pki_cert *make_foreign(const char *ca_name)
{
	struct pki_cert *other = pki_ca(ca_name, NULL);
	struct pki_cert *cert = pki_make(
		&(struct pki_options){ .cn = "alice", .issuer = other, .serial = 0xBEEF });

	pki_free(other);
	return cert;
}

static struct pki_cert *make_wrong_ca(void)
{
	return make_foreign("Other CA");
}

/* The name is our CA's, the key is not. */
static struct pki_cert *make_impostor(void)
{
	return make_foreign("Test CA");
}

static struct pki_cert *make_wrong_purpose(void)
{
	return pki_make(&(struct pki_options){
		.cn = "alice", .issuer = ca, .eku = "serverAuth", .serial = 0xBEEF });
}

static struct pki_cert *make_headless(void)
{
	struct pki_cert *middle = pki_ca("Intermediate", ca);
	struct pki_cert *cert = pki_make(
		&(struct pki_options){ .cn = "alice", .issuer = middle, .serial = 0xBEEF });

	pki_free(middle);
	return cert;
}

static struct pki_cert *make_none(void)
{
	return NULL;
}

static const struct refusal_case {
	const char *what;
	struct pki_cert *(*make)(void);
	int alert13;
	int alert12;
	long code; /* 0: no refusal is recorded */
} refusal_cases[] = {
	{ "expired", make_expired, SSL_AD_CERTIFICATE_EXPIRED, SSL_AD_CERTIFICATE_EXPIRED,
	  X509_V_ERR_CERT_HAS_EXPIRED },
	{ "not yet valid", make_early, SSL_AD_BAD_CERTIFICATE, SSL_AD_BAD_CERTIFICATE,
	  X509_V_ERR_CERT_NOT_YET_VALID },
	{ "self-signed", make_self_signed, SSL_AD_UNKNOWN_CA, SSL_AD_UNKNOWN_CA,
	  X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT },
	{ "wrong CA", make_wrong_ca, SSL_AD_UNKNOWN_CA, SSL_AD_UNKNOWN_CA,
	  X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY },
	{ "CA of the same name", make_impostor, SSL_AD_UNKNOWN_CA, SSL_AD_UNKNOWN_CA,
	  X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY },
	{ "wrong purpose", make_wrong_purpose, SSL_AD_UNSUPPORTED_CERTIFICATE,
	  SSL_AD_UNSUPPORTED_CERTIFICATE, X509_V_ERR_INVALID_PURPOSE },
	{ "missing intermediate", make_headless, SSL_AD_UNKNOWN_CA, SSL_AD_UNKNOWN_CA,
	  X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY },
	{ "no certificate", make_none, SSL_AD_CERTIFICATE_REQUIRED, SSL_AD_HANDSHAKE_FAILURE, 0 },
};

static void check_refusal(SSL_CTX *ctx, const struct refusal_case *c, int version, int alert)
{
	struct pki_cert *cert = c->make();
	struct pair *p = shake(ctx, &(struct client_options){ .cert = cert, .version = version });
	const struct tls_refusal *r = tls_refusal(p->server);

	cr_expect_not(p->finished, "%s", c->what);
	cr_expect_eq(p->alert, alert, "%s: alert %d, not %d", c->what, p->alert, alert);
	cr_expect_eq(r != NULL, c->code != 0, "%s", c->what);
	if (r != NULL && c->code != 0) {
		cr_expect_eq(r->code, c->code, "%s: %ld", c->what, r->code);
		cr_expect_eq(r->depth, 0);
		cr_expect_str_eq(r->subject, "CN=alice");
		cr_expect_str_eq(r->serial, "BEEF");
	}
	end(p);
	pki_free(cert);
}

Test(context, bad_clients_are_refused_by_the_right_alert)
{
	SSL_CTX *ctx;

	set("client_tls_protocols", "secure");
	ctx = build();
	for (size_t i = 0; i < CASES(refusal_cases); i++) {
		check_refusal(ctx, &refusal_cases[i], TLS1_3_VERSION, refusal_cases[i].alert13);
		check_refusal(ctx, &refusal_cases[i], TLS1_2_VERSION, refusal_cases[i].alert12);
	}
	SSL_CTX_free(ctx);
}

Test(context, a_subject_that_would_spoil_the_log_is_quoted)
{
	SSL_CTX *ctx = build();
	struct pki_cert *cert = pki_make(&(struct pki_options){ .cn = "a\nlevel=\"x\"\x1b[2J" });
	struct pair *p = shake(ctx, &(struct client_options){ .cert = cert });

	cr_assert_not_null(tls_refusal(p->server));
	for (const char *c = tls_refusal(p->server)->subject; *c != '\0'; c++)
		cr_assert((unsigned char)*c >= 0x20 && *c != '"', "%s",
		          tls_refusal(p->server)->subject);
	end(p);
	pki_free(cert);
	SSL_CTX_free(ctx);
}

Test(context, an_intermediate_that_the_client_sends_is_used)
{
	SSL_CTX *ctx = build();
	struct pki_cert *middle = pki_ca("Intermediate", ca);
	struct pki_cert *alice = pki_client(middle, "alice");
	struct pair *p = shake(ctx, &(struct client_options){ .cert = alice, .extra = middle });

	cr_assert(p->finished);
	end(p);
	pki_free(alice);
	pki_free(middle);
	SSL_CTX_free(ctx);
}

Test(context, connections_with_the_same_certificates_share_them)
{
	SSL_CTX *ctx = build();
	struct pki_cert *middle = pki_ca("Intermediate", ca);
	struct pki_cert *alice = pki_client(middle, "alice"), *bob = pki_client(middle, "bob");
	struct pair *p[] = {
		shake(ctx, &(struct client_options){ .cert = alice, .extra = middle }),
		shake(ctx, &(struct client_options){ .cert = bob, .extra = middle }),
		shake(ctx, &(struct client_options){ .cert = alice, .extra = middle }),
	};
	X509 *got[CASES(p)], *between[CASES(p)];

	for (size_t i = 0; i < CASES(p); i++) {
		cr_assert(p[i]->finished);
		got[i] = SSL_get0_peer_certificate(p[i]->server);
		between[i] = sk_X509_value(SSL_get_peer_cert_chain(p[i]->server), 0);
		cr_assert_eq(X509_cmp(got[i], i == 1 ? bob->x509 : alice->x509), 0);
		cr_assert_eq(X509_cmp(between[i], middle->x509), 0);
	}
	cr_assert_eq(got[0], got[2]);
	cr_assert_neq(got[0], got[1]);
	cr_assert_eq(between[0], between[1]);
	end(p[0]); /* what the others have stays */
	cr_assert_eq(X509_cmp(got[2], alice->x509), 0);
	end(p[1]);
	end(p[2]);
	pki_free(alice);
	pki_free(bob);
	pki_free(middle);
	SSL_CTX_free(ctx);
}

Test(context, a_leaf_is_no_ca)
{
	SSL_CTX *ctx = build();
	struct pki_cert *alice = pki_client(ca, "alice");
	struct pki_cert *mallory = pki_client(alice, "root");
	struct pair *p = shake(ctx, &(struct client_options){ .cert = mallory, .extra = alice });

	cr_assert_not(p->finished);
	cr_assert_eq(tls_refusal(p->server)->depth, 1);
	end(p);
	pki_free(mallory);
	pki_free(alice);
	SSL_CTX_free(ctx);
}

Test(context, versions_follow_the_setting)
{
	struct pki_cert *alice = pki_client(ca, "alice");
	static const struct {
		const char *setting;
		bool want12, want13;
	} cases[] = {
		{ "tlsv1.3", false, true },
		{ "tlsv1.2", true, false },
		{ "tlsv1.2,tlsv1.3", true, true },
		{ "secure", true, true },
	};

	for (size_t i = 0; i < CASES(cases); i++) {
		SSL_CTX *ctx;
		struct pair *p;

		set("client_tls_protocols", cases[i].setting);
		ctx = build();
		p = shake(ctx,
		          &(struct client_options){ .cert = alice, .version = TLS1_2_VERSION });
		cr_expect_eq(p->finished, cases[i].want12, "1.2 with %s", cases[i].setting);
		end(p);
		p = shake(ctx,
		          &(struct client_options){ .cert = alice, .version = TLS1_3_VERSION });
		cr_expect_eq(p->finished, cases[i].want13, "1.3 with %s", cases[i].setting);
		end(p);
		SSL_CTX_free(ctx);
	}
	pki_free(alice);
}

static const struct alpn_case {
	const char *offer;
	bool finished;
	const char *chosen;
} alpn_cases[] = {
	{ NULL, true, NULL },
	{ "\x0apostgresql", true, "postgresql" },
	{ "\x02h2\x0apostgresql\x08http/1.1", true, "postgresql" },
	{ "\x02h2", false, NULL },
	{ "\x0bpostgresqlx\x09postgresq", false, NULL },
};

Test(context, alpn_is_postgresql_or_absent)
{
	SSL_CTX *ctx = build();
	struct pki_cert *alice = pki_client(ca, "alice");

	for (size_t i = 0; i < CASES(alpn_cases); i++) {
		const struct alpn_case *c = &alpn_cases[i];
		struct pair *p = shake(ctx,
		                       &(struct client_options){ .cert = alice, .alpn = c->offer });
		const unsigned char *got;
		unsigned len;

		SSL_get0_alpn_selected(p->server, &got, &len);
		cr_expect_eq(p->finished, c->finished, "case %zu", i);
		cr_expect_eq(len, c->chosen == NULL ? 0 : strlen(c->chosen));
		if (!c->finished)
			cr_expect_eq(p->alert, SSL_AD_NO_APPLICATION_PROTOCOL);
		end(p);
	}
	pki_free(alice);
	SSL_CTX_free(ctx);
}

Test(context, the_server_completes_its_chain_from_the_ca_file)
{
	struct pki_cert *middle = pki_ca("Intermediate", ca);
	struct pki_cert *leaf = pki_server(middle, "localhost");
	struct pki_cert *alice = pki_client(ca, "alice");
	struct pair *p;
	SSL_CTX *ctx;

	pki_write_chain(path("ca.crt"), (const struct pki_cert *const[]){ ca, middle, NULL });
	pki_write_cert(path("server.crt"), leaf);
	pki_write_key(path("server.key"), leaf, 0600);
	ctx = build();
	p = shake(ctx, &(struct client_options){ .cert = alice });
	cr_assert(p->finished);
	cr_assert_eq(sk_X509_num(SSL_get_peer_cert_chain(p->client)), 2);
	end(p);
	SSL_CTX_free(ctx);
	pki_write_cert(path("ca.crt"), ca);
	pki_write_chain(path("server.crt"), (const struct pki_cert *const[]){ leaf, middle, NULL });
	ctx = build();
	p = shake(ctx, &(struct client_options){ .cert = alice });
	cr_assert(p->finished);
	cr_assert_eq(sk_X509_num(SSL_get_peer_cert_chain(p->client)), 2);
	end(p);
	SSL_CTX_free(ctx);
	pki_free(alice);
	pki_free(leaf);
	pki_free(middle);
}

/* ------------------------------------------------------------------ revocation */

Test(context, a_revoked_client_is_refused)
{
	struct pki_cert *alice = pki_client(ca, "alice"), *bob = pki_client(ca, "bob");
	X509_CRL *crl = pki_crl(ca, (const struct pki_cert *const[]){ bob, NULL }, DAY_S);
	struct pair *p;
	SSL_CTX *ctx;

	pki_write_crl(path("crl.pem"), crl);
	set("client_tls_crl_file", path("crl.pem"));
	ctx = build();
	p = shake(ctx, &(struct client_options){ .cert = alice });
	cr_assert(p->finished);
	end(p);
	p = shake(ctx, &(struct client_options){ .cert = bob });
	cr_assert_not(p->finished);
	cr_assert_eq(p->alert, SSL_AD_CERTIFICATE_REVOKED);
	cr_assert_eq(tls_refusal(p->server)->code, X509_V_ERR_CERT_REVOKED);
	end(p);
	SSL_CTX_free(ctx);
	X509_CRL_free(crl);
	pki_free(alice);
	pki_free(bob);
}

Test(context, known_words_take_effect)
{
	struct pki_cert *alice = pki_client(ca, "alice");
	SSL_CTX *ctx;
	struct pair *p;

	set("client_tls_protocols", "secure");
	set("client_tls_ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384:@SECLEVEL=0");
	set("client_tls13_ciphers", "TLS_CHACHA20_POLY1305_SHA256");
	set("client_tls_ecdhcurve", "P-384:P-256");
	ctx = build();
	cr_assert_geq(SSL_CTX_get_security_level(ctx), 2);
	p = shake(ctx, &(struct client_options){ .cert = alice, .version = TLS1_2_VERSION });
	cr_assert_str_eq(SSL_get_cipher_name(p->server), "ECDHE-ECDSA-AES256-GCM-SHA384");
	end(p);
	p = shake(ctx, &(struct client_options){ .cert = alice, .version = TLS1_3_VERSION });
	cr_assert_str_eq(SSL_get_cipher_name(p->server), "TLS_CHACHA20_POLY1305_SHA256");
	cr_assert_neq(SSL_get_negotiated_group(p->server), NID_X25519);
	end(p);
	pki_free(alice);
	SSL_CTX_free(ctx);
}
