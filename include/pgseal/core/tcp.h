/* What the tcp_ settings mean for a connection. */
#ifndef PGSEAL_CORE_TCP_H
#define PGSEAL_CORE_TCP_H

#include "pgseal/base/settings.h"

/* A client's, or whatever else was accepted from TCP: best effort, as the settings' limits are the kernel's. */
void tcp_furnish(int fd, const struct settings *s);
/* tcp_socket_buffer alone, which libpq has no keyword for. */
void tcp_set_buffers(int fd, const struct settings *s);

/* libpq's keyword for the i-th of the settings, with the value in text; NULL: that were all. An empty value:
 * libpq's own default holds. */
const char *tcp_keyword(size_t i, const struct settings *s, char *text, size_t size);

#endif
