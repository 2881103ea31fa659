/* pstatement.h: where messages name prepared statements, other names in their place, shapes. */
#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/wire/frame.h"
#include "pgseal/wire/pstatement.h"
#include "pgseal/wire/reader.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT(literal)                                           \
	{                                                       \
		(const uint8_t *)(literal), sizeof(literal) - 1 \
	}
#define WHOLE 0 /* for size: no more than is at hand */

static bool is(struct bytes got, struct bytes want)
{
	return got.len == want.len && memcmp(got.at, want.at, want.len) == 0;
}

/* A message: its header, then the body. The caller owns nothing. */
static struct bytes message_of(char type, struct bytes body)
{
	static uint8_t at[512];
	size_t length = body.len + 4;

	cr_assert(body.len + FRAME_HEADER <= sizeof(at));
	at[0] = (uint8_t)type;
	at[1] = at[2] = 0;
	at[3] = (uint8_t)(length >> 8);
	at[4] = (uint8_t)length;
	memcpy(at + FRAME_HEADER, body.at, body.len);
	return (struct bytes){ at, body.len + FRAME_HEADER };
}

/* --- finding --- */

struct mention_case {
	const char *what;
	struct bytes body, before, name;
	char type;
};

static const struct mention_case mentions[] = {
	{ "Parse", TEXT("s1\0SELECT 1\0\0\0"), TEXT(""), TEXT("s1"), 'P' },
	{ "Parse of the unnamed one", TEXT("\0SELECT 1\0\0\0"), TEXT(""), TEXT(""), 'P' },
	{ "Parse of nothing", TEXT("\0\0\0\0"), TEXT(""), TEXT(""), 'P' },
	{ "Bind", TEXT("\0s1\0\0\0\0\0\0\0"), TEXT("\0"), TEXT("s1"), 'B' },
	{ "Bind of the unnamed one", TEXT("\0\0\0\0\0\0\0\0"), TEXT("\0"), TEXT(""), 'B' },
	{ "Bind to a portal", TEXT("portal\0s1\0\0\0"), TEXT("portal\0"), TEXT("s1"), 'B' },
	{ "a portal that looks like Describe", TEXT("S\0s1\0"), TEXT("S\0"), TEXT("s1"), 'B' },
	{ "Describe", TEXT("Ss1\0"), TEXT("S"), TEXT("s1"), 'D' },
	{ "Describe of the unnamed one", TEXT("S\0"), TEXT("S"), TEXT(""), 'D' },
	{ "Close", TEXT("Ss1\0"), TEXT("S"), TEXT("s1"), 'C' },
	{ "bytes behind that do not belong there", TEXT("Ss1\0more"), TEXT("S"), TEXT("s1"), 'C' },
	{ "any bytes but NUL", TEXT("S\377\1S\"\0"), TEXT("S"), TEXT("\377\1S\""), 'D' },
};

static size_t head_of(const struct mention_case *c)
{
	return FRAME_HEADER + c->before.len + c->name.len + 1;
}

Test(pstatement, names_are_found)
{
	for (size_t i = 0; i < COUNT(mentions); i++) {
		const struct mention_case *c = &mentions[i];
		struct bytes message = message_of(c->type, c->body);
		struct pstatement_mention m;

		cr_expect_eq(pstatement_find(message, message.len, &m), PSTATEMENT_NAMED, "%s",
		             c->what);
		cr_expect(is(m.before, c->before), "%s: before", c->what);
		cr_expect(is(m.name, c->name), "%s: name", c->what);
		cr_expect_eq(m.head, head_of(c), "%s: head", c->what);
		cr_expect_eq(m.before.at, message.at + FRAME_HEADER, "%s: borrowed", c->what);
	}
}

/* Cut at every byte: named as soon as the name's NUL is there, and never told otherwise before. */
Test(pstatement, names_come_in_pieces)
{
	for (size_t i = 0; i < COUNT(mentions); i++) {
		const struct mention_case *c = &mentions[i];
		struct bytes message = message_of(c->type, c->body);
		struct pstatement_mention m;

		for (size_t n = 0; n <= message.len; n++) {
			struct bytes cut = { message.at, n };
			bool named = n >= head_of(c);

			cr_expect_eq(pstatement_find(cut, message.len, &m),
			             named ? PSTATEMENT_NAMED : PSTATEMENT_MORE, "%s: %zu bytes",
			             c->what, n);
			cr_expect(!named || is(m.name, c->name), "%s: %zu bytes", c->what, n);
		}
	}
}

/* What the next message says is not of this one. */
Test(pstatement, what_lies_behind_the_message_does_not_count)
{
	for (size_t i = 0; i < COUNT(mentions); i++) {
		const struct mention_case *c = &mentions[i];
		struct bytes message = message_of(c->type, c->body);
		struct pstatement_mention m;

		for (size_t size = FRAME_HEADER; size <= message.len; size++)
			cr_expect_eq(pstatement_find(message, size, &m),
			             size >= head_of(c) ? PSTATEMENT_NAMED : PSTATEMENT_NONE,
			             "%s: size %zu", c->what, size);
	}
}

Test(pstatement, what_names_none)
{
	static const struct {
		const char *what;
		struct bytes body;
		size_t size; /* of the whole */
		char type;
		enum pstatement_next want;
	} cases[] = {
		{ "Describe of a portal", TEXT("Ps1\0"), WHOLE, 'D', PSTATEMENT_NONE },
		{ "Close of a portal", TEXT("Ps1\0"), WHOLE, 'C', PSTATEMENT_NONE },
		{ "a portal is known by its first byte", TEXT("P"), 64, 'D', PSTATEMENT_NONE },
		{ "Describe of what does not exist", TEXT("ss1\0"), WHOLE, 'D', PSTATEMENT_NONE },
		{ "Execute", TEXT("p\0\0\0\0\0"), WHOLE, 'E', PSTATEMENT_NONE },
		{ "Query", TEXT("SELECT 1\0"), WHOLE, 'Q', PSTATEMENT_NONE },
		{ "Query that has not come", TEXT(""), 64, 'Q', PSTATEMENT_NONE },
		{ "FunctionCall", TEXT("S\0\0\0"), WHOLE, 'F', PSTATEMENT_NONE },
		{ "Sync", TEXT(""), WHOLE, 'S', PSTATEMENT_NONE },
		{ "CopyData", TEXT("Ss1\0"), WHOLE, 'd', PSTATEMENT_NONE },
		{ "empty Parse", TEXT(""), WHOLE, 'P', PSTATEMENT_NONE },
		{ "empty Bind", TEXT(""), WHOLE, 'B', PSTATEMENT_NONE },
		{ "empty Describe", TEXT(""), WHOLE, 'D', PSTATEMENT_NONE },
		{ "empty Close", TEXT(""), WHOLE, 'C', PSTATEMENT_NONE },
		{ "Parse without NUL", TEXT("s1"), WHOLE, 'P', PSTATEMENT_NONE },
		{ "Parse without NUL so far", TEXT("s1"), 64, 'P', PSTATEMENT_MORE },
		{ "Bind without NUL", TEXT("portal"), WHOLE, 'B', PSTATEMENT_NONE },
		{ "Bind without NUL so far", TEXT("portal"), 64, 'B', PSTATEMENT_MORE },
		{ "Bind without the second NUL", TEXT("p\0s1"), WHOLE, 'B', PSTATEMENT_NONE },
		{ "Bind without the second NUL so far", TEXT("p\0s1"), 64, 'B', PSTATEMENT_MORE },
		{ "Bind of a portal alone", TEXT("p\0"), WHOLE, 'B', PSTATEMENT_NONE },
		{ "Close without NUL", TEXT("Ss1"), WHOLE, 'C', PSTATEMENT_NONE },
		{ "Close without NUL so far", TEXT("Ss1"), 64, 'C', PSTATEMENT_MORE },
		{ "Describe of a statement alone", TEXT("S"), WHOLE, 'D', PSTATEMENT_NONE },
		{ "Describe of a statement so far", TEXT("S"), 64, 'D', PSTATEMENT_MORE },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bytes message = message_of(cases[i].type, cases[i].body);
		size_t size = cases[i].size == WHOLE ? message.len : cases[i].size;
		struct pstatement_mention m = { .head = 4711 };

		cr_expect_eq(pstatement_find(message, size, &m), cases[i].want, "%s",
		             cases[i].what);
		cr_expect_eq(m.head, 4711, "%s: written in vain", cases[i].what);
	}
}

/* --- another name --- */

/* The whole message with that name, by way of the head. */
static struct bytes renamed(struct bytes message, const struct pstatement_mention *m,
                            struct bytes name)
{
	static uint8_t to[1024];
	size_t n = pstatement_head_size(m, name.len), rest = message.len - m->head;

	cr_assert(n + rest < sizeof(to));
	memset(to, 0xee, sizeof(to));
	pstatement_write_head(to, (char)message.at[0], message.len, m, name);
	cr_assert_eq(to[n], 0xee, "written behind the head");
	memcpy(to + n, message.at + m->head, rest);
	return (struct bytes){ to, n + rest };
}

Test(pstatement, other_names_stand_in_place)
{
	static const struct bytes names[] = {
		TEXT(""),
		TEXT("x"),
		TEXT("s2"),
		TEXT("pgseal_0123456789abcdef0123456789abcdef"),
	};

	for (size_t i = 0; i < COUNT(mentions) * COUNT(names); i++) {
		const struct mention_case *c = &mentions[i / COUNT(names)];
		struct bytes name = names[i % COUNT(names)], got;
		struct bytes message = message_of(c->type, c->body);
		size_t rest = message.len - head_of(c);
		struct pstatement_mention m, again;

		cr_assert_eq(pstatement_find(message, message.len, &m), PSTATEMENT_NAMED);
		got = renamed(message, &m, name);
		cr_expect_eq(got.len, message.len - c->name.len + name.len, "%s", c->what);
		cr_expect_eq(got.at[0], (uint8_t)c->type, "%s", c->what);
		cr_expect_eq(reader_length(got.at), got.len - 1, "%s: length word", c->what);
		cr_assert_eq(pstatement_find(got, got.len, &again), PSTATEMENT_NAMED);
		cr_expect(is(again.before, c->before), "%s: before", c->what);
		cr_expect(is(again.name, name), "%s: name", c->what);
		cr_expect_eq(memcmp(got.at + again.head, c->body.at + c->body.len - rest, rest), 0,
		             "%s: the rest", c->what);
	}
}

/* The length is of the whole, however little of it has come. */
Test(pstatement, all_of_the_length_word_is_written)
{
	struct bytes message = message_of('P', (struct bytes)TEXT("s1\0"));
	uint8_t to[32];
	struct pstatement_mention m;

	cr_assert_eq(pstatement_find(message, 0x12345678, &m), PSTATEMENT_NAMED);
	pstatement_write_head(to, 'P', 0x12345678, &m, (struct bytes)TEXT("s12"));
	cr_assert_eq(memcmp(to, "P\x12\x34\x56\x78s12\0", 9), 0);
}

/* --- shapes --- */

static uint64_t columns(struct bytes body)
{
	return pstatement_shape_columns(pstatement_shape_begin(), body);
}

static uint64_t parameters(struct bytes body)
{
	return pstatement_shape_parameters(pstatement_shape_begin(), body);
}

/* Pieces of a RowDescription: the column's table and attribute number, and all behind them. */
#define ORIGIN "\0\0\100\1\0\1"
#define OTHER_TABLE "\0\0\100\2\0\1"
#define OTHER_PLACE "\0\0\100\1\0\2"
#define INT4 "\0\0\0\27\0\4\377\377\377\377"
#define INT8 "\0\0\0\24\0\10\377\377\377\377"
#define VARCHAR9 "\0\0\4\23\377\377\0\0\0\15"
#define VARCHAR8 "\0\0\4\23\377\377\0\0\0\14"
#define AS_TEXT "\0\0"
#define BINARY "\0\1"
#define COLUMN(name, type) name "\0" ORIGIN type AS_TEXT
#define ONE "\0\1"
#define TWO "\0\2"

struct shape_case {
	const char *what;
	struct bytes a, b;
};

Test(pstatement, same_shapes)
{
	static const struct shape_case cases[] = {
		{ "the same", TEXT(ONE COLUMN("a", INT4)), TEXT(ONE COLUMN("a", INT4)) },
		{ "of another table", TEXT(ONE COLUMN("a", INT4)),
		  TEXT(ONE "a\0" OTHER_TABLE INT4 AS_TEXT) },
		{ "from another place in it", TEXT(ONE COLUMN("a", INT4)),
		  TEXT(ONE "a\0" OTHER_PLACE INT4 AS_TEXT) },
		{ "in another format", TEXT(ONE COLUMN("a", INT4)),
		  TEXT(ONE "a\0" ORIGIN INT4 BINARY) },
		{ "no columns", TEXT("\0\0"), TEXT("\0\0") },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_eq(columns(cases[i].a), columns(cases[i].b), "%s", cases[i].what);
}

Test(pstatement, other_shapes)
{
	static const struct shape_case cases[] = {
		{ "name", TEXT(ONE COLUMN("a", INT4)), TEXT(ONE COLUMN("b", INT4)) },
		{ "no name", TEXT(ONE COLUMN("a", INT4)), TEXT(ONE COLUMN("", INT4)) },
		{ "longer name", TEXT(ONE COLUMN("a", INT4)), TEXT(ONE COLUMN("aa", INT4)) },
		{ "type", TEXT(ONE COLUMN("a", INT4)), TEXT(ONE COLUMN("a", INT8)) },
		{ "modifier", TEXT(ONE COLUMN("a", VARCHAR9)), TEXT(ONE COLUMN("a", VARCHAR8)) },
		{ "one more", TEXT(ONE COLUMN("a", INT4)),
		  TEXT(TWO COLUMN("a", INT4) COLUMN("b", INT4)) },
		{ "the same twice", TEXT(ONE COLUMN("a", INT4)),
		  TEXT(TWO COLUMN("a", INT4) COLUMN("a", INT4)) },
		{ "none", TEXT("\0\0"), TEXT(ONE COLUMN("a", INT4)) },
		{ "order", TEXT(TWO COLUMN("a", INT4) COLUMN("b", INT4)),
		  TEXT(TWO COLUMN("b", INT4) COLUMN("a", INT4)) },
		{ "where a name ends", TEXT(TWO COLUMN("a", "bcdefghijk") COLUMN("lm", INT4)),
		  TEXT(TWO COLUMN("ab", "cdefghijkl") COLUMN("m", INT4)) },
		{ "order of types", TEXT(TWO COLUMN("a", INT4) COLUMN("b", INT8)),
		  TEXT(TWO COLUMN("a", INT8) COLUMN("b", INT4)) },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		cr_expect_neq(columns(cases[i].a), columns(cases[i].b), "%s", cases[i].what);
}

Test(pstatement, parameters_make_the_shape)
{
	static const struct bytes none = TEXT("\0\0"), int4 = TEXT("\0\1\0\0\0\27"),
				  int8 = TEXT("\0\1\0\0\0\24"),
				  both = TEXT("\0\2\0\0\0\27\0\0\0\24"),
				  turned = TEXT("\0\2\0\0\0\24\0\0\0\27"),
				  rows = TEXT(ONE COLUMN("a", INT4));
	uint64_t with_int4 = parameters(int4), with_int8 = parameters(int8);

	cr_expect_eq(parameters(both), parameters(both));
	cr_expect_neq(with_int4, with_int8);
	cr_expect_neq(with_int4, parameters(none));
	cr_expect_neq(with_int4, parameters(both));
	cr_expect_neq(parameters(both), parameters(turned));
	cr_expect_neq(pstatement_shape_columns(with_int4, rows),
	              pstatement_shape_columns(with_int8, rows), "in front of equal columns");
	cr_expect_eq(pstatement_shape_columns(with_int4, rows),
	             pstatement_shape_columns(parameters(int4), rows));
}

/* Cut anywhere, and with a count that is not true: bytes like others, and other than the whole. */
Test(pstatement, broken_bodies_count_as_their_bytes)
{
	static const struct bytes whole = TEXT(TWO COLUMN("a", INT4) COLUMN("b", INT8));
	static const struct shape_case others[] = {
		{ "name of the one that is cut", TEXT(ONE "a\0" ORIGIN), TEXT(ONE "b\0" ORIGIN) },
		{ "more are promised than come", TEXT(ONE COLUMN("a", INT4)),
		  TEXT(TWO COLUMN("a", INT4)) },
		{ "fewer are promised than come", TEXT(TWO COLUMN("a", INT4) COLUMN("b", INT8)),
		  TEXT(ONE COLUMN("a", INT4) COLUMN("b", INT8)) },
		{ "promised, and not there", TEXT("\0\0"), TEXT(ONE) },
	};
	uint8_t at[64];

	for (size_t n = 0; n < whole.len; n++) {
		memcpy(at + sizeof(at) - n, whole.at, n); /* to its end, for ASan */
		cr_expect_neq(columns((struct bytes){ at + sizeof(at) - n, n }), columns(whole),
		              "%zu bytes", n);
	}
	for (size_t i = 0; i < COUNT(others); i++)
		cr_expect_neq(columns(others[i].a), columns(others[i].b), "%s", others[i].what);
}

Test(pstatement, shapes_are_never_0)
{
	static const struct bytes empty = TEXT(""), none = TEXT("\0\0");
	uint64_t shape = pstatement_shape_begin();

	cr_assert_neq(shape, 0);
	cr_expect_neq(parameters(empty), 0);
	cr_expect_neq(columns(empty), 0);
	cr_expect_neq(columns(none), 0);
	for (unsigned i = 0; i < 65536; i++) {
		uint8_t at[2] = { (uint8_t)(i >> 8), (uint8_t)i };

		shape = pstatement_shape_parameters(shape, (struct bytes){ at, sizeof(at) });
		cr_assert_neq(shape, 0);
	}
	/* the number that this byte would make 0 */
	cr_expect_neq(pstatement_shape_parameters('S', (struct bytes)TEXT("S")), 0);
}
