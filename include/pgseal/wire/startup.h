/* The packets before a session: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage.
 * protocol: Message Flow, Start-up; Message Formats. No I/O. */
#ifndef PGSEAL_WIRE_STARTUP_H
#define PGSEAL_WIRE_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"

#define STARTUP_MAX 10000u      /* PostgreSQL's MAX_STARTUP_PACKET_LENGTH */
#define STARTUP_PARAMS_MAX 256u /* names in one packet, and settings in one "options" */
#define STARTUP_NAME_MAX 63u    /* bytes of a role or database name: PostgreSQL's NAMEDATALEN - 1 */
#define WIRE_PROTOCOL(major, minor) (((uint32_t)(major) << 16) | (minor))
#define WIRE_PROTOCOL_3_0 WIRE_PROTOCOL(3, 0)
#define WIRE_PROTOCOL_3_2 WIRE_PROTOCOL(3, 2)
#define WIRE_SECRET_MIN 4u   /* protocol 3.0 */
#define WIRE_SECRET_MAX 256u /* protocol 3.2 */
#define WIRE_SECRET_OURS 32u /* what we hand to protocol 3.2 clients: 256 bits */

enum startup_kind {
	STARTUP_SSL_REQUEST,
	STARTUP_GSSENC_REQUEST,
	STARTUP_CANCEL,
	STARTUP_SESSION, /* a StartupMessage, of whatever version */
};
enum startup_next {
	STARTUP_MORE,   /* not complete yet */
	STARTUP_PACKET, /* *out is filled */
	STARTUP_BAD, /* not PostgreSQL at all, or a length that no packet of that kind can have */
};

struct startup_packet {
	enum startup_kind kind;
	size_t size;       /* bytes of the packet */
	uint32_t version;  /* STARTUP_SESSION: major << 16 | minor as the client asked */
	struct bytes body; /* behind the code word; borrowed */
};

/* Recognise the packet at the front of b. A bad length is refused from the header alone, before
 * anything is waited for: < 8, > STARTUP_MAX, a CancelRequest whose secret is not 4..256 bytes, an
 * SSLRequest or GSSENCRequest that is not exactly 8. A code word whose major is 0 or above 1000 and
 * which is no known request is STARTUP_BAD; other majors are STARTUP_SESSION. */
enum startup_next startup_peek(struct bytes b, struct startup_packet *out);

struct cancel_key {
	uint32_t pid;
	struct bytes secret; /* borrowed */
};
/* ERR_WIRE_SHORT, ERR_WIRE_LIMIT. */
enum err startup_cancel(const struct startup_packet *p, struct cancel_key *out) MUST_CHECK;

/* One name and value of a StartupMessage, or of its "options". Both NUL-terminated, owned by the
 * struct startup that holds them. */
struct startup_param {
	const char *name;
	const char *value;
};

/* What a client means by "replication": PostgreSQL's two kinds of walsender, or neither. */
enum replication_mode {
	REPLICATION_NONE,
	REPLICATION_PHYSICAL, /* the whole cluster's WAL; no SQL, and whatever database is named */
	REPLICATION_LOGICAL,  /* changes of one database; SQL as well */
	REPLICATION_UNCLEAR,  /* PostgreSQL would refuse the word */
};

/* A StartupMessage taken apart. Owns its memory; startup_free. */
struct startup {
	uint32_t version;        /* as asked */
	const char *user;        /* never NULL, never empty */
	const char *database;    /* never NULL; the user's name when the client named none or "" */
	const char *replication; /* NULL: not asked; the client's word otherwise */
	enum replication_mode mode; /* what that means */
	struct startup_param *params; /* all others, "options" resolved into -c settings */
	size_t param_count;
	const char **unknown_options; /* names beginning with "_pq_." */
	size_t unknown_count;
	char *text; /* storage */
};

/* Takes a STARTUP_SESSION packet apart. Later duplicates win, as in PostgreSQL. Refuses: no user,
 * odd key count, no terminator, bytes behind the terminator, names of user or database longer than
 * 63 bytes, invalid UTF-8 in user or database, malformed options, more than STARTUP_PARAMS_MAX names
 * (all ERR_WIRE_FORMAT), out of memory.
 * *why is fit for the client. Versions other than 3.x are the caller's business: call only for 3.x.
 * options: "-c a=b", "-ca=b", "--a=b", "--a-b=c" (dashes become underscores), a backslash takes the
 * next character as it is; any other flag is refused. A setting that the packet names itself wins
 * over the same in options; names of settings are compared without regard to case. */
enum err startup_parse(const struct startup_packet *p, struct startup *out,
                       struct errbuf *why) MUST_CHECK;
void startup_free(struct startup *s);
/* As PostgreSQL reads it: "database" to the letter, else a boolean in any case, which may be cut short
 * as long as it is clear. NULL: it was not asked for. */
enum replication_mode startup_replication(const char *word);

#endif
