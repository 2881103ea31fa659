/* PostgreSQL's own replication tools through pgseal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/wal.h"

TestSuite(replication_tools, .timeout = 120);

/* Beside initdb, as contrib/demo-postgres finds it. */
#define FIND                                                          \
	"for d in \"$(pg_config --bindir 2>/dev/null)\" "             \
	"$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); " \
	"do [ ! -x \"$d/initdb\" ] || { echo \"$d\"; break; }; done"

static struct rig_text tool(const char *name)
{
	struct rig_text path;
	char dir[512] = "";
	FILE *f = popen(FIND, "r");

	cr_assert(f != NULL);
	if (fgets(dir, sizeof(dir), f) != NULL)
		dir[strcspn(dir, "\n")] = '\0';
	pclose(f);
	path = rig_printf("%s/%s", dir, name);
	if (access(path.s, X_OK) != 0)
		cr_skip_test("%s is not on this machine", name);
	return path;
}

/* Run it through pgseal as alice, its output into a file that is shown if it fails. */
static void run(const struct rig *rig, const char *name, const char *database,
                const char *arguments)
{
	struct rig_text info = rig_conninfo(rig, "alice", rig_printf("dbname=%s", database).s);
	struct rig_text cmd = rig_printf("'%.500s' -d '%.1500s' %.1500s >'%.200s/out' 2>&1 "
	                                 "|| { cat '%.200s/out' >&2; exit 1; }",
	                                 tool(name).s, info.s, arguments, rig_dir(rig),
	                                 rig_dir(rig));
	int status = system(cmd.s);

	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s failed", name);
}

static bool holds(const struct rig *rig, const char *file, const char *words)
{
	return system(rig_printf("grep -qaF '%s' '%s/%s'", words, rig_dir(rig), file).s) == 0;
}

static struct rig_text lsn(void)
{
	return rig_admin_query("SELECT pg_current_wal_insert_lsn()");
}

/* Two connections, of which one streams what is written meanwhile. */
Test(replication_tools, pg_basebackup_makes_a_backup)
{
	struct rig *rig;

	(void)tool("pg_basebackup");
	(void)tool("pg_verifybackup");
	rig_alone(); /* a backup switches to another file of WAL */
	rig = wal_rig("");
	run(rig, "pg_basebackup", "replication",
	    rig_printf("-D '%s/backup' -X stream -c fast --no-sync", rig_dir(rig)).s);
	cr_assert(holds(rig, "backup/PG_VERSION", ""));
	cr_assert(holds(rig, "backup/backup_manifest", "WAL-Ranges"));
	cr_assert_eq(
		system(rig_printf("'%s' -q '%s/backup'", tool("pg_verifybackup").s, rig_dir(rig))
	                       .s),
		0);
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_stat_activity WHERE "
	                         "application_name = 'pg_basebackup'",
	                         "0", RIG_PATIENCE_MS));
	rig_stop(rig);
}

Test(replication_tools, pg_receivewal_receives)
{
	struct rig_text until;
	struct rig *rig;

	(void)tool("pg_receivewal");
	rig_alone(); /* a backup switches to another file of WAL */
	rig = wal_rig("");
	until = lsn();
	wal_table("received"); /* there must be something behind it */
	cr_assert_eq(system(rig_printf("mkdir '%s/wal'", rig_dir(rig)).s), 0);
	run(rig, "pg_receivewal", "replication",
	    rig_printf("-D '%s/wal' -n -v --no-sync --endpos=%.30s", rig_dir(rig), until.s).s);
	cr_assert_eq(system(rig_printf("ls '%s/wal' | grep -q '^0000'", rig_dir(rig)).s), 0);
	rig_stop(rig);
}

Test(replication_tools, pg_recvlogical_receives)
{
	struct rig_text until;
	struct rig *rig;

	(void)tool("pg_recvlogical");
	rig = wal_rig("");
	wal_table("recvlogical");
	run(rig, "pg_recvlogical", "app", "-S wal_recvlogical -P pgoutput --create-slot");
	rig_admin_exec("INSERT INTO wal_recvlogical VALUES ('needle-one')");
	rig_admin_exec("INSERT INTO wal_recvlogical SELECT 'needle-two'");
	until = lsn();
	rig_admin_exec("SET synchronous_commit = on; INSERT INTO wal_recvlogical VALUES ('')");
	run(rig, "pg_recvlogical", "app",
	    rig_printf("-S wal_recvlogical --start -n -o proto_version=1 "
	               "-o publication_names=wal_recvlogical -f '%.200s/changes' "
	               "--endpos=%.30s",
	               rig_dir(rig), until.s)
	            .s);
	cr_assert(holds(rig, "changes", "needle-one"));
	cr_assert(holds(rig, "changes", "needle-two"));
	run(rig, "pg_recvlogical", "app", "-S wal_recvlogical --drop-slot");
	rig_stop(rig);
}

Test(replication_tools, psql_runs_replication_commands)
{
	struct rig *rig;

	(void)tool("psql");
	rig = wal_rig("");
	run(rig, "psql", "app replication=database",
	    "-X -c IDENTIFY_SYSTEM -c 'SELECT current_role'");
	cr_assert(holds(rig, "out", "systemid"));
	cr_assert(holds(rig, "out", "alice"));
	rig_stop(rig);
}
