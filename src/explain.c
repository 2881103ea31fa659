#include "explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "pgseal/base/bytes.h"
#include "pgseal/core/site.h"
#include "pgseal/tls/context.h"
#include "pgseal/tls/names.h"

static X509 *read_certificate(const char *path)
{
	FILE *f = fopen(path, "r");
	X509 *cert;

	if (f == NULL) {
		perror(path);
		return NULL;
	}
	if ((cert = PEM_read_X509(f, NULL, NULL, NULL)) == NULL)
		fprintf(stderr, "%s: no certificate in PEM format in it\n", path);
	fclose(f);
	return cert;
}

static void print_names(const struct names *names)
{
	enum name_type t;
	size_t i;

	for (t = 0; t < NAME_TYPES; t++)
		for (i = 0; i < names_count(names, t); i++)
			printf("  %s:%s\n", name_type_word(t), quote_str(names_at(names, t, i)).s);
}

static void print_list(const char *label, const char *const *at, size_t n, const char *none)
{
	size_t i;

	printf("%s:", label);
	for (i = 0; i < n; i++)
		printf(" %s", quote_str(at[i]).s);
	printf("%s\n", n == 0 ? none : "");
}

/* Does the client's CA vouch for it, now and for this purpose? */
static bool print_trust(const struct site *site, X509 *cert)
{
	X509_STORE_CTX *ctx;
	bool ok;

	if (site->client_tls == NULL)
		return true;
	if ((ctx = X509_STORE_CTX_new()) == NULL)
		return false;
	ok = X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(site->client_tls), cert, NULL) == 1 &&
	     X509_STORE_CTX_set_default(ctx, "ssl_client") == 1 && X509_verify_cert(ctx) == 1;
	printf("verified: %s\n", ok ? "yes" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	return ok;
}

static bool print_question(const struct explain_question *q, const struct site *site,
                           const struct identity *id)
{
	bool ok = true, may;

	if (q->role != NULL) {
		may = identity_may_role(id, q->role);
		printf("role %s: %s\n", quote_str(q->role).s, may ? "allowed" : "refused");
		ok = ok && may;
	}
	if (q->database != NULL) {
		may = identity_may_database(id, q->database);
		printf("database %s: %s%s\n", quote_str(q->database).s, may ? "allowed" : "refused",
		       may && site_database(site, q->database) == NULL ? ", but there is no such entry in "
		       "[databases]" : "");
		ok = ok && may && site_database(site, q->database) != NULL;
	}
	return ok;
}

static bool print_identity(const struct explain_question *q, const struct site *site,
                           const struct names *names)
{
	static const char *const console[] = { "no", "stats", "admin" };
	struct identity_rule_view view;
	struct identity *id;
	struct errbuf why;
	bool ok;

	if (identity_find(site->rules, names, &id, &why) != ERR_OK) {
		printf("identity: none: %s\n", why.text);
		return false;
	}
	printf("identity: %s\n", id->label);
	if (id->rule != SIZE_MAX) {
		identity_rules_view(site->rules, id->rule, &view);
		printf("rule: %s = %s:%s\n", view.label, view.type, view.matcher);
	} else {
		printf("rule: none, the only CN is the role (there is no [identities] section)\n");
	}
	printf("matched: %s:%s\n", name_type_word(id->type), quote_str(id->name).s);
	print_list("roles", id->roles, id->role_count, " none");
	print_list("databases", id->databases, id->database_count, " all");
	printf("console: %s\n", console[id->console]);
	ok = print_question(q, site, id);
	identity_free(id);
	return ok;
}

static bool explain_with(const struct explain_question *q, const struct site *site, X509 *cert)
{
	struct names *names;
	struct errbuf why;
	bool ok;

	if (names_extract(cert, &names, &why) != ERR_OK) {
		printf("identity: none: %s\n", why.text);
		return false;
	}
	printf("names in %s:\n", q->cert);
	print_names(names);
	ok = print_trust(site, cert);
	ok = print_identity(q, site, names) && ok;
	names_free(names);
	return ok;
}

int explain(const struct explain_question *q)
{
	struct report *rep = report_create();
	struct site *site = NULL;
	X509 *cert = NULL;
	bool ok = false;

	if (rep != NULL && site_load(q->config, rep, &site) == ERR_OK &&
	    (cert = read_certificate(q->cert)) != NULL)
		ok = explain_with(q, site, cert);
	else if (rep != NULL)
		report_print(rep, stderr);
	X509_free(cert);
	site_release(site);
	report_free(rep);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
