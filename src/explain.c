#include "explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "pgseal/base/bytes.h"
#include "pgseal/core/site.h"
#include "pgseal/tls/context.h"
#include "pgseal/tls/names.h"

/* All of the file: the client's own comes first, then the intermediates that it would send. */
static STACK_OF(X509) *read_certificates(const char *path)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	FILE *f = fopen(path, "r");
	X509 *cert;

	if (f == NULL)
		perror(path);
	while (f != NULL && all != NULL && (cert = PEM_read_X509(f, NULL, NULL, NULL)) != NULL)
		if (sk_X509_push(all, cert) <= 0)
			X509_free(cert);
	if (f != NULL && sk_X509_num(all) <= 0)
		fprintf(stderr, "%s: no certificate in PEM format in it\n", path);
	if (f != NULL)
		fclose(f);
	return all;
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
static bool print_trust(const struct site *site, STACK_OF(X509) *certs)
{
	X509_STORE_CTX *ctx;
	bool ok;

	if (site->client_tls == NULL)
		return true;
	if ((ctx = X509_STORE_CTX_new()) == NULL)
		return false;
	ok = X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(site->client_tls),
	                         sk_X509_value(certs, 0), certs) == 1 &&
	     X509_STORE_CTX_set_default(ctx, "ssl_client") == 1 && X509_verify_cert(ctx) == 1;
	printf("verified: %s\n",
	       ok ? "yes" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	return ok;
}

static bool print_database(const char *database, const struct site *site, const struct identity *id)
{
	bool console = site_is_console(database);
	bool may = console ? id->console != CONSOLE_NONE : identity_may_database(id, database);
	bool there = console || site_database(site, database) != NULL;

	printf("database %s: %s%s%s\n", quote_str(database).s, may ? "allowed" : "refused",
	       console ? ", it is the console" : "",
	       may && !there ? ", but there is no such entry in [databases]" : "");
	return may && there;
}

static bool print_question(const struct explain_question *q, const struct site *site,
                           const struct identity *id)
{
	/* The console takes any name of a role. */
	bool any_role = q->database != NULL && site_is_console(q->database);
	bool ok = true, may;

	if (q->role != NULL) {
		may = any_role || identity_may_role(id, q->role);
		printf("role %s: %s\n", quote_str(q->role).s, may ? "allowed" : "refused");
		ok = may;
	}
	if (q->database != NULL)
		ok = print_database(q->database, site, id) && ok;
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
	printf("replication: %s\n", id->replication ? "yes" : "no");
	printf("share: %s\n", id->share_rule ? "rule" : "name");
	ok = print_question(q, site, id);
	identity_free(id);
	return ok;
}

static bool explain_with(const struct explain_question *q, const struct site *site,
                         STACK_OF(X509) *certs)
{
	struct names *names;
	struct errbuf why;
	bool ok;

	if (names_extract(sk_X509_value(certs, 0), &names, &why) != ERR_OK) {
		printf("identity: none: %s\n", why.text);
		return false;
	}
	printf("names in %s:\n", q->cert);
	print_names(names);
	ok = print_trust(site, certs);
	ok = print_identity(q, site, names) && ok;
	names_free(names);
	return ok;
}

int explain(const struct explain_question *q)
{
	struct report *rep = report_create();
	struct site *site = NULL;
	STACK_OF(X509) *certs = NULL;
	bool ok = false;

	if (rep == NULL)
		return EXIT_FAILURE;
	if (site_load(q->config, rep, &site) != ERR_OK)
		report_print(rep, stderr);
	else if ((certs = read_certificates(q->cert)) != NULL && sk_X509_num(certs) > 0)
		ok = explain_with(q, site, certs);
	sk_X509_pop_free(certs, X509_free);
	site_release(site);
	report_free(rep);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
