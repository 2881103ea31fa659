/* http.h: what clients of every kind get, and what they cost. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "pgseal/loop/http.h"

#define PATIENCE_MS 20000
#define BIG ((size_t)32 << 20) /* more than sockets hold */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct loop *loop;
static struct http *http;
static struct endpoints at;
static pthread_t thread;
static uint64_t kept; /* ticket that /later left */
static char *big;

/* ---- the server, in a thread of its own ---- */

static void get_text(void *arg, uint64_t ticket)
{
	http_answer(http, ticket, 200, "text/plain", bytes_of(arg));
}

static void get_nothing(void *arg, uint64_t ticket)
{
	(void)arg;
	http_answer(http, ticket, 503, "text/plain", (struct bytes){ NULL, 0 });
}

static void get_big(void *arg, uint64_t ticket)
{
	(void)arg;
	http_answer(http, ticket, 200, "text/plain", (struct bytes){ (uint8_t *)big, BIG });
}

static void get_later(void *arg, uint64_t ticket)
{
	(void)arg;
	kept = ticket;
}

/* The answer to that one, twice; then its own. */
static void get_late(void *arg, uint64_t ticket)
{
	http_answer(http, kept, 200, "text/plain", bytes_of("late"));
	http_answer(http, kept, 200, "text/plain", bytes_of("later still"));
	get_text(arg, ticket);
}

static void get_stop(void *arg, uint64_t ticket)
{
	get_text(arg, ticket);
	loop_stop(loop);
}

static const struct http_page pages[] = {
	{ "/text", get_text },   { "/nothing", get_nothing }, { "/big", get_big },
	{ "/later", get_later }, { "/late", get_late },       { "/stop", get_stop },
	{ NULL, NULL },
};

static void no_end_of_turn(void *arg)
{
	(void)arg;
}

static void *run(void *arg)
{
	(void)arg;
	loop_run(loop, no_end_of_turn, NULL);
	return NULL;
}

static void listen_somewhere(void)
{
	struct errbuf why;
	char text[32];
	uint16_t r;

	do {
		cr_assert(getrandom(&r, sizeof(r), 0) == (ssize_t)sizeof(r));
		snprintf(text, sizeof(text), "127.0.0.1:%d", 20000 + r % 10000);
		cr_assert_eq(endpoints_parse(text, &at, &why), ERR_OK);
	} while (http_listen(http, &at.at[0], &why) != ERR_OK);
}

static void begin(size_t connections, usec_t life)
{
	struct http_options options = { pages, "hello\n", connections, life };

	big = calloc(1, BIG);
	cr_assert(big != NULL && loop_create(&loop) == ERR_OK);
	cr_assert_eq(http_create(loop, &options, &http), ERR_OK);
	listen_somewhere();
	cr_assert_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

/* ---- clients ---- */

static int knock(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, &at.at[0].at.sa, at.at[0].len), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* All that comes up to the end, which must come. */
static size_t hear(int fd, char *out, size_t size)
{
	size_t got = 0;
	ssize_t n = 1;

	while (n > 0) {
		struct pollfd p = { fd, POLLIN, 0 };

		cr_assert_eq(poll(&p, 1, PATIENCE_MS), 1, "neither data nor the end");
		n = recv(fd, out + got, size - 1 - got, 0);
		got += n > 0 ? (size_t)n : 0;
		cr_assert_lt(got + 1, size);
	}
	out[got] = '\0';
	close(fd);
	return got;
}

/* "status content" of the answer to what is sent. */
static const char *fetch(const char *request)
{
	static char text[66000], result[66000];
	const char *content;
	int fd = knock();

	say(fd, request);
	hear(fd, text, sizeof(text));
	content = strstr(text, "\r\n\r\n");
	cr_assert(strncmp(text, "HTTP/1.1 ", 9) == 0 && content != NULL, "%s", text);
	snprintf(result, sizeof(result), "%.3s %s", text + 9, content + 4);
	return result;
}

static void end(void)
{
	cr_assert_str_eq(fetch("GET /stop HTTP/1.1\r\n\r\n"), "200 hello\n");
	pthread_join(thread, NULL);
	http_free(http);
	loop_free(loop);
	free(big);
}

TestSuite(http, .timeout = 60);

Test(http, answers_by_page_and_method)
{
	static const char *const cases[][2] = {
		{ "GET /text HTTP/1.1\r\nHost: x\r\n\r\n", "200 hello\n" },
		{ "GET /text?a=b HTTP/1.0\r\n\r\n", "200 hello\n" },
		{ "HEAD /text HTTP/1.1\r\n\r\n", "200 " },
		{ "GET /nothing HTTP/1.1\r\n\r\n", "503 " },
		{ "GET /nowhere HTTP/1.1\r\n\r\n", "404 Not Found\n" },
		{ "GET /text/ HTTP/1.1\r\n\r\n", "404 Not Found\n" },
		{ "POST /text HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
		  "405 Method Not Allowed\n" },
		{ "DELETE /text HTTP/1.1\r\n\r\n", "405 Method Not Allowed\n" },
		{ "GET /text HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported\n" },
		{ "\x16\x03\x01\x01", "400 Bad Request\n" },
		{ "hello?\r\n", "400 Bad Request\n" },
		{ "GET /text HTTP/1.1\r\n\r\nGET /text HTTP/1.1\r\n\r\n", "200 hello\n" },
	};

	begin(8, PATIENCE_MS * USEC_PER_MS);
	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_str_eq(fetch(cases[i][0]), cases[i][1], "%s", cases[i][0]);
	end();
}

Test(http, says_what_it_sends)
{
	char text[1000];
	int fd;

	begin(8, PATIENCE_MS * USEC_PER_MS);
	fd = knock();
	say(fd, "HEAD /text HTTP/1.1\r\n\r\n");
	hear(fd, text, sizeof(text));
	cr_expect_not_null(strstr(text, "\r\nContent-Length: 6\r\n"), "%s", text);
	cr_expect_not_null(strstr(text, "\r\nContent-Type: text/plain\r\n"), "%s", text);
	cr_expect_not_null(strstr(text, "\r\nConnection: close\r\n"), "%s", text);
	fd = knock();
	say(fd, "PUT /text HTTP/1.1\r\n\r\n");
	hear(fd, text, sizeof(text));
	cr_expect_not_null(strstr(text, "\r\nAllow: GET, HEAD\r\n"), "%s", text);
	end();
}

Test(http, heads_that_never_end_are_refused)
{
	static char request[20000] = "GET /text HTTP/1.1\r\nx: ";

	begin(8, PATIENCE_MS * USEC_PER_MS);
	memset(request + strlen(request), 'x', sizeof(request) - strlen(request) - 1);
	cr_expect_str_eq(fetch(request), "431 Request Header Fields Too Large\n");
	end();
}

Test(http, takes_a_request_byte_by_byte)
{
	static const char request[] = "GET /text HTTP/1.1\r\nHost: x\r\n\r\n";
	char text[1000];
	int fd;

	begin(8, PATIENCE_MS * USEC_PER_MS);
	fd = knock();
	for (const char *c = request; *c != '\0'; c++)
		cr_assert_eq(send(fd, c, 1, MSG_NOSIGNAL), 1);
	hear(fd, text, sizeof(text));
	cr_expect_not_null(strstr(text, "\r\n\r\nhello\n"), "%s", text);
	end();
}

Test(http, answers_who_only_listens_any_more)
{
	char text[1000];
	int fd;

	begin(8, PATIENCE_MS * USEC_PER_MS);
	fd = knock();
	say(fd, "GET /text HTTP/1.1\r\n\r\n");
	shutdown(fd, SHUT_WR);
	hear(fd, text, sizeof(text));
	cr_expect_not_null(strstr(text, "\r\n\r\nhello\n"), "%s", text);
	end();
}

Test(http, sends_what_does_not_fit_into_the_socket)
{
	char *text = malloc(BIG + 1000);
	int fd;

	begin(8, PATIENCE_MS * USEC_PER_MS);
	fd = knock();
	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	cr_assert_gt(hear(fd, text, BIG + 1000), BIG);
	free(text);
	end();
}

Test(http, answers_late_and_once)
{
	char text[1000];
	int fd;

	begin(8, PATIENCE_MS * USEC_PER_MS);
	fd = knock();
	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	/* the first may come before the other one was asked */
	do
		cr_assert_str_eq(fetch("GET /late HTTP/1.1\r\n\r\n"), "200 hello\n");
	while (recv(fd, text, 1, MSG_DONTWAIT | MSG_PEEK) < 0);
	hear(fd, text, sizeof(text));
	cr_expect_not_null(strstr(text, "\r\n\r\nlate"), "%s", text);
	cr_expect_null(strstr(text, "still"), "%s", text);
	end();
}

Test(http, answers_nobody_who_has_left)
{
	int fd;

	begin(1, PATIENCE_MS * USEC_PER_MS);
	fd = knock();
	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	close(fd);
	for (int i = 0; i < 10; i++)
		cr_assert_str_eq(fetch("GET /late HTTP/1.1\r\n\r\n"), "200 hello\n");
	end();
}

Test(http, lets_nobody_stay_for_ever)
{
	static const char *const began[] = { "", "GET /te", "GET /later HTTP/1.1\r\n\r\n",
		                             "GET /big HTTP/1.1\r\n\r\n" };
	static char text[BIG + 1000];
	int fds[COUNT(began)];

	begin(8, 2 * USEC_PER_SEC);
	for (size_t i = 0; i < COUNT(began); i++) {
		fds[i] = knock();
		say(fds[i], began[i]);
	}
	cr_assert_str_eq(fetch("GET /text HTTP/1.1\r\n\r\n"), "200 hello\n");
	for (size_t i = 0; i + 1 < COUNT(began); i++)
		cr_expect_eq(hear(fds[i], text, sizeof(text)), 0, "%s", began[i]);
	/* nobody read it: when the ones before were cut off, so was this one */
	cr_expect_lt(hear(fds[COUNT(began) - 1], text, sizeof(text)), BIG);
	end();
}

Test(http, the_oldest_gives_way)
{
	char text[100];
	int fds[12];

	begin(4, PATIENCE_MS * USEC_PER_MS);
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = knock();
	cr_assert_str_eq(fetch("GET /text HTTP/1.1\r\n\r\n"), "200 hello\n");
	for (size_t i = 0; i + 3 < COUNT(fds); i++)
		cr_expect_eq(hear(fds[i], text, sizeof(text)), 0);
	for (size_t i = COUNT(fds) - 3; i < COUNT(fds); i++) {
		struct pollfd p = { fds[i], POLLIN, 0 };

		cr_expect_eq(poll(&p, 1, 0), 0, "%zu", i);
		close(fds[i]);
	}
	end();
}

Test(http, can_go_while_clients_are_there)
{
	int fd;

	begin(8, PATIENCE_MS * USEC_PER_MS);
	fd = knock();
	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	end();
	close(fd);
}

Test(http, says_why_it_cannot_listen)
{
	struct errbuf why;

	begin(8, PATIENCE_MS * USEC_PER_MS);
	cr_expect_eq(http_listen(http, &at.at[0], &why), ERR_IO);
	cr_expect_not_null(strstr(why.text, at.at[0].text), "%s", why.text);
	end();
}
