/* Limits on servers and clients, at their edges: by database, role, host and identity; the minimum and
 * the reserve of a pool. Several workers, because the limits hold for the process. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

TestSuite(quota, .timeout = 90);

#define BACKENDS "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' %s"

static struct rig_text backends_of(const char *database, const char *also)
{
	return rig_admin_query(rig_printf(BACKENDS, database, also).s);
}

static bool wait_backends_of(const char *database, const char *also, const char *want)
{
	return rig_admin_wait(rig_printf(BACKENDS, database, also).s, want, RIG_PATIENCE_MS);
}

/* In transaction, so that each holds a server. */
static void begin(PGconn **conns, int count, const struct rig *rig, const char *name,
                  const char *extra)
{
	for (int i = 0; i < count; i++) {
		conns[i] = rig_connect_as(rig, name, extra);
		rig_exec(conns[i], "BEGIN");
	}
}

static void finish(PGconn **conns, int count)
{
	for (int i = 0; i < count; i++)
		PQfinish(conns[i]);
}

/* ---- servers, shared by pools ---- */

/* Two databases for the test of that name. */
#define NAMES(name) (const char *[2]){ "quota_" name "_a", "quota_" name "_b" }

/* One pool holds all the servers idle; another's client gets one of them closed in its favour. */
static void makes_room(const char *settings, const char *keys, const char *names[2],
                       const char *role, bool same)
{
	struct rig_text entries = { "" };
	PGconn *held[3], *late;
	struct rig *rig;

	rig_require();
	for (int i = 0; i < 2; i++) {
		crowd_database(names[i]);
		snprintf(entries.s + strlen(entries.s), sizeof(entries.s) - strlen(entries.s), "%s",
		         crowd_entry(names[i], keys).s);
	}
	rig = rig_start(settings, entries.s, NULL);
	begin(held, 3, rig, "alice", rig_printf("dbname=%s", names[0]).s);
	for (int i = 0; i < 3; i++)
		rig_exec(held[i], "COMMIT");
	cr_assert_str_eq(backends_of(names[0], "").s, "3");
	late = rig_connect_as(rig, role, rig_printf("dbname=%s", names[same ? 0 : 1]).s);
	cr_assert_str_eq(rig_query(late, "SELECT 'served'").s, "served");
	cr_assert(wait_backends_of(names[0], "AND usename = 'alice'", "2"));
	/* and the other way round */
	for (int i = 0; i < 3; i++)
		rig_exec(held[i], "BEGIN");
	cr_assert_str_eq(backends_of(names[0], "AND usename = 'alice'").s, "3");
	PQfinish(late);
	finish(held, 3);
	rig_stop(rig);
}

Test(quota, idle_servers_of_another_role_make_room_under_max_db_connections)
{
	makes_room("workers = 2\nmax_db_connections = 3\n", "pool_size=9", NAMES("db"), "bob", true);
}

Test(quota, the_databases_own_max_db_connections_wins)
{
	makes_room("workers = 2\nmax_db_connections = 50\n", "pool_size=9 max_db_connections=3",
	           NAMES("own"), "bob", true);
}

Test(quota, idle_servers_of_another_database_make_room_under_max_user_connections)
{
	makes_room("workers = 2\nmax_user_connections = 3\n", "pool_size=9", NAMES("role"), "alice",
	           false);
}

Test(quota, idle_servers_of_another_database_make_room_under_max_host_connections)
{
	makes_room("workers = 2\nmax_host_connections = 3\n", "pool_size=9", NAMES("host"), "bob",
	           false);
}

/* Nothing idles: the client of the other pool waits, and is the next to be served although the first
 * pool has clients that wait too. */
Test(quota, who_waits_longest_gets_the_next_server_whichever_pool_it_was)
{
	struct rig *rig;
	PGconn *held[2], *other, *rest[2];

	rig_require();
	crowd_database("quota_fair");
	rig = rig_start("workers = 2\nmax_db_connections = 2\n",
	                crowd_entry("quota_fair", "pool_size=2").s, NULL);
	other = rig_connect_as(rig, "bob", "dbname=quota_fair");
	rig_exec(other, "SELECT 1");
	begin(held, 2, rig, "alice", "dbname=quota_fair"); /* bob's server made room */
	rest[0] = rig_connect_as(rig, "alice", "dbname=quota_fair");
	rest[1] = rig_connect_as(rig, "alice", "dbname=quota_fair");
	cr_assert(PQsendQuery(other, "SELECT 'bob'"));
	cr_assert(rig_stays_silent(other, 300));
	cr_assert(PQsendQuery(rest[0], "SELECT 'first'") && PQsendQuery(rest[1], "SELECT 'second'"));
	cr_assert(rig_stays_silent(rest[0], 200));
	rig_exec(held[0], "COMMIT");
	cr_assert_str_eq(rig_scalar(other).s, "bob");
	rig_exec(held[1], "COMMIT");
	cr_assert_str_eq(rig_scalar(rest[0]).s, "first");
	cr_assert_str_eq(rig_scalar(rest[1]).s, "second");
	cr_assert_leq(crowd_backends("quota_fair"), 2);
	finish(rest, 2);
	PQfinish(other);
	finish(held, 2);
	rig_stop(rig);
}

Test(quota, who_waits_in_vain_is_told_which_limit_it_was)
{
	struct rig *rig;
	PGconn *held[1], *late;

	rig_require();
	crowd_database("quota_told");
	rig = rig_start("max_db_connections = 1\nquery_wait_timeout = 700ms\n",
	                crowd_entry("quota_told", "pool_size=5").s, NULL);
	begin(held, 1, rig, "alice", "dbname=quota_told");
	late = rig_connect_as(rig, "alice", "dbname=quota_told");
	cr_assert_str_eq(rig_error(late, "SELECT 1").s, "53300");
	cr_assert(rig_log_contains(rig, "server connections of the database are allowed by "
	                                "max_db_connections"));
	PQfinish(late);
	finish(held, 1);
	rig_stop(rig);
}

static void mixed_body(struct member *m)
{
	while (crowd_goes_on(m)) {
		member_query(m, "SELECT pg_backend_pid()");
		m->done++;
	}
}

/* Two crowds of different roles over fewer servers than either would like: the limit holds at every
 * moment, and both get on. */
Test(quota, limit_holds_and_nobody_starves_under_load)
{
	static struct crowd alices, bobs;
	struct rig *rig;
	long least = 1;

	rig_require();
	crowd_database("quota_load");
	rig_admin_exec("ALTER DATABASE quota_load CONNECTION LIMIT 6"); /* some are still on their way out */
	rig = rig_start("workers = 3\nmax_db_connections = 3\n",
	                crowd_entry("quota_load", "pool_size=3").s, NULL);
	crowd_start(&alices, rig, 6, "dbname=quota_load", 3000, mixed_body, NULL);
	crowd_start(&bobs, rig, 6,
	            rig_printf("dbname=quota_load user=bob sslcert=%s/bob.crt sslkey=%s/bob.key",
	                       rig_pki(), rig_pki()).s, 3000, mixed_body, NULL);
	crowd_join(&alices);
	crowd_join(&bobs);
	for (int i = 0; i < 6; i++)
		cr_assert(alices.members[i].done >= least && bobs.members[i].done >= least,
		          "%ld %ld", alices.members[i].done, bobs.members[i].done);
	rig_stop(rig);
}

/* ---- the minimum and the reserve ---- */

Test(quota, minimum_is_opened_with_the_first_client_and_kept_while_there_is_one)
{
	struct rig *rig;
	PGconn *conn;

	rig_require();
	crowd_database("quota_min");
	rig = rig_start("workers = 2\nserver_idle_timeout = 300ms\n",
	                crowd_entry("quota_min", "min_pool_size=3 pool_size=5").s, NULL);
	conn = rig_connect(rig, "dbname=quota_min");
	cr_assert(wait_backends_of("quota_min", "", "3"));
	/* one that dies is replaced */
	rig_admin_exec("SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity "
	               "WHERE datname = 'quota_min' LIMIT 1) one");
	cr_assert(rig_wait_log(rig, "ended by the server", RIG_PATIENCE_MS));
	cr_assert(wait_backends_of("quota_min", "", "3"));
	PQfinish(conn);
	cr_assert(wait_backends_of("quota_min", "", "0"));
	rig_stop(rig);
}

Test(quota, reserve_is_opened_when_somebody_has_waited_and_closed_when_nobody_does)
{
	struct rig *rig;
	PGconn *held[2], *late;

	rig_require();
	crowd_database("quota_reserve");
	rig = rig_start("workers = 2\nreserve_pool_timeout = 400ms\n",
	                crowd_entry("quota_reserve", "pool_size=2 reserve_pool_size=1").s, NULL);
	begin(held, 2, rig, "alice", "dbname=quota_reserve");
	late = rig_connect(rig, "dbname=quota_reserve");
	cr_assert(PQsendQuery(late, "BEGIN"));
	cr_assert(rig_stays_silent(late, 200));
	cr_assert_str_eq(rig_outcome(late).s, "");
	cr_assert_eq(crowd_backends("quota_reserve"), 3);
	rig_exec(late, "COMMIT");
	cr_assert(crowd_wait_backends("quota_reserve", "2", RIG_PATIENCE_MS));
	PQfinish(late);
	finish(held, 2);
	rig_stop(rig);
}

Test(quota, pool_size_of_the_role_wins_over_the_databases)
{
	struct rig *rig;
	PGconn *held[1], *late;

	rig_require();
	crowd_database("quota_user");
	rig = rig_start("workers = 2\n",
	                rig_printf("%s\n[users]\nalice = pool_size=1 max_user_connections=1\n",
	                           crowd_entry("quota_user", "pool_size=5").s).s,
	                NULL);
	begin(held, 1, rig, "alice", "dbname=quota_user");
	late = rig_connect(rig, "dbname=quota_user");
	cr_assert(PQsendQuery(late, "SELECT 'late'"));
	cr_assert(rig_stays_silent(late, 200));
	rig_exec(held[0], "COMMIT");
	cr_assert_str_eq(rig_scalar(late).s, "late");
	PQfinish(late);
	finish(held, 1);
	rig_stop(rig);
}

/* ---- clients ---- */

/* The first is let in, the second refused with these words; a place that comes free is given again. */
static void clients_are_refused(const char *settings, const char *identities, const char *words)
{
	struct rig *rig = rig_start(settings, NULL, identities);
	PGconn *first = rig_connect(rig, NULL), *second = rig_try_connect(rig, "alice", NULL);

	cr_assert_eq(PQstatus(second), CONNECTION_BAD);
	cr_assert(strstr(PQerrorMessage(second), words) != NULL, "%s", PQerrorMessage(second));
	PQfinish(second);
	PQfinish(first);
	for (int i = 0; i < 20; i++) {
		cr_assert(rig_wait_log(rig, "reason=.client closed the connection", RIG_PATIENCE_MS));
		second = rig_try_connect(rig, "alice", NULL);
		if (PQstatus(second) == CONNECTION_OK)
			break;
		PQfinish(second);
	}
	rig_exec(second, "SELECT 1");
	PQfinish(second);
	rig_stop(rig);
}

Test(quota, clients_over_max_db_client_connections_are_refused)
{
	clients_are_refused("max_db_client_connections = 1\n", NULL,
	                    "too many connections for database \"app\"");
}

Test(quota, clients_over_max_user_client_connections_are_refused)
{
	clients_are_refused("max_user_client_connections = 1\n", NULL,
	                    "too many connections for role \"alice\"");
}

Test(quota, clients_over_max_clients_of_their_identity_are_refused)
{
	clients_are_refused(NULL, "web = cn:alice roles=alice max_clients=1",
	                    "too many connections for identity \"web\"");
}

Test(quota, refused_client_of_one_limit_leaves_no_trace_in_the_others)
{
	struct rig *rig = rig_start("max_db_client_connections = 2\n", NULL,
	                            "web = cn:alice roles=alice max_clients=1\n"
	                            "job = cn:bob roles=bob\n");
	PGconn *first = rig_connect(rig, NULL), *second;

	for (int i = 0; i < 5; i++)
		PQfinish(rig_try_connect(rig, "alice", NULL));
	second = rig_connect_as(rig, "bob", NULL);
	rig_exec(second, "SELECT 1");
	PQfinish(second);
	PQfinish(first);
	rig_stop(rig);
}

/* ---- max_active ---- */

/* Of any number of sessions only so many use the pool at once; others do not mind. */
Test(quota, sessions_over_max_active_wait_for_their_own_kind)
{
	struct rig *rig = rig_start("workers = 3\n", NULL,
	                            "web = cn:alice roles=alice max_active=2\n"
	                            "job = cn:bob roles=bob\n");
	PGconn *held[2], *late[2], *bob;

	begin(held, 2, rig, "alice", NULL);
	late[0] = rig_connect(rig, NULL);
	late[1] = rig_connect(rig, "dbname=other");
	cr_assert(PQsendQuery(late[0], "SELECT 'first'"));
	cr_assert(rig_stays_silent(late[0], 200));
	bob = rig_connect_as(rig, "bob", NULL);
	cr_assert_str_eq(rig_query(bob, "SELECT 'bob'").s, "bob");
	rig_exec(held[0], "COMMIT");
	cr_assert_str_eq(rig_scalar(late[0]).s, "first");
	/* another database counts as well */
	rig_exec(held[0], "BEGIN");
	cr_assert(PQsendQuery(late[1], "SELECT 'other'"));
	cr_assert(rig_stays_silent(late[1], 200));
	PQfinish(held[1]); /* a client that leaves makes room, too */
	cr_assert_str_eq(rig_scalar(late[1]).s, "other");
	finish(late, 2);
	PQfinish(bob);
	PQfinish(held[0]);
	rig_stop(rig);
}

Test(quota, who_waits_for_max_active_in_vain_is_told_and_may_leave)
{
	struct rig *rig = rig_start("workers = 2\nquery_wait_timeout = 600ms\n", NULL,
	                            "web = cn:alice roles=alice max_active=1\n");
	PGconn *held[1], *gone, *late;

	begin(held, 1, rig, "alice", NULL);
	gone = rig_connect(rig, NULL);
	late = rig_connect(rig, NULL);
	cr_assert(PQsendQuery(gone, "SELECT 1"));
	cr_assert(rig_stays_silent(gone, 100));
	PQfinish(gone);
	cr_assert_str_eq(rig_error(late, "SELECT 1").s, "53300");
	cr_assert(rig_log_contains(rig, "max_active"));
	rig_exec(held[0], "COMMIT");
	rig_exec(held[0], "SELECT 1");
	PQfinish(late);
	finish(held, 1);
	rig_stop(rig);
}

/* How many of us are in a transaction at this moment, as PostgreSQL knows by a lock each. */
static void active_body(struct member *m)
{
	while (crowd_goes_on(m)) {
		member_query(m, "BEGIN");
		member_query(m, "SELECT pg_advisory_xact_lock_shared(4711)");
		if (atoi(member_query(m, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
		                         "AND objid = 4711").s) > 3)
			member_fault(m, "more than max_active");
		member_query(m, "COMMIT");
		m->done++;
	}
}

Test(quota, max_active_holds_and_all_get_their_turn_under_load)
{
	static struct crowd crowd;
	struct rig *rig = rig_start("workers = 3\n", NULL, "web = cn:alice roles=alice max_active=3\n");

	crowd_start(&crowd, rig, 12, NULL, 3000, active_body, NULL);
	crowd_join(&crowd);
	for (int i = 0; i < 12; i++)
		cr_assert_gt(crowd.members[i].done, 0);
	rig_stop(rig);
}

/* ---- what the configuration says ---- */

Test(quota, bad_limits_are_refused_with_their_line)
{
	struct rig *rig = rig_start(NULL, NULL, NULL);
	struct rig_text why;

	rig_configure(rig, "max_db_connections = -1\n", "app = @postgres@ min_pool_size=many\n",
	              "web = cn:alice roles=alice max_active=0\n");
	cr_assert_not(rig_reload(rig, &why));
	cr_assert(strstr(why.s, "max_db_connections") != NULL && strstr(why.s, "min_pool_size") != NULL &&
	          strstr(why.s, "max_active") != NULL, "%s", why.s);
	rig_stop(rig);
}
