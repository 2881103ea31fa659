#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pgseal/base/log.h"

static void give_away(const struct passwd *pw, const char *const *paths, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (paths[i] != NULL && paths[i][0] != '\0' &&
		    lchown(paths[i], pw->pw_uid, (gid_t)-1) != 0)
			log_warning(LOG_PROCESS, 0, "user \"%s\": %s stays root's: %s", pw->pw_name,
			            paths[i], strerror(errno));
}

enum err privileges_drop(const char *user, const char *const *paths, size_t count,
                         struct errbuf *why)
{
	const struct passwd *pw;

	if (user[0] == '\0')
		return ERR_OK;
	if ((pw = getpwnam(user)) == NULL)
		return err_set(why, ERR_CONFIG, "user \"%s\": no such user", user);
	if (geteuid() == pw->pw_uid)
		return ERR_OK;
	give_away(pw, paths, count);
	if (initgroups(user, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
		return err_set(why, ERR_IO, "user \"%s\": %s", user, strerror(errno));
	return ERR_OK;
}

enum err privileges_write_pid(const char *path, struct errbuf *why)
{
	char text[32];
	int fd, len;

	if ((fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) < 0)
		return err_set(why, ERR_IO, "pidfile %s: %s", path, strerror(errno));
	len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (write(fd, text, (size_t)len) != len) {
		close(fd);
		return err_set(why, ERR_IO, "pidfile %s: %s", path, strerror(errno));
	}
	close(fd);
	return ERR_OK;
}

void privileges_remove_pid(const char *path)
{
	FILE *f = fopen(path, "re");
	int pid = 0;

	if (f == NULL)
		return;
	if (fscanf(f, "%d", &pid) == 1 && pid == (int)getpid())
		unlink(path);
	fclose(f);
}
