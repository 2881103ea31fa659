/* HTTP/1.x as far as pages that programs read need it: the head of a request, the head of a reply.
 * RFC 9110, RFC 9112. No I/O. */
#ifndef PGSEAL_WIRE_HTTP_HEAD_H
#define PGSEAL_WIRE_HTTP_HEAD_H

#include "pgseal/base/bytes.h"

#define HTTP_HEAD_MAX 8192u /* bytes of a request's line and headers */

/* What is answered: number, its phrase. */
#define HTTP_STATUS_TABLE(X)                            \
	X(200, "OK")                                    \
	X(400, "Bad Request")                           \
	X(404, "Not Found")                             \
	X(405, "Method Not Allowed")                    \
	X(431, "Request Header Fields Too Large")       \
	X(500, "Internal Server Error")                 \
	X(503, "Service Unavailable")                   \
	X(505, "HTTP Version Not Supported")

enum http_next {
	HTTP_MORE,  /* not complete yet */
	HTTP_READY, /* *out is filled */
	HTTP_BAD,   /* *status is what to answer */
};

struct http_request {
	struct bytes method; /* borrowed, like the path */
	struct bytes path;   /* as sent, up to the query */
};

/* Understand the request at the front of b once its headers, which are not looked into, are whole. What
 * is no HTTP is refused as soon as that is sure. */
enum http_next http_head_peek(struct bytes b, struct http_request *out, int *status);

struct http_reply {
	int status;         /* of the table */
	const char *type;   /* of the content */
	const char *allow;  /* methods, or NULL */
	size_t length;      /* of the content */
	int64_t date;       /* seconds since the epoch */
};

/* Append the head; the connection ends behind the content. ERR_NO_MEMORY. */
enum err http_head_write(struct buf *out, const struct http_reply *reply) MUST_CHECK;

/* The phrase; "" for what is not in the table. */
const char *http_phrase(int status);

#endif
