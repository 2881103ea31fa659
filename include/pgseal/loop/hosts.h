/* A libpq host list turned into one with addresses, so that libpq never resolves by itself (it blocks).
 * Names stay in the list beside their addresses: certificates are verified against the name. */
#ifndef PGSEAL_LOOP_HOSTS_H
#define PGSEAL_LOOP_HOSTS_H

#include "pgseal/loop/resolve.h"

#define HOSTS_MAX 32 /* entries, before and after names became addresses */

/* Three comma-separated lists of equal length, as libpq's host, hostaddr and port take them. */
struct host_lists {
	char host[4096];
	char hostaddr[HOSTS_MAX * (RESOLVE_ADDRESS_BYTES + 1)];
	char port[HOSTS_MAX * 8];
};

struct hosts;

/* hosts and ports are comma-separated; ports may be NULL, "" or a single one for all. done(arg, lists,
 * NULL) or done(arg, NULL, why), later or before this returns; *out is not written in that case. Only when
 * no name has any address does it fail. ERR_NO_MEMORY. */
enum err hosts_start(struct resolver *r, const char *hosts, const char *ports,
                     void (*done)(void *arg, const struct host_lists *lists, const char *why),
                     void *arg, struct hosts **out) MUST_CHECK;
void hosts_cancel(struct hosts *h);

#endif
