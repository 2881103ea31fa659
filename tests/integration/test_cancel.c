/* Cancel requests: the right query, for the right client, or nothing. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/freeze.h"
#include "tests/integration/rig_priv.h"

#define CROWDED 500

TestSuite(cancel, .timeout = 120);

/* A pgseal with one database of the test's own. */
static struct rig *start(const char *database, const char *settings, const char *keys)
{
	crowd_database(database);
	return rig_start(settings, crowd_entry(database, keys).s, NULL);
}

static PGconn *join(const struct rig *rig, const char *database)
{
	return rig_connect(rig, rig_printf("dbname=%s", database).s);
}

/* Send what will run until it is canceled, and see that it does run. */
static void send_endless(PGconn *conn, const char *database)
{
	cr_assert(PQsendQuery(conn, "SELECT pg_sleep(600)"));
	cr_assert(rig_admin_wait(
		rig_printf("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' "
	                   "AND state = 'active' AND query LIKE '%%pg_sleep%%'",
	                   database)
			.s,
		"1", RIG_PATIENCE_MS));
}

Test(cancel, ends_the_running_query_and_the_session_goes_on)
{
	struct rig *rig = start("c_running", NULL, "");
	PGconn *conn = join(rig, "c_running");

	send_endless(conn, "c_running");
	frames_cancel_of(conn);
	cr_assert_str_eq(rig_outcome(conn).s, "57014");
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}

Test(cancel, of_an_idle_client_or_a_finished_query_does_nothing)
{
	struct rig *rig = start("c_idle", NULL, "pool_size=1");
	PGconn *a = join(rig, "c_idle"), *b = join(rig, "c_idle");

	frames_cancel_of(a);
	cr_assert_str_eq(rig_query(a, "SELECT 'a', pg_sleep(0.1)").s, "a");
	frames_cancel_of(a);
	cr_assert_str_eq(rig_query(b, "SELECT 'b', pg_sleep(0.1)").s, "b");
	rig_exec(a, "BEGIN");
	frames_cancel_of(a);
	cr_assert_str_eq(rig_query(a, "SELECT 'a', pg_sleep(0.1)").s, "a");
	rig_exec(a, "COMMIT");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(cancel, of_a_queued_client_takes_it_out_of_the_queue)
{
	struct rig *rig = start("c_queued", "query_wait_timeout = 60\n", "pool_size=1");
	PGconn *a = join(rig, "c_queued"), *b = join(rig, "c_queued");

	rig_exec(a, "BEGIN");
	cr_assert(PQsendQuery(b, "SELECT 'never'"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "c_queued", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	frames_cancel_of(b);
	cr_assert_str_eq(rig_outcome(b).s, "57014");
	cr_assert_eq(PQtransactionStatus(b), PQTRANS_IDLE);
	rig_exec(a, "COMMIT");
	cr_assert_str_eq(rig_query(b, "SELECT 'on'").s, "on");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(cancel, of_a_client_that_a_pause_holds_back)
{
	struct rig *rig = start("c_paused", "query_wait_timeout = 60\n", "");
	PGconn *conn = join(rig, "c_paused");

	PQclear(rig_console(rig, "PAUSE c_paused"));
	cr_assert(PQsendQuery(conn, "SELECT 'never'"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "c_paused", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	frames_cancel_of(conn);
	cr_assert_str_eq(rig_outcome(conn).s, "57014");
	PQclear(rig_console(rig, "RESUME c_paused"));
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}

Test(cancel, in_session_mode_ends_the_query_alone)
{
	struct rig *rig = start("c_session", "pool_mode = session\n", "pool_size=1");
	PGconn *conn = join(rig, "c_session");

	rig_exec(conn, "CREATE TEMP TABLE mine (i int)");
	send_endless(conn, "c_session");
	frames_cancel_of(conn);
	cr_assert_str_eq(rig_outcome(conn).s, "57014");
	frames_cancel_of(conn);
	cr_assert_str_eq(rig_query(conn, "SELECT count(*) FROM mine, pg_sleep(0.1)").s, "0");
	PQfinish(conn);
	rig_stop(rig);
}

Test(cancel, of_a_queued_batch_is_answered_at_its_sync)
{
	struct rig *rig = start("c_batch", NULL, "pool_size=1");
	PGconn *a = join(rig, "c_batch");
	struct script say = { 0 };
	struct frames f;

	frames_login(&f, rig, "alice", "c_batch");
	rig_exec(a, "BEGIN");
	script_parse(&say, "", "SELECT 1");
	frames_send(&f, &say);
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "c_batch", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	frames_cancel(rig, f.pid, f.secret, f.secret_len);
	cr_assert_str_eq(frames_until(&f, 'E', 1).s, "E");
	cr_assert_str_eq(f.sqlstate, "57014");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "Z");
	rig_exec(a, "COMMIT");
	script_query(&say, "SELECT 1");
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TDCZ");
	frames_drop(&f);
	PQfinish(a);
	rig_stop(rig);
}

Test(cancel, needs_the_whole_and_exact_key)
{
	struct rig *rig = start("c_key", NULL, "");
	struct script say = { 0 };
	struct frames f;
	uint8_t wrong[256];

	frames_login(&f, rig, "alice", "c_key");
	cr_assert_eq(f.secret_len, 4);
	memset(wrong, 0, sizeof(wrong));
	memcpy(wrong, f.secret, 4);
	script_query(&say, "SELECT pg_sleep(600)");
	frames_send(&f, &say);
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_stat_activity WHERE datname = 'c_key' "
	                         "AND state = 'active'",
	                         "1", RIG_PATIENCE_MS));
	frames_cancel(rig, f.pid, wrong, 8);
	frames_cancel(rig, f.pid, wrong, 256);
	frames_cancel(rig, f.pid ^ 64, wrong, 4);
	wrong[3] ^= 1;
	frames_cancel(rig, f.pid, wrong, 4);
	cr_assert(rig_wait_log(rig, "cancel.*refused: no session has the key", RIG_PATIENCE_MS));
	frames_cancel(rig, 0, wrong, 4);
	frames_cancel(rig, 63, wrong, 4);
	cr_assert_eq(rig_tls_alert(f.ssl, 300), -2, "the query was ended by a wrong key");
	cr_assert_geq(rig_log_count(rig, "refused: no session has the key"), 4);
	frames_cancel(rig, f.pid, f.secret, 4);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TEZ");
	cr_assert_str_eq(f.sqlstate, "57014");
	frames_drop(&f);
	rig_stop(rig);
}

static void run_endless(struct frames *f, const char *database)
{
	struct script say = { 0 };

	script_query(&say, "SELECT pg_sleep(600)");
	frames_send(f, &say);
	cr_assert(rig_admin_wait(
		rig_printf("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' "
	                   "AND state = 'active' AND query LIKE '%%pg_sleep%%'",
	                   database)
			.s,
		"1", RIG_PATIENCE_MS));
}

Test(cancel, over_tls_is_for_the_same_identity_alone)
{
	struct rig *rig = start("c_tls", NULL, "");
	struct rig_tls stranger = { .cert = "bob" }, self = { .cert = "alice" };
	struct rig_tls direct = { .cert = "alice", .direct = true, .alpn = "postgresql" };
	struct frames f;

	frames_login(&f, rig, "alice", "c_tls");
	run_endless(&f, "c_tls");
	frames_cancel_tls(rig, &stranger, f.pid, f.secret, f.secret_len);
	cr_assert(
		rig_wait_log(rig, "refused: the key belongs to another identity", RIG_PATIENCE_MS));
	cr_assert_eq(rig_tls_alert(f.ssl, 300), -2, "another identity ended the query");
	frames_cancel_tls(rig, &self, f.pid, f.secret, f.secret_len);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TEZ");
	cr_assert_str_eq(f.sqlstate, "57014");
	run_endless(&f, "c_tls");
	frames_cancel_tls(rig, &direct, f.pid, f.secret, f.secret_len);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TEZ");
	cr_assert_str_eq(f.sqlstate, "57014");
	frames_drop(&f);
	rig_stop(rig);
}

Test(cancel, in_the_clear_is_refused_when_tls_is_required)
{
	struct rig *rig = start("c_clear", "cancel_require_tls = 1\n", "");
	struct rig_tls self = { .cert = "alice" };
	struct frames f;

	frames_login(&f, rig, "alice", "c_clear");
	run_endless(&f, "c_clear");
	frames_cancel(rig, f.pid, f.secret, f.secret_len);
	cr_assert(rig_wait_log(rig, "CancelRequest in the clear", RIG_PATIENCE_MS));
	cr_assert_eq(rig_tls_alert(f.ssl, 300), -2, "the query was ended in the clear");
	frames_cancel_tls(rig, &self, f.pid, f.secret, f.secret_len);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TEZ");
	frames_drop(&f);
	rig_stop(rig);
}

Test(cancel, keys_of_protocol_3_2_are_256_bits)
{
	struct rig *rig = start("c_key32", NULL, "");
	struct frames a, b;

	cr_assert(frames_try_login(&a, rig, "alice", "c_key32", FRAMES_3_2));
	cr_assert(frames_try_login(&b, rig, "alice", "c_key32", FRAMES_3_2));
	cr_assert_eq(a.secret_len, 32);
	cr_assert_neq(memcmp(a.secret, b.secret, 32), 0);
	run_endless(&a, "c_key32");
	frames_cancel(rig, a.pid, a.secret, 4);
	cr_assert(rig_wait_log(rig, "refused: no session has the key", RIG_PATIENCE_MS));
	cr_assert_eq(rig_tls_alert(a.ssl, 300), -2, "the beginning of the key was enough");
	frames_cancel(rig, a.pid, a.secret, 32);
	cr_assert_str_eq(frames_until(&a, 'Z', 1).s, "TEZ");
	cr_assert_str_eq(a.sqlstate, "57014");
	frames_drop(&a);
	frames_drop(&b);
	rig_stop(rig);
}

/* --- cancels that are late, or early --- */

/* a's query ends by itself while its cancel is still on its way to the server. */
static void finish_before_cancel(const struct rig *rig, PGconn *a, const char *database,
                                 struct freeze *f)
{
	PGconn *admin = rig_admin_connect(database);

	rig_exec(admin, "SELECT pg_advisory_lock(1)");
	cr_assert(PQsendQuery(a, "SELECT 'done' FROM pg_advisory_xact_lock(1)"));
	cr_assert(
		rig_admin_wait(rig_printf("SELECT count(*) FROM pg_locks l JOIN pg_database d ON "
	                                  "d.oid = l.database WHERE datname = '%s' AND NOT granted",
	                                  database)
	                               .s,
	                       "1", RIG_PATIENCE_MS));
	freeze_logins(f);
	frames_cancel_of(a);
	rig_exec(admin, "SELECT pg_advisory_unlock(1)");
	cr_assert_str_eq(rig_scalar(a).s, "done");
	cr_assert(rig_console_wait(rig, "SHOW SERVERS", "database", database, "state",
	                           PQtransactionStatus(a) == PQTRANS_IDLE ? "being_canceled"
	                                                                  : "active",
	                           RIG_PATIENCE_MS));
	PQfinish(admin);
}

Test(cancel, that_comes_late_does_not_meet_the_next_client)
{
	struct rig *rig = start("c_late", NULL, "pool_size=1");
	PGconn *a = join(rig, "c_late"), *b = join(rig, "c_late");
	struct freeze f;

	finish_before_cancel(rig, a, "c_late", &f);
	cr_assert(PQsendQuery(b, "SELECT 'b', pg_sleep(0.3)"));
	cr_assert(rig_stays_silent(b, 500), "the server was lent with a cancel on its way");
	freeze_end(&f);
	cr_assert_str_eq(rig_scalar(b).s, "b");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(cancel, that_comes_late_does_not_meet_the_next_statement_of_the_transaction)
{
	struct rig *rig = start("c_same", NULL, "pool_size=1");
	PGconn *a = join(rig, "c_same");
	struct freeze f;

	rig_exec(a, "BEGIN");
	finish_before_cancel(rig, a, "c_same", &f);
	cr_assert(PQsendQuery(a, "SELECT 'next', pg_sleep(0.3)"));
	cr_assert(rig_stays_silent(a, 500), "the statement went out with a cancel on its way");
	freeze_end(&f);
	cr_assert_str_eq(rig_scalar(a).s, "next");
	rig_exec(a, "COMMIT");
	PQfinish(a);
	rig_stop(rig);
}

Test(cancel, that_cannot_be_delivered_does_not_hold_the_server_for_ever)
{
	struct rig *rig = start("c_undelivered", "cancel_wait_timeout = 1\n", "pool_size=1");
	PGconn *a = join(rig, "c_undelivered"), *b = join(rig, "c_undelivered");
	struct freeze f;

	finish_before_cancel(rig, a, "c_undelivered", &f);
	cr_assert_str_eq(rig_query(b, "SELECT 'b'").s, "b");
	cr_assert(rig_log_contains(rig, "cancel.*failed: pid="));
	freeze_end(&f);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(cancel, during_the_poolers_own_statements_is_for_the_clients_query)
{
	struct rig *rig = start("c_setup", NULL, "pool_size=1");
	PGconn *a = rig_connect(rig, "dbname=c_setup application_name=a");
	PGconn *b = rig_connect(rig, "dbname=c_setup application_name=b");
	struct freeze f;

	cr_assert_str_eq(rig_query(a, "SELECT 'a'").s, "a");
	freeze_begin(&f, freeze_backend_of("c_setup"));
	cr_assert(PQsendQuery(b, "SELECT pg_sleep(600)"));
	cr_assert(rig_console_wait(rig, "SHOW SERVERS", "database", "c_setup", "state", "active",
	                           RIG_PATIENCE_MS));
	frames_cancel_of(b);
	freeze_end(&f);
	cr_assert_str_eq(rig_outcome(b).s, "57014");
	cr_assert_str_eq(rig_query(a, "SELECT 'a', pg_sleep(0.3)").s, "a");
	cr_assert_str_eq(rig_query(b, "SELECT 'b', pg_sleep(0.3)").s, "b");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

/* --- many --- */

Test(cancel, five_hundred_at_once_end_one_query_and_hurt_nobody)
{
	struct rig *rig = start("c_many", NULL, "pool_size=2");
	PGconn *a = join(rig, "c_many"), *b = join(rig, "c_many");
	uint8_t packet[300];
	int fds[CROWDED];
	struct frames f;

	frames_login(&f, rig, "alice", "c_many");
	run_endless(&f, "c_many");
	for (int i = 0; i < CROWDED; i++)
		fds[i] = rig_raw_connect(rig);
	for (int i = 0; i < CROWDED; i++) {
		uint8_t body[8] = { (uint8_t)(f.pid >> 24), (uint8_t)(f.pid >> 16),
			            (uint8_t)(f.pid >> 8), (uint8_t)f.pid };

		memcpy(body + 4, f.secret, 4);
		rig_raw_send(fds[i], packet,
		             rig_packet(packet, sizeof(packet), RIG_CANCEL_REQUEST, body, 8));
	}
	cr_assert_str_eq(rig_query(b, "SELECT 'b', pg_sleep(0.2)").s, "b");
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TEZ");
	for (int i = 0; i < CROWDED; i++) {
		cr_assert(rig_raw_closed(fds[i], RIG_PATIENCE_MS));
		close(fds[i]);
	}
	for (int i = 0; i < 20; i++) {
		cr_assert_str_eq(rig_query(a, "SELECT 'a', pg_sleep(0.01)").s, "a");
		cr_assert_str_eq(rig_query(b, "SELECT 'b', pg_sleep(0.01)").s, "b");
	}
	cr_assert(crowd_wait_backends("c_many", "2", RIG_PATIENCE_MS));
	frames_drop(&f);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

/* One statement, with or without a cancel of its own. */
static void storm_statement(struct member *m)
{
	bool ask = rand_r(&m->seed) % 3 == 0;
	struct rig_text sql = rig_printf("SELECT 'm%d', pg_sleep(%d / 1000.0)", m->index,
	                                 rand_r(&m->seed) % 8);
	PGcancel *cancel = PQgetCancel(m->conn);
	char why[256], state[8] = "";
	PGresult *res;

	if (!PQsendQuery(m->conn, sql.s))
		member_fault(m, "send: %s", PQerrorMessage(m->conn));
	if (ask && !PQcancel(cancel, why, sizeof(why)))
		member_fault(m, "cancel: %s", why);
	PQfreeCancel(cancel);
	while ((res = PQgetResult(m->conn)) != NULL) {
		if (PQresultStatus(res) == PGRES_FATAL_ERROR)
			snprintf(state, sizeof(state), "%s",
			         PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL
			                 ? PQresultErrorField(res, PG_DIAG_SQLSTATE)
			                 : "lost");
		PQclear(res);
	}
	m->done++;
	if (state[0] == '\0')
		return;
	if (ask && strcmp(state, "57014") == 0)
		m->marks++;
	else
		member_fault(m, "%s at %s, which it had%s asked for", state, sql.s,
		             ask ? "" : " not");
}

/* A savepoint before each keeps the transaction usable behind a statement that was canceled. */
static void storm_member(struct member *m)
{
	while (crowd_goes_on(m)) {
		bool block = rand_r(&m->seed) % 2 == 0;

		if (!block) {
			storm_statement(m);
			continue;
		}
		member_query(m, "BEGIN");
		for (int i = 0; i < 4 && m->faults == 0; i++) {
			member_query(m, "SAVEPOINT s");
			storm_statement(m);
			if (PQtransactionStatus(m->conn) == PQTRANS_INERROR)
				member_query(m, "ROLLBACK TO s");
		}
		member_query(m, "COMMIT");
	}
}

Test(cancel, storm_meets_only_those_who_asked_for_it)
{
	struct rig *rig = start("c_storm", "workers = 2\n", "pool_size=4");
	static struct crowd crowd;
	long met = 0, done = 0;

	crowd_start(&crowd, rig, 16, "dbname=c_storm", 8000, storm_member, NULL);
	crowd_join(&crowd);
	for (int i = 0; i < crowd.size; i++) {
		met += crowd.members[i].marks;
		done += crowd.members[i].done;
	}
	cr_log_info("%ld statements, %ld canceled", done, met);
	cr_assert_gt(met, 0);
	cr_assert_gt(done, met);
	rig_stop(rig);
}
