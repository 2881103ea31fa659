/* grammar.h: statements of the console, split and taken apart. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "pgseal/admin/grammar.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])

/* All statements as "token|token;token;", words bare, names in ", strings in ', signs in <>. */
static const char *spell(const char *sql, char *out, size_t size)
{
	static const char *const marks[][2] = {
		[TOKEN_WORD] = { "", "" }, [TOKEN_NAME] = { "\"", "\"" },
		[TOKEN_STRING] = { "'", "'" }, [TOKEN_SIGN] = { "<", ">" },
	};
	struct statement st;
	struct errbuf why;
	enum statement_next next;
	size_t n = 0;

	out[0] = '\0';
	while ((next = statement_next(&sql, &st, &why)) == STATEMENT_READY) {
		for (size_t i = 0; i < st.count && n < size; i++)
			n += (size_t)snprintf(out + n, size - n, "%s%s%s%s", i > 0 ? "|" : "",
			                      marks[st.token[i].kind][0], st.token[i].text,
			                      marks[st.token[i].kind][1]);
		n += (size_t)snprintf(out + n, size - n, ";");
	}
	if (next == STATEMENT_BAD)
		snprintf(out + n, size - n, "!");
	cr_assert_eq(*sql, '\0');
	return out;
}

Test(grammar, statements_and_tokens)
{
	static const struct {
		const char *sql, *want;
	} cases[] = {
		{ "", "" },
		{ " ; ;; \t\n", "" },
		{ "SHOW pools", "SHOW|pools;" },
		{ "SHOW POOLS;", "SHOW|POOLS;" },
		{ "show version; show stats ;", "show|version;show|stats;" },
		{ "PAUSE \"my \"\"db\"\"; x\"", "PAUSE|\"my \"db\"; x\";" },
		{ "set a = 'it''s; so' ; b", "set|a|<=>|'it's; so';b;" },
		{ "set a='';", "set|a|<=>|'';" },
		{ "-- only\n--this", "" },
		{ "show -- the\n version --", "show|version;" },
		{ "/* a /* b */ ; */ show/**/version", "show|version;" },
		{ "kill_client 3-1042", "kill_client|3-1042;" },
		{ "pause my-db--comment", "pause|my-db;" },
		{ "a-;b- c", "a|<->;b|<->|c;" },
		{ "select pg_catalog.version()", "select|pg_catalog.version|<(>|<)>;" },
		{ "show b\xc3\xa9", "show|b\xc3\xa9;" },
		{ "show 'open", "!" },
		{ "a; show \"open;", "a;!" },
		{ "a; /* open /* */", "a;!" },
		{ "'a''", "!" },
	};
	char out[512];

	for (size_t i = 0; i < CASES(cases); i++)
		cr_assert_str_eq(spell(cases[i].sql, out, sizeof(out)), cases[i].want, "%s: %s",
		                 cases[i].sql, out);
}

Test(grammar, too_many_tokens_are_told_and_skipped)
{
	const char *sql = "a a a a a a a a a a a a a a a a a a a ';' a; show version";
	struct statement st;

	cr_assert_eq(statement_next(&sql, &st, NULL), STATEMENT_READY);
	cr_assert(st.too_long);
	cr_assert_eq(st.count, STATEMENT_TOKENS);
	cr_assert_eq(statement_next(&sql, &st, NULL), STATEMENT_READY);
	cr_assert_not(st.too_long);
	cr_assert_str_eq(st.token[1].text, "version");
	cr_assert_eq(statement_next(&sql, &st, NULL), STATEMENT_END);
}

Test(grammar, too_long_tokens_are_told_and_cut)
{
	char text[3 * STATEMENT_TEXT];
	const char *sql = text;
	struct statement st;

	memset(text, 'x', sizeof(text));
	text[100] = ' ';
	text[sizeof(text) - 4] = '\0';
	memcpy(text + sizeof(text) - 8, " y;", 4);
	cr_assert_eq(statement_next(&sql, &st, NULL), STATEMENT_READY);
	cr_assert(st.too_long);
	cr_assert_eq(strlen(st.token[0].text), 100);
	for (size_t i = 0; i < st.count; i++)
		cr_assert_lt(strlen(st.token[i].text), STATEMENT_TEXT);
	cr_assert_eq(statement_next(&sql, &st, NULL), STATEMENT_END);
}

Test(grammar, keywords)
{
	static const struct {
		const char *sql;
		size_t first;
		const char *words;
		size_t want;
	} cases[] = {
		{ "Show Clients extended", 0, "SHOW CLIENTS EXTENDED", 3 },
		{ "show clients extended", 0, "SHOW CLIENTS", 2 },
		{ "show clients", 0, "SHOW CLIENTS EXTENDED", 0 },
		{ "show clientsx", 0, "SHOW CLIENTS", 0 },
		{ "show client", 0, "SHOW CLIENTS", 0 },
		{ "show \"clients\"", 0, "SHOW CLIENTS", 0 },
		{ "show 'clients'", 0, "SHOW CLIENTS", 0 },
		{ "show time zone", 1, "TIME ZONE", 2 },
		{ "show", 1, "TIME", 0 },
	};

	for (size_t i = 0; i < CASES(cases); i++) {
		const char *sql = cases[i].sql;
		struct statement st;

		cr_assert_eq(statement_next(&sql, &st, NULL), STATEMENT_READY);
		cr_assert_eq(statement_begins(&st, cases[i].first, cases[i].words), cases[i].want,
		             "%s", cases[i].sql);
	}
}
