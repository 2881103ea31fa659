/* Clients in raw frames over TLS, for what libpq would not say; and requests to cancel. */
#ifndef PGSEAL_TESTS_FRAMES_H
#define PGSEAL_TESTS_FRAMES_H

#include "tests/integration/rig.h"

#define FRAMES_3_0 (3u << 16)
#define FRAMES_3_2 (3u << 16 | 2u)

struct frames {
	SSL *ssl;
	uint32_t pid; /* the cancel key */
	uint8_t secret[256];
	size_t secret_len;
	char sqlstate[6]; /* of the last error; "" none */
	char message[400];
	char tag[64];   /* of the last CommandComplete */
};

/* Log in; false when that was refused: see sqlstate and message. frames_drop in any case. */
bool frames_try_login(struct frames *f, const struct rig *rig, const char *name,
                      const char *database, uint32_t version);
void frames_login(struct frames *f, const struct rig *rig, const char *name, const char *database);
/* The connection breaks off, without goodbye. */
void frames_drop(struct frames *f);

/* What a client says in one piece. */
struct script {
	size_t len;
	uint8_t at[70000];
};
void script_put(struct script *s, char type, const void *body, size_t n);
void script_text(struct script *s, char type, const char *text); /* body: one string */
void script_parse(struct script *s, const char *name, const char *sql);
void script_bind(struct script *s, const char *name); /* unnamed portal, no parameters */
void script_execute(struct script *s, uint32_t most); /* unnamed portal; 0: all rows */
void script_call(struct script *s, uint32_t function);
#define script_query(s, sql) script_text(s, 'Q', sql)
#define script_sync(s) script_put(s, 'S', NULL, 0)
#define script_flush(s) script_put(s, 'H', NULL, 0)

/* Send it and forget it. */
void frames_send(struct frames *f, struct script *s);
/* Types of what comes up to and including the message of that type for the n-th time; notices,
 * parameters and repetitions of DataRow and CopyData left out. '!' at the end: connection over,
 * '?': nothing more came in time. */
struct rig_text frames_until(struct frames *f, char type, int n);

/* A CancelRequest in the clear; returns when pgseal has closed the connection. */
void frames_cancel(const struct rig *rig, uint32_t pid, const void *secret, size_t n);
/* The same over TLS, with this certificate. */
void frames_cancel_tls(const struct rig *rig, const struct rig_tls *how, uint32_t pid,
                       const void *secret, size_t n);
/* The key of a libpq connection: the secret is 4 bytes. */
void frames_cancel_of(PGconn *conn);

#endif
