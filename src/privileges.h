/* What root does before it becomes somebody else, and how it does. */
#ifndef PGSEAL_PRIVILEGES_H
#define PGSEAL_PRIVILEGES_H

#include "pgseal/base/err.h"

/* Become that user, "" or ourselves: stay who we are. What root made so far must still be ours when
 * we are not root any more: for the next opening of the log, for the console over the Unix socket,
 * for emptying the pid file. So these files (NULL or "": none) are given away. ERR_CONFIG,
 * ERR_IO. */
enum err privileges_drop(const char *user, const char *const *paths, size_t count,
                         struct errbuf *why) MUST_CHECK;
/* Write our process id into the file. ERR_IO. */
enum err privileges_write_pid(const char *path, struct errbuf *why) MUST_CHECK;
/* Remove it, unless another process has written its own meanwhile. */
void privileges_remove_pid(const char *path);

#endif
