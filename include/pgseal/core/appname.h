/* application_name: as servers spell it, and with the client's address, for application_name_add_host. */
#ifndef PGSEAL_CORE_APPNAME_H
#define PGSEAL_CORE_APPNAME_H

#include "pgseal/base/bytes.h"

#define APPNAME_BYTES 63 /* PostgreSQL cuts what is longer */

struct appname {
	char s[APPNAME_BYTES + 1];
};

/* Append the name as a server of that version (its server_version) spells it, with its NUL: it takes ASCII alone.
 * ERR_NO_MEMORY. */
enum err appname_put_clean(const char *name, const char *version, struct buf *out) MUST_CHECK;
/* "name - host:port". A name that is too long is cut between two characters of UTF-8, so that the host is
 * there as a whole; without a name it is "app". */
struct appname appname_with_host(const char *name, const char *host, int port);

#endif
