/* A byte stream over a socket, in TLS or in the clear, through its thread's shared buffers.
 *
 * One recv per readiness brings whatever has come into the thread's input buffer; stream_read decrypts
 * it from there. stream_write encrypts into the thread's output buffer, where what goes to one stream lies
 * behind what goes to another until there is no room for more, or the turn ends: then all of it is sent,
 * once per stream as a rule. Cryptography in one go and system calls in another suit the processor's
 * caches, and who is woken by a send has everything at hand. Only what the kernel would not take is kept
 * per stream.
 *
 * Nothing here blocks and nothing calls back into the caller from within stream_read or stream_write:
 * a broken socket is told at the end of the turn. Thread: the one whose io it was put on. */
#ifndef PGSEAL_LOOP_STREAM_H
#define PGSEAL_LOOP_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <openssl/ssl.h>

#include "pgseal/base/bytes.h"
#include "pgseal/loop/loop.h"
#include "pgseal/tls/bio.h"

#define IO_IN_BYTES  131072u          /* most that one readiness brings, bytes of ciphertext */
/* Most plaintext that comes of it: OpenSSL may hold all but the end of one more record. */
#define IO_PLAIN_BYTES (IO_IN_BYTES + SSL3_RT_MAX_PLAIN_LENGTH)
/* What the records around so much plaintext take. */
#define IO_RECORDS_BYTES 4096u
#define IO_OUT_BYTES (IO_PLAIN_BYTES + IO_RECORDS_BYTES)
#define IO_PARTS     32u              /* most sends that are put off */
#define IO_ROOM_BYTES 1024u           /* in front of what has come */
#define IO_KEPT_MAX  65536u           /* most that a caller keeps and wants in front of new bytes */

struct stream;

struct stream_ops {
	void (*readable)(void *arg);
	/* All that was held back has been sent. */
	void (*drained)(void *arg);
	/* Writing failed; reading will too. Told once, at the end of a turn. */
	void (*failed)(void *arg);
};

/* A thread's shared buffers. */
struct io {
	struct loop *loop;
	struct stream *in_owner;  /* whose ciphertext lies in `in` */
	size_t in_pos, in_len;
	struct io_part {          /* whose bytes lie in `out`, one behind the other */
		struct stream *s;
		size_t len;
	} parts[IO_PARTS];
	size_t part_count;
	size_t out_len;
	STAILQ_HEAD(, stream) failed; /* to be told at the end of the turn */
	uint8_t in[IO_IN_BYTES];
	uint8_t out[IO_OUT_BYTES];
	/* Scratch for callers; nobody's between callbacks. What comes in lies behind the first part, so
	 * that it may grow a little where it is passed on. */
	uint8_t plain[IO_ROOM_BYTES + IO_KEPT_MAX + IO_PLAIN_BYTES];
};

struct io *io_create(struct loop *loop); /* NULL: out of memory */
void io_free(struct io *io);
/* Send what is in the output buffer. */
void io_flush(struct io *io);
/* Flush, and tell the streams that failed. For the end of a turn. */
void io_end_turn(struct io *io);

struct stream {
	struct tls_end end; /* under ssl; first, so that it leads back here */
	struct io *io;      /* NULL between threads */
	struct watch *watch;
	SSL *ssl;           /* NULL: in the clear. Owned by whoever made it */
	const struct stream_ops *ops;
	void *arg;
	struct buf held;    /* bytes for the wire that the kernel would not take */
	STAILQ_ENTRY(stream) failed_link;
	uint64_t received, sent; /* bytes on the wire */
	int fd;             /* owned by whoever opened it */
	int error;          /* errno of the failure; 0 none */
	bool eof;           /* the peer will send no more */
	bool failing;       /* in io->failed */
	bool parting;       /* see stream_part */
};

/* fd must be non-blocking. ssl may be set later with stream_secure. */
void stream_init(struct stream *s, int fd);
/* From now on in TLS: takes over ssl's transport; ssl stays the caller's. ERR_NO_MEMORY. */
enum err stream_secure(struct stream *s, SSL *ssl) MUST_CHECK;
/* Put on a thread's io and read from now on. ERR_NO_MEMORY. */
enum err stream_start(struct stream *s, struct io *io, const struct stream_ops *ops,
                      void *arg) MUST_CHECK;
/* Take off again, flushed as far as the kernel allows; for hand-over or before closing. */
void stream_stop(struct stream *s);
/* From now on writes go to the kernel at once, what it does not take is dropped: for farewells
 * that are written while closing, by us or by libpq. */
void stream_part(struct stream *s);
/* Frees what it holds; not ssl, not fd. After stream_stop. */
void stream_fini(struct stream *s);

enum stream_next {
	STREAM_DATA,    /* there may be something for stream_read */
	STREAM_NOTHING, /* spurious readiness */
	STREAM_EOF,     /* FIN, or close_notify found by stream_read */
	STREAM_FAILED,  /* socket or TLS failure; stream_why tells */
};
/* One recv into the thread's input buffer. */
enum stream_next stream_fill(struct stream *s);
/* Decrypt up to n bytes of what the fill brought; returns how many. 0: nothing (more). Sets eof or
 * fails the stream when it meets the end. */
size_t stream_read(struct stream *s, uint8_t *to, size_t n);
/* Fill and read all of it into to; *got may be > 0 with any result. n >= IO_PLAIN_BYTES. */
enum stream_next stream_receive(struct stream *s, uint8_t *to, size_t n, size_t *got);
/* One step of a TLS handshake with what the fill brought. */
enum stream_next stream_handshake(struct stream *s, bool *done);

/* Never short: what the kernel does not take is held. Failure is told later by ops->failed. */
void stream_write(struct stream *s, const void *at, size_t n);
/* Bytes held back: the peer is slower than we are. */
size_t stream_held(const struct stream *s);
/* Stop or go on reading: back-pressure. */
void stream_pause(struct stream *s, bool paused);
bool stream_failed(const struct stream *s);
/* Why it failed or ended, for people. */
void stream_why(const struct stream *s, char *out, size_t size);

#endif
