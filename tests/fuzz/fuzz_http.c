/* What comes to the port for metrics: the head of a request. */
#include <stdint.h>
#include <stdlib.h>

#include "pgseal/wire/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct bytes part, struct bytes whole)
{
	if (part.at < whole.at || part.len > whole.len ||
	    (size_t)(part.at - whole.at) > whole.len - part.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = { data, size };
	struct http_request r;
	int status = 0;

	switch (http_head_peek(b, &r, &status)) {
	case HTTP_MORE:
		if (size >= HTTP_HEAD_MAX)
			abort();
		break;
	case HTTP_BAD:
		if (http_phrase(status)[0] == '\0')
			abort();
		break;
	case HTTP_READY:
		check_inside(r.method, b);
		check_inside(r.path, b);
		if (r.method.len == 0 || r.path.len == 0 || r.path.at[0] != '/')
			abort();
		break;
	}
	return 0;
}
