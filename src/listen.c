#include "listen.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "pgseal/base/log.h"

#define DEFER_ACCEPT_SEC 45

static enum err add(struct listeners *l, int fd, bool local, struct errbuf *why)
{
	if (l->count == LISTENERS_MAX) {
		close(fd);
		return err_set(why, ERR_LIMIT, "more than %d addresses to listen on",
		               LISTENERS_MAX);
	}
	l->at[l->count++] = (struct listener){ .fd = fd, .local = local };
	return ERR_OK;
}

static int open_address(const struct addrinfo *ai, const struct settings *s)
{
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
	                ai->ai_protocol);
	int on = 1, patience = DEFER_ACCEPT_SEC, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* "*" opens both families: each keeps to its own. */
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (s->tcp_defer_accept)
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &patience, sizeof(patience));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, (int)s->listen_backlog) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static enum err open_tcp(struct listeners *l, const char *host, const struct settings *s,
                         struct errbuf *why)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *list, *ai;
	bool any = strcmp(host, "*") == 0;
	char port[16];
	enum err rc = ERR_OK;
	int fd, opened = 0, gai;

	snprintf(port, sizeof(port), "%d", (int)s->listen_port);
	if ((gai = getaddrinfo(any ? NULL : host, port, &hints, &list)) != 0)
		return err_set(why, ERR_IO, "listen_addr \"%s\": %s", host, gai_strerror(gai));
	for (ai = list; ai != NULL && rc == ERR_OK; ai = ai->ai_next) {
		if ((fd = open_address(ai, s)) >= 0) {
			rc = add(l, fd, false, why);
			opened++;
		} else if (!any || errno != EAFNOSUPPORT) {
			/* Machines without IPv6 are no error where "*" was asked for. */
			rc = err_set(why, ERR_IO, "cannot listen on %s port %s: %s", host, port,
			             strerror(errno));
		}
	}
	freeaddrinfo(list);
	if (rc == ERR_OK && opened == 0)
		rc = err_set(why, ERR_IO, "cannot listen on %s port %s", host, port);
	return rc;
}

/* The mark of a socket whose process lets nobody in any more, and takes no harm when it loses its
 * name. It has no other meaning for a socket. */
#define LEAVING S_ISVTX

/* A socket file that nobody answers at is left from a process that died; or its process is
 * leaving. */
static bool is_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & LEAVING) != 0)
		return true;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	stale = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0 &&
	        errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return stale;
}

static enum err dress_socket(const char *path, const struct settings *s, struct errbuf *why)
{
	const struct group *grp;

	if (s->unix_socket_group[0] != '\0') {
		if ((grp = getgrnam(s->unix_socket_group)) == NULL)
			return err_set(why, ERR_IO, "unix_socket_group \"%s\": no such group",
			               s->unix_socket_group);
		if (chown(path, (uid_t)-1, grp->gr_gid) != 0)
			return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	}
	if (chmod(path, (mode_t)s->unix_socket_mode) != 0)
		return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	return ERR_OK;
}

static enum err open_local(struct listeners *l, const struct settings *s, struct errbuf *why)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int fd, rc;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/.s.PGSQL.%d", s->unix_socket_dir,
	             (int)s->listen_port) >= (int)sizeof(addr.sun_path))
		return err_set(why, ERR_IO, "unix_socket_dir \"%s\" is too long",
		               s->unix_socket_dir);
	if (is_stale(&addr))
		unlink(addr.sun_path);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return err_set(why, ERR_IO, "%s: %s", addr.sun_path, strerror(errno));
	/* Closed to everybody until its mode and group are as configured. */
	mask = umask(0177);
	rc = bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (rc != 0 || listen(fd, (int)s->listen_backlog) != 0) {
		err_set(why, ERR_IO, "cannot listen on %s: %s", addr.sun_path, strerror(errno));
		close(fd);
		return ERR_IO;
	}
	l->socket_path = strdup(addr.sun_path);
	if (lstat(addr.sun_path, &st) == 0) {
		l->socket_dev = st.st_dev;
		l->socket_ino = st.st_ino;
	}
	if (add(l, fd, true, why) != ERR_OK)
		return ERR_LIMIT;
	return dress_socket(addr.sun_path, s, why);
}

enum err listeners_open(const struct settings *s, struct listeners *out, struct errbuf *why)
{
	char *list = strdup(s->listen_addr), *rest = NULL, *host;
	enum err rc = list != NULL ? ERR_OK : ERR_NO_MEMORY;

	memset(out, 0, sizeof(*out));
	for (host = list != NULL ? strtok_r(list, ", ", &rest) : NULL; host != NULL && rc == ERR_OK;
	     host = strtok_r(NULL, ", ", &rest))
		rc = open_tcp(out, host, s, why);
	if (rc == ERR_OK && s->unix_socket_dir[0] != '\0')
		rc = open_local(out, s, why);
	free(list);
	if (rc != ERR_OK)
		listeners_close(out);
	return rc;
}

/* Is the file of that name the socket that we made? */
static bool is_ours(const struct listeners *l, struct stat *st)
{
	return l->socket_path != NULL && lstat(l->socket_path, st) == 0 &&
	       st->st_dev == l->socket_dev && st->st_ino == l->socket_ino;
}

void listeners_shut(struct listeners *l)
{
	struct stat st;
	size_t i;

	for (i = 0; i < l->count; i++)
		if (!l->at[i].local)
			shutdown(l->at[i].fd, SHUT_RDWR);
	if (is_ours(l, &st) && chmod(l->socket_path, (st.st_mode & 07777) | LEAVING) != 0)
		log_warning(LOG_PROCESS, 0, "%s: %s; another process cannot take its name yet",
		            l->socket_path, strerror(errno));
}

void listeners_close(struct listeners *l)
{
	struct stat st;

	while (l->count > 0)
		close(l->at[--l->count].fd);
	if (is_ours(l, &st))
		unlink(l->socket_path);
	free(l->socket_path);
	l->socket_path = NULL;
}
