/* http_head.h: requests as clients send them, and as they should not. */
#include <string.h>

#include <criterion/criterion.h>

#include "pgseal/wire/http_head.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct http_request request;
static int status;

static enum http_next peek(const char *text)
{
	status = 0;
	return http_head_peek(bytes_of(text), &request, &status);
}

Test(http_head, requests)
{
	static const struct {
		const char *text, *method, *path;
	} good[] = {
		{ "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/metrics" },
		{ "GET / HTTP/1.0\r\n\r\n", "GET", "/" },
		{ "GET /live HTTP/1.1\n\n", "GET", "/live" },
		{ "\r\n\r\nHEAD /ready?verbose=1&x=? HTTP/1.1\r\n\r\n", "HEAD", "/ready" },
		{ "POST http://h:1/metrics HTTP/1.1\r\n\r\nbody", "POST", "/metrics" },
		{ "GET http://h/a/b?c HTTP/1.1\r\na: b\nc: d\r\n\r\n", "GET", "/a/b" },
	};

	for (size_t i = 0; i < COUNT(good); i++) {
		cr_assert_eq(peek(good[i].text), HTTP_READY, "%s", good[i].text);
		cr_expect(bytes_equal(request.method, bytes_of(good[i].method)), "%s",
		          good[i].text);
		cr_expect(bytes_equal(request.path, bytes_of(good[i].path)), "%s", good[i].text);
	}
}

Test(http_head, refusals)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{ "\x16\x03\x01", 400 },
		{ "get / HTTP/1.1", 400 },
		{ "GET\r\n", 400 },
		{ " GET / HTTP/1.1", 400 },
		{ "GET /\r\n\r\n", 400 },
		{ "GET / \r\n\r\n", 400 },
		{ "GET  / HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1 \r\n\r\n", 400 },
		{ "GET metrics HTTP/1.1\r\n\r\n", 400 },
		{ "GET http://host HTTP/1.1\r\n\r\n", 400 },
		{ "GET :// HTTP/1.1\r\n\r\n", 400 },
		{ "GET * HTTP/1.1\r\n\r\n", 400 },
		{ "GET /\x01 HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/11\r\n\r\n", 400 },
		{ "GET / HTTP/2.0\r\n\r\n", 505 },
		{ "GET / HTTP/1.2\r\n\r\n", 505 },
		{ "GET / HTTP/0.9\r\n\r\n", 505 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		cr_expect_eq(peek(cases[i].text), HTTP_BAD, "%s", cases[i].text);
		cr_expect_eq(status, cases[i].status, "%s: %d", cases[i].text, status);
	}
}

Test(http_head, waits_for_all_of_it)
{
	static const char text[] = "\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	struct bytes b = { (const uint8_t *)text, 0 };

	for (; b.len + 1 < sizeof(text); b.len++)
		cr_assert_eq(http_head_peek(b, &request, &status), HTTP_MORE, "%zu", b.len);
	cr_assert_eq(http_head_peek(b, &request, &status), HTTP_READY);
}

Test(http_head, has_a_limit)
{
	char text[HTTP_HEAD_MAX] = "GET / HTTP/1.1\r\nx: ";
	struct bytes b = { (const uint8_t *)text, HTTP_HEAD_MAX - 1 };

	memset(text + strlen(text), 'x', HTTP_HEAD_MAX - strlen(text));
	cr_expect_eq(http_head_peek(b, &request, &status), HTTP_MORE);
	b.len++;
	cr_expect_eq(http_head_peek(b, &request, &status), HTTP_BAD);
	cr_expect_eq(status, 431);
	memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	cr_expect_eq(http_head_peek(b, &request, &status), HTTP_READY);
}

static void expect_head(const struct http_reply *reply, const char *want)
{
	struct buf out = { 0 };

	cr_assert_eq(http_head_write(&out, reply), ERR_OK);
	cr_expect(bytes_equal((struct bytes){ out.at, out.len }, bytes_of(want)), "%.*s",
	          (int)out.len, (const char *)out.at);
	buf_free(&out);
}

Test(http_head, replies)
{
	expect_head(&(struct http_reply){ .status = 200, .type = "text/plain", .length = 5,
	                                  .date = 784111777 },
	            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
	            "Content-Type: text/plain\r\nContent-Length: 5\r\nCache-Control: no-store\r\n"
	            "Connection: close\r\n\r\n");
	expect_head(&(struct http_reply){ .status = 405, .type = "text/plain",
	                                  .allow = "GET, HEAD" },
	            "HTTP/1.1 405 Method Not Allowed\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
	            "Content-Type: text/plain\r\nContent-Length: 0\r\nAllow: GET, HEAD\r\n"
	            "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
}
