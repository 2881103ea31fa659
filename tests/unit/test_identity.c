/* identity.h: whom rules let in, and what they grant. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../pki/pki.h"
#include "pgseal/tls/identity.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct place here = { "t.ini", 7 };

static struct names *names_of(const struct pki_options *o)
{
	struct pki_cert *cert = pki_make(o);
	struct names *names = NULL;
	struct errbuf why = { "" };

	cr_assert_eq(names_extract(cert->x509, &names, &why), ERR_OK, "%s", why.text);
	pki_free(cert);
	return names;
}

/* label, value, label, value, ..., NULL; all must be in order. */
static struct identity_rules *rules_of(const char *const pairs[])
{
	struct identity_rules *rules = identity_rules_create();
	struct report *rep = report_create();

	for (size_t i = 0; pairs[i] != NULL; i += 2)
		identity_rules_add(rules, pairs[i], pairs[i + 1], here, rep);
	if (report_errors(rep) != 0)
		report_print(rep, stderr);
	cr_assert_eq(report_errors(rep), 0);
	report_free(rep);
	return rules;
}
#define RULES(...) rules_of((const char *const[]){ __VA_ARGS__, NULL })

static struct identity *find(const struct identity_rules *rules, const struct pki_options *o,
                             struct errbuf *why)
{
	struct names *names = names_of(o);
	struct identity *id = NULL;
	enum err rc = identity_find(rules, names, &id, why);

	cr_assert(rc == ERR_OK ? id != NULL : rc == ERR_DENIED && id == NULL);
	names_free(names); /* the identity must not need them */
	return id;
}

static struct identity *find_cn(const struct identity_rules *rules, const char *cn)
{
	struct errbuf why = { "" };

	return find(rules, &(struct pki_options){ .cn = cn }, &why);
}

/* ------------------------------------------------------------------ no section */

Test(identity, without_a_section_the_cn_is_the_role)
{
	struct identity_rules *rules = identity_rules_create();
	struct identity *id = find_cn(rules, "alice");

	cr_assert_str_eq(id->label, "alice");
	cr_assert_str_eq(id->name, "alice");
	cr_assert_eq(id->type, NAME_CN);
	cr_assert_eq(id->rule, SIZE_MAX);
	cr_assert_eq(id->console, CONSOLE_NONE);
	cr_assert_not(id->share_rule);
	cr_assert(identity_may_role(id, "alice"));
	cr_assert_not(identity_may_role(id, "ALICE"));
	cr_assert_not(identity_may_role(id, "bob"));
	cr_assert(identity_may_database(id, "anything"));
	identity_free(id);
	identity_rules_free(rules);
}

Test(identity, without_a_section_some_cns_are_no_role)
{
	static const char long_cn[] =
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	struct identity_rules *rules = identity_rules_create();
	struct identity *id;

	cr_assert_eq(strlen(long_cn), 64);
	cr_assert_null(find_cn(rules, long_cn));
	cr_assert_null(find_cn(rules, "*"), "a certificate cannot say any role");
	cr_assert_null(find_cn(rules, NULL));
	id = find_cn(rules, long_cn + 1);
	cr_assert_not_null(id);
	identity_free(id);
	identity_rules_free(rules);
}

Test(identity, an_empty_section_lets_nobody_in)
{
	struct identity_rules *rules = identity_rules_create();

	identity_rules_present(rules);
	cr_assert_null(find_cn(rules, "alice"));
	identity_rules_free(rules);
}

/* ------------------------------------------------------------------ matching */

static const struct match_case {
	const char *rule;
	const char *want; /* the name that matched; NULL: refused */
} match_cases[] = {
	{ "cn:app roles=r", "app" },
	{ "  cn:app   roles=r  ", "app" },
	{ "cn:\"app\" roles=r", "app" },
	{ "cn:App roles=r", NULL },
	{ "cn:ap roles=r", NULL },
	{ "cn:app2 roles=r", NULL },
	{ "cn:/app/ roles=r", "app" },
	{ "cn:/ap/ roles=r", NULL },
	{ "cn:/p+/ roles=r", NULL },
	{ "cn:/x|app/ roles=r", "app" },
	{ "cn:/[a-z]+/ roles=r", "app" },
	{ "dn:CN=app,OU=dba,O=Example roles=r", "CN=app,OU=dba,O=Example" },
	{ "dn:O=Example,OU=dba,CN=app roles=r", NULL },
	{ "dn:/CN=([a-z]+),OU=dba,O=Example/ roles=\\1", "CN=app,OU=dba,O=Example" },
	{ "dns:b.example roles=r", "b.example" },
	{ "dns:B.EXAMPLE roles=r", NULL },
	{ "dns:x.wild.example roles=r", NULL },
	{ "dns:*.wild.example roles=r", "*.wild.example" },
	{ "dns:/.*\\.example/ roles=r", "a.example" },
	{ "uri:spiffe://prod/sa/api roles=r", "spiffe://prod/sa/api" },
	{ "uri:/spiffe://prod/sa/[a-z]+/ roles=r", "spiffe://prod/sa/api" },
	{ "uri:/spiffe:\\/\\/prod\\/sa\\/.*/ roles=r", "spiffe://prod/sa/api" },
	{ "uri:/spiffe://prod/[^/ ]+/[^/]+/ databases=a/b roles=r", "spiffe://prod/sa/api" },
	{ "email:app@example roles=r", "app@example" },
	{ "cn:b.example roles=r", NULL },
	{ "sha256:" HEX64 " roles=r", NULL },
};

static const struct pki_options app = {
	.subject = { { .type = "O", .value = "Example" },
	             { .type = "OU", .value = "dba" },
	             { .type = "CN", .value = "app" } },
	.sans = { { PKI_SAN_DNS, "a.example", 0 },
	          { PKI_SAN_DNS, "b.example", 0 },
	          { PKI_SAN_DNS, "*.wild.example", 0 },
	          { PKI_SAN_URI, "spiffe://prod/sa/api", 0 },
	          { PKI_SAN_EMAIL, "app@example", 0 } },
};

Test(identity, names_are_matched_whole_and_byte_for_byte)
{
	for (size_t i = 0; i < CASES(match_cases); i++) {
		struct identity_rules *rules = RULES("l", match_cases[i].rule);
		struct errbuf why = { "" };
		struct identity *id = find(rules, &app, &why);

		cr_expect_eq(id != NULL, match_cases[i].want != NULL, "%s: %s", match_cases[i].rule,
		             why.text);
		if (id != NULL)
			cr_expect_str_eq(id->name, match_cases[i].want, "%s", match_cases[i].rule);
		identity_free(id);
		identity_rules_free(rules);
	}
}

Test(identity, quoted_names_keep_blanks_quotes_and_escapes)
{
	struct identity_rules *rules = RULES("a", "cn:\"Old \\\"App\\\" \\\\1\" roles=r", "b",
	                                     "dn:\"O=Foo\\, Inc.,CN=x y\" roles=r", "c",
	                                     "cn:/x y/ roles=r");
	struct errbuf why;
	struct identity *id = find_cn(rules, "Old \"App\" \\1");

	cr_assert_str_eq(id->label, "a");
	identity_free(id);
	id = find(rules,
	          &(struct pki_options){ .subject = { { .type = "CN", .value = "x y" },
	                                              { .type = "O", .value = "Foo, Inc." } } },
	          &why);
	cr_assert_str_eq(id->label, "b");
	identity_free(id);
	id = find_cn(rules, "x y");
	cr_assert_str_eq(id->label, "c");
	identity_free(id);
	identity_rules_free(rules);
}

Test(identity, fingerprints_may_be_written_with_colons_and_capitals)
{
	struct pki_cert *cert = pki_make(&(struct pki_options){ .cn = "app" });
	struct names *names = NULL;
	struct identity *id = NULL;
	struct errbuf why;
	char rule[256] = "sha256:";
	size_t n = strlen(rule);
	struct identity_rules *rules;

	cr_assert_eq(names_extract(cert->x509, &names, &why), ERR_OK);
	for (const char *p = names_at(names, NAME_SHA256, 0); *p != '\0'; p += 2)
		n += (size_t)snprintf(rule + n, sizeof rule - n, "%02lX%s",
		                      strtoul((char[]){ p[0], p[1], 0 }, NULL, 16),
		                      p[2] ? ":" : "");
	strcat(rule, " roles=r");
	rules = RULES("pin", rule);
	cr_assert_eq(identity_find(rules, names, &id, &why), ERR_OK);
	cr_assert_str_eq(id->name, names_at(names, NAME_SHA256, 0));
	identity_free(id);
	identity_rules_free(rules);
	names_free(names);
	pki_free(cert);
}

Test(identity, the_first_rule_that_matches_wins)
{
	struct identity_rules *rules = RULES("one", "cn:bob roles=b", "two", "cn:/.*/ roles=any",
	                                     "three", "cn:alice console=admin");
	struct identity *id = find_cn(rules, "alice");

	cr_assert_str_eq(id->label, "two");
	cr_assert_eq(id->rule, 1);
	cr_assert_eq(id->console, CONSOLE_NONE);
	identity_free(id);
	identity_rules_free(rules);
}

/* ------------------------------------------------------------------ grants */

Test(identity, roles_databases_console_and_limits)
{
	struct identity_rules *rules = RULES(
		"x", "cn:app roles=a,\"b c\",\"d,\\\"e\" databases=one,two console=stats");
	struct identity *id = find_cn(rules, "app");

	cr_assert_eq(id->role_count, 3);
	cr_assert(identity_may_role(id, "a"));
	cr_assert(identity_may_role(id, "b c"));
	cr_assert(identity_may_role(id, "d,\"e"));
	cr_assert_not(identity_may_role(id, "b"));
	cr_assert_not(identity_may_role(id, ""));
	cr_assert(identity_may_database(id, "two"));
	cr_assert_not(identity_may_database(id, "three"));
	cr_assert_eq(id->console, CONSOLE_STATS);
	identity_free(id);
	identity_rules_free(rules);
}

Test(identity, a_star_allows_any_role_and_any_database)
{
	struct identity_rules *rules = RULES("x", "cn:app roles=* databases=*");
	struct identity *id = find_cn(rules, "app");

	cr_assert(identity_may_role(id, "postgres"));
	cr_assert(identity_may_database(id, "one"));
	cr_assert_eq(id->database_count, 0);
	identity_free(id);
	identity_rules_free(rules);
}

Test(identity, a_console_alone_grants_no_role)
{
	struct identity_rules *rules = RULES("x", "cn:app console=admin");
	struct identity *id = find_cn(rules, "app");

	cr_assert_eq(id->console, CONSOLE_ADMIN);
	cr_assert_not(identity_may_role(id, "app"));
	cr_assert_not(identity_may_role(id, "*"));
	identity_free(id);
	identity_rules_free(rules);
}

Test(identity, captures_become_roles)
{
	struct identity_rules *rules = RULES("x", "cn:/([a-z]+)-([a-z]+)/ roles=\\1,ro_\\2_x,\\0");
	struct identity *id = find_cn(rules, "app-web");

	cr_assert_eq(id->role_count, 3);
	cr_assert_str_eq(id->roles[0], "app");
	cr_assert_str_eq(id->roles[1], "ro_web_x");
	cr_assert_str_eq(id->roles[2], "app-web");
	identity_free(id);
	identity_rules_free(rules);
}

Test(identity, a_backslash_digit_that_is_escaped_is_no_capture)
{
	struct identity_rules *rules = RULES("x", "cn:app roles=a\\\\1");
	struct identity *id = find_cn(rules, "app");

	cr_assert_str_eq(id->roles[0], "a\\1");
	identity_free(id);
	identity_rules_free(rules);
}

static const struct capture_case {
	const char *rule;
	const char *cn;
} capture_cases[] = {
	{ "cn:/x(.*)/ roles=\\1", "x" },                             /* empty */
	{ "cn:/x(.*)/ roles=app_\\1", "x" },                         /* empty among other bytes */
	{ "cn:/(y)?x/ roles=\\1", "x" },                             /* took no part */
	{ "cn:/(.*)/ roles=\\1", "*" },                              /* would allow any role */
	{ "cn:/(.*)/ roles=a,\\1\\1\\1\\1\\1\\1\\1", "0123456789" }, /* 70 bytes */
	{ "cn:/(a+)+[xy]/ roles=r",
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac" }, /* limits */
};

Test(identity, captures_that_make_no_role_are_refused)
{
	for (size_t i = 0; i < CASES(capture_cases); i++) {
		/* the second rule must not catch what the first one refuses */
		struct identity_rules *rules = RULES("x", capture_cases[i].rule, "all",
		                                     "cn:/.*/ roles=*");

		cr_expect_null(find_cn(rules, capture_cases[i].cn), "%s", capture_cases[i].rule);
		identity_rules_free(rules);
	}
}

Test(identity, a_pattern_with_more_groups_than_can_be_named)
{
	struct identity_rules *rules = RULES("x",
	                                     "cn:/(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)/ roles=\\9\\0");
	struct identity *id = find_cn(rules, "abcdefghijk");

	cr_assert_str_eq(id->roles[0], "iabcdefghijk");
	identity_free(id);
	identity_rules_free(rules);
}

Test(identity, a_copy_stands_alone)
{
	struct identity_rules *rules = RULES("x", "cn:/(.*)/ roles=\\1,b databases=d");
	struct identity *id = find_cn(rules, "alice");
	struct identity *copy = identity_copy(id);

	identity_free(id);
	identity_rules_free(rules);
	cr_assert_str_eq(copy->label, "x");
	cr_assert_str_eq(copy->name, "alice");
	cr_assert(strlen(copy->serial) > 0);
	cr_assert(identity_may_role(copy, "alice"));
	cr_assert(identity_may_role(copy, "b"));
	cr_assert(identity_may_database(copy, "d"));
	identity_free(copy);
}

Test(identity, names_are_shared_by_a_rule_that_says_so_alone)
{
	static const struct {
		const char *rule;
		bool want;
	} cases[] = {
		{ "cn:/.*/ roles=r", false },
		{ "cn:/.*/ roles=r share=name", false },
		{ "cn:/.*/ roles=r share=rule", true },
	};

	for (size_t i = 0; i < CASES(cases); i++) {
		struct identity_rules *rules = RULES("x", cases[i].rule);
		struct identity *id = find_cn(rules, "alice");
		struct identity *copy = identity_copy(id);

		cr_expect_eq(id->share_rule, cases[i].want, "%s", cases[i].rule);
		cr_expect_eq(copy->share_rule, cases[i].want, "%s", cases[i].rule);
		cr_expect_str_eq(copy->name, "alice");
		identity_free(copy);
		identity_free(id);
		identity_rules_free(rules);
	}
}

Test(identity, the_view_shows_rules_as_written)
{
	struct identity_rules *rules = RULES(
		"x", "dn:/CN=([a-z]+)/ roles=\\1,\"a b\" databases=* console=admin",
		"y", "cn:\"a b\" console=stats");
	struct identity_rule_view v;

	cr_assert_eq(identity_rules_count(rules), 2);
	identity_rules_view(rules, 0, &v);
	cr_assert_str_eq(v.label, "x");
	cr_assert_str_eq(v.type, "dn");
	cr_assert_str_eq(v.matcher, "/CN=([a-z]+)/");
	cr_assert_str_eq(v.roles, "\\1,\"a b\"");
	cr_assert_str_eq(v.databases, "*");
	cr_assert_eq(v.console, CONSOLE_ADMIN);
	identity_rules_view(rules, 1, &v);
	cr_assert_str_eq(v.matcher, "\"a b\"");
	cr_assert_str_eq(v.roles, "");
	cr_assert_str_eq(v.databases, "");
	identity_rules_free(rules);
}

/* ------------------------------------------------------------------ faults */

Test(identity, a_broken_rule_still_closes_the_door)
{
	struct identity_rules *rules = identity_rules_create();
	struct report *rep = report_create();

	identity_rules_add(rules, "x", "nonsense", here, rep);
	cr_assert_null(find_cn(rules, "alice"));
	report_free(rep);
	identity_rules_free(rules);
}
