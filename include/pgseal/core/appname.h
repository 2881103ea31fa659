/* application_name with the client's address behind it, for application_name_add_host. */
#ifndef PGSEAL_CORE_APPNAME_H
#define PGSEAL_CORE_APPNAME_H

#define APPNAME_BYTES 63 /* PostgreSQL cuts what is longer */

struct appname {
	char s[APPNAME_BYTES + 1];
};

/* "name - host:port". A name that is too long is cut between two characters of UTF-8, so that the host is
 * there as a whole; without a name it is "app". */
struct appname appname_with_host(const char *name, const char *host, int port);

#endif
