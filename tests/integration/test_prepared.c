/* Named prepared statements in transaction mode: each client has its own, whichever server it gets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/rig_priv.h"

#define ROUND_ROBIN "server_round_robin=1\nmin_pool_size=2\n"

TestSuite(prepared, .timeout = 60);

Test(prepared, same_name_is_two_statements_for_two_clients)
{
	duo_start("n_two", 1, NULL);
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	execute("mine");
	expect_error(&b, "EZ", "26000", "prepared statement \"mine\" does not exist");
	prepare("mine", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	for (int i = 0; i < 3; i++) {
		execute("mine");
		expect_rows(&a, "2DCZ", 3);
		execute("mine");
		expect_rows(&b, "2DCZ", 7);
		describe("mine");
		script_sync(&say);
		expect(&b, "tTZ");
	}
	cr_assert_eq(rig_log_count(duo_rig, "pinned"), 0);
	duo_finish();
}

Test(prepared, statement_follows_its_client_to_every_server)
{
	duo_start("n_follow", 2, ROUND_ROBIN);
	script_parse(&say, "mine", "SELECT generate_series(1, 3)");
	execute("mine");
	expect_rows(&a, "12DCZ", 3);
	for (int i = 0; i < 6; i++) {
		execute("mine");
		script_bind(&say, "mine");
		execute("mine");
		expect_rows(&a, "2DCZ22DCZ", 3);
	}
	duo_finish();
}

Test(prepared, name_that_is_taken)
{
	duo_start("n_taken", 2, ROUND_ROBIN);
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	for (int i = 0; i < 4; i++) {
		prepare("mine", i % 2 ? "SELECT generate_series(1, 3)" : "SELECT 'other'");
		expect_error(&a, "EZ", "42P05", "prepared statement \"mine\" already exists");
		prepare("mine", "selec");
		expect_error(&a, "EZ", "42601", "selec");
		execute("mine");
		expect_rows(&a, "2DCZ", 3);
	}
	script_parse(&say, "twice", "SELECT 1");
	script_parse(&say, "twice", "SELECT 2");
	script_sync(&say);
	expect_error(&a, "1EZ", "42P05", "prepared statement \"twice\" already exists");
	prepare("twice", "SELECT 2");
	expect_error(&a, "EZ", "42P05", "\"twice\"");
	duo_finish();
}

Test(prepared, name_is_free_again_behind_a_close)
{
	duo_start("n_close", 2, ROUND_ROBIN);
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&b, "1tTZ");
	close_statement("mine");
	script_parse(&say, "mine", "SELECT generate_series(1, 4)");
	execute("mine");
	expect_rows(&a, "312DCZ", 4);
	close_statement("mine");
	close_statement("never");
	script_sync(&say);
	execute("mine");
	expect_error(&a, "33ZEZ", "26000", "prepared statement \"mine\" does not exist");
	execute("mine");
	expect_rows(&b, "2DCZ", 3);
	/* skipped like all behind an error */
	script_bind(&say, "none");
	close_statement("mine");
	script_sync(&say);
	expect_error(&b, "EZ", "26000", "\"none\"");
	execute("mine");
	expect_rows(&b, "2DCZ", 3);
	duo_finish();
}

Test(prepared, failed_parse_leaves_the_name_free)
{
	duo_start("n_failed", 1, NULL);
	prepare("mine", "SELECT nonsense");
	expect_error(&a, "EZ", "42703", "nonsense");
	execute("mine");
	expect_error(&a, "EZ", "26000", "\"mine\"");
	/* several in flight: which of them stands shows only with the answers */
	prepare("mine", "SELECT nonsense");
	prepare("mine", "SELECT generate_series(1, 5)");
	execute("mine");
	prepare("mine", "SELECT generate_series(1, 6)");
	execute("mine");
	expect_rows(&a, "EZ1tTZ2DCZEZ2DCZ", 5);
	duo_finish();
}

Test(prepared, more_statements_than_a_server_keeps)
{
	static const char *const names[] = { "s1", "s2", "s3", "s4", "s5" };

	duo_start("n_evict", 1, "max_prepared_statements=2\n");
	for (int i = 0; i < 5; i++) {
		prepare(names[i], rig_printf("SELECT generate_series(1, %d)", i + 1).s);
		expect(&a, "1tTZ");
	}
	cr_assert_str_eq(ask(&b, "SELECT count(*) FROM pg_prepared_statements").s, "2");
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5; i++) {
			execute(names[i]);
			expect_rows(&a, "2DCZ", i + 1);
		}
		/* in one batch, and in a batch that fails */
		for (int i = 0; i < 5; i++) {
			script_bind(&say, names[i]);
			script_execute(&say, 0);
		}
		script_sync(&say);
		expect_rows(&a, "2DC2DC2DC2DC2DCZ", 5);
		script_bind(&say, names[round]);
		script_bind(&say, "none");
		script_bind(&say, names[round + 1]);
		script_sync(&say);
		expect_error(&a, "2EZ", "26000", "\"none\"");
	}
	cr_assert_str_eq(ask(&b, "SELECT count(*) FROM pg_prepared_statements").s, "2");
	/* new ones, more at once than it keeps */
	for (int i = 0; i < 5; i++)
		script_parse(&say, rig_printf("t%d", i).s,
		             rig_printf("SELECT generate_series(1, %d)", i + 10).s);
	for (int i = 0; i < 5; i++) {
		script_bind(&say, rig_printf("t%d", i).s);
		script_execute(&say, 0);
	}
	script_sync(&say);
	expect_rows(&a, "111112DC2DC2DC2DC2DCZ", 14);
	execute("s1");
	expect_rows(&a, "2DCZ", 1);
	cr_assert_str_eq(ask(&b, "SELECT count(*) FROM pg_prepared_statements").s, "2");
	duo_finish();
}

Test(prepared, everything_in_one_go)
{
	duo_start("n_pipeline", 2, ROUND_ROBIN);
	for (int i = 0; i < 4; i++) {
		prepare("mine", "SELECT generate_series(1, 3)");
		execute("mine");
		execute("mine");
		close_statement("mine");
		script_sync(&say);
		expect_rows(&a, "1tTZ2DCZ2DCZ3Z", 3);
	}
	duo_finish();
}

Test(prepared, flush_instead_of_sync)
{
	duo_start("n_flush", 1, NULL);
	script_parse(&say, "mine", "SELECT generate_series(1, 3)");
	describe("mine");
	script_flush(&say);
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'T', 1).s, "1tT");
	script_bind(&say, "mine");
	script_execute(&say, 0);
	script_flush(&say);
	frames_send(&a, &say);
	cr_assert_str_eq(frames_until(&a, 'C', 1).s, "2DC");
	script_sync(&say);
	expect(&a, "Z");
	duo_finish();
}

/* Behind DDL the client must hear that its description no longer holds, as from PostgreSQL; and a client
 * that prepares anew must not. */
Test(prepared, shape_that_changed)
{
	duo_start("n_shape", 2, ROUND_ROBIN);
	script_query(&say, "CREATE TABLE public.shape (one int)");
	expect(&a, "CZ");
	prepare("old", "SELECT * FROM public.shape");
	expect(&a, "1tTZ");
	for (int i = 0; i < 3; i++) {
		execute("old");
		expect(&a, "2CZ");
	}
	script_query(&say, "ALTER TABLE public.shape ADD COLUMN two int");
	expect(&b, "CZ");
	prepare("new", "SELECT * FROM public.shape");
	expect(&b, "1tTZ");
	for (int i = 0; i < 4; i++) {
		execute("old");
		expect_error(&a, "EZ", "0A000", "cached plan must not change result type");
		execute("new");
		expect(&b, "2CZ");
	}
	close_statement("old");
	prepare("old", "SELECT * FROM public.shape");
	expect(&a, "31tTZ");
	for (int i = 0; i < 4; i++) {
		execute("old");
		expect(&a, "2CZ");
	}
	script_query(&say, "DROP TABLE public.shape");
	expect(&b, "CZ");
	execute("new");
	expect_error(&b, "EZ", "42P01", "shape");
	duo_finish();
}

/* One text, two search_paths, two tables. */
Test(prepared, text_that_means_something_else_to_somebody_else)
{
	duo_start("n_path", 1, NULL);
	script_query(&say,
	             "CREATE SCHEMA left_; CREATE TABLE left_.t AS SELECT 1 AS one;"
	             "CREATE SCHEMA right_; CREATE TABLE right_.t AS SELECT 1 AS one, 2 AS two");
	expect(&a, "CCCCZ");
	frames_drop(&a);
	frames_drop(&b);
	{
		PGconn *l = rig_connect(duo_rig, "dbname=n_path options='-c search_path=left_'");
		PGconn *r = rig_connect(duo_rig, "dbname=n_path options='-c search_path=right_'");
		PGresult *res;

		PQclear(PQprepare(l, "q", "SELECT * FROM t", 0, NULL));
		PQclear(PQprepare(r, "q", "SELECT * FROM t", 0, NULL));
		for (int i = 0; i < 3; i++) {
			res = PQexecPrepared(l, "q", 0, NULL, NULL, NULL, 0);
			cr_assert_eq(PQnfields(res), 1, "%s", PQresultErrorMessage(res));
			PQclear(res);
			res = PQexecPrepared(r, "q", 0, NULL, NULL, NULL, 0);
			cr_assert_eq(PQnfields(res), 2, "%s", PQresultErrorMessage(res));
			PQclear(res);
		}
		PQfinish(l);
		PQfinish(r);
	}
	frames_login(&a, duo_rig, "alice", "n_path");
	frames_login(&b, duo_rig, "alice", "n_path");
	duo_finish();
}

Test(prepared, names_that_share_the_bytes_that_count)
{
	char name[80], same[90];

	duo_start("n_long", 2, ROUND_ROBIN);
	memset(name, 'n', sizeof(name));
	name[70] = '\0';
	snprintf(same, sizeof(same), "%.63sother", name);
	prepare(name, "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	execute(same);
	expect_rows(&a, "2DCZ", 3);
	prepare(same, "SELECT 1");
	expect_error(&a, "EZ", "42P05", "already exists");
	duo_finish();
}

Test(prepared, names_on_the_server_are_nobodys)
{
	struct rig_text name;

	duo_start("n_guard", 1, NULL);
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	name = ask(&b, "SELECT name FROM pg_prepared_statements");
	cr_assert_eq(strncmp(name.s, "pgseal_", 7), 0, "%s", name.s);
	execute(name.s);
	expect_error(&b, "EZ", "26000", "does not exist");
	close_statement(name.s);
	script_sync(&say);
	expect(&b, "3Z");
	prepare(name.s, "SELECT generate_series(1, 8)");
	expect(&b, "1tTZ");
	execute("mine");
	expect_rows(&a, "2DCZ", 3);
	execute(name.s);
	expect_rows(&b, "2DCZ", 8);
	duo_finish();
}

Test(prepared, deallocate_all_and_discard_all_are_of_one_client)
{
	static const char *const forgets[] = { "DEALLOCATE ALL", "DISCARD ALL" };

	duo_start("n_all", 1, NULL);
	prepare("keep", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	for (int i = 0; i < 2; i++) {
		prepare("mine", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		script_query(&say, forgets[i]);
		execute("mine");
		expect_error(&a, "CZEZ", "26000", "\"mine\"");
		execute("keep");
		expect_rows(&b, "2DCZ", 7);
		prepare("mine", "SELECT generate_series(1, 3)");
		expect(&a, "1tTZ");
		script_parse(&say, "", forgets[i]);
		execute("");
		execute("mine");
		expect_error(&a, "12CZEZ", "26000", "\"mine\"");
		execute("keep");
		expect_rows(&b, "2DCZ", 7);
	}
	duo_finish();
}

Test(prepared, failed_transaction_takes_no_statement)
{
	duo_start("n_aborted", 2, ROUND_ROBIN);
	prepare("mine", "SELECT generate_series(1, 3)");
	prepare("end", "ROLLBACK");
	expect(&a, "1tTZ1tnZ");
	for (int i = 0; i < 3; i++) {
		script_query(&say, "BEGIN");
		script_query(&say, "SELECT 1/0");
		expect(&a, "CZEZ");
		execute("mine");
		expect_error(&a, "EZ", "25P02", "aborted");
		prepare("late", "SELECT 1");
		expect_error(&a, "EZ", "25P02", "aborted");
		execute("late");
		expect_error(&a, "EZ", "26000", "\"late\"");
		execute("end");
		expect(&a, "2CZ");
		execute("mine");
		expect_rows(&a, "2DCZ", 3);
	}
	duo_finish();
}

Test(prepared, statement_larger_than_any_buffer)
{
	size_t size = 300000;
	char *sql = malloc(size + 100);
	PGconn *c;
	PGresult *res;

	crowd_database("n_large");
	duo_rig = rig_start(ROUND_ROBIN, crowd_entry("n_large", "pool_size=2").s, NULL);
	c = rig_connect(duo_rig, "dbname=n_large");
	memset(sql, ' ', size);
	memcpy(sql, "SELECT '", 8);
	memset(sql + 8, 'x', size - 8);
	memcpy(sql + size, "', $1::text", 12);
	for (int i = 0; i < 3; i++) {
		const char *values[] = { sql };

		res = PQprepare(c, rig_printf("s%d", i).s, sql, 0, NULL);
		cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK, "%s",
		             PQresultErrorMessage(res));
		PQclear(res);
		for (int k = 0; k < 3; k++) {
			res = PQexecPrepared(c, rig_printf("s%d", i).s, 1, values, NULL, NULL, 0);
			cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK, "%s",
			             PQresultErrorMessage(res));
			cr_assert_eq(PQgetlength(res, 0, 0), (int)size - 8);
			cr_assert_str_eq(PQgetvalue(res, 0, 1), sql);
			PQclear(res);
		}
	}
	PQfinish(c);
	free(sql);
	rig_stop(duo_rig);
}

Test(prepared, memory_of_one_client_is_bounded)
{
	duo_start("n_memory", 1, "max_client_prepared_memory=2kB\n");
	for (int i = 0; i < 30 && a.sqlstate[0] == '\0'; i++) {
		prepare(rig_printf("s%d", i).s, rig_printf("SELECT %d", i).s);
		frames_send(&a, &say);
		frames_until(&a, 'Z', 1);
	}
	cr_assert_str_eq(a.sqlstate, "53400", "%s %s", a.sqlstate, a.message);
	execute("s0");
	expect(&a, "2DCZ");
	close_statement("s0");
	script_sync(&say);
	expect(&a, "3Z");
	prepare("again", "SELECT 100");
	expect(&a, "1tTZ");
	duo_finish();
}

Test(prepared, statement_with_parameters_and_a_portal)
{
	static const char bind[] = "p1\0mine\0\0\0\0\1\0\0\0\2"
				   "42"
				   "\0";

	duo_start("n_portal", 2, ROUND_ROBIN);
	prepare("mine", "SELECT generate_series(1, $1::int)");
	expect(&a, "1tTZ");
	for (int i = 0; i < 3; i++) {
		script_put(&say, 'B', bind, sizeof(bind));
		script_text(&say, 'D', "Pp1");
		script_put(&say, 'E', "p1\0\0\0\0\5", 7);
		script_put(&say, 'E', "p1\0\0\0\0\5", 7);
		script_text(&say, 'C', "Pp1");
		script_sync(&say);
		expect(&a, "2TDsDs3Z");
	}
	duo_finish();
}

/* Each member has its statements under the same names as everybody else, and texts that are shared or its
 * own. */
static void body(struct member *m)
{
	char name[32], sql[80];
	PGresult *res;
	int i;

	for (i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(sql, sizeof(sql), "SELECT %d", i < 4 ? i : m->index * 100 + i);
		PQclear(PQprepare(m->conn, name, sql, 0, NULL));
	}
	while (crowd_goes_on(m)) {
		i = rand_r(&m->seed) % 8;
		snprintf(name, sizeof(name), "s%d", i);
		res = PQexecPrepared(m->conn, name, 0, NULL, NULL, NULL, 0);
		if (PQresultStatus(res) != PGRES_TUPLES_OK ||
		    atoi(PQgetvalue(res, 0, 0)) != (i < 4 ? i : m->index * 100 + i))
			member_fault(m, "%s: %s%s", name,
			             PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "",
			             PQresultErrorMessage(res));
		PQclear(res);
		m->done++;
	}
}

Test(prepared, crowd_on_few_servers)
{
	struct crowd crowd;

	crowd_database("n_crowd");
	duo_rig = rig_start("server_round_robin=1\nworkers=2\nmax_prepared_statements=10\n",
	                    crowd_entry("n_crowd", "pool_size=3").s, NULL);
	crowd_start(&crowd, duo_rig, 16, "dbname=n_crowd", 4000, body, NULL);
	crowd_join(&crowd);
	rig_stop(duo_rig);
}

/* ---- max_prepared_statements = 0 ---- */

Test(prepared, without_room_on_servers_it_keeps_its_own)
{
	duo_start("n_pinned", 2, "max_prepared_statements=0\n");
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	for (int i = 0; i < 5; i++) {
		script_query(&say, "SELECT generate_series(1, 7)");
		expect_rows(&b, "TDCZ", 7);
		execute("mine");
		expect_error(&b, "EZ", "26000", "\"mine\"");
		execute("mine");
		expect_rows(&a, "2DCZ", 3);
	}
	prepare("mine", "SELECT generate_series(1, 8)");
	expect(&b, "1tTZ");
	execute("mine");
	expect_rows(&b, "2DCZ", 8);
	execute("mine");
	expect_rows(&a, "2DCZ", 3);
	cr_assert_eq(rig_log_count(duo_rig, "pinned: server="), 2);
	duo_finish();
}

Test(prepared, without_room_on_servers_it_waits_for_one_of_its_own)
{
	duo_start("n_only", 1, "max_prepared_statements=0\n");
	prepare("mine", "SELECT generate_series(1, 3)");
	expect(&a, "1tTZ");
	prepare("mine", "SELECT generate_series(1, 7)");
	frames_send(&b, &say);
	cr_assert(stays_silent(&b));
	frames_drop(&a);
	cr_assert_str_eq(frames_until(&b, 'Z', 1).s, "1tTZ");
	execute("mine");
	expect_rows(&b, "2DCZ", 7);
	duo_finish();
}
