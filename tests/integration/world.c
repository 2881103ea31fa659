/* Namespaces. */
#include "tests/integration/world.h"

#include <sched.h>
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

struct rig_text world_path(pid_t pid, const char *path)
{
	return rig_printf("/proc/%d/root%s", (int)pid, path);
}
