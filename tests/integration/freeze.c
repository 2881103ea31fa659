/* SIGSTOP and SIGCONT, with a guard that outlives the test; SIGKILL. */
#include <ctype.h>
#include <dirent.h>
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

static void send_all(const struct freeze *f, int signo)
{
	for (size_t i = 0; i < f->count; i++)
		kill(f->pids[i], signo);
}

/* Wakes the processes once nobody holds the other end of the pipe. */
static void guard(int fd, const struct freeze *f)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	send_all(f, SIGCONT);
	_exit(0);
}

static void add(struct freeze *f, pid_t pid)
{
	cr_assert(pid > 1 && f->count < FREEZE_MAX);
	f->pids[f->count++] = pid;
}

/* What was stopped so far is woken in any case; whoever comes later must be so too. */
static void post_guard(struct freeze *f)
{
	int ends[2];

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	f->lock = -1;
	f->hold = ends[1];
	f->guard = fork();
	cr_assert(f->guard >= 0);
	if (f->guard == 0) {
		close(ends[1]);
		guard(ends[0], f);
	}
	close(ends[0]);
}

void freeze_begin(struct freeze *f, pid_t pid)
{
	f->count = 0;
	add(f, pid);
	post_guard(f);
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

/* State and parent of a process: '\0' when there is none. */
static char look_at(pid_t pid, pid_t *parent)
{
	FILE *file = fopen(rig_printf("/proc/%d/stat", (int)pid).s, "r");
	char line[512] = "", state = '\0';
	const char *behind;
	int ppid = 0;

	if (file == NULL)
		return '\0';
	if (fgets(line, sizeof(line), file) == NULL ||
	    (behind = strrchr(line, ')')) == NULL || sscanf(behind, ") %c %d", &state, &ppid) != 2)
		state = '\0';
	fclose(file);
	*parent = ppid;
	return state;
}

/* The postmaster, stopped so that it starts no more, and its children. */
static void gather(struct freeze *f)
{
	pid_t first = postmaster(), parent;
	struct dirent *entry;
	DIR *dir;

	f->count = 0;
	add(f, first);
	cr_assert(kill(first, SIGSTOP) == 0, "%s", strerror(errno));
	cr_assert((dir = opendir("/proc")) != NULL);
	while ((entry = readdir(dir)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    look_at(atoi(entry->d_name), &parent) != '\0' && parent == first)
			add(f, atoi(entry->d_name));
	closedir(dir);
}

void freeze_all(struct freeze *f)
{
	gather(f);
	post_guard(f);
	send_all(f, SIGSTOP);
}

pid_t freeze_backend_of(const char *database)
{
	return atoi(
		rig_admin_query(rig_printf("SELECT pid FROM pg_stat_activity WHERE datname = '%s'",
	                                   database)
	                                .s)
			.s);
}

/* ---- the end of PostgreSQL, and its beginning ---- */

void postgres_kill(void)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;
	struct freeze all;

	gather(&all);
	send_all(&all, SIGKILL);
	for (size_t i = 0; i < all.count; i++)
		while (kill(all.pids[i], 0) == 0) { /* zombies count as alive, also for PostgreSQL */
			cr_assert(rig_left_ms(deadline) > 0, "pid %d lives on", (int)all.pids[i]);
			rig_nap();
		}
}

void postgres_restart(void)
{
	struct rig_text cmd = rig_printf("'%s/contrib/demo-postgres' restart '%s/postgres'",
	                                 rig_source_dir(), rig_root());
	int status;
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0) {
		/* the server would keep what the test has open */
		close_range(STDERR_FILENO + 1, ~0u, 0);
		execl("/bin/sh", "sh", "-c", cmd.s, (char *)NULL);
		_exit(127);
	}
	cr_assert(waitpid(pid, &status, 0) == pid && status == 0, "PostgreSQL did not start");
}
