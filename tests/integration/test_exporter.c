/* What monitoring reads from the console, as it reads it: the exporter that Debian has, and the
 * columns that others ask for by name. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/scrape.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])
#define EXPORTER "/usr/bin/prometheus-pgbouncer-exporter"

#define IDENTITIES                                           \
	"watcher = cn:watcher roles=watcher console=stats\n" \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"

static struct rig *rig;
static PGconn *clients[3];

static void start(void)
{
	rig = rig_start("workers = 2\n", NULL, IDENTITIES);
	clients[0] = rig_connect(rig, "dbname=app");
	clients[1] = rig_connect(rig, "dbname=other");
	clients[2] = rig_connect_as(rig, "bob", "dbname=app");
	for (size_t i = 0; i < CASES(clients); i++)
		rig_exec(clients[i], "SELECT 1");
}

static void stop(void)
{
	for (size_t i = 0; i < CASES(clients); i++)
		PQfinish(clients[i]);
	rig_stop(rig);
}

TestSuite(exporter, .init = start, .fini = stop, .timeout = 120);

/* --- Debian's exporter --- */

/* A port that nobody has at this moment. */
static int free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(at);

	cr_assert(bind(fd, (struct sockaddr *)&at, size) == 0 &&
	          getsockname(fd, (struct sockaddr *)&at, &size) == 0);
	close(fd);
	return ntohs(at.sin_port);
}

/* It passes no connection string on, but libpq looks at the environment. */
static void set_environment(void)
{
	struct rig_text prefix = rig_cert("watcher");

	setenv("PGSSLMODE", "verify-full", 1);
	setenv("PGSSLROOTCERT", rig_printf("%s/ca.crt", rig_pki()).s, 1);
	setenv("PGSSLCERT", rig_printf("%.800s.crt", prefix.s).s, 1);
	setenv("PGSSLKEY", rig_printf("%.800s.key", prefix.s).s, 1);
	setenv("PGCONNECT_TIMEOUT", "20", 1);
}

/* The packaged version knows the counters of PgBouncer before 1.8 only, which it reads for each
 * database that it is told of: so it is told of none that there is. The rest it reads all the
 * same. */
static pid_t run_exporter(const char *host, const char *user, int port)
{
	char listen[16], pool[16];
	pid_t pid;

	snprintf(listen, sizeof(listen), "%d", port);
	snprintf(pool, sizeof(pool), "%d", rig_port(rig));
	set_environment();
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(EXPORTER, EXPORTER, "--host", "127.0.0.1", "--port", listen, "--pgbouncer-host", host,
	      "--pgbouncer-port", pool, "--pgbouncer-user", user, "--database", "none",
	      (char *)NULL);
	_exit(127);
}

static void wait_for_exporter(pid_t pid, int port)
{
	int64_t deadline = rig_now_ms() + 2 * RIG_PATIENCE_MS;

	while (scrape_status(port, "/metrics") != 200) {
		cr_assert_eq(waitpid(pid, NULL, WNOHANG), 0, "the exporter has ended");
		cr_assert_gt(rig_left_ms(deadline), 0, "the exporter does not answer");
		rig_nap();
	}
}

static void expect_metrics(const char *host, const char *user)
{
	static const struct {
		const char *series;
		double value;
	} cases[] = {
		{ "pgbouncer_databases", 3 },    { "pgbouncer_users", 2 },
		{ "pgbouncer_pools", 4 },        { "pgbouncer_used_clients", 4 },
		{ "pgbouncer_used_servers", 3 }, { "pgbouncer_dns_names", 0 },
	};
	int port = free_port();
	pid_t pid;

	if (access(EXPORTER, X_OK) != 0)
		cr_skip_test("prometheus-pgbouncer-exporter is not installed");
	pid = run_exporter(host, user, port);
	wait_for_exporter(pid, port);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < CASES(cases); i++)
			cr_assert_eq(scrape_metric(port, cases[i].series), cases[i].value, "%s: %g",
			             cases[i].series, scrape_metric(port, cases[i].series));
	}
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

Test(exporter, debians_reads_over_the_unix_socket)
{
	expect_metrics(rig_dir(rig), "pgbouncer");
}

Test(exporter, debians_reads_with_a_certificate)
{
	expect_metrics("localhost", "watcher");
}

/* --- columns by name --- */

/* Numbers that exporters and agents read, whatever the row. */
Test(exporter, columns_that_others_read_are_numbers)
{
	static const struct {
		const char *sql, *columns[16];
	} cases[] = {
		{ "SHOW STATS",
		  { "total_server_assignment_count", "total_xact_count", "total_query_count",
		    "total_received", "total_sent", "total_xact_time", "total_query_time",
		    "total_wait_time", "avg_xact_count", "avg_query_count", "avg_recv", "avg_sent",
		    "avg_xact_time", "avg_query_time", "avg_wait_time" } },
		{ "SHOW STATS_TOTALS",
		  { "server_assignment_count", "xact_count", "query_count", "bytes_received",
		    "bytes_sent", "xact_time", "query_time", "wait_time", "client_parse_count",
		    "server_parse_count", "bind_count" } },
		{ "SHOW POOLS",
		  { "cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req",
		    "sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used",
		    "sv_tested", "sv_login", "maxwait", "maxwait_us" } },
		{ "SHOW DATABASES",
		  { "port", "pool_size", "min_pool_size", "reserve_pool_size", "max_connections",
		    "current_connections", "max_client_connections", "current_client_connections",
		    "paused", "disabled" } },
		{ "SHOW LISTS", { "items" } },
	};
	PGconn *watcher = rig_connect_as(rig, "watcher", "dbname=pgbouncer");

	for (size_t i = 0; i < CASES(cases); i++) {
		PGresult *res = PQexec(watcher, cases[i].sql);

		cr_assert_gt(PQntuples(res), 0, "%s", cases[i].sql);
		for (int row = 0; row < PQntuples(res); row++) {
			for (const char *const *c = cases[i].columns; *c != NULL; c++) {
				struct rig_text text = rig_cell(res, row, *c);

				cr_assert(text.s[0] != '\0' &&
				                  strspn(text.s, "0123456789") == strlen(text.s),
				          "%s: %s = \"%s\"", cases[i].sql, *c, text.s);
			}
		}
		PQclear(res);
	}
	PQfinish(watcher);
}

/* PgBouncer's name and a version behind it, and settings by their names. */
Test(exporter, version_and_limits_are_told)
{
	struct rig_text version;
	PGresult *res = rig_console(rig, "SHOW VERSION");
	int major, minor, patch;

	version = rig_cell(res, 0, "version");
	PQclear(res);
	cr_assert_eq(sscanf(version.s, "PgBouncer %d.%d.%d", &major, &minor, &patch), 3);
	cr_assert(major == 1 && minor > 8);
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "max_client_conn", "value").s,
	                 "100");
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW CONFIG", "key", "max_user_connections", "value").s,
		"0");
}
