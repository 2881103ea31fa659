/* COPY conversations of which nobody can tell beforehand how many answers they have: the server
 * takes a Sync that comes during COPY for data, and a moment later for a request. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

#define SILENCE_MS 300

TestSuite(copy_doubt, .timeout = 120);

static struct rig *rig;
static struct frames frames;
static struct script say;
static PGconn *other;

static PGconn *join(const char *database)
{
	return rig_connect(rig, rig_printf("dbname=%s", database).s);
}

/* A table t; the client in raw frames and another one. */
static void start_on(const char *database, const char *settings, const char *keys)
{
	crowd_database(database);
	rig = rig_start(rig_printf("workers = 1\n%s", settings).s, crowd_entry(database, keys).s,
	                NULL);
	other = join(database);
	rig_exec(other, "CREATE TABLE t (i int)");
	frames_login(&frames, rig, "alice", database);
}

/* One server. */
static void start(const char *database)
{
	start_on(database, "", "pool_size=1");
}

/* From now on COPY t FROM fails between its CopyInResponse and its first row. */
static void let_copies_fail(void)
{
	rig_exec(other, "CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS "
	                "$$ BEGIN RAISE EXCEPTION 'boom'; END $$");
	rig_exec(
		other,
		"CREATE TRIGGER boom BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION boom()");
}

static void finish(void)
{
	cr_assert_str_eq(rig_query(other, "SELECT count(*) FROM t").s, "0");
	PQfinish(other);
	frames_drop(&frames);
	rig_stop(rig);
}

static void expect(int n, const char *answers)
{
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'Z', n).s, answers);
}

static void copy_in_a_batch(void)
{
	script_parse(&say, "", "COPY t FROM STDIN");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
}

/* Exactly its own answers, one for each of many queries. */
static void hears_its_own(PGconn *conn, int queries)
{
	for (int i = 0; i < queries; i++) {
		struct rig_text mine = rig_printf("answer %d", i);

		cr_assert_str_eq(rig_query(conn, rig_printf("SELECT '%s'", mine.s).s).s, mine.s);
		cr_assert_eq(PQtransactionStatus(conn), PQTRANS_IDLE,
		             "somebody else's transaction");
	}
}

/* What is sent here has not come whole; the second part of it is returned by rest. */
static void send_half(size_t rest)
{
	size_t all = say.len;

	cr_assert(rest < all);
	rig_tls_send(frames.ssl, say.at, all - rest);
	memmove(say.at, say.at + all - rest, rest);
	say.len = rest;
}

Test(copy_doubt, failed_copy_lets_go_once_the_row_under_way_is_whole)
{
	static char filler[60000];

	memset(filler, 'x', sizeof(filler));
	start("y_row");
	script_query(&say, "COPY t FROM STDIN");
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'G', 1).s, "G");
	script_put(&say, 'd', "bad\n", 4);
	script_put(&say, 'd', filler, sizeof(filler));
	send_half(sizeof(filler) / 2);
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "EZ");
	cr_assert(PQsendQuery(other, "SELECT 'other'"));
	cr_assert(rig_stays_silent(other, SILENCE_MS), "lent in the middle of a message");
	script_put(&say, 'c', NULL, 0);
	frames_send(&frames, &say);
	/* without another word of the client */
	cr_assert(rig_wait_readable(other, 5000), "the server is kept");
	cr_assert_str_eq(rig_scalar(other).s, "other");
	script_query(&say, "SELECT 1");
	expect(1, "TDCZ");
	hears_its_own(other, 10);
	finish();
}

Test(copy_doubt, query_behind_a_failed_copy_and_two_syncs_keeps_its_transaction)
{
	start("y_begin");
	let_copies_fail();
	for (int i = 0; i < 10; i++) {
		copy_in_a_batch();
		script_put(&say, 'c', NULL, 0);
		script_sync(&say);
		script_query(&say, "BEGIN");
		frames_send(&frames, &say);
		cr_assert(PQsendQuery(other, "SELECT 'other'"));
		cr_assert_str_eq(frames_until(&frames, 'C', 1).s, "12GEZZC");
		cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "Z");
		cr_assert(rig_stays_silent(other, 50), "lent inside a transaction");
		script_query(&say, "ROLLBACK");
		expect(1, "CZ");
		cr_assert_str_eq(rig_scalar(other).s, "other");
		hears_its_own(other, 3);
	}
	finish();
}

/* Its first statement failed even before the client knew that it is in a block. */
Test(copy_doubt, query_that_fails_in_a_block_behind_a_failed_copy_and_two_syncs)
{
	start("y_aborted");
	let_copies_fail();
	for (int i = 0; i < 10; i++) {
		copy_in_a_batch();
		script_put(&say, 'c', NULL, 0);
		script_sync(&say);
		script_query(&say, "BEGIN; SELECT 1/0");
		expect(3, "12GEZZCEZ");
		cr_assert_str_eq(frames.sqlstate, "22012", "%s", frames.message);
		script_query(&say, "SELECT 1");
		expect(1, "EZ");
		cr_assert_str_eq(frames.sqlstate, "25P02", "%s", frames.message);
		script_query(&say, "ROLLBACK");
		expect(1, "CZ");
		hears_its_own(other, 3);
	}
	finish();
}

static void prepare(const char *name, const char *sql)
{
	script_parse(&say, name, sql);
	script_sync(&say);
}

static void execute(const char *name)
{
	script_bind(&say, name);
	script_execute(&say, 0);
	script_sync(&say);
}

/* Statements that other servers have, new ones, and those that end the trouble; none of them needs a
 * simple query. */
Test(copy_doubt, statements_go_on_in_the_block_of_a_failed_copy)
{
	start_on("y_block", "server_round_robin = 1\n", "pool_size=2 min_pool_size=2");
	prepare("begin", "BEGIN");
	prepare("save", "SAVEPOINT s");
	prepare("back", "ROLLBACK TO s");
	prepare("end", "ROLLBACK");
	expect(4, "1Z1Z1Z1Z");
	for (int i = 0; i < 6; i++) {
		execute("begin");
		execute("save");
		expect(2, "2CZ2CZ");
		copy_in_a_batch();
		for (int syncs = 0; syncs < i / 2; syncs++)
			script_sync(&say);
		script_put(&say, 'd', "no number\n", 10);
		script_put(&say, 'c', NULL, 0);
		script_sync(&say);
		frames_send(&frames, &say);
		cr_assert_str_eq(frames_until(&frames, 'E', 1).s, "12GE");
		cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "Z");
		prepare("new", "SELECT 1");
		expect(1, "EZ");
		cr_assert_str_eq(frames.sqlstate, "25P02", "%s", frames.message);
		if (i % 2 == 0) {
			execute("back");
			prepare("new", "SELECT 1");
			execute("new");
			script_text(&say, 'C', "Snew");
			script_sync(&say);
			expect(4, "2CZ1Z2DCZ3Z");
		}
		execute("end");
		expect(1, "2CZ");
		hears_its_own(other, 3);
	}
	finish();
}

Test(copy_doubt, failed_copy_with_goodbye_behind_its_sync_leaves_no_answer_to_the_next)
{
	start("y_goodbye");
	let_copies_fail();
	for (int i = 0; i < 5; i++) {
		PGconn *next = join("y_goodbye");

		rig_exec(other, "BEGIN");
		copy_in_a_batch();
		script_put(&say, 'X', NULL, 0);
		frames_send(&frames, &say);
		cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "y_goodbye", "cl_waiting",
		                           "1", RIG_PATIENCE_MS));
		cr_assert(PQsendQuery(next, "SELECT 'first'"));
		cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "y_goodbye", "cl_waiting",
		                           "2", RIG_PATIENCE_MS));
		rig_exec(other, "COMMIT");
		cr_assert_str_eq(rig_scalar(next).s, "first");
		hears_its_own(next, 20);
		PQfinish(next);
		frames_drop(&frames);
		frames_login(&frames, rig, "alice", "y_goodbye");
	}
	finish();
}

Test(copy_doubt, good_copy_with_goodbye_behind_its_sync_leaves_no_answer_to_the_next)
{
	start("y_good");
	for (int i = 0; i < 5; i++) {
		copy_in_a_batch();
		script_put(&say, 'X', NULL, 0);
		frames_send(&frames, &say);
		hears_its_own(other, 20);
		frames_drop(&frames);
		frames_login(&frames, rig, "alice", "y_good");
	}
	finish();
}

Test(copy_doubt, client_that_breaks_off_behind_any_number_of_syncs_leaves_no_answer)
{
	start("y_syncs");
	let_copies_fail();
	for (int i = 0; i < 12; i++) {
		copy_in_a_batch();
		for (int syncs = 0; syncs < i / 2; syncs++)
			script_sync(&say);
		if (i % 2 == 1)
			script_put(&say, 'c', NULL, 0);
		frames_send(&frames, &say);
		cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "12GEZ");
		frames_drop(&frames);
		hears_its_own(other, 5);
		frames_login(&frames, rig, "alice", "y_syncs");
	}
	finish();
}
