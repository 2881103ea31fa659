/* What runs out under load: descriptors, memory, the disk that the log goes to; and clocks that
 * jump. */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"
#include "tests/integration/ledger.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/world.h"

#define WORK_MS 300
#define CROWD_OF_GUESTS 40

TestSuite(fault_limits, .timeout = 180);

static struct ledger ledger;

static void set_limit(struct rig *rig, int resource, rlim_t now)
{
	struct rlimit limit;

	cr_assert(prlimit(rig_pid(rig), (enum __rlimit_resource)resource, NULL, &limit) == 0);
	limit.rlim_cur = now;
	cr_assert(prlimit(rig_pid(rig), (enum __rlimit_resource)resource, &limit, NULL) == 0);
}

/* ---- descriptors ---- */

/* In the child that becomes pgseal. */
static void lower_limit(void)
{
	struct rlimit limit = { .rlim_cur = 48, .rlim_max = 4096 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

Test(fault_limits, soft_limit_of_descriptors_is_none)
{
	PGconn *conns[CROWD_OF_GUESTS];
	struct rig *rig;

	rig_require();
	rig_before_exec(lower_limit);
	rig = rig_start(NULL, NULL, NULL);
	for (int i = 0; i < CROWD_OF_GUESTS; i++)
		conns[i] = rig_connect(rig, "");
	cr_assert_gt(guest_descriptors(rig), 48);
	for (int i = 0; i < CROWD_OF_GUESTS; i++)
		PQfinish(conns[i]);
	rig_stop(rig);
}

/* Those who are in notice nothing. Newcomers are turned away, or wait in the backlog. */
Test(fault_limits, descriptors_run_out_for_a_while)
{
	int fds[CROWD_OF_GUESTS];

	rig_alone();
	ledger_open(&ledger, "f_descriptors", NULL, "");
	ledger_run(&ledger, WORK_MS);
	set_limit(ledger.rig, RLIMIT_NOFILE, (rlim_t)guest_descriptors(ledger.rig) + 4);
	for (int i = 0; i < CROWD_OF_GUESTS; i++)
		fds[i] = rig_raw_connect(ledger.rig);
	cr_assert(rig_wait_log(ledger.rig, "error .*accept: Too many open files", RIG_PATIENCE_MS));
	ledger_recovers(&ledger, rig_now_ms());
	ledger_run(&ledger, WORK_MS);
	set_limit(ledger.rig, RLIMIT_NOFILE, 1000);
	for (int i = 0; i < CROWD_OF_GUESTS; i++)
		close(fds[i]);
	PQfinish(rig_connect(ledger.rig, "dbname=f_descriptors"));
	ledger_recovers(&ledger, rig_now_ms());
	ledger_close(&ledger);
}

/* No descriptor for a new server: clients wait as for any other that cannot be reached. */
Test(fault_limits, descriptors_for_servers_run_out_for_a_while)
{
	int64_t over;

	rig_alone();
	ledger_open(&ledger, "f_sockets", NULL, LEDGER_LOSSES);
	ledger_run(&ledger, WORK_MS);
	set_limit(ledger.rig, RLIMIT_NOFILE, 3);
	rig_admin_exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
	               "WHERE datname = 'f_sockets'");
	cr_assert(rig_wait_log(ledger.rig, "login failed: .*Too many open files", RIG_PATIENCE_MS));
	ledger_run(&ledger, 1500);
	set_limit(ledger.rig, RLIMIT_NOFILE, 1000);
	over = rig_now_ms();
	ledger_recovers(&ledger, over);
	ledger_run(&ledger, WORK_MS);
	ledger_close(&ledger);
}

/* ---- memory ---- */

/* Of the address space most is only reserved; this is what may be written to. */
static rlim_t writable_memory(const struct rig *rig)
{
	FILE *f = fopen(rig_printf("/proc/%d/status", (int)rig_pid(rig)).s, "r");
	unsigned long kilobytes = 0;
	char line[256];

	cr_assert(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmData: %lu", &kilobytes) == 1)
			break;
	fclose(f);
	cr_assert_gt(kilobytes, 0);
	return (rlim_t)kilobytes * 1024;
}

/* Whoever gets in is served; who does not is turned away; the process lives. */
Test(fault_limits, memory_runs_out_for_a_while)
{
	static SSL *guests[400];
	struct rig_tls how = { .cert = "alice" };
	int refused = 0;

	rig_alone();
	signal(SIGPIPE, SIG_IGN); /* who is refused may find out by a write */
	if (rig_sanitized())
		cr_skip_test("a sanitizer has memory of its own");
	ledger_open(&ledger, "f_memory", "max_client_conn = 2000\nmax_login_clients = 2000\n",
	            LEDGER_LOSSES " 53200");
	ledger_run(&ledger, WORK_MS);
	set_limit(ledger.rig, RLIMIT_DATA, writable_memory(ledger.rig));
	for (int i = 0; i < 400; i++) {
		guests[i] = rig_tls_connect(ledger.rig, &how, NULL);
		refused += guests[i] == NULL;
	}
	fprintf(stderr, "# f_memory: %d of 400 handshakes were refused\n", refused);
	cr_assert_gt(refused, 0);
	ledger_run(&ledger, WORK_MS);
	cr_assert_eq(rig_wait_exit(ledger.rig, 0), -1, "pgseal ended");
	set_limit(ledger.rig, RLIMIT_DATA, RLIM_INFINITY);
	for (int i = 0; i < 400; i++)
		rig_tls_free(guests[i]);
	PQfinish(rig_connect(ledger.rig, "dbname=f_memory"));
	ledger_recovers(&ledger, rig_now_ms());
	ledger_close(&ledger);
}

/* ---- the log ---- */

static struct rig_text tiny;

static bool file_says(const char *path, const char *words)
{
	char text[65536];
	FILE *f = fopen(path, "r");
	size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f != NULL)
		fclose(f);
	text[n] = '\0';
	return strstr(text, words) != NULL;
}

/* New clients make lines, until the log says so. */
static void talk_until(const char *path, const char *words)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (!file_says(path, words)) {
		cr_assert(rig_left_ms(deadline) > 0, "%s never said %s", path, words);
		PQfinish(rig_connect(ledger.rig, rig_printf("dbname=%s", ledger.database).s));
	}
}

/* Lines are lost, nothing else; the first that gets through tells how many. */
Test(fault_limits, log_device_is_full)
{
	struct rig_text log;

	rig_alone();
	ledger_open(&ledger, "f_full", "logfile = @dir@/to\n", "");
	log = rig_printf("%s/to", rig_dir(ledger.rig));
	talk_until(log.s, "login: ");
	cr_assert(unlink(log.s) == 0 && symlink("/dev/full", log.s) == 0);
	rig_signal(ledger.rig, SIGHUP);
	for (int i = 0; i < 20; i++)
		PQfinish(rig_connect(ledger.rig, "dbname=f_full"));
	ledger_recovers(&ledger, rig_now_ms());
	cr_assert(unlink(log.s) == 0);
	rig_signal(ledger.rig, SIGHUP);
	talk_until(log.s, "log lines lost: count=");
	ledger_close(&ledger);
}

/* Runs in pgseal's process, in a world that goes with it. */
static void mount_tiny(void)
{
	if (!world_own_mounts() || mount("tmpfs", tiny.s, "tmpfs", 0, "size=16k,mode=0777") != 0)
		_exit(77);
}

Test(fault_limits, log_disk_is_full_for_a_while)
{
	struct rig_text log;
	struct stat st = { .st_size = 0 };

	rig_alone();
	rig_require();
	world_require();
	tiny = rig_printf("%s/tiny.XXXXXX", rig_root());
	cr_assert(mkdtemp(tiny.s) != NULL);
	rig_before_exec(mount_tiny);
	ledger_open(&ledger, "f_disk", rig_printf("logfile = %.3000s/log\n", tiny.s).s, "");
	log = world_path(rig_pid(ledger.rig), rig_printf("%.3000s/log", tiny.s).s);
	while (st.st_size < 16384) {
		cr_assert(stat(log.s, &st) == 0);
		PQfinish(rig_connect(ledger.rig, "dbname=f_disk"));
	}
	ledger_recovers(&ledger, rig_now_ms());
	cr_assert(truncate(log.s, 0) == 0);
	talk_until(log.s, "log lines lost: count=");
	ledger_close(&ledger);
}

/* ---- clocks ---- */

static struct rig_text library, moment;

static void fake_time(void)
{
	setenv("LD_PRELOAD", library.s, 1);
	setenv("FAKETIME_TIMESTAMP_FILE", moment.s, 1);
	setenv("FAKETIME_NO_CACHE", "1", 1);
	/* only the wall clock jumps */
	setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
}

static void set_clock(const char *offset)
{
	FILE *f = fopen(moment.s, "w");

	cr_assert(f != NULL && fputs(offset, f) >= 0 && fclose(f) == 0);
}

static bool find_library(void)
{
	glob_t found;
	bool any = glob("/usr/lib/*/faketime/libfaketimeMT.so.1", 0, NULL, &found) == 0;

	if (any)
		library = rig_printf("%s", found.gl_pathv[0]);
	globfree(&found);
	return any;
}

/* Nobody who is in notices; who comes in while a certificate is not valid is refused for that. */
Test(fault_limits, wall_clock_jumps)
{
	static const char *const jumps[] = { "+30m", "-30m", "+12y", "-12y", "+0" };

	rig_alone();
	rig_require();
	if (rig_sanitized())
		cr_skip_test("a sanitizer does not go with libfaketime");
	if (!find_library())
		cr_skip_test("no libfaketime");
	moment = rig_printf("%s/moment", rig_root());
	set_clock("+0");
	rig_before_exec(fake_time);
	ledger_open(&ledger, "f_clock", NULL, "");
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		set_clock(jumps[i]);
		ledger_recovers(&ledger, rig_now_ms());
		ledger_run(&ledger, WORK_MS);
		if (strcmp(jumps[i], "+12y") == 0) {
			PQfinish(rig_try_connect(ledger.rig, "alice", "dbname=f_clock"));
			cr_assert(rig_log_contains(ledger.rig, "certificate has expired"));
		}
	}
	PQfinish(rig_connect(ledger.rig, "dbname=f_clock"));
	ledger_close(&ledger);
}
