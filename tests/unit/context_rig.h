/* What tests of the TLS context share: a directory with a server's files, settings that name
 * them, and a report. */
#ifndef PGSEAL_TESTS_CONTEXT_RIG_H
#define PGSEAL_TESTS_CONTEXT_RIG_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../pki/pki.h"
#include "pgseal/tls/context.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])
#define DAY_S (24 * 3600)

static const struct place here = { "t.ini", 7 };

/* A directory with a server's files, and the settings that name them. Each test has its own. */
static char dir[64];
static struct settings s;
static struct report *rep;
static struct pki_cert *ca, *server;

static inline const char *path(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *out = paths[next++ % 8];

	snprintf(out, sizeof paths[0], "%s/%s", dir, name);
	return out;
}

static inline void set(const char *name, const char *value)
{
	struct errbuf why = { "" };

	cr_assert_eq(settings_set(&s, settings_find(name), value, &why), ERR_OK, "%s", why.text);
}

static inline void start(void)
{
	snprintf(dir, sizeof dir, "/tmp/pgseal-context-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	rep = report_create();
	cr_assert_eq(settings_init(&s), ERR_OK);
	ca = pki_ca("Test CA", NULL);
	server = pki_server(ca, "localhost");
	pki_write_cert(path("ca.crt"), ca);
	pki_write_cert(path("server.crt"), server);
	pki_write_key(path("server.key"), server, 0600);
	set("client_tls_ca_file", path("ca.crt"));
	set("client_tls_cert_file", path("server.crt"));
	set("client_tls_key_file", path("server.key"));
}

static inline void stop(void)
{
	static const char *const files[] = { "ca.crt", "server.crt", "server.key", "crl.pem",
		                             "other.pem" };

	for (size_t i = 0; i < CASES(files); i++)
		unlink(path(files[i]));
	rmdir(dir);
	pki_free(server);
	pki_free(ca);
	settings_fini(&s);
	report_free(rep);
	rep = NULL;
}

static inline SSL_CTX *build(void)
{
	SSL_CTX *ctx = NULL;
	enum err rc = tls_client_context(&s, here, rep, &ctx, NULL);

	if (rc != ERR_OK)
		report_print(rep, stderr);
	cr_assert_eq(rc, ERR_OK);
	cr_assert_eq(report_errors(rep), 0);
	return ctx;
}

static inline bool reported(const char *text, bool as_error)
{
	for (size_t i = 0; i < report_lines(rep); i++) {
		int is_error;
		const char *line = report_line(rep, i, &is_error);

		if (strstr(line, text) != NULL && (is_error != 0) == as_error)
			return true;
	}
	return false;
}

/* The context is refused, and one of the errors says so. */
static inline void refused(const char *text)
{
	SSL_CTX *ctx = NULL;

	cr_expect_eq(tls_client_context(&s, here, rep, &ctx, NULL), ERR_CONFIG, "%s", text);
	cr_expect_null(ctx);
	if (!reported(text, true)) {
		report_print(rep, stderr);
		cr_expect(false, "no finding with: %s", text);
	}
	report_free(rep);
	rep = report_create();
}

#endif
