/* COPY in all its ways, and what clients say around it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

#define ROWS 200000

TestSuite(copy, .timeout = 120);

static struct rig *rig;
static struct frames frames;
static struct script say;
static PGconn *other;

/* A table t of integers; the client in raw frames and another one. */
static void start_on(const char *database, const char *settings, const char *keys)
{
	crowd_database(database);
	rig = rig_start(settings, crowd_entry(database, keys).s, NULL);
	other = rig_connect(rig, rig_printf("dbname=%s", database).s);
	rig_exec(other, "CREATE TABLE t (i int)");
	frames_login(&frames, rig, "alice", database);
}

/* One server. */
static void start(const char *database)
{
	start_on(database, NULL, "pool_size=1");
}

/* Both clients can go on, and the table has so many rows. */
static void finish(const char *rows)
{
	cr_assert_str_eq(rig_query(other, "SELECT count(*) FROM t").s, rows);
	script_query(&say, "SELECT 1");
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "TDCZ");
	cr_assert_str_eq(rig_query(other, "SELECT 'on'").s, "on");
	cr_assert_eq(PQtransactionStatus(other), PQTRANS_IDLE);
	PQfinish(other);
	frames_drop(&frames);
	rig_stop(rig);
}

static void data(const char *text)
{
	script_put(&say, 'd', text, strlen(text));
}

static void expect(char type, int n, const char *answers)
{
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, type, n).s, answers);
}

Test(copy, in_and_out_keep_every_row)
{
	char *text;
	long rows = 0;
	int n;

	start("k_rows");
	PQclear(PQexec(other, "COPY t FROM STDIN"));
	for (int i = 0; i < ROWS; i++) {
		struct rig_text row = rig_printf("%d\n", i);

		cr_assert_eq(PQputCopyData(other, row.s, (int)strlen(row.s)), 1);
	}
	cr_assert_eq(PQputCopyEnd(other, NULL), 1);
	cr_assert_str_eq(rig_outcome(other).s, "");
	cr_assert_str_eq(rig_query(other, "SELECT sum(i::bigint) FROM t").s,
	                 rig_printf("%lld", (long long)ROWS * (ROWS - 1) / 2).s);
	PQclear(PQexec(other, "COPY t TO STDOUT"));
	while ((n = PQgetCopyData(other, &text, 0)) > 0) {
		rows++;
		PQfreemem(text);
	}
	cr_assert_eq(n, -1);
	cr_assert_str_eq(rig_outcome(other).s, "");
	cr_assert_eq(rows, ROWS);
	finish(rig_printf("%d", ROWS).s);
}

Test(copy, in_that_the_client_fails_leaves_no_row)
{
	start("k_fail");
	PQclear(PQexec(other, "COPY t FROM STDIN"));
	cr_assert_eq(PQputCopyData(other, "1\n", 2), 1);
	cr_assert_eq(PQputCopyEnd(other, "changed my mind"), 1);
	cr_assert_str_eq(rig_outcome(other).s, "57014");
	finish("0");
}

Test(copy, in_that_the_server_refuses_while_the_client_streams)
{
	static char chunk[100000];

	start("k_refused");
	for (size_t i = 0; i < sizeof(chunk); i += 2)
		memcpy(chunk + i, "7\n", 2);
	PQclear(PQexec(other, "COPY t FROM STDIN"));
	cr_assert_eq(PQputCopyData(other, "1\nnonsense\n", 11), 1);
	for (int i = 0; i < 200; i++)
		cr_assert_eq(PQputCopyData(other, chunk, sizeof(chunk)), 1);
	cr_assert_eq(PQputCopyEnd(other, NULL), 1);
	cr_assert_str_eq(rig_outcome(other).s, "22P02");
	finish("0");
}

Test(copy, messages_behind_a_finished_copy_are_swallowed)
{
	start("k_late");
	script_query(&say, "COPY t FROM STDIN");
	expect('G', 1, "G");
	data("nonsense\n");
	expect('Z', 1, "EZ");
	cr_assert_str_eq(rig_query(other, "SELECT 'meanwhile'").s, "meanwhile");
	data("1\n");
	data("2\n");
	script_put(&say, 'c', NULL, 0);
	script_text(&say, 'f', "too late");
	script_query(&say, "SELECT 1");
	expect('Z', 1, "TDCZ");
	finish("0");
}

Test(copy, of_a_batch_whose_sync_came_early_goes_on)
{
	start("k_early");
	script_parse(&say, "", "COPY t FROM STDIN");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
	expect('G', 1, "12G");
	data("1\n");
	script_put(&say, 'c', NULL, 0);
	script_sync(&say);
	expect('Z', 1, "CZ");
	finish("1");
}

Test(copy, of_a_batch_may_be_sent_in_one_piece)
{
	start("k_piece");
	script_parse(&say, "", "COPY t FROM STDIN");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
	data("1\n2\n");
	script_put(&say, 'c', NULL, 0);
	script_sync(&say);
	expect('Z', 1, "12GCZ");
	finish("2");
}

Test(copy, of_a_batch_that_fails_is_skipped_to_the_sync)
{
	start("k_batch_fails");
	script_parse(&say, "", "COPY t FROM STDIN");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_flush(&say);
	expect('G', 1, "12G");
	data("nonsense\n");
	script_put(&say, 'c', NULL, 0);
	script_sync(&say);
	expect('Z', 1, "EZ");
	finish("0");
}

Test(copy, early_sync_and_an_error_leave_the_server_in_step)
{
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			start("k_doubt");
		script_parse(&say, "", "COPY t FROM STDIN");
		script_bind(&say, "");
		script_execute(&say, 0);
		script_sync(&say);
		expect('G', 1, "12G");
		script_sync(&say);
		data("nonsense\n");
		script_put(&say, 'c', NULL, 0);
		script_sync(&say);
		expect('Z', 1, "EZ");
		cr_assert_str_eq(rig_query(other, "SELECT 'in step'").s, "in step");
	}
	finish("0");
}

/* Which has to be prepared on each server before it is executed, with the Sync behind it. */
Test(copy, of_named_statements_goes_on_whichever_server_it_gets)
{
	start_on("k_named", "server_round_robin = 1\n", "pool_size=2 min_pool_size=2");
	script_parse(&say, "in", "COPY t FROM STDIN");
	script_parse(&say, "out", "COPY (SELECT 7) TO STDOUT");
	script_sync(&say);
	expect('Z', 1, "11Z");
	for (int i = 0; i < 4; i++) {
		script_bind(&say, "in");
		script_execute(&say, 0);
		script_sync(&say);
		expect('G', 1, "2G");
		data("1\n");
		script_put(&say, 'c', NULL, 0);
		script_sync(&say);
		expect('Z', 1, "CZ");
		script_bind(&say, "in");
		script_execute(&say, 0);
		script_sync(&say);
		data("2\n");
		script_put(&say, 'c', NULL, 0);
		script_sync(&say);
		script_bind(&say, "out");
		script_execute(&say, 0);
		script_sync(&say);
		expect('Z', 2, "2GCZ2HdcCZ");
	}
	finish("8");
}

Test(copy, and_queries_may_be_sent_ahead)
{
	start("k_ahead");
	script_query(&say, "COPY t FROM STDIN");
	data("1\n");
	script_put(&say, 'c', NULL, 0);
	script_query(&say, "SELECT 1");
	script_query(&say, "COPY t TO STDOUT");
	script_query(&say, "SELECT 2");
	expect('Z', 4, "GCZTDCZHdcCZTDCZ");
	finish("1");
}

Test(copy, rows_may_come_byte_by_byte)
{
	start("k_bytes");
	script_query(&say, "COPY t FROM STDIN");
	data("1\n2\n");
	script_flush(&say);
	data("3");
	data("\n4\n");
	script_put(&say, 'c', NULL, 0);
	for (size_t i = 0; i < say.len; i++)
		rig_tls_send(frames.ssl, say.at + i, 1);
	say.len = 0;
	expect('Z', 1, "GCZ");
	finish("4");
}

Test(copy, ends_at_the_marker_and_ignores_the_rest)
{
	start("k_marker");
	script_query(&say, "COPY t FROM STDIN");
	expect('G', 1, "G");
	data("1\n\\.\n");
	data("2\n");
	script_put(&say, 'c', NULL, 0);
	expect('Z', 1, "CZ");
	finish("1");
}

Test(copy, twice_in_one_query_string)
{
	start("k_twice");
	script_query(&say, "COPY t FROM STDIN; COPY t FROM STDIN; SELECT 1");
	expect('G', 1, "G");
	data("1\n");
	script_put(&say, 'c', NULL, 0);
	expect('G', 1, "CG");
	data("2\n");
	script_put(&say, 'c', NULL, 0);
	expect('Z', 1, "CTDCZ");
	finish("2");
}

Test(copy, inside_a_transaction_block_keeps_the_server)
{
	start("k_block");
	script_query(&say, "BEGIN");
	script_query(&say, "COPY t FROM STDIN");
	expect('G', 1, "CZG");
	cr_assert(PQsendQuery(other, "SELECT 'b'"));
	data("1\n");
	script_put(&say, 'c', NULL, 0);
	expect('Z', 1, "CZ");
	cr_assert(rig_stays_silent(other, 300));
	script_query(&say, "ROLLBACK");
	expect('Z', 1, "CZ");
	cr_assert_str_eq(rig_scalar(other).s, "b");
	finish("0");
}
