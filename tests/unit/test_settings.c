#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/ini.h"
#include "pgseal/base/settings.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct settings s;

static void start(void)
{
	cr_assert_eq(settings_init(&s), ERR_OK);
}

static void stop(void)
{
	settings_fini(&s);
}

TestSuite(settings, .init = start, .fini = stop);

static const char *text_of(const struct settings *of, const char *name)
{
	static char out[256];

	return settings_text(of, settings_find(name), out, sizeof(out));
}

Test(settings, rows_are_sound)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		bool accepted;

		cr_expect_eq(settings_find(row->name), row, "%s appears twice", row->name);
		cr_expect_null(settings_foreign(row->name, &accepted), "%s is foreign too",
		               row->name);
		cr_expect_lt(row->offset, sizeof(struct settings));
		cr_expect_gt(strlen(row->doc), 20, "%s", row->name);
		cr_expect_eq(row->doc[strlen(row->doc) - 1], '.', "%s", row->name);
		cr_expect_null(strchr(row->doc, '\\'), "%s", row->name);
		for (size_t j = 0; j < i; j++)
			cr_expect_neq(settings_table[j].offset, row->offset, "%s", row->name);
	}
	cr_expect_null(settings_find("no_such_setting"));
}

Test(settings, groups_stand_together)
{
	for (size_t i = 1; i < settings_count; i++)
		for (size_t j = 0; j + 1 < i; j++)
			if (strcmp(settings_table[j].group, settings_table[i].group) == 0)
				cr_expect_str_eq(settings_table[i - 1].group,
				                 settings_table[i].group, "%s",
				                 settings_table[i].name);
}

Test(settings, defaults)
{
	static const char *const want[][2] = {
		{ "listen_port", "6432" },
		{ "unix_socket_mode", "0700" },
		{ "pool_mode", "transaction" },
		{ "default_pool_size", "20" },
		{ "query_wait_timeout", "2min" },
		{ "server_login_retry", "1s" },
		{ "server_idle_timeout", "10min" },
		{ "max_packet_size", "2147483647" },
		{ "log_connections", "1" },
		{ "syslog", "0" },
		{ "user", "" },
		{ "max_client_parameters", "1000" },
		{ "max_client_parameter_memory", "256kB" },
		{ "lastval_hold", "100ms" },
		{ "server_reset", "identity" },
		{ "server_reset_query", "DISCARD ALL" },
		{ "client_tls_sslmode", "verify-full" },
		{ "server_tls_sslmode", "verify-full" },
		{ "client_tls_protocols", "tlsv1.3" },
	};

	for (size_t i = 0; i < COUNT(want); i++)
		cr_expect_str_eq(text_of(&s, want[i][0]), want[i][1], "%s", want[i][0]);
	cr_expect_eq(s.pool_mode, POOL_TRANSACTION);
	cr_expect_eq(s.server_reset, SERVER_RESET_IDENTITY);
	cr_expect_eq(s.lastval_hold, 100 * USEC_PER_MS);
	cr_expect_eq(s.unix_socket_mode, 0700);
	cr_expect_eq(s.server_connect_timeout, 15 * USEC_PER_SEC);
}

static const struct {
	const char *name;
	const char *value;
	enum err rc;
	const char *want; /* text afterwards, or a part of the reason */
} set_cases[] = {
	{ "listen_addr", "127.0.0.1, ::1", ERR_OK, "127.0.0.1, ::1" },
	{ "listen_port", "5432", ERR_OK, "5432" },
	{ "listen_port", "0", ERR_RANGE, "(1 to 65535)" },
	{ "listen_port", "70000", ERR_RANGE, "out of range" },
	{ "listen_port", "port", ERR_SYNTAX, "not a whole number" },
	{ "unix_socket_mode", "0770", ERR_OK, "0770" },
	{ "unix_socket_mode", "1000", ERR_RANGE, "0777" },
	{ "unix_socket_mode", "778", ERR_SYNTAX, "octal" },
	{ "unix_socket_mode", "777777777777777777777777", ERR_RANGE, "0777" },
	{ "syslog", "yes", ERR_OK, "1" },
	{ "syslog", "2", ERR_SYNTAX, "0 or 1" },
	{ "syslog_facility", "local3", ERR_OK, "local3" },
	{ "syslog_facility", "local8", ERR_SYNTAX, "is none of auth|" },
	{ "syslog_facility", "daemon,user", ERR_SYNTAX, "one of auth|" },
	{ "query_wait_timeout", "1.5s", ERR_OK, "1500ms" },
	{ "query_wait_timeout", "0", ERR_OK, "0" },
	{ "query_wait_timeout", "soon", ERR_SYNTAX, "not a time" },
	{ "client_login_timeout", "0", ERR_RANGE, "100ms to" },
	{ "server_lifetime", "40000d", ERR_RANGE, "36500d" },
	{ "max_packet_size", "64kB", ERR_OK, "64kB" },
	{ "max_packet_size", "1GB", ERR_OK, "1GB" },
	{ "max_packet_size", "2GB", ERR_RANGE, "2147483647" },
	{ "max_packet_size", "big", ERR_SYNTAX, "not a size" },
	{ "pool_mode", "Session", ERR_OK, "session" },
	{ "pool_mode", "statement", ERR_RANGE, "not supported: it breaks every transaction" },
	{ "pool_mode", "sess", ERR_SYNTAX, "none of transaction|session" },
	{ "pool_mode", "", ERR_SYNTAX, "none of" },
	{ "client_tls_sslmode", "verify-full", ERR_OK, "verify-full" },
	{ "client_tls_sslmode", "require", ERR_RANGE, "use verify-full" },
	{ "server_tls_sslmode", "verify-ca", ERR_OK, "verify-ca" },
	{ "server_tls_sslmode", "disable", ERR_OK, "disable" },
	{ "server_tls_sslmode", "prefer", ERR_RANGE, "clear text in silence" },
	{ "client_tls_protocols", "tlsv1.2, tlsv1.3", ERR_OK, "tlsv1.2, tlsv1.3" },
	{ "client_tls_protocols", "secure", ERR_OK, "secure" },
	{ "client_tls_protocols", "tlsv1.1", ERR_RANGE, "TLS below 1.2" },
	{ "client_tls_protocols", "all", ERR_RANGE, "TLS below 1.2" },
	{ "client_tls_protocols", "tlsv1.3,", ERR_SYNTAX, "none of" },
	{ "client_tls_protocols", "", ERR_SYNTAX, "none of" },
	{ "client_tls_protocols", "tlsv1.2 tlsv1.3", ERR_SYNTAX, "comma separated list of" },
	{ "server_reset_query", "", ERR_OK, "" },
	{ "server_reset", "suspected", ERR_OK, "suspected" },
	{ "server_reset", "Client", ERR_OK, "client" },
	{ "server_reset", "close", ERR_OK, "close" },
	{ "server_reset", "always", ERR_SYNTAX, "none of suspected|identity|client|close" },
	{ "max_client_parameters", "1", ERR_OK, "1" },
	{ "max_client_parameters", "0", ERR_RANGE, "(1 to 100000)" },
	{ "max_client_parameters", "100001", ERR_RANGE, "(1 to 100000)" },
	{ "max_client_parameter_memory", "1kB", ERR_OK, "1kB" },
	{ "max_client_parameter_memory", "1023", ERR_RANGE, "(1kB to" },
	{ "lastval_hold", "0", ERR_OK, "0" },
	{ "lastval_hold", "250", ERR_OK, "250ms" },
	{ "lastval_hold", "10s", ERR_OK, "10s" },
	{ "lastval_hold", "10001", ERR_RANGE, "(0 to 10s)" },
};

Test(settings, set)
{
	for (size_t i = 0; i < COUNT(set_cases); i++) {
		const struct setting *row = settings_find(set_cases[i].name);
		struct errbuf why = { "" };
		char before[256];

		settings_text(&s, row, before, sizeof(before));
		cr_expect_eq(settings_set(&s, row, set_cases[i].value, &why), set_cases[i].rc,
		             "%s = %s: %s", row->name, set_cases[i].value, why.text);
		if (set_cases[i].rc == ERR_OK) {
			cr_expect_str_eq(text_of(&s, row->name), set_cases[i].want);
			continue;
		}
		cr_expect_not_null(strstr(why.text, set_cases[i].want), "%s", why.text);
		cr_expect_eq(strncmp(why.text, row->name, strlen(row->name)), 0, "%s", why.text);
		cr_expect_str_eq(text_of(&s, row->name), before, "the old value stays");
	}
}

Test(settings, same_compares_values_not_spellings)
{
	const struct setting *timeout = settings_find("query_wait_timeout");
	const struct setting *user = settings_find("user");
	struct settings other;

	cr_assert_eq(settings_init(&other), ERR_OK);
	for (size_t i = 0; i < settings_count; i++)
		cr_expect(settings_same(&s, &other, &settings_table[i]), "%s",
		          settings_table[i].name);
	cr_assert_eq(settings_set(&other, timeout, "2min", NULL), ERR_OK);
	cr_expect(settings_same(&s, &other, timeout));
	cr_assert_eq(settings_set(&other, timeout, "3min", NULL), ERR_OK);
	cr_expect(!settings_same(&s, &other, timeout));
	cr_assert_eq(settings_set(&other, user, "postgres", NULL), ERR_OK);
	cr_expect(!settings_same(&s, &other, user));
	settings_fini(&other);
}

Test(settings, text_is_cut_to_the_room)
{
	char out[5];

	cr_assert_str_eq(settings_text(&s, settings_find("server_reset_query"), out, sizeof(out)),
	                 "DISC");
}

Test(settings, foreign_names_have_a_verdict)
{
	static const struct {
		const char *name;
		bool accepted;
		const char *remedy;
	} cases[] = {
		{ "pkt_buf", true, "ignored" },
		{ "auth_type", false, "[identities]" },
		{ "auth_file", false, "[databases]" },
		{ "admin_users", false, "console=admin" },
		{ "dns_max_ttl", false, "at each login" },
	};
	bool accepted;

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *remedy = settings_foreign(cases[i].name, &accepted);

		cr_assert_not_null(remedy, "%s", cases[i].name);
		cr_expect_eq(accepted, cases[i].accepted, "%s", cases[i].name);
		cr_expect_not_null(strstr(remedy, cases[i].remedy), "%s", remedy);
	}
	cr_expect_null(settings_foreign("no_such_setting", &accepted));
}

/* --- what is printed --- */

static char *printed(void (*print)(FILE *to))
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	print(to);
	fclose(to);
	return text;
}

Test(settings, the_sample_is_a_comment_but_for_its_section)
{
	char *text = printed(settings_print_sample);
	struct report *rep = report_create();
	struct ini *ini = ini_load_text("sample", text, strlen(text), rep);

	cr_assert_eq(report_lines(rep), 0);
	cr_assert_eq(ini_count(ini), 0);
	cr_assert(ini_has_section(ini, "pgseal"));
	ini_release(ini);
	report_free(rep);
	free(text);
}

/* Set what the entry says in *into; it must be a setting. */
static void apply(const struct ini_entry *e, struct settings *into)
{
	const struct setting *row = settings_find(e->key);
	struct errbuf why = { "" };

	cr_assert_not_null(row, "%s", e->key);
	cr_expect_eq(settings_set(into, row, e->value, &why), ERR_OK, "%s", why.text);
	cr_expect(settings_same(&s, into, row), "%s", e->key);
}

Test(settings, the_sample_without_its_comment_marks_sets_the_defaults)
{
	char *text = printed(settings_print_sample);
	struct report *rep = report_create();
	struct settings other;
	struct ini *ini;

	for (char *p = text; (p = strstr(p, "\n;")) != NULL; p += 2) {
		if (p[2] !=
		    ';') /* ";name = value" becomes " name": shift the mark in front of \n */
			p[0] = ' ', p[1] = '\n';
	}
	ini = ini_load_text("sample", text, strlen(text), rep);
	cr_assert_eq(report_lines(rep), 0);
	cr_assert_eq(ini_count(ini), settings_count);
	cr_assert_eq(settings_init(&other), ERR_OK);
	for (size_t i = 0; i < ini_count(ini); i++)
		apply(ini_at(ini, i), &other);
	settings_fini(&other);
	ini_release(ini);
	report_free(rep);
	free(text);
}

Test(settings, sample_lines_are_short)
{
	char *text = printed(settings_print_sample);

	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
		cr_expect_leq(strlen(line), 80, "%s", line);
	free(text);
}

Test(settings, the_manual_lists_every_setting_in_its_group)
{
	char *text = printed(settings_print_man);
	char item[128];

	for (size_t i = 0; i < settings_count; i++) {
		snprintf(item, sizeof(item), "\n.TP\n.B %s\n", settings_table[i].name);
		cr_expect_not_null(strstr(text, item), "%s", settings_table[i].name);
		snprintf(item, sizeof(item), ".SS %s\n", settings_table[i].group);
		cr_expect_not_null(strstr(text, item), "%s", settings_table[i].group);
	}
	cr_expect_not_null(strstr(text, "Default: verify\\-full.\n"));
	cr_expect_not_null(strstr(text, "\nFrom 1 to 65535.\n"));
	free(text);
}

Test(settings, a_copy_is_its_own)
{
	const struct setting *number = settings_find("max_client_conn");
	const struct setting *text = settings_find("logfile");
	struct settings copy;
	struct errbuf why;

	cr_assert_eq(settings_set(&s, text, "/var/log/a", &why), ERR_OK);
	cr_assert_eq(settings_copy(&copy, &s), ERR_OK);
	for (size_t i = 0; i < settings_count; i++)
		cr_expect(settings_same(&s, &copy, &settings_table[i]), "%s", settings_table[i].name);
	cr_assert_eq(settings_set(&copy, number, "7", &why), ERR_OK);
	cr_assert_eq(settings_set(&copy, text, "/var/log/b", &why), ERR_OK);
	cr_assert_str_eq(text_of(&s, "logfile"), "/var/log/a");
	cr_assert_str_eq(text_of(&s, "max_client_conn"), "100");
	settings_fini(&copy);
	cr_assert_str_eq(text_of(&s, "logfile"), "/var/log/a");
}
