/* A primary and its standby change places under load, there and back: whoever comes finds the one that he wants, by each of
 * the words for it, and what was acknowledged is there. Each has a pgseal before it, and a third goes to both. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/standby.h"

TestSuite(switchover, .timeout = 240);

#define SETTINGS "workers = 2\ngreeting_max_age = 0\ngreeting_wait = 20s\nserver_login_retry = 1\n"
#define RUN_MS 200000 /* it is ended before */

static struct standby a, b;
static struct rig *before_a, *before_b, *before_both;

/* What the clients want, and whether they may get the primary or the standby. */
static const struct kind {
	const char *attrs;
	bool primary, standby;
} kinds[] = {
	{ "any", true, true },      { "read-write", true, false },
	{ "primary", true, false }, { "read-only", false, true },
	{ "standby", false, true }, { "prefer-standby", false, true },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Odd: they are changing places. */
static atomic_uint epoch;
static struct rig_text infos[KINDS], writes;
static atomic_long acknowledged, visits;

static PGconn *visit(const struct kind *k)
{
	return PQconnectdb(infos[k - kinds].s);
}

/* "t", "f", or "" and it did not answer. */
static struct rig_text ask(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, sql);
	struct rig_text text = { "" };

	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		text = rig_printf("%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	return text;
}

/* In a time of quiet everybody is let in, to where he wants. */
static bool is_right(const struct kind *k, struct rig_text *why)
{
	PGconn *conn = visit(k);
	struct rig_text standby = ask(conn, "SELECT pg_is_in_recovery()");
	bool right = strcmp(standby.s, "t") == 0 ? k->standby
	                                         : strcmp(standby.s, "f") == 0 && k->primary;

	*why = rig_printf("%s: in recovery: %s: %s", k->attrs, standby.s, PQerrorMessage(conn));
	PQfinish(conn);
	return right;
}

static void visitor(struct member *m)
{
	const struct kind *k = &kinds[(size_t)m->index % KINDS];
	struct rig_text why;

	while (crowd_goes_on(m)) {
		unsigned then = atomic_load(&epoch);

		if (!is_right(k, &why) && then % 2 == 0 && atomic_load(&epoch) == then)
			member_fault(m, "%s", why.s);
		atomic_fetch_add(&visits, 1);
	}
}

static void writer(struct member *m)
{
	PGconn *conn = NULL;

	while (crowd_goes_on(m)) {
		PGresult *res;

		if (conn == NULL)
			conn = PQconnectdb(writes.s);
		res = PQexec(conn, "INSERT INTO switched VALUES (1)");
		if (PQresultStatus(res) == PGRES_COMMAND_OK)
			atomic_fetch_add(&acknowledged, 1);
		PQclear(res);
		if (PQstatus(conn) == CONNECTION_BAD) {
			PQfinish(conn);
			conn = NULL;
		}
	}
	PQfinish(conn);
}

/* Until all find what they want again. */
static void wait_for_quiet(void)
{
	int64_t deadline = rig_now_ms() + 2 * RIG_PATIENCE_MS;
	struct rig_text why;
	size_t i = 0;

	while (i < KINDS) {
		if (is_right(&kinds[i], &why)) {
			i++;
			continue;
		}
		cr_assert(rig_left_ms(deadline) > 0, "%s", why.s);
		rig_nap();
		i = 0;
	}
}

static void let_them_run(long more)
{
	long seen = atomic_load(&visits), written = atomic_load(&acknowledged);
	int64_t deadline = rig_now_ms() + 3 * RIG_PATIENCE_MS;

	while (atomic_load(&visits) < seen + more || atomic_load(&acknowledged) < written + more) {
		cr_assert(rig_left_ms(deadline) > 0, "nothing happens");
		rig_nap();
	}
}

static void change_places(struct standby *from, struct standby *to)
{
	atomic_fetch_add(&epoch, 1);
	standby_switch(from, to);
	wait_for_quiet();
	atomic_fetch_add(&epoch, 1);
	let_them_run(50);
}

static struct rig *start(const char *ports, const char *hosts, const char *attrs)
{
	return rig_start(
		SETTINGS,
		rig_printf("app = host=%s port=%s dbname=app pool_size=4 %s\n", hosts, ports, attrs)
			.s,
		NULL);
}

static void start_all(void)
{
	standby_start(&a, "switch_a", NULL);
	standby_promote(&a);
	standby_query(&a, "CREATE TABLE switched (i int)");
	standby_query(&a, "GRANT ALL ON switched TO PUBLIC");
	standby_start(&b, "switch_b", &a);
	before_a = start(rig_printf("%d", a.port).s, "127.0.0.1", "");
	before_b = start(rig_printf("%d", b.port).s, "127.0.0.1", "");
	before_both = start(rig_printf("%d,%d", a.port, b.port).s, "127.0.0.1,127.0.0.1",
	                    "target_session_attrs=read-write");
	for (size_t i = 0; i < KINDS; i++)
		infos[i] = rig_conninfo(
			before_a, "alice",
			rig_printf("host=localhost,localhost hostaddr=127.0.0.1,127.0.0.1 "
		                   "port=%d,%d target_session_attrs=%s",
		                   rig_port(before_a), rig_port(before_b), kinds[i].attrs)
				.s);
	writes = rig_conninfo(before_both, "alice", "");
}

Test(switchover, there_and_back)
{
	static struct crowd visitors, writers;
	struct rig_text count;

	start_all();
	wait_for_quiet();
	crowd_start(&visitors, before_both, KINDS, "", RUN_MS, visitor, NULL);
	crowd_start(&writers, before_both, 3, "", RUN_MS, writer, NULL);
	let_them_run(50);
	change_places(&a, &b);
	change_places(&b, &a);
	crowd_end(&visitors);
	crowd_end(&writers);
	crowd_join(&visitors);
	crowd_join(&writers);
	count = standby_query(&a, "SELECT count(*) FROM switched");
	cr_assert_geq(atol(count.s), atomic_load(&acknowledged), "%s of %ld are there", count.s,
	              atomic_load(&acknowledged));
	rig_stop(before_both);
	rig_stop(before_b);
	rig_stop(before_a);
	standby_stop(&b);
	standby_stop(&a);
}
