/* The console: who may do what, and views over all workers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])

#define IDENTITIES                                              \
	"operator = cn:operator roles=operator console=admin\n" \
	"watcher = cn:watcher roles=watcher console=stats\n"    \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"

static struct rig *rig;

static void start(void)
{
	rig = rig_start("workers = 2\nstats_period = 1\n", NULL, IDENTITIES);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(console, .init = start, .fini = stop, .timeout = 120);

static PGresult *ask(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, sql);

	cr_assert(PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK,
	          "%s: %s", sql, PQresultErrorMessage(res));
	return res;
}

static int count_rows(PGconn *conn, const char *sql, const char *column, const char *value)
{
	PGresult *res = ask(conn, sql);
	int n = 0;

	for (int row = 0; row < PQntuples(res); row++)
		n += strcmp(rig_cell(res, row, column).s, value) == 0;
	PQclear(res);
	return n;
}

/* --- who may --- */

static const char *const shows[] = {
	"SHOW VERSION",      "SHOW CONFIG",
	"SHOW DATABASES",    "SHOW POOLS",
	"SHOW CLIENTS",      "SHOW CLIENTS EXTENDED",
	"SHOW SERVERS",      "SHOW SERVERS EXTENDED",
	"SHOW SOCKETS",      "SHOW STATS",
	"SHOW STATS_TOTALS", "SHOW STATS_AVERAGES",
	"SHOW TOTALS",       "SHOW LISTS",
	"SHOW STATE",        "SHOW USERS",
	"SHOW IDENTITIES",   "SHOW TLS",
};

Test(console, both_rights_may_look_at_everything)
{
	static const char *const names[] = { "operator", "watcher" };

	for (size_t n = 0; n < CASES(names); n++) {
		PGconn *conn = rig_connect_as(rig, names[n],
		                              n == 0 ? "dbname=pgseal" : "dbname=pgbouncer");

		for (size_t i = 0; i < CASES(shows); i++) {
			PGresult *res = ask(conn, shows[i]);

			cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK, "%s", shows[i]);
			cr_assert_str_eq(PQcmdStatus(res), "SHOW");
			PQclear(res);
		}
		PQfinish(conn);
	}
}

Test(console, stats_may_change_nothing)
{
	static const char *const orders[] = {
		"RELOAD",
		"PAUSE",
		"PAUSE app",
		"RESUME",
		"RECONNECT",
		"RECONNECT app",
		"KILL_CLIENT 1",
		"SHUTDOWN",
		"SHUTDOWN WAIT_FOR_CLIENTS",
		"SHUTDOWN WAIT_FOR_SERVERS",
	};
	PGconn *watcher = rig_connect_as(rig, "watcher", "dbname=pgseal");
	PGconn *alice = rig_connect(rig, "dbname=app");

	for (size_t i = 0; i < CASES(orders); i++) {
		PGresult *res;

		cr_assert_str_eq(rig_error(watcher, orders[i]).s, "42501", "%s", orders[i]);
		res = PQexecParams(watcher, orders[i], 0, NULL, NULL, NULL, NULL, 0);
		cr_assert_str_eq(PQresultErrorField(res, PG_DIAG_SQLSTATE), "42501", "%s",
		                 orders[i]);
		PQclear(res);
	}
	cr_assert_str_eq(rig_query(alice, "SELECT 1").s, "1");
	PQfinish(watcher);
	PQfinish(alice);
}

Test(console, without_a_right_nobody_enters)
{
	PGconn *conn = rig_try_connect(rig, "alice", "dbname=pgseal");

	cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
	cr_assert(strstr(PQerrorMessage(conn), "FATAL") != NULL, "%s", PQerrorMessage(conn));
	PQfinish(conn);
}

Test(console, open_when_no_more_clients_are_let_in)
{
	struct rig *full = rig_start("max_client_conn = 1\n", NULL, IDENTITIES);
	PGconn *alice = rig_connect(full, "dbname=app");
	PGconn *refused = rig_try_connect(full, "bob", "dbname=app");
	PGconn *operator = rig_connect_as(full, "operator", "dbname=pgseal");

	cr_assert_eq(PQstatus(refused), CONNECTION_BAD);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "user", "alice"), 1);
	PQfinish(refused);
	PQfinish(operator);
	PQfinish(alice);
	rig_stop(full);
}

/* --- what it shows --- */

Test(console, version_is_read_by_tools)
{
	PGresult *res = rig_console(rig, "SHOW VERSION");

	cr_assert(strstr(rig_cell(res, 0, "version").s, "PgBouncer 1.26.0 compatible, pgseal ") !=
	          NULL);
	PQclear(res);
}

Test(console, clients_of_all_workers)
{
	PGconn *operator = rig_connect_as(rig, "operator", "dbname=pgseal"), *clients[8];
	PGresult *res;
	int of_worker[2] = { 0, 0 };

	for (size_t i = 0; i < CASES(clients); i++)
		clients[i] = rig_connect_as(rig, i % 2 == 0 ? "alice" : "bob",
		                            "dbname=app application_name=here");
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "user", "alice"), 4);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "user", "bob"), 4);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "database", "pgbouncer"), 1);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "application_name", "here"), 8);
	cr_assert_eq(count_rows(operator, "SHOW CLIENTS", "addr", "127.0.0.1"), 9);
	res = ask(operator, "SHOW CLIENTS");
	for (int row = 0; row < PQntuples(res); row++)
		of_worker[atoi(rig_cell(res, row, "ptr").s)]++;
	cr_assert(of_worker[0] >= 4 && of_worker[1] >= 4, "%d, %d", of_worker[0], of_worker[1]);
	PQclear(res);
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "alice", "cl_active").s, "4");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "app",
	                                   "current_client_connections").s, "8");
	cr_assert_str_eq(rig_console_value(rig, "SHOW USERS", "name", "bob",
	                                   "current_client_connections").s, "4");
	for (size_t i = 0; i < CASES(clients); i++)
		PQfinish(clients[i]);
	PQfinish(operator);
}

Test(console, client_and_server_name_each_other)
{
	PGconn *alice = rig_connect(rig, "dbname=app");
	struct rig_text pid, link;

	rig_exec(alice, "BEGIN");
	pid = rig_query(alice, "SELECT pg_backend_pid()");
	link = rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "link");
	cr_assert_str_eq(rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "state").s,
	                 "active");
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "ptr", link.s, "remote_pid").s,
	                 pid.s);
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "ptr", link.s, "state").s,
	                 "active");
	cr_assert_str_eq(rig_console_value(rig, "SHOW SERVERS", "ptr", link.s, "link").s,
	                 rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "ptr").s);
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "alice", "sv_active").s, "1");
	rig_exec(alice, "COMMIT");
	cr_assert_str_eq(rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "link").s, "");
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "alice", "sv_idle").s, "1");
	PQfinish(alice);
}

Test(console, extended_views_tell_certificates)
{
	PGconn *alice = rig_connect(rig, "dbname=app");
	PGresult *res;

	rig_exec(alice, "SELECT 1");
	res = rig_console(rig, "SHOW CLIENTS EXTENDED");
	cr_assert_str_eq(rig_cell(res, 0, "identity").s, "rest");
	cr_assert_geq(strlen(rig_cell(res, 0, "cert_serial").s), 8);
	cr_assert(strstr(rig_cell(res, 0, "cert_not_after").s, "20") != NULL);
	cr_assert_str_neq(rig_cell(res, 0, "tls_group").s, "");
	cr_assert(strstr(rig_cell(res, 0, "tls").s, "TLSv1.3/") != NULL);
	PQclear(res);
	res = rig_console(rig, "SHOW SERVERS EXTENDED");
	cr_assert_str_eq(rig_cell(res, 0, "identity").s, "localhost");
	cr_assert_geq(strlen(rig_cell(res, 0, "cert_serial").s), 8);
	cr_assert(strstr(rig_cell(res, 0, "tls").s, "TLSv1.3/") != NULL);
	PQclear(res);
	PQfinish(alice);
}

Test(console, counters_add_up_over_workers)
{
	PGconn *clients[4];

	for (size_t i = 0; i < CASES(clients); i++) {
		clients[i] = rig_connect(rig, "dbname=app");
		for (int n = 0; n < 5; n++)
			rig_exec(clients[i], "SELECT 1");
	}
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATS", "database", "app",
	                                   "total_query_count").s, "20");
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATS_TOTALS", "database", "app",
	                                   "xact_count").s, "20");
	cr_assert_str_eq(rig_console_value(rig, "SHOW TOTALS", "name", "total_client_login_count",
	                                   "value").s, "4");
	/* 20 in one period of a second, or spread over two */
	cr_assert(rig_console_wait(rig, "SHOW STATS", "database", "app", "avg_query_count", "0",
	                           5000));
	for (size_t i = 0; i < CASES(clients); i++)
		PQfinish(clients[i]);
}

Test(console, configuration_is_shown)
{
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "workers", "value").s, "2");
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW CONFIG", "key", "max_client_conn", "changeable").s,
		"yes");
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW IDENTITIES", "label", "operator", "console").s,
		"admin");
	cr_assert_str_eq(rig_console_value(rig, "SHOW TLS", "setting", "client_tls_cert_file",
	                                   "subject").s, "CN=localhost,O=pgseal demo");
	cr_assert_str_eq(rig_console_value(rig, "SHOW DATABASES", "name", "other", "pool_mode").s,
	                 "transaction");
	cr_assert_str_eq(rig_console_value(rig, "SHOW LISTS", "list", "databases", "items").s, "3");
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATE", "key", "active", "value").s, "yes");
}

/* --- the smaller views --- */

static PGconn *watch(void)
{
	return rig_connect_as(rig, "watcher", "dbname=pgseal");
}

static int rows_of(PGconn *conn, const char *sql)
{
	PGresult *res = ask(conn, sql);
	int n = PQntuples(res);

	PQclear(res);
	return n;
}

/* In PgBouncer's order. */
Test(console, lists_are_counted)
{
	static const char *const names[] = {
		"databases", "users", "peers", "pools", "peer_pools", "free_clients",
		"used_clients", "login_clients", "free_servers", "used_servers", "dns_names", "dns_zones",
		"dns_queries", "dns_pending",
	};
	static const char *const items[] = { "3", "1", "0", "2", "0", "0", "2", "0", "0", "1",
		                             "0", "0", "0", "0" };
	PGconn *alice = rig_connect(rig, "dbname=app");
	PGresult *res = rig_console(rig, "SHOW LISTS");

	cr_assert_eq(PQntuples(res), CASES(names));
	for (size_t i = 0; i < CASES(names); i++) {
		cr_assert_str_eq(rig_cell(res, (int)i, "list").s, names[i]);
		cr_assert_str_eq(rig_cell(res, (int)i, "items").s, items[i], "%s", names[i]);
	}
	PQclear(res);
	PQfinish(alice);
}

Test(console, active_sockets_are_those_at_something)
{
	PGconn *alice = rig_connect(rig, "dbname=app"), *watcher = watch();
	PGresult *res;

	cr_assert_eq(rows_of(watcher, "SHOW ACTIVE_SOCKETS"), 0);
	cr_assert_eq(rows_of(watcher, "SHOW SOCKETS"), 3); /* its own too */
	rig_exec(alice, "BEGIN");
	res = ask(watcher, "SHOW ACTIVE_SOCKETS");
	cr_assert_eq(PQntuples(res), 2);
	cr_assert_str_eq(rig_cell(res, 0, "link").s, rig_cell(res, 1, "ptr").s);
	cr_assert_str_eq(rig_cell(res, 0, "state").s, "active");
	cr_assert_str_eq(rig_cell(res, 1, "state").s, "active");
	PQclear(res);
	PQfinish(watcher);
	PQfinish(alice);
}

Test(console, memory_is_counted)
{
	static const char *const wanted[][2] = { { "client", "2" }, { "server", "1" },
		                                 { "pool", "1" }, { "client_output", "0" } };
	PGconn *alice = rig_connect(rig, "dbname=app");
	PGresult *res = rig_console(rig, "SHOW MEM");
	size_t found = 0;

	for (int row = 0; row < PQntuples(res); row++) {
		long long size = atoll(rig_cell(res, row, "size").s);
		long long count = atoll(rig_cell(res, row, "used").s) +
		                  atoll(rig_cell(res, row, "free").s);

		cr_assert_eq(atoll(rig_cell(res, row, "memtotal").s), size * count);
		for (size_t i = 0; i < CASES(wanted); i++)
			found += strcmp(rig_cell(res, row, "name").s, wanted[i][0]) == 0 &&
			         strcmp(rig_cell(res, row, "used").s, wanted[i][1]) == 0;
	}
	cr_assert_eq(found, CASES(wanted));
	PQclear(res);
	PQfinish(alice);
}

Test(console, names_of_hosts_are_told_with_their_addresses)
{
	PGconn *alice, *watcher = watch();

	cr_assert_eq(rows_of(watcher, "SHOW DNS_HOSTS"), 0);
	PQfinish(watcher);
	rig_configure(rig, "workers = 2\n",
	              rig_printf("app = host=localhost port=%d dbname=app\n",
	                         rig_postgres_port()).s, NULL);
	cr_assert(rig_reload(rig, NULL));
	alice = rig_connect(rig, "dbname=app");
	rig_exec(alice, "SELECT 1");
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW DNS_HOSTS", "hostname", "localhost", "addrs").s,
		"127.0.0.1");
	cr_assert_str_eq(rig_console_value(rig, "SHOW LISTS", "list", "dns_names", "items").s, "1");
	PQfinish(alice);
}

Test(console, what_there_is_none_of_is_empty)
{
	PGconn *watcher = watch();

	cr_assert_eq(rows_of(watcher, "SHOW DNS_ZONES"), 0);
	cr_assert_eq(rows_of(watcher, "SHOW PEERS"), 0);
	cr_assert_eq(rows_of(watcher, "SHOW PEER_POOLS"), 0);
	PQfinish(watcher);
}

/* --- MAP --- */

Test(console, map_tells_whom_a_certificate_would_be)
{
	static const struct {
		const char *names, *identity, *matched, *roles, *console;
	} cases[] = {
		{ "'cn:operator'", "operator", "cn:operator", "operator", "admin" },
		{ "'cn:alice'", "rest", "cn:alice", "alice", "" },
		{ "'uri:x', 'cn:bob' 'dns:y'", "rest", "cn:bob", "bob", "" },
		{ "'cn:Alice'", "(null)", "(null)", "(null)", "(null)" },
		{ "'uri:spiffe://prod.example/a'", "(null)", "(null)", "(null)", "(null)" },
	};
	PGconn *watcher = watch();

	for (size_t i = 0; i < CASES(cases); i++) {
		PGresult *res = ask(watcher, rig_printf("SHOW MAP %s", cases[i].names).s);

		cr_assert_str_eq(rig_cell(res, 0, "identity").s, cases[i].identity);
		cr_assert_str_eq(rig_cell(res, 0, "matched").s, cases[i].matched);
		cr_assert_str_eq(rig_cell(res, 0, "roles").s, cases[i].roles);
		cr_assert_str_eq(rig_cell(res, 0, "console").s, cases[i].console);
		cr_assert_eq(rig_cell(res, 0, "reason").s[0] == '\0', cases[i].roles[0] != '(');
		PQclear(res);
	}
	cr_assert_str_eq(rig_error(watcher, "SHOW MAP").s, "42601");
	cr_assert_str_eq(rig_error(watcher, "SHOW MAP cn:alice").s, "42601");
	cr_assert_str_eq(rig_error(watcher, "SHOW MAP 'alice'").s, "22023");
	PQfinish(watcher);
}

/* --- many --- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* More rows than one turn of a worker makes: each client is there once. */
Test(console, clients_come_in_slices)
{
	enum { MANY = 450 };
	static const char *const params[] = { "user", "x", "database", "pgseal", NULL };
	static char *ids[2 * MANY];
	uint8_t packet[256], answer[5];
	PGconn *watcher = watch();
	int fds[MANY], rows;
	PGresult *res;

	for (size_t i = 0; i < MANY; i++) {
		fds[i] = rig_raw_connect_unix(rig);
		rig_raw_send(fds[i], packet, rig_startup(packet, sizeof(packet), 3u << 16, params));
		cr_assert_eq(rig_raw_recv(fds[i], answer, 5, RIG_PATIENCE_MS), 5);
	}
	res = ask(watcher, "SHOW CLIENTS");
	rows = PQntuples(res);
	cr_assert_eq(rows, MANY + 1);
	for (int row = 0; row < rows; row++)
		ids[row] = PQgetvalue(res, row, PQfnumber(res, "ptr"));
	qsort(ids, (size_t)rows, sizeof(*ids), compare_texts);
	for (int row = 1; row < rows; row++)
		cr_assert_str_neq(ids[row - 1], ids[row]);
	PQclear(res);
	cr_assert_eq(rows_of(watcher, "SHOW SOCKETS"), MANY + 1);
	PQfinish(watcher);
	for (size_t i = 0; i < MANY; i++)
		close(fds[i]);
}
