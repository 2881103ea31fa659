/* What was acknowledged is there, once, whatever happens to the servers. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/ledger.h"
#include "tests/integration/rig_priv.h"

TestSuite(ledger, .timeout = 180);

static struct ledger ledger;

/* A superuser that survives what this test does to PostgreSQL: pid of some backend, 0 for none. */
static int some_backend(const char *database, bool terminate)
{
	struct rig_text info = rig_printf("host=%s/postgres port=%d user=postgres dbname=postgres",
	                                  rig_root(), rig_postgres_port());
	PGconn *conn = PQconnectdb(info.s);
	PGresult *res = PQexec(
		conn,
		rig_printf(
			"SELECT pid, CASE WHEN %s THEN pg_terminate_backend(pid) END FROM pg_stat_activity "
			"WHERE datname = '%s' AND usename = 'alice' ORDER BY random() LIMIT 1",
			terminate ? "true" : "false", database)
			.s);
	int pid = PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1
	                  ? atoi(PQgetvalue(res, 0, 0))
	                  : 0;

	PQclear(res);
	PQfinish(conn);
	return pid;
}

Test(ledger, is_right_while_backends_are_terminated)
{
	int64_t deadline;

	rig_alone();
	ledger_open(&ledger, "b_terminate", NULL, LEDGER_LOSSES);
	deadline = rig_now_ms() + 6000;
	while (rig_left_ms(deadline) > 0) {
		(void)some_backend("b_terminate", true);
		ledger_run(&ledger, 50);
	}
	ledger_recovers(&ledger, rig_now_ms());
	cr_assert_gt(ledger_heard(&ledger, NULL), 5);
	ledger_close(&ledger);
}

/* kill -9 makes PostgreSQL end all its backends and recover; clients wait that long. */
Test(ledger, is_right_while_backends_are_killed)
{
	int64_t deadline;
	int pid, killed = 0;

	rig_alone();
	ledger_open(&ledger, "b_kill", NULL, LEDGER_LOSSES);
	deadline = rig_now_ms() + 6000;
	while (rig_left_ms(deadline) > 0) {
		ledger_run(&ledger, 1000);
		if ((pid = some_backend("b_kill", false)) > 0)
			killed += kill(pid, SIGKILL) == 0;
	}
	cr_assert_gt(killed, 1);
	cr_assert_gt(ledger_heard(&ledger, NULL), 1);
	while (some_backend("b_kill", false) == 0)
		rig_nap();
	ledger_recovers(&ledger, rig_now_ms());
	ledger_close(&ledger);
}

/* Nobody can be told anything: connections end, and clients come again. */
Test(ledger, is_right_when_pgseal_itself_is_killed)
{
	rig_alone();
	ledger_open(&ledger, "b_pgseal", NULL, "lost");
	for (int i = 0; i < 3; i++) {
		ledger_run(&ledger, 400);
		rig_replace(ledger.rig);
		ledger_recovers(&ledger, rig_now_ms());
	}
	cr_assert_gt(ledger_heard(&ledger, "lost"), 1);
	ledger_close(&ledger);
}
