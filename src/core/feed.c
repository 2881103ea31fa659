/* From the client to its server: runs of messages as they are, and what takes the place of some. */
#include "relay_priv.h"

#include <string.h>

#include "pgseal/core/pool.h"

void feed_flush(struct feed *f, struct session *s)
{
	if (f->pos > f->run && s->server != NULL) {
		s->pool->stats.bytes_received += f->pos - f->run;
		stream_write(&s->server->stream, f->at + f->run, f->pos - f->run);
	}
	f->run = f->pos;
}

void feed_insert(struct feed *f, struct session *s, const struct buf *ours)
{
	feed_flush(f, s);
	stream_write(&s->server->stream, ours->at, ours->len);
}

/* What is in the run moves to where it ends right in front of what is put in; it is in one piece then, and
 * goes out in one record. */
static void move_run(struct feed *f, size_t to_end)
{
	size_t n = f->pos - f->run;

	memmove(f->at + to_end - n, f->at + f->run, n);
	f->run = to_end - n;
}

void feed_replace(struct feed *f, struct session *s, size_t skip, const uint8_t *by, size_t n)
{
	size_t end = f->pos + skip;

	if (end < n + (f->pos - f->run)) /* no room in front of the run */
		feed_flush(f, s);
	if (end >= n + (f->pos - f->run)) {
		move_run(f, end - n);
		memcpy(f->at + end - n, by, n);
		f->pos = end;
	} else {
		stream_write(&s->server->stream, by, n);
		f->pos = f->run = end;
	}
}
