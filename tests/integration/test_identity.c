/* Who is who: from the names in a certificate to a role, a database, the console. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <openssl/evp.h>

#include "tests/integration/guest.h"

TestSuite(identity, .timeout = 60);

/* The bytes of a string literal, zero bytes and all. */
#define TEXT(s) .value = s, .len = sizeof(s) - 1
#define CN(s) { .type = "CN", TEXT(s) }

static void assert_denied(const struct guest_answer *answer, const char *user, const char *what)
{
	char message[256];

	snprintf(message, sizeof(message), "certificate authentication failed for user \"%s\"", user);
	cr_assert_str_eq(answer->severity, "FATAL", "%s", what);
	cr_assert_str_eq(answer->sqlstate, "28000", "%s", what);
	cr_assert_str_eq(answer->message, message, "%s: %s", what, answer->message);
	cr_assert_str_eq(answer->fields, "SVCMHF", "%s: fields %s", what, answer->fields);
}

/* ---- without rules: the only CN is the role ---- */

Test(identity, without_rules_the_cn_is_the_role_and_no_other_is)
{
	struct rig *rig = rig_start(NULL, NULL, NULL);
	PGconn *conn = rig_connect_as(rig, "bob", NULL);
	struct guest_answer answer;

	cr_assert_str_eq(rig_query(conn, "SELECT current_user").s, "bob");
	PQfinish(conn);
	guest_try(rig, "bob", "alice", "app", &answer);
	assert_denied(&answer, "alice", "another role");
	rig_stop(rig);
}

struct name_case {
	const char *what;
	struct pki_options options;
	const char *user;
	const char *reason; /* in the log */
};

static const struct name_case refused_names[] = {
	{ "zero byte in the CN", { .subject = { CN("alice\0.evil.example") } }, "alice",
	  "cn holds the control byte" },
	{ "two CNs", { .subject = { CN("bob"), CN("alice") } }, "alice", "more than one CN" },
	{ "two equal CNs", { .subject = { CN("alice"), CN("alice") } }, "alice", "more than one CN" },
	{ "two CNs in one RDN", { .subject = { CN("alice"), { .type = "CN", TEXT("bob"), .joined = true } } },
	  "alice", "more than one CN" },
	{ "empty CN", { .cn = "" }, "alice", "cn is empty" },
	{ "no CN", { .subject = { { .type = "O", TEXT("alice") } } }, "alice", "has no CN" },
	{ "no subject, but a SAN", { .sans = { { PKI_SAN_DNS, "alice", 0 } } }, "alice", "has no CN" },
	{ "T61String, which is taken as Latin-1",
	  { .subject = { { .type = "CN", TEXT("alice\xa0"), .asn1_type = V_ASN1_T61STRING } } }, "alice",
	  "may not use role alice" },
	{ "SAN that is not ASCII", { .cn = "alice", .sans = { { PKI_SAN_DNS, "alice\xff", 0 } } }, "alice",
	  "of an ASCII type" },
	{ "CN with a line feed", { .subject = { CN("alice\n") } }, "alice", "control byte" },
	{ "CN with an escape", { .subject = { CN("alice\x1b[2J") } }, "alice", "control byte" },
	{ "IA5String with a high byte",
	  { .subject = { { .type = "CN", TEXT("alic\xe9"), .asn1_type = V_ASN1_IA5STRING } } }, "alice",
	  "of an ASCII type" },
	{ "CN that is a star", { .cn = "*" }, "*", "the CN is \\*" },
	{ "CN longer than a role",
	  { .cn = "a234567890123456789012345678901234567890123456789012345678901234" },
	  "a23456789012345678901234567890123456789012345678901234567890123", "longer than a role's" },
	{ "zero byte in a SAN", { .cn = "alice", .sans = { { PKI_SAN_DNS, "a\0b", 3 } } }, "alice",
	  "dns holds the control byte" },
	{ "CN of another case", { .cn = "Alice" }, "alice", "may not use role alice" },
	{ "CN with a wildcard", { .cn = "*.example.com" }, "x.example.com", "may not use role" },
	{ "CN with a blank behind it", { .cn = "alice " }, "alice", "may not use role" },
};

Test(identity, names_that_are_not_what_they_seem_are_refused)
{
	struct rig *rig = rig_start(NULL, NULL, NULL);

	for (size_t i = 0; i < sizeof(refused_names) / sizeof(refused_names[0]); i++) {
		const struct name_case *c = &refused_names[i];
		struct guest_answer answer;
		char name[32], line[512];

		snprintf(name, sizeof(name), "odd%zu", i);
		guest_try(rig, guest_odd(rig, name, c->options).s, c->user, "app", &answer);
		assert_denied(&answer, c->user, c->what);
		snprintf(line, sizeof(line), "refused: .*reason=\"[^\"]*%s", c->reason);
		cr_assert(rig_wait_log(rig, line, RIG_PATIENCE_MS), "%s: no line with %s", c->what,
		          c->reason);
	}
	cr_assert_not(rig_log_contains(rig, "login:"));
	rig_stop(rig);
}

Test(identity, one_name_in_several_encodings_is_the_same_name)
{
	static const struct pki_attribute encodings[] = {
		{ .type = "CN", TEXT("bob"), .asn1_type = V_ASN1_UTF8STRING },
		{ .type = "CN", TEXT("bob"), .asn1_type = V_ASN1_PRINTABLESTRING },
		{ .type = "CN", TEXT("bob"), .asn1_type = V_ASN1_IA5STRING },
		{ .type = "CN", TEXT("\0b\0o\0b"), .asn1_type = V_ASN1_BMPSTRING },
		{ .type = "CN", TEXT("\0\0\0b\0\0\0o\0\0\0b"), .asn1_type = V_ASN1_UNIVERSALSTRING },
	};
	struct rig *rig = rig_start(NULL, NULL, NULL);

	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		struct guest_answer answer;
		char name[32];

		snprintf(name, sizeof(name), "bob%zu", i);
		guest_try(rig, guest_odd(rig, name, (struct pki_options){ .subject = { encodings[i] } }).s,
		          "bob", "app", &answer);
		cr_assert(answer.ready, "encoding %zu: %s", i, answer.message);
	}
	rig_stop(rig);
}

Test(identity, name_in_utf_8_and_in_ucs_2_is_the_same_identity)
{
	static const struct pki_attribute encodings[] = {
		{ .type = "CN", TEXT("j\xc3\xb6rg") },
		{ .type = "CN", TEXT("\0j\0\xf6\0r\0g"), .asn1_type = V_ASN1_BMPSTRING },
	};
	struct rig *rig = rig_start(NULL, NULL, "joerg = cn:j\xc3\xb6rg roles=app_ro\n");

	for (size_t i = 0; i < 2; i++) {
		struct rig_text cert = guest_odd(rig, i == 0 ? "utf8" : "ucs2",
		                                 (struct pki_options){ .subject = { encodings[i] } });
		struct guest_answer answer;

		guest_try(rig, cert.s, "app_ro", "app", &answer);
		cr_assert(answer.ready, "encoding %zu: %s", i, answer.message);
	}
	rig_stop(rig);
}

/* ---- rules ---- */

#define RULES \
	"cn-exact = cn:worker-1 roles=app_ro\n" \
	"cn-quoted = cn:\"two words\" roles=app_ro\n" \
	"cn-pattern = cn:/^i-[0-9a-f]{17}$/ roles=app_ro\n" \
	"dn-exact = dn:\"CN=Old App,OU=Apps,O=Example\" roles=app_ro\n" \
	"dn-pattern = dn:/CN=([a-z]+),OU=dba,O=Example/ roles=\\1\n" \
	"dns-exact = dns:db.example.com roles=app_ro\n" \
	"dns-pattern = dns:/[a-z]+\\.svc\\.example/ roles=app_ro\n" \
	"uri-exact = uri:spiffe://prod.example/ns/billing/sa/api roles=app_ro\n" \
	"uri-pattern = uri:/spiffe://prod\\.example/ns/(ro|rw)/sa/([a-z]+)/ roles=app_\\1,\\2\n" \
	"email-exact = email:app@example.com roles=app_ro\n" \
	"email-pattern = email:/([a-z]+)@dba\\.example\\.com/ roles=\\1\n"

struct rule_case {
	const char *label; /* of the rule that must match; NULL: none does */
	const char *user;
	struct pki_options options;
};

#define EXAMPLE(ou, name) \
	{ .subject = { { .type = "O", TEXT("Example") }, { .type = "OU", TEXT(ou) }, CN(name) } }
#define SAN(kind, text) { .cn = "somebody", .sans = { { kind, text, 0 } } }

static const struct rule_case rule_cases[] = {
	{ "cn-exact", "app_ro", { .cn = "worker-1" } },
	{ NULL, "app_ro", { .cn = "worker-10" } },
	{ NULL, "app_ro", { .cn = "worker-" } },
	{ NULL, "app_ro", { .cn = "Worker-1" } },
	{ "cn-quoted", "app_ro", { .cn = "two words" } },
	{ "cn-pattern", "app_ro", { .cn = "i-0123456789abcdef0" } },
	{ NULL, "app_ro", { .cn = "i-0123456789abcdef01" } },
	{ NULL, "app_ro", { .cn = "xi-0123456789abcdef0" } },
	{ NULL, "app_ro", { .cn = "i-0123456789ABCDEF0" } },
	{ "dn-exact", "app_ro", EXAMPLE("Apps", "Old App") },
	{ NULL, "app_ro", EXAMPLE("apps", "Old App") },
	{ NULL, "app_ro", { .subject = { CN("Old App"), { .type = "OU", TEXT("Apps") },
	                                 { .type = "O", TEXT("Example") } } } },
	{ NULL, "app_ro", { .cn = "CN=Old App,OU=Apps,O=Example" } },
	{ "dn-pattern", "alice", EXAMPLE("dba", "alice") },
	{ NULL, "bob", EXAMPLE("dba", "alice") },
	{ NULL, "alice", EXAMPLE("dba,O=Example", "alice") },
	{ "dns-exact", "app_ro", SAN(PKI_SAN_DNS, "db.example.com") },
	{ NULL, "app_ro", SAN(PKI_SAN_DNS, "DB.example.com") },
	{ NULL, "app_ro", SAN(PKI_SAN_DNS, "db.example.com.") },
	{ NULL, "app_ro", SAN(PKI_SAN_DNS, "*.example.com") },
	{ NULL, "app_ro", { .cn = "db.example.com" } },
	{ "dns-pattern", "app_ro", SAN(PKI_SAN_DNS, "billing.svc.example") },
	{ NULL, "app_ro", SAN(PKI_SAN_DNS, "billingXsvc.example") },
	{ NULL, "app_ro", SAN(PKI_SAN_DNS, "billing.svc.example.evil.org") },
	{ "uri-exact", "app_ro", SAN(PKI_SAN_URI, "spiffe://prod.example/ns/billing/sa/api") },
	{ NULL, "app_ro", SAN(PKI_SAN_URI, "spiffe://prod.example/ns/billing/sa/api/") },
	{ NULL, "app_ro", SAN(PKI_SAN_DNS, "spiffe://prod.example/ns/billing/sa/api") },
	{ "uri-pattern", "app_rw", SAN(PKI_SAN_URI, "spiffe://prod.example/ns/rw/sa/bob") },
	{ "uri-pattern", "bob", SAN(PKI_SAN_URI, "spiffe://prod.example/ns/rw/sa/bob") },
	{ NULL, "app_ro", SAN(PKI_SAN_URI, "spiffe://prod.example/ns/rw/sa/bob") },
	{ "email-exact", "app_ro", SAN(PKI_SAN_EMAIL, "app@example.com") },
	{ NULL, "app_ro", SAN(PKI_SAN_EMAIL, "App@example.com") },
	{ "email-pattern", "carol", SAN(PKI_SAN_EMAIL, "carol@dba.example.com") },
	{ "email-exact", "app_ro", { .cn = "any", .sans = { { PKI_SAN_EMAIL, "no@example.com", 0 },
	                                                    { PKI_SAN_EMAIL, "app@example.com", 0 } } } },
};

static void assert_rule_case(struct rig *rig, const struct rule_case *c, const char *cert,
                             const char *what)
{
	struct guest_answer answer;
	char line[256];

	guest_try(rig, cert, c->user, "app", &answer);
	if (c->label == NULL) {
		assert_denied(&answer, c->user, what);
		return;
	}
	cr_assert(answer.ready, "%s: %s", what, answer.message);
	snprintf(line, sizeof(line), "login: identity=\"%s\" role=\"%s\" database=\"app\"", c->label,
	         c->user);
	cr_assert(rig_wait_log(rig, line, RIG_PATIENCE_MS), "%s: no %s", what, line);
}

Test(identity, each_type_of_name_matches_exactly_and_by_pattern)
{
	struct rig *rig = rig_start("max_client_conn = 1000\n", NULL, RULES);

	for (size_t i = 0; i < sizeof(rule_cases) / sizeof(rule_cases[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "case%zu", i);
		assert_rule_case(rig, &rule_cases[i], guest_odd(rig, name, rule_cases[i].options).s, name);
	}
	rig_stop(rig);
}

static void hex(const unsigned char *digest, char out[65])
{
	for (size_t i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02X", digest[i]);
}

Test(identity, digests_of_certificate_and_key_match_that_one_alone)
{
	struct pki_cert *ca = guest_ca(), *one = pki_client(ca, "one");
	struct pki_cert *renewed = pki_make(&(struct pki_options){ .cn = "one", .issuer = ca,
	                                                           .eku = "clientAuth", .key = one->key });
	struct pki_cert *other = pki_client(ca, "one");
	unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
	struct rig *rig = rig_start(NULL, NULL, "nobody = cn:nobody roles=app_ro\n");
	char certificate[65], key[65], rules[512];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(one->x509), &der);

	X509_digest(one->x509, EVP_sha256(), digest, NULL);
	hex(digest, certificate);
	EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL);
	OPENSSL_free(der);
	hex(digest, key);
	snprintf(rules, sizeof(rules), "pinned = sha256:%s roles=app_ro\nkeyed = spki:%s roles=app_rw\n",
	         certificate, key);
	rig_configure(rig, NULL, NULL, rules);
	cr_assert(rig_reload(rig, NULL));
	assert_rule_case(rig, &(struct rule_case){ .label = "pinned", .user = "app_ro" },
	                 guest_cert(rig, "one", one).s, "the certificate");
	assert_rule_case(rig, &(struct rule_case){ .label = "keyed", .user = "app_rw" },
	                 guest_cert(rig, "renewed", renewed).s, "another one of the same key");
	assert_rule_case(rig, &(struct rule_case){ .label = NULL, .user = "app_rw" },
	                 guest_cert(rig, "other", other).s, "another key");
	pki_free(ca);
	rig_stop(rig);
}

Test(identity, first_rule_that_matches_wins_even_if_a_later_one_grants_more)
{
	struct rig *rig = rig_start(NULL, NULL, "first = cn:/ali.*/ roles=app_ro\n"
	                                        "second = cn:alice roles=alice console=admin\n"
	                                        "third = cn:bob roles=bob\n");
	struct guest_answer answer;

	guest_try(rig, "alice", "alice", "app", &answer);
	assert_denied(&answer, "alice", "role of the second rule");
	guest_try(rig, "alice", "alice", "pgseal", &answer);
	assert_denied(&answer, "alice", "console of the second rule");
	guest_try(rig, "alice", "app_ro", "app", &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_try(rig, "bob", "bob", "app", &answer);
	cr_assert(answer.ready, "%s", answer.message);
	rig_stop(rig);
}

Test(identity, captures_that_are_empty_or_a_star_grant_nothing)
{
	struct rig *rig = rig_start(NULL, NULL, "any = cn:/x-(.*)/ roles=\\1\n"
	                                        "half = cn:/y-(.*)/ roles=app_\\1\n"
	                                        "missing = cn:/z(-([a-z]+))?/ roles=\\2\n");
	static const char *const names[] = { "x-", "x-*", "y-", "z" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct rig_text cert = guest_odd(rig, names[i], (struct pki_options){ .cn = names[i] });
		struct guest_answer answer;

		guest_try(rig, cert.s, "alice", "app", &answer);
		assert_denied(&answer, "alice", names[i]);
	}
	rig_stop(rig);
}

Test(identity, star_stands_for_any_role_but_not_for_the_console)
{
	struct rig *rig = rig_start(NULL, NULL, "all = cn:alice roles=*\n");
	struct guest_answer answer;

	guest_try(rig, "alice", "app_rw", "other", &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_try(rig, "alice", "alice", "pgbouncer", &answer);
	assert_denied(&answer, "alice", "console");
	rig_stop(rig);
}

/* ---- refusals ---- */

Test(identity, every_refusal_reads_the_same_whatever_exists)
{
	static const struct {
		const char *cert, *user, *database, *reason;
	} cases[] = {
		{ "alice", "bob", "app", "identity limited may not use role bob on database app" },
		{ "alice", "nosuch", "app", "may not use role nosuch" },
		{ "alice", "alice", "other", "on database other" },
		{ "alice", "alice", "nosuch", "on database nosuch" },
		{ "alice", "alice", "pgseal", "no console right" },
		{ "alice", "alice", "pgbouncer", "no console right" },
		{ "bob", "bob", "app", "no identity rule matches the certificate" },
		{ "bob", "alice", "nosuch", "no identity rule matches the certificate" },
	};
	struct rig *rig = rig_start(NULL, NULL, "limited = cn:alice roles=alice databases=app\n");
	struct guest_answer answer;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[256];

		guest_try(rig, cases[i].cert, cases[i].user, cases[i].database, &answer);
		assert_denied(&answer, cases[i].user, cases[i].reason);
		snprintf(line, sizeof(line), "refused: peer=127.0.0.1:[0-9]+ sqlstate=28000 .*reason=\".*%s",
		         cases[i].reason);
		cr_assert(rig_wait_log(rig, line, RIG_PATIENCE_MS), "no %s", line);
	}
	guest_try(rig, "alice", "alice", "app", &answer);
	cr_assert(answer.ready, "%s", answer.message);
	rig_stop(rig);
}

Test(identity, database_that_one_may_use_but_does_not_exist_is_told)
{
	struct rig *rig = rig_start(NULL, NULL, "alice = cn:alice roles=alice\n");
	struct guest_answer answer;

	guest_try(rig, "alice", "alice", "nosuch", &answer);
	cr_assert_str_eq(answer.sqlstate, "3D000");
	cr_assert_str_eq(answer.message, "database \"nosuch\" does not exist");
	rig_stop(rig);
}

Test(identity, section_without_rules_lets_nobody_in)
{
	struct rig *rig = rig_start(NULL, NULL, "");
	struct guest_answer answer;

	guest_try(rig, "alice", "alice", "app", &answer);
	assert_denied(&answer, "alice", "empty section");
	rig_stop(rig);
}

/* ---- the console ---- */

Test(identity, console_rights_are_what_the_rule_says)
{
	struct rig *rig = rig_start(NULL, NULL, "boss = cn:operator console=admin\n"
	                                        "watcher = cn:bob roles=bob console=stats\n");
	PGconn *admin = rig_connect_as(rig, "operator", "dbname=pgseal");
	PGconn *stats = rig_connect_as(rig, "bob", "dbname=pgbouncer");
	struct guest_answer answer;

	rig_exec(admin, "PAUSE app");
	rig_exec(admin, "RESUME app");
	rig_exec(stats, "SHOW POOLS");
	cr_assert_str_eq(rig_error(stats, "PAUSE app").s, "42501");
	cr_assert_str_eq(rig_error(stats, "RELOAD").s, "42501");
	cr_assert_str_eq(rig_error(stats, "SHUTDOWN").s, "42501");
	/* a console alone is no role */
	guest_try(rig, "operator", "operator", "app", &answer);
	assert_denied(&answer, "operator", "role of a rule without roles");
	PQfinish(admin);
	PQfinish(stats);
	rig_stop(rig);
}

Test(identity, unix_socket_leads_to_the_console_and_nowhere_else)
{
	struct rig *rig = rig_start(NULL, NULL, NULL);
	struct guest g = guest_unix(rig);
	struct guest_answer answer;

	guest_login(&g, "alice", "app");
	guest_answer(&g, &answer);
	assert_denied(&answer, "alice", "pool over the Unix socket");
	guest_leave(&g);
	g = guest_unix(rig);
	guest_login(&g, "anybody", "pgseal");
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_leave(&g);
	rig_stop(rig);
}

Test(identity, console_answers_a_command_that_came_with_the_startup_message)
{
	static const char command[] = "Q\0\0\0\x11" "SHOW VERSION";
	struct rig *rig = rig_start(NULL, NULL, NULL);
	struct guest g = guest_unix(rig);
	struct guest_answer answer;
	uint8_t packet[256];
	size_t n = rig_startup(packet, sizeof(packet), GUEST_V3_0,
	                       (const char *const[]){ "user", "me", "database", "pgseal", NULL });

	memcpy(packet + n, command, sizeof(command));
	guest_send(&g, packet, n + sizeof(command));
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	cr_assert(strstr(guest_result(&g).s, "pgseal") != NULL);
	guest_leave(&g);
	rig_stop(rig);
}
