/* /metrics: the values move by what clients do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/guest.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scrape.h"

#define APP "{database=\"app\",role=\"alice\"}"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

TestSuite(metrics, .timeout = 120);

static struct rig *rig;
static int port;

static void start(const char *settings, const char *databases, const char *identities)
{
	port = rig_spare_port();
	rig = rig_start(rig_printf("metrics_listen = 127.0.0.1:%d\n%s", port, settings).s,
	                databases, identities);
}

static double metric(const char *series)
{
	return scrape_metric(port, series);
}

static void assert_metric(const char *series, double want)
{
	cr_assert(scrape_wait(port, series, want, RIG_PATIENCE_MS), "%s", series);
}

/* ---- counters and durations of pools ---- */

Test(metrics, queries_and_transactions_are_counted_and_timed)
{
	static const char *const series[] = {
		"pgseal_queries_total" APP,
		"pgseal_transactions_total" APP,
		"pgseal_server_assignments_total" APP,
		"pgseal_query_duration_seconds_count" APP,
		"pgseal_transaction_duration_seconds_count" APP,
		"pgseal_server_wait_duration_seconds_count" APP,
		"pgseal_query_duration_seconds_bucket"
		"{database=\"app\",role=\"alice\",le=\"+Inf\"}",
	};
	double before[COUNT(series)];
	PGconn *conn;

	start("", NULL, NULL);
	conn = rig_connect(rig, NULL);
	rig_exec(conn, "SELECT 1");
	for (size_t i = 0; i < COUNT(series); i++)
		cr_assert_gt(before[i] = metric(series[i]), 0, "%s", series[i]);
	for (int i = 0; i < 10; i++)
		rig_exec(conn, "SELECT 1");
	for (size_t i = 0; i < COUNT(series); i++)
		cr_expect_eq(metric(series[i]), before[i] + 10, "%s", series[i]);
	/* one transaction of three queries */
	rig_exec(conn, "BEGIN");
	rig_exec(conn, "SELECT 1");
	rig_exec(conn, "COMMIT");
	cr_expect_eq(metric(series[0]), before[0] + 13);
	cr_expect_eq(metric(series[1]), before[1] + 11);
	cr_expect_eq(metric(series[4]), before[4] + 11);
	PQfinish(conn);
	rig_stop(rig);
}

Test(metrics, what_takes_long_is_in_a_bucket_for_that)
{
	PGconn *conn;

	start("", NULL, NULL);
	conn = rig_connect(rig, NULL);
	rig_exec(conn, "BEGIN");
	rig_exec(conn, "SELECT pg_sleep(0.6)");
	rig_exec(conn, "COMMIT");
	cr_expect_geq(metric("pgseal_transaction_duration_seconds_sum" APP), 0.59);
	cr_expect_geq(metric("pgseal_query_duration_seconds_sum" APP), 0.59);
	cr_expect_geq(metric("pgseal_query_seconds_total" APP), 0.59);
	cr_expect_eq(metric("pgseal_query_duration_seconds_count" APP), 3);
	/* on whatever machine, the one that slept is not below */
	cr_expect_leq(metric("pgseal_query_duration_seconds_bucket"
	                     "{database=\"app\",role=\"alice\",le=\"0.5\"}"),
	              2);
	cr_expect_eq(metric("pgseal_transaction_duration_seconds_bucket"
	                    "{database=\"app\",role=\"alice\",le=\"0.5\"}"),
	             0);
	cr_expect_eq(metric("pgseal_transaction_duration_seconds_count" APP), 1);
	PQfinish(conn);
	rig_stop(rig);
}

Test(metrics, bytes_are_counted_both_ways)
{
	PGconn *conn;
	double in, out;

	start("", NULL, NULL);
	conn = rig_connect(rig, NULL);
	rig_exec(conn, "SELECT 1");
	in = metric("pgseal_received_bytes_total" APP);
	out = metric("pgseal_sent_bytes_total" APP);
	rig_exec(conn, "SELECT repeat('x', 100000)");
	cr_expect_gt(metric("pgseal_received_bytes_total" APP), in + 20);
	cr_expect_lt(metric("pgseal_received_bytes_total" APP), in + 1000);
	cr_expect_gt(metric("pgseal_sent_bytes_total" APP), out + 100000);
	PQfinish(conn);
	rig_stop(rig);
}

Test(metrics, clients_and_servers_are_shown_by_what_they_do)
{
#define STATE(word) "{database=\"m_state\",role=\"alice\",state=\"" word "\"}"
#define POOL "{database=\"m_state\",role=\"alice\"}"
	PGconn *busy, *waiting, *idle;

	crowd_database("m_state");
	start("", crowd_entry("m_state", "pool_size=1").s, NULL);
	busy = rig_connect(rig, "dbname=m_state");
	waiting = rig_connect(rig, "dbname=m_state");
	idle = rig_connect(rig, "dbname=m_state");
	rig_exec(busy, "BEGIN");
	cr_assert(PQsendQuery(waiting, "SELECT 1"));
	assert_metric("pgseal_clients" STATE("waiting"), 1);
	cr_expect_eq(metric("pgseal_clients" STATE("active")), 1);
	cr_expect_eq(metric("pgseal_clients" STATE("idle")), 1);
	cr_expect_eq(metric("pgseal_clients" STATE("login")), 0);
	cr_expect_eq(metric("pgseal_servers" STATE("active")), 1);
	cr_expect_eq(metric("pgseal_servers" STATE("idle")), 0);
	cr_expect_eq(metric("pgseal_pool_size" POOL), 1);
	cr_expect_eq(metric("pgseal_pool_servers" POOL), 1);
	cr_expect_eq(metric("pgseal_pool_paused" POOL), 0);
	cr_expect_gt(metric("pgseal_pool_oldest_wait_seconds" POOL), 0);
	cr_expect_eq(metric("pgseal_server_connect_duration_seconds_count" POOL), 1);
	rig_exec(busy, "COMMIT");
	cr_assert_str_eq(rig_scalar(waiting).s, "1");
	assert_metric("pgseal_clients" STATE("idle"), 3);
	cr_expect_eq(metric("pgseal_clients" STATE("waiting")), 0);
	cr_expect_eq(metric("pgseal_clients" STATE("active")), 0);
	cr_expect_eq(metric("pgseal_servers" STATE("idle")), 1);
	cr_expect_eq(metric("pgseal_pool_oldest_wait_seconds" POOL), 0);
	cr_expect_gt(metric("pgseal_wait_seconds_total" POOL), 0);
	PQfinish(idle);
	PQfinish(busy);
	assert_metric("pgseal_clients" STATE("idle"), 1);
	cr_expect_eq(metric("pgseal_client_closes_total{reason=\"quit\"}"), 2);
	PQclear(rig_console(rig, "PAUSE m_state"));
	cr_expect_eq(metric("pgseal_pool_paused" POOL), 1);
	PQfinish(waiting);
	rig_stop(rig);
}

/* ---- who is let in, and who is not ---- */

Test(metrics, refusals_are_counted_by_their_cause)
{
#define REFUSED(cause) "pgseal_client_refusals_total{cause=\"" cause "\"}"
	struct guest_answer answer;
	PGconn *conn;
	int fd;

	start("", "app = @postgres@ dbname=app\n",
	      "people = cn:/^(alice|bob)$/ roles=\\1\nrest = cn:carol roles=carol\n");
	PQfinish(rig_connect(rig, NULL));
	PQfinish(rig_try_connect_bare(rig, "user=alice"));
	assert_metric(REFUSED("certificate"), 1);
	guest_try(rig, "alice", "bob", "app", &answer);
	assert_metric(REFUSED("right"), 1);
	guest_try(rig, "dave", "dave", "app", &answer);
	guest_try(rig, "dave", "dave", "app", &answer);
	assert_metric(REFUSED("identity"), 2);
	guest_try(rig, "alice", "alice", "nowhere", &answer);
	assert_metric(REFUSED("unknown_database"), 1);
	conn = rig_try_connect(rig, NULL, "sslmode=disable user=alice");
	cr_assert_neq(PQstatus(conn), CONNECTION_OK);
	PQfinish(conn);
	assert_metric(REFUSED("no_tls"), 1);
	fd = rig_raw_connect(rig);
	rig_raw_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
	cr_assert(rig_raw_closed(fd, RIG_PATIENCE_MS));
	close(fd);
	assert_metric(REFUSED("protocol"), 1);
	close(rig_raw_connect(rig));
	assert_metric(REFUSED("left"), 1);
	cr_expect_eq(metric("pgseal_login_clients"), 0);
	/* those with a good certificate, let in or not */
	cr_expect_geq(metric("pgseal_client_handshake_duration_seconds_count"), 5);
	cr_expect_gt(metric("pgseal_client_handshake_duration_seconds_sum"), 0);
	rig_stop(rig);
}

Test(metrics, too_many_clients_are_counted)
{
	PGconn *one, *two;

	start("max_client_conn = 1\n", NULL, NULL);
	one = rig_connect(rig, NULL);
	two = rig_try_connect(rig, "alice", NULL);
	cr_assert_neq(PQstatus(two), CONNECTION_OK);
	assert_metric(REFUSED("max_client_conn"), 1);
	cr_expect_eq(metric("pgseal_max_clients"), 1);
	PQfinish(two);
	PQfinish(one);
	rig_stop(rig);
}

Test(metrics, identities_are_the_rules)
{
	PGconn *alice, *bob, *carol;

	start("", NULL,
	      "people = cn:/^(alice|bob)$/ roles=\\1\nrest = cn:carol roles=carol console=stats\n");
	alice = rig_connect(rig, NULL);
	bob = rig_connect_as(rig, "bob", NULL);
	carol = rig_connect_as(rig, "carol", "dbname=pgseal");
	assert_metric("pgseal_identity_sessions{identity=\"people\"}", 2);
	assert_metric("pgseal_identity_sessions{identity=\"rest\"}", 1);
	cr_expect_eq(metric("pgseal_console_clients"), 1);
	PQfinish(alice);
	assert_metric("pgseal_identity_sessions{identity=\"people\"}", 1);
	cr_expect_eq(metric("pgseal_identity_logins_total{identity=\"people\"}"), 2);
	cr_expect_eq(metric("pgseal_identity_logins_total{identity=\"rest\"}"), 1);
	cr_expect_eq(metric("pgseal_identity_logins_total{identity=\"alice\"}"), -1);
	PQfinish(bob);
	PQfinish(carol);
	assert_metric("pgseal_identity_sessions{identity=\"people\"}", 0);
	assert_metric("pgseal_identity_sessions{identity=\"rest\"}", 0);
	assert_metric("pgseal_console_clients", 0);
	rig_stop(rig);
}

Test(metrics, without_rules_names_of_certificates_are_no_labels)
{
	PGconn *alice, *bob;

	start("", NULL, NULL);
	alice = rig_connect(rig, NULL);
	bob = rig_connect_as(rig, "bob", NULL);
	assert_metric("pgseal_identity_sessions{identity=\"\"}", 2);
	cr_expect_eq(metric("pgseal_identity_sessions{identity=\"alice\"}"), -1);
	PQfinish(alice);
	PQfinish(bob);
	rig_stop(rig);
}

/* ---- servers that do not let us in ---- */

Test(metrics, failed_logins_to_servers_are_counted_by_cause)
{
#define FAILED(cause) "pgseal_server_login_failures_total{cause=\"" cause "\"}"
	PGconn *conn;

	start("query_wait_timeout = 1\n",
	      "app = @postgres@ dbname=no_such_database\nother = host=127.0.0.1 port=1\n", NULL);
	conn = rig_try_connect(rig, "alice", NULL);
	cr_assert_neq(PQstatus(conn), CONNECTION_OK);
	PQfinish(conn);
	assert_metric(FAILED("database"), 1);
	cr_expect_eq(metric(FAILED("unreachable")), 0);
	cr_expect_eq(metric("pgseal_client_closes_total{reason=\"server_login\"}"), 1);
	conn = rig_try_connect(rig, "alice", "dbname=other");
	cr_assert_neq(PQstatus(conn), CONNECTION_OK);
	PQfinish(conn);
	cr_expect_geq(metric(FAILED("unreachable")), 1);
	cr_expect_eq(metric(FAILED("database")), 1);
	rig_stop(rig);
}

/* ---- the process ---- */

Test(metrics, reloads_are_told)
{
	double loaded;
	struct rig_text settings;

	start("", NULL, NULL);
	settings = rig_printf("metrics_listen = 127.0.0.1:%d\n", port);
	cr_expect_eq(metric("pgseal_config_last_reload_successful"), 1);
	cr_expect_eq(metric("pgseal_config_reloads_total{outcome=\"done\"}"), 0);
	loaded = metric("pgseal_config_loaded_timestamp_seconds");
	cr_expect_geq(loaded, metric("process_start_time_seconds"));
	rig_configure(rig, rig_printf("%snonsense = 1\n", settings.s).s, NULL, NULL);
	cr_assert_not(rig_reload(rig, NULL));
	cr_expect_eq(metric("pgseal_config_last_reload_successful"), 0);
	cr_expect_eq(metric("pgseal_config_reloads_total{outcome=\"refused\"}"), 1);
	cr_expect_eq(metric("pgseal_config_loaded_timestamp_seconds"), loaded);
	cr_expect_eq(scrape_status(port, "/ready"), 200, "what was in force is served");
	rig_configure(rig, settings.s, NULL, NULL);
	cr_assert(rig_reload(rig, NULL));
	cr_expect_eq(metric("pgseal_config_last_reload_successful"), 1);
	cr_expect_eq(metric("pgseal_config_reloads_total{outcome=\"done\"}"), 1);
	cr_expect_gt(metric("pgseal_config_loaded_timestamp_seconds"), loaded);
	rig_stop(rig);
}

Test(metrics, certificates_and_build_are_told)
{
	struct scrape s;
	char *line;

	start("", NULL, NULL);
	scrape_get(port, "/metrics", &s);
	line = strstr(s.body, "pgseal_tls_certificate_not_after_timestamp_seconds{setting="
	                      "\"client_tls_cert_file\",path=\"");
	cr_assert_not_null(line);
	*strchr(line, '\n') = '\0';
	cr_expect_not_null(strstr(line, "/server.crt\",subject=\"CN="), "%s", line);
	cr_expect_gt(atof(strrchr(line, ' ')), (double)time(NULL), "%s", line);
	scrape_free(&s);
	scrape_get(port, "/metrics", &s);
	cr_expect_not_null(strstr(s.body, "\npgseal_build_info{version=\""));
	cr_expect_not_null(strstr(s.head, "Content-Type: text/plain; version=0.0.4"));
	scrape_free(&s);
	rig_stop(rig);
}

/* ---- the text as a whole ---- */

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Split where it stands. */
static size_t lines_of(char *text, const char **lines, size_t max)
{
	size_t n = 0;

	cr_assert(text[0] != '\0' && text[strlen(text) - 1] == '\n');
	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		cr_assert_lt(n, max);
		lines[n++] = line;
	}
	return n;
}

/* Does this sample belong to that family? */
static bool is_of(const char *sample, const char *family)
{
	static const char *const suffixes[] = { "", "_bucket", "_sum", "_count" };
	size_t len = strlen(family), name = strcspn(sample, "{ ");

	for (size_t i = 0; i < COUNT(suffixes); i++)
		if (name == len + strlen(suffixes[i]) && strncmp(sample, family, len) == 0 &&
		    strncmp(sample + len, suffixes[i], strlen(suffixes[i])) == 0)
			return true;
	return false;
}

Test(metrics, samples_stand_behind_their_family_and_are_unique)
{
	static const char *lines[20000];
	PGconn *a, *b;
	char family[100] = "", type[20] = "", type_name[100] = "";
	struct scrape s;
	size_t n;

	start("",
	      "app = @postgres@ dbname=app\nodd\"name = @postgres@ dbname=app\n"
	      "more = @postgres@ dbname=app sslrootcert=@pki@/ca.crt\n"
	      "less = @postgres@ dbname=app sslrootcert=@pki@/ca.crt\n",
	      NULL);
	a = rig_connect(rig, NULL);
	b = rig_connect_as(rig, "bob", "dbname=odd\"name");
	rig_exec(a, "SELECT 1");
	rig_exec(b, "SELECT 1");
	scrape_get(port, "/metrics", &s);
	cr_expect_not_null(strstr(s.body, "{database=\"odd\\\"name\",role=\"bob\"} 1\n"));
	n = lines_of(s.body, lines, COUNT(lines));
	for (size_t i = 0; i < n; i++) {
		if (sscanf(lines[i], "# HELP %99s", family) == 1)
			continue;
		if (sscanf(lines[i], "# TYPE %99s %19s", type_name, type) == 2) {
			cr_expect_str_eq(type_name, family);
			cr_expect_eq(strcmp(type, "counter") == 0,
			             strlen(family) > 6 &&
			                     strcmp(family + strlen(family) - 6, "_total") == 0,
			             "%s", family);
			continue;
		}
		cr_expect(is_of(lines[i], type_name), "%s is not of %s", lines[i], type_name);
	}
	qsort(lines, n, sizeof(lines[0]), compare_lines);
	for (size_t i = 1; i < n; i++) {
		size_t len = (size_t)(strrchr(lines[i], ' ') - lines[i]);

		cr_expect(strncmp(lines[i], lines[i - 1], len + 1) != 0 || lines[i][0] == '#',
		          "twice: %s", lines[i]);
	}
	scrape_free(&s);
	PQfinish(a);
	PQfinish(b);
	rig_stop(rig);
}

/* ---- under load ---- */

static void transactions(struct member *m)
{
	while (crowd_goes_on(m)) {
		member_query(m, "SELECT 1");
		m->done++;
	}
}

Test(metrics, scraping_under_load_sees_counters_that_only_grow)
{
	static struct crowd crowd;
	double last = -1, now;
	long all = 0;

	crowd_database("m_load");
	start("workers = 2\ngates = 2\n", crowd_entry("m_load", "pool_size=3").s, NULL);
	crowd_start(&crowd, rig, 12, "dbname=m_load", 3000, transactions, NULL);
	for (int i = 0; i < 50; i++) {
		now = metric("pgseal_queries_total{database=\"m_load\",role=\"alice\"}");
		cr_assert_geq(now, last);
		last = now;
	}
	crowd_join(&crowd);
	for (int i = 0; i < crowd.size; i++)
		all += crowd.members[i].done;
	cr_expect_eq(metric("pgseal_queries_total{database=\"m_load\",role=\"alice\"}"),
	             (double)all);
	cr_expect_eq(
		metric("pgseal_query_duration_seconds_count{database=\"m_load\",role=\"alice\"}"),
		(double)all);
	cr_expect_eq(metric("pgseal_server_assignments_total{database=\"m_load\",role=\"alice\"}"),
	             (double)all);
	rig_stop(rig);
}
