/* Faults of PostgreSQL under load: who is told, that nothing acknowledged is lost, and how soon all
 * are served again. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/freeze.h"
#include "tests/integration/ledger.h"
#include "tests/integration/rig_priv.h"

#define WORK_MS 300

TestSuite(fault_postgres, .timeout = 180);

static struct ledger ledger;

static void begin(const char *database, const char *settings)
{
	rig_alone();
	ledger_open(&ledger, database, settings, LEDGER_LOSSES);
	ledger_run(&ledger, WORK_MS);
}

/* The fault is over: all are served, and go on. */
static void end(int64_t over)
{
	ledger_recovers(&ledger, over);
	ledger_run(&ledger, WORK_MS);
	ledger_close(&ledger);
}

/* Only clients whose server was at work for them hear of it; the others wait. */
Test(fault_postgres, killed_and_restarted)
{
	begin("f_kill", NULL);
	postgres_kill();
	ledger_run(&ledger, 1800); /* the pauses between logins have grown by then */
	postgres_restart();
	end(rig_now_ms());
}

Test(fault_postgres, killed_and_restarted_over_and_over)
{
	begin("f_again", NULL);
	for (int i = 0; i < 2; i++) {
		postgres_kill();
		postgres_restart();
		ledger_recovers(&ledger, rig_now_ms());
	}
	end(rig_now_ms());
}

/* Nobody hears anything: what was asked is answered late. */
Test(fault_postgres, stopped_as_a_whole_and_continued)
{
	struct freeze f;

	begin("f_stop", NULL);
	freeze_all(&f);
	ledger_run(&ledger, 1000);
	freeze_end(&f);
	cr_assert_eq(ledger_heard(&ledger, NULL), 0);
	end(rig_now_ms());
}

/* The same for longer than a login may take. */
Test(fault_postgres, stopped_for_longer_than_a_login_may_take)
{
	struct freeze f;

	begin("f_long", "server_connect_timeout = 500ms\nserver_lifetime = 1s\n");
	freeze_all(&f);
	ledger_run(&ledger, 1800);
	freeze_end(&f);
	cr_assert_eq(ledger_heard(&ledger, NULL), 0);
	end(rig_now_ms());
}

/* ---- one of its processes ---- */

/* The client whose server hangs waits; nobody else does. When it leaves, its server is given up. */
Test(fault_postgres, one_backend_that_hangs_is_its_clients_alone)
{
	struct freeze f;
	PGconn *victim;
	int pid;

	begin("f_one", NULL);
	victim = rig_connect(ledger.rig, "dbname=f_one");
	rig_exec(victim, "BEGIN");
	pid = atoi(rig_query(victim, "SELECT pg_backend_pid()").s);
	freeze_begin(&f, pid);
	cr_assert(PQsendQuery(victim, "SELECT 1"));
	ledger_recovers(&ledger, rig_now_ms());
	ledger_run(&ledger, WORK_MS);
	cr_assert(rig_stays_silent(victim, 0));
	freeze_end(&f);
	cr_assert_str_eq(rig_scalar(victim).s, "1");
	freeze_begin(&f, pid);
	PQfinish(victim);
	cr_assert(rig_wait_log(ledger.rig,
	                       rig_printf("close: .*pid=%d reason=\"could not be cleaned up", pid).s,
	                       RIG_PATIENCE_MS));
	freeze_end(&f);
	cr_assert_eq(ledger_heard(&ledger, NULL), 0);
	end(rig_now_ms());
}

/* ---- connections that nobody uses ---- */

/* Closed by PostgreSQL for having done nothing: the next transaction gets another. */
Test(fault_postgres, idle_session_timeout_is_noticed_by_nobody)
{
	struct rig *rig;
	PGconn *conns[6];

	rig_alone();
	crowd_database("f_idle");
	rig_admin_exec("ALTER DATABASE f_idle SET idle_session_timeout = '300ms'");
	rig = rig_start("workers = 2\n", crowd_entry("f_idle", "pool_size=3").s, NULL);
	for (int i = 0; i < 6; i++)
		conns[i] = rig_connect(rig, "dbname=f_idle");
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 6; i++)
			rig_exec(conns[i], "BEGIN; SELECT 1; COMMIT");
		cr_assert(crowd_wait_backends("f_idle", "0", RIG_PATIENCE_MS));
		cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "f_idle", "sv_idle", "0",
		                           RIG_PATIENCE_MS));
	}
	cr_assert_eq(rig_log_count(rig, "login failed"), 0);
	for (int i = 0; i < 6; i++)
		PQfinish(conns[i]);
	rig_stop(rig);
}
