/* Limits above the pool while everything changes: clients of several identities, roles and databases over
 * four workers; reloads with other limits, PAUSE, RECONNECT, lost servers, clients that leave, cancel, or
 * pin. Nobody may wait in vain meanwhile, and behind it each limit lets in exactly as many as it says.
 *
 * CHAOS_SECONDS (5) and CHAOS_SEED (of the clock) set the run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

TestSuite(quota_chaos, .timeout = 600);

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PROBES 6

static const char *const bases[] = { "chaos_a", "chaos_b", "chaos_c" };
static const char *const people[] = { "alice", "bob", "carol" };

/* ---- the clients ---- */

static unsigned draw(unsigned *seed, unsigned below)
{
	return (unsigned)rand_r(seed) % below;
}

/* Servers are killed and queries canceled here; all else is a fault, query_wait_timeout above all. */
static bool went_well(struct member *m, const char *what, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return true;
	if (state != NULL && strcmp(state, "57P01") != 0 && strcmp(state, "57014") != 0 &&
	    strcmp(state, "08006") != 0)
		member_fault(m, "%s: %s", what, PQerrorMessage(m->conn));
	return false;
}

static bool try_query(struct member *m, const char *sql)
{
	PGresult *res = PQexec(m->conn, sql);
	bool well = went_well(m, sql, res);

	PQclear(res);
	return well;
}

static bool do_query(struct member *m)
{
	return try_query(m, "SELECT 1");
}

static bool do_transaction(struct member *m)
{
	return try_query(m, "BEGIN") && try_query(m, "SELECT pg_sleep(0.003)") &&
	       try_query(m, "COMMIT");
}

static bool do_leave(struct member *m)
{
	PQsendQuery(m->conn, "SELECT pg_sleep(0.02)");
	return false;
}

static bool do_pin(struct member *m)
{
	PGresult *res = PQprepare(m->conn, rig_printf("mine_%ld", m->done).s, "SELECT 1", 0, NULL);
	bool well = went_well(m, "prepare", res);

	PQclear(res);
	return well && draw(&m->seed, 4) != 0;
}

static bool do_cancel(struct member *m)
{
	PGcancel *key = PQgetCancel(m->conn);
	char why[256];
	PGresult *res;

	PQsendQuery(m->conn, "SELECT pg_sleep(0.02)");
	PQcancel(key, why, sizeof(why));
	PQfreeCancel(key);
	while ((res = PQgetResult(m->conn)) != NULL) {
		(void)went_well(m, "canceled query", res);
		PQclear(res);
	}
	return PQstatus(m->conn) == CONNECTION_OK;
}

static bool (*const deeds[])(struct member *m) = { do_query, do_query, do_transaction,
	                                           do_transaction, do_leave, do_pin, do_cancel };

/* Anew, to any database as any role; the index of the role, -1 if it did not work. */
static int come_in(struct member *m)
{
	unsigned role = draw(&m->seed, COUNT(people));

	PQfinish(m->conn);
	m->conn = PQconnectdb(rig_printf("%s dbname=%s user=%s", m->crowd->conninfo,
	                                 bases[draw(&m->seed, COUNT(bases))], people[role]).s);
	if (PQstatus(m->conn) == CONNECTION_OK)
		return (int)role;
	if (strstr(PQerrorMessage(m->conn), "terminating") == NULL)
		member_fault(m, "connect: %s", PQerrorMessage(m->conn));
	return -1;
}

static void chaos_body(struct member *m)
{
	bool on;

	while (crowd_goes_on(m)) {
		on = come_in(m) >= 0;
		while (on && crowd_goes_on(m)) {
			on = deeds[draw(&m->seed, COUNT(deeds))](m) && draw(&m->seed, 10) != 0;
			m->done++;
		}
	}
}

/* Each transaction holds a lock that tells its identity and its role; PostgreSQL knows the database. */
#define LOCK "SELECT pg_advisory_xact_lock_shared(%d, %d)"
#define HELD "FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND classid BETWEEN 710 AND 719"
#define HERE "database = (SELECT oid FROM pg_database WHERE datname = current_database())"

/* The counts behind which limits are, as the limits below have them. */
static void look_around(struct member *m, int identity, int role)
{
	const struct rig_text sql = rig_printf(
		"SELECT count(*) <= 5 AND count(*) FILTER (WHERE " HERE ") <= 3 "
		"AND count(*) FILTER (WHERE objid = %d) <= 3 "
		"AND count(*) FILTER (WHERE objid = %d AND " HERE ") <= 2 "
		"AND count(*) FILTER (WHERE classid = %d) <= 4 " HELD, role, role, identity);

	if (strcmp(member_query(m, sql.s).s, "f") == 0)
		member_fault(m, "more than a limit allows");
}

static void exact_body(struct member *m)
{
	int identity = 710 + *(const int *)m->crowd->arg, role;

	while (crowd_goes_on(m) && (role = come_in(m)) >= 0)
		for (int i = 0; i < 10 && crowd_goes_on(m); i++) {
			member_query(m, "BEGIN");
			member_query(m, rig_printf(LOCK, identity, role).s);
			look_around(m, identity, role);
			member_query(m, "COMMIT");
			m->done++;
		}
}

/* ---- what changes ---- */

static unsigned seed;

static struct rig_text identities(int max_active)
{
	struct rig_text text = { "op = cn:operator roles=operator console=admin\n" };
	char limit[40] = "";
	size_t i;

	if (max_active > 0)
		snprintf(limit, sizeof(limit), " max_active=%d", max_active);
	for (i = 0; i < COUNT(people); i++)
		snprintf(text.s + strlen(text.s), sizeof(text.s) - strlen(text.s),
		         "the_%s = cn:%s roles=* %s\n", people[i], people[i], limit);
	return text;
}

static struct rig_text entries(const char *keys, const char *users)
{
	struct rig_text text = { "" };
	size_t i;

	for (i = 0; i < COUNT(bases); i++)
		snprintf(text.s + strlen(text.s), sizeof(text.s) - strlen(text.s), "%s",
		         crowd_entry(bases[i], keys).s);
	snprintf(text.s + strlen(text.s), sizeof(text.s) - strlen(text.s), "[users]\n%s\n", users);
	return text;
}

#define BASICS "workers = 4\nquery_wait_timeout = 40s\nserver_login_retry = 200ms\n" \
	"log_connections = 0\nlog_disconnections = 0\n"

static unsigned limit(unsigned most)
{
	return draw(&seed, 3) == 0 ? 0 : 1 + draw(&seed, most);
}

static struct rig_text random_settings(void)
{
	return rig_printf(BASICS "max_db_connections = %u\nmax_user_connections = %u\n"
	                  "max_host_connections = %u\nreserve_pool_timeout = %ums\n"
	                  "server_idle_timeout = %ums\nserver_lifetime = %ums\n",
	                  limit(4), limit(4), limit(8), draw(&seed, 100), 50 + draw(&seed, 500),
	                  50 + draw(&seed, 500));
}

static struct rig_text random_entries(void)
{
	return entries(rig_printf("pool_size=%u min_pool_size=%u reserve_pool_size=%u",
	                          1 + draw(&seed, 4), draw(&seed, 4), draw(&seed, 3)).s,
	               rig_printf("bob = pool_size=%u max_user_connections=%u",
	                          1 + draw(&seed, 4), limit(3)).s);
}

static void change_limits(struct rig *rig)
{
	rig_configure(rig, random_settings().s, random_entries().s,
	              identities((int)limit(4)).s);
	cr_assert(rig_reload(rig, NULL));
}

static void pause_a_while(struct rig *rig)
{
	const char *base = bases[draw(&seed, COUNT(bases))];
	PGconn *operator = rig_connect_as(rig, "operator", "dbname=pgseal");

	/* It may be waiting yet when its connection ends: that takes it back. RESUME must not overtake it. */
	PQsendQuery(operator, rig_printf("PAUSE %s", base).s);
	cr_assert(rig_console_wait(rig, "SHOW DATABASES", "name", base, "paused", "1",
	                           RIG_PATIENCE_MS));
	(void)rig_stays_silent(operator, (int)draw(&seed, 100));
	PQfinish(operator);
	PQclear(rig_console(rig, rig_printf("RESUME %s", base).s));
}

static void reconnect(struct rig *rig)
{
	PQclear(rig_console(rig, "RECONNECT"));
}

static void kill_some(struct rig *rig)
{
	(void)rig;
	(void)rig_admin_query("SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM "
	                      "pg_stat_activity WHERE datname LIKE 'chaos%' ORDER BY random() "
	                      "LIMIT 2) victims");
}

static void (*const changes[])(struct rig *rig) = { change_limits, change_limits, change_limits,
	                                            pause_a_while, reconnect, kill_some };

/* ---- behind it ---- */

/* Of PROBES clients exactly `n` get into a transaction; the others do when these are gone. */
static void lets_in(struct rig *rig, int n, const char *who, const char *const *dbs,
                    const char *const *roles)
{
	PGconn *conns[PROBES];
	int in = 0;

	for (int i = 0; i < PROBES; i++) {
		conns[i] = rig_connect_as(rig, who, rig_printf("dbname=%s user=%s",
		                                               dbs[(size_t)i % COUNT(bases)],
		                                               roles[(size_t)i % COUNT(people)]).s);
		cr_assert(PQsendQuery(conns[i], "BEGIN"));
		if (i < n)
			cr_assert(rig_wait_readable(conns[i], RIG_PATIENCE_MS), "%d of %d", i, n);
		else
			cr_assert(rig_stays_silent(conns[i], 200), "%d over %d", i, n);
	}
	for (in = 0; in < PROBES; in++) {
		cr_assert(rig_wait_readable(conns[in], RIG_PATIENCE_MS), "%d waits", in);
		cr_assert_str_eq(rig_outcome(conns[in]).s, "");
		PQfinish(conns[in]);
	}
}

#define SAME(x) (const char *[]){ x, x, x }

static void probe(struct rig *rig, const char *settings, int max_active, const char *const *dbs,
                  const char *const *roles)
{
	size_t i;

	rig_configure(rig, rig_printf(BASICS "server_idle_timeout = 100ms\n%s\n", settings).s,
	              entries("pool_size=20", "").s, identities(max_active).s);
	cr_assert(rig_reload(rig, NULL));
	/* So that all are greeted without need of a server, and idle ones must make room. */
	for (i = 0; i < COUNT(bases); i++)
		for (size_t r = 0; r < COUNT(people); r++) {
			PGconn *conn = rig_connect_as(rig, "carol",
			                              rig_printf("dbname=%s user=%s", bases[i],
			                                         people[r]).s);

			rig_exec(conn, "SELECT 1");
			PQfinish(conn);
		}
	lets_in(rig, 3, "alice", dbs, roles);
}

/* Clock ticks that pgseal has used. */
static long ticks(const struct rig *rig)
{
	unsigned long user = 0, kernel = 0;
	FILE *f = fopen(rig_printf("/proc/%d/stat", (int)rig_pid(rig)).s, "r");

	cr_assert(f != NULL);
	cr_assert(fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
	                 &user, &kernel) == 2);
	fclose(f);
	return (long)(user + kernel);
}

/* A loop that is busy would use all of some second. */
static bool comes_to_rest(const struct rig *rig)
{
	for (int i = 0; i < 10; i++) {
		long before = ticks(rig);

		sleep(1);
		if (ticks(rig) - before < sysconf(_SC_CLK_TCK) / 5)
			return true;
	}
	return false;
}

static void all_limits_are_exact(struct rig *rig)
{
	probe(rig, "max_db_connections = 3", 0, SAME(bases[0]), people);
	probe(rig, "max_user_connections = 3", 0, bases, SAME(people[1]));
	probe(rig, "max_host_connections = 3", 0, bases, people);
	probe(rig, "", 3, bases, people);
}

static void crowds_start(struct crowd *crowds, struct rig *rig, int run_ms,
                         void (*body)(struct member *m))
{
	static int numbers[COUNT(people)];
	size_t i;

	for (i = 0; i < COUNT(people); i++) {
		numbers[i] = (int)i;
		crowd_start(&crowds[i], rig, 10,
		            rig_printf("dbname=%s sslcert=%s/%s.crt sslkey=%s/%s.key", bases[i],
		                       rig_pki(), people[i], rig_pki(), people[i]).s,
		            run_ms, body, &numbers[i]);
	}
}

static void crowds_join(struct crowd *crowds)
{
	for (size_t i = 0; i < COUNT(people); i++)
		crowd_join(&crowds[i]);
}

static int run_time_ms(void)
{
	const char *seconds = getenv("CHAOS_SECONDS");

	return (seconds != NULL ? atoi(seconds) : 5) * 1000;
}

static void make_bases(void)
{
	rig_require();
	rig_alone(); /* they are the same for both tests */
	for (size_t i = 0; i < COUNT(bases); i++) {
		rig_admin_exec(rig_printf("DROP DATABASE IF EXISTS %s WITH (FORCE)", bases[i]).s);
		crowd_database(bases[i]);
	}
}

Test(quota_chaos, limits_hold_at_every_moment)
{
	static struct crowd crowds[COUNT(people)];
	struct rig *rig;

	make_bases();
	rig = rig_start(BASICS "max_db_connections = 3\nmax_user_connections = 3\n"
	                       "max_host_connections = 5\nserver_lifetime = 300ms\n",
	                entries("pool_size=2 min_pool_size=1", "").s, identities(4).s);
	crowds_start(crowds, rig, run_time_ms(), exact_body);
	crowds_join(crowds);
	cr_assert(comes_to_rest(rig));
	rig_stop(rig);
}

Test(quota_chaos, nobody_waits_in_vain_and_nothing_is_lost_or_won)
{
	static struct crowd crowds[COUNT(people)];
	const char *from = getenv("CHAOS_SEED");
	int64_t until;
	struct rig *rig;

	make_bases();
	seed = from != NULL ? (unsigned)atoi(from) : (unsigned)time(NULL);
	fprintf(stderr, "CHAOS_SEED=%u\n", seed);
	rig = rig_start(random_settings().s, random_entries().s, identities(2).s);
	until = rig_now_ms() + run_time_ms();
	crowds_start(crowds, rig, run_time_ms(), chaos_body);
	while (rig_now_ms() < until) {
		changes[draw(&seed, COUNT(changes))](rig);
		usleep(draw(&seed, 300) * 1000);
	}
	crowds_join(crowds);
	cr_assert(comes_to_rest(rig));
	all_limits_are_exact(rig);
	cr_assert(comes_to_rest(rig));
	rig_stop(rig);
}
