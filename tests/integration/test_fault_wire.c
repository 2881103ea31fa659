/* The connection to PostgreSQL breaks behind any byte of it: in the handshake, in the login, or in the
 * middle of the TLS record that brings an answer; or the whole machine is gone. */
#include <arpa/inet.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/ledger.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/world.h"

#define LOGIN_STEP 89     /* a login that breaks costs a pause, so not every byte of it is tried */
#define SIGNATURE_SLACK 8 /* handshakes differ in length, by their signatures */

TestSuite(fault_wire, .timeout = 180);

/* Passes on what comes for PostgreSQL, each connection in a thread. */
static struct wire {
	int fd, port;
	pthread_t thread;
	_Atomic long
		limit; /* it breaks behind so many bytes of PostgreSQL's, once; 0: it does not */
	_Atomic long brought; /* of them on the connection under way */
} wire;

static struct rig *rig;

/* ---- in the wire's thread no assertion may be made ---- */

static int reach_postgres(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)rig_postgres_port()),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* How many bytes were passed on, at most so many; 0 at the end. They count before anybody can have seen them. */
static long pass(int from, int to, long most, _Atomic long *count)
{
	char bytes[16384];
	size_t room = most < (long)sizeof(bytes) ? (size_t)most : sizeof(bytes);
	ssize_t n = recv(from, bytes, room, 0);

	if (n > 0)
		*count += n;
	return n > 0 && send(to, bytes, (size_t)n, MSG_NOSIGNAL) == n ? n : 0;
}

static void connect_both(int client, int server, long limit)
{
	struct pollfd ends[2] = { { client, POLLIN, 0 }, { server, POLLIN, 0 } };
	_Atomic long asked = 0;
	long n = 1;

	wire.brought = 0;
	while (n > 0 && wire.brought < limit && poll(ends, 2, -1) > 0) {
		if (ends[0].revents != 0)
			n = pass(client, server, limit, &asked);
		if (n > 0 && ends[1].revents != 0)
			n = pass(server, client, limit - wire.brought, &wire.brought);
	}
}

static void *serve(void *arg)
{
	int client = (int)(intptr_t)arg, server = reach_postgres();
	long limit = atomic_exchange(&wire.limit, 0);

	if (server >= 0)
		connect_both(client, server, limit > 0 ? limit : LONG_MAX);
	close(client);
	close(server);
	return NULL;
}

static void *run(void *unused)
{
	pthread_t thread;
	int client;

	while ((client = accept(wire.fd, NULL, NULL)) >= 0)
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) == 0)
			pthread_detach(thread);
	return unused;
}

/* ---- the tests ---- */

static void open_wire(const char *address)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address) };
	socklen_t len = sizeof(at);

	wire.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert(bind(wire.fd, (struct sockaddr *)&at, len) == 0 && listen(wire.fd, 16) == 0 &&
	          getsockname(wire.fd, (struct sockaddr *)&at, &len) == 0);
	wire.port = ntohs(at.sin_port);
}

/* Where this is called, PostgreSQL is to be reached. */
static void serve_wire(void)
{
	cr_assert(pthread_create(&wire.thread, NULL, run, NULL) == 0);
}

static void close_wire(void)
{
	shutdown(wire.fd, SHUT_RDWR);
	pthread_join(wire.thread, NULL);
	close(wire.fd);
}

static void start(void)
{
	rig_require();
	open_wire("127.0.0.1");
	serve_wire();
	/* each server is used once */
	rig = rig_start(
		"workers = 1\nserver_lifetime = 0\n",
		rig_printf("app = host=127.0.0.1 port=%d dbname=app pool_size=1\n", wire.port).s,
		NULL);
}

static void stop(void)
{
	rig_stop(rig);
	close_wire();
}

/* Bytes of PostgreSQL's until the login is done, and until the answer is. */
static void measure(PGconn *conn, long *login, long *answer)
{
	rig_exec(conn, "BEGIN");
	*login = wire.brought;
	rig_exec(conn, "COMMIT");
	rig_exec(conn, "SELECT repeat('x', 100)");
	*answer = wire.brought;
}

/* The pool tries again, and the client does not notice. */
Test(fault_wire, breaks_at_any_time_of_a_login)
{
	long login, answer, broken = 0;
	PGconn *conn;

	start();
	conn = rig_connect(rig, "");
	measure(conn, &login, &answer);
	/* the end of the login and the answer to BEGIN come together: leave out what may be either */
	for (long at = 1; at < login - 100; at += LOGIN_STEP, broken++) {
		wire.limit = at;
		cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1", "%ld bytes", at);
	}
	cr_assert_eq(rig_log_count(rig, "login failed: "), broken);
	PQfinish(conn);
	stop();
}

/* Half a record is nothing: its client is told that the server is lost. */
Test(fault_wire, breaks_anywhere_in_an_answer)
{
	long login, answer;
	int cuts = 0, whole = 0;
	PGconn *conn;

	start();
	conn = rig_connect(rig, "");
	measure(conn, &login, &answer);
	for (long at = login + 1; at < answer - SIGNATURE_SLACK; at += rig_sanitized() ? 7 : 2) {
		PGconn *victim = rig_connect(rig, "");
		struct rig_text told;

		wire.limit = at;
		cr_assert(PQsendQuery(victim, "SELECT repeat('x', 100)"));
		told = rig_outcome(victim);
		/* behind a shorter handshake than the measured one the answer may have come whole */
		whole += told.s[0] == '\0';
		cuts++;
		cr_assert(told.s[0] == '\0' || strcmp(told.s, "08006") == 0,
		          "%ld of %ld bytes: %s", at, answer, told.s);
		PQfinish(victim);
	}
	cr_assert_lt(2 * whole, cuts, "%d of %d were not cut", whole, cuts);
	cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1");
	PQfinish(conn);
	stop();
}

/* Packets vanish, as when a machine loses its power. Those who have a server are told when the tcp_
 * settings say that it is gone; the others wait for it. */
Test(fault_wire, machine_of_postgres_is_gone_for_a_while)
{
	static struct ledger ledger;
	struct remote remote;

	rig_alone();
	rig_require();
	world_require();
	remote_open(&remote);
	remote_enter(&remote);
	open_wire(remote.its);
	remote_leave(&remote);
	serve_wire();
	ledger_create("f_machine");
	rig = rig_start("workers = 2\nquery_wait_timeout = 60\nserver_connect_timeout = 1s\n"
	                "server_login_retry = 200ms\ntcp_keepidle = 1\ntcp_keepintvl = 1\n"
	                "tcp_keepcnt = 2\ntcp_user_timeout = 3000\n",
	                rig_printf("f_machine = host=%s port=%d sslmode=verify-ca dbname=f_machine "
	                           "pool_size=4\n",
	                           remote.its, wire.port)
	                        .s,
	                NULL);
	ledger_open_at(&ledger, rig, "f_machine", "", "08006");
	ledger_run(&ledger, 300);
	remote_cut(&remote);
	cr_assert(rig_wait_log(rig, "server lost.*(timed out|No route)", RIG_PATIENCE_MS));
	ledger_run(&ledger, 1000);
	remote_mend(&remote);
	ledger_recovers(&ledger, rig_now_ms());
	cr_assert_gt(ledger_heard(&ledger, "08006"), 0);
	ledger_close(&ledger);
	stop();
	remote_close(&remote);
}
