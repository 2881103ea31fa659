/* The integration rig: real PostgreSQL with TLS, real pgseal, real clients.
 *
 * A test program has one PostgreSQL (its main(), here, starts and ends it; environment PGSEAL_RIG
 * leads the tests to it) and as many pgseals as its tests start. Everything lives in one directory
 * below TMPDIR that a watchdog removes however the program ends. Ports are the kernel's choice.
 *
 * Helpers that cannot do what they promise fail the test. Waiting is for conditions, with deadlines
 * in milliseconds. When a test fails, the logs of its pgseals go to standard error. */
#ifndef PGSEAL_TESTS_RIG_H
#define PGSEAL_TESTS_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpq-fe.h>
#include <openssl/ssl.h>

#define RIG_PATIENCE_MS 20000 /* what a machine that is merely slow needs at most */

struct rig;

/* Text by value, so that it may stand inside a call: rig_query(conn, sql).s */
struct rig_text {
	char s[4096];
};

/* --- the program's PostgreSQL and certificates (rig_main.c) --- */

/* Skips the running test when there is no PostgreSQL; rig_start does this by itself. */
void rig_require(void);
/* Databases app and other; roles alice bob carol dave operator app_ro app_rw, for which the
 * certificate pgseal may log in; role scram, password "secret". */
int rig_postgres_port(void);
/* Directory with ca, server, pgseal and client certificates: alice bob carol operator. Borrowed. */
const char *rig_pki(void);
/* Prefix of NAME.crt and NAME.key with that common name, made if need be. */
struct rig_text rig_cert(const char *name);
/* The superuser, straight to PostgreSQL; the caller owns the connection. */
PGconn *rig_admin_connect(const char *dbname);
void rig_admin_exec(const char *sql);
struct rig_text rig_admin_query(const char *sql);
/* Poll until the superuser's query yields this text. */
bool rig_admin_wait(const char *sql, const char *want, int wait_ms);

/* Until this test is dead no other test of the program gets beyond the same call: for those who do
 * things to its PostgreSQL, all of whose neighbours must ask for it. */
void rig_alone(void);
/* pgseal was built with a sanitizer: it is several times slower, and keeps memory to itself. */
bool rig_sanitized(void);

/* --- pgseal (rig.c) --- */

/* What every pgseal that this test starts from now on does before it is one: limits, namespaces,
 * environment. NULL: nothing. */
void rig_before_exec(void (*prepare)(void));

/* Write a configuration and start pgseal on it, listening when this returns. Each text is the inside
 * of its section, NULL for the default: nothing but what the rig itself needs; databases app and
 * other; no [identities] (the CN is the role). A key set in `settings` replaces the rig's own.
 * In all texts @postgres@ stands for "host=127.0.0.1 port=N", @pki@ for rig_pki(), @dir@ for rig_dir().
 * Skips the test without PostgreSQL. */
struct rig *rig_start(const char *settings, const char *databases, const char *identities);
/* End it at once (SIGTERM twice) unless it ended before; fails the test if its status is not 0, which
 * is how a sanitizer's findings are seen. NULL is fine. */
void rig_stop(struct rig *rig);
/* Write the configuration anew, same ports; nothing is told to pgseal. */
void rig_configure(struct rig *rig, const char *settings, const char *databases,
                   const char *identities);
/* RELOAD on the console: true when accepted; else *why (may be NULL) is what it said. */
bool rig_reload(struct rig *rig, struct rig_text *why);
void rig_signal(struct rig *rig, int signo);
/* Exit status, 128 + signal when killed, -1 if it still runs after wait_ms. rig_stop then expects
 * nothing more. */
int rig_wait_exit(struct rig *rig, int wait_ms);
/* By SIGKILL, and another in its place on the same configuration, listening when this returns. */
void rig_replace(struct rig *rig);
pid_t rig_pid(const struct rig *rig);
int rig_port(const struct rig *rig);
/* Another one, for whatever pgseal may listen on besides; nobody else's as long as the test runs. */
int rig_spare_port(void);
const char *rig_dir(const struct rig *rig);    /* borrowed */
const char *rig_config(const struct rig *rig); /* path of the INI; borrowed */

/* POSIX extended regular expressions, line by line, over the whole log of this pgseal. */
int rig_log_count(const struct rig *rig, const char *pattern);
bool rig_log_contains(const struct rig *rig, const char *pattern);
bool rig_wait_log(const struct rig *rig, const char *pattern, int wait_ms);

/* Run `pgseal arguments...` (NULL-terminated, without argv[0]) to its end; output and error in text. */
struct rig_run {
	int status; /* as rig_wait_exit */
	char text[65536];
};
void rig_run(const char *const *arguments, struct rig_run *out);

/* --- libpq clients (rig_client.c) --- */

/* Connection string through pgseal with this certificate, verify-full, user = name; extra comes last
 * and wins. name NULL: no certificate. */
struct rig_text rig_conninfo(const struct rig *rig, const char *name, const char *extra);
PGconn *rig_connect(const struct rig *rig, const char *extra); /* as alice */
PGconn *rig_connect_as(const struct rig *rig, const char *name, const char *extra);
/* The same when it is expected to fail: look at PQstatus. Never NULL. */
PGconn *rig_try_connect(const struct rig *rig, const char *name, const char *extra);
/* A client without any certificate; sslmode=require. */
PGconn *rig_try_connect_bare(const struct rig *rig, const char *extra);

void rig_exec(PGconn *conn, const char *sql);
/* First column of the first row; "(null)", or "" without rows. */
struct rig_text rig_query(PGconn *conn, const char *sql);
/* The same for a query that was sent before; takes all its results. */
struct rig_text rig_scalar(PGconn *conn);
/* What it was told of the parameter last: "(none)" if nothing. */
const char *rig_told(const PGconn *conn, const char *name);
/* The SQLSTATE of a query that must fail; "" if the connection broke without any. */
struct rig_text rig_error(PGconn *conn, const char *sql);
/* SQLSTATE of the first error of what was sent before, "" without one, "lost" if the connection broke
 * without any; takes all results. */
struct rig_text rig_outcome(PGconn *conn);
/* Wait for the connection to end by itself: the SQLSTATE of the last that it says, "" when it goes without
 * a word, "open" when it does not end. */
struct rig_text rig_last_words(PGconn *conn);
/* Nothing comes for that long; and the opposite. */
bool rig_stays_silent(PGconn *conn, int wait_ms);
bool rig_wait_readable(PGconn *conn, int wait_ms);

/* One command over the Unix socket, as the console's administrator. PQclear is the caller's. */
PGresult *rig_console(const struct rig *rig, const char *command);
/* Column by name; row -1: the last. "(null)" as above. */
struct rig_text rig_cell(const PGresult *res, int row, const char *column);
/* Cell of the first row whose column `key` is `value`. */
struct rig_text rig_console_value(const struct rig *rig, const char *command, const char *key,
                                  const char *value, const char *column);
/* Poll until that cell reads `want`. */
bool rig_console_wait(const struct rig *rig, const char *command, const char *key, const char *value,
                      const char *column, const char *want, int wait_ms);

/* --- raw clients (rig_raw.c) --- */

int rig_raw_connect(const struct rig *rig); /* TCP; NULL: to PostgreSQL; the caller closes */
int rig_raw_connect_unix(const struct rig *rig);
void rig_raw_send(int fd, const void *at, size_t n);
/* Read until n bytes, the end or the deadline; number of bytes read. */
size_t rig_raw_recv(int fd, void *at, size_t n, int wait_ms);
/* The peer closes (or resets) within the time; what it still sends is dropped. */
bool rig_raw_closed(int fd, int wait_ms);

/* A packet of the time before the session: version or request code, then the body. Size. */
size_t rig_packet(uint8_t *out, size_t cap, uint32_t code, const void *body, size_t n);
/* A StartupMessage; names and values alternate, NULL ends. */
size_t rig_startup(uint8_t *out, size_t cap, uint32_t version, const char *const *params);

#define RIG_SSL_REQUEST ((1234u << 16) | 5679u)
#define RIG_GSSENC_REQUEST ((1234u << 16) | 5680u)
#define RIG_CANCEL_REQUEST ((1234u << 16) | 5678u)

struct rig_tls {
	const char *cert;   /* prefix of .crt and .key, or a name in rig_pki(); NULL: none */
	const char *chain;  /* PEM file with certificate and intermediates, instead of cert's .crt */
	const char *alpn;   /* NULL: none */
	bool direct;        /* no SSLRequest before */
	int version;        /* TLS1_2_VERSION: exactly that; 0: what OpenSSL likes */
};
/* Handshake as a client, verifying the server; rig NULL: PostgreSQL. NULL when the handshake fails, or the
 * connection ends before; *alert (may be NULL) is then the TLS alert received, 0 if there was none. With TLS
 * 1.3 a refusal of our certificate shows only at the first read: rig_tls_alert. */
SSL *rig_tls_connect(const struct rig *rig, const struct rig_tls *how, int *alert);
void rig_tls_free(SSL *ssl); /* closes the descriptor; NULL is fine */
/* What the peer says next: TLS alert number, 0 for data, -1 for an end without alert, -2 for nothing. */
int rig_tls_alert(SSL *ssl, int wait_ms);
void rig_tls_send(SSL *ssl, const void *at, size_t n);
size_t rig_tls_recv(SSL *ssl, void *at, size_t n, int wait_ms);
/* The next whole message: type, body (at most cap bytes are kept), its size; 0 on end or deadline. */
char rig_tls_message(SSL *ssl, uint8_t *body, size_t cap, size_t *n, int wait_ms);

#endif
