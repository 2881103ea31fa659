/* A PostgreSQL that is none, for answers that the real one never gives: what it does with a connection
 * is the test's, out of the pieces below. One connection after the other, in a thread of its own; no
 * assertion may be made there. */
#ifndef PGSEAL_TESTS_IMPOSTOR_H
#define PGSEAL_TESTS_IMPOSTOR_H

#include <pthread.h>

#include "tests/integration/frames.h"

struct impostor {
	int fd, port;
	SSL_CTX *ctx;
	pthread_t thread;
	void (*receive)(struct impostor *im, int fd); /* fd is closed behind it */
	const void *arg; /* the test's; set before a connection comes */
	_Atomic int connections;
};

/* On 127.0.0.1, with the certificate of that prefix; NULL: the rig's own for servers. */
void impostor_start(struct impostor *im, const char *cert,
                    void (*receive)(struct impostor *im, int fd), const void *arg);
void impostor_stop(struct impostor *im);

/* For `receive`: TLS, and then this conversation in a thread of its own, as several are served at once. */
void impostor_serve(struct impostor *im, int fd, void (*converse)(SSL *ssl, struct script *say));
/* The SSLRequest was read; NULL when none came. */
bool impostor_asked_for_tls(int fd);
/* SSLRequest, 'S', handshake; NULL when any of it fails. SSL_free is the caller's. */
SSL *impostor_secure(const struct impostor *im, int fd);
/* A message's body, at most cap - 1 bytes, as text; the first one, StartupMessage or what comes instead,
 * has no type and counts as 'p'. Returns the type; 0 at the end. */
char impostor_hear(SSL *ssl, bool first, char *body, size_t cap);
/* Send it and forget it. */
void impostor_tell(SSL *ssl, struct script *say);
/* A ParameterStatus. */
void impostor_put_parameter(struct script *say, const char *name, const char *value);
/* Everything from the AuthenticationOk to the ReadyForQuery. */
void impostor_put_welcome(struct script *say);
/* One that knows a single statement, the last one, by any name. */
struct impostor_batch {
	char text[2048]; /* of the last Parse */
	char types[64];  /* of its parameters: their count and they, as they came */
	size_t types_len;
	char status; /* of the transaction; 0 counts as 'I' */
};
/* Append what PostgreSQL says to such a message of the extended protocol; whatever is executed is a
 * success. True: it is told now, for that was a Flush or a Sync. */
bool impostor_put_answer(struct script *say, struct impostor_batch *batch, char type,
                         const char *body);
/* An ErrorResponse of severity FATAL. */
void impostor_put_fatal(struct script *say, const char *sqlstate, const char *message);

#endif
