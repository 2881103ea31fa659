/* --check and --explain: what the operator reads before a client does. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"

TestSuite(explain, .timeout = 60);

/* `text` begins a line of it. */
static bool has_line(const char *output, const char *text)
{
	size_t n = strlen(text);

	for (const char *line = output; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, text, n) == 0)
			return true;
	}
	return false;
}

/* How many lines begin with that. */
static int count_lines(const char *output, const char *text)
{
	size_t n = strlen(text);
	int count = 0;

	for (const char *line = output; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		count += strncmp(line, text, n) == 0;
	}
	return count;
}

/* A finding about that line of the rig's configuration (as `sections` was written there), beginning
 * with that text. */
static void assert_finding(const struct rig *rig, const struct rig_run *run, const char *written,
                           const char *text)
{
	FILE *f = fopen(rig_config(rig), "r");
	char line[1024], want[2048];
	int number = 0;
	bool found = false;

	cr_assert(f != NULL);
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		number++;
		found = strncmp(line, written, strlen(written)) == 0;
	}
	fclose(f);
	cr_assert(found, "%s is not in the file", written);
	snprintf(want, sizeof(want), "error: %s:%d: %s", rig_config(rig), number, text);
	cr_assert(has_line(run->text, want), "no \"%s\" in\n%s", want, run->text);
}

static void check(const struct rig *rig, struct rig_run *run)
{
	rig_run((const char *const[]){ "--check", rig_config(rig), NULL }, run);
}

/* ---- --check ---- */

Test(explain, good_configuration_is_said_to_be_fine)
{
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, "alice = cn:alice roles=alice\n");

	check(rig, &run);
	cr_assert_eq(run.status, 0, "%s", run.text);
	cr_assert(strstr(run.text, "the configuration is fine") != NULL, "%s", run.text);
	cr_assert_not(has_line(run.text, "error:"), "%s", run.text);
	rig_stop(rig);
}

Test(explain, all_errors_are_told_at_once_with_file_and_line)
{
	static const char *const wrong[][2] = {
		{ "pool_mode = statement", "pool_mode: \"statement\"" },
		{ "client_login_timeout = soon", "client_login_timeout: \"soon\" is not a time" },
		{ "no_such_setting = 1", "unknown setting \"no_such_setting\"" },
		{ "auth_type = md5", "auth_type: not supported: clients log in by certificate alone" },
		{ "bad = host=127.0.0.1 nonsense=1", "database \"bad\": nonsense: neither" },
		{ "pgseal = host=127.0.0.1", "database \"pgseal\": the name is the console's" },
		{ "no type = alice", "identity no type: " },
		{ "mail = mail:alice", "identity mail: \"mail\" is no type of name" },
		{ "nothing = cn:alice", "identity nothing: the rule grants nothing" },
		{ "open = cn:/(/", "identity open: the pattern is malformed at byte 1" },
		{ "group = cn:/(a)/", "identity group: roles= holds \\2 but the pattern has 1" },
		{ "exact = cn:alice", "identity exact: roles= holds \\1 but there is no /pattern/" },
		{ "unclosed = cn:/abc", "identity unclosed: the pattern has no closing slash" },
		{ "typo = cn:alice", "identity typo: \"rolls\" is no attribute" },
		{ "hex = sha256:abcd", "identity hex: sha256 needs the 64 hex digits" },
	};
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, NULL);

	rig_configure(rig, "pool_mode = statement\nclient_login_timeout = soon\nno_such_setting = 1\n"
	                   "auth_type = md5\n",
	              "app = @postgres@\nbad = host=127.0.0.1 nonsense=1\npgseal = host=127.0.0.1\n",
	              "no type = alice\nmail = mail:alice roles=a\nnothing = cn:alice\n"
	              "open = cn:/(/ roles=a\ngroup = cn:/(a)/ roles=\\2\nexact = cn:alice roles=\\1\n"
	              "unclosed = cn:/abc roles=a\ntypo = cn:alice rolls=a\nhex = sha256:abcd roles=a\n");
	check(rig, &run);
	cr_assert_eq(run.status, 1, "%s", run.text);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_finding(rig, &run, wrong[i][0], wrong[i][1]);
	cr_assert(strstr(run.text, "refused, ") != NULL, "%s", run.text);
	rig_stop(rig);
}

Test(explain, what_would_not_act_or_not_protect_is_refused)
{
	static const char *const wrong[][2] = {
		{ "server_tls_sslmode = prefer", "server_tls_sslmode: " },
		{ "client_tls_sslmode = prefer", "client_tls_sslmode: " },
		{ "soft = host=127.0.0.1 sslmode=prefer", "database \"soft\": sslmode: " },
		{ "softer = host=127.0.0.1 sslmode=allow", "database \"softer\": sslmode: " },
		{ "few = cn:alice", "identity few: max_clients=0: a whole number" },
	};
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, NULL);

	rig_configure(rig, "server_tls_sslmode = prefer\nclient_tls_sslmode = prefer\n",
	              "app = @postgres@\nsoft = host=127.0.0.1 sslmode=prefer\n"
	              "softer = host=127.0.0.1 sslmode=allow\n",
	              "few = cn:alice roles=alice max_clients=0\n");
	check(rig, &run);
	cr_assert_eq(run.status, 1, "%s", run.text);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_finding(rig, &run, wrong[i][0], wrong[i][1]);
	rig_stop(rig);
}

Test(explain, label_that_stands_there_twice_is_found)
{
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, NULL);

	rig_configure(rig, NULL, NULL, "one = cn:alice roles=alice\none = cn:bob roles=bob\n");
	check(rig, &run);
	cr_assert_eq(run.status, 1);
	cr_assert_eq(count_lines(run.text, "error: "), 1, "%s", run.text);
	cr_assert(strstr(run.text, "identity one: the label stands there twice") != NULL, "%s", run.text);
	rig_stop(rig);
}

Test(explain, files_that_do_not_fit_are_found)
{
	static const struct {
		const char *settings, *text;
	} cases[] = {
		{ "client_tls_key_file = @pki@/pgseal.key\n", "does not belong to the certificate" },
		{ "client_tls_key_file = @pki@/nosuch.key\n", "nosuch.key" },
		{ "client_tls_cert_file = @dir@/late.crt\nclient_tls_key_file = @dir@/late.key\n", "expired" },
		{ "client_tls_ca_file = @dir@/late.crt\n", "none of its certificates is valid" },
		{ "client_tls_ca_file = @dir@/pgseal.ini\n", "holds no certificate" },
		{ "server_tls_key_file = @pki@/server.key\n", "does not belong to the certificate" },
	};
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, NULL);

	guest_odd(rig, "late", (struct pki_options){ .cn = "localhost", .eku = "serverAuth",
	                                             .from_s = -7200, .until_s = -3600 });
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_configure(rig, cases[i].settings, NULL, NULL);
		check(rig, &run);
		cr_assert_eq(run.status, 1, "%s%s", cases[i].settings, run.text);
		cr_assert(strstr(run.text, cases[i].text) != NULL, "%s%s", cases[i].settings, run.text);
	}
	rig_stop(rig);
}

/* ---- --explain ---- */

/* NULL for role or database: not asked. */
static void explain(const struct rig *rig, const char *cert, const char *role, const char *database,
                    struct rig_run *run)
{
	const char *arguments[10] = { "--explain", "--cert", cert };
	size_t n = 3;

	if (role != NULL) {
		arguments[n++] = "--role";
		arguments[n++] = role;
	}
	if (database != NULL) {
		arguments[n++] = "--database";
		arguments[n++] = database;
	}
	arguments[n] = rig_config(rig);
	rig_run(arguments, run);
}

static void assert_line(const struct rig_run *run, const char *text)
{
	cr_assert(has_line(run->text, text), "no \"%s\" in\n%s", text, run->text);
}

static struct rig_text certificate(const char *name)
{
	struct rig_text path = rig_cert(name);

	strcat(path.s, ".crt");
	return path;
}

#define RULES \
	"people = cn:/(al)(ice)/ roles=\\1\\2,app_ro databases=app,later console=stats share=rule\n" \
	"alice = cn:alice roles=bob console=admin\n"

Test(explain, the_rule_that_matches_and_what_it_grants_are_told)
{
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, RULES);

	explain(rig, certificate("alice").s, NULL, NULL, &run);
	cr_assert_eq(run.status, 0, "%s", run.text);
	assert_line(&run, "  cn:alice");
	assert_line(&run, "  dn:CN=alice,O=pgseal demo");
	assert_line(&run, "verified: yes");
	assert_line(&run, "identity: people");
	assert_line(&run, "rule: people = cn:/(al)(ice)/");
	assert_line(&run, "matched: cn:alice");
	assert_line(&run, "roles: alice app_ro");
	assert_line(&run, "databases: app later");
	assert_line(&run, "console: stats");
	assert_line(&run, "share: rule");
	rig_stop(rig);
}

Test(explain, questions_are_answered_by_text_and_exit_status)
{
	static const struct {
		const char *role, *database, *line;
		int status;
	} cases[] = {
		{ "alice", NULL, "role alice: allowed", 0 },
		{ "app_ro", "app", "role app_ro: allowed", 0 },
		{ "alice", "app", "database app: allowed", 0 },
		{ "bob", "app", "role bob: refused", 1 },
		{ "alice", "other", "database other: refused", 1 },
		{ "alice", "later", "database later: allowed, but there is no such entry", 1 },
		{ NULL, "nosuch", "database nosuch: refused", 1 },
		{ NULL, "pgseal", "database pgseal: allowed, it is the console", 0 },
		{ "whoever", "pgbouncer", "database pgbouncer: allowed, it is the console", 0 },
	};
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, RULES);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		explain(rig, certificate("alice").s, cases[i].role, cases[i].database, &run);
		assert_line(&run, cases[i].line);
		cr_assert_eq(run.status, cases[i].status, "case %zu:\n%s", i, run.text);
	}
	rig_stop(rig);
}

Test(explain, certificate_that_is_nobody_is_said_to_be)
{
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, RULES);

	explain(rig, certificate("bob").s, NULL, NULL, &run);
	cr_assert_eq(run.status, 1);
	assert_line(&run, "identity: none: no identity rule matches the certificate");
	rig_stop(rig);
}

Test(explain, certificate_that_tls_would_refuse_is_told_why)
{
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, RULES);
	struct rig_text late = guest_odd(rig, "late", (struct pki_options){ .cn = "alice",
	                                                                    .from_s = -7200,
	                                                                    .until_s = -3600 });

	strcat(late.s, ".crt");
	explain(rig, late.s, NULL, NULL, &run);
	cr_assert_eq(run.status, 1);
	assert_line(&run, "verified: certificate has expired");
	assert_line(&run, "identity: people");
	explain(rig, certificate("server").s, NULL, NULL, &run);
	cr_assert_eq(run.status, 1);
	assert_line(&run, "verified: unsuitable certificate purpose");
	rig_stop(rig);
}

Test(explain, intermediates_in_the_file_count_as_if_the_client_sent_them)
{
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, RULES);
	struct pki_cert *ca = guest_ca(), *middle = pki_ca("Middle CA", ca);
	struct pki_cert *alice = pki_client(middle, "alice");
	char path[512];

	snprintf(path, sizeof(path), "%s/alice.chain", rig_dir(rig));
	pki_write_chain(path, (const struct pki_cert *const[]){ alice, middle, NULL });
	explain(rig, path, NULL, NULL, &run);
	cr_assert_eq(run.status, 0, "%s", run.text);
	assert_line(&run, "verified: yes");
	pki_write_cert(path, alice);
	explain(rig, path, NULL, NULL, &run);
	cr_assert_eq(run.status, 1, "%s", run.text);
	assert_line(&run, "verified: unable to get local issuer certificate");
	pki_free(alice);
	pki_free(middle);
	pki_free(ca);
	rig_stop(rig);
}

Test(explain, without_rules_the_cn_is_explained_as_the_role)
{
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, NULL);

	explain(rig, certificate("bob").s, "bob", "app", &run);
	cr_assert_eq(run.status, 0, "%s", run.text);
	assert_line(&run, "rule: none, the only CN is the role");
	assert_line(&run, "roles: bob");
	assert_line(&run, "databases: all");
	assert_line(&run, "console: no");
	assert_line(&run, "replication: no");
	assert_line(&run, "share: name");
	explain(rig, certificate("bob").s, "bob", "pgseal", &run);
	cr_assert_eq(run.status, 1);
	assert_line(&run, "database pgseal: refused");
	rig_stop(rig);
}

Test(explain, trouble_with_its_arguments_is_told_and_not_a_success)
{
	static struct rig_run run;
	struct rig *rig = rig_start(NULL, NULL, NULL);

	explain(rig, "/nonexistent/client.crt", NULL, NULL, &run);
	cr_assert_eq(run.status, 1);
	assert_line(&run, "/nonexistent/client.crt: No such file");
	explain(rig, rig_config(rig), NULL, NULL, &run);
	cr_assert_eq(run.status, 1);
	cr_assert(strstr(run.text, "no certificate in PEM format") != NULL, "%s", run.text);
	rig_run((const char *const[]){ "--explain", rig_config(rig), NULL }, &run);
	cr_assert_eq(run.status, 2);
	assert_line(&run, "pgseal: --explain needs --cert FILE");
	rig_configure(rig, "no_such_setting = 1\n", NULL, NULL);
	explain(rig, certificate("bob").s, NULL, NULL, &run);
	cr_assert_eq(run.status, 1);
	assert_finding(rig, &run, "no_such_setting", "unknown setting");
	rig_stop(rig);
}
