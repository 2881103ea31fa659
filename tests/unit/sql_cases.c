#include "sql_cases.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static const char *const kinds[SQL_MENTION_KINDS] = {
	[SQL_PREPARE] = "prepare",       [SQL_EXECUTE] = "execute",
	[SQL_DEALLOCATE] = "deallocate", [SQL_DEALLOCATE_ALL] = "deallocate all",
	[SQL_DISCARD_ALL] = "discard",   [SQL_SET] = "set",
	[SQL_RESET] = "reset",           [SQL_RESET_ALL] = "reset all",
	[SQL_SET_UNKNOWN] = "unknown",   [SQL_SET_LOCAL] = "local",
};

struct words {
	char s[4000];
	size_t len;
};

static void add(struct words *w, const char *form, ...)
{
	va_list args;

	va_start(args, form);
	w->len += (size_t)vsnprintf(w->s + w->len, sizeof(w->s) - w->len, form, args);
	va_end(args);
	cr_assert_lt(w->len, sizeof(w->s));
}

static void add_mention(struct words *w, struct bytes text, const struct sql_mention *m)
{
	const char *at = (const char *)text.at;
	bool same = m->len == strlen(m->name) && memcmp(at + m->at, m->name, m->len) == 0;
	bool sets = m->kind == SQL_SET || m->kind == SQL_SET_UNKNOWN;

	cr_assert(m->at <= text.len && m->len <= text.len - m->at);
	cr_assert(m->value_at <= text.len && m->value_len <= text.len - m->value_at);
	cr_assert(m->value_len == 0 || m->kind == SQL_SET || m->kind == SQL_SET_LOCAL);
	add(w, "%s%s", w->len > 0 ? "; " : "", kinds[m->kind]);
	add(w, "%s%s", m->name[0] != '\0' ? " " : "", m->name);
	if (!same)
		add(w, " [%.*s]", (int)m->len, at + m->at);
	if (m->value_len > 0 && m->value_len < 100)
		add(w, "=%.*s", (int)m->value_len, at + m->value_at);
	add(w, "%s", sets && m->resets ? "?" : "");
}

const char *sql_describe(struct bytes text, struct sql_reading how)
{
	static struct words all;
	struct sql_mention m;
	struct sql_cursor c;

	all = (struct words){ .len = 0 };
	sql_begin(&c, text, how);
	while (sql_next(&c, &m))
		add_mention(&all, text, &m);
	return all.s;
}

void sql_check(const struct sql_case *cases, size_t count, struct sql_reading how)
{
	for (size_t i = 0; i < count; i++) {
		struct bytes text = bytes_of(cases[i].text);
		unsigned traits = sql_traits(text, how);

		cr_expect_eq(traits, cases[i].traits, "%s: %#x, not %#x", cases[i].text, traits,
		             cases[i].traits);
		cr_expect_str_eq(sql_describe(text, how), cases[i].mentions, "%s", cases[i].text);
	}
}
