/* A raw HTTP client, for metrics and health. */
#include "tests/integration/scrape.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

static int try_connect(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -1;
}

int scrape_connect(int port)
{
	int fd = try_connect(port);

	cr_assert(fd >= 0, "nobody listens on port %d", port);
	return fd;
}

/* All that comes up to the end; "" when nothing does. The caller frees. */
static char *hear(int fd)
{
	size_t cap = 1 << 16, got = 0, n = 1;
	char *text = malloc(cap);

	while (text != NULL && n > 0) {
		n = rig_raw_recv(fd, text + got, cap - got - 1, RIG_PATIENCE_MS);
		got += n;
		if (got + 1 == cap)
			text = realloc(text, cap *= 2);
	}
	cr_assert(text != NULL);
	text[got] = '\0';
	return text;
}

static bool try_get(int port, const char *path, struct scrape *out)
{
	struct rig_text request = rig_printf("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	int fd = try_connect(port);
	char *end;

	if (fd < 0 || send(fd, request.s, strlen(request.s), MSG_NOSIGNAL) < 0) {
		close(fd);
		return false;
	}
	out->head = hear(fd);
	close(fd);
	end = strstr(out->head, "\r\n\r\n");
	if (strncmp(out->head, "HTTP/1.", 7) != 0 || end == NULL) {
		free(out->head);
		return false;
	}
	*end = '\0';
	out->body = end + 4;
	out->status = atoi(out->head + 9);
	return true;
}

void scrape_get(int port, const char *path, struct scrape *out)
{
	cr_assert(try_get(port, path, out), "no answer to GET %s", path);
}

void scrape_free(struct scrape *s)
{
	free(s->head);
	s->head = s->body = NULL;
}

int scrape_status(int port, const char *path)
{
	struct scrape s;
	int status;

	if (!try_get(port, path, &s))
		return 0;
	status = s.status;
	scrape_free(&s);
	return status;
}

double scrape_value(const char *text, const char *series)
{
	size_t n = strlen(series);

	for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1)
		if (strncmp(line, series, n) == 0 && line[n] == ' ')
			return atof(line + n + 1);
	return -1;
}

double scrape_metric(int port, const char *series)
{
	struct scrape s;
	double value;

	scrape_get(port, "/metrics", &s);
	cr_assert_eq(s.status, 200, "%s", s.body);
	value = scrape_value(s.body, series);
	scrape_free(&s);
	return value;
}

bool scrape_wait(int port, const char *series, double want, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;
	double value;

	while ((value = scrape_metric(port, series)) < want || value > want) {
		if (rig_left_ms(deadline) == 0) {
			fprintf(stderr, "%s is %g instead of %g\n", series, value, want);
			return false;
		}
		rig_nap();
	}
	return true;
}
