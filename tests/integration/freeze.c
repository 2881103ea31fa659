/* SIGSTOP and SIGCONT, with a guard that outlives the test. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/freeze.h"
#include "tests/integration/rig_priv.h"

/* Wakes the process once nobody holds the other end of the pipe. */
static void guard(int fd, pid_t pid)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	kill(pid, SIGCONT);
	_exit(0);
}

void freeze_begin(struct freeze *f, pid_t pid)
{
	int ends[2];

	cr_assert(pid > 1 && pipe2(ends, O_CLOEXEC) == 0);
	f->pid = pid;
	f->lock = -1;
	f->hold = ends[1];
	f->guard = fork();
	cr_assert(f->guard >= 0);
	if (f->guard == 0) {
		close(ends[1]);
		guard(ends[0], pid);
	}
	close(ends[0]);
	cr_assert(kill(pid, SIGSTOP) == 0, "%s", strerror(errno));
}

void freeze_end(struct freeze *f)
{
	close(f->hold);
	waitpid(f->guard, NULL, 0);
	if (f->lock >= 0)
		close(f->lock);
}

static pid_t postmaster(void)
{
	FILE *file = fopen(rig_printf("%s/postgres/data/postmaster.pid", rig_root()).s, "r");
	int pid = 0;

	cr_assert(file != NULL && fscanf(file, "%d", &pid) == 1);
	fclose(file);
	return pid;
}

void freeze_logins(struct freeze *f)
{
	int lock = open(rig_printf("%s/freeze.lock", rig_root()).s, O_RDWR | O_CREAT | O_CLOEXEC,
	                0600);

	cr_assert(lock >= 0 && flock(lock, LOCK_EX) == 0);
	freeze_begin(f, postmaster());
	f->lock = lock;
}

pid_t freeze_backend_of(const char *database)
{
	return atoi(
		rig_admin_query(rig_printf("SELECT pid FROM pg_stat_activity WHERE datname = '%s'",
	                                   database)
	                                .s)
			.s);
}
