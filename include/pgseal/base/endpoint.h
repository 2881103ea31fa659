/* Where to listen: an address and a port, as people write them and as the kernel takes them. */
#ifndef PGSEAL_BASE_ENDPOINT_H
#define PGSEAL_BASE_ENDPOINT_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "pgseal/base/err.h"

#define ENDPOINTS_MAX 16

struct endpoint {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} at;
	socklen_t len;
	char text[64]; /* as it was written */
};

struct endpoints {
	struct endpoint at[ENDPOINTS_MAX];
	size_t count;
};

/* A comma separated list such as "127.0.0.1:9127, [::1]:9127"; "" holds none. Addresses are literal:
 * nothing is looked up. ERR_SYNTAX, ERR_LIMIT, with *why naming the remedy. */
enum err endpoints_parse(const char *list, struct endpoints *out, struct errbuf *why) MUST_CHECK;

#endif
