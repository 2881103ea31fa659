/* Several hosts, and target_session_attrs to choose among them: a server connection that is no longer what was chosen is
 * replaced as soon as that shows; no client can make that happen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/standby.h"

TestSuite(attrs, .timeout = 120);

#define CLIENTS 5

static struct rig *rig;
static struct standby first, second;
static PGconn *conns[CLIENTS];

/* The pool has as many servers as there are clients, and all of them have been used. */
static void start(int port, int next_port, const char *attrs, const char *settings)
{
	rig = rig_start(
		settings,
		rig_printf("app = host=127.0.0.1,127.0.0.1 port=%d,%d dbname=app pool_size=%d "
	                   "target_session_attrs=%s\n",
	                   port, next_port, CLIENTS, attrs)
			.s,
		NULL);
	for (int i = 0; i < CLIENTS; i++) {
		conns[i] = rig_connect(rig, NULL);
		rig_exec(conns[i], "BEGIN");
	}
	for (int i = 0; i < CLIENTS; i++)
		rig_exec(conns[i], "COMMIT");
}

static void stop(void)
{
	for (int i = 0; i < CLIENTS; i++)
		PQfinish(conns[i]);
	rig_stop(rig);
}

static int port_of(PGconn *conn)
{
	return atoi(rig_query(conn, "SHOW port").s);
}

static void all_are_at(int port)
{
	for (int i = 0; i < CLIENTS; i++)
		cr_assert_eq(port_of(conns[i]), port, "%d: %s", i, PQerrorMessage(conns[i]));
}

/* Nobody has any by now, not even idle. */
static void none_is_left_at(const struct standby *s)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (strcmp(standby_query(s, "SELECT count(*) FROM pg_stat_activity "
	                               "WHERE usename = 'alice'")
	                      .s,
	              "0") != 0) {
		cr_assert(rig_left_ms(deadline) > 0, "servers are not replaced");
		rig_nap();
	}
}

#define BUSY 3

static void leaves_a_promoted_one(const char *settings)
{
	struct rig_text pid;
	PGconn *newcomer;

	standby_start(&first, "attrs_first", NULL);
	standby_start(&second, "attrs_second", NULL);
	start(first.port, second.port, "standby", settings);
	all_are_at(first.port);
	for (int i = 0; i < BUSY; i++)
		rig_exec(conns[i], "BEGIN");
	standby_promote(&first);
	/* who is in the middle of something ends it where it began; the others go at once, and are not moved again */
	cr_assert_eq(port_of(conns[0]), first.port);
	while (port_of(conns[BUSY]) == first.port)
		rig_nap();
	rig_exec(conns[BUSY], "BEGIN");
	pid = rig_query(conns[BUSY], "SELECT pg_backend_pid()");
	rig_exec(conns[BUSY], "COMMIT");
	for (int i = 0; i < BUSY; i++) {
		cr_assert_eq(port_of(conns[i]), first.port);
		rig_exec(conns[i], "COMMIT");
		newcomer = rig_connect(rig, "");
		cr_assert_str_eq(rig_told(newcomer, "in_hot_standby"), "on");
		PQfinish(newcomer);
	}
	none_is_left_at(&first);
	all_are_at(second.port);
	cr_assert_str_eq(standby_query(&second, rig_printf("SELECT count(*) FROM pg_stat_activity "
	                                                   "WHERE pid = %s",
	                                                   pid.s)
	                                                .s)
	                         .s,
	                 "1");
	cr_assert_eq(rig_log_count(rig, "not what target_session_attrs wants"), 1);
	stop();
	standby_stop(&first);
	standby_stop(&second);
}

Test(attrs, standby_that_is_promoted_is_left_for_another)
{
	leaves_a_promoted_one("workers = 2\n");
}

/* Hosts that may not write any more, though they run as before. */
Test(attrs, server_that_writes_no_more_is_left_for_another)
{
	standby_start(&first, "attrs_write", NULL);
	standby_promote(&first);
	start(first.port, rig_postgres_port(), "read-write", "workers = 2\n");
	all_are_at(first.port);
	standby_query(&first, "ALTER SYSTEM SET default_transaction_read_only = on");
	standby_query(&first, "SELECT pg_reload_conf()");
	/* Whoever asks next brings it to light; until then nobody knows. */
	while (port_of(conns[1]) == first.port)
		rig_nap();
	none_is_left_at(&first);
	all_are_at(rig_postgres_port());
	rig_exec(conns[0], "CREATE TEMP TABLE t (i int)");
	stop();
	standby_stop(&first);
}

/* --- what clients do --- */

static const char *const acts[] = {
	"CREATE OR REPLACE FUNCTION attrs_reads() RETURNS text LANGUAGE sql AS "
	"$$ SELECT set_config('default_transaction_read_only', 'on', false) $$",
	"SET default_transaction_read_only = on",
	"CREATE TABLE attrs_t (i int)",
	"BEGIN READ ONLY",
	"CREATE TABLE attrs_t (i int)",
	"ROLLBACK",
	"SELECT set_config('default_transaction_read_only', 'on', false)",
	"CREATE TABLE attrs_t (i int)",
	"SELECT attrs_reads()",
	"CREATE TABLE attrs_t (i int)",
	"DO $$ BEGIN PERFORM set_config('default_transaction_read_only', 'on', false); END $$",
	"CREATE TABLE attrs_t (i int)",
	"SELECT 1",
	"RESET ALL",
	"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
	"CREATE TABLE attrs_t (i int)",
	"SELECT 1",
};

static void is_not_moved(const char *settings)
{
	struct rig_text pids[CLIENTS];

	rig_require();
	start(rig_postgres_port(), rig_postgres_port(), "read-write", settings);
	for (int i = 0; i < CLIENTS; i++) {
		rig_exec(conns[i], "BEGIN");
		pids[i] = rig_query(conns[i], "SELECT pg_backend_pid()");
	}
	for (int i = 0; i < CLIENTS; i++)
		rig_exec(conns[i], "COMMIT");
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strncmp(acts[i], "CREATE TABLE", 12) == 0)
			cr_assert_str_eq(rig_error(conns[0], acts[i]).s, "25006");
		else
			rig_exec(conns[0], acts[i]);
	for (int i = 0; i < CLIENTS; i++)
		rig_exec(conns[i], "BEGIN");
	for (int i = 0; i < CLIENTS; i++) {
		struct rig_text pid = rig_query(conns[i], "SELECT pg_backend_pid()");
		bool known = false;

		for (int k = 0; k < CLIENTS; k++)
			known = known || strcmp(pid.s, pids[k].s) == 0;
		cr_assert(known, "another server");
	}
	cr_assert_eq(rig_log_count(rig, "not what target_session_attrs wants"), 0);
	stop();
}

Test(attrs, client_that_sets_read_only_replaces_nothing)
{
	is_not_moved("workers = 2\n");
}

Test(attrs, client_that_sets_read_only_replaces_nothing_in_session_mode)
{
	is_not_moved("workers = 2\npool_mode = session\n");
}

Test(attrs, client_that_sets_read_only_replaces_nothing_unwatched)
{
	is_not_moved("workers = 2\npin = off\n");
}
