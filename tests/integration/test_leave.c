/* A client may leave at any point; the next one gets a server as if nothing had been. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

#define ACTIVE                                                                             \
	"SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND state = 'active' " \
	"AND query NOT LIKE '%%pg_stat_activity%%'"

TestSuite(leave, .timeout = 100);

static struct rig *rig;
static struct frames frames;
static struct script say;

/* One server, a table t, and a client in raw frames. */
static void start_with(const char *database, const char *settings)
{
	PGconn *admin;

	crowd_database(database);
	admin = rig_admin_connect(database);
	rig_exec(admin, "CREATE TABLE t (i int, filler text)");
	rig_exec(admin, "GRANT ALL ON t TO alice");
	PQfinish(admin);
	rig = rig_start(settings, crowd_entry(database, "pool_size=1").s, NULL);
	frames_login(&frames, rig, "alice", database);
}

static void start(const char *database)
{
	start_with(database, "workers = 2\n");
}

static void ask(const char *sql, const char *answer)
{
	script_query(&say, sql);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, answer, "%s", sql);
}

static bool is_active(const char *database, const char *want)
{
	return rig_admin_wait(rig_printf(ACTIVE, database).s, want, RIG_PATIENCE_MS);
}

/* The next client: no transaction, no rows of the other's, several kinds of conversation work. */
static void next_is_clean(const char *database, const char *rows)
{
	PGconn *conn = rig_connect(rig, rig_printf("dbname=%s", database).s);
	PGresult *res;

	cr_assert_str_eq(rig_query(conn, "SELECT count(*) FROM t").s, rows);
	cr_assert_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
	res = PQexecParams(conn, "SELECT $1::int + 1", 1, NULL, (const char *const[]){ "1" }, NULL,
	                   NULL, 0);
	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK, "%s", PQerrorMessage(conn));
	cr_assert_str_eq(PQgetvalue(res, 0, 0), "2");
	PQclear(res);
	rig_exec(conn, "BEGIN");
	rig_exec(conn, "COMMIT");
	PQfinish(conn);
	/* what carried a cancel ends a moment later */
	cr_assert(crowd_wait_backends(database, "1", RIG_PATIENCE_MS));
	frames_drop(&frames);
	rig_stop(rig);
}

Test(leave, between_transactions)
{
	start("l_between");
	ask("SELECT 1", "TDCZ");
	frames_drop(&frames);
	next_is_clean("l_between", "0");
}

Test(leave, inside_a_transaction)
{
	start("l_inside");
	ask("BEGIN; INSERT INTO t VALUES (1)", "CCZ");
	frames_drop(&frames);
	next_is_clean("l_inside", "0");
}

Test(leave, inside_a_transaction_with_goodbye)
{
	start("l_goodbye");
	ask("BEGIN; INSERT INTO t VALUES (1)", "CCZ");
	script_put(&say, 'X', NULL, 0);
	frames_send(&frames, &say);
	frames_drop(&frames);
	next_is_clean("l_goodbye", "0");
}

Test(leave, inside_a_failed_transaction)
{
	start("l_failed");
	ask("BEGIN", "CZ");
	ask("SELECT 1/0", "EZ");
	frames_drop(&frames);
	next_is_clean("l_failed", "0");
}

Test(leave, in_mid_query_ends_the_query)
{
	start("l_query");
	script_query(&say, "SELECT pg_sleep(600)");
	frames_send(&frames, &say);
	cr_assert(is_active("l_query", "1"));
	frames_drop(&frames);
	cr_assert(is_active("l_query", "0"), "the query of a client that is gone runs on");
	next_is_clean("l_query", "0");
}

Test(leave, in_mid_query_of_a_transaction)
{
	start("l_query_txn");
	ask("BEGIN; INSERT INTO t VALUES (1)", "CCZ");
	script_query(&say, "SELECT pg_sleep(600)");
	frames_send(&frames, &say);
	cr_assert(is_active("l_query_txn", "1"));
	frames_drop(&frames);
	next_is_clean("l_query_txn", "0");
}

Test(leave, in_mid_result)
{
	start("l_result");
	script_query(&say, "SELECT i, repeat('x', 1000) FROM generate_series(1, 1000000) i");
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'D', 1000).s, "TD");
	frames_drop(&frames);
	next_is_clean("l_result", "0");
}

Test(leave, with_goodbye_behind_a_query_lets_it_complete)
{
	start("l_complete");
	script_query(&say, "INSERT INTO t SELECT 1 FROM pg_sleep(3)");
	script_put(&say, 'X', NULL, 0);
	frames_send(&frames, &say);
	frames_drop(&frames);
	cr_assert(is_active("l_complete", "1"));
	cr_assert(is_active("l_complete", "0"));
	next_is_clean("l_complete", "1");
}

/* As from PostgreSQL, which reads the goodbye when it has done the rest. */
static void goodbye_is_answered(const char *database, const char *settings)
{
	start_with(database, settings);
	script_query(&say, "INSERT INTO t VALUES (1)");
	script_put(&say, 'X', NULL, 0);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, '\0', 1).s, "CZ!");
	frames_drop(&frames);

	frames_login(&frames, rig, "alice", database);
	script_query(&say, "INSERT INTO t SELECT 1 FROM pg_sleep(0.2)");
	frames_send(&frames, &say);
	cr_assert(is_active(database, "1"));
	script_put(&say, 'X', NULL, 0);
	script_query(&say, "INSERT INTO t VALUES (3)"); /* nobody reads that */
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, '\0', 1).s, "CZ!");
	frames_drop(&frames);

	frames_login(&frames, rig, "alice", database);
	script_parse(&say, "", "INSERT INTO t VALUES (4)");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
	script_query(&say, "SET search_path = pg_catalog; BEGIN; SELECT 1");
	script_put(&say, 'X', NULL, 0);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, '\0', 1).s, "12CZCCTDCZ!");
	next_is_clean(database, "3");
}

Test(leave, with_goodbye_behind_a_query_is_answered)
{
	goodbye_is_answered("l_answered", "workers = 2\n");
}

Test(leave, with_goodbye_behind_a_query_is_answered_in_session_mode)
{
	goodbye_is_answered("l_answered_s", "workers = 2\npool_mode = session\n");
}

/* What was not synced is nothing that anybody waits for. */
Test(leave, with_goodbye_in_a_batch_ends_the_batch)
{
	start("l_unsynced");
	script_parse(&say, "", "INSERT INTO t VALUES (1)");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_put(&say, 'X', NULL, 0);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, '\0', 1).s, "!");
	next_is_clean("l_unsynced", "0");
}

Test(leave, half_of_the_connection_still_gets_its_answer)
{
	start("l_half_close");
	script_query(&say, "INSERT INTO t SELECT 1 FROM pg_sleep(0.3); SELECT 'answer'");
	frames_send(&frames, &say);
	cr_assert(shutdown(SSL_get_fd(frames.ssl), SHUT_WR) == 0);
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "CTDCZ");
	next_is_clean("l_half_close", "1");
}

Test(leave, after_half_a_message)
{
	start("l_half");
	script_query(&say, "INSERT INTO t VALUES (1) -- the rest never comes");
	say.len -= 10;
	frames_send(&frames, &say);
	frames_drop(&frames);
	next_is_clean("l_half", "0");
}

Test(leave, after_half_a_message_inside_a_transaction)
{
	start("l_half_txn");
	ask("BEGIN; INSERT INTO t VALUES (1)", "CCZ");
	script_query(&say, "COMMIT -- the rest never comes");
	say.len -= 10;
	frames_send(&frames, &say);
	frames_drop(&frames);
	next_is_clean("l_half_txn", "0");
}

Test(leave, after_half_a_header)
{
	start("l_header");
	rig_tls_send(frames.ssl, "Q\0", 2);
	frames_drop(&frames);
	next_is_clean("l_header", "0");
}

Test(leave, after_parse_without_sync)
{
	start("l_parse");
	script_parse(&say, "", "SELECT 1");
	script_flush(&say);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, '1', 1).s, "1");
	frames_drop(&frames);
	next_is_clean("l_parse", "0");
}

Test(leave, after_execute_without_sync)
{
	start("l_execute");
	script_parse(&say, "", "INSERT INTO t VALUES (1)");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_flush(&say);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'C', 1).s, "12C");
	frames_drop(&frames);
	next_is_clean("l_execute", "0");
}

Test(leave, after_an_error_that_waits_for_its_sync)
{
	start("l_error");
	script_parse(&say, "", "SELECT nonsense");
	script_bind(&say, "");
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'E', 1).s, "E");
	frames_drop(&frames);
	next_is_clean("l_error", "0");
}

Test(leave, with_a_named_statement)
{
	start("l_named");
	script_parse(&say, "mine", "SELECT 1");
	script_sync(&say);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "1Z");
	frames_drop(&frames);
	frames_login(&frames, rig, "alice", "l_named");
	script_parse(&say, "mine", "SELECT 2");
	script_sync(&say);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "1Z");
	frames_drop(&frames);
	next_is_clean("l_named", "0");
}

Test(leave, in_copy_in)
{
	start("l_copy_in");
	script_query(&say, "COPY t (i) FROM STDIN");
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'G', 1).s, "G");
	script_put(&say, 'd', "1\n", 2);
	frames_send(&frames, &say);
	frames_drop(&frames);
	next_is_clean("l_copy_in", "0");
}

Test(leave, in_copy_in_with_goodbye)
{
	start("l_copy_bye");
	script_query(&say, "COPY t (i) FROM STDIN");
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'G', 1).s, "G");
	script_put(&say, 'd', "1\n", 2);
	script_put(&say, 'X', NULL, 0);
	frames_send(&frames, &say);
	frames_drop(&frames);
	next_is_clean("l_copy_bye", "0");
}

Test(leave, in_half_a_row_of_copy_in)
{
	start("l_copy_half");
	script_query(&say, "COPY t (i) FROM STDIN");
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'G', 1).s, "G");
	script_put(&say, 'd', "1\n2\n3\n4\n5\n", 10);
	say.len -= 5;
	frames_send(&frames, &say);
	frames_drop(&frames);
	next_is_clean("l_copy_half", "0");
}

Test(leave, in_copy_in_of_a_batch)
{
	start("l_copy_ext");
	script_parse(&say, "", "COPY t (i) FROM STDIN");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_flush(&say);
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'G', 1).s, "12G");
	frames_drop(&frames);
	next_is_clean("l_copy_ext", "0");
}

Test(leave, before_copy_in_has_begun)
{
	start("l_copy_early");
	script_query(&say, "COPY t (i) FROM STDIN");
	frames_send(&frames, &say);
	frames_drop(&frames);
	next_is_clean("l_copy_early", "0");
}

Test(leave, in_copy_out)
{
	start("l_copy_out");
	script_query(
		&say,
		"COPY (SELECT i, repeat('x', 1000) FROM generate_series(1, 1000000) i) TO STDOUT");
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, 'd', 100).s, "Hd");
	frames_drop(&frames);
	next_is_clean("l_copy_out", "0");
}

Test(leave, with_a_reset_instead_of_a_fin)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	start("l_reset");
	ask("BEGIN; INSERT INTO t VALUES (1)", "CCZ");
	script_query(&say, "SELECT pg_sleep(600)");
	frames_send(&frames, &say);
	cr_assert(is_active("l_reset", "1"));
	cr_assert(setsockopt(SSL_get_fd(frames.ssl), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) ==
	          0);
	frames_drop(&frames);
	next_is_clean("l_reset", "0");
}

/* --- rude, but nothing that others have to wait for --- */

static void put_parse(void)
{
	script_parse(&say, "", "SELECT 1");
}

static void put_batch(void)
{
	script_parse(&say, "named", "INSERT INTO t VALUES (1)");
	script_put(&say, 'B', "\0named\0\0\0\0\0\0\0", 13);
	script_execute(&say, 0);
}

static void put_half_a_bind(void)
{
	script_parse(&say, "", "SELECT 1");
	script_bind(&say, "");
	say.len -= 3;
}

static void put_batch_in_a_block(void)
{
	script_query(&say, "BEGIN");
	put_batch();
}

static void put_copy(void)
{
	script_query(&say, "COPY t (i) FROM STDIN");
}

/* So many that the time that is granted to what runs would not do for them. */
#define RUDE 60

static void are_not_waited_for(const char *database, void (*put)(void))
{
	PGconn *bystander;

	start(database);
	bystander = rig_connect(rig, rig_printf("dbname=%s", database).s);
	for (int i = 0; i < RUDE; i++) {
		put();
		frames_send(&frames, &say);
		frames_drop(&frames);
		cr_assert_str_eq(rig_query(bystander, "SELECT count(*) FROM t").s, "0");
		frames_login(&frames, rig, "alice", database);
	}
	PQfinish(bystander);
	next_is_clean(database, "0");
}

Test(leave, unsynced_is_not_waited_for_behind_a_parse)
{
	are_not_waited_for("l_rude_parse", put_parse);
}

Test(leave, unsynced_is_not_waited_for_behind_a_batch)
{
	are_not_waited_for("l_rude_batch", put_batch);
}

Test(leave, unsynced_is_not_waited_for_behind_half_a_bind)
{
	are_not_waited_for("l_rude_bind", put_half_a_bind);
}

Test(leave, unsynced_is_not_waited_for_in_a_block)
{
	are_not_waited_for("l_rude_block", put_batch_in_a_block);
}

Test(leave, copy_that_waits_for_rows_is_not_waited_for)
{
	are_not_waited_for("l_rude_copy", put_copy);
}

/* --- everybody at any point, all the time --- */

static const char *const things[] = {
	"SELECT 1",
	"BEGIN",
	"INSERT INTO t VALUES (1)",
	"SELECT 1/0",
	"COPY t (i) FROM STDIN",
	"COPY (SELECT i, repeat('x', 500) FROM generate_series(1, 2000) i) TO STDOUT",
	"SELECT pg_sleep(0.01)",
	"BEGIN; DELETE FROM t; SELECT pg_sleep(0.01)",
};

/* The connection is dropped without a word, some time behind asking something. */
static void come_and_go(struct member *m)
{
	while (crowd_goes_on(m)) {
		PGconn *conn = PQconnectdb(m->crowd->conninfo);
		unsigned delay = (unsigned)rand_r(&m->seed) % 3000;

		for (int i = rand_r(&m->seed) % 3; i >= 0; i--) {
			PGresult *res;

			if (!PQsendQuery(conn, things[(size_t)rand_r(&m->seed) %
			                              (sizeof(things) / sizeof(*things))]))
				break;
			if (i > 0 && (res = PQgetResult(conn)) != NULL)
				PQclear(res);
		}
		usleep(delay);
		if (PQsocket(conn) >= 0)
			shutdown(PQsocket(conn), SHUT_RDWR);
		PQfinish(conn);
		m->done++;
	}
}

/* Meanwhile these see nothing but what is theirs. */
static void see_clean_servers(struct member *m)
{
	while (crowd_goes_on(m)) {
		struct rig_text mine = rig_printf("SELECT '%d'", rand_r(&m->seed));
		struct rig_text got = member_query(m, mine.s);

		if (m->faults == 0 && strncmp(mine.s + 8, got.s, strlen(got.s)) != 0)
			member_fault(m, "%s: %s", mine.s, got.s);
		if (PQtransactionStatus(m->conn) != PQTRANS_IDLE)
			member_fault(m, "in somebody else's transaction");
		m->done++;
	}
}

static void come_and_go_or_see(struct member *m)
{
	if (m->index % 2 == 0)
		come_and_go(m);
	else
		see_clean_servers(m);
}

Test(leave, by_many_at_any_time_leaves_no_trace)
{
	static struct crowd crowd;
	long done = 0;

	start("l_many");
	frames_drop(&frames);
	crowd_start(&crowd, rig, 12, "dbname=l_many", 6000, come_and_go_or_see, NULL);
	crowd_join(&crowd);
	for (int i = 0; i < crowd.size; i++)
		done += crowd.members[i].done;
	cr_log_info("%ld rounds", done);
	cr_assert_gt(done, 20);
	rig_admin_exec("SELECT 1");
	{
		PGconn *admin = rig_admin_connect("l_many");

		rig_exec(admin, "TRUNCATE t");
		PQfinish(admin);
	}
	next_is_clean("l_many", "0");
}
