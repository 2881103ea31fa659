#include "pgseal/loop/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pgseal/base/log.h"
#include "pgseal/wire/http_head.h"

#define ACCEPT_BATCH 16
#define ACCEPT_REST_US (100 * USEC_PER_MS)
#define BACKLOG 32
/* Behind its answer a client may send so much more, unread: a close before that could overtake the
 * answer as a reset. */
#define LINGER_BYTES 65536u

enum connection_state {
	CONNECTION_READING,
	CONNECTION_ASKING,    /* the page has the ticket */
	CONNECTION_SENDING,
	CONNECTION_LINGERING, /* answered; until the client has closed */
};

struct connection {
	TAILQ_ENTRY(connection) link;
	struct http *http;
	struct watch *watch;
	struct buf in, out;
	size_t sent;    /* of out */
	size_t unread;  /* bytes behind the request that were dropped */
	uint64_t ticket;
	usec_t since;
	enum connection_state state;
	bool head;      /* HEAD: no content */
	int fd;
};

struct door {
	struct http *http;
	struct watch *watch;
	int fd;
};

struct http {
	struct loop *loop;
	struct http_options options;
	TAILQ_HEAD(, connection) connections; /* oldest first */
	size_t count;
	uint64_t tickets;
	struct timer *deadline;    /* of the oldest connection */
	struct timer *accept_rest; /* accepting again after descriptors ran out */
	struct door doors[ENDPOINTS_MAX];
	size_t door_count;
};

/* ---- life ---- */

static void connection_close(struct connection *c)
{
	TAILQ_REMOVE(&c->http->connections, c, link);
	c->http->count--;
	watch_free(c->watch);
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

/* Interest in what comes next. False: no memory, the connection is gone. */
static bool await(struct connection *c, unsigned events)
{
	if (watch_set(c->watch, events) == ERR_OK)
		return true;
	connection_close(c);
	return false;
}

/* ---- answers ---- */

static void linger(struct connection *c)
{
	shutdown(c->fd, SHUT_WR);
	buf_free(&c->out);
	buf_free(&c->in);
	c->state = CONNECTION_LINGERING;
	(void)await(c, LOOP_READ);
}

/* Send what the kernel takes; c may be gone behind this. */
static void send_more(struct connection *c)
{
	ssize_t n;

	while (c->sent < c->out.len) {
		n = send(c->fd, c->out.at + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			(void)await(c, LOOP_WRITE);
			return;
		}
		if (n < 0) {
			connection_close(c);
			return;
		}
		c->sent += (size_t)n;
	}
	linger(c);
}

static void answer(struct connection *c, const struct http_reply *reply, struct bytes content)
{
	enum err rc = http_head_write(&c->out, reply);

	if (rc == ERR_OK && !c->head && content.len > 0)
		rc = buf_append(&c->out, content.at, content.len);
	if (rc != ERR_OK) {
		log_error(LOG_HTTP, 0, "answer: %s", err_text(rc));
		connection_close(c);
		return;
	}
	c->state = CONNECTION_SENDING;
	send_more(c);
}

/* In our own name: the phrase is all there is to say. */
static void answer_status(struct connection *c, int status, const char *allow)
{
	struct bytes phrase = bytes_of(http_phrase(status));
	char text[80];

	snprintf(text, sizeof(text), "%s\n", (const char *)phrase.at);
	answer(c,
	       &(struct http_reply){ .status = status, .type = "text/plain; charset=utf-8",
	                             .allow = allow, .length = strlen(text),
	                             .date = clock_wall_us() / USEC_PER_SEC },
	       bytes_of(text));
}

void http_answer(struct http *h, uint64_t ticket, int status, const char *type,
                 struct bytes content)
{
	struct connection *c;

	TAILQ_FOREACH(c, &h->connections, link)
		if (c->state == CONNECTION_ASKING && c->ticket == ticket)
			break;
	if (c != NULL)
		answer(c,
		       &(struct http_reply){ .status = status, .type = type,
		                             .length = content.len,
		                             .date = clock_wall_us() / USEC_PER_SEC },
		       content);
}

/* ---- requests ---- */

static const struct http_page *page_of(const struct http *h, struct bytes path)
{
	const struct http_page *page;

	for (page = h->options.pages; page->path != NULL; page++)
		if (bytes_equal(path, bytes_of(page->path)))
			return page;
	return NULL;
}

static void ask(struct connection *c, const struct http_request *r)
{
	const struct http_page *page = page_of(c->http, r->path);

	c->head = bytes_equal(r->method, bytes_of("HEAD"));
	if (page == NULL) {
		answer_status(c, 404, NULL);
	} else if (!c->head && !bytes_equal(r->method, bytes_of("GET"))) {
		answer_status(c, 405, "GET, HEAD");
	} else if (await(c, 0)) {
		c->state = CONNECTION_ASKING;
		c->ticket = ++c->http->tickets;
		page->get(c->http->options.arg, c->ticket);
	}
}

static void read_request(struct connection *c)
{
	struct http_request r;
	int status;

	switch (http_head_peek((struct bytes){ c->in.at, c->in.len }, &r, &status)) {
	case HTTP_MORE:
		break;
	case HTTP_BAD:
		answer_status(c, status, NULL);
		break;
	case HTTP_READY:
		ask(c, &r);
		break;
	}
}

/* Whatever comes behind the request is not ours to know. */
static void drop(struct connection *c, size_t n)
{
	c->unread += n;
	if (c->unread > LINGER_BYTES)
		connection_close(c);
}

static void readable(struct connection *c)
{
	uint8_t bytes[4096];
	size_t room = sizeof(bytes);
	ssize_t n;

	if (c->state == CONNECTION_READING && HTTP_HEAD_MAX - c->in.len < room)
		room = HTTP_HEAD_MAX - c->in.len;
	n = recv(c->fd, bytes, room, 0);
	if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n <= 0)
		connection_close(c);
	else if (c->state == CONNECTION_LINGERING)
		drop(c, (size_t)n);
	else if (buf_append(&c->in, bytes, (size_t)n) != ERR_OK)
		connection_close(c);
	else
		read_request(c);
}

static void ready(void *arg, unsigned events)
{
	struct connection *c = arg;

	if (c->state == CONNECTION_SENDING && (events & LOOP_WRITE) != 0)
		send_more(c);
	else if (c->state == CONNECTION_READING || c->state == CONNECTION_LINGERING)
		readable(c);
}

/* ---- arrival and deadline ---- */

static void connection_open(struct http *h, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL || watch_create(h->loop, fd, ready, c, &c->watch) != ERR_OK) {
		free(c);
		close(fd);
		return;
	}
	c->http = h;
	c->fd = fd;
	c->since = loop_now(h->loop);
	/* Who means it is through in milliseconds. */
	if (h->count >= h->options.connections)
		connection_close(TAILQ_FIRST(&h->connections));
	TAILQ_INSERT_TAIL(&h->connections, c, link);
	h->count++;
	if (await(c, LOOP_READ))
		timer_set_once(h->deadline, h->options.life);
}

static void deadline_due(void *arg)
{
	struct http *h = arg;
	usec_t life = h->options.life, now = loop_now(h->loop);
	struct connection *c;

	while ((c = TAILQ_FIRST(&h->connections)) != NULL && now - c->since >= life)
		connection_close(c);
	if (c != NULL)
		timer_set(h->deadline, c->since + life - now);
}

static void doors_set(struct http *h, unsigned interest)
{
	size_t i;

	for (i = 0; i < h->door_count; i++)
		if (watch_set(h->doors[i].watch, interest) != ERR_OK)
			log_error(LOG_HTTP, 0, "listener: out of memory");
}

static void accept_again(void *arg)
{
	doors_set(arg, LOOP_READ);
}

static void door_ready(void *arg, unsigned events)
{
	struct door *door = arg;
	int fd, i;

	(void)events;
	for (i = 0; i < ACCEPT_BATCH; i++) {
		fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			connection_open(door->http, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		           errno == ENOMEM) {
			log_error(LOG_HTTP, 0, "accept: %s", strerror(errno));
			doors_set(door->http, 0);
			timer_set(door->http->accept_rest, ACCEPT_REST_US);
			return;
		} else {
			return;
		}
	}
}

static int open_socket(const struct endpoint *at)
{
	int fd = socket(at->at.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->at.sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &at->at.sa, at->len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

enum err http_listen(struct http *h, const struct endpoint *at, struct errbuf *why)
{
	struct door *door = &h->doors[h->door_count];
	enum err rc;

	if (h->door_count == ENDPOINTS_MAX)
		return err_set(why, ERR_LIMIT, "more than %d addresses", ENDPOINTS_MAX);
	door->http = h;
	if ((door->fd = open_socket(at)) < 0)
		return err_set(why, ERR_IO, "cannot listen on %s: %s", at->text, strerror(errno));
	if ((rc = watch_create(h->loop, door->fd, door_ready, door, &door->watch)) != ERR_OK) {
		close(door->fd);
		return err_set(why, rc, "%s", err_text(rc));
	}
	h->door_count++;
	if ((rc = watch_set(door->watch, LOOP_READ)) != ERR_OK)
		return err_set(why, rc, "%s", err_text(rc));
	return ERR_OK;
}

/* ---- the server ---- */

enum err http_create(struct loop *loop, const struct http_options *options, struct http **out)
{
	struct http *h = calloc(1, sizeof(*h));
	enum err rc;

	if (h == NULL)
		return ERR_NO_MEMORY;
	h->loop = loop;
	h->options = *options;
	TAILQ_INIT(&h->connections);
	if ((rc = timer_create_in(loop, deadline_due, h, &h->deadline)) != ERR_OK ||
	    (rc = timer_create_in(loop, accept_again, h, &h->accept_rest)) != ERR_OK) {
		http_free(h);
		return rc;
	}
	*out = h;
	return ERR_OK;
}

void http_free(struct http *h)
{
	struct connection *c;

	if (h == NULL)
		return;
	while ((c = TAILQ_FIRST(&h->connections)) != NULL)
		connection_close(c);
	while (h->door_count > 0) {
		watch_free(h->doors[--h->door_count].watch);
		close(h->doors[h->door_count].fd);
	}
	timer_free(h->deadline);
	timer_free(h->accept_rest);
	free(h);
}
