/* Parameters in the StartupMessage, by themselves and in "options", reach the server. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"

static struct rig *rig;

static void start(void)
{
	rig = rig_start("default_pool_size = 1\nignore_startup_parameters = extra_float_digits\n", NULL,
	                NULL);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(options, .init = start, .fini = stop, .timeout = 60);

/* Log in with one more parameter; what the server says to the question then. "" when refused. */
static struct rig_text ask(const char *name, const char *value, const char *sql,
                           struct guest_answer *answer)
{
	const char *const params[] = { "user", "alice", "database", "app", name, value, NULL };
	struct guest g = guest_tls(rig, "alice");
	struct rig_text text = { "" };

	guest_startup(&g, GUEST_V3_0, params);
	guest_answer(&g, answer);
	if (answer->ready) {
		guest_query(&g, sql);
		text = guest_result(&g);
	}
	guest_leave(&g);
	return text;
}

struct option_case {
	const char *options, *name, *value;
};

Test(options, every_form_of_options_is_understood)
{
	static const struct option_case cases[] = {
		{ "-c search_path=pg_catalog", "search_path", "pg_catalog" },
		{ "-csearch_path=pg_catalog", "search_path", "pg_catalog" },
		{ "--search_path=pg_catalog", "search_path", "pg_catalog" },
		{ "--search-path=pg_catalog", "search_path", "pg_catalog" },
		{ "-c search_path=pg_catalog,\\ public", "search_path", "pg_catalog, public" },
		{ "-c search_path=\"a\\ b\",public", "search_path", "\"a b\",public" },
		{ "  -c   work_mem=5MB   ", "work_mem", "5MB" },
		{ "-c work_mem=5MB -c work_mem=6MB", "work_mem", "6MB" },
		{ "-c search_path=x --work-mem=7MB", "work_mem", "7MB" },
		{ "-c application_name=a=b=c", "application_name", "a=b=c" },
		{ "-c application_name=", "application_name", "" },
		{ "-c application_name=it's\\ a\\ \\\\", "application_name", "it's a \\" },
		{ "-c DateStyle=German", "datestyle", "German, DMY" },
		{ "-c timezone=Asia/Tokyo", "TimeZone", "Asia/Tokyo" },
		{ "", "search_path", "\"$user\", public" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char sql[128];
		struct guest_answer answer;
		struct rig_text text;

		snprintf(sql, sizeof(sql), "SHOW %s", cases[i].name);
		text = ask("options", cases[i].options, sql, &answer);
		cr_assert(answer.ready, "%s: %s", cases[i].options, answer.message);
		cr_assert_str_eq(text.s, cases[i].value, "%s: \"%s\"", cases[i].options, text.s);
	}
}

Test(options, flags_that_are_no_settings_are_refused)
{
	static const char *const cases[] = {
		"-d 5", "-c", "-c search_path", "--search_path", "-c =x", "search_path=x", "-", "--",
		"-c work_mem=5MB -B 16",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct guest_answer answer;

		ask("options", cases[i], "SELECT 1", &answer);
		cr_assert_str_eq(answer.sqlstate, "08P01", "%s: %s", cases[i], answer.sqlstate);
	}
}

Test(options, parameter_of_the_packet_wins_over_the_same_in_options)
{
	const char *const params[] = { "user", "alice", "database", "app", "application_name", "outside",
		                       "options", "-c application_name=inside", NULL };
	struct guest g = guest_tls(rig, "alice");
	struct guest_answer answer;

	guest_startup(&g, GUEST_V3_0, params);
	guest_answer(&g, &answer);
	guest_query(&g, "SHOW application_name");
	cr_assert_str_eq(guest_result(&g).s, "outside");
	guest_leave(&g);
}

Test(options, libpq_passes_them_on_too)
{
	PGconn *conn = rig_connect(rig, "options='-c search_path=pg_catalog' application_name=tester "
	                                "client_encoding=LATIN1");

	cr_assert_str_eq(rig_query(conn, "SHOW search_path").s, "pg_catalog");
	cr_assert_str_eq(rig_query(conn, "SHOW application_name").s, "tester");
	cr_assert_str_eq(rig_query(conn, "SHOW client_encoding").s, "LATIN1");
	cr_assert_str_eq(PQparameterStatus(conn, "application_name"), "tester");
	PQfinish(conn);
}

Test(options, parameters_of_one_client_are_not_seen_by_the_next_on_the_same_server)
{
	PGconn *first = rig_connect(rig, "application_name=first options='-c search_path=pg_catalog'");
	struct rig_text pid = rig_query(first, "SELECT pg_backend_pid()");
	PGconn *second = rig_connect(rig, NULL);

	cr_assert_str_eq(rig_query(first, "SHOW search_path").s, "pg_catalog");
	cr_assert_str_eq(rig_query(second, "SELECT pg_backend_pid()").s, pid.s);
	cr_assert_str_eq(rig_query(second, "SHOW search_path").s, "\"$user\", public");
	cr_assert_str_eq(rig_query(second, "SHOW application_name").s, "");
	cr_assert_str_eq(rig_query(first, "SHOW search_path").s, "pg_catalog");
	cr_assert_str_eq(rig_query(first, "SHOW application_name").s, "first");
	PQfinish(first);
	PQfinish(second);
}

Test(options, parameter_that_the_server_refuses_is_told_to_its_client_alone)
{
	PGconn *bystander = rig_connect(rig, NULL);
	PGconn *conn = rig_try_connect(rig, "alice", "options='-c no_such_parameter=1'");
	PGresult *res = PQexec(conn, "SELECT 1");

	cr_assert(PQresultStatus(res) != PGRES_TUPLES_OK);
	cr_assert(strstr(PQerrorMessage(conn), "no_such_parameter") != NULL, "%s", PQerrorMessage(conn));
	PQclear(res);
	PQfinish(conn);
	cr_assert_str_eq(rig_query(bystander, "SELECT 1").s, "1");
	PQfinish(bystander);
}

Test(options, ignored_parameters_do_nothing)
{
	struct guest_answer answer;

	cr_assert_str_eq(ask("extra_float_digits", "3", "SHOW extra_float_digits", &answer).s, "1");
}

Test(options, search_path_of_a_client_cannot_bend_what_the_pooler_asks)
{
	PGconn *conn;

	rig_admin_exec("CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO alice");
	rig_admin_exec("CREATE FUNCTION trap.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS "
	               "$$ SELECT 'trapped'::text $$");
	rig_admin_exec("CREATE FUNCTION trap.pg_cancel_backend(integer) RETURNS boolean LANGUAGE sql AS "
	               "$$ SELECT false $$");
	conn = rig_connect(rig, "options='-c search_path=trap,pg_catalog -c work_mem=9MB'");
	cr_assert_str_eq(rig_query(conn, "SHOW work_mem").s, "9MB");
	cr_assert_str_eq(rig_query(conn, "SHOW search_path").s, "trap,pg_catalog");
	PQfinish(conn);
}
