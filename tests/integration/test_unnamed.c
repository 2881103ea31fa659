/* The unnamed prepared statement outlives its Sync on whatever server it is bound next, and is nobody
 * else's. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/rig_priv.h"

TestSuite(unnamed, .timeout = 60);

Test(unnamed, statements_of_two_clients_are_each_their_own)
{
	duo_start("u_two", 1, NULL);
	for (int i = 0; i < 3; i++) {
		prepare("", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		prepare("", "SELECT generate_series(1, 7)");
		expect(&b, "1tTZ");
		execute("");
		expect_rows(&a, "2DCZ", 3);
		execute("");
		expect_rows(&b, "2DCZ", 7);
	}
	duo_finish();
}

Test(unnamed, statement_lasts_until_another_takes_its_place)
{
	duo_start("u_lasts", 1, NULL);
	for (int i = 0; i < 3; i++) {
		script_parse(&say, "", "SELECT generate_series(1, 3)");
		execute("");
		expect_rows(&a, "12DCZ", 3);
		script_parse(&say, "", "SELECT generate_series(1, 7)");
		execute("");
		expect_rows(&b, "12DCZ", 7);
		execute("");
		expect_rows(&a, "2DCZ", 3);
		describe("");
		script_sync(&say);
		expect(&b, "tTZ");
		execute("");
		expect_rows(&b, "2DCZ", 7);
	}
	duo_finish();
}

Test(unnamed, simple_query_drops_it)
{
	duo_start("u_query", 1, NULL);
	script_parse(&say, "", "SELECT generate_series(1, 3)");
	execute("");
	expect_rows(&a, "12DCZ", 3);
	script_query(&say, "SELECT 1");
	expect(&a, "TDCZ");
	execute("");
	expect_error(&a, "EZ", "26000", "unnamed prepared statement does not exist");
	/* and in one go */
	prepare("", "SELECT generate_series(1, 3)");
	script_query(&say, "SELECT 1");
	execute("");
	expect_error(&a, "1tTZTDCZEZ", "26000", "unnamed prepared statement does not exist");
	duo_finish();
}

Test(unnamed, closing_it_drops_it)
{
	duo_start("u_close", 2, "server_round_robin=1\n");
	prepare("", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	close_statement("");
	script_sync(&say);
	expect(&a, "3Z");
	execute("");
	expect_error(&a, "EZ", "26000", "unnamed prepared statement does not exist");
	close_statement("");
	script_bind(&say, "");
	script_sync(&say);
	expect_error(&a, "3EZ", "26000", "unnamed prepared statement does not exist");
	duo_finish();
}

Test(unnamed, statement_that_cannot_be_parsed_is_none)
{
	duo_start("u_wrong", 1, NULL);
	prepare("", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	prepare("", "SELECT nonsense");
	expect_error(&a, "EZ", "42703", "nonsense");
	execute("");
	expect_error(&a, "EZ", "26000", "unnamed prepared statement does not exist");
	/* one that is skipped leaves the old one */
	prepare("", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	script_bind(&say, "none");
	prepare("", "SELECT generate_series(1, 4)");
	expect_error(&a, "EZ", "26000", "\"none\"");
	execute("");
	expect_rows(&a, "2DCZ", 3);
	duo_finish();
}

Test(unnamed, statement_of_a_client_that_left_is_not_met)
{
	duo_start("u_left", 1, NULL);
	prepare("", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	frames_drop(&b);
	execute("");
	expect_error(&a, "EZ", "26000", "unnamed prepared statement does not exist");
	duo_finish();
}

Test(unnamed, statement_in_a_transaction_block_is_not_met_behind_it)
{
	duo_start("u_block", 1, NULL);
	script_query(&say, "BEGIN");
	expect(&b, "CZ");
	prepare("", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	execute("");
	expect_rows(&b, "2DCZ", 7);
	script_parse(&say, "", "COMMIT");
	execute("");
	expect(&b, "12CZ");
	execute("");
	expect_error(&a, "EZ", "26000", "unnamed prepared statement does not exist");
	duo_finish();
}

Test(unnamed, error_behind_it_leaves_it_to_its_client_alone)
{
	duo_start("u_error", 1, NULL);
	script_parse(&say, "", "SELECT generate_series(1, 7)");
	script_bind(&say, "");
	script_text(&say, 'D', "Pnosuch");
	script_sync(&say);
	expect_error(&b, "12EZ", "34000", "nosuch");
	execute("");
	expect_error(&a, "EZ", "26000", "unnamed prepared statement does not exist");
	execute("");
	expect_rows(&b, "2DCZ", 7);
	duo_finish();
}

Test(unnamed, message_that_the_server_cannot_read_is_no_harm)
{
	duo_start("u_unread", 1, NULL);
	script_parse(&say, "", "SELECT generate_series(1, 7)");
	execute("");
	expect_rows(&b, "12DCZ", 7);
	script_query(&say, "\xff");
	execute("");
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'Z', 2).s, "EZEZ");
	cr_assert_str_eq(a.sqlstate, "26000");
	duo_finish();
}

Test(unnamed, earlier_error_is_no_harm_to_a_statement_parsed_behind_it)
{
	duo_start("u_earlier", 1, NULL);
	script_query(&say, "SELECT 1/0");
	script_parse(&say, "", "SELECT generate_series(1, 3)");
	script_sync(&say);
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'Z', 2).s, "EZ1Z");
	execute("");
	expect_error(&b, "EZ", "26000", "unnamed");
	execute("");
	expect_rows(&a, "2DCZ", 3);
	duo_finish();
}

Test(unnamed, batch_that_fails_before_it_is_whole_has_its_one_ready_for_query)
{
	duo_start("u_dribble", 1, NULL);
	script_parse(&say, "", "SELECT generate_series(1, 7)");
	execute("");
	expect_rows(&b, "12DCZ", 7);
	for (int i = 0; i < 3; i++) {
		script_parse(&say, "", "selec");
		script_flush(&say);
		frames_send(&a, &say);
		cr_assert_str_eq(frames_until(&a, 'E', 1).s, "E");
		execute("");
		script_parse(&say, "", "SELECT generate_series(1, 3)");
		execute("");
		frames_send(&a, &say);
		cr_assert_str_eq(frames_until(&a, 'Z', 2).s, "Z12DCZ");
	}
	duo_finish();
}

Test(unnamed, several_batches_at_once)
{
	duo_start("u_pipeline", 1, NULL);
	for (int i = 0; i < 3; i++) {
		for (int rows = 1; rows <= 4; rows++) {
			script_parse(&say, "", rig_printf("SELECT generate_series(1, %d)", rows).s);
			execute("");
			execute("");
		}
		expect_rows(&a, "12DCZ2DCZ12DCZ2DCZ12DCZ2DCZ12DCZ2DCZ", 4);
		script_query(&say, "SELECT 1");
		expect(&b, "TDCZ");
		execute("");
		expect_rows(&a, "2DCZ", 4);
	}
	duo_finish();
}

/* What the client was told no longer holds when it binds: it must hear that, not get other rows. */
Test(unnamed, description_that_no_longer_holds_is_an_error)
{
	duo_start("u_shape", 2, "server_round_robin=1\nmin_pool_size=2\n");
	script_query(&say, "CREATE TABLE public.shape (one int)");
	expect(&a, "CZ");
	for (int i = 0; i < 3; i++) {
		prepare("", "SELECT * FROM public.shape");
		expect(&a, "1tTZ");
		script_query(&say,
		             rig_printf("ALTER TABLE public.shape ADD COLUMN more%d int", i).s);
		expect(&b, "CZ");
		execute("");
		expect_error(&a, "EZ", "0A000", "cached plan must not change result type");
	}
	duo_finish();
}

/* What the server is asked behind a text that may leave something in it is not the client's query. */
Test(unnamed, questions_of_ours_do_not_drop_it)
{
	duo_start("u_probe", 1, NULL);
	for (int i = 0; i < 3; i++) {
		script_query(&say, "SELECT 1");
		script_parse(&say, "", "PREPARE x AS SELECT nonsense");
		script_bind(&say, "");
		script_execute(&say, 0);
		script_sync(&say);
		prepare("", "SELECT generate_series(1, 3)");
		expect(&a, "TDCZ12EZ1tTZ");
		execute("");
		expect_rows(&a, "2DCZ", 3);
	}
	duo_finish();
}

/* Too large to be remembered: it keeps its server as long as it may be bound again. */
Test(unnamed, large_statement_keeps_its_server)
{
	char sql[80000];
	const char *params[] = { "host", "port", NULL };
	PGconn *c, *d;

	(void)params;
	crowd_database("u_large");
	duo_rig = rig_start(NULL, crowd_entry("u_large", "pool_size=1").s, NULL);
	c = rig_connect(duo_rig, "dbname=u_large");
	d = rig_connect(duo_rig, "dbname=u_large");
	snprintf(sql, sizeof(sql), "SELECT 5 /* %*s */", 70000, "");
	PQclear(PQprepare(c, "", sql, 0, NULL));
	cr_assert(PQsendQuery(d, "SELECT 1"));
	cr_assert(rig_stays_silent(d, 300));
	cr_assert(PQsendQueryPrepared(c, "", 0, NULL, NULL, NULL, 0));
	cr_assert_str_eq(rig_scalar(c).s, "5");
	rig_exec(c, "SELECT 1");
	cr_assert_str_eq(rig_scalar(d).s, "1");
	PQfinish(c);
	PQfinish(d);
	rig_stop(duo_rig);
}

/* libpq's own way: PQprepare("") is one round trip, the execution another. */
static void body(struct member *m)
{
	PGresult *res;
	char sql[80];

	while (crowd_goes_on(m)) {
		long want = (long)m->index * 1000000 + m->done;

		snprintf(sql, sizeof(sql), "SELECT %ld", want);
		PQclear(PQprepare(m->conn, "", sql, 0, NULL));
		res = PQexecPrepared(m->conn, "", 0, NULL, NULL, NULL, 0);
		if (PQresultStatus(res) != PGRES_TUPLES_OK || atol(PQgetvalue(res, 0, 0)) != want)
			member_fault(m, "%s instead of %ld: %s",
			             PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "nothing", want,
			             PQresultErrorMessage(res));
		PQclear(res);
		m->done++;
	}
}

Test(unnamed, crowd_on_few_servers)
{
	struct crowd crowd;

	crowd_database("u_crowd");
	duo_rig = rig_start("server_round_robin=1\nworkers=2\n",
	                    crowd_entry("u_crowd", "pool_size=3").s, NULL);
	crowd_start(&crowd, duo_rig, 16, "dbname=u_crowd", 3000, body, NULL);
	crowd_join(&crowd);
	rig_stop(duo_rig);
}
