/* While sessions finish behind a SIGTERM: who is let in, and whom the console still answers. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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
	rig = rig_start("workers = 2\nshutdown_timeout = 60\n", NULL, IDENTITIES);
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
