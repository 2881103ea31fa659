/* What clients are told when they connect, and later, is what servers have as their own now: configuration files
 * change, clients set what they like, by functions too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

TestSuite(greeting, .timeout = 90);

#define HOME "UTC"
#define ELSEWHERE "Asia/Tokyo"
#define OWN "America/Lima"
#define CLIENTS 6
#define AT_ONCE "workers = 2\ngreeting_max_age = 0\ngreeting_wait = 20s\n"

static struct rig *rig;
static const char *database;

/* --- PostgreSQL's configuration: everybody's, so that each of these tests is alone --- */

/* A new process has it: by then all others have been told to look. */
static void wait_for_setting(const char *name, const char *want)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;
	struct rig_text sql = rig_printf("SHOW %s", name);

	while (strcmp(rig_admin_query(sql.s).s, want) != 0) {
		cr_assert(rig_left_ms(deadline) > 0, "%s did not become %s", name, want);
		rig_nap();
	}
}

static void configure(const char *name, const char *value)
{
	rig_admin_exec(rig_printf("ALTER SYSTEM SET %s = '%s'", name, value).s);
	rig_admin_exec("SELECT pg_reload_conf()");
	wait_for_setting(name, value);
}

static void start(const char *name, const char *settings, const char *keys)
{
	rig_require();
	rig_alone();
	database = name;
	configure("TimeZone", HOME);
	configure("default_transaction_read_only", "off");
	crowd_database(name);
	rig = rig_start(settings, crowd_entry(name, keys).s, NULL);
}

static void stop(void)
{
	rig_stop(rig);
	configure("TimeZone", HOME);
	configure("default_transaction_read_only", "off");
}

/* --- clients --- */

/* What they choose a server by, and may set all the same. */
#define CHOSEN_BY "default_transaction_read_only"

static PGconn *join(const char *extra)
{
	return rig_connect(rig, rig_printf("dbname=%s %s", database, extra).s);
}

static void is_told(PGconn *conn, const char *name, const char *want)
{
	cr_assert_str_eq(rig_told(conn, name), want, "%s is told as %s, not as %s", name,
	                 rig_told(conn, name), want);
}

/* It is so, and so it is told. */
static void has(PGconn *conn, const char *name, const char *want)
{
	cr_assert_str_eq(rig_query(conn, rig_printf("SHOW %s", name).s).s, want, "%s is not %s",
	                 name, want);
	is_told(conn, name, want);
}

static bool newcomer_is_told(const char *name, const char *want)
{
	PGconn *conn = join("");
	bool told = strcmp(rig_told(conn, name), want) == 0;

	PQfinish(conn);
	return told;
}

static void newcomers_are_told(const char *name, const char *want)
{
	for (int i = 0; i < CLIENTS; i++) {
		PGconn *conn = join("");

		is_told(conn, name, want);
		has(conn, name, want);
		is_told(conn, name, want);
		PQfinish(conn);
	}
}

/* As many of them stay. */
struct party {
	PGconn *conns[CLIENTS];
};

static void gather(struct party *p)
{
	for (int i = 0; i < CLIENTS; i++)
		p->conns[i] = join("");
}

static void disperse(struct party *p)
{
	for (int i = 0; i < CLIENTS; i++)
		PQfinish(p->conns[i]);
}

/* Those who set it, each third one, have their own. */
static void all_have(struct party *p, const char *name, const char *want, const char *own)
{
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < CLIENTS; i++)
			has(p->conns[i], name, own != NULL && i % 3 == 0 ? own : want);
}

static void some_set(struct party *p, const char *name, const char *own)
{
	for (int i = 0; i < CLIENTS; i += 3)
		rig_exec(p->conns[i], rig_printf("SET %s = '%s'", name, own).s);
}

/* --- a new configuration --- */

static const struct change {
	const char *name, *before, *after, *own;
} changes[] = {
	{ "default_transaction_read_only", "off", "on", NULL },
	{ "TimeZone", HOME, ELSEWHERE, NULL },
	{ "default_transaction_read_only", "on", "off", "off" },
	{ "TimeZone", HOME, ELSEWHERE, OWN },
};

/* Back and forth. Newcomers come first after one change, and old clients after the other. */
static void follow(const struct change *c)
{
	struct party old;

	configure(c->name, c->before);
	gather(&old);
	if (c->own != NULL)
		some_set(&old, c->name, c->own);
	all_have(&old, c->name, c->before, c->own);
	configure(c->name, c->after);
	newcomers_are_told(c->name, c->after);
	all_have(&old, c->name, c->after, c->own);
	configure(c->name, c->before);
	all_have(&old, c->name, c->before, c->own);
	newcomers_are_told(c->name, c->before);
	disperse(&old);
}

static void follow_all(const char *name, const char *settings, const char *keys)
{
	start(name, settings, keys);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		follow(&changes[i]);
	stop();
}

Test(greeting, new_configuration_reaches_all_who_did_not_set_it)
{
	follow_all("g_transaction", AT_ONCE, "pool_size=3");
}

Test(greeting, new_configuration_reaches_all_in_session_mode)
{
	follow_all("g_session", AT_ONCE "pool_mode = session\n", "pool_size=20");
}

/* The only server has the value of a client, who used it last. */
Test(greeting, new_configuration_is_told_where_a_client_has_set_its_own)
{
	PGconn *old;

	start("g_own", AT_ONCE, "pool_size=1");
	old = join("");
	rig_exec(old, "SET " CHOSEN_BY " = on");
	for (int i = 0; i < 4; i++) {
		const char *value = i % 2 == 0 ? "on" : "off";

		has(old, CHOSEN_BY, "on");
		configure(CHOSEN_BY, value);
		cr_assert(newcomer_is_told(CHOSEN_BY, value));
		has(old, CHOSEN_BY, "on");
		newcomers_are_told(CHOSEN_BY, value);
	}
	PQfinish(old);
	stop();
}

/* Nobody is asked for newcomers: it is who works that brings it to them. */
Test(greeting, new_configuration_is_told_as_soon_as_anybody_has_met_it)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;
	struct party old;

	start("g_met", "workers = 2\ngreeting_max_age = 1d\n", "pool_size=1");
	gather(&old);
	all_have(&old, "TimeZone", HOME, NULL);
	configure("TimeZone", ELSEWHERE);
	has(old.conns[0], "TimeZone", ELSEWHERE);
	while (rig_now_ms() < deadline && !newcomer_is_told("TimeZone", ELSEWHERE))
		rig_nap();
	newcomers_are_told("TimeZone", ELSEWHERE);
	all_have(&old, "TimeZone", ELSEWHERE, NULL);
	disperse(&old);
	stop();
}

/* There nobody looks whose a value is: what servers say to them is not what newcomers are told. */
Test(greeting, new_configuration_is_told_while_sessions_are_at_work)
{
	int64_t until;
	struct party old;

	start("g_work",
	      "workers = 2\npool_mode = session\ngreeting_max_age = 50ms\ngreeting_wait = 20s\n",
	      "pool_size=20");
	gather(&old);
	for (int i = 0; i < 4; i++) {
		const char *value = i % 2 == 0 ? "on" : "off";

		configure(CHOSEN_BY, value);
		for (until = rig_now_ms() + 60; rig_now_ms() < until;)
			all_have(&old, CHOSEN_BY, value, NULL);
		newcomers_are_told(CHOSEN_BY, value);
	}
	disperse(&old);
	stop();
}

/* As libpq chooses among servers: by what it is told. */
Test(greeting, clients_that_want_to_write_are_let_in_when_they_can)
{
	struct rig_text writes = rig_printf("dbname=g_write target_session_attrs=read-write");
	struct rig_text reads = rig_printf("dbname=g_write target_session_attrs=read-only");
	PGconn *conn;

	start("g_write", AT_ONCE, "pool_size=2");
	for (int i = 0; i < 4; i++) {
		configure("default_transaction_read_only", i % 2 == 0 ? "on" : "off");
		conn = rig_connect(rig, i % 2 == 0 ? reads.s : writes.s);
		PQfinish(conn);
		conn = rig_try_connect(rig, "alice", i % 2 == 0 ? writes.s : reads.s);
		cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
		PQfinish(conn);
	}
	stop();
}

/* How something is spelled is asked for; what else has changed comes with the same answer, and is for all. */
Test(greeting, new_configuration_comes_with_any_answer)
{
	PGconn *conn, *next;

	start("g_any", "greeting_max_age = 1d\ngreeting_wait = 20s\n", "pool_size=1");
	conn = join("application_name=first");
	rig_exec(conn, "SELECT 1");
	configure(CHOSEN_BY, "on");
	PQfinish(join("options='-c intervalstyle=ISO_8601'"));
	next = join("");
	is_told(next, CHOSEN_BY, "on");
	PQfinish(next);
	PQfinish(conn);
	stop();
}

/* What a database is given takes effect at login. */
Test(greeting, settings_of_a_database_come_with_new_servers)
{
	PGconn *old;

	start("g_login", "workers = 2\ngreeting_max_age = 1d\n", "pool_size=2");
	old = join("");
	has(old, "TimeZone", HOME);
	rig_admin_exec("ALTER DATABASE g_login SET TimeZone = '" ELSEWHERE "'");
	is_told(old, "TimeZone", HOME);
	PQclear(rig_console(rig, "RECONNECT"));
	newcomers_are_told("TimeZone", ELSEWHERE);
	has(old, "TimeZone", ELSEWHERE);
	PQfinish(old);
	stop();
}

/* --- what a client does is its own --- */

static void make_function(void)
{
	PGconn *conn = join("");

	rig_exec(conn, "CREATE FUNCTION dwell(zone text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
	               "PERFORM set_config('TimeZone', zone, false); END $$");
	rig_exec(conn,
	         "CREATE FUNCTION dwell_slowly(zone text) RETURNS void LANGUAGE plpgsql AS $$ "
	         "BEGIN PERFORM dwell(zone); PERFORM pg_advisory_xact_lock(7); END $$");
	PQfinish(conn);
}

static void functions_are_heeded(const char *name, const char *settings)
{
	PGconn *a, *b;

	start(name, settings, "pool_size=2 min_pool_size=2");
	make_function();
	a = join("");
	b = join("");
	for (int i = 0; i < 4; i++) {
		const char *zone = i % 2 == 0 ? ELSEWHERE : OWN;

		rig_exec(a, rig_printf("SELECT dwell('%s')", zone).s);
		is_told(a, "TimeZone", zone);
		newcomers_are_told("TimeZone", HOME);
		has(b, "TimeZone", HOME);
		has(a, "TimeZone", zone);
		has(b, "TimeZone", HOME);
		has(a, "TimeZone", zone);
	}
	PQfinish(a);
	newcomers_are_told("TimeZone", HOME);
	PQfinish(b);
	stop();
}

Test(greeting, function_of_a_client_changes_nobody_elses)
{
	functions_are_heeded("g_function", AT_ONCE "server_round_robin = 1\n");
}

/* The same, where what is known is never asked for. */
Test(greeting, function_of_a_client_changes_not_what_is_known)
{
	functions_are_heeded("g_known",
	                     "workers = 2\nserver_round_robin = 1\ngreeting_max_age = 1d\n");
}

static void wait_for_lock(const char *key)
{
	struct rig_text sql = rig_printf(
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
		"AND NOT granted AND objid = %s AND database = "
		"(SELECT oid FROM pg_database WHERE datname = '%s')",
		key, database);

	cr_assert(rig_admin_wait(sql.s, "1", RIG_PATIENCE_MS));
}

/* Its client leaves while it runs: what comes of it is reported when nobody has the server any more, and is not the
 * server's own for all that. It has not been cleaned yet, for there is more to do. */
static void leaves_while_it_runs(const char *name, const char *text)
{
	struct script say = { 0 };
	struct frames f;
	PGconn *admin;

	start(name, "workers = 2\nserver_reset = suspected\ngreeting_max_age = 1d\n",
	      "pool_size=2");
	make_function();
	admin = rig_admin_connect(name);
	rig_exec(admin, "SELECT pg_advisory_lock(7), pg_advisory_lock(8)");
	frames_login(&f, rig, "alice", name);
	script_query(&say, text);
	script_query(&say, "SELECT pg_advisory_xact_lock(8)");
	script_put(&say, 'X', NULL, 0);
	frames_send(&f, &say);
	wait_for_lock("7");
	frames_drop(&f);
	cr_assert(rig_wait_log(rig, "session .*close: identity=\"alice\"", RIG_PATIENCE_MS));
	rig_exec(admin, "SELECT pg_advisory_unlock(7)");
	wait_for_lock("8");
	newcomers_are_told("TimeZone", HOME);
	rig_exec(admin, "SELECT pg_advisory_unlock(8)");
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", name, "sv_idle", "2",
	                           RIG_PATIENCE_MS));
	newcomers_are_told("TimeZone", HOME);
	PQfinish(admin);
	stop();
}

Test(greeting, client_that_leaves_in_a_function_changes_nobody_elses)
{
	leaves_while_it_runs("g_leaves", "SELECT dwell_slowly('" ELSEWHERE "')");
}

Test(greeting, client_that_leaves_in_a_statement_changes_nobody_elses)
{
	leaves_while_it_runs("g_leaves_set",
	                     "SELECT pg_advisory_xact_lock(7); SET TimeZone = '" ELSEWHERE "'");
}

/* --- many --- */

static void comes(struct member *m)
{
	const char *value = PQparameterStatus(m->conn, "TimeZone");

	if (value == NULL || strcmp(value, ELSEWHERE) != 0)
		member_fault(m, "is told %s", value != NULL ? value : "nothing");
	if (strcmp(member_query(m, "SHOW TimeZone").s, ELSEWHERE) != 0)
		member_fault(m, "has another one");
}

/* They need servers for what they ask, but for what they are told there are no more of them. */
Test(greeting, storm_is_told_the_truth)
{
	static struct crowd crowd;
	PGconn *old;

	start("g_storm", AT_ONCE, "pool_size=3");
	old = join("");
	has(old, "TimeZone", HOME);
	for (int i = 0; i < 2; i++) {
		configure("TimeZone", ELSEWHERE);
		crowd_start(&crowd, rig, CROWD_MAX, "dbname=g_storm", 0, comes, NULL);
		crowd_join(&crowd);
		has(old, "TimeZone", ELSEWHERE);
		configure("TimeZone", HOME);
		newcomers_are_told("TimeZone", HOME);
	}
	cr_assert_leq(rig_log_count(rig, "login: .*took_us"), 3);
	PQfinish(old);
	stop();
}
