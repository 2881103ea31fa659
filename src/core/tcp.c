#include "pgseal/core/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

/* One row per option: the setting, what a unit of the option is in the setting's, libpq's keyword. 0 leaves
 * the system's value. */
static const struct row {
	size_t offset; /* in struct settings, an int64_t */
	int option;
	int64_t unit;
	const char *keyword;
} rows[] = {
	{ offsetof(struct settings, tcp_keepidle), TCP_KEEPIDLE, USEC_PER_SEC, "keepalives_idle" },
	{ offsetof(struct settings, tcp_keepintvl), TCP_KEEPINTVL, USEC_PER_SEC,
	  "keepalives_interval" },
	{ offsetof(struct settings, tcp_keepcnt), TCP_KEEPCNT, 1, "keepalives_count" },
	{ offsetof(struct settings, tcp_user_timeout), TCP_USER_TIMEOUT, USEC_PER_MS,
	  "tcp_user_timeout" },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Rounded up: what is not zero must not become it. */
static int value_of(const struct settings *s, const struct row *row)
{
	int64_t v = *(const int64_t *)((const char *)s + row->offset);

	return (int)((v + row->unit - 1) / row->unit);
}

static void set(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

void tcp_set_buffers(int fd, const struct settings *s)
{
	if (s->tcp_socket_buffer == 0)
		return;
	set(fd, SOL_SOCKET, SO_SNDBUF, (int)s->tcp_socket_buffer);
	set(fd, SOL_SOCKET, SO_RCVBUF, (int)s->tcp_socket_buffer);
}

void tcp_furnish(int fd, const struct settings *s)
{
	size_t i;

	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, s->tcp_keepalive);
	for (i = 0; i < ROWS; i++)
		if (value_of(s, &rows[i]) > 0)
			set(fd, IPPROTO_TCP, rows[i].option, value_of(s, &rows[i]));
	tcp_set_buffers(fd, s);
}

const char *tcp_keyword(size_t i, const struct settings *s, char *text, size_t size)
{
	int value;

	text[0] = '\0';
	if (i == ROWS) {
		snprintf(text, size, "%s", s->tcp_keepalive ? "" : "0");
		return "keepalives";
	}
	if (i > ROWS)
		return NULL;
	if ((value = value_of(s, &rows[i])) > 0)
		snprintf(text, size, "%d", value);
	return rows[i].keyword;
}
