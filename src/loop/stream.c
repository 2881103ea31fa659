#include "pgseal/loop/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/err.h>

#define ERROR_TLS (-1)   /* stream.error: OpenSSL refused what the peer sent */
#define ERROR_FLOOD (-2) /* stream.error: KeyUpdates without end */

struct io *io_create(struct loop *loop)
{
	struct io *io = malloc(sizeof(*io));

	if (io == NULL)
		return NULL;
	io->loop = loop;
	io->in_owner = NULL;
	io->in_pos = io->in_len = io->out_len = io->part_count = 0;
	STAILQ_INIT(&io->failed);
	return io;
}

void io_free(struct io *io)
{
	free(io);
}

static void stream_fail(struct stream *s, int error)
{
	if (s->error != 0)
		return;
	s->error = error;
	buf_free(&s->held);
	if (s->io == NULL)
		return;
	s->failing = true;
	STAILQ_INSERT_TAIL(&s->io->failed, s, failed_link);
}

static void stream_set_interest(struct stream *s, unsigned on, unsigned off)
{
	if (s->watch != NULL && watch_set(s->watch, (watch_get(s->watch) | on) & ~off) != ERR_OK)
		stream_fail(s, ENOMEM);
}

/* Hand bytes to the kernel; returns how many it took. A failure is recorded. */
static size_t stream_send(struct stream *s, const uint8_t *at, size_t n)
{
	ssize_t sent;

	do
		sent = send(s->fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		s->sent += (uint64_t)sent;
		return (size_t)sent;
	}
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		stream_fail(s, errno);
	return 0;
}

static void stream_hold(struct stream *s, const uint8_t *at, size_t n)
{
	if (s->error != 0 || s->parting || n == 0)
		return;
	if (buf_append(&s->held, at, n) != ERR_OK)
		stream_fail(s, ENOMEM);
	else
		stream_set_interest(s, LOOP_WRITE, 0);
}

static void part_flush(struct stream *s, const uint8_t *at, size_t len)
{
	size_t sent = 0;

	/* An alert that OpenSSL wrote while it gave up still goes out. */
	if (s->error > 0)
		return;
	if (s->held.len == 0)
		sent = stream_send(s, at, len);
	stream_hold(s, at + sent, len - sent);
}

void io_flush(struct io *io)
{
	const uint8_t *at = io->out;
	size_t i, count = io->part_count;

	io->part_count = io->out_len = 0;
	for (i = 0; i < count; i++) {
		part_flush(io->parts[i].s, at, io->parts[i].len);
		at += io->parts[i].len;
	}
}

void io_end_turn(struct io *io)
{
	struct stream *s;

	io_flush(io);
	while ((s = STAILQ_FIRST(&io->failed)) != NULL) {
		STAILQ_REMOVE_HEAD(&io->failed, failed_link);
		s->failing = false;
		s->ops->failed(s->arg);
		io_flush(io);
	}
}

/* ---- the two functions under OpenSSL ---- */

static size_t end_take(struct tls_end *end, void *to, size_t n)
{
	struct stream *s = (struct stream *)end;
	struct io *io = s->io;
	size_t left;

	if (io == NULL || io->in_owner != s)
		return 0;
	left = io->in_len - io->in_pos;
	if (n > left)
		n = left;
	memcpy(to, io->in + io->in_pos, n);
	io->in_pos += n;
	return n;
}

/* The part of the output that the stream's next bytes go to: the last one, if it is its own. */
static struct io_part *part_of(struct io *io, struct stream *s)
{
	struct io_part *last = io->part_count > 0 ? &io->parts[io->part_count - 1] : NULL;

	if (last != NULL && last->s == s)
		return last;
	if (io->part_count == IO_PARTS)
		io_flush(io);
	last = &io->parts[io->part_count++];
	*last = (struct io_part){ .s = s };
	return last;
}

/* Bytes for the wire. They queue behind what is held; they share the output buffer otherwise. */
static void stream_put(struct stream *s, const uint8_t *at, size_t n)
{
	struct io *io = s->io;
	struct io_part *part;
	size_t room;

	if (s->error > 0)
		return;
	if (s->parting || io == NULL) {
		stream_send(s, at, n);
		return;
	}
	while (n > 0) {
		if (io->out_len == IO_OUT_BYTES)
			io_flush(io);
		part = part_of(io, s);
		room = IO_OUT_BYTES - io->out_len;
		if (room > n)
			room = n;
		memcpy(io->out + io->out_len, at, room);
		io->out_len += room;
		part->len += room;
		at += room;
		n -= room;
	}
}

static bool end_give(struct tls_end *end, const void *at, size_t n)
{
	stream_put((struct stream *)end, at, n);
	return true;
}

/* ---- life ---- */

void stream_init(struct stream *s, int fd)
{
	memset(s, 0, sizeof(*s));
	s->end.take = end_take;
	s->end.give = end_give;
	s->fd = fd;
}

enum err stream_secure(struct stream *s, SSL *ssl)
{
	enum err rc = tls_end_attach(ssl, &s->end);

	if (rc == ERR_OK)
		s->ssl = ssl;
	return rc;
}

static void stream_ready(void *arg, unsigned events)
{
	struct stream *s = arg;
	size_t sent;

	if ((events & LOOP_WRITE) != 0) {
		sent = stream_send(s, s->held.at, s->held.len);
		if (s->error != 0)
			return;
		buf_consume(&s->held, sent);
		if (s->held.len > 0)
			return;
		stream_set_interest(s, 0, LOOP_WRITE);
		s->ops->drained(s->arg);
	} else {
		s->ops->readable(s->arg);
	}
}

enum err stream_start(struct stream *s, struct io *io, const struct stream_ops *ops, void *arg)
{
	enum err rc;

	s->ops = ops;
	s->arg = arg;
	if ((rc = watch_create(io->loop, s->fd, stream_ready, s, &s->watch)) != ERR_OK)
		return rc;
	s->io = io;
	rc = watch_set(s->watch, LOOP_READ | (s->held.len > 0 ? LOOP_WRITE : 0));
	if (rc != ERR_OK)
		stream_stop(s);
	return rc;
}

void stream_stop(struct stream *s)
{
	struct io *io = s->io;

	if (io == NULL)
		return;
	io_flush(io);
	if (io->in_owner == s)
		io->in_owner = NULL;
	if (s->failing)
		STAILQ_REMOVE(&io->failed, s, stream, failed_link);
	s->failing = false;
	watch_free(s->watch);
	s->watch = NULL;
	s->io = NULL;
}

void stream_part(struct stream *s)
{
	if (s->io != NULL)
		io_flush(s->io);
	if (s->held.len > 0)
		stream_send(s, s->held.at, s->held.len);
	buf_free(&s->held);
	s->parting = true;
}

void stream_fini(struct stream *s)
{
	assert(s->io == NULL);
	buf_free(&s->held);
}

/* ---- reading ---- */

enum stream_next stream_fill(struct stream *s)
{
	struct io *io = s->io;
	ssize_t got;

	if (s->error != 0)
		return STREAM_FAILED;
	do
		got = recv(s->fd, io->in, IO_IN_BYTES, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return STREAM_NOTHING;
		s->error = errno;
		return STREAM_FAILED;
	}
	if (got == 0) {
		s->eof = true;
		return STREAM_EOF;
	}
	s->received += (uint64_t)got;
	io->in_owner = s;
	io->in_pos = 0;
	io->in_len = (size_t)got;
	return STREAM_DATA;
}

/* OpenSSL could not go on: tell apart "later", "the end" and "broken". */
static enum stream_next stream_tls_result(struct stream *s, int rc)
{
	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return STREAM_NOTHING;
	case SSL_ERROR_ZERO_RETURN:
		s->eof = true;
		return STREAM_EOF;
	default:
		if (s->error == 0)
			s->error = s->end.flooded ? ERROR_FLOOD : ERROR_TLS;
		return STREAM_FAILED;
	}
}

/* Errors of an earlier operation, another's even, would make "later" look like a failure. Clearing costs
 * much more than looking. */
static void forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

/* Is there anything that the next SSL_read might yield? Asking OpenSSL in vain costs half as much as a
 * record. */
static bool stream_pending(const struct stream *s)
{
	const struct io *io = s->io;

	return (io->in_owner == s && io->in_pos < io->in_len) || SSL_has_pending(s->ssl);
}

size_t stream_read(struct stream *s, uint8_t *to, size_t n)
{
	size_t got = 0, fill = 0;
	int rc;

	if (s->ssl == NULL)
		return end_take(&s->end, to, n);
	forget_errors();
	while (fill < n && stream_pending(s)) {
		rc = SSL_read_ex(s->ssl, to + fill, n - fill, &got);
		if (rc != 1) {
			stream_tls_result(s, rc);
			break;
		}
		tls_end_data(&s->end, got, loop_now(s->io->loop));
		fill += got;
	}
	return fill;
}

enum stream_next stream_receive(struct stream *s, uint8_t *to, size_t n, size_t *got)
{
	enum stream_next next = stream_fill(s);

	*got = 0;
	if (next != STREAM_DATA)
		return next;
	*got = stream_read(s, to, n);
	if (s->error != 0)
		return STREAM_FAILED;
	/* What is left in the window would be overwritten by the next fill. */
	assert(s->eof || s->io->in_pos == s->io->in_len);
	return s->eof ? STREAM_EOF : STREAM_DATA;
}

enum stream_next stream_handshake(struct stream *s, bool *done)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(s->ssl);
	*done = rc == 1;
	return rc == 1 ? STREAM_DATA : stream_tls_result(s, rc);
}

/* ---- writing ---- */

/* What fits as a whole shall go out as a whole, not in two sends. */
static void make_room(struct io *io, size_t n)
{
	if (io != NULL && io->out_len + n > IO_OUT_BYTES - IO_RECORDS_BYTES)
		io_flush(io);
}

void stream_write(struct stream *s, const void *at, size_t n)
{
	size_t done;
	int rc;

	if (s->error != 0 || n == 0)
		return;
	if (s->ssl == NULL) {
		stream_put(s, at, n);
		return;
	}
	make_room(s->io, n);
	rc = SSL_write_ex(s->ssl, at, n, &done);
	/* Our transport takes everything, so a short or refused write is a dead TLS connection. */
	if ((rc != 1 || done != n) && s->error == 0)
		stream_fail(s, ERROR_TLS);
}

size_t stream_held(const struct stream *s)
{
	return s->held.len;
}

void stream_pause(struct stream *s, bool paused)
{
	if (s->error == 0)
		stream_set_interest(s, paused ? 0 : LOOP_READ, paused ? LOOP_READ : 0);
}

bool stream_failed(const struct stream *s)
{
	return s->error != 0;
}

void stream_why(const struct stream *s, char *out, size_t size)
{
	if (s->error == ERROR_FLOOD)
		snprintf(out, size, "TLS KeyUpdate flood");
	else if (s->error == ERROR_TLS)
		snprintf(out, size, "TLS error");
	else if (s->error != 0)
		snprintf(out, size, "%s", strerror(s->error));
	else
		snprintf(out, size, "%s", s->eof ? "closed by the peer" : "open");
}
