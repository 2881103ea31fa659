/* What was acknowledged is there, once, whatever happens to the servers. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

#define CLIENTS 8
#define ENTRIES_MAX 20000

TestSuite(ledger, .timeout = 180);

struct ledger {
	unsigned char acknowledged[CLIENTS][ENTRIES_MAX]; /* by client and serial */
};

/* What a client may hear when its server goes: never nothing, never nonsense. */
static bool is_loss(const char *sqlstate)
{
	static const char *const losses[] = { "08006", "57P01", "57P02", "57P03" };

	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
		if (strcmp(sqlstate, losses[i]) == 0)
			return true;
	return false;
}

/* What comes between two queries libpq hands out as a notice, errors too. */
static char overheard[CLIENTS][6];

static void overhear(void *arg, const PGresult *res)
{
	struct member *m = arg;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	snprintf(overheard[m->index], sizeof(overheard[0]), "%s", state != NULL ? state : "");
}

/* SQLSTATE of the first error; "" for success, "lost" for an end without a word. */
static struct rig_text run(struct member *m, const char *sql)
{
	struct rig_text state = { "" };
	PGresult *res;
	bool failed = false;

	if (!PQsendQuery(m->conn, sql))
		return rig_printf("%s",
		                  overheard[m->index][0] != '\0' ? overheard[m->index] : "lost");
	while ((res = PQgetResult(m->conn)) != NULL) {
		const char *words = PQresultErrorField(res, PG_DIAG_SQLSTATE);

		if (!failed && PQresultStatus(res) == PGRES_FATAL_ERROR) {
			state = rig_printf("%s", words != NULL ? words
			                         : overheard[m->index][0] != '\0'
			                                 ? overheard[m->index]
			                                 : "lost");
			failed = true;
		}
		PQclear(res);
	}
	return state;
}

/* One transaction, in one of several ways. */
static struct rig_text enter(struct member *m, long serial)
{
	struct rig_text insert = rig_printf("INSERT INTO ledger VALUES (%d, %ld)", m->index,
	                                    serial);
	struct rig_text state;

	if (serial % 3 == 0)
		return run(m, insert.s);
	if (serial % 3 == 1)
		return run(m,
		           rig_printf("BEGIN; %.200s; SELECT pg_sleep(0.002); COMMIT", insert.s).s);
	state = run(m, "BEGIN");
	if (state.s[0] == '\0')
		state = run(m, insert.s);
	return state.s[0] == '\0' ? run(m, "COMMIT") : state;
}

static void keep_the_ledger(struct member *m)
{
	struct ledger *ledger = m->crowd->arg;
	long serial;

	PQsetNoticeReceiver(m->conn, overhear, m);
	for (serial = 0; serial < ENTRIES_MAX && crowd_goes_on(m); serial++) {
		struct rig_text state = enter(m, serial);

		m->done++;
		if (state.s[0] == '\0') {
			ledger->acknowledged[m->index][serial] = 1;
			continue;
		}
		m->marks++;
		if (!is_loss(state.s))
			member_fault(m, "server lost, client told %s: %s", state.s,
			             PQerrorMessage(m->conn));
		PQfinish(m->conn);
		m->conn = PQconnectdb(m->crowd->conninfo);
		if (PQstatus(m->conn) != CONNECTION_OK)
			member_fault(m, "reconnect: %s", PQerrorMessage(m->conn));
		overheard[m->index][0] = '\0';
		PQsetNoticeReceiver(m->conn, overhear, m);
	}
}

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

static struct rig *start(const char *database)
{
	PGconn *admin;

	crowd_database(database);
	admin = rig_admin_connect(database);
	rig_exec(admin, "CREATE TABLE ledger (client int, serial int)");
	rig_exec(admin, "GRANT ALL ON ledger TO alice");
	rig_exec(admin, rig_printf("ALTER DATABASE %s SET synchronous_commit = on", database).s);
	PQfinish(admin);
	return rig_start("workers = 2\nquery_wait_timeout = 60\n",
	                 crowd_entry(database, "pool_size=4").s, NULL);
}

/* Compare the table with what the clients were told. */
static void audit(const struct crowd *crowd, const struct ledger *ledger, const char *database)
{
	PGconn *admin = rig_admin_connect(database);
	PGresult *res = PQexec(admin, "SELECT client, serial FROM ledger");
	static unsigned char entered[CLIENTS][ENTRIES_MAX];
	long told = 0, doubled = 0, missing = 0;

	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK);
	for (int i = 0; i < PQntuples(res); i++) {
		unsigned char *entry =
			&entered[atoi(PQgetvalue(res, i, 0))][atoi(PQgetvalue(res, i, 1))];

		doubled += *entry;
		*entry = 1;
	}
	for (int c = 0; c < crowd->size; c++)
		for (long s = 0; s < crowd->members[c].done; s++) {
			told += ledger->acknowledged[c][s];
			missing += ledger->acknowledged[c][s] && !entered[c][s];
		}
	cr_log_info("%ld acknowledged, %d entered", told, PQntuples(res));
	cr_assert_gt(told, 100);
	cr_assert_eq(missing, 0, "%ld acknowledged entries are missing", missing);
	cr_assert_eq(doubled, 0, "%ld entries are there twice", doubled);
	PQclear(res);
	PQfinish(admin);
}

static long losses(const struct crowd *crowd)
{
	long sum = 0;

	for (int i = 0; i < crowd->size; i++)
		sum += crowd->members[i].marks;
	return sum;
}

Test(ledger, is_right_while_backends_are_terminated)
{
	static struct ledger ledger;
	static struct crowd crowd;
	struct rig *rig = start("b_terminate");

	crowd_start(&crowd, rig, CLIENTS, "dbname=b_terminate", 7000, keep_the_ledger, &ledger);
	while (rig_now_ms() < crowd.deadline_ms) {
		(void)some_backend("b_terminate", true);
		usleep(50000);
	}
	crowd_join(&crowd);
	cr_assert_gt(losses(&crowd), 5);
	audit(&crowd, &ledger, "b_terminate");
	rig_stop(rig);
}

/* kill -9 makes PostgreSQL end all its backends and recover; clients wait that long. */
Test(ledger, is_right_while_backends_are_killed)
{
	static struct ledger ledger;
	static struct crowd crowd;
	struct rig *rig = start("b_kill");
	int pid, killed = 0;

	crowd_start(&crowd, rig, CLIENTS, "dbname=b_kill", 8000, keep_the_ledger, &ledger);
	while (rig_now_ms() < crowd.deadline_ms - 2000) {
		usleep(1000000);
		if ((pid = some_backend("b_kill", false)) > 0)
			killed += kill(pid, SIGKILL) == 0;
	}
	crowd_join(&crowd);
	cr_assert_gt(killed, 1);
	cr_assert_gt(losses(&crowd), 1);
	audit(&crowd, &ledger, "b_kill");
	rig_stop(rig);
}
