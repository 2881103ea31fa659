/* A raw client that costs as little as it can: many of them live in one thread, on one epoll. It speaks
 * just enough of the protocol to log in, to send what it is given, and to count answers. */
#ifndef PGSEAL_TESTS_BENCH_CONN_H
#define PGSEAL_TESTS_BENCH_CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <openssl/ssl.h>

#include "pgseal/base/bytes.h"

struct conn;

/* Where all clients of a program go, and who is told about them. */
struct hub {
	int epoll;
	SSL_CTX *tls[2]; /* clients show one certificate and the other in turns; the second may be NULL */
	struct sockaddr_in addr;
	struct buf startup; /* the StartupMessage */
	bool half_open;     /* stop in the middle of the handshake: `ready` is told once */
	uint64_t bytes;     /* plaintext that came */
	uint64_t refusals;  /* ErrorResponses that came */
	char words[200];    /* of the first one */
	/* Logged in, or everything sent by conn_send is answered. */
	void (*ready)(struct conn *c);
	/* The connection is gone; it is closed already. */
	void (*lost)(struct conn *c, const char *why);
};

/* A stream for COPY FROM STDIN: `chunk` so many times, then CopyDone. */
struct flow {
	struct bytes chunk;
	unsigned times;
};

enum conn_state {
	CONN_CLOSED,
	CONN_CONNECTING,
	CONN_ASKING, /* SSLRequest sent */
	CONN_HANDSHAKE,
	CONN_HALTED, /* half open, for good */
	CONN_OPEN,   /* in TLS: logging in, busy or idle */
};

struct conn {
	struct hub *hub;
	int fd;
	SSL *ssl;
	enum conn_state state;
	unsigned owed;           /* ReadyForQuery still to come */
	struct bytes out;        /* not sent yet; borrowed */
	const struct flow *flow; /* what to send when the server asks for data */
	unsigned chunks_left;
	bool flowing; /* CopyDone is still to be sent */
	bool wants_write;
	uint8_t head[5]; /* of the message that is coming in */
	uint8_t head_len;
	uint8_t body[96];      /* its first bytes */
	uint32_t passed, size; /* bytes of its body that came, and all of them */
	uint8_t key[8];        /* of BackendKeyData */
	uint64_t since_ns;     /* for the owner: when the request began */
	unsigned index;        /* for the owner */
	bool logged_in;
	TAILQ_ENTRY(conn) link; /* for the owner */
};

/* Reads certificates from pki: ca.crt, NAME.crt, NAME.key; name: one, or two with a comma in between. Exits with words on any failure. */
void hub_init(struct hub *h, const char *pki, const char *name, int port, const char *user,
              const char *database);
void hub_fini(struct hub *h);
/* Wait at most so long, then let each client that may go on do so. */
void hub_turn(struct hub *h, int64_t timeout_ns);

void conn_open(struct conn *c, struct hub *h);
/* Send it all and expect so many ReadyForQuery. out and flow are borrowed until then. */
void conn_send(struct conn *c, struct bytes out, unsigned answers, const struct flow *flow);
/* Say goodbye as libpq does. */
void conn_quit(struct conn *c);
/* Close without a word. */
void conn_close(struct conn *c);
/* From now on what comes for it stays in the kernel. */
void conn_deafen(struct conn *c);

uint64_t now_ns(void);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
