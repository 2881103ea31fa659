/* The relay: batches and pipelines, errors in the middle, whatever clients say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

TestSuite(relay, .timeout = 120);

static struct rig *rig;
static struct script say;

static void start(const char *database, const char *settings)
{
	crowd_database(database);
	rig = rig_start(settings, crowd_entry(database, "pool_size=1").s, NULL);
}

static PGconn *join(const char *database)
{
	return rig_connect(rig, rig_printf("dbname=%s", database).s);
}

/* --- libpq's pipelines --- */

static void pipeline(PGconn *conn)
{
	cr_assert(PQenterPipelineMode(conn));
}

static void send_params(PGconn *conn, const char *sql, const char *value)
{
	cr_assert(PQsendQueryParams(conn, sql, value != NULL, NULL, &value, NULL, NULL, 0), "%s",
	          PQerrorMessage(conn));
}

/* The next result has this status, and this first value if one is given. */
static void expect(PGconn *conn, ExecStatusType status, const char *value)
{
	PGresult *res = PQgetResult(conn);

	while (res == NULL)
		res = PQgetResult(conn); /* between the results of two queries */
	cr_assert_eq(PQresultStatus(res), status, "%s instead of %s: %s",
	             PQresStatus(PQresultStatus(res)), PQresStatus(status),
	             PQresultErrorMessage(res));
	if (value != NULL)
		cr_assert_str_eq(PQgetvalue(res, 0, 0), value);
	PQclear(res);
}

Test(relay, pipeline_of_many_syncs_is_answered_in_order)
{
	PGconn *conn;

	start("r_syncs", NULL);
	conn = join("r_syncs");
	pipeline(conn);
	for (int i = 0; i < 500; i++) {
		send_params(conn, "SELECT $1::int", rig_printf("%d", i).s);
		cr_assert(PQpipelineSync(conn));
	}
	for (int i = 0; i < 500; i++) {
		expect(conn, PGRES_TUPLES_OK, rig_printf("%d", i).s);
		expect(conn, PGRES_PIPELINE_SYNC, NULL);
	}
	PQfinish(conn);
	rig_stop(rig);
}

Test(relay, error_in_a_pipeline_skips_to_its_sync_alone)
{
	PGconn *conn;

	start("r_error", NULL);
	conn = join("r_error");
	pipeline(conn);
	for (int i = 0; i < 3; i++) {
		send_params(conn, "SELECT 'before'", NULL);
		send_params(conn, "SELECT 1/$1::int", "0");
		send_params(conn, "SELECT 'behind'", NULL);
		cr_assert(PQpipelineSync(conn));
		send_params(conn, "SELECT 'next'", NULL);
		cr_assert(PQpipelineSync(conn));
	}
	for (int i = 0; i < 3; i++) {
		expect(conn, PGRES_TUPLES_OK, "before");
		expect(conn, PGRES_FATAL_ERROR, NULL);
		expect(conn, PGRES_PIPELINE_ABORTED, NULL);
		expect(conn, PGRES_PIPELINE_SYNC, NULL);
		expect(conn, PGRES_TUPLES_OK, "next");
		expect(conn, PGRES_PIPELINE_SYNC, NULL);
	}
	PQfinish(conn);
	rig_stop(rig);
}

Test(relay, flush_is_answered_and_holds_the_server_until_the_sync)
{
	PGconn *a, *b;

	start("r_flush", NULL);
	a = join("r_flush");
	b = join("r_flush");
	pipeline(a);
	send_params(a, "SELECT 'early'", NULL);
	cr_assert(PQsendFlushRequest(a) && PQflush(a) == 0);
	expect(a, PGRES_TUPLES_OK, "early");
	cr_assert(PQsendQuery(b, "SELECT 'b'"));
	cr_assert(rig_stays_silent(b, 300), "lent in the middle of a batch");
	cr_assert(PQpipelineSync(a));
	expect(a, PGRES_PIPELINE_SYNC, NULL);
	cr_assert_str_eq(rig_scalar(b).s, "b");
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

/* Its first batches have been answered; one is not. */
Test(relay, server_is_kept_until_the_last_of_several_syncs_is_answered)
{
	PGconn *a, *b, *admin;

	start("r_last", NULL);
	a = join("r_last");
	b = join("r_last");
	admin = rig_admin_connect("r_last");
	rig_exec(admin, "SELECT pg_advisory_lock(1)");
	pipeline(a);
	send_params(a, "SELECT 'first'", NULL);
	cr_assert(PQpipelineSync(a));
	send_params(a, "SELECT 1/$1::int", "0");
	cr_assert(PQpipelineSync(a));
	send_params(a, "SELECT 'last' FROM pg_advisory_xact_lock(1)", NULL);
	cr_assert(PQpipelineSync(a));
	expect(a, PGRES_TUPLES_OK, "first");
	expect(a, PGRES_PIPELINE_SYNC, NULL);
	expect(a, PGRES_FATAL_ERROR, NULL);
	expect(a, PGRES_PIPELINE_SYNC, NULL);
	cr_assert(PQsendQuery(b, "SELECT 'b'"));
	cr_assert(rig_stays_silent(b, 300), "lent with a batch under way");
	rig_exec(admin, "SELECT pg_advisory_unlock(1)");
	expect(a, PGRES_TUPLES_OK, "last");
	expect(a, PGRES_PIPELINE_SYNC, NULL);
	cr_assert_str_eq(rig_scalar(b).s, "b");
	PQfinish(admin);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

/* Pipelines of transactions, with errors; each answer must be the member's own. */
static void pipelines_of_its_own(struct member *m)
{
	PQenterPipelineMode(m->conn);
	while (crowd_goes_on(m)) {
		int asked = 1 + rand_r(&m->seed) % 20, broken = rand_r(&m->seed) % 4;
		char mine[32];

		snprintf(mine, sizeof(mine), "%d-%ld", m->index, m->done++);
		for (int i = 0; i < asked; i++) {
			const char *value = mine;

			PQsendQueryParams(m->conn,
			                  i == broken ? "SELECT 1/(length($1)-length($1))"
			                              : "SELECT $1::text",
			                  1, NULL, &value, NULL, NULL, 0);
			PQpipelineSync(m->conn);
		}
		for (int syncs = 0; syncs < asked && m->faults == 0;) {
			PGresult *res = PQgetResult(m->conn);

			if (PQresultStatus(res) == PGRES_TUPLES_OK &&
			    strcmp(PQgetvalue(res, 0, 0), mine) != 0)
				member_fault(m, "%s got %s", mine, PQgetvalue(res, 0, 0));
			else if (PQresultStatus(res) == PGRES_FATAL_ERROR &&
			         PQstatus(m->conn) != CONNECTION_OK)
				member_fault(m, "%s", PQerrorMessage(m->conn));
			else if (PQresultStatus(res) == PGRES_FATAL_ERROR)
				m->marks++;
			syncs += PQresultStatus(res) == PGRES_PIPELINE_SYNC;
			PQclear(res);
		}
	}
}

Test(relay, pipelines_of_many_clients_do_not_mix)
{
	static struct crowd crowd;
	long errors = 0;

	start("r_mix", "workers = 2\n");
	crowd_start(&crowd, rig, 8, "dbname=r_mix", 4000, pipelines_of_its_own, NULL);
	crowd_join(&crowd);
	for (int i = 0; i < crowd.size; i++) {
		errors += crowd.members[i].marks;
		cr_assert_gt(crowd.members[i].done, 0);
	}
	cr_assert_gt(errors, 0);
	rig_stop(rig);
}

/* --- conversations in raw frames --- */

Test(relay, portal_that_is_suspended_keeps_its_server)
{
	struct frames f;
	PGconn *b;

	start("r_portal", NULL);
	frames_login(&f, rig, "alice", "r_portal");
	b = join("r_portal");
	script_parse(&say, "", "SELECT generate_series(1, 5)");
	script_bind(&say, "");
	script_execute(&say, 2);
	script_flush(&say);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 's', 1).s, "12Ds");
	cr_assert(PQsendQuery(b, "SELECT 'b'"));
	cr_assert(rig_stays_silent(b, 300), "lent with a portal open");
	script_execute(&say, 0);
	script_sync(&say);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "DCZ");
	cr_assert_str_eq(rig_scalar(b).s, "b");
	PQfinish(b);
	frames_drop(&f);
	rig_stop(rig);
}

Test(relay, simple_query_may_stand_in_a_batch)
{
	struct frames f;
	PGconn *b;

	start("r_middle", NULL);
	frames_login(&f, rig, "alice", "r_middle");
	script_parse(&say, "", "SELECT 1");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_query(&say, "SELECT 2");
	script_sync(&say);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 2).s, "12DCTDCZZ");
	/* an error in front of it makes the server ignore it */
	script_parse(&say, "", "SELECT nonsense");
	script_query(&say, "SELECT 2");
	script_sync(&say);
	script_query(&say, "SELECT 3");
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 2).s, "EZTDCZ");
	b = join("r_middle");
	cr_assert_str_eq(rig_query(b, "SELECT 'b'").s, "b");
	PQfinish(b);
	frames_drop(&f);
	rig_stop(rig);
}

Test(relay, transaction_block_may_begin_and_end_in_batches)
{
	struct frames f;
	PGconn *b;

	start("r_block", NULL);
	frames_login(&f, rig, "alice", "r_block");
	b = join("r_block");
	script_parse(&say, "", "BEGIN");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "12CZ");
	cr_assert(PQsendQuery(b, "SELECT 'b'"));
	cr_assert(rig_stays_silent(b, 300));
	script_parse(&say, "", "COMMIT");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "12CZ");
	cr_assert_str_eq(rig_scalar(b).s, "b");
	PQfinish(b);
	frames_drop(&f);
	rig_stop(rig);
}

static void say_described(const char *sql)
{
	script_parse(&say, "", sql);
	script_text(&say, 'D', "S");
	script_bind(&say, "");
	script_text(&say, 'D', "P");
	script_execute(&say, 0);
}

Test(relay, everything_of_one_batch_is_described)
{
	struct frames f;

	start("r_described", NULL);
	frames_login(&f, rig, "alice", "r_described");
	for (int i = 0; i < 2; i++) {
		say_described("BEGIN");
		say_described("SELECT 1");
		say_described("COMMIT");
		script_sync(&say);
		frames_send(&f, &say);
		cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "1tn2nC1tT2TDC1tn2nCZ");
		say_described("SELECT 1; SELECT 2");
		script_sync(&say);
		frames_send(&f, &say);
		cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "EZ");
		cr_assert_str_eq(f.sqlstate, "42601", "%s", f.message);
	}
	frames_drop(&f);
	rig_stop(rig);
}

Test(relay, bare_flush_and_sync_need_nobody)
{
	struct frames f;

	start("r_bare", NULL);
	frames_login(&f, rig, "alice", "r_bare");
	script_flush(&say);
	script_sync(&say);
	script_sync(&say);
	script_flush(&say);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 2).s, "ZZ");
	script_query(&say, "");
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "IZ");
	frames_drop(&f);
	rig_stop(rig);
}

Test(relay, function_call_is_passed_on)
{
	PGconn *conn;
	PGresult *res;
	struct frames f;
	int result = 0, len;

	start("r_call", NULL);
	conn = join("r_call");
	res = PQfn(conn, atoi(rig_query(conn, "SELECT 'pg_backend_pid'::regproc::oid::int").s),
	           &result, &len, 1, NULL, 0);
	cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK, "%s", PQerrorMessage(conn));
	PQclear(res);
	cr_assert_str_eq(rig_query(conn, "SELECT pg_backend_pid()").s, rig_printf("%d", result).s);
	frames_login(&f, rig, "alice", "r_call");
	script_call(&say,
	            1); /* no such function: an error, and the ReadyForQuery that belongs to it */
	script_query(&say, "SELECT 1");
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 2).s, "EZTDCZ");
	frames_drop(&f);
	PQfinish(conn);
	rig_stop(rig);
}

Test(relay, nonsense_from_a_client_ends_it_alone)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *what;
	} cases[] = {
		{ "\x01\0\0\0\4", 5, "unknown type" },
		{ "Q\0\0\0\3", 5, "length below 4" },
		{ "Q\xff\xff\xff\xff", 5, "negative length" },
		{ "S\0\0\1\0", 5, "Sync with a body" },
		{ "p\0\0\0\5x", 6, "password when nobody asked" },
	};
	struct frames f;
	PGconn *other;

	start("r_nonsense", NULL);
	other = join("r_nonsense");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		frames_login(&f, rig, "alice", "r_nonsense");
		rig_tls_send(f.ssl, cases[i].bytes, cases[i].n);
		cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "E!", "%s", cases[i].what);
		cr_assert_str_eq(f.sqlstate, "08P01", "%s", cases[i].what);
		frames_drop(&f);
		cr_assert_str_eq(rig_query(other, "SELECT 'other'").s, "other");
	}
	PQfinish(other);
	rig_stop(rig);
}

Test(relay, bytes_may_come_one_by_one)
{
	struct frames f;

	start("r_bytes", NULL);
	frames_login(&f, rig, "alice", "r_bytes");
	script_query(&say, "SELECT 1");
	script_parse(&say, "", "SELECT 2");
	script_bind(&say, "");
	script_execute(&say, 0);
	script_sync(&say);
	for (size_t i = 0; i < say.len; i++)
		rig_tls_send(f.ssl, say.at + i, 1);
	say.len = 0;
	cr_assert_str_eq(frames_until(&f, 'Z', 2).s, "TDCZ12DCZ");
	frames_drop(&f);
	rig_stop(rig);
}

static void count_notice(void *arg, const PGresult *res)
{
	int *count = arg;

	*count += strstr(PQresultErrorMessage(res), "hear this") != NULL;
}

Test(relay, notices_reach_the_client_that_caused_them)
{
	int heard_a = 0, heard_b = 0;
	PGconn *a, *b;

	start("r_notice", NULL);
	a = join("r_notice");
	b = join("r_notice");
	PQsetNoticeReceiver(a, count_notice, &heard_a);
	PQsetNoticeReceiver(b, count_notice, &heard_b);
	rig_exec(
		a,
		"DO $$ BEGIN FOR i IN 1..100 LOOP RAISE NOTICE 'hear this %', i; END LOOP; END $$");
	cr_assert_str_eq(rig_query(b, "SELECT 'b'").s, "b");
	cr_assert_eq(heard_a, 100);
	cr_assert_eq(heard_b, 0);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(relay, what_an_idle_server_says_reaches_nobody)
{
	PGconn *a, *b, *admin;

	start("r_listen", "pin = off\n");
	a = join("r_listen");
	b = join("r_listen");
	admin = rig_admin_connect("r_listen");
	rig_exec(a, "LISTEN news");
	rig_exec(admin, "NOTIFY news, 'for nobody'");
	cr_assert_str_eq(rig_query(admin, "SELECT pg_notification_queue_usage() >= 0").s, "t");
	for (int i = 0; i < 10; i++)
		cr_assert_str_eq(rig_query(b, "SELECT 'b'").s, "b");
	PQfinish(admin);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

Test(relay, packet_beyond_the_limit_is_refused_from_its_header)
{
	struct frames f;
	PGconn *other;

	start("r_packet", "max_packet_size = 1MB\n");
	frames_login(&f, rig, "alice", "r_packet");
	other = join("r_packet");
	rig_tls_send(f.ssl, "Q\0\x20\0\0", 5); /* 2 MB */
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "E!");
	cr_assert_str_eq(f.sqlstate, "08P01");
	cr_assert_str_eq(rig_query(other, "SELECT 'other'").s, "other");
	PQfinish(other);
	frames_drop(&f);
	rig_stop(rig);
}
