#include "pgseal/loop/login.h"

#include <ctype.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "pgseal/base/bytes.h"
#include "pgseal/loop/hosts.h"

#define LOGIN_KEYWORDS_MAX 96 /* libpq 18 knows about 50 */

struct login {
	struct loop *loop;
	struct resolver *resolver;
	void (*done)(void *arg, PGconn *conn, const struct login_failure *failure);
	void *arg;
	struct timer *
		timer; /* first the start, which is never from within login_start; then the deadline */
	bool started;
	struct watch *watch;
	struct hosts *hosts;
	PGconn *conn;
	usec_t timeout;
	char *keywords[LOGIN_KEYWORDS_MAX + 1], *values[LOGIN_KEYWORDS_MAX + 1];
	size_t count;
};

static void login_free(struct login *l)
{
	size_t i;

	hosts_cancel(l->hosts);
	watch_free(l->watch);
	timer_free(l->timer);
	PQfinish(l->conn);
	for (i = 0; i < l->count; i++) {
		free(l->keywords[i]);
		free(l->values[i]);
	}
	free(l);
}

void login_cancel(struct login *l)
{
	if (l != NULL)
		login_free(l);
}

/* ---- failure, in the server's words where it spoke ---- */

/* "...:  28000: text" as PQERRORS_VERBOSE prints it: find the five characters and what follows. */
static const char *find_sqlstate(const char *text, char sqlstate[6])
{
	const char *p;
	size_t i;

	for (p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
		for (i = 0; i < 5; i++)
			if (!isdigit((unsigned char)p[3 + i]) && !isupper((unsigned char)p[3 + i]))
				break;
		if (i == 5 && p[8] == ':' && p[9] == ' ') {
			memcpy(sqlstate, p + 3, 5);
			sqlstate[5] = '\0';
			return p + 10;
		}
	}
	return NULL;
}

void login_failure_say(struct login_failure *f, const char *why)
{
	f->sqlstate[0] = '\0';
	snprintf(f->message, sizeof(f->message), "%.*s", (int)strcspn(why, "\n"), why);
}

static void failure_fill(struct login_failure *f, const char *text)
{
	const char *words;
	size_t len, used = 0;

	memset(f, 0, sizeof(*f));
	words = find_sqlstate(text, f->sqlstate);
	if (words != NULL) {
		snprintf(f->message, sizeof(f->message), "%.*s", (int)strcspn(words, "\n"), words);
		return;
	}
	/* libpq's own words: a line for each address, and indented ones that only guess. */
	while (*text != '\0') {
		len = strcspn(text, "\n");
		if (text[0] != '\t' && len > 0 && used < sizeof(f->message))
			used += (size_t)snprintf(f->message + used, sizeof(f->message) - used,
			                         "%s%.*s", used > 0 ? "; " : "", (int)len, text);
		text += len + (text[len] == '\n');
	}
	/* Some of libpq's messages end in bytes that nobody wrote. */
	for (len = 0;
	     (unsigned char)f->message[len] >= ' ' && (unsigned char)f->message[len] < 0x7f; len++)
		;
	f->message[len] = '\0';
}

static void login_fail(struct login *l, const char *text)
{
	struct login_failure failure;

	failure_fill(&failure, text);
	l->done(l->arg, NULL, &failure);
	login_free(l);
}

/* ---- connecting ---- */

static void login_ready(void *arg, unsigned events);

/* libpq's socket may have become another one under the same number: always watch anew. */
static void login_wait(struct login *l, unsigned events)
{
	if (watch_create(l->loop, PQsocket(l->conn), login_ready, l, &l->watch) != ERR_OK ||
	    watch_set(l->watch, events) != ERR_OK)
		login_fail(l, "out of memory");
}

/* Longest that a server may be about a login, in bytes: a chain of certificates is the most of it. libpq keeps parameters
 * and notifications for as long as the connection lives. */
#define LOGIN_BYTES_MAX (1024u * 1024)

static bool says_too_much(const struct login *l)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	/* Over a Unix socket nobody counts. */
	return getsockopt(PQsocket(l->conn), IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_bytes_received > LOGIN_BYTES_MAX;
}

static void login_ready(void *arg, unsigned events)
{
	struct login *l = arg;
	PostgresPollingStatusType status;
	PGconn *conn;

	(void)events;
	watch_free(l->watch);
	l->watch = NULL;
	status = PQconnectPoll(l->conn);
	if (status == PGRES_POLLING_OK) {
		conn = l->conn;
		l->conn = NULL;
		l->done(l->arg, conn, NULL);
		login_free(l);
	} else if (status == PGRES_POLLING_FAILED) {
		login_fail(l, PQerrorMessage(l->conn));
	} else if (says_too_much(l)) {
		login_fail(l, "the server has sent more than 1 MB and is not ready for queries");
	} else {
		login_wait(l, status == PGRES_POLLING_READING ? LOOP_READ : LOOP_WRITE);
	}
}

static const char *login_value(const struct login *l, const char *keyword)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		if (strcmp(l->keywords[i], keyword) == 0)
			return l->values[i];
	return NULL;
}

static bool is_host_keyword(const char *keyword)
{
	return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
	       strcmp(keyword, "port") == 0;
}

/* libpq would print them to stderr. */
static void ignore_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

/* lists NULL: as the caller gave them. */
static void login_connect(struct login *l, const struct host_lists *lists)
{
	const char *keywords[LOGIN_KEYWORDS_MAX + 4], *values[LOGIN_KEYWORDS_MAX + 4];
	size_t i, n = 0;

	for (i = 0; i < l->count; i++)
		if (lists == NULL || !is_host_keyword(l->keywords[i])) {
			keywords[n] = l->keywords[i];
			values[n++] = l->values[i];
		}
	if (lists != NULL) {
		keywords[n] = "host";
		values[n++] = lists->host;
		keywords[n] = "hostaddr";
		values[n++] = lists->hostaddr;
		keywords[n] = "port";
		values[n++] = lists->port;
	}
	keywords[n] = values[n] = NULL;
	l->conn = PQconnectStartParams(keywords, values, 0);
	if (l->conn == NULL) {
		login_fail(l, "out of memory");
	} else if (PQstatus(l->conn) == CONNECTION_BAD) {
		login_fail(l, PQerrorMessage(l->conn));
	} else {
		PQsetNoticeProcessor(l->conn, ignore_notice, NULL);
		/* Verbose errors carry the SQLSTATE, which libpq has no other way to tell. */
		PQsetErrorVerbosity(l->conn, PQERRORS_VERBOSE);
		login_wait(l, LOOP_WRITE);
	}
}

static void login_resolved(void *arg, const struct host_lists *lists, const char *why)
{
	struct login *l = arg;

	l->hosts = NULL;
	if (lists == NULL)
		login_fail(l, why);
	else
		login_connect(l, lists);
}

static void login_begin(struct login *l)
{
	const char *host = login_value(l, "host"), *addr = login_value(l, "hostaddr");

	/* Addresses given, or nothing to resolve because a service file has it all: libpq knows. */
	if (host == NULL || host[0] == '\0' || (addr != NULL && addr[0] != '\0'))
		login_connect(l, NULL);
	else if (hosts_start(l->resolver, host, login_value(l, "port"), login_resolved, l,
	                     &l->hosts) != ERR_OK)
		login_fail(l, "out of memory");
}

static void login_due(void *arg)
{
	struct login *l = arg;
	char text[600];

	if (l->started) {
		snprintf(text, sizeof(text), "timeout after %s%s%s",
		         duration_text(l->timeout).s, l->conn != NULL ? "; " : "",
		         l->conn != NULL ? PQerrorMessage(l->conn) : "");
		login_fail(l, text);
		return;
	}
	l->started = true;
	if (l->timeout > 0)
		timer_set(l->timer, l->timeout);
	login_begin(l);
}

enum err login_start(struct loop *loop, struct resolver *resolver, const struct login_request *req,
                     void (*done)(void *arg, PGconn *conn, const struct login_failure *failure),
                     void *arg, struct login **out)
{
	struct login *l = calloc(1, sizeof(*l));
	size_t i;

	if (l == NULL)
		return ERR_NO_MEMORY;
	l->loop = loop;
	l->resolver = resolver;
	l->done = done;
	l->arg = arg;
	l->timeout = req->timeout;
	for (i = 0; req->keywords[i] != NULL && i < LOGIN_KEYWORDS_MAX; i++) {
		l->keywords[i] = strdup(req->keywords[i]);
		l->values[i] = strdup(req->values[i]);
		l->count++;
		if (l->keywords[i] == NULL || l->values[i] == NULL)
			goto out_of_memory;
	}
	if (timer_create_in(loop, login_due, l, &l->timer) != ERR_OK)
		goto out_of_memory;
	timer_set(l->timer, 0);
	*out = l;
	return ERR_OK;
out_of_memory:
	login_free(l);
	return ERR_NO_MEMORY;
}

bool login_knows_keyword(const char *keyword)
{
	PQconninfoOption *all = PQconndefaults(), *o;
	bool known = false;

	for (o = all; o != NULL && o->keyword != NULL && !known; o++)
		known = strcmp(o->keyword, keyword) == 0;
	PQconninfoFree(all);
	return known;
}
