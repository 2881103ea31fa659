/* Memory that runs out, at each allocation once: it costs the client whose it was, at most, and never
 * the process. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/famine.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

/* Allocations that are tried, spread over all that there are; the environment may ask for more. */
#define STEPS_MAX 25
#define PATIENT_MS 30000 /* half of what a client waits for a server */

#define SETTINGS "gates = 1\nserver_lifetime = 0\nquery_wait_timeout = 60s\n"

TestSuite(fault_memory, .timeout = 180);

static struct famine *famine;
static struct rig_text page;
static struct rig *rig;

/* In the child that becomes pgseal. */
static void load_famine(void)
{
	setenv(FAMINE_ENV, page.s, 1);
	setenv("LD_PRELOAD", RIG_FAMINE, 1);
}

static void start(const char *settings, bool own)
{
	int fd;

	rig_require();
	if (rig_sanitized())
		cr_skip_test("a sanitizer has allocations of its own");
	page = rig_printf("%s/famine.XXXXXX", rig_root());
	fd = mkstemp(page.s);
	cr_assert(fd >= 0 && ftruncate(fd, sizeof(*famine)) == 0);
	famine = mmap(NULL, sizeof(*famine), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert(famine != MAP_FAILED);
	close(fd);
	famine->own = own;
	rig_before_exec(load_famine);
	rig = rig_start(settings, NULL, NULL);
}

/* ---- what is tried; any of it may fail, but not for ever ---- */

/* To its end or until enough is enough. */
static bool connect_in_time(PGconn *conn)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	int64_t deadline = rig_now_ms() + PATIENT_MS;

	while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
		bool reads = status == PGRES_POLLING_READING;
		struct pollfd p = { PQsocket(conn), reads ? POLLIN : POLLOUT, 0 };

		if (poll(&p, 1, rig_left_ms(deadline)) != 1)
			return false;
		status = PQconnectPoll(conn);
	}
	return status == PGRES_POLLING_OK;
}

static void try_query(PGconn *conn, const char *sql)
{
	PGresult *res;

	if (PQsendQuery(conn, sql) == 0)
		return;
	cr_assert(rig_wait_readable(conn, PATIENT_MS), "%s: no answer", sql);
	while ((res = PQgetResult(conn)) != NULL)
		PQclear(res);
}

static void try_session(void)
{
	PGconn *conn = PQconnectStart(rig_conninfo(rig, "alice", "application_name=famine").s);

	if (connect_in_time(conn)) {
		try_query(conn, "BEGIN");
		try_query(conn, "SET search_path = pg_catalog; SELECT repeat('x', 100000)");
		PQclear(PQprepare(conn, "named", "SELECT 1", 0, NULL));
		try_query(conn, "COMMIT");
	}
	PQfinish(conn);
}

/* Cancel one query, and leave in the middle of another, inside a transaction. */
static void try_leaving(void)
{
	PGconn *conn = PQconnectStart(rig_conninfo(rig, "alice", "").s);
	struct linger hard = { 1, 0 };
	PGcancel *cancel;
	char why[256];

	if (connect_in_time(conn)) {
		try_query(conn, "BEGIN");
		cancel = PQgetCancel(conn);
		if (PQsendQuery(conn, "SELECT pg_sleep(0.1)")) {
			(void)PQcancel(cancel, why, sizeof(why));
			cr_assert(rig_wait_readable(conn, PATIENT_MS), "no answer");
			while (PQgetResult(conn) != NULL)
				;
		}
		PQfreeCancel(cancel);
		(void)PQsendQuery(conn, "SELECT pg_sleep(60)");
		/* a reset, without a goodbye */
		setsockopt(PQsocket(conn), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(PQsocket(conn));
	}
	PQfinish(conn);
}

static void try_console(void)
{
	static const char *const commands[] = { "SHOW POOLS",   "SHOW CLIENTS", "SHOW SERVERS",
		                                "SHOW STATS",   "SHOW CONFIG",  "SHOW DATABASES",
		                                "SHOW VERSION", "RECONNECT" };
	PGconn *conn = PQconnectStart(
		rig_printf("host=%s port=%d user=pgseal dbname=pgseal", rig_dir(rig), rig_port(rig))
			.s);

	if (connect_in_time(conn))
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			try_query(conn, commands[i]);
	PQfinish(conn);
}

static void try_reload(void)
{
	PGconn *conn = PQconnectStart(
		rig_printf("host=%s port=%d user=pgseal dbname=pgseal", rig_dir(rig), rig_port(rig))
			.s);

	if (connect_in_time(conn))
		try_query(conn, "RELOAD");
	PQfinish(conn);
}

/* ---- */

static void all_is_well(long at)
{
	PGconn *conn;

	famine->from = 0;
	cr_assert_eq(rig_wait_exit(rig, 0), -1, "pgseal died of allocation %ld", at);
	conn = rig_connect(rig, "");
	cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1", "allocation %ld", at);
	PQfinish(conn);
}

/* ---- a reload is whole or has not been ---- */

#define WORKERS 2
static PGconn *consoles[WORKERS]; /* one on each worker */

static void open_consoles(void)
{
	for (int i = 0; i < WORKERS; i++) {
		consoles[i] = PQconnectdb(rig_printf("host=%s port=%d user=pgseal dbname=pgseal",
		                                     rig_dir(rig), rig_port(rig))
		                                  .s);
		cr_assert(PQstatus(consoles[i]) == CONNECTION_OK);
	}
}

/* What a worker goes by. */
static struct rig_text in_force(PGconn *console)
{
	PGresult *res = PQexec(console, "SHOW CONFIG");
	struct rig_text value = { "" };

	for (int row = 0; row < PQntuples(res); row++)
		if (strcmp(rig_cell(res, row, "key").s, "max_client_conn") == 0)
			value = rig_cell(res, row, "value");
	PQclear(res);
	return value;
}

/* To another value each time; afterwards all go by the same. */
static void try_changing_reload(void)
{
	static int value = 1000;
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	rig_configure(rig, rig_printf(SETTINGS "workers = 2\nmax_client_conn = %d\n", ++value).s,
	              NULL, NULL);
	try_reload();
	famine->from = 0;
	while (strcmp(in_force(consoles[0]).s, in_force(consoles[1]).s) != 0) {
		cr_assert(rig_left_ms(deadline) > 0, "the workers disagree");
		rig_nap();
	}
}

/* How many allocations it takes, when all goes well. */
static long measure(void (*attempt)(void))
{
	long before;

	attempt(); /* what is made once */
	all_is_well(0);
	before = famine->made;
	attempt();
	return famine->made - before;
}

/* Allocations that are in use when nothing goes on any more. */
static long live(void)
{
	long last = famine->live;

	for (int quiet = 0; quiet < 40; quiet++) {
		rig_nap();
		if (famine->live != last)
			quiet = 0;
		last = famine->live;
	}
	return last;
}

static long steps(void)
{
	const char *wanted = getenv("FAMINE_STEPS");

	if (famine->own)
		return LONG_MAX;
	return wanted != NULL ? atol(wanted) : STEPS_MAX;
}

/* Let `burst` allocations in a row fail, beginning at each that is tried. */
static void fail_each(void (*attempt)(void), long burst)
{
	long count = measure(attempt), step = count / steps() + 1, hit = 0;
	long before = live();

	for (long at = 1; at <= count + count / 10; at += step) {
		long failed = famine->failed;
		int64_t begun;

		famine->until = famine->made + at + burst;
		famine->from = famine->made + at;
		begun = rig_now_ms();
		attempt();
		cr_assert_lt(rig_now_ms() - begun, PATIENT_MS, "allocation %ld", at);
		hit += famine->failed > failed;
		all_is_well(at);
	}
	fprintf(stderr, "# %ld allocations, each %ldth failed: %ld times, %ld are left\n", count,
	        step, hit, live() - before);
	cr_assert_gt(hit, 10);
}

/* ---- pgseal's own allocations: each ---- */

Test(fault_memory, of_its_own_for_a_session_runs_out)
{
	start(SETTINGS "workers = 1\n", true);
	fail_each(try_session, 1);
	rig_stop(rig);
}

Test(fault_memory, of_its_own_for_cancel_and_cleaning_up_runs_out)
{
	start(SETTINGS "workers = 1\n", true);
	fail_each(try_leaving, 1);
	rig_stop(rig);
}

Test(fault_memory, of_its_own_for_the_console_runs_out)
{
	start(SETTINGS "workers = 1\n", true);
	fail_each(try_console, 1);
	rig_stop(rig);
}

Test(fault_memory, of_its_own_for_a_reload_runs_out)
{
	start(SETTINGS "workers = 2\n", true);
	open_consoles();
	fail_each(try_changing_reload, 1);
	for (int i = 0; i < WORKERS; i++)
		PQfinish(consoles[i]);
	rig_stop(rig);
}

/* ---- those of OpenSSL, libpq and libevent as well: some ---- */

Test(fault_memory, for_a_session_runs_out)
{
	start(SETTINGS "workers = 1\n", false);
	fail_each(try_session, 1);
	rig_stop(rig);
}

Test(fault_memory, for_a_session_runs_out_for_a_while)
{
	start(SETTINGS "workers = 1\n", false);
	fail_each(try_session, 20);
	rig_stop(rig);
}

Test(fault_memory, for_a_reload_runs_out)
{
	start(SETTINGS "workers = 1\n", false);
	fail_each(try_reload, 1);
	rig_stop(rig);
}
