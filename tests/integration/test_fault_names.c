/* Names of servers that cannot be looked up for a while, or that lead elsewhere all at once. Those who
 * have a server notice nothing: names are looked up for a login alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/ledger.h"
#include "tests/integration/nameserver.h"
#include "tests/integration/rig_priv.h"

#define NOBODY "127.0.0.2" /* PostgreSQL is at 127.0.0.1 alone */
#define LOCAL_HOSTS "127.0.0.1 localhost\n"

TestSuite(fault_names, .timeout = 180);

static struct nameserver ns, other;
static struct ledger ledger;
static struct rig *rig;

/* One server, by that name. */
static void start(const char *database, const char *settings)
{
	rig = rig_start(rig_printf("workers = 2\nquery_wait_timeout = 60\n%s", settings).s,
	                rig_printf("%s = host=db.test port=%d sslmode=verify-ca pool_size=4\n",
	                           database, rig_postgres_port())
	                        .s,
	                NULL);
}

static void end_backends(const char *database)
{
	rig_admin_exec(rig_printf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
	                          "WHERE datname = '%s'",
	                          database)
	                       .s);
}

/* ---- the resolver fails ---- */

static void resolver_fails(const char *database, enum nameserver_mood mood)
{
	rig_alone();
	rig_require();
	nameserver_start(&ns, "127.0.0.1");
	names_prepare(names_by(&ns).s, LOCAL_HOSTS);
	ledger_create(database);
	start(database, "");
	ledger_open_at(&ledger, rig, database, "", LEDGER_LOSSES);
	ns.mood = mood;
	ledger_recovers(&ledger, rig_now_ms());
	end_backends(database);
	cr_assert(rig_wait_log(rig, "login failed: .*could not resolve host", RIG_PATIENCE_MS));
	ledger_run(&ledger, 500);
	ns.mood = NAMESERVER_ANSWERS;
	ledger_recovers(&ledger, rig_now_ms());
	ledger_close(&ledger);
	rig_stop(rig);
	nameserver_stop(&ns);
}

Test(fault_names, resolver_that_is_silent)
{
	resolver_fails("f_silent", NAMESERVER_SILENT);
}

Test(fault_names, resolver_that_fails)
{
	resolver_fails("f_servfail", NAMESERVER_FAILS);
}

Test(fault_names, resolver_that_denies)
{
	resolver_fails("f_denied", NAMESERVER_DENIES);
}

/* ---- everything is elsewhere ---- */

static void start_elsewhere(void)
{
	rig_require();
	nameserver_start(&ns, "127.0.0.1");
	names_prepare(names_by(&ns).s, LOCAL_HOSTS);
	start("app", "server_lifetime = 0\n");
}

/* Those who wait are served soon behind the change. */
static void served_behind(PGconn *conn, const char *why, int64_t since)
{
	cr_assert_str_eq(rig_scalar(conn).s, "1");
	fprintf(stderr, "# %s: served within %d ms\n", why, (int)(rig_now_ms() - since));
	cr_assert_lt(rig_now_ms() - since, rig_sanitized() ? 10000 : 1500);
	PQfinish(conn);
	rig_stop(rig);
	nameserver_stop(&ns);
}

/* A query that cannot have a server, because at that address there is none. The greeting is known, and
 * no server is kept. */
static PGconn *wait_in_vain(void)
{
	PGconn *conn = rig_connect(rig, "dbname=app");

	rig_exec(conn, "SELECT 1");
	nameserver_move(&ns, NOBODY);
	cr_assert(PQsendQuery(conn, "SELECT 1"));
	cr_assert(rig_wait_log(rig, "login failed: .*127.0.0.2.*Connection refused",
	                       RIG_PATIENCE_MS));
	return conn;
}

Test(fault_names, another_name_server_is_asked_without_a_reload)
{
	PGconn *conn;
	int64_t since;

	start_elsewhere();
	nameserver_start(&other, "127.0.0.1");
	conn = wait_in_vain();
	since = rig_now_ms();
	names_write_resolv_conf(names_by(&other).s);
	served_behind(conn, "another name server", since);
	nameserver_stop(&other);
}

Test(fault_names, name_that_comes_into_hosts_is_found_without_a_reload)
{
	PGconn *conn;
	int64_t since;

	start_elsewhere();
	conn = wait_in_vain();
	since = rig_now_ms();
	names_write_hosts(LOCAL_HOSTS "127.0.0.1 db.test\n");
	served_behind(conn, "a line in hosts", since);
}

/* The name is looked up again for each login. */
Test(fault_names, address_that_changes_is_found_at_the_next_login)
{
	PGconn *conn;
	int64_t since;

	start_elsewhere();
	conn = wait_in_vain();
	since = rig_now_ms();
	nameserver_move(&ns, "127.0.0.1");
	served_behind(conn, "another address", since);
}

/* What was asked and never answered is no leak either. */
Test(fault_names, shutdown_while_the_resolver_is_silent)
{
	PGconn *conn;

	start_elsewhere();
	conn = rig_connect(rig, "dbname=app");
	rig_exec(conn, "SELECT 1");
	ns.mood = NAMESERVER_SILENT;
	cr_assert(PQsendQuery(conn, "SELECT 1"));
	for (long before = ns.asked; ns.asked == before;)
		rig_nap();
	rig_stop(rig);
	PQfinish(conn);
	nameserver_stop(&ns);
}
