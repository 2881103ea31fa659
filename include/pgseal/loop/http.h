/* A small HTTP server for a few pages that programs read, in its loop's thread.
 *
 * One request a connection, GET and HEAD; no TLS, and nobody is asked who he is. What a client costs is
 * bounded whatever it does or leaves undone: so many connections, of which the oldest gives way; so long
 * from accept to close; so many bytes of head. libevent's evhttp (2.1) has none of these limits but the
 * last, and no place to put them. */
#ifndef PGSEAL_LOOP_HTTP_H
#define PGSEAL_LOOP_HTTP_H

#include "pgseal/base/bytes.h"
#include "pgseal/base/endpoint.h"
#include "pgseal/loop/loop.h"

struct http;

struct http_page {
	const char *path;
	/* Asked for: http_answer, at once or later. */
	void (*get)(void *arg, uint64_t ticket);
};

struct http_options {
	const struct http_page *pages; /* borrowed; a row without path ends them */
	void *arg;                     /* for the pages */
	size_t connections;            /* most at once */
	usec_t life;                   /* longest from accept to close */
};

/* ERR_NO_MEMORY. */
enum err http_create(struct loop *loop, const struct http_options *options,
                     struct http **out) MUST_CHECK;
/* Closes all connections. NULL is fine. */
void http_free(struct http *h);
/* ERR_IO, ERR_NO_MEMORY, with *why. */
enum err http_listen(struct http *h, const struct endpoint *at, struct errbuf *why) MUST_CHECK;

/* Answer the request of that ticket, once; nothing happens if its connection is gone. status: of
 * http_head.h. type is static; the content is copied. */
void http_answer(struct http *h, uint64_t ticket, int status, const char *type,
                 struct bytes content);

#endif
