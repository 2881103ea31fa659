/* Texts of queries. The first byte: are backslashes escapes? */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/wire/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MENTIONS_MAX 64

struct seen {
	struct sql_mention m[MENTIONS_MAX];
	size_t count; /* may be more than are kept */
};

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static bool names_statement(enum sql_mention_kind kind)
{
	return kind == SQL_PREPARE || kind == SQL_EXECUTE || kind == SQL_DEALLOCATE;
}

static unsigned bit(const struct seen *s, enum sql_mention_kind kind)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->m[i].kind == kind)
			return 1;
	return 0;
}

static void check_mention(struct bytes text, const struct sql_mention *m, size_t behind)
{
	must(m->kind < SQL_MENTION_KINDS, "a kind");
	must(m->at <= text.len && m->len <= text.len - m->at, "inside of the text");
	must(m->at >= behind, "in the order of the text");
	must(memchr(m->name, '\0', sizeof(m->name)) != NULL, "a name ends");
	must(!names_statement(m->kind) || m->len > 0, "names of statements stand in the text");
	must(m->kind != SQL_SET || m->name[0] != '\0' || m->len > 0, "a parameter has a name");
}

/* False: there are more than can be kept. */
static bool collect(struct bytes text, bool backslashes, struct seen *out)
{
	struct sql_mention m;
	struct sql_cursor c;
	size_t behind = 0;

	out->count = 0;
	sql_begin(&c, text, backslashes);
	while (sql_next(&c, &m)) {
		check_mention(text, &m, behind);
		behind = m.at + m.len;
		if (out->count == MENTIONS_MAX)
			return false;
		out->m[out->count++] = m;
	}
	return true;
}

/* Both ways of asking tell the same. */
static void check_traits(unsigned traits, const struct seen *s)
{
	unsigned names = bit(s, SQL_PREPARE) | bit(s, SQL_EXECUTE) | bit(s, SQL_DEALLOCATE);
	unsigned all = bit(s, SQL_DEALLOCATE_ALL) | bit(s, SQL_DISCARD_ALL);
	unsigned sets = bit(s, SQL_SET) | bit(s, SQL_RESET) | bit(s, SQL_RESET_ALL) |
	                bit(s, SQL_SET_UNKNOWN) | bit(s, SQL_DISCARD_ALL);
	unsigned ends = all | bit(s, SQL_DEALLOCATE) | bit(s, SQL_RESET_ALL);

	must(((traits & SQL_NAMES) != 0) == names, "SQL_NAMES");
	must(((traits & SQL_PREPARES) != 0) == bit(s, SQL_PREPARE), "SQL_PREPARES");
	must(((traits & SQL_FORGETS_STATEMENTS) != 0) == all, "SQL_FORGETS_STATEMENTS");
	must(((traits & SQL_SETS) != 0) == sets, "SQL_SETS");
	must(ends == 0 || (traits & SQL_FORGETS) != 0, "SQL_FORGETS");
}

/* Another name instead of one that is mentioned changes nothing but that mention. */
static void check_renaming(struct bytes text, bool backslashes, const struct seen *s, size_t which)
{
	static const char name[] = "\"Pgseal \"\"1\"", means[] = "Pgseal \"1";
	static struct seen renamed;
	const struct sql_mention *old = &s->m[which];
	size_t fresh = sizeof(name) - 1, rest = old->at + old->len;
	struct bytes b = { NULL, text.len - old->len + fresh };
	uint8_t *copy;

	/* a quote behind a name without quotes would become part of the new one; no SQL has it there */
	if ((rest < text.len && text.at[rest] == '"') || (copy = malloc(b.len)) == NULL)
		return;
	b.at = copy;
	memcpy(copy, text.at, old->at);
	memcpy(copy + old->at, name, fresh);
	memcpy(copy + old->at + fresh, text.at + rest, text.len - rest);
	must(collect(b, backslashes, &renamed) && renamed.count == s->count, "as many mentions");
	must(sql_traits(b, backslashes) == sql_traits(text, backslashes), "the same traits");
	for (size_t i = 0; i < s->count; i++) {
		must(renamed.m[i].kind == s->m[i].kind, "the same kinds");
		must(strcmp(renamed.m[i].name, i == which ? means : s->m[i].name) == 0,
		     "the other names");
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seen seen;
	struct bytes text = { data + 1, size - 1 };
	bool backslashes;

	if (size == 0)
		return 0;
	backslashes = data[0] % 2 == 1;
	if (!collect(text, backslashes, &seen))
		return 0;
	check_traits(sql_traits(text, backslashes), &seen);
	for (size_t i = 0; i < seen.count; i++)
		if (names_statement(seen.m[i].kind) && seen.m[i].name[0] != '\0')
			check_renaming(text, backslashes, &seen, i);
	return 0;
}
