#include "pgseal/wire/http_head.h"

#include <string.h>
#include <time.h>

/* --- requests --- */

static enum http_next bad(int status, int *out)
{
	*out = status;
	return HTTP_BAD;
}

/* Empty lines in front of a request are to be ignored: RFC 9112, 2.2. */
static struct bytes skip_empty_lines(struct bytes b)
{
	while (b.len > 0 && (b.at[0] == '\r' || b.at[0] == '\n')) {
		b.at++;
		b.len--;
	}
	return b;
}

/* Bytes of upper case letters at the front: all methods that anybody uses are of these. */
static size_t letters(struct bytes b)
{
	size_t n = 0;

	while (n < b.len && b.at[n] >= 'A' && b.at[n] <= 'Z')
		n++;
	return n;
}

/* Is there an empty line, ended in whichever way? */
static bool is_whole(struct bytes b)
{
	const uint8_t *end = b.at + b.len, *at = b.at;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at++;
		if (end - at >= 1 && at[0] == '\n')
			return true;
		if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
			return true;
	}
	return false;
}

/* Cut what stands before the next blank off *line. False: there is none, or nothing before it. */
static bool take_word(struct bytes *line, struct bytes *word)
{
	const uint8_t *blank = memchr(line->at, ' ', line->len);
	size_t n = blank != NULL ? (size_t)(blank - line->at) : 0;

	if (n == 0)
		return false;
	*word = (struct bytes){ line->at, n };
	line->at += n + 1;
	line->len -= n + 1;
	return true;
}

/* 0: fine. Else the status. */
static int version_fault(struct bytes version)
{
	const uint8_t *v = version.at;

	if (version.len != 8 || memcmp(v, "HTTP/", 5) != 0 || v[6] != '.')
		return 400;
	return v[5] == '1' && (v[7] == '0' || v[7] == '1') ? 0 : 505;
}

/* The path in a target: "/path?query", or, through a proxy, "http://host/path". */
static bool take_path(struct bytes target, struct bytes *path)
{
	const uint8_t *at = target.at, *end = target.at + target.len, *cut;

	if (at[0] != '/') {
		at = memmem(at, target.len, "://", 3);
		if (at == NULL || (at = memchr(at + 3, '/', (size_t)(end - at) - 3)) == NULL)
			return false;
	}
	cut = memchr(at, '?', (size_t)(end - at));
	*path = (struct bytes){ at, (size_t)((cut != NULL ? cut : end) - at) };
	return true;
}

static bool printable(struct bytes line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.at[i] < ' ' || line.at[i] == 0x7f)
			return false;
	return true;
}

/* The request line, without its end. */
static enum http_next read_line(struct bytes line, struct http_request *out, int *status)
{
	struct http_request r;
	struct bytes target;
	int fault;

	if (!printable(line) || !take_word(&line, &r.method) || !take_word(&line, &target))
		return bad(400, status);
	if ((fault = version_fault(line)) != 0)
		return bad(fault, status);
	if (!take_path(target, &r.path))
		return bad(400, status);
	*out = r;
	return HTTP_READY;
}

enum http_next http_head_peek(struct bytes b, struct http_request *out, int *status)
{
	struct bytes rest = skip_empty_lines(b);
	size_t n = letters(rest);
	const uint8_t *newline;

	if (rest.len == 0)
		return b.len < HTTP_HEAD_MAX ? HTTP_MORE : bad(400, status);
	if (n < rest.len && (n == 0 || rest.at[n] != ' '))
		return bad(400, status);
	if (!is_whole(rest))
		return b.len < HTTP_HEAD_MAX ? HTTP_MORE : bad(431, status);
	newline = memchr(rest.at, '\n', rest.len);
	n = (size_t)(newline - rest.at);
	if (n > 0 && rest.at[n - 1] == '\r')
		n--;
	return read_line((struct bytes){ rest.at, n }, out, status);
}

/* --- replies --- */

const char *http_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} rows[] = {
#define X(status, phrase) { status, phrase },
		HTTP_STATUS_TABLE(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].status == status)
			return rows[i].phrase;
	return "";
}

/* As RFC 9110, 5.6.7 wants it, whatever the locale. */
static void write_date(int64_t at, char *out, size_t size)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
		                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)at;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	snprintf(out, size, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
	         months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

enum err http_head_write(struct buf *out, const struct http_reply *reply)
{
	char date[80], head[512];
	int n;

	write_date(reply->date, date, sizeof(date));
	n = snprintf(head, sizeof(head),
	             "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	             "%s%s%sCache-Control: no-store\r\nConnection: close\r\n\r\n",
	             reply->status, http_phrase(reply->status), date, reply->type, reply->length,
	             reply->allow != NULL ? "Allow: " : "",
	             reply->allow != NULL ? reply->allow : "", reply->allow != NULL ? "\r\n" : "");
	return buf_append(out, head, (size_t)n);
}
