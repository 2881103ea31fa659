/* What clients ask for when they connect is told as PostgreSQL spells it, and refused as PostgreSQL refuses it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

TestSuite(spelling, .timeout = 90);

#define FOR_EVER "greeting_max_age = 1d\n"
#define PATIENT "greeting_wait = 20s\n" /* as long as a slow machine may take */

static struct rig *rig;
static const char *database;

static void start(const char *name, const char *settings, const char *keys)
{
	rig_require();
	database = name;
	crowd_database(name);
	rig = rig_start(settings, crowd_entry(name, keys).s, NULL);
}

static void stop(void)
{
	rig_stop(rig);
}

static PGconn *join(const char *options)
{
	return rig_connect(rig, rig_printf("dbname=%s options='%s'", database, options).s);
}

/* Who is let in is told this of the parameter, and the server agrees. */
static void is_told(const char *options, const char *name, const char *want)
{
	PGconn *conn = join(options);

	cr_assert_str_eq(rig_told(conn, name), want, "%s: told as %s, not as %s", options,
	                 rig_told(conn, name), want);
	cr_assert_str_eq(rig_query(conn, rig_printf("SHOW %s", name).s).s, want);
	cr_assert_str_eq(rig_told(conn, name), want);
	PQfinish(conn);
}

/* As PostgreSQL tells it without a pooler. */
static struct rig_text direct(const char *options, const char *name)
{
	PGconn *conn = rig_admin_connect(rig_printf("app options='%s'", options).s);
	struct rig_text told = rig_printf("%s", rig_told(conn, name));

	PQfinish(conn);
	return told;
}

static const struct {
	const char *options, *name;
} asked[] = {
	{ "-c client_encoding=utf8", "client_encoding" },
	{ "-c client_encoding=UNICODE", "client_encoding" },
	{ "-c client_encoding=latin-1", "client_encoding" },
	{ "-c datestyle=german", "DateStyle" },
	{ "-c DateStyle=ISO", "DateStyle" },
	{ "-c DateStyle=dmy", "DateStyle" },
	{ "-c timezone=europe/rome", "TimeZone" },
	{ "-c TimeZone=5", "TimeZone" },
	{ "-c IntervalStyle=ISO_8601", "IntervalStyle" },
	{ "-c standard_conforming_strings=1", "standard_conforming_strings" },
	{ "-c default_transaction_read_only=t", "default_transaction_read_only" },
};

static void is_that_of_postgresql(const char *name, const char *settings)
{
	start(name, settings, "pool_size=1");
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		for (int k = 0; k < 2; k++)
			is_told(asked[i].options, asked[i].name,
			        direct(asked[i].options, asked[i].name).s);
	stop();
}

Test(spelling, is_that_of_postgresql)
{
	is_that_of_postgresql("sp_each", PATIENT);
}

Test(spelling, is_that_of_postgresql_in_session_mode)
{
	is_that_of_postgresql("sp_session", "pool_mode = session\n" PATIENT);
}

Test(spelling, of_several_that_are_new_at_once)
{
	PGconn *conn;

	start("sp_all", "workers = 2\n" PATIENT, "pool_size=1");
	conn = join("-c client_encoding=utf-8 -c datestyle=sql -c timezone=asia/tokyo "
	            "-c intervalstyle=POSTGRES_VERBOSE -c standard_conforming_strings=YES");
	cr_assert_str_eq(rig_told(conn, "client_encoding"), "UTF8");
	cr_assert_str_eq(rig_told(conn, "DateStyle"), "SQL, MDY");
	cr_assert_str_eq(rig_told(conn, "TimeZone"), "Asia/Tokyo");
	cr_assert_str_eq(rig_told(conn, "IntervalStyle"), "postgres_verbose");
	cr_assert_str_eq(rig_told(conn, "standard_conforming_strings"), "on");
	PQfinish(conn);
	stop();
}

/* PostgreSQL completes a DateStyle by what the session has: that must not be another client's. */
Test(spelling, does_not_depend_on_who_used_the_server_before)
{
	PGconn *before;

	start("sp_before", PATIENT, "pool_size=1");
	before = join("-c DateStyle=SQL,DMY");
	cr_assert_str_eq(rig_query(before, "SELECT date '2001-02-03'").s, "03/02/2001");
	is_told("-c DateStyle=SQL", "DateStyle", "SQL, MDY");
	cr_assert_str_eq(rig_query(before, "SELECT date '2001-02-03'").s, "03/02/2001");
	is_told("-c DateStyle=SQL", "DateStyle", "SQL, MDY");
	PQfinish(before);
	stop();
}

/* It is a question of the server's own: nobody's session is changed by it. */
Test(spelling, is_found_out_without_a_trace)
{
	PGconn *before;

	start("sp_trace", PATIENT, "pool_size=1");
	before = join("");
	rig_exec(before, "SET client_encoding = LATIN1; SET TimeZone = 'Asia/Tokyo'");
	is_told("-c client_encoding=sjis", "client_encoding", "SJIS");
	is_told("-c timezone=utc", "TimeZone", "UTC");
	cr_assert_str_eq(rig_query(before, "SHOW client_encoding").s, "LATIN1");
	cr_assert_str_eq(rig_query(before, "SHOW TimeZone").s, "Asia/Tokyo");
	cr_assert_str_eq(rig_told(before, "client_encoding"), "LATIN1");
	is_told("", "TimeZone", rig_admin_query("SHOW TimeZone").s);
	PQfinish(before);
	stop();
}

/* --- refused --- */

static void is_refused(const char *options, const char *name, const char *more)
{
	PGconn *conn = rig_try_connect(rig, "alice",
	                               rig_printf("dbname=%s options='%s'", database, options).s);
	struct rig_text words = rig_printf("FATAL:  invalid value for parameter \"%s\"", name);

	cr_assert_eq(PQstatus(conn), CONNECTION_BAD, "%s", options);
	cr_assert(strstr(PQerrorMessage(conn), words.s) != NULL, "%s: %s", options,
	          PQerrorMessage(conn));
	cr_assert(strstr(PQerrorMessage(conn), more) != NULL, "%s: %s", options,
	          PQerrorMessage(conn));
	PQfinish(conn);
}

Test(spelling, that_is_none_is_refused_at_once_in_the_servers_words)
{
	PGconn *other;
	struct rig_text pid;

	start("sp_none", PATIENT, "pool_size=1");
	other = join("");
	pid = rig_query(other, "SELECT pg_backend_pid()");
	for (int i = 0; i < 2; i++) {
		is_refused("-c DateStyle=nonsense", "DateStyle", "Unrecognized key word");
		is_refused("-c IntervalStyle=no", "IntervalStyle", "Available values: postgres,");
		is_refused("-c client_encoding=klingon", "client_encoding", "klingon");
		is_refused("-c TimeZone=Nowhere/Land -c client_encoding=utf8", "TimeZone",
		           "Nowhere/Land");
	}
	cr_assert(strcmp(rig_console_value(rig, "SHOW ERRORS", "sqlstate", "22023", "count").s,
	                 "") != 0);
	cr_assert_str_eq(rig_query(other, "SELECT pg_backend_pid()").s, pid.s);
	is_told("-c client_encoding=utf8", "client_encoding", "UTF8");
	PQfinish(other);
	stop();
}

/* What the question has met is no error of whoever has the server next. */
Test(spelling, that_is_none_leaves_no_error_to_others)
{
	PGconn *other;

	start("sp_words", PATIENT, "pool_size=1");
	other = join("");
	rig_exec(other, "CREATE TABLE t (i int)");
	PQclear(PQprepare(other, "p", "INSERT INTO t VALUES (1) RETURNING i", 0, NULL));
	for (int i = 0; i < 3; i++) {
		PQclear(rig_console(rig, "RECONNECT")); /* so that it is prepared there anew */
		cr_assert(crowd_wait_backends(database, "0", RIG_PATIENCE_MS));
		is_refused("-c DateStyle=nonsense", "DateStyle", "");
		cr_assert_str_eq(rig_query(other, "EXECUTE p").s, "1");
	}
	cr_assert_str_eq(rig_query(other, "SELECT count(*) FROM t").s, "3");
	PQfinish(other);
	stop();
}

/* The server has another client's encoding, which has no such character. */
Test(spelling, that_is_none_is_told_whatever_encoding_another_client_has)
{
	PGconn *other;

	start("sp_euro", PATIENT, "pool_size=1");
	other = join("-c client_encoding=LATIN1");
	rig_exec(other, "SELECT 1");
	is_refused("-c DateStyle=\xe2\x82\xac", "DateStyle", "\xe2\x82\xac");
	PQfinish(other);
	stop();
}

/* --- asked for once, or not at all --- */

#define STORM 50

static void just_come(struct member *m)
{
	if (strcmp(PQparameterStatus(m->conn, "DateStyle"), "German, DMY") != 0)
		member_fault(m, "told as %s", PQparameterStatus(m->conn, "DateStyle"));
}

/* Transactions on the database, of all that has ended there. */
static long transactions(void)
{
	PQclear(rig_console(rig, "RECONNECT"));
	cr_assert(crowd_wait_backends(database, "0", RIG_PATIENCE_MS));
	return atol(rig_admin_query(rig_printf("SELECT xact_commit FROM pg_stat_database "
	                                       "WHERE datname = '%s'",
	                                       database)
	                                    .s)
	                    .s);
}

Test(spelling, is_asked_for_once)
{
	static struct crowd crowd;
	PGconn *conn;
	long before;

	start("sp_once", "workers = 2\n" FOR_EVER PATIENT, "pool_size=1");
	conn = join("");
	before = transactions();
	rig_exec(conn, "SELECT 1"); /* there is a server */
	crowd_start(&crowd, rig, STORM,
	            rig_printf("dbname=%s options='-c datestyle=german'", database).s, 0, just_come,
	            NULL);
	crowd_join(&crowd);
	is_told("-c datestyle=german", "DateStyle", "German, DMY");
	/* a login and its check, that query, one or two questions, SHOW and what goes before */
	cr_assert_leq(transactions() - before, 12);
	PQfinish(conn);
	stop();
}

/* PostgreSQL completes it by what postgresql.conf says, pgseal by what new sessions have, the database's setting included. */
Test(spelling, is_forgotten_when_servers_change)
{
	start("sp_changed", FOR_EVER PATIENT, "pool_size=1");
	is_told("-c datestyle=iso", "DateStyle", "ISO, MDY");
	rig_admin_exec(rig_printf("ALTER DATABASE %s SET DateStyle = 'SQL, DMY'", database).s);
	PQclear(rig_console(rig, "RECONNECT"));
	cr_assert(crowd_wait_backends(database, "0", RIG_PATIENCE_MS));
	is_told("", "DateStyle", "SQL, DMY");
	is_told("-c datestyle=iso", "DateStyle", "ISO, DMY");
	stop();
}

/* --- when nobody can be asked --- */

Test(spelling, is_the_clients_while_all_servers_are_busy)
{
	PGconn *busy, *conn;

	start("sp_busy", "greeting_wait = 100ms\n", "pool_size=1");
	busy = join("");
	rig_exec(busy, "BEGIN");
	conn = join("-c client_encoding=latin-1");
	cr_assert_str_eq(rig_told(conn, "client_encoding"), "latin-1");
	cr_assert(rig_log_contains(rig, "greeted from memory"));
	rig_exec(busy, "COMMIT");
	/* it hears of it as soon as there is a server */
	cr_assert_str_eq(rig_query(conn, "SHOW client_encoding").s, "LATIN1");
	cr_assert_str_eq(rig_told(conn, "client_encoding"), "LATIN1");
	PQfinish(conn);
	PQfinish(busy);
	stop();
}
