/* Pools: how many servers, who gets one, when, and in which state. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

TestSuite(pool, .timeout = 120);

static struct rig *start(const char *database, const char *settings, const char *keys)
{
	crowd_database(database);
	return rig_start(settings, crowd_entry(database, keys).s, NULL);
}

static PGconn *join(const struct rig *rig, const char *database)
{
	return rig_connect(rig, rig_printf("dbname=%s", database).s);
}

/* --- how many --- */

static void short_transactions(struct member *m)
{
	while (crowd_goes_on(m)) {
		member_query(m, "BEGIN");
		member_query(m, "SELECT pg_sleep(0.002)");
		member_query(m, "COMMIT");
		m->done++;
	}
}

Test(pool, size_is_exact_over_all_workers)
{
	struct rig *rig = start("p_exact", "workers = 2\n", "pool_size=3");
	static struct crowd crowd;
	int most = 0, now;

	crowd_start(&crowd, rig, 24, "dbname=p_exact", 4000, short_transactions, NULL);
	while (rig_now_ms() < crowd.deadline_ms) {
		now = crowd_backends("p_exact");
		most = now > most ? now : most;
		rig_nap();
	}
	crowd_join(&crowd);
	cr_assert_eq(most, 3, "up to %d servers", most);
	rig_stop(rig);
}

static void one_connection_each(struct member *m)
{
	member_query(m, "BEGIN");
	member_query(m, "SELECT pg_sleep(0.05)");
	member_query(m, "COMMIT");
}

Test(pool, each_role_has_a_pool_of_its_own)
{
	struct rig *rig = start("p_roles", "default_pool_size = 1\n", "");
	PGconn *a = join(rig, "p_roles"), *b = rig_connect_as(rig, "bob", "dbname=p_roles");

	rig_exec(a, "BEGIN");
	cr_assert_str_eq(rig_query(b, "SELECT current_user").s, "bob");
	rig_exec(a, "COMMIT");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(pool, of_one_starves_nobody)
{
	struct rig *rig = start("p_one", "workers = 2\n", "pool_size=1");
	static struct crowd crowd;
	long sum = 0, least;

	crowd_start(&crowd, rig, 12, "dbname=p_one", 4000, short_transactions, NULL);
	crowd_join(&crowd);
	least = crowd.members[0].done;
	for (int i = 0; i < crowd.size; i++) {
		sum += crowd.members[i].done;
		least = crowd.members[i].done < least ? crowd.members[i].done : least;
	}
	cr_log_info("%ld transactions, least of a client %ld", sum, least);
	cr_assert_geq(least * crowd.size * 2, sum, "a client had %ld of %ld", least, sum);
	cr_assert_leq(crowd_backends("p_one"), 1);
	rig_stop(rig);
}

/* Few clients on one worker must not keep the server from the many of the other. */
static void back_to_back(struct member *m)
{
	while (crowd_goes_on(m)) {
		member_query(m, "SELECT 1");
		m->done++;
	}
}

Test(pool, of_one_goes_round_without_thinking_time_too)
{
	struct rig *rig = start("p_round", "workers = 2\n", "pool_size=1");
	static struct crowd crowd;
	long sum = 0, least = -1;

	crowd_start(&crowd, rig, 5, "dbname=p_round", 3000, back_to_back, NULL);
	crowd_join(&crowd);
	for (int i = 0; i < crowd.size; i++) {
		sum += crowd.members[i].done;
		if (least < 0 || crowd.members[i].done < least)
			least = crowd.members[i].done;
	}
	cr_log_info("%ld queries, least of a client %ld", sum, least);
	/* Who starves has next to nothing; on a busy machine the scheduler makes shares uneven. */
	cr_assert_geq(least * crowd.size * 20, sum, "a client had %ld of %ld", least, sum);
	rig_stop(rig);
}

Test(pool, serves_more_clients_than_servers_at_once)
{
	struct rig *rig = start("p_share", NULL, "pool_size=2");
	static struct crowd crowd;

	crowd_start(&crowd, rig, 40, "dbname=p_share", 0, one_connection_each, NULL);
	crowd_join(&crowd);
	cr_assert_eq(crowd_backends("p_share"), 2);
	rig_stop(rig);
}

/* --- when --- */

Test(pool, keeps_the_server_with_an_open_transaction)
{
	struct rig *rig = start("p_open", NULL, "pool_size=1");
	PGconn *a = join(rig, "p_open"), *b = join(rig, "p_open");
	struct rig_text pid;

	rig_exec(a, "BEGIN");
	pid = rig_query(a, "SELECT pg_backend_pid()");
	cr_assert(PQsendQuery(b, "SELECT pg_backend_pid()"));
	cr_assert(rig_stays_silent(b, 300));
	cr_assert_str_eq(rig_query(a, "SELECT pg_backend_pid()").s, pid.s);
	rig_exec(a, "COMMIT");
	cr_assert_str_eq(rig_scalar(b).s, pid.s);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(pool, does_not_lend_a_failed_transaction)
{
	struct rig *rig = start("p_failed", NULL, "pool_size=1");
	PGconn *a = join(rig, "p_failed"), *b = join(rig, "p_failed");

	rig_exec(a, "BEGIN");
	cr_assert_str_eq(rig_error(a, "SELECT 1/0").s, "22012");
	cr_assert(PQsendQuery(b, "SELECT 'b'"));
	cr_assert(rig_stays_silent(b, 300));
	cr_assert_str_eq(rig_error(a, "SELECT 1").s, "25P02");
	rig_exec(a, "ROLLBACK");
	cr_assert_str_eq(rig_scalar(b).s, "b");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(pool, keeps_the_server_through_commit_and_chain)
{
	struct rig *rig = start("p_chain", NULL, "pool_size=1");
	PGconn *a = join(rig, "p_chain"), *b = join(rig, "p_chain");

	rig_exec(a, "BEGIN");
	rig_exec(a, "COMMIT AND CHAIN");
	cr_assert(PQsendQuery(b, "SELECT 'b'"));
	cr_assert(rig_stays_silent(b, 300));
	rig_exec(a, "COMMIT");
	cr_assert_str_eq(rig_scalar(b).s, "b");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

/* It is the server that ends the transactions, and goes on. */
Test(pool, keeps_the_server_through_a_procedure_that_commits)
{
	struct rig *rig = start("p_procedure", NULL, "pool_size=1");
	PGconn *a = join(rig, "p_procedure"), *b = join(rig, "p_procedure");
	PGconn *admin = rig_admin_connect("p_procedure");

	rig_exec(a, "CREATE TABLE t (i int)");
	rig_exec(a, "CREATE PROCEDURE many() LANGUAGE plpgsql AS $$ BEGIN "
	            "INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); ROLLBACK; "
	            "PERFORM pg_advisory_xact_lock(1); INSERT INTO t VALUES (3); COMMIT; END $$");
	rig_exec(admin, "SELECT pg_advisory_lock(1)");
	cr_assert(PQsendQuery(a, "CALL many()"));
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
	                         "AND NOT granted AND database = (SELECT oid FROM pg_database "
	                         "WHERE datname = 'p_procedure')",
	                         "1", RIG_PATIENCE_MS));
	cr_assert_str_eq(rig_query(admin, "SELECT sum(i) FROM t").s, "1");
	cr_assert(PQsendQuery(b, "SELECT sum(i) FROM t"));
	cr_assert(rig_stays_silent(b, 300), "lent in the middle of a procedure");
	rig_exec(admin, "SELECT pg_advisory_unlock(1)");
	cr_assert_str_eq(rig_outcome(a).s, "");
	cr_assert_str_eq(rig_scalar(b).s, "4");
	PQfinish(admin);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

/* Once it is prepared a transaction is nobody's, and may be ended from any server. */
Test(pool, lends_the_server_behind_a_transaction_that_was_prepared)
{
	struct rig *rig = start("p_twophase", "server_round_robin = 1\n",
	                        "pool_size=2 min_pool_size=2");
	PGconn *a = join(rig, "p_twophase"), *b = join(rig, "p_twophase");
	static const char *const ends[] = { "COMMIT", "ROLLBACK" };

	rig_exec(a, "CREATE TABLE t (i int)");
	for (int i = 0; i < 4; i++) {
		rig_exec(a, "BEGIN");
		rig_exec(a, "INSERT INTO t VALUES (1)");
		rig_exec(a, rig_printf("PREPARE TRANSACTION 'p %d'", i).s);
		cr_assert_eq(PQtransactionStatus(a), PQTRANS_IDLE);
		cr_assert_str_eq(rig_query(b, "SELECT count(*) FROM t").s,
		                 rig_printf("%d", (i + 1) / 2).s);
		cr_assert_eq(PQtransactionStatus(b), PQTRANS_IDLE);
		rig_exec(i < 2 ? a : b, rig_printf("%s PREPARED 'p %d'", ends[i % 2], i).s);
	}
	cr_assert_str_eq(rig_query(a, "SELECT count(*) FROM t").s, "2");
	cr_assert_eq(rig_log_count(rig, "pinned"), 0);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(pool, mode_is_chosen_per_database)
{
	struct rig *rig;
	PGconn *a, *b;

	crowd_database("p_txn");
	crowd_database("p_sess");
	rig = rig_start("pool_mode = session\n",
	                rig_printf("%s%s",
	                           crowd_entry("p_txn", "pool_size=1 pool_mode=transaction").s,
	                           crowd_entry("p_sess", "pool_size=1").s)
	                        .s,
	                NULL);
	a = join(rig, "p_txn");
	b = join(rig, "p_txn");
	cr_assert_str_eq(rig_query(a, "SELECT 1").s, "1");
	cr_assert_str_eq(rig_query(b, "SELECT 1").s, "1");
	PQfinish(a);
	PQfinish(b);
	a = join(rig, "p_sess");
	b = join(rig, "p_sess");
	cr_assert_str_eq(rig_query(a, "SELECT 1").s, "1");
	cr_assert(PQsendQuery(b, "SELECT 2"));
	cr_assert(rig_stays_silent(b, 300));
	PQfinish(a);
	cr_assert_str_eq(rig_scalar(b).s, "2");
	PQfinish(b);
	rig_stop(rig);
}

Test(pool, in_session_mode_discards_all_behind_a_client)
{
	struct rig *rig = start("p_reset", "pool_mode = session\n", "pool_size=1");
	PGconn *conn = join(rig, "p_reset");
	struct rig_text pid = rig_query(conn, "SELECT pg_backend_pid()");

	rig_exec(conn, "CREATE TEMP TABLE left_over (i int)");
	rig_exec(conn, "SET search_path = pg_temp, nowhere");
	rig_exec(conn, "PREPARE left_over AS SELECT 1");
	rig_exec(conn, "SELECT pg_advisory_lock(77)");
	PQfinish(conn);
	conn = join(rig, "p_reset");
	cr_assert_str_eq(rig_query(conn, "SELECT pg_backend_pid()").s, pid.s);
	cr_assert_str_eq(rig_query(conn, "SELECT to_regclass('pg_temp.left_over')").s, "(null)");
	cr_assert_str_eq(rig_query(conn, "SHOW search_path").s, "\"$user\", public");
	cr_assert_str_eq(rig_query(conn, "SELECT count(*) FROM pg_prepared_statements").s, "0");
	cr_assert_str_eq(rig_query(conn,
	                           "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
	                           "pid = pg_backend_pid()")
	                         .s,
	                 "0");
	PQfinish(conn);
	rig_stop(rig);
}

Test(pool, in_session_mode_rolls_back_what_a_client_left_open)
{
	struct rig *rig = start("p_open_sess", "pool_mode = session\n", "pool_size=1");
	PGconn *conn = join(rig, "p_open_sess");

	rig_exec(conn, "CREATE TABLE t (i int)");
	rig_exec(conn, "BEGIN");
	rig_exec(conn, "INSERT INTO t VALUES (1)");
	PQfinish(conn);
	conn = join(rig, "p_open_sess");
	cr_assert_str_eq(rig_query(conn, "SELECT count(*) FROM t").s, "0");
	cr_assert_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
	PQfinish(conn);
	rig_stop(rig);
}

/* --- waiting --- */

Test(pool, wait_has_a_deadline_that_tells_the_cause)
{
	struct rig *rig = start("p_wait", "query_wait_timeout = 1\n", "pool_size=1");
	PGconn *a = join(rig, "p_wait"), *b = join(rig, "p_wait");
	int64_t begun;

	rig_exec(a, "BEGIN");
	begun = rig_now_ms();
	cr_assert_str_eq(rig_error(b, "SELECT 1").s, "53300");
	cr_assert_geq(rig_now_ms() - begun, 900);
	cr_assert(strstr(PQerrorMessage(b), "query_wait_timeout") != NULL, "%s", PQerrorMessage(b));
	cr_assert(strstr(PQerrorMessage(b), "All servers of the pool were busy") != NULL, "%s",
	          PQerrorMessage(b));
	cr_assert_eq(PQstatus(b), CONNECTION_BAD);
	cr_assert_str_eq(rig_query(a, "SELECT 'a'").s, "a");
	rig_exec(a, "COMMIT");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

/* It hears why without having sent its Sync, once, and that is the end. */
Test(pool, batch_that_waits_in_vain_is_told_before_its_sync)
{
	struct rig *rig = start("p_batch", "query_wait_timeout = 1\n", "pool_size=1");
	PGconn *a = join(rig, "p_batch");
	struct script say = { 0 };
	struct frames f;

	rig_exec(a, "BEGIN");
	frames_login(&f, rig, "alice", "p_batch");
	script_parse(&say, "", "SELECT 1");
	script_bind(&say, "");
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "E!");
	cr_assert_str_eq(f.sqlstate, "53300", "%s", f.message);
	frames_drop(&f);
	rig_exec(a, "COMMIT");
	PQfinish(a);
	rig_stop(rig);
}

Test(pool, wait_limit_can_be_a_databases_own)
{
	struct rig *rig = start("p_own_wait", "query_wait_timeout = 60\n",
	                        "pool_size=1 query_wait_timeout=1");
	PGconn *a = join(rig, "p_own_wait"), *b = join(rig, "p_own_wait");

	rig_exec(a, "BEGIN");
	cr_assert(PQsendQuery(b, "SELECT 1"));
	cr_assert(rig_wait_readable(b, 10000), "waited beyond the limit");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(pool, first_come_is_first_served)
{
	struct rig *rig = start("p_order", "workers = 2\n", "pool_size=1");
	PGconn *first = join(rig, "p_order"), *queue[8];
	struct rig_text last = { "" };

	rig_exec(first, "BEGIN");
	for (int i = 0; i < 8; i++) {
		queue[i] = join(rig, "p_order");
		cr_assert(PQsendQuery(queue[i], "SELECT lpad(txid_current()::text, 20, '0')"));
		/* apart by more than the slack between workers */
		cr_assert(rig_stays_silent(queue[i], 20));
	}
	rig_exec(first, "COMMIT");
	for (int i = 0; i < 8; i++) {
		struct rig_text mine = rig_scalar(queue[i]);

		cr_assert_lt(strcmp(last.s, mine.s), 0, "client %d was served out of turn", i);
		last = mine;
		PQfinish(queue[i]);
	}
	PQfinish(first);
	rig_stop(rig);
}

Test(pool, client_that_leaves_the_queue_is_passed_over)
{
	struct rig *rig = start("p_gone", NULL, "pool_size=1");
	PGconn *a = join(rig, "p_gone"), *b = join(rig, "p_gone"), *c = join(rig, "p_gone");

	rig_exec(a, "CREATE TABLE t (i int)");
	rig_exec(a, "BEGIN");
	cr_assert(PQsendQuery(b, "INSERT INTO t VALUES (1)"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "p_gone", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	PQfinish(b);
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "p_gone", "cl_waiting", "0",
	                           RIG_PATIENCE_MS));
	rig_exec(a, "COMMIT");
	cr_assert_str_eq(rig_query(c, "SELECT count(*) FROM t").s, "0");
	PQfinish(a);
	PQfinish(c);
	rig_stop(rig);
}

/* --- ageing --- */

Test(pool, idle_server_is_closed_after_its_time)
{
	struct rig *rig = start("p_idle", "server_idle_timeout = 1\n", "");
	PGconn *conn = join(rig, "p_idle");

	cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1");
	cr_assert_eq(crowd_backends("p_idle"), 1);
	cr_assert(crowd_wait_backends("p_idle", "0", RIG_PATIENCE_MS));
	cr_assert_str_eq(rig_query(conn, "SELECT 'again'").s, "again");
	PQfinish(conn);
	rig_stop(rig);
}

Test(pool, old_server_is_replaced_but_never_inside_a_transaction)
{
	struct rig *rig = start("p_old", "server_lifetime = 1\n", "pool_size=1");
	PGconn *conn = join(rig, "p_old");
	struct rig_text pid;

	rig_exec(conn, "BEGIN");
	pid = rig_query(conn, "SELECT pg_backend_pid()");
	cr_assert_str_eq(rig_query(conn, "SELECT 'old' FROM pg_sleep(1.5)").s, "old");
	cr_assert_str_eq(rig_query(conn, "SELECT pg_backend_pid()").s, pid.s);
	rig_exec(conn, "COMMIT");
	cr_assert_str_neq(rig_query(conn, "SELECT pg_backend_pid()").s, pid.s);
	PQfinish(conn);
	rig_stop(rig);
}

Test(pool, lifetime_zero_uses_each_server_once)
{
	struct rig *rig = start("p_once", "server_lifetime = 0\n", "pool_size=1");
	PGconn *conn = join(rig, "p_once");
	struct rig_text pid = rig_query(conn, "SELECT pg_backend_pid()");

	for (int i = 0; i < 5; i++) {
		struct rig_text next = rig_query(conn, "SELECT pg_backend_pid()");

		cr_assert_str_neq(next.s, pid.s);
		pid = next;
	}
	PQfinish(conn);
	rig_stop(rig);
}

Test(pool, permit_of_a_lost_server_is_used_again)
{
	struct rig *rig = start("p_permit", "workers = 2\n", "pool_size=1");

	for (int i = 0; i < 10; i++) {
		PGconn *conn = join(rig, "p_permit");

		cr_assert_str_eq(rig_query(conn, "SELECT 'here'").s, "here");
		cr_assert_neq(PQresultStatus(PQexec(
				      conn, "SELECT pg_terminate_backend(pg_backend_pid())")),
		              PGRES_TUPLES_OK);
		PQfinish(conn);
	}
	cr_assert(crowd_wait_backends("p_permit", "0", RIG_PATIENCE_MS));
	rig_stop(rig);
}
