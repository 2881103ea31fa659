/* Guests at the gate: raw clients that say exactly what a test wants, and certificates as odd as it
 * needs them. On top of the rig; the same promises. */
#ifndef PGSEAL_TESTS_GUEST_H
#define PGSEAL_TESTS_GUEST_H

#include "tests/integration/rig.h"
#include "tests/pki/pki.h"

#define GUEST_V3_0 ((3u << 16) | 0u)
#define GUEST_V3_2 ((3u << 16) | 2u)

/* A connection to pgseal, in TLS or in the clear. guest_leave closes it. */
struct guest {
	int fd;
	SSL *ssl; /* NULL: in the clear */
};

struct guest guest_clear(const struct rig *rig);
struct guest guest_unix(const struct rig *rig);
/* Behind SSLRequest and handshake, with the certificate of that name or prefix. */
struct guest guest_tls(const struct rig *rig, const char *cert);
/* The same without SSLRequest. */
struct guest guest_direct(const struct rig *rig, const char *cert);
/* The handshake alone, on a connection that was asked for TLS already (or never: direct). alpn is in
 * wire form, may be NULL. False, with the descriptor still open and g->ssl set, when it fails. */
bool guest_handshake(struct guest *g, const char *cert, const void *alpn, unsigned alpn_len);
void guest_leave(struct guest *g);
/* Away with a reset instead of a FIN. */
void guest_reset(struct guest *g);

void guest_send(const struct guest *g, const void *at, size_t n);
size_t guest_recv(const struct guest *g, void *at, size_t n, int wait_ms);
/* The connection ends (without a TLS alert other than close_notify) before any data comes. */
bool guest_ended(const struct guest *g, int wait_ms);

/* A request without a body: RIG_SSL_REQUEST, RIG_GSSENC_REQUEST. */
void guest_request(const struct guest *g, uint32_t code);
/* A StartupMessage; names and values alternate, NULL ends. */
void guest_startup(const struct guest *g, uint32_t version, const char *const *params);
/* One for this user and database, nothing else. */
void guest_login(const struct guest *g, const char *user, const char *database);
void guest_query(const struct guest *g, const char *sql);

/* What pgseal answers to a StartupMessage. */
struct guest_answer {
	bool ready;            /* ReadyForQuery came */
	int negotiations;      /* NegotiateProtocolVersion messages */
	uint32_t newest;       /* as the last of them says */
	char unknown[256];     /* its option names, each with a blank behind it */
	size_t secret_bytes;   /* of BackendKeyData */
	char severity[16];     /* of an ErrorResponse; "" when none came */
	char sqlstate[8];
	char message[512];
	char fields[64];       /* types of all its fields, in order */
};
/* Read up to ReadyForQuery, an ErrorResponse, or the end. */
void guest_answer(const struct guest *g, struct guest_answer *out);
/* Through TLS with this certificate, as this user on this database, and away again. */
void guest_try(const struct rig *rig, const char *cert, const char *user, const char *database,
               struct guest_answer *out);
/* First column of the next DataRow; "" when ReadyForQuery or the end comes before. */
struct rig_text guest_row(const struct guest *g);
/* The same, and everything up to and with ReadyForQuery; "(end)" when that never comes. */
struct rig_text guest_result(const struct guest *g);

/* Write the certificate and its key, as NAME.crt and NAME.key, to the directory of this pgseal, free
 * it, return the prefix. */
struct rig_text guest_cert(const struct rig *rig, const char *name, struct pki_cert *cert);
/* The rig's CA, to sign with. The caller frees. */
struct pki_cert *guest_ca(void);
/* A good client certificate of the rig's CA but for what the options say; an issuer in them wins. */
struct rig_text guest_odd(const struct rig *rig, const char *name, struct pki_options options);

/* Open descriptors of pgseal; and wait until there are at most so many. */
int guest_descriptors(const struct rig *rig);
bool guest_wait_descriptors(const struct rig *rig, int most, int wait_ms);

#endif
