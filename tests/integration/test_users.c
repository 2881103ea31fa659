/* [users]: what holds for a role, above what its database and [pgseal] say. */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

TestSuite(users, .timeout = 120);

static struct rig *rig;

/* Entries for a database of its own and for roles, as the inside of [databases]. */
static struct rig_text entries(const char *database, const char *keys, const char *users)
{
	return rig_printf("%s[users]\n%s", crowd_entry(database, keys).s, users);
}

static void start(const char *database, const char *keys, const char *users)
{
	crowd_database(database);
	rig = rig_start("workers = 2\n", entries(database, keys, users).s, NULL);
}

static void begin(PGconn *conn)
{
	rig_exec(conn, "BEGIN");
}

Test(users, pool_size_of_a_role_is_above_that_of_the_database)
{
	PGconn *one, *two, *other, *another;

	start("u_size", "pool_size=2", "alice = pool_size=1\n");
	one = rig_connect(rig, "dbname=u_size");
	two = rig_connect(rig, "dbname=u_size");
	other = rig_connect_as(rig, "bob", "dbname=u_size");
	another = rig_connect_as(rig, "bob", "dbname=u_size");
	begin(one);
	cr_assert(PQsendQuery(two, "SELECT 2"));
	cr_assert(rig_stays_silent(two, 300));
	/* Who has no entry has what the database says. */
	begin(other);
	cr_assert_str_eq(rig_query(another, "SELECT 3").s, "3");
	rig_exec(one, "COMMIT");
	cr_assert_str_eq(rig_scalar(two).s, "2");
	PQfinish(one);
	PQfinish(two);
	PQfinish(other);
	PQfinish(another);
	rig_stop(rig);
}

Test(users, pool_size_follows_a_reload_also_when_the_database_is_gone)
{
	PGconn *one, *two;
	struct rig_text why;

	start("u_reload", "pool_size=1", "alice = pool_size=1\n");
	one = rig_connect(rig, "dbname=u_reload");
	two = rig_connect(rig, "dbname=u_reload");
	begin(one);
	cr_assert(PQsendQuery(two, "SELECT 2"));
	cr_assert(rig_stays_silent(two, 300));
	rig_configure(rig, "workers = 2\n", "app = @postgres@\n[users]\nalice = pool_size=2\n",
	              NULL);
	cr_assert(rig_reload(rig, &why), "%s", why.s);
	cr_assert_str_eq(rig_scalar(two).s, "2");
	rig_exec(one, "COMMIT");
	PQfinish(one);
	PQfinish(two);
	rig_stop(rig);
}

Test(users, pool_mode_of_a_role_is_above_that_of_the_database)
{
	PGconn *whole, *piece;

	start("u_mode", "pool_mode=transaction", "alice = pool_mode=session\n");
	whole = rig_connect(rig, "dbname=u_mode");
	piece = rig_connect_as(rig, "bob", "dbname=u_mode");
	rig_exec(whole, "SELECT 1");
	rig_exec(piece, "SELECT 1");
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "alice", "pool_mode").s,
	                 "session");
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "alice", "sv_active").s, "1");
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "bob", "pool_mode").s,
	                 "transaction");
	cr_assert_str_eq(rig_console_value(rig, "SHOW POOLS", "user", "bob", "sv_active").s, "0");
	PQfinish(whole);
	PQfinish(piece);
	rig_stop(rig);
}

Test(users, query_wait_timeout_of_a_role_is_above_that_of_the_database)
{
	PGconn *holder, *waiter;

	start("u_wait", "pool_size=1 query_wait_timeout=60", "alice = query_wait_timeout=200ms\n");
	holder = rig_connect(rig, "dbname=u_wait");
	waiter = rig_connect(rig, "dbname=u_wait");
	begin(holder);
	cr_assert_str_eq(rig_error(waiter, "SELECT 1").s, "53300");
	rig_exec(holder, "COMMIT");
	PQfinish(holder);
	PQfinish(waiter);
	rig_stop(rig);
}

Test(users, query_wait_timeout_that_a_reload_lowers_holds_for_who_waits_already)
{
	PGconn *holder, *waiter;
	struct rig_text why;

	start("u_shorter", "pool_size=1", "alice = query_wait_timeout=0\n");
	holder = rig_connect(rig, "dbname=u_shorter");
	waiter = rig_connect(rig, "dbname=u_shorter");
	begin(holder);
	cr_assert(PQsendQuery(waiter, "SELECT 1"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "u_shorter", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	rig_configure(rig, "workers = 2\n",
	              entries("u_shorter", "pool_size=1", "alice = query_wait_timeout=100ms\n").s,
	              NULL);
	cr_assert(rig_reload(rig, &why), "%s", why.s);
	cr_assert_str_eq(rig_outcome(waiter).s, "53300");
	rig_exec(holder, "COMMIT");
	PQfinish(holder);
	PQfinish(waiter);
	rig_stop(rig);
}

Test(users, show_users_has_the_entries_and_who_came_without)
{
	PGconn *conn;

	start("u_show", "", "alice = pool_size=3 reserve_pool_size=2 pool_mode=session\nzoe =\n");
	conn = rig_connect_as(rig, "bob", "dbname=u_show");
	cr_assert_str_eq(rig_console_value(rig, "SHOW USERS", "name", "alice", "pool_size").s, "3");
	cr_assert_str_eq(
		rig_console_value(rig, "SHOW USERS", "name", "alice", "reserve_pool_size").s, "2");
	cr_assert_str_eq(rig_console_value(rig, "SHOW USERS", "name", "alice", "pool_mode").s,
	                 "session");
	cr_assert_str_eq(rig_console_value(rig, "SHOW USERS", "name", "zoe", "pool_size").s,
	                 "(null)");
	cr_assert_str_eq(rig_console_value(rig, "SHOW USERS", "name", "bob", "pool_mode").s,
	                 "(null)");
	PQfinish(conn);
	rig_stop(rig);
}

struct refusal {
	const char *users, *words;
};

Test(users, what_makes_no_sense_is_refused_all_at_once)
{
	static const struct refusal cases[] = {
		{ "bob = pool_size=0\n", "user \"bob\": pool_size: 0 is out of range" },
		{ "bob = pool_mode=statement\n", "user \"bob\": pool_mode: \"statement\" is not" },
		{ "bob = query_timeout=soon\n", "user \"bob\": query_timeout: \"soon\" is not a time" },
		{ "bob = password=x\n", "user \"bob\": unknown key \"password\"" },
		{ "bob = pool_size\n", "user \"bob\": key=value is needed" },
		{ "bob = pool_size='3\n", "user \"bob\": the closing ' is missing" },
		{ "bob = postgresql://x/y\n", "user \"bob\": connection strings belong" },
		{ "bob = pool_size=1\nbob = pool_size=2\n", "user \"bob\" is there already, on line" },
		{ "* = pool_size=1\n", "user \"*\": there is no entry for all others" },
	};
	struct rig_text why;

	rig = rig_start(NULL, NULL, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_configure(rig, NULL,
		              rig_printf("app = @postgres@\n[users]\n%scarol = nonsense=1\n",
		                         cases[i].users)
		                      .s,
		              NULL);
		cr_assert(!rig_reload(rig, &why), "%s", cases[i].users);
		cr_assert(strstr(why.s, cases[i].words) != NULL, "%s: %s", cases[i].users, why.s);
		cr_assert(strstr(why.s, "user \"carol\": unknown key \"nonsense\"") != NULL, "%s",
		          why.s);
		cr_assert(strstr(why.s, "pgseal.ini:") != NULL, "%s", why.s);
	}
	rig_stop(rig);
}
