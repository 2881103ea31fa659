/* Texts of queries. The first byte is how they are read: modulo 3 the backslashes, and what remains
 * of the quotient by 4 the encoding. */
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
	must(m->value_at <= text.len && m->value_len <= text.len - m->value_at, "a value in it");
	must(m->value_len == 0 || ((m->kind == SQL_SET || m->kind == SQL_SET_LOCAL) && !m->resets),
	     "no other has a value");
}

/* False: there are more than can be kept or compared. */
static bool collect(struct bytes text, struct sql_reading how, struct seen *out)
{
	struct sql_mention m;
	struct sql_cursor c;
	size_t behind = 0;

	out->count = 0;
	sql_begin(&c, text, how);
	while (sql_next(&c, &m)) {
		check_mention(text, &m, behind);
		behind = m.at + m.len;
		if (out->count == MENTIONS_MAX)
			return false;
		out->m[out->count++] = m;
	}
	/* Whether looking ahead has come to its limit may depend on the length of a name. */
	return c.lex.ahead > 0;
}

/* Both ways of asking tell the same. */
static void check_traits(unsigned traits, const struct seen *s)
{
	unsigned names = bit(s, SQL_PREPARE) | bit(s, SQL_EXECUTE) | bit(s, SQL_DEALLOCATE);
	unsigned all = bit(s, SQL_DEALLOCATE_ALL) | bit(s, SQL_DISCARD_ALL);
	unsigned sets = bit(s, SQL_SET) | bit(s, SQL_RESET) | bit(s, SQL_RESET_ALL) |
	                bit(s, SQL_SET_UNKNOWN) | bit(s, SQL_DISCARD_ALL);
	unsigned resets = bit(s, SQL_RESET) | bit(s, SQL_RESET_ALL) | bit(s, SQL_DISCARD_ALL);
	unsigned ends = all | bit(s, SQL_DEALLOCATE) | bit(s, SQL_RESET_ALL);

	must(((traits & SQL_NAMES) != 0) == names, "SQL_NAMES");
	must(((traits & SQL_PREPARES) != 0) == bit(s, SQL_PREPARE), "SQL_PREPARES");
	must(((traits & SQL_FORGETS_STATEMENTS) != 0) == all, "SQL_FORGETS_STATEMENTS");
	must(((traits & SQL_SETS) != 0) == sets, "SQL_SETS");
	must(resets == 0 || (traits & SQL_RESETS) != 0, "SQL_RESETS");
	must(ends == 0 || (traits & SQL_FORGETS) != 0, "SQL_FORGETS");
}

/* Another name instead of one that is mentioned changes nothing but that mention. */
static void check_renaming(struct bytes text, struct sql_reading how, const struct seen *s,
                           size_t which)
{
	static const char name[] = "\"Pgseal \"\"1\"", means[] = "Pgseal \"1";
	static struct seen renamed;
	const struct sql_mention *old = &s->m[which];
	size_t fresh = sizeof(name) - 1, rest = old->at + old->len;
	struct bytes b = { NULL, text.len - old->len + fresh };
	uint8_t *copy;

	/* a quote behind a name without quotes would become part of the new one; no SQL has it
	 * there */
	if ((rest < text.len && text.at[rest] == '"') || (copy = malloc(b.len)) == NULL)
		return;
	b.at = copy;
	memcpy(copy, text.at, old->at);
	memcpy(copy + old->at, name, fresh);
	memcpy(copy + old->at + fresh, text.at + rest, text.len - rest);
	must(collect(b, how, &renamed) && renamed.count == s->count, "as many mentions");
	must(sql_traits(b, how) == sql_traits(text, how), "the same traits");
	for (size_t i = 0; i < s->count; i++) {
		must(renamed.m[i].kind == s->m[i].kind, "the same kinds");
		must(strcmp(renamed.m[i].name, i == which ? means : s->m[i].name) == 0,
		     "the other names");
	}
	free(copy);
}

/* What is open has the traits of all readings, and what is certain has but one. */
static void check_readings(struct bytes text, struct sql_reading how)
{
	unsigned traits = sql_traits(text, how);
	bool certain = sql_certain(text, how);
	struct sql_reading one = how;

	for (unsigned b = 0; b < SQL_BACKSLASHES_UNKNOWN; b++)
		for (unsigned e = 0; e < SQL_ENCODING_UNKNOWN; e++) {
			if (how.backslashes == SQL_BACKSLASHES_UNKNOWN)
				one.backslashes = b;
			if (how.encoding == SQL_ENCODING_UNKNOWN)
				one.encoding = e;
			must((sql_traits(text, one) & ~traits) == 0, "traits of a reading");
			must(!certain || sql_traits(text, one) == traits, "one reading");
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seen seen;
	struct bytes text = { data + 1, size - 1 };
	struct sql_reading how;

	if (size == 0)
		return 0;
	how = (struct sql_reading){ data[0] % 3u, data[0] / 3u % 4u };
	check_readings(text, how);
	if (!collect(text, how, &seen) || !sql_certain(text, how))
		return 0;
	check_traits(sql_traits(text, how), &seen);
	for (size_t i = 0; i < seen.count; i++)
		if (names_statement(seen.m[i].kind) && seen.m[i].name[0] != '\0')
			check_renaming(text, how, &seen, i);
	return 0;
}
