#include "pgseal/core/appname.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does a character of UTF-8 go on with this byte? */
static int goes_on(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* How much of it fits into so many bytes, in whole characters. */
static size_t fitting(const char *name, size_t room)
{
	size_t n = strlen(name);

	if (n > room)
		for (n = room; n > 0 && goes_on(name[n]); n--)
			;
	return n;
}

struct appname appname_with_host(const char *name, const char *host, int port)
{
	const char *form = strchr(host, ':') != NULL ? " - [%s]:%d" : " - %s:%d";
	char where[APPNAME_BYTES];
	struct appname out;
	size_t room, n;

	if (name == NULL || name[0] == '\0')
		name = "app";
	snprintf(where, sizeof(where), form, host, port);
	room = APPNAME_BYTES - strlen(where);
	n = fitting(name, room);
	snprintf(out.s, sizeof(out.s), "%.*s%s", (int)n, name, where);
	return out;
}

enum err appname_put_clean(const char *name, const char *version, struct buf *out)
{
	bool hex = version != NULL && atoi(version) >= 16; /* before, a question mark */
	size_t n = fitting(name, APPNAME_BYTES);
	enum err rc = ERR_OK;
	char text[8];

	for (; rc == ERR_OK && n > 0; name++, n--) {
		unsigned char c = (unsigned char)*name;

		if (c >= 32 && c <= 126)
			rc = buf_append(out, name, 1);
		else if (hex)
			rc = buf_append(out, text, (size_t)snprintf(text, sizeof(text), "\\x%02x", c));
		else
			rc = buf_append(out, "?", 1);
	}
	return rc == ERR_OK ? buf_append(out, "", 1) : rc;
}
