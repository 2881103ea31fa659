/* Namespaces. */
#include "tests/integration/world.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

bool world_own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

void world_require(void)
{
	int status;
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0)
		_exit(world_own_mounts() && unshare(CLONE_NEWNET) == 0 ? 0 : 1);
	cr_assert(waitpid(pid, &status, 0) == pid);
	if (status != 0)
		cr_skip_test("namespaces are not allowed here");
}

/* ---- remote machines ---- */

static void run(const char *cmd)
{
	cr_assert(system(cmd) == 0, "%s", cmd);
}

/* Until nobody holds the other end of the pipe: the test is over, or dead. Connections on a wire that is
 * cut would keep namespace and wire for minutes, so the wire is taken down; both ends go with one. */
static void hold_namespace(int ready, int held)
{
	char byte;

	if (unshare(CLONE_NEWNET) != 0 || write(ready, "r", 1) != 1)
		_exit(1);
	while (read(held, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(system("ip link del wire") == 0 ? 0 : 1);
}

static int open_namespace(pid_t pid)
{
	int fd = open(rig_printf("/proc/%d/ns/net", (int)pid).s, O_RDONLY | O_CLOEXEC);

	cr_assert(fd >= 0, "%s", strerror(errno));
	return fd;
}

/* Four addresses to each test's process: the second is ours, the third the remote's. */
static struct rig_text address_of(int which)
{
	unsigned net = (unsigned)getpid() % 16384;

	return rig_printf("10.213.%u.%u", net / 64, net % 64 * 4 + (unsigned)which);
}

void remote_open(struct remote *r)
{
	struct rig_text wire = rig_printf("pgs%d", (int)getpid());
	int ready[2], held[2];
	char byte;

	cr_assert(pipe2(ready, O_CLOEXEC) == 0 && pipe2(held, O_CLOEXEC) == 0);
	r->pid = fork();
	cr_assert(r->pid >= 0);
	if (r->pid == 0) {
		close(held[1]);
		hold_namespace(ready[1], held[0]);
	}
	close(ready[1]);
	close(held[0]);
	r->hold = held[1];
	cr_assert(read(ready[0], &byte, 1) == 1, "no network namespace");
	close(ready[0]);
	r->here = open_namespace(getpid());
	r->there = open_namespace(r->pid);
	snprintf(r->address, sizeof(r->address), "%.30s", address_of(1).s);
	snprintf(r->its, sizeof(r->its), "%.30s", address_of(2).s);
	run(rig_printf("ip link add %s type veth peer name wire netns %d", wire.s, (int)r->pid).s);
	run(rig_printf("ip addr add %s/30 dev %s && ip link set %s up", r->address, wire.s, wire.s)
	            .s);
	remote_enter(r);
	run(rig_printf("ip addr add %s/30 dev wire && ip link set wire up", r->its).s);
	remote_leave(r);
}

void remote_enter(struct remote *r)
{
	cr_assert(setns(r->there, CLONE_NEWNET) == 0, "%s", strerror(errno));
}

void remote_leave(struct remote *r)
{
	cr_assert(setns(r->here, CLONE_NEWNET) == 0, "%s", strerror(errno));
}

void remote_cut(struct remote *r)
{
	remote_enter(r);
	run("ip link set wire down");
	remote_leave(r);
}

void remote_mend(struct remote *r)
{
	remote_enter(r);
	run("ip link set wire up");
	remote_leave(r);
}

void remote_close(struct remote *r)
{
	close(r->hold);
	waitpid(r->pid, NULL, 0);
	close(r->here);
	close(r->there);
}

struct rig_text world_path(pid_t pid, const char *path)
{
	return rig_printf("/proc/%d/root%s", (int)pid, path);
}
