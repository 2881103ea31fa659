#include "tests/integration/standby.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

/* Its programs are where the one is that is looked for by demo-postgres. By root it is run as postgres. */
static void run(const struct standby *s, const char *command)
{
	struct rig_text line = rig_printf(
		"bin=$(for d in $(pg_config --bindir) $(ls -d /usr/lib/postgresql/*/bin | sort -rV); do "
		"[ -x $d/initdb ] && echo $d && break; done); as=; "
		"[ $(id -u) -ne 0 ] || as='setpriv --reuid=postgres --regid=postgres --init-groups'; "
		"cd '%.500s' && { %.2000s; } >>run.log 2>&1 </dev/null",
		s->dir.s, command);

	if (system(line.s) != 0) {
		(void)!system(rig_printf("cat '%.500s/run.log' >&2", s->dir.s).s);
		cr_assert_fail("%s", command);
	}
}

/* For libpq: the one that listens there; the certificate is in that directory. */
static struct rig_text primary(int port, const char *certificates)
{
	return rig_printf(
		"host=127.0.0.1 port=%d user=alice sslmode=require sslcert=%.500s/pgseal.crt "
		"sslkey=%.500s/pgseal.key",
		port, certificates, certificates);
}

/* It needs no primary to be one: the WAL of the backup will do. */
static void follow(const struct standby *s, const struct standby *of)
{
	run(s,
	    rig_printf("echo \"primary_conninfo = '%.1500s'\" >>data/postgresql.auto.conf; "
	               "touch data/standby.signal; cp '%.500s'/pgseal.crt '%.500s'/pgseal.key .; "
	               "[ -z \"$as\" ] || chown -R postgres: . data",
	               of != NULL ? primary(of->port, s->dir.s).s : "", rig_pki(), rig_pki())
	            .s);
}

static void begin(const struct standby *s)
{
	run(s, rig_printf("$as $bin/pg_ctl -s -w -t 60 -D data -l data/postgres.log "
	                  "-o '-p %d -k %.500s' start",
	                  s->port, s->dir.s)
	               .s);
}

void standby_start(struct standby *s, const char *name, const struct standby *of)
{
	static bool alone;
	int port = of != NULL ? of->port : rig_postgres_port();

	rig_require();
	if (!alone)
		rig_alone(); /* checkpoints of several backups remove each other's WAL */
	alone = true;
	s->dir = rig_printf("%s/%s", rig_root(), name);
	s->port = rig_spare_port();
	if (of == NULL)
		rig_admin_exec("ALTER ROLE alice REPLICATION");
	cr_assert_eq(
		system(rig_printf("mkdir '%.500s' && chmod 755 '%.500s'", s->dir.s, s->dir.s).s),
		0);
	run(s, rig_printf("$bin/pg_basebackup -D data -c fast -X stream --no-sync -d '%.1500s'",
	                  primary(port, rig_pki()).s)
	               .s);
	follow(s, of);
	begin(s);
}

void standby_promote(struct standby *s)
{
	run(s, "$as $bin/pg_ctl -s -w -t 60 -D data promote");
}

void standby_stop(struct standby *s)
{
	run(s, "$as $bin/pg_ctl -s -w -m immediate -D data stop");
}

struct rig_text standby_query(const struct standby *s, const char *sql)
{
	PGconn *conn = PQconnectdb(
		rig_printf("host=%.500s port=%d user=postgres dbname=app", s->dir.s, s->port).s);
	struct rig_text text;

	cr_assert_eq(PQstatus(conn), CONNECTION_OK, "%s", PQerrorMessage(conn));
	text = rig_query(conn, sql);
	PQfinish(conn);
	return text;
}

/* Its standby has all that it has: then what it still writes goes there before it has stopped. */
static void wait_for_streaming(const struct standby *s)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (strcmp(standby_query(s, "SELECT count(*) FROM pg_stat_replication "
	                               "WHERE state = 'streaming'")
	                      .s,
	              "1") != 0) {
		cr_assert(rig_left_ms(deadline) > 0, "nobody follows the primary");
		rig_nap();
	}
}

void standby_switch(struct standby *s, struct standby *to)
{
	wait_for_streaming(s);
	run(s, "$as $bin/pg_ctl -s -w -t 60 -m fast -D data stop");
	standby_promote(to);
	follow(s, to);
	begin(s);
}
