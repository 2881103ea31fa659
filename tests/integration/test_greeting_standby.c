/* Clients choose among servers by in_hot_standby, of which they are told when they connect: a standby becomes the
 * primary, and whoever comes then, through pgseal, must hear of that. Each standby is this test's own, a copy of the
 * program's PostgreSQL, whose configuration it has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

TestSuite(greeting_standby, .timeout = 120);

#define CLIENTS 6

static struct rig *rig;
static struct rig_text dir; /* the standby's */
static int port;
static PGconn *early[CLIENTS], *late[CLIENTS];

/* --- the standby --- */

/* Its programs are where the one is that is looked for by demo-postgres. By root it is run as postgres. */
static void run(const char *command)
{
	struct rig_text line = rig_printf(
		"bin=$(for d in $(pg_config --bindir) $(ls -d /usr/lib/postgresql/*/bin | sort -rV); do "
		"[ -x $d/initdb ] && echo $d && break; done); as=; "
		"[ $(id -u) -ne 0 ] || as='setpriv --reuid=postgres --regid=postgres --init-groups'; "
		"cd '%.500s' && { %.2000s; } >>run.log 2>&1 </dev/null",
		dir.s, command);

	if (system(line.s) != 0) {
		(void)!system(rig_printf("cat '%.500s/run.log' >&2", dir.s).s);
		cr_assert_fail("%s", command);
	}
}

static void standby_start(const char *name)
{
	rig_require();
	rig_alone(); /* checkpoints of several backups remove each other's WAL */
	dir = rig_printf("%s/%s", rig_root(), name);
	port = rig_spare_port();
	rig_admin_exec("ALTER ROLE alice REPLICATION");
	cr_assert_eq(system(rig_printf("mkdir '%.500s' && chmod 755 '%.500s'", dir.s, dir.s).s), 0);
	run(rig_printf(
		    "$bin/pg_basebackup -D data -R -c fast -X stream --no-sync -d 'host=127.0.0.1 "
		    "port=%d user=alice sslmode=require sslcert=%s/pgseal.crt sslkey=%s/pgseal.key'",
		    rig_postgres_port(), rig_pki(), rig_pki())
	            .s);
	/* It needs no primary to be one: the WAL of the backup will do. */
	run("echo \"primary_conninfo = ''\" >>data/postgresql.auto.conf; "
	    "[ -z \"$as\" ] || chown -R postgres: . data");
	run(rig_printf(
		    "$as $bin/pg_ctl -s -w -t 60 -D data -l data/postgres.log -o '-p %d -k %s' start",
		    port, dir.s)
	            .s);
}

static void standby_promote(void)
{
	run("$as $bin/pg_ctl -s -w -t 60 -D data promote");
}

static void standby_stop(void)
{
	run("$as $bin/pg_ctl -s -w -m immediate -D data stop");
}

/* --- clients --- */

static void is_told(PGconn *conn, const char *want)
{
	cr_assert_str_eq(rig_told(conn, "in_hot_standby"), want);
}

static bool finds(const char *wanted)
{
	PGconn *conn = rig_try_connect(rig, "alice",
	                               rig_printf("target_session_attrs=%s", wanted).s);
	bool found = PQstatus(conn) == CONNECTION_OK;

	PQfinish(conn);
	return found;
}

static void gather(PGconn **conns, const char *want)
{
	for (int i = 0; i < CLIENTS; i++) {
		conns[i] = rig_connect(rig, "");
		is_told(conns[i], want);
	}
}

static void disperse(PGconn **conns)
{
	for (int i = 0; i < CLIENTS; i++)
		PQfinish(conns[i]);
}

static void start(const char *name, const char *settings)
{
	standby_start(name);
	rig = rig_start(settings,
	                rig_printf("app = host=127.0.0.1 port=%d dbname=app pool_size=3\n", port).s,
	                NULL);
	gather(early, "on");
	cr_assert(finds("standby") && finds("read-only"));
	cr_assert_not(finds("primary") || finds("read-write"));
}

static void stop(void)
{
	disperse(early);
	disperse(late);
	rig_stop(rig);
	standby_stop();
}

/* Old clients hear of it with the next answer. */
static void all_have_a_primary(void)
{
	gather(late, "off");
	cr_assert(finds("primary") && finds("read-write"));
	cr_assert_not(finds("standby") || finds("read-only"));
	for (int i = 0; i < CLIENTS; i++) {
		is_told(early[i], "on");
		cr_assert_str_eq(rig_query(early[i], "SHOW transaction_read_only").s, "off");
		is_told(early[i], "off");
		cr_assert_str_eq(rig_query(late[i], "SELECT pg_is_in_recovery()").s, "f");
	}
}

Test(greeting_standby, promotion_is_told_at_once)
{
	start("standby_once", "workers = 2\ngreeting_max_age = 0\ngreeting_wait = 20s\n");
	standby_promote();
	all_have_a_primary();
	stop();
}

/* A second old may be what is told, by default. */
Test(greeting_standby, promotion_is_told_within_greeting_max_age)
{
	int64_t deadline = rig_now_ms() + 2 * RIG_PATIENCE_MS;

	start("standby_age", "workers = 2\ngreeting_wait = 20s\n");
	standby_promote();
	while (!finds("primary")) {
		cr_assert_lt(rig_now_ms(), deadline);
		rig_nap();
	}
	all_have_a_primary();
	stop();
}

Test(greeting_standby, promotion_is_told_in_session_mode)
{
	start("standby_session", "workers = 2\npool_mode = session\ngreeting_max_age = 0\n"
	                         "greeting_wait = 20s\ndefault_pool_size = 30\n");
	standby_promote();
	gather(late, "off");
	stop();
}
