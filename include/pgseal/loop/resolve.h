/* Host names to addresses, without blocking: libevent's evdns. resolv.conf and hosts are read anew when
 * they have changed. */
#ifndef PGSEAL_LOOP_RESOLVE_H
#define PGSEAL_LOOP_RESOLVE_H

#include <stdbool.h>

#include "pgseal/loop/loop.h"

#define RESOLVE_ADDRESSES_MAX 8
#define RESOLVE_ADDRESS_BYTES 46 /* INET6_ADDRSTRLEN */

struct resolver;
struct resolve;

struct resolved {
	size_t count; /* 0: it failed, `why` tells */
	char address[RESOLVE_ADDRESSES_MAX][RESOLVE_ADDRESS_BYTES];
	const char *why; /* static */
};

/* ERR_NO_MEMORY. Missing resolv.conf is not an error: hosts is still read. */
enum err resolver_create(struct loop *loop, struct resolver **out) MUST_CHECK;
void resolver_free(struct resolver *r);

/* An IP literal or the path of a Unix socket: nothing to resolve. */
bool resolve_is_literal(const char *host);

/* Calls done(arg, result) later or before this returns; result is borrowed for the call. *out is for
 * resolve_cancel and is not written when done was called already. */
enum err resolve_start(struct resolver *r, const char *host,
                       void (*done)(void *arg, const struct resolved *result), void *arg,
                       struct resolve **out) MUST_CHECK;
/* done will not be called. NULL is fine. */
void resolve_cancel(struct resolve *q);

#endif
