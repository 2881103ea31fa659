#include "pgseal/base/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

#include "pgseal/base/bytes.h"

#define BLANKS " \t"

static enum err malformed(const char *text, struct errbuf *why)
{
	return err_set(why, ERR_SYNTAX,
	               "\"%s\" is not an address and a port; write them as 127.0.0.1:9127 or "
	               "[::1]:9127, for all addresses 0.0.0.0:9127 or [::]:9127",
	               quote_str(text).s);
}

static bool take_address(struct endpoint *e, const char *host, bool v6, int64_t port)
{
	if (v6) {
		e->at.in6.sin6_family = AF_INET6;
		e->at.in6.sin6_port = htons((uint16_t)port);
		e->len = sizeof(e->at.in6);
		return inet_pton(AF_INET6, host, &e->at.in6.sin6_addr) == 1;
	}
	e->at.in.sin_family = AF_INET;
	e->at.in.sin_port = htons((uint16_t)port);
	e->len = sizeof(e->at.in);
	return inet_pton(AF_INET, host, &e->at.in.sin_addr) == 1;
}

static bool endpoint_parse(const char *text, struct endpoint *out)
{
	struct endpoint e = { .len = 0 };
	char host[sizeof(e.text)];
	const char *colon = strrchr(text, ':');
	bool v6 = text[0] == '[';
	size_t len;
	int64_t port;

	if (colon == NULL || parse_int(colon + 1, 1, UINT16_MAX, &port) != ERR_OK)
		return false;
	len = (size_t)(colon - text);
	if (v6 && (len < 2 || text[len - 1] != ']'))
		return false;
	/* Without its brackets. */
	snprintf(host, sizeof(host), "%.*s", (int)(v6 ? len - 2 : len), text + (v6 ? 1 : 0));
	if (!take_address(&e, host, v6, port))
		return false;
	snprintf(e.text, sizeof(e.text), "%s", text);
	*out = e;
	return true;
}

/* The next word of the list, and what ends it: a comma or the end. False: something else, or too long. */
static bool take_word(const char **list, char *word, size_t size, char *end)
{
	const char *from = *list + strspn(*list, BLANKS);
	size_t n = strcspn(from, "," BLANKS);
	const char *behind = from + n + strspn(from + n, BLANKS);

	snprintf(word, size, "%.*s", (int)n, from);
	*end = *behind;
	*list = behind + (*behind == ',');
	return n < size && (*behind == ',' || *behind == '\0');
}

enum err endpoints_parse(const char *list, struct endpoints *out, struct errbuf *why)
{
	char word[sizeof(out->at[0].text)];
	struct endpoints all = { .count = 0 };
	char end = list[strspn(list, BLANKS)] == '\0' ? '\0' : ',';

	while (end == ',') {
		if (all.count == ENDPOINTS_MAX)
			return err_set(why, ERR_LIMIT, "more than %d addresses", ENDPOINTS_MAX);
		if (!take_word(&list, word, sizeof(word), &end) ||
		    !endpoint_parse(word, &all.at[all.count++]))
			return malformed(word, why);
	}
	*out = all;
	return ERR_OK;
}
