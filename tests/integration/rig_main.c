/* The test program itself: starts PostgreSQL, runs the tests, cleans up whatever happens. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/hooks.h>

#include "tests/integration/rig_priv.h"

#define ROLES "alice bob carol dave operator app_ro app_rw"
#define CLIENTS "alice bob carol operator"
#define NO_POSTGRES 77 /* exit status of demo-postgres without initdb */

const char *rig_source_dir(void)
{
	const char *dir = getenv("PGSEAL_SRCDIR");

	return dir != NULL ? dir : RIG_SRCDIR;
}

const char *rig_binary(void)
{
	const char *path = getenv("PGSEAL_BINARY");

	return path != NULL ? path : RIG_BUILDDIR "/pgseal";
}

const char *rig_root(void)
{
	const char *dir = getenv(RIG_ENV);

	cr_assert(dir != NULL, "the rig's main() did not run");
	return dir;
}

struct rig_text rig_printf(const char *fmt, ...)
{
	struct rig_text text;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text.s, sizeof(text.s), fmt, args);
	va_end(args);
	return text;
}

int64_t rig_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int rig_left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - rig_now_ms();

	return left > 0 ? (int)left : 0;
}

void rig_nap(void)
{
	struct timespec ts = { .tv_nsec = 5000000 };

	nanosleep(&ts, NULL);
}

void rig_require(void)
{
	if (getenv(RIG_ENV_PORT) == NULL)
		cr_skip_test("no PostgreSQL on this machine");
}

void rig_alone(void)
{
	/* kept open until the end of the test's process, and not left to its children */
	int fd = open(rig_printf("%s/alone.lock", rig_root()).s, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0, "%s", strerror(errno));
}

/* All sanitizers leave their names in what they instrument. */
bool rig_sanitized(void)
{
	static const char *const marks[] = { "__asan_init", "__tsan_init" };
	int fd = open(rig_binary(), O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool found = false;
	void *at;

	cr_assert(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", rig_binary(), strerror(errno));
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	cr_assert(at != MAP_FAILED);
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		found = found ||
		        memmem(at, (size_t)st.st_size, marks[i], strlen(marks[i])) != NULL;
	munmap(at, (size_t)st.st_size);
	close(fd);
	return found;
}

int rig_postgres_port(void)
{
	const char *port = getenv(RIG_ENV_PORT);

	return port != NULL ? atoi(port) : 0;
}

const char *rig_pki(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/pki", rig_root());
	return path;
}

/* Tests run at the same time, and each may want the same one. */
static void make_cert(const char *name)
{
	struct rig_text lock = rig_printf("%s/pki.lock", rig_root());
	struct rig_text cmd = rig_printf("'%s/contrib/demo-pki' '%s' '%s'", rig_source_dir(), rig_pki(),
	                                 name);
	int fd = open(lock.s, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	cr_assert(fd >= 0 && flock(fd, LOCK_EX) == 0, "%s: %s", lock.s, strerror(errno));
	cr_assert(system(cmd.s) == 0, "no certificate for %s", name);
	close(fd);
}

/* The certificate comes last: with it all is there. */
struct rig_text rig_cert(const char *name)
{
	struct rig_text prefix = rig_printf("%s/%s", rig_pki(), name);

	if (access(rig_printf("%.3000s.crt", prefix.s).s, R_OK) != 0)
		make_cert(name);
	return prefix;
}

PGconn *rig_admin_connect(const char *dbname)
{
	struct rig_text info = rig_printf("host=%s/postgres port=%d user=postgres dbname=%s",
	                                  rig_root(), rig_postgres_port(), dbname);
	PGconn *conn = PQconnectdb(info.s);

	cr_assert(PQstatus(conn) == CONNECTION_OK, "superuser: %s", PQerrorMessage(conn));
	return conn;
}

void rig_admin_exec(const char *sql)
{
	PGconn *conn = rig_admin_connect("app");

	rig_exec(conn, sql);
	PQfinish(conn);
}

struct rig_text rig_admin_query(const char *sql)
{
	PGconn *conn = rig_admin_connect("app");
	struct rig_text text = rig_query(conn, sql);

	PQfinish(conn);
	return text;
}

bool rig_admin_wait(const char *sql, const char *want, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	PGconn *conn = rig_admin_connect("app");
	bool met;

	while (!(met = strcmp(rig_query(conn, sql).s, want) == 0) && rig_left_ms(deadline) > 0)
		rig_nap();
	PQfinish(conn);
	return met;
}

/* --- logs of failed tests --- */

static void copy_to_stderr(const char *path)
{
	FILE *f = fopen(path, "r");
	char chunk[8192];
	size_t n;

	if (f == NULL)
		return;
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		fwrite(chunk, 1, n, stderr);
	fclose(f);
}

/* Was this directory made by that test? */
static bool made_by(const char *dir, const char *test)
{
	struct rig_text path = rig_printf("%.3000s/" RIG_NAME, dir);
	char line[512] = "";
	FILE *f = fopen(path.s, "r");

	if (f == NULL)
		return false;
	if (fgets(line, sizeof(line), f) == NULL)
		line[0] = '\0';
	fclose(f);
	return strcmp(line, test) == 0;
}

static void dump_logs(const char *test)
{
	struct dirent *entry;
	DIR *dir = opendir(rig_root());

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct rig_text path = rig_printf("%s/%s", rig_root(), entry->d_name);

		if (entry->d_name[0] == '.' || !made_by(path.s, test))
			continue;
		fprintf(stderr, "---- pgseal's log in %s (%s)\n", test, entry->d_name);
		copy_to_stderr(rig_printf("%.3000s/" RIG_LOG, path.s).s);
		fprintf(stderr, "----\n");
	}
	if (dir != NULL)
		closedir(dir);
}

ReportHook(POST_TEST)(struct criterion_test_stats *stats)
{
	if (stats->test_status == CR_STATUS_FAILED || stats->crashed || stats->timed_out)
		dump_logs(rig_printf("%s.%s", stats->test->category, stats->test->name).s);
}

/* --- the program --- */

static void clean_up(const char *root)
{
	struct rig_text stop = rig_printf("'%s/contrib/demo-postgres' stop '%s/postgres'", rig_source_dir(),
	                                  root);
	struct rig_text rm = rig_printf("rm -rf '%s'", root);

	if (system(stop.s) != 0)
		fprintf(stderr, "rig: PostgreSQL in %s did not stop\n", root);
	if (system(rm.s) != 0)
		fprintf(stderr, "rig: %s is left\n", root);
}

/* A process that cleans up once nobody holds the other end of the pipe: the program has ended, in
 * whatever way. Returns the end to hold; close-on-exec, so that no test's child keeps it. */
static int watchdog_start(const char *root, pid_t *out)
{
	int ends[2];
	char byte;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		setsid();
		signal(SIGHUP, SIG_IGN);
		while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
			;
		clean_up(root);
		_exit(0);
	}
	close(ends[0]);
	*out = pid;
	return pid > 0 ? ends[1] : -1;
}

/* False when there is no PostgreSQL on this machine; other trouble ends the program. */
static bool postgres_start(const char *root)
{
	struct rig_text cmd = rig_printf("'%s/contrib/demo-pki' '%s/pki' " CLIENTS
	                                 " && '%s/contrib/demo-postgres' start '%s/postgres' '%s/pki' "
	                                 ROLES, rig_source_dir(), root, rig_source_dir(), root, root);
	char port[16] = "";
	FILE *f = popen(cmd.s, "r");
	int status;

	if (f == NULL || fgets(port, sizeof(port), f) == NULL)
		port[0] = '\0';
	status = f != NULL ? pclose(f) : -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_POSTGRES)
		return false;
	if (status != 0 || port[0] == '\0') {
		fprintf(stderr, "rig: PostgreSQL did not start\n");
		exit(EXIT_FAILURE);
	}
	port[strcspn(port, "\n")] = '\0';
	setenv(RIG_ENV_PORT, port, 1);
	return true;
}

static int run_tests(int argc, char **argv)
{
	struct criterion_test_set *tests = criterion_initialize();
	int status = EXIT_SUCCESS;

	if (criterion_handle_args(argc, argv, true))
		status = criterion_run_all_tests(tests) ? EXIT_SUCCESS : EXIT_FAILURE;
	criterion_finalize(tests);
	return status;
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	char root[256];
	int status, hold;
	pid_t watchdog;

	snprintf(root, sizeof(root), "%s/pgseal-rig.XXXXXX", tmp != NULL ? tmp : "/tmp");
	/* PostgreSQL may run as somebody else, who must get in */
	if (mkdtemp(root) == NULL || chmod(root, 0755) != 0) {
		perror("rig: temporary directory");
		return EXIT_FAILURE;
	}
	setenv(RIG_ENV, root, 1);
	unsetenv(RIG_ENV_PORT);
	hold = watchdog_start(root, &watchdog);
	if (hold < 0) {
		perror("rig: watchdog");
		return EXIT_FAILURE;
	}
	if (!postgres_start(root))
		fprintf(stderr, "rig: no initdb found, tests skip\n");
	status = run_tests(argc, argv);
	close(hold);
	waitpid(watchdog, NULL, 0);
	return status;
}
