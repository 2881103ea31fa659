#include "tests/integration/standby.h"

#include <stdlib.h>
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

void standby_start(struct standby *s, const char *name, const char *conf)
{
	static bool alone;

	rig_require();
	if (!alone)
		rig_alone(); /* checkpoints of several backups remove each other's WAL */
	alone = true;
	s->dir = rig_printf("%s/%s", rig_root(), name);
	s->port = rig_spare_port();
	rig_admin_exec("ALTER ROLE alice REPLICATION");
	cr_assert_eq(
		system(rig_printf("mkdir '%.500s' && chmod 755 '%.500s'", s->dir.s, s->dir.s).s),
		0);
	run(s,
	    rig_printf(
		    "$bin/pg_basebackup -D data -R -c fast -X stream --no-sync -d 'host=127.0.0.1 "
		    "port=%d user=alice sslmode=require sslcert=%s/pgseal.crt sslkey=%s/pgseal.key'",
		    rig_postgres_port(), rig_pki(), rig_pki())
	            .s);
	/* It needs no primary to be one: the WAL of the backup will do. */
	run(s, rig_printf("printf '%%s' \"primary_conninfo = ''\n%s\" >>data/postgresql.auto.conf; "
	                  "[ -z \"$as\" ] || chown -R postgres: . data",
	                  conf)
	               .s);
	run(s,
	    rig_printf(
		    "$as $bin/pg_ctl -s -w -t 60 -D data -l data/postgres.log -o '-p %d -k %s' start",
		    s->port, s->dir.s)
	            .s);
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
