/* IDENTITIES and MAP: who would be whom, and what that one may do. */
#include <string.h>

#include "pgseal/admin/views.h"
#include "pgseal/wire/message.h"
#include "request_priv.h"

#define VIEW(columns_, home_) \
	{ .columns = columns_, .count = sizeof(columns_) / sizeof(*columns_), .home = home_ }

static const char *console_word(enum console_right right)
{
	static const char *const words[] = {
		[CONSOLE_NONE] = "", [CONSOLE_STATS] = "stats", [CONSOLE_ADMIN] = "admin",
	};

	return words[right];
}

/* --- IDENTITIES --- */

#define RULE_TEXT(field)                                                               \
	static void get_rule_##field(struct cell *out, const struct row *row)          \
	{                                                                              \
		out->text = row->rule->field;                                          \
	}
RULE_TEXT(label)
RULE_TEXT(type)
RULE_TEXT(matcher)
RULE_TEXT(roles)
RULE_TEXT(databases)

static void get_rule_console(struct cell *out, const struct row *row)
{
	out->text = console_word(row->rule->console);
}

static void get_rule_max_clients(struct cell *out, const struct row *row)
{
	cell_int(out, row->rule->max_clients);
}

static void get_rule_max_active(struct cell *out, const struct row *row)
{
	cell_int(out, row->rule->max_active);
}

static void get_rule_replication(struct cell *out, const struct row *row)
{
	out->text = row->rule->replication ? "yes" : "no";
}

static const struct column identities_columns[] = {
	{ "label", TYPE_TEXT, get_rule_label },
	{ "type", TYPE_TEXT, get_rule_type },
	{ "matcher", TYPE_TEXT, get_rule_matcher },
	{ "roles", TYPE_TEXT, get_rule_roles },
	{ "databases", TYPE_TEXT, get_rule_databases },
	{ "console", TYPE_TEXT, get_rule_console },
	{ "max_clients", TYPE_INT4, get_rule_max_clients },
	{ "max_active", TYPE_INT4, get_rule_max_active },
	{ "replication", TYPE_TEXT, get_rule_replication },
};

static void identities_home(struct request *rq, struct worker *w)
{
	size_t count = identity_rules_count(w->site->rules);
	struct identity_rule_view rule;

	for (size_t i = 0; i < count; i++) {
		identity_rules_view(w->site->rules, i, &rule);
		view_row(rq, &(struct row){ .rule = &rule });
	}
}

const struct view view_identities = VIEW(identities_columns, identities_home);

/* --- MAP --- */

/* What is nobody's has a reason and nothing else. */
static void get_label(struct cell *out, const struct row *row)
{
	out->text = row->identity != NULL ? row->identity->label : NULL;
}

static void get_rule(struct cell *out, const struct row *row)
{
	out->text = NULL;
	if (row->rule != NULL)
		cell_printf(out, "%s:%s", row->rule->type, row->rule->matcher);
}

static void get_matched(struct cell *out, const struct row *row)
{
	out->text = NULL;
	if (row->identity != NULL)
		cell_printf(out, "%s:%s", name_type_word(row->identity->type),
		            row->identity->name);
}

static void put_list(struct cell *out, const char *const *at, size_t count)
{
	size_t len = 0;

	out->room[0] = '\0';
	out->text = out->room;
	for (size_t i = 0; i < count && len < sizeof(out->room); i++)
		len += (size_t)snprintf(out->room + len, sizeof(out->room) - len, "%s%s",
		                        i > 0 ? "," : "", at[i]);
}

static void get_roles(struct cell *out, const struct row *row)
{
	out->text = NULL;
	if (row->identity != NULL)
		put_list(out, row->identity->roles, row->identity->role_count);
}

static void get_databases(struct cell *out, const struct row *row)
{
	out->text = NULL;
	if (row->identity != NULL && row->identity->database_count == 0)
		out->text = "*";
	else if (row->identity != NULL)
		put_list(out, row->identity->databases, row->identity->database_count);
}

static void get_console(struct cell *out, const struct row *row)
{
	out->text = row->identity != NULL ? console_word(row->identity->console) : NULL;
}

static void get_reason(struct cell *out, const struct row *row)
{
	out->text = row->value;
}

static const struct column map_columns[] = {
	{ "identity", TYPE_TEXT, get_label },
	{ "rule", TYPE_TEXT, get_rule },
	{ "matched", TYPE_TEXT, get_matched },
	{ "roles", TYPE_TEXT, get_roles },
	{ "databases", TYPE_TEXT, get_databases },
	{ "console", TYPE_TEXT, get_console },
	{ "reason", TYPE_TEXT, get_reason },
};

/* 'type:name', with or without commas between. False: something else. */
static bool take_texts(const struct request *rq, const char *texts[STATEMENT_TOKENS], size_t *count)
{
	const struct statement *st = &rq->statement;

	*count = 0;
	for (size_t i = rq->action.first_arg; i < st->count; i++) {
		const struct token *t = &st->token[i];

		if (t->kind == TOKEN_STRING)
			texts[(*count)++] = t->text;
		else if (t->kind != TOKEN_SIGN || t->text[0] != ',')
			return false;
	}
	return *count > 0;
}

static void map_row(struct request *rq, const struct site *site, const struct names *names)
{
	struct identity_rule_view rule;
	struct identity *id = NULL;
	struct errbuf why = { "" };
	struct row row = { .value = why.text };

	if (identity_find(site->rules, names, &id, &why) == ERR_OK) {
		row.identity = id;
		if (id->rule != SIZE_MAX) {
			identity_rules_view(site->rules, id->rule, &rule);
			row.rule = &rule;
		}
	}
	view_row(rq, &row);
	identity_free(id);
}

static void map_home(struct request *rq, struct worker *w)
{
	const char *texts[STATEMENT_TOKENS];
	struct names *names;
	struct errbuf why;
	size_t count;

	if (!take_texts(rq, texts, &count)) {
		request_fail(rq, SQLSTATE_SYNTAX_ERROR,
		             "usage: SHOW MAP '<type>:<name>', ...; as --explain prints them");
	} else if (names_parse(texts, count, &names, &why) != ERR_OK) {
		request_fail(rq, SQLSTATE_INVALID_PARAMETER_VALUE, "%s", why.text);
	} else {
		map_row(rq, w->site, names);
		names_free(names);
	}
}

const struct view view_map = VIEW(map_columns, map_home);
