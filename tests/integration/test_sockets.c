/* What the tcp_ settings do to the sockets of clients and servers, looked at from outside; and
 * application_name_add_host. */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

TestSuite(sockets, .timeout = 60);

static struct rig *rig;

/* ---- pgseal's own descriptors ---- */

/* A duplicate of that descriptor of pgseal's; skips the test where the kernel does not let us. */
static int take_descriptor(int pidfd, int number)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	if (fd < 0 && (errno == EPERM || errno == ENOSYS))
		cr_skip_test("no descriptors of other processes here");
	return fd;
}

static int port_of(const struct sockaddr_storage *addr)
{
	return addr->ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)addr)->sin_port) : 0;
}

static bool leads_to(int fd, int port)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	return getpeername(fd, (struct sockaddr *)&addr, &len) == 0 && port_of(&addr) == port;
}

static bool listens(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr), size = sizeof(int);
	int on = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) == 0 && on != 0 &&
	       getsockname(fd, (struct sockaddr *)&addr, &len) == 0 && addr.ss_family == AF_INET;
}

/* pgseal's end of the connection to this port; port 0: where it listens. The caller closes. */
static int end_at(int port)
{
	int pidfd = (int)syscall(SYS_pidfd_open, rig_pid(rig), 0), fd = -1;
	DIR *dir = opendir(rig_printf("/proc/%d/fd", (int)rig_pid(rig)).s);
	struct dirent *e;
	bool found = false;

	cr_assert(pidfd >= 0 && dir != NULL);
	while (!found && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || (fd = take_descriptor(pidfd, atoi(e->d_name))) < 0)
			continue;
		found = port != 0 ? leads_to(fd, port) : listens(fd);
		if (!found)
			close(fd);
	}
	closedir(dir);
	close(pidfd);
	cr_assert(found, "no socket to port %d", port);
	return fd;
}

static int local_port(PGconn *conn)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	cr_assert_eq(getsockname(PQsocket(conn), (struct sockaddr *)&addr, &len), 0);
	return port_of(&addr);
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	cr_assert_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

struct expected {
	int level, name, value;
	const char *what;
};

static void assert_options(int port, const struct expected *want, size_t n)
{
	int fd = end_at(port);

	for (size_t i = 0; i < n; i++)
		cr_assert_eq(option(fd, want[i].level, want[i].name), want[i].value, "%s: %d",
		             want[i].what, option(fd, want[i].level, want[i].name));
	close(fd);
}

static void reload(const char *settings)
{
	struct rig_text why;

	rig_configure(rig, settings, NULL, NULL);
	cr_assert(rig_reload(rig, &why), "%s", why.s);
}

/* ---- tcp_ ---- */

#define ALL                                                                                        \
	"tcp_keepidle = 71\ntcp_keepintvl = 2500ms\ntcp_keepcnt = 7\ntcp_user_timeout = 12345\n"

static const struct expected all[] = {
	{ SOL_SOCKET, SO_KEEPALIVE, 1, "tcp_keepalive" },
	{ IPPROTO_TCP, TCP_KEEPIDLE, 71, "tcp_keepidle" },
	{ IPPROTO_TCP, TCP_KEEPINTVL, 3, "tcp_keepintvl" },
	{ IPPROTO_TCP, TCP_KEEPCNT, 7, "tcp_keepcnt" },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, 12345, "tcp_user_timeout" },
};

Test(sockets, of_clients_and_servers_get_what_is_set)
{
	PGconn *conn;

	rig = rig_start(ALL, NULL, NULL);
	conn = rig_connect(rig, "");
	rig_exec(conn, "BEGIN");
	assert_options(local_port(conn), all, sizeof(all) / sizeof(all[0]));
	assert_options(rig_postgres_port(), all, sizeof(all) / sizeof(all[0]));
	rig_exec(conn, "COMMIT");
	PQfinish(conn);
	rig_stop(rig);
}

Test(sockets, follow_a_reload_when_they_are_new)
{
	static const struct expected off[] = { { SOL_SOCKET, SO_KEEPALIVE, 0, "tcp_keepalive" } };
	static const struct expected on[] = { { SOL_SOCKET, SO_KEEPALIVE, 1, "tcp_keepalive" } };
	PGconn *early, *late;

	rig = rig_start(NULL, NULL, NULL);
	early = rig_connect(rig, "");
	rig_exec(early, "SELECT 1");
	assert_options(local_port(early), on, 1);
	assert_options(rig_postgres_port(), on, 1);
	reload("tcp_keepalive = 0\n");
	late = rig_connect(rig, "");
	rig_exec(late, "SELECT 1");
	assert_options(local_port(early), on, 1);
	assert_options(local_port(late), off, 1);
	/* The server connection from before has been replaced. */
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "user", "alice", "sv_idle", "1",
	                           RIG_PATIENCE_MS));
	assert_options(rig_postgres_port(), off, 1);
	PQfinish(early);
	PQfinish(late);
	rig_stop(rig);
}

Test(sockets, of_servers_go_by_the_connection_string_first)
{
	static const struct expected own[] = {
		{ IPPROTO_TCP, TCP_KEEPIDLE, 33, "keepalives_idle" },
		{ IPPROTO_TCP, TCP_KEEPCNT, 7, "tcp_keepcnt" },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 54321, "tcp_user_timeout" },
	};
	PGconn *conn;

	rig = rig_start(ALL, "app = @postgres@ keepalives_idle=33 tcp_user_timeout=54321\n", NULL);
	conn = rig_connect(rig, "");
	rig_exec(conn, "SELECT 1");
	assert_options(rig_postgres_port(), own, sizeof(own) / sizeof(own[0]));
	PQfinish(conn);
	rig_stop(rig);
}

Test(sockets, have_buffers_of_the_size_that_is_set)
{
	/* The kernel doubles what it is told. */
	static const struct expected set[] = {
		{ SOL_SOCKET, SO_SNDBUF, 2 * 65536, "SO_SNDBUF" },
		{ SOL_SOCKET, SO_RCVBUF, 2 * 65536, "SO_RCVBUF" },
	};
	PGconn *conn;

	rig = rig_start("tcp_socket_buffer = 64kB\n", NULL, NULL);
	conn = rig_connect(rig, "");
	rig_exec(conn, "SELECT 1");
	assert_options(local_port(conn), set, 2);
	assert_options(rig_postgres_port(), set, 2);
	cr_assert_str_eq(rig_query(conn, "SELECT length(repeat('x', 5000000))").s, "5000000");
	PQfinish(conn);
	rig_stop(rig);
}

Test(sockets, that_listen_wait_for_the_first_byte_when_told_to)
{
	PGconn *conn;
	int fd;

	rig = rig_start(NULL, NULL, NULL);
	fd = end_at(0);
	cr_assert_eq(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	close(fd);
	rig_stop(rig);
	rig = rig_start("tcp_defer_accept = 1\n", NULL, NULL);
	fd = end_at(0);
	cr_assert_gt(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	close(fd);
	conn = rig_connect(rig, "");
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}

Test(sockets, values_that_the_kernel_would_refuse_are_errors)
{
	static const char *const bad[] = { "tcp_keepcnt = 128\n", "tcp_keepidle = 32768\n",
		                           "tcp_keepintvl = 10h\n", "tcp_user_timeout = 25d\n",
		                           "tcp_user_timeout = 1 lightyear\n" };
	struct rig_text why;

	rig = rig_start(NULL, NULL, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rig_configure(rig, bad[i], NULL, NULL);
		cr_assert(!rig_reload(rig, &why), "%s", bad[i]);
		cr_assert(strstr(why.s, "tcp_") != NULL, "%s", why.s);
	}
	reload("tcp_user_timeout = 2s\n");
	cr_assert_str_eq(rig_console_value(rig, "SHOW CONFIG", "key", "tcp_user_timeout", "value").s,
	                 "2s");
	rig_stop(rig);
}

/* ---- application_name_add_host ---- */

static void assert_name(PGconn *conn, const char *want)
{
	cr_assert_str_eq(rig_query(conn, "SHOW application_name").s, want);
}

Test(sockets, address_stands_behind_the_application_name)
{
	PGconn *named, *nameless, *plain;

	rig = rig_start("application_name_add_host = 1\n", NULL, NULL);
	named = rig_connect(rig, "application_name=tool");
	nameless = rig_connect(rig, "application_name=''");
	assert_name(named, rig_printf("tool - 127.0.0.1:%d", local_port(named)).s);
	assert_name(nameless, rig_printf("app - 127.0.0.1:%d", local_port(nameless)).s);
	cr_assert_str_eq(PQparameterStatus(named, "application_name"),
	                 rig_printf("tool - 127.0.0.1:%d", local_port(named)).s);
	rig_exec(named, "SET application_name = 'other'");
	assert_name(named, "other");
	reload(NULL);
	plain = rig_connect(rig, "application_name=tool");
	assert_name(plain, "tool");
	assert_name(nameless, rig_printf("app - 127.0.0.1:%d", local_port(nameless)).s);
	PQfinish(named);
	PQfinish(nameless);
	PQfinish(plain);
	rig_stop(rig);
}

Test(sockets, address_is_whole_behind_a_name_that_is_too_long)
{
	static const char wide[] = "ääääääääääääääääääääääääääääääääääääääää";
	struct rig_text got, where;
	PGconn *conn;

	rig = rig_start("application_name_add_host = 1\n", NULL, NULL);
	conn = rig_connect(rig, rig_printf("application_name=%s", wide).s);
	got = rig_query(conn, "SHOW application_name");
	where = rig_printf(" - 127.0.0.1:%d", local_port(conn));
	cr_assert_leq(strlen(got.s), 63);
	cr_assert_geq(strlen(got.s), 62);
	cr_assert_str_eq(got.s + strlen(got.s) - strlen(where.s), where.s);
	PQfinish(conn);
	rig_stop(rig);
}
