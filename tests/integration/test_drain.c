/* While sessions finish behind a SIGTERM: who is let in, and whom the console still answers; and
 * how the next process takes over. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

#define CONSOLES 4
#define AT_ONCE_MS 5000
#define IDENTITIES                                           \
	"watcher = cn:watcher roles=watcher console=stats\n" \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"

TestSuite(drain, .timeout = 60);

static struct rig *rig;
static PGconn *busy;

/* Two workers, of which one has a session in a transaction, the other none. */
static void start(void)
{
	rig = rig_start("workers = 2\nshutdown_timeout = 60\npidfile = @dir@/pid\n", NULL,
	                IDENTITIES);
	cr_assert(rig_wait_log(rig, "started: ", RIG_PATIENCE_MS));
	busy = rig_connect(rig, "");
	rig_exec(busy, "BEGIN");
}

static void drain(void)
{
	rig_signal(rig, SIGTERM);
	cr_assert(rig_wait_log(rig, "shutdown: sessions end with their transactions",
	                       RIG_PATIENCE_MS));
}

static void finish(void)
{
	cr_assert_str_eq(rig_query(busy, "SELECT 'still'").s, "still");
	rig_exec(busy, "COMMIT");
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(busy);
	rig_stop(rig);
}

Test(drain, consoles_of_every_worker_are_answered)
{
	PGconn *consoles[CONSOLES];

	start();
	for (int i = 0; i < CONSOLES; i++)
		consoles[i] = rig_connect_as(rig, "watcher", "dbname=pgseal");
	for (int worker = 0; worker < 2; worker++)
		cr_assert(
			rig_wait_log(
				rig,
				rig_printf("w%d session .*login: .*database=\"pgseal\"", worker).s,
				AT_ONCE_MS),
			"no console on worker %d", worker);
	drain();
	usleep(200000); /* the worker without a session has nothing more to do by then */
	for (int i = 0; i < CONSOLES; i++) {
		cr_assert(PQsendQuery(consoles[i], "SHOW POOLS"));
		cr_assert(rig_wait_readable(consoles[i], AT_ONCE_MS), "console %d hears nothing",
		          i);
		cr_assert_str_eq(rig_scalar(consoles[i]).s, "app");
	}
	for (int i = 0; i < CONSOLES; i++)
		PQfinish(consoles[i]);
	finish();
}

/* What connect() says to a newcomer. */
static int knock(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)rig_port(rig)),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int said = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 ? 0 : errno;

	close(fd);
	return said;
}

Test(drain, newcomers_are_refused_by_the_kernel_at_once)
{
	int64_t deadline;

	start();
	cr_assert_eq(knock(), 0);
	drain();
	deadline = rig_now_ms() + AT_ONCE_MS;
	while (knock() != ECONNREFUSED) {
		cr_assert_gt(rig_left_ms(deadline), 0, "still let in");
		rig_nap();
	}
	finish();
}

/* --- the Unix socket --- */

static struct rig_text console_info(void)
{
	return rig_printf("host=%s port=%d user=pgseal dbname=pgseal connect_timeout=20",
	                  rig_dir(rig), rig_port(rig));
}

/* Who comes now, to see what it waits for, or to make it end. */
Test(drain, the_console_is_open_over_the_unix_socket)
{
	PGconn *denied;

	start();
	drain();
	cr_assert_str_eq(rig_console_value(rig, "SHOW STATE", "key", "active", "value").s, "no");
	cr_assert_str_eq(rig_console_value(rig, "SHOW CLIENTS", "user", "alice", "state").s,
	                 "active");
	denied = PQconnectdb(rig_printf("%.500s user=alice dbname=app", console_info().s).s);
	cr_assert_eq(PQstatus(denied), CONNECTION_BAD);
	PQfinish(denied);
	cr_assert_str_eq(rig_query(busy, "SELECT 'still'").s, "still");
	PQclear(rig_console(rig, "SHUTDOWN"));
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(busy);
	rig_stop(rig);
}

static pid_t start_successor(void)
{
	pid_t pid = fork();
	int null;

	cr_assert_geq(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null = open("/dev/null", O_WRONLY);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execl(rig_binary(), rig_binary(), rig_config(rig), (char *)NULL);
	_exit(127);
}

/* "yes" or "no" from whoever has the name now; "" while nobody has. */
static struct rig_text is_active(void)
{
	PGconn *conn = PQconnectdb(console_info().s);
	struct rig_text text = { "" };
	PGresult *res = PQexec(conn, "SHOW STATE");

	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		text = rig_cell(res, 0, "value");
	PQclear(res);
	PQfinish(conn);
	return text;
}

static void wait_for_successor(void)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (strcmp(is_active().s, "yes") != 0) {
		cr_assert_gt(rig_left_ms(deadline), 0, "the next process has not taken over");
		rig_nap();
	}
}

static pid_t pid_in_file(void)
{
	FILE *f = fopen(rig_printf("%s/pid", rig_dir(rig)).s, "r");
	int pid = 0;

	cr_assert(f != NULL && fscanf(f, "%d", &pid) == 1);
	fclose(f);
	return pid;
}

/* It takes port and socket while the old one still serves who is there, and keeps them at its
 * end. */
Test(drain, the_next_process_takes_port_and_socket)
{
	PGconn *late;
	pid_t next;
	int status;

	start();
	drain();
	next = start_successor();
	wait_for_successor();
	late = rig_connect_as(rig, "bob", "");
	cr_assert_str_eq(rig_query(late, "SELECT 'new'").s, "new");
	cr_assert_str_eq(rig_query(busy, "SELECT 'old'").s, "old");
	rig_exec(busy, "COMMIT");
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	cr_assert_str_eq(is_active().s, "yes");
	cr_assert_eq(pid_in_file(), next);
	PQclear(rig_console(rig, "SHUTDOWN"));
	cr_assert_eq(waitpid(next, &status, 0), next);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	PQfinish(late);
	PQfinish(busy);
	rig_stop(rig);
}
