/* context.h: what settings and files must be like. */
#include <criterion/criterion.h>
#include <openssl/err.h>
#include <sys/stat.h>

#include "context_rig.h"

TestSuite(files, .init = start, .fini = stop);

/* ------------------------------------------------------------------ settings */

Test(files, unknown_words_are_told_with_their_setting)
{
	static const struct {
		const char *setting, *value, *text;
	} cases[] = {
		{ "client_tls_ciphers", "ECDHE-RSA-AES128-GCM-SHA256:NONSENSE",
		  "client_tls_ciphers: \"NONSENSE\"" },
		{ "client_tls_ciphers", "!ALL", "no cipher is left" },
		{ "client_tls13_ciphers", "TLS_AES_128_GCM_SHA256:TLS_NONSENSE",
		  "client_tls13_ciphers: \"TLS_NONSENSE\"" },
		{ "client_tls_ecdhcurve", "X25519:nonsense", "client_tls_ecdhcurve: " },
	};

	for (size_t i = 0; i < CASES(cases); i++) {
		char before[256];

		settings_text(&s, settings_find(cases[i].setting), before, sizeof before);
		set(cases[i].setting, cases[i].value);
		refused(cases[i].text);
		set(cases[i].setting, before);
	}
	free(s.client_tls_protocols);
	s.client_tls_protocols = strdup("tlsv1.3,tlsv1.0");
	refused("\"tlsv1.0\" is not supported");
}

/* ------------------------------------------------------------------ files */

Test(files, missing_settings_and_files_are_told_all_at_once)
{
	SSL_CTX *ctx = NULL;

	set("client_tls_cert_file", "");
	set("client_tls_key_file", "/nonexistent/key");
	set("client_tls_ca_file", dir);
	cr_assert_eq(tls_client_context(&s, here, rep, &ctx, NULL), ERR_CONFIG);
	cr_assert_null(ctx);
	cr_assert_eq(report_errors(rep), 3);
	cr_assert(reported("t.ini:7: client_tls_cert_file is not set", true));
	cr_assert(reported("client_tls_key_file: /nonexistent/key: cannot be opened", true));
	cr_assert(reported("is not a regular file", true));
}

Test(files, what_is_not_pem_is_told)
{
	pki_write_text(path("other.pem"), "", 0600);
	set("client_tls_ca_file", path("other.pem"));
	refused("holds no certificate");
	pki_write_text(path("other.pem"),
	               "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", 0600);
	refused("is damaged after certificate 0");
	set("client_tls_ca_file", path("ca.crt"));
	set("client_tls_cert_file", path("server.key"));
	refused("holds no certificate");
	set("client_tls_cert_file", path("server.crt"));
	set("client_tls_key_file", path("server.crt"));
	chmod(path("server.crt"), 0600);
	refused("holds no private key");
}

Test(files, a_damaged_tail_is_not_passed_over)
{
	FILE *f = fopen(path("ca.crt"), "a");

	fputs("-----BEGIN CERTIFICATE-----\nMIIB\n", f);
	fclose(f);
	refused("is damaged after certificate 1");
}

Test(files, a_key_that_others_may_read_is_refused)
{
	static const mode_t bad[] = { 0644, 0604, 0660, 0610, 0601 };

	for (size_t i = 0; i < CASES(bad); i++) {
		chmod(path("server.key"), bad[i]);
		refused("chmod 06");
	}
	chmod(path("server.key"), 0640);
	if (geteuid() != 0) {
		refused("chmod 0600");
		return;
	}
	SSL_CTX_free(build()); /* root's keys may be shared with a group */
	cr_assert_eq(chown(path("server.key"), 65534, 65534), 0);
	refused("chmod 0600");
}

Test(files, an_encrypted_key_is_refused_without_asking)
{
	pki_write_key_encrypted(path("server.key"), server, "secret");
	refused("is encrypted");
}

Test(files, a_key_of_another_certificate_is_refused)
{
	struct pki_cert *other = pki_server(ca, "localhost");

	pki_write_key(path("server.key"), other, 0600);
	refused("does not belong to the certificate");
	pki_free(other);
}

static void use_server(const struct pki_options *o)
{
	struct pki_cert *cert = pki_make(o);

	pki_write_cert(path("server.crt"), cert);
	pki_write_key(path("server.key"), cert, 0600);
	pki_free(cert);
}

Test(files, times_of_the_servers_certificate)
{
	use_server(
		&(struct pki_options){ .cn = "s", .issuer = ca, .from_s = -200, .until_s = -100 });
	refused("CN=s expired at");
	use_server(&(struct pki_options){ .cn = "s", .issuer = ca, .from_s = 100, .until_s = 200 });
	refused("CN=s is not valid before");
	use_server(&(struct pki_options){
		.cn = "s", .issuer = ca, .from_s = -100, .until_s = 6 * DAY_S });
	SSL_CTX_free(build());
	cr_assert(reported("client_tls_cert_file: ", false));
	cr_assert(reported("CN=s expires soon", false));
	report_free(rep);
	rep = report_create();
	use_server(&(struct pki_options){
		.cn = "s", .issuer = ca, .from_s = -100, .until_s = 8 * DAY_S });
	SSL_CTX_free(build());
	cr_assert_eq(report_lines(rep), 0);
}

Test(files, a_certificate_for_clients_is_told_by_a_notice)
{
	use_server(&(struct pki_options){ .cn = "s", .issuer = ca, .eku = "clientAuth" });
	SSL_CTX_free(build());
	cr_assert(reported("not marked for TLS server use", false));
}

Test(files, an_expired_ca_matters_when_it_is_the_only_one)
{
	struct pki_cert *old = pki_make(&(struct pki_options){
		.cn = "Old CA", .ca = true, .from_s = -200, .until_s = -100 });

	pki_write_chain(path("ca.crt"), (const struct pki_cert *const[]){ old, ca, NULL });
	SSL_CTX_free(build());
	cr_assert(reported("CN=Old CA expired", false));
	pki_write_cert(path("ca.crt"), old);
	refused("none of its certificates is valid now");
	pki_free(old);
}

Test(files, the_files_are_recorded)
{
	struct tls_files files = { 0 }, copy = { 0 };
	SSL_CTX *ctx = NULL;

	cr_assert_eq(tls_client_context(&s, here, rep, &ctx, &files), ERR_OK);
	cr_assert_eq(files.count, 3);
	cr_assert_str_eq(files.at[0].setting, "client_tls_cert_file");
	cr_assert_str_eq(files.at[0].path, path("server.crt"));
	cr_assert_str_eq(files.at[0].subject, "CN=localhost");
	cr_assert_str_eq(files.at[0].issuer, "CN=Test CA");
	cr_assert_eq(strlen(files.at[0].sha256), 64);
	cr_assert_gt(strlen(files.at[0].serial), 0);
	cr_assert_lt(files.at[0].not_before, files.at[0].loaded_at);
	cr_assert_gt(files.at[0].not_after, files.at[0].loaded_at);
	cr_assert_str_eq(files.at[1].setting, "client_tls_key_file");
	cr_assert_str_eq(files.at[1].path, path("server.key"));
	cr_assert_str_eq(files.at[1].subject, "");
	cr_assert_eq(files.at[1].not_after, 0);
	cr_assert_eq(strlen(files.at[1].sha256), 64);
	cr_assert_str_neq(files.at[1].sha256, files.at[0].sha256);
	cr_assert_str_eq(files.at[2].setting, "client_tls_ca_file");
	cr_assert_str_eq(files.at[2].subject, "CN=Test CA");
	cr_assert_eq(tls_files_copy(&copy, &files), ERR_OK);
	tls_files_free(&files);
	cr_assert_eq(files.count, 0);
	cr_assert_eq(copy.count, 3);
	cr_assert_str_eq(copy.at[0].issuer, "CN=Test CA");
	cr_assert_str_eq(copy.at[1].path, path("server.key"));
	tls_files_free(&copy);
	SSL_CTX_free(ctx);
}

/* ------------------------------------------------------------------ server leg */

Test(files, files_of_the_server_leg)
{
	struct tls_files files = { 0 };
	struct pki_cert *client = pki_client(ca, "pooler");

	tls_check_server_files(NULL, "", NULL, here, rep, &files);
	cr_assert_eq(report_lines(rep), 0);
	cr_assert_eq(files.count, 0);
	pki_write_cert(path("other.pem"), client);
	pki_write_key(path("server.key"), client, 0600);
	tls_check_server_files(path("ca.crt"), path("other.pem"), path("server.key"), here, rep,
	                       &files);
	cr_assert_eq(report_lines(rep), 0);
	cr_assert_eq(files.count, 3);
	cr_assert_str_eq(files.at[0].setting, "server_tls_ca_file");
	cr_assert_str_eq(files.at[1].subject, "CN=pooler");
	chmod(path("server.key"), 0644);
	tls_check_server_files("/nonexistent", path("server.crt"), path("server.key"), here, rep,
	                       NULL);
	cr_assert_eq(report_errors(rep), 2);
	cr_assert(reported("server_tls_ca_file: /nonexistent", true));
	cr_assert(reported("server_tls_key_file: ", true));
	cr_assert(reported("not marked for TLS client use", false));
	tls_files_free(&files);
	pki_free(client);
}

Test(files, a_stale_or_broken_revocation_list_is_told)
{
	X509_CRL *crl = pki_crl(ca, (const struct pki_cert *const[]){ NULL }, -DAY_S);

	set("client_tls_crl_file", path("crl.pem"));
	refused("client_tls_crl_file: ");
	pki_write_crl(path("crl.pem"), crl);
	refused("out of date: every client would be refused");
	pki_write_text(path("crl.pem"), "hello\n", 0644);
	refused("holds no revocation list");
	X509_CRL_free(crl);
}

Test(files, openssl_errors_become_one_line)
{
	char text[200];

	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL); /* loads the texts */
	ERR_clear_error();
	tls_error_text(text, sizeof text);
	cr_assert_str_eq(text, "no detail");
	ERR_raise_data(ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER, "a\nb");
	ERR_raise(ERR_LIB_SSL, SSL_R_BAD_PACKET);
	tls_error_text(text, sizeof text);
	cr_assert_str_eq(text, "wrong version number: a\\x0ab; bad packet");
	cr_assert_eq(ERR_peek_error(), 0);
}
