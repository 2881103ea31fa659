/* Identity rules from text, and names looked up in them.
 *
 * Lines "label = value" are rows of the section; then, behind a line "--", lines "type:name" are
 * the certificate's names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/tls/names_priv.h"
#include "pgseal/tls/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_rule(struct identity_rules *rules, char *line, struct report *rep)
{
	char *equals = strchr(line, '=');
	struct place at = { "fuzz", 1 };

	if (equals == NULL)
		return;
	*equals = '\0';
	line[strcspn(line, " \t")] = '\0';
	identity_rules_add(rules, line, equals + 1, at, rep);
}

static void add_name(struct names *names, const char *line)
{
	const char *colon = strchr(line, ':');
	struct errbuf why;
	enum name_type type;

	if (colon != NULL && name_type_find(line, (size_t)(colon - line), &type) &&
	    names_add(names, type, colon + 1, &why) != ERR_OK && why.text[0] == '\0')
		abort();
}

static void check_identity(const struct identity *id)
{
	struct identity *copy = identity_copy(id);

	for (size_t i = 0; i < id->role_count; i++) {
		size_t len = strlen(copy->roles[i]);

		if (len == 0 || len > 63 || !identity_may_role(copy, id->roles[i]))
			abort();
	}
	for (size_t i = 0; i < id->database_count; i++) {
		if (!identity_may_database(copy, id->databases[i]))
			abort();
	}
	if (id->role_count == 0 && id->console == CONSOLE_NONE)
		abort();
	identity_free(copy);
}

static void look_up(const struct identity_rules *rules, const struct names *names)
{
	struct identity *id = NULL;
	struct errbuf why = { "" };
	enum err rc = identity_find(rules, names, &id, &why);

	if (rc == ERR_OK)
		check_identity(id);
	else if (rc != ERR_DENIED || id != NULL || why.text[0] == '\0')
		abort();
	identity_free(id);
}

static void view_all(const struct identity_rules *rules)
{
	struct identity_rule_view v;

	for (size_t i = 0; i < identity_rules_count(rules); i++) {
		identity_rules_view(rules, i, &v);
		if (strlen(v.label) == 0 || strlen(v.matcher) == 0)
			abort();
	}
}

static void feed(char *text, struct identity_rules *rules, struct names *names, struct report *rep)
{
	bool in_names = false;
	char *rest = text;
	char *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strcmp(line, "--") == 0)
			in_names = true;
		else if (in_names)
			add_name(names, line);
		else
			add_rule(rules, line, rep);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity_rules *rules = identity_rules_create();
	struct names *names = names_create();
	struct report *rep = report_create();
	char *text = strndup((const char *)data, size);

	feed(text, rules, names, rep);
	view_all(rules);
	look_up(rules, names);
	free(text);
	report_free(rep);
	names_free(names);
	identity_rules_free(rules);
	return 0;
}
