#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/wire/startup.h"
#include "pgseal/wire/writer.h"

#define SPAN(s)                                     \
	{                                           \
		(const uint8_t *)(s), sizeof(s) - 1 \
	} /* in tables */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- recognising --- */

struct peek_case {
	const char *what;
	struct bytes in;
	enum startup_next want;
	enum startup_kind kind;
	size_t size;
};

static const struct peek_case peek_cases[] = {
	{ "SSLRequest", SPAN("\0\0\0\x08\x04\xd2\x16\x2f"), STARTUP_PACKET, STARTUP_SSL_REQUEST,
	  8 },
	{ "SSLRequest with bytes behind it", SPAN("\0\0\0\x08\x04\xd2\x16\x2fQ"), STARTUP_PACKET,
	  STARTUP_SSL_REQUEST, 8 },
	{ "SSLRequest of length 9", SPAN("\0\0\0\x09\x04\xd2\x16\x2fQ"), STARTUP_BAD, 0, 0 },
	{ "GSSENCRequest", SPAN("\0\0\0\x08\x04\xd2\x16\x30"), STARTUP_PACKET,
	  STARTUP_GSSENC_REQUEST, 8 },
	{ "GSSENCRequest of length 12", SPAN("\0\0\0\x0c\x04\xd2\x16\x30"), STARTUP_BAD, 0, 0 },
	{ "CancelRequest", SPAN("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1abcd"), STARTUP_PACKET,
	  STARTUP_CANCEL, 16 },
	{ "CancelRequest, secret of 3 bytes", SPAN("\0\0\0\x0f\x04\xd2\x16\x2e"), STARTUP_BAD, 0,
	  0 },
	{ "CancelRequest, no secret", SPAN("\0\0\0\x0c\x04\xd2\x16\x2e"), STARTUP_BAD, 0, 0 },
	{ "CancelRequest, empty", SPAN("\0\0\0\x08\x04\xd2\x16\x2e"), STARTUP_BAD, 0, 0 },
	{ "CancelRequest, secret of 256 bytes", SPAN("\0\0\x01\x0c\x04\xd2\x16\x2e"), STARTUP_MORE,
	  0, 0 },
	{ "CancelRequest, secret of 257 bytes", SPAN("\0\0\x01\x0d\x04\xd2\x16\x2e"), STARTUP_BAD,
	  0, 0 },
	{ "CancelRequest announcing 2 GB", SPAN("\x7f\xff\xff\xff\x04\xd2\x16\x2e"), STARTUP_BAD, 0,
	  0 },
	{ "1234.5681", SPAN("\0\0\0\x08\x04\xd2\x16\x31"), STARTUP_BAD, 0, 0 },
	{ "protocol 3.0, empty", SPAN("\0\0\0\x08\0\3\0\0"), STARTUP_PACKET, STARTUP_SESSION, 8 },
	{ "protocol 3.9999", SPAN("\0\0\0\x09\0\3\x27\x0f\0"), STARTUP_PACKET, STARTUP_SESSION, 9 },
	{ "protocol 2.0", SPAN("\0\0\0\x09\0\2\0\0\0"), STARTUP_PACKET, STARTUP_SESSION, 9 },
	{ "protocol 4.0", SPAN("\0\0\0\x09\0\4\0\0\0"), STARTUP_PACKET, STARTUP_SESSION, 9 },
	{ "protocol 1000.0", SPAN("\0\0\0\x08\x03\xe8\0\0"), STARTUP_PACKET, STARTUP_SESSION, 8 },
	{ "protocol 0.1", SPAN("\0\0\0\x09\0\0\0\1\0"), STARTUP_BAD, 0, 0 },
	{ "protocol 1001.0", SPAN("\0\0\0\x09\x03\xe9\0\0\0"), STARTUP_BAD, 0, 0 },
	{ "length 0", SPAN("\0\0\0\0"), STARTUP_BAD, 0, 0 },
	{ "length 7", SPAN("\0\0\0\7"), STARTUP_BAD, 0, 0 },
	{ "length 10000", SPAN("\0\0\x27\x10\0\3\0\0"), STARTUP_MORE, 0, 0 },
	{ "length 10001", SPAN("\0\0\x27\x11"), STARTUP_BAD, 0, 0 },
	{ "length 2^31 - 1", SPAN("\x7f\xff\xff\xff"), STARTUP_BAD, 0, 0 },
	{ "length -1", SPAN("\xff\xff\xff\xff"), STARTUP_BAD, 0, 0 },
	{ "HTTP", SPAN("GET / HTTP/1.1\r\n"), STARTUP_BAD, 0, 0 },
	{ "a TLS ClientHello", SPAN("\x16\x03\x01\x02\0\1"), STARTUP_BAD, 0, 0 },
	{ "nothing yet", { NULL, 0 }, STARTUP_MORE, 0, 0 },
	{ "half a length", SPAN("\0\0"), STARTUP_MORE, 0, 0 },
	{ "half a code", SPAN("\0\0\0\x08\x04\xd2"), STARTUP_MORE, 0, 0 },
};

Test(startup, packets_are_recognised)
{
	for (size_t i = 0; i < COUNT(peek_cases); i++) {
		const struct peek_case *c = &peek_cases[i];
		struct startup_packet p = { 0 };

		cr_expect_eq(startup_peek(c->in, &p), c->want, "%s", c->what);
		cr_expect_eq(p.size, c->size, "%s", c->what);
		if (c->want == STARTUP_PACKET) {
			cr_expect_eq(p.kind, c->kind, "%s", c->what);
			cr_expect_eq(p.body.len, c->size - 8, "%s", c->what);
		}
	}
}

/* One byte after the other: never too early, and nothing behind the end is looked at. */
Test(startup, arrives_in_single_bytes)
{
	static const uint8_t whole[] = "\0\0\0\x18\0\3\0\2user\0alice\0a\0b\0\0";
	const size_t size = sizeof(whole) - 1;
	struct startup_packet p;

	for (size_t len = 0; len <= size; len++) {
		uint8_t *cut = malloc(len > 0 ? len : 1);

		memcpy(cut, whole, len);
		cr_expect_eq(startup_peek((struct bytes){ cut, len }, &p),
		             len < size ? STARTUP_MORE : STARTUP_PACKET, "%zu bytes", len);
		free(cut);
	}
	cr_assert_eq(p.size, size);
	cr_assert_eq(p.version, WIRE_PROTOCOL_3_2);
}

/* --- cancel --- */

struct cancel_case {
	const char *what;
	size_t body_len;
	enum err want;
};

static const struct cancel_case cancel_cases[] = {
	{ "no process id", 3, ERR_WIRE_SHORT },         { "no secret", 4, ERR_WIRE_SHORT },
	{ "secret of 3 bytes", 7, ERR_WIRE_SHORT },     { "secret of 4 bytes", 8, ERR_OK },
	{ "secret of 32 bytes", 36, ERR_OK },           { "secret of 256 bytes", 260, ERR_OK },
	{ "secret of 257 bytes", 261, ERR_WIRE_LIMIT },
};

Test(startup, cancel_secret_length)
{
	static const uint8_t body[512] = { 1, 2, 3, 4, 's' };

	for (size_t i = 0; i < COUNT(cancel_cases); i++) {
		const struct cancel_case *c = &cancel_cases[i];
		struct startup_packet p = { .kind = STARTUP_CANCEL, .body = { body, c->body_len } };
		struct cancel_key key = { .pid = 0 };

		cr_expect_eq(startup_cancel(&p, &key), c->want, "%s", c->what);
		cr_expect_eq(key.pid, c->want == ERR_OK ? 0x01020304 : 0, "%s", c->what);
		cr_expect_eq(key.secret.len, c->want == ERR_OK ? c->body_len - 4 : 0, "%s",
		             c->what);
	}
}

/* --- StartupMessage --- */

static enum err parse(struct bytes body, struct startup *out, struct errbuf *why)
{
	struct startup_packet p = { .kind = STARTUP_SESSION, .version = WIRE_PROTOCOL_3_0 };
	uint8_t *exact = malloc(body.len > 0 ? body.len : 1); /* ASan then sees overreads */
	enum err rc;

	if (body.len > 0)
		memcpy(exact, body.at, body.len);
	p.body = (struct bytes){ exact, body.len };
	rc = startup_parse(&p, out, why);
	free(exact); /* nothing may be borrowed from the packet */
	return rc;
}

/* "user/database/replication name=value ... !unknown ..." */
static struct errbuf shown(const struct startup *s)
{
	struct errbuf t;
	size_t at = 0;

	at += (size_t)snprintf(t.text, sizeof(t.text), "%s/%s/%s", s->user, s->database,
	                       s->replication == NULL ? "-" : s->replication);
	for (size_t i = 0; i < s->param_count; i++) {
		at += (size_t)snprintf(t.text + at, sizeof(t.text) - at, " %s=%s",
		                       s->params[i].name, s->params[i].value);
	}
	for (size_t i = 0; i < s->unknown_count; i++) {
		at += (size_t)snprintf(t.text + at, sizeof(t.text) - at, " !%s",
		                       s->unknown_options[i]);
	}
	return t;
}

struct parse_case {
	const char *what;
	struct bytes body;
	const char *want; /* shown(); NULL: refused as malformed */
};

static void parse_all(const struct parse_case *c, size_t n)
{
	for (; n-- > 0; c++) {
		struct errbuf why = { "" };
		struct startup s = { 0 };
		enum err rc = parse(c->body, &s, &why);

		cr_expect_eq(rc, c->want == NULL ? ERR_WIRE_FORMAT : ERR_OK, "%s: %s", c->what,
		             why.text);
		cr_expect_eq(why.text[0] == '\0', c->want != NULL, "%s", c->what);
		if (c->want != NULL && rc == ERR_OK)
			cr_expect_str_eq(shown(&s).text, c->want, "%s", c->what);
		startup_free(&s);
	}
}

#define LONG63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

Test(startup, message_is_taken_apart)
{
	static const struct parse_case cases[] = {
		{ "user alone", SPAN("user\0a\0\0"), "a/a/-" },
		{ "user and database", SPAN("user\0a\0database\0b\0\0"), "a/b/-" },
		{ "database first", SPAN("database\0b\0user\0a\0\0"), "a/b/-" },
		{ "empty database is the user's", SPAN("user\0a\0database\0\0\0"), "a/a/-" },
		{ "settings", SPAN("user\0a\0TimeZone\0UTC\0application_name\0\0\0"),
		  "a/a/- TimeZone=UTC application_name=" },
		{ "replication as the client says it", SPAN("user\0a\0replication\0database\0\0"),
		  "a/a/database" },
		{ "replication off", SPAN("user\0a\0replication\0false\0\0"), "a/a/false" },
		{ "replication empty", SPAN("user\0a\0replication\0\0\0"), "a/a/" },
		{ "later user and database win",
		  SPAN("user\0a\0user\0b\0database\0c\0database\0d\0\0"), "b/d/-" },
		{ "later setting wins, in any case",
		  SPAN("user\0a\0x.y\0001\0z\0002\0X.Y\0003\0\0"), "a/a/- X.Y=3 z=2" },
		{ "names of fields in other case are settings", SPAN("user\0a\0User\0b\0\0"),
		  "a/a/- User=b" },
		{ "protocol extensions", SPAN("user\0a\0_pq_.x\0001\0_pq_.\0\0_pq_y\0001\0\0"),
		  "a/a/- _pq_y=1 !_pq_.x !_pq_." },
		{ "UTF-8", SPAN("user\0\xc3\xa4\0\0"), "\xc3\xa4/\xc3\xa4/-" },
		{ "names of 63 bytes", SPAN("user\0" LONG63 "\0\0"), LONG63 "/" LONG63 "/-" },
	};

	parse_all(cases, COUNT(cases));
}

/* parse_bool of PostgreSQL, behind "database" to the letter. */
Test(startup, replication_is_spelt_as_postgres_does)
{
	static const struct {
		const char *word;
		enum replication_mode mode;
	} cases[] = {
		{ NULL, REPLICATION_NONE },
		{ "database", REPLICATION_LOGICAL },
		{ "true", REPLICATION_PHYSICAL },
		{ "TRUE", REPLICATION_PHYSICAL },
		{ "t", REPLICATION_PHYSICAL },
		{ "tRu", REPLICATION_PHYSICAL },
		{ "yes", REPLICATION_PHYSICAL },
		{ "Y", REPLICATION_PHYSICAL },
		{ "on", REPLICATION_PHYSICAL },
		{ "ON", REPLICATION_PHYSICAL },
		{ "1", REPLICATION_PHYSICAL },
		{ "false", REPLICATION_NONE },
		{ "F", REPLICATION_NONE },
		{ "no", REPLICATION_NONE },
		{ "n", REPLICATION_NONE },
		{ "off", REPLICATION_NONE },
		{ "of", REPLICATION_NONE },
		{ "0", REPLICATION_NONE },
		{ "", REPLICATION_UNCLEAR },
		{ "o", REPLICATION_UNCLEAR },
		{ "Database", REPLICATION_UNCLEAR },
		{ "databas", REPLICATION_UNCLEAR },
		{ "database ", REPLICATION_UNCLEAR },
		{ "truely", REPLICATION_UNCLEAR },
		{ "true ", REPLICATION_UNCLEAR },
		{ " true", REPLICATION_UNCLEAR },
		{ "10", REPLICATION_UNCLEAR },
		{ "2", REPLICATION_UNCLEAR },
		{ "logical", REPLICATION_UNCLEAR },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(startup_replication(cases[i].word), cases[i].mode, "\"%s\"",
		             cases[i].word != NULL ? cases[i].word : "(none)");
}

Test(startup, message_tells_the_kind_of_replication)
{
	static const struct bytes asked = SPAN("user\0a\0replication\0database\0\0");
	static const struct bytes not_asked = SPAN("user\0a\0\0");
	struct errbuf why = { "" };
	struct startup s = { 0 };

	cr_assert_eq(parse(asked, &s, &why), ERR_OK);
	cr_expect_eq(s.mode, REPLICATION_LOGICAL);
	startup_free(&s);
	cr_assert_eq(parse(not_asked, &s, &why), ERR_OK);
	cr_expect_eq(s.mode, REPLICATION_NONE);
	startup_free(&s);
}

Test(startup, malformed_messages_are_refused)
{
	static const struct parse_case cases[] = {
		{ "nothing at all", { NULL, 0 }, NULL },
		{ "no names", SPAN("\0"), NULL },
		{ "no user", SPAN("database\0b\0\0"), NULL },
		{ "empty user", SPAN("user\0\0\0"), NULL },
		{ "last user empty", SPAN("user\0a\0user\0\0\0"), NULL },
		{ "no terminator", SPAN("user\0a\0"), NULL },
		{ "value without NUL", SPAN("user\0a"), NULL },
		{ "name without NUL", SPAN("user\0a\0data"), NULL },
		{ "odd count", SPAN("user\0a\0database\0"), NULL },
		{ "odd count, value taken for terminator", SPAN("user\0a\0database\0\0"), NULL },
		{ "double terminator", SPAN("user\0a\0\0\0"), NULL },
		{ "bytes behind the terminator", SPAN("user\0a\0\0database\0b\0\0"), NULL },
		{ "user of 64 bytes", SPAN("user\0x" LONG63 "\0\0"), NULL },
		{ "database of 64 bytes", SPAN("user\0a\0database\0x" LONG63 "\0\0"), NULL },
		{ "user not UTF-8", SPAN("user\0\xff\0\0"), NULL },
		{ "database not UTF-8", SPAN("user\0a\0database\0\xc0\x80\0\0"), NULL },
	};

	parse_all(cases, COUNT(cases));
}

#define OPTIONS(text) SPAN("user\0a\0options\0" text "\0\0")

Test(startup, options_are_settings)
{
	static const struct parse_case cases[] = {
		{ "none", OPTIONS(""), "a/a/-" },
		{ "blanks alone", OPTIONS(" \t "), "a/a/-" },
		{ "-c a=b", OPTIONS("-c a=b"), "a/a/- a=b" },
		{ "-ca=b", OPTIONS("-ca=b"), "a/a/- a=b" },
		{ "--a=b", OPTIONS("--a=b"), "a/a/- a=b" },
		{ "--a-b=c", OPTIONS("--a-b=c-d"), "a/a/- a_b=c-d" },
		{ "-c a-b=c", OPTIONS("-c a-b=c"), "a/a/- a_b=c" },
		{ "several", OPTIONS(" -c a=b\t--c=d  -ce=f "), "a/a/- a=b c=d e=f" },
		{ "value with =", OPTIONS("-c a=b=c"), "a/a/- a=b=c" },
		{ "empty value", OPTIONS("-c a="), "a/a/- a=" },
		{ "escaped blank", OPTIONS("-c a=b\\ c"), "a/a/- a=b c" },
		{ "escaped backslash", OPTIONS("-c a=b\\\\c -c d=\\\\"), "a/a/- a=b\\c d=\\" },
		{ "escaped letter", OPTIONS("-c a=\\b"), "a/a/- a=b" },
		{ "backslash at the end", OPTIONS("-c a=b\\"), "a/a/- a=b" },
		{ "plus and percent are themselves", OPTIONS("-c a=b+c%20d"), "a/a/- a=b+c%20d" },
		{ "quotes are themselves", OPTIONS("-c a='b'"), "a/a/- a='b'" },
		{ "later wins", OPTIONS("-c a=1 -c A=2"), "a/a/- A=2" },
		{ "the packet's own wins, before",
		  SPAN("user\0a\0a\0001\0options\0-c a=2 -c b=3\0\0"), "a/a/- a=1 b=3" },
		{ "the packet's own wins, behind", SPAN("user\0a\0options\0-c A=2\0a\0001\0\0"),
		  "a/a/- a=1" },
		{ "later options win", SPAN("user\0a\0options\0-c a=1\0options\0-c b=2\0\0"),
		  "a/a/- b=2" },
	};

	parse_all(cases, COUNT(cases));
}

Test(startup, malformed_options_are_refused)
{
	static const struct parse_case cases[] = {
		{ "a word", OPTIONS("a=b"), NULL },
		{ "-c without anything", OPTIONS("-c"), NULL },
		{ "-c without value", OPTIONS("-c a"), NULL },
		{ "--a without value", OPTIONS("--a"), NULL },
		{ "-- alone", OPTIONS("--"), NULL },
		{ "no name", OPTIONS("-c =b"), NULL },
		{ "no name", OPTIONS("--=b"), NULL },
		{ "another flag", OPTIONS("-d 5"), NULL },
		{ "another flag behind good ones", OPTIONS("-c a=b -e"), NULL },
		{ "a flag in one with -c", OPTIONS("-ec a=b"), NULL },
		{ "a lone dash", OPTIONS("-"), NULL },
		{ "an escaped blank before =", OPTIONS("-c\\ a=b -c"), NULL },
	};

	parse_all(cases, COUNT(cases));
}

/* A packet of the largest size, full of names. */
Test(startup, names_are_limited)
{
	struct buf b = { 0 };
	struct startup s = { 0 };
	char name[16];

	for (unsigned i = 0; i <= STARTUP_PARAMS_MAX; i++) {
		struct errbuf why;
		enum err rc;

		snprintf(name, sizeof(name), i == 0 ? "user" : "n.%u", i);
		cr_assert_eq(buf_append(&b, name, strlen(name) + 1), ERR_OK);
		cr_assert_eq(buf_append(&b, "v\0", 3), ERR_OK);
		rc = parse((struct bytes){ b.at, b.len }, &s, &why);
		cr_expect_eq(rc, i < STARTUP_PARAMS_MAX ? ERR_OK : ERR_WIRE_FORMAT, "%u", i);
		cr_expect_eq(s.param_count, i < STARTUP_PARAMS_MAX ? i : 0, "%u", i);
		startup_free(&s);
		b.len--; /* the terminator */
	}
	buf_free(&b);
}

Test(startup, settings_in_options_are_limited)
{
	struct buf b = { 0 };
	struct startup s = { 0 };
	char word[16];

	cr_assert_eq(buf_append(&b, "user\0a\0options\0", 15), ERR_OK);
	for (unsigned i = 0; i <= STARTUP_PARAMS_MAX; i++) {
		struct errbuf why;

		snprintf(word, sizeof(word), " -cn%u=v", i);
		cr_assert_eq(buf_append(&b, word, strlen(word)), ERR_OK);
		cr_assert_eq(buf_append(&b, "\0", 2), ERR_OK);
		cr_expect_eq(parse((struct bytes){ b.at, b.len }, &s, &why),
		             i < STARTUP_PARAMS_MAX ? ERR_OK : ERR_WIRE_FORMAT, "%u", i);
		startup_free(&s);
		b.len -= 2;
	}
	buf_free(&b);
}

Test(startup, version_and_free)
{
	struct startup_packet p = { .kind = STARTUP_SESSION,
		                    .version = WIRE_PROTOCOL(3, 9999),
		                    .body = SPAN("user\0a\0\0") };
	struct startup s;

	cr_assert_eq(startup_parse(&p, &s, NULL), ERR_OK);
	cr_assert_eq(s.version, WIRE_PROTOCOL(3, 9999));
	startup_free(&s);
	cr_assert_null(s.text);
	startup_free(&s);
	startup_free(NULL);
}
