/* What an untrusted peer sends first. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/wire/startup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(truth)           \
	do {                     \
		if (!(truth))    \
			abort(); \
	} while (0)

static void parse(const struct startup_packet *p)
{
	struct startup s;
	struct errbuf why;
	size_t seen = 0;

	if (startup_parse(p, &s, &why) != ERR_OK)
		return;
	REQUIRE(s.user[0] != '\0' && s.database[0] != '\0');
	REQUIRE(strlen(s.user) <= STARTUP_NAME_MAX && strlen(s.database) <= STARTUP_NAME_MAX);
	REQUIRE(s.param_count <= 2 * STARTUP_PARAMS_MAX);
	for (size_t i = 0; i < s.param_count; i++) {
		REQUIRE(s.params[i].name[0] != '\0');
		seen += strlen(s.params[i].name) + strlen(s.params[i].value);
	}
	for (size_t i = 0; i < s.unknown_count; i++)
		seen += strlen(s.unknown_options[i]);
	REQUIRE(seen <= p->body.len);
	startup_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct startup_packet p;
	struct cancel_key key;

	if (startup_peek((struct bytes){ data, size }, &p) != STARTUP_PACKET)
		return 0;
	REQUIRE(p.size >= 8 && p.size <= size && p.size <= STARTUP_MAX);
	REQUIRE(p.body.len == p.size - 8);
	if (p.kind == STARTUP_SESSION)
		parse(&p);
	if (p.kind == STARTUP_CANCEL)
		REQUIRE(startup_cancel(&p, &key) == ERR_OK && key.secret.len >= WIRE_SECRET_MIN);
	return 0;
}
