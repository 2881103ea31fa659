/* Certificates of clients: what is refused, with which alert, and what the log says about it. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"

#define HOUR 3600
#define SERIAL 0x5ea1 /* of all certificates that are to be found in the log */

static struct rig *rig;

static void start(void)
{
	rig = rig_start(NULL, NULL, NULL);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(certificates, .init = start, .fini = stop, .timeout = 60);

/* The alert that a client with this certificate gets; 0 when it is let in as far as a session. */
static int alert_for(const struct rig_tls *how)
{
	struct guest g;
	int alert = 0;

	if ((g.ssl = rig_tls_connect(rig, how, &alert)) == NULL)
		return alert;
	g.fd = SSL_get_fd(g.ssl);
	/* TLS 1.3: the client is through before its certificate was looked at */
	guest_login(&g, "alice", "app");
	alert = rig_tls_alert(g.ssl, RIG_PATIENCE_MS);
	guest_leave(&g);
	return alert;
}

/* Exactly one line about it, with everything that one needs to know. */
static void assert_log_line(const char *cn, const char *reason)
{
	char line[512];

	snprintf(line, sizeof(line), " warning g[0-9]+ tls -: certificate refused: peer=127\\.0\\.0\\.1:"
	         "[0-9]+ subject=\"[^\"]*CN=%s[^\"]*\" serial=5EA1 depth=0 reason=\"%s\"", cn, reason);
	cr_assert(rig_wait_log(rig, line, RIG_PATIENCE_MS), "no line like %s", line);
	cr_assert_eq(rig_log_count(rig, "refused|failed|dropped"), 1);
}

/* cert is freed. */
static void assert_refused(struct pki_cert *cert, const char *cn, int alert, const char *reason)
{
	struct rig_text prefix = guest_cert(rig, "odd", cert);
	int got = alert_for(&(struct rig_tls){ .cert = prefix.s });

	cr_assert_eq(got, alert, "alert %d instead of %d", got, alert);
	assert_log_line(cn, reason);
	cr_assert_eq(alert_for(&(struct rig_tls){ .cert = "alice" }), 0);
}

/* ---- times ---- */

Test(certificates, expired_one_is_refused_as_expired)
{
	struct pki_cert *ca = guest_ca();

	assert_refused(pki_make(&(struct pki_options){ .cn = "alice", .issuer = ca, .eku = "clientAuth",
	                                               .serial = SERIAL, .from_s = -2 * HOUR,
	                                               .until_s = -HOUR }),
	               "alice", SSL_AD_CERTIFICATE_EXPIRED, "certificate has expired");
	pki_free(ca);
}

Test(certificates, one_that_is_not_yet_valid_is_refused)
{
	struct pki_cert *ca = guest_ca();

	assert_refused(pki_make(&(struct pki_options){ .cn = "alice", .issuer = ca, .eku = "clientAuth",
	                                               .serial = SERIAL, .from_s = HOUR,
	                                               .until_s = 2 * HOUR }),
	               "alice", SSL_AD_BAD_CERTIFICATE, "certificate is not yet valid");
	pki_free(ca);
}

/* ---- chains ---- */

Test(certificates, self_signed_one_is_refused)
{
	assert_refused(pki_make(&(struct pki_options){ .cn = "alice", .eku = "clientAuth",
	                                               .serial = SERIAL }),
	               "alice", SSL_AD_UNKNOWN_CA, "self.signed certificate");
}

Test(certificates, one_of_another_ca_is_refused)
{
	struct pki_cert *ca = pki_ca("Somebody else's CA", NULL);

	assert_refused(pki_make(&(struct pki_options){ .cn = "alice", .issuer = ca, .eku = "clientAuth",
	                                               .serial = SERIAL }),
	               "alice", SSL_AD_UNKNOWN_CA, "unable to get local issuer certificate");
	pki_free(ca);
}

/* A CA of the same name, with a key of its own. */
Test(certificates, one_of_an_impostor_ca_is_refused)
{
	struct pki_cert *ca = pki_make(&(struct pki_options){
		.subject = { { .type = "O", .value = "pgseal demo" } }, .cn = "pgseal demo CA", .ca = true });
	struct rig_text prefix = guest_odd(rig, "odd", (struct pki_options){ .cn = "alice",
	                                                                     .issuer = ca });
	int alert = alert_for(&(struct rig_tls){ .cert = prefix.s });

	cr_assert(alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_DECRYPT_ERROR, "alert %d", alert);
	pki_free(ca);
}

Test(certificates, one_for_servers_is_refused_as_unsupported)
{
	struct pki_cert *ca = guest_ca();

	assert_refused(pki_make(&(struct pki_options){ .cn = "alice", .issuer = ca, .eku = "serverAuth",
	                                               .serial = SERIAL }),
	               "alice", SSL_AD_UNSUPPORTED_CERTIFICATE, "unsuit.* certificate purpose");
	pki_free(ca);
}

Test(certificates, one_without_its_intermediate_is_refused)
{
	struct pki_cert *ca = guest_ca(), *middle = pki_ca("Middle CA", ca);

	assert_refused(pki_make(&(struct pki_options){ .cn = "alice", .issuer = middle,
	                                               .eku = "clientAuth", .serial = SERIAL }),
	               "alice", SSL_AD_UNKNOWN_CA, "unable to get local issuer certificate");
	pki_free(middle);
	pki_free(ca);
}

/* NAME.chain with the certificates given, NAME.crt and NAME.key of the first; its prefix. */
static struct rig_text write_chain(const char *name, const struct pki_cert *const certs[],
                                   struct rig_text *chain)
{
	struct rig_text prefix = { "" };

	snprintf(prefix.s, sizeof(prefix.s), "%s/%s", rig_dir(rig), name);
	snprintf(chain->s, sizeof(chain->s), "%s/%s.chain", rig_dir(rig), name);
	pki_write_chain(chain->s, certs);
	snprintf(chain->s, sizeof(chain->s), "%s/%s.key", rig_dir(rig), name);
	pki_write_key(chain->s, certs[0], 0600);
	snprintf(chain->s, sizeof(chain->s), "%s/%s.chain", rig_dir(rig), name);
	return prefix;
}

Test(certificates, intermediate_that_the_client_sends_completes_the_chain)
{
	struct pki_cert *ca = guest_ca(), *middle = pki_ca("Middle CA", ca);
	struct pki_cert *lower = pki_ca("Lower CA", middle), *alice = pki_client(lower, "alice");
	struct rig_text chain;
	struct rig_text prefix = write_chain("alice", (const struct pki_cert *const[]){ alice, lower,
	                                                                                middle, NULL },
	                                     &chain);

	cr_assert_eq(alert_for(&(struct rig_tls){ .cert = prefix.s, .chain = chain.s }), 0);
	cr_assert(rig_wait_log(rig, "login: identity=\"alice\"", RIG_PATIENCE_MS));
	pki_free(alice);
	pki_free(lower);
	pki_free(middle);
	pki_free(ca);
}

Test(certificates, intermediate_that_is_no_ca_is_refused)
{
	struct pki_cert *ca = guest_ca(), *bob = pki_client(ca, "bob"), *alice = pki_client(bob, "alice");
	struct rig_text chain;
	struct rig_text prefix = write_chain("alice", (const struct pki_cert *const[]){ alice, bob, NULL },
	                                     &chain);

	cr_assert_eq(alert_for(&(struct rig_tls){ .cert = prefix.s, .chain = chain.s }),
	             SSL_AD_UNKNOWN_CA);
	cr_assert(rig_wait_log(rig, "certificate refused: .*subject=\"[^\"]*CN=bob.* depth=1 "
	                            "reason=\"invalid CA certificate\"", RIG_PATIENCE_MS));
	pki_free(alice);
	pki_free(bob);
	pki_free(ca);
}

Test(certificates, endless_chain_is_refused_and_the_client_is_told)
{
	enum { LENGTH = 400 };
	struct pki_cert *ca = guest_ca(), *alice = pki_client(ca, "alice");
	const struct pki_cert *certs[LENGTH + 1] = { alice };
	struct rig_text chain, prefix;

	for (int i = 1; i < LENGTH; i++)
		certs[i] = ca;
	prefix = write_chain("alice", certs, &chain);
	for (int i = 0; i < 5; i++)
		cr_assert(alert_for(&(struct rig_tls){ .cert = prefix.s, .chain = chain.s }) > 0);
	cr_assert(rig_wait_log(rig, "handshake failed: .*excessive message size", RIG_PATIENCE_MS));
	cr_assert_eq(alert_for(&(struct rig_tls){ .cert = "alice" }), 0);
	pki_free(alice);
	pki_free(ca);
}

/* ---- none ---- */

Test(certificates, client_without_one_is_told_that_it_is_required)
{
	cr_assert_eq(alert_for(&(struct rig_tls){ .cert = NULL }), SSL_AD_CERTIFICATE_REQUIRED);
	cr_assert(rig_wait_log(rig, " warning g[0-9]+ tls -: handshake failed: peer=127\\.0\\.0\\.1:[0-9]+ "
	                            "reason=\"peer did not return a certificate\"", RIG_PATIENCE_MS));
	cr_assert_eq(rig_log_count(rig, "refused|failed|dropped"), 1);
}

Test(certificates, libpq_without_one_reports_what_it_lacks)
{
	PGconn *conn = rig_try_connect_bare(rig, NULL);

	cr_assert(PQstatus(conn) == CONNECTION_BAD);
	cr_assert(strstr(PQerrorMessage(conn), "certificate required") != NULL, "%s",
	          PQerrorMessage(conn));
	PQfinish(conn);
}

/* ---- revocation ---- */

Test(certificates, revoked_one_is_refused_as_revoked)
{
	struct pki_cert *ca = guest_ca();
	struct pki_cert *bad = pki_make(&(struct pki_options){ .cn = "alice", .issuer = ca,
	                                                       .eku = "clientAuth", .serial = SERIAL });
	X509_CRL *crl = pki_crl(ca, (const struct pki_cert *const[]){ bad, NULL }, HOUR);
	char path[512];

	snprintf(path, sizeof(path), "%s/ca.crl", rig_dir(rig));
	pki_write_crl(path, crl);
	X509_CRL_free(crl);
	rig_configure(rig, "client_tls_crl_file = @dir@/ca.crl\n", NULL, NULL);
	cr_assert(rig_reload(rig, NULL));
	assert_refused(bad, "alice", SSL_AD_CERTIFICATE_REVOKED, "certificate revoked");
	pki_free(ca);
}

/* ---- TLS 1.2 ---- */

Test(certificates, alerts_are_the_same_in_tls_1_2)
{
	struct rig_text late = guest_odd(rig, "late", (struct pki_options){ .cn = "alice",
	                                                                    .from_s = -2 * HOUR,
	                                                                    .until_s = -HOUR });
	struct rig_text server = guest_odd(rig, "server", (struct pki_options){ .cn = "alice",
	                                                                        .eku = "serverAuth" });
	struct rig_text self = guest_cert(rig, "self", pki_make(&(struct pki_options){ .cn = "alice" }));
	const struct {
		const char *cert;
		int alert;
	} cases[] = {
		{ late.s, SSL_AD_CERTIFICATE_EXPIRED },
		{ server.s, SSL_AD_UNSUPPORTED_CERTIFICATE },
		{ self.s, SSL_AD_UNKNOWN_CA },
		{ NULL, SSL_AD_HANDSHAKE_FAILURE },
		{ "alice", 0 },
	};

	rig_configure(rig, "client_tls_protocols = tlsv1.2\n", NULL, NULL);
	cr_assert(rig_reload(rig, NULL));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int alert = alert_for(&(struct rig_tls){ .cert = cases[i].cert, .version = TLS1_2_VERSION });

		cr_assert_eq(alert, cases[i].alert, "case %zu: alert %d", i, alert);
	}
}

/* ---- the log ---- */

Test(certificates, subject_cannot_forge_a_log_line)
{
	struct rig_text prefix = guest_cert(rig, "forger", pki_make(&(struct pki_options){
		.cn = "x\nforged line\" reason=\"none", .serial = SERIAL }));

	cr_assert_eq(alert_for(&(struct rig_tls){ .cert = prefix.s }), SSL_AD_UNKNOWN_CA);
	cr_assert(rig_wait_log(rig, "certificate refused: .*serial=5EA1", RIG_PATIENCE_MS));
	cr_assert_not(rig_log_contains(rig, "^forged"));
	cr_assert_not(rig_log_contains(rig, "reason=\"none"));
}
