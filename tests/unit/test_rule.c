/* identity.h: the grammar of rules, and what is told about those that break it. */
#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/tls/identity.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct place here = { "t.ini", 7 };

static const struct fault_case {
	const char *rule;
	const char *text; /* must be in the finding */
} fault_cases[] = {
	{ "", "must begin with type:value" },
	{ "roles=a", "must begin with type:value" },
	{ "role:alice roles=a", "\"role\" is no type of name" },
	{ "CN:alice roles=a", "\"CN\" is no type of name" },
	{ "cn: roles=a", "nothing stands behind cn:" },
	{ "cn:\"\" roles=a", "nothing stands behind cn:" },
	{ "cn:// roles=a", "is empty" },
	{ "cn:/abc roles=a", "no closing slash" },
	{ "cn:/abc\\/ roles=a", "no closing slash" },
	{ "cn:/abc/roles=a", "put a blank there" },
	{ "cn:/abc/ foo", "\"foo\" is not attribute=value" },
	{ "cn:/a(b/ roles=a", "malformed at byte 3 of /a(b/" },
	{ "cn:/\xff/ roles=a", "malformed" },
	{ "cn:/a\\C/ roles=a", "malformed" },
	{ "cn:\"abc roles=a", "no closing \"" },
	{ "cn:\"abc\"roles=a", "put a blank there" },
	{ "cn:a\x01 roles=a", "can never match" },
	{ "sha256:abc roles=a", "64 hex digits" },
	{ "spki:" HEX64 "0 roles=a", "64 hex digits" },
	{ "spki:g" HEX64 " roles=a", "64 hex digits" },
	{ "sha256:/.*/ roles=a", "takes no pattern" },
	{ "dn:alice roles=a", "does not begin an RDN" },
	{ "dn:cn=alice roles=a", "does not begin an RDN" },
	{ "dn:\"CN=alice, O=x\" roles=a", "does not begin an RDN" },
	{ "dn:CN=a,emailAddress=a@x roles=a", "does not begin an RDN" },
	{ "dn:CN=a, roles=a", "does not begin an RDN" },
	{ "dn:CN=a<b roles=a", "a backslash must stand" },
	{ "dn:CN=\\a roles=a", "a backslash must stand" },
	{ "dn:CN=a\\ roles=a", "a backslash must stand" },
	{ "dn:CN=#a roles=a", "a backslash must stand" },
	{ "dn:1.2.3=abc roles=a", "upper-case hex" },
	{ "dn:1.2.3=#0c0 roles=a", "upper-case hex" },
	{ "cn:a", "grants nothing" },
	{ "cn:a role=x", "\"role\" is no attribute" },
	{ "cn:a b roles=x", "\"b\" is not attribute=value" },
	{ "cn:a roles = x", "is not attribute=value" },
	{ "cn:a roles=", "empty name" },
	{ "cn:a roles=a,,b", "empty name" },
	{ "cn:a roles=a, b", "empty name" },
	{ "cn:a roles=a roles=b", "twice" },
	{ "cn:a roles=a,*", "must stand alone" },
	{ "cn:a roles=a databases=*,b", "must stand alone" },
	{ "cn:a roles=\"a", "no closing quote" },
	{ "cn:a roles=\"a\"b", "behind a closing quote" },
	{ "cn:a roles=a\"b\"", "a quote within a name" },
	{ "cn:a roles=a\\b", "a backslash stands before" },
	{ "cn:a roles=\xff", "not a clean UTF-8" },
	{ "cn:a roles=a\x01", "control byte" },
	{ "cn:a roles=a databases=\\1", "takes no captures" },
	{ "cn:a roles=\\1", "no /pattern/" },
	{ "cn:/a/ roles=\\1", "has 0 capture groups" },
	{ "cn:/(a)(b)/ roles=\\1\\3", "\\3 but the pattern has 2" },
	{ "cn:a roles=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	  "63 bytes" },
	{ "cn:a console=root", "console=admin or console=stats" },
	{ "cn:a roles=a max_clients=0", "a whole number" },
	{ "cn:a roles=a max_active=1.5", "a whole number" },
	{ "cn:a roles=a max_active=-1", "a whole number" },
	{ "cn:a roles=a replication=on", "write replication=yes or replication=no" },
	{ "cn:a replication=yes", "grants nothing" },
	{ "cn:a roles=a share=all", "share=all: write share=rule or share=name" },
	{ "cn:a roles=a share=", "write share=rule or share=name" },
	{ "cn:a roles=a share=name share=rule", "twice" },
	{ "cn:a share=rule", "grants nothing" },
	{ "cn:a roles=a shared=rule", "replication= or share=" },
};

Test(rule, faults_are_told_with_place_label_and_remedy)
{
	for (size_t i = 0; i < CASES(fault_cases); i++) {
		struct identity_rules *rules = identity_rules_create();
		struct report *rep = report_create();
		const char *line;
		int is_error;

		identity_rules_add(rules, "lab", fault_cases[i].rule, here, rep);
		cr_expect_geq(report_errors(rep), 1, "%s", fault_cases[i].rule);
		line = report_lines(rep) > 0 ? report_line(rep, 0, &is_error) : "";
		cr_expect(strstr(line, "t.ini:7: identity lab: ") == line, "%s", line);
		cr_expect(strstr(line, fault_cases[i].text) != NULL, "%s: %s", fault_cases[i].rule,
		          line);
		cr_expect_eq(identity_rules_count(rules), 0);
		report_free(rep);
		identity_rules_free(rules);
	}
}

Test(rule, all_faults_of_a_rule_come_at_once)
{
	struct identity_rules *rules = identity_rules_create();
	struct report *rep = report_create();

	identity_rules_add(rules, "a b", "sha256:1 foo=1 console=x max_active=y", here, rep);
	cr_assert_eq(report_errors(rep), 5);
	report_free(rep);
	identity_rules_free(rules);
}

Test(rule, labels_are_plain_and_unique)
{
	static const char *const bad[] = { "", "a b", "a:b", "a/b", "\xc3\xa9" };
	struct identity_rules *rules = identity_rules_create();
	struct report *rep = report_create();

	identity_rules_add(rules, "A-z_0.9", "cn:a roles=a", here, rep);
	cr_assert_eq(report_errors(rep), 0);
	for (size_t i = 0; i < CASES(bad); i++)
		identity_rules_add(rules, bad[i], "cn:a roles=a", here, rep);
	cr_assert_eq(report_errors(rep), CASES(bad));
	identity_rules_add(rules, "A-z_0.9", "cn:b roles=b", here, rep);
	cr_assert_eq(report_errors(rep), CASES(bad) + 1);
	identity_rules_add(rules, "a-z_0.9", "cn:b roles=b", here, rep);
	cr_assert_eq(report_errors(rep), CASES(bad) + 1);
	report_free(rep);
	identity_rules_free(rules);
}
