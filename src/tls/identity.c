#include "pgseal/tls/identity.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rule_priv.h"

/* What a hostile name may cost: far above what a sane pattern needs for NAMES_MAX bytes. */
#define MATCH_LIMIT 100000u
#define DEPTH_LIMIT 1000u

#define LABEL_BYTES_MAX 63u

struct identity_rules {
	struct rule *at;
	size_t count;
	bool present;                /* the section is there, with or without rows */
	pcre2_match_context *limits; /* never written after creation: shared by threads */
};

/* ------------------------------------------------------------------ the rules */

struct identity_rules *identity_rules_create(void)
{
	struct identity_rules *rules = calloc(1, sizeof *rules);

	if (rules == NULL)
		return NULL;
	rules->limits = pcre2_match_context_create(NULL);
	if (rules->limits == NULL) {
		free(rules);
		return NULL;
	}
	pcre2_set_match_limit(rules->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(rules->limits, DEPTH_LIMIT);
	return rules;
}

void identity_rules_free(struct identity_rules *rules)
{
	if (rules == NULL)
		return;
	for (size_t i = 0; i < rules->count; i++)
		rule_free(&rules->at[i]);
	free(rules->at);
	pcre2_match_context_free(rules->limits);
	free(rules);
}

void identity_rules_present(struct identity_rules *rules)
{
	rules->present = true;
}

static bool label_fits(const struct identity_rules *rules, const struct rule_site *site)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";
	size_t len = strlen(site->label);

	if (len == 0 || len > LABEL_BYTES_MAX || strspn(site->label, allowed) != len) {
		rule_fault(site, "a label is 1 to %u of A-Z a-z 0-9 _ . -", LABEL_BYTES_MAX);
		return false;
	}
	for (size_t i = 0; i < rules->count; i++) {
		if (strcmp(rules->at[i].label, site->label) == 0) {
			rule_fault(site, "the label stands there twice: choose another");
			return false;
		}
	}
	return true;
}

void identity_rules_add(struct identity_rules *rules, const char *label, const char *value,
                        struct place at, struct report *rep)
{
	struct rule_site site = { .label = label, .at = at, .rep = rep };
	struct rule rule = { 0 };
	struct rule *grown;
	size_t before = report_errors(rep);

	rules->present = true;
	if (label_fits(rules, &site) && (rule.label = strdup(label)) == NULL)
		rule_fault(&site, "out of memory");
	rule_parse(&rule, value, &site);
	if (report_errors(rep) > before) {
		rule_free(&rule);
		return;
	}
	grown = reallocarray(rules->at, rules->count + 1, sizeof *grown);
	if (grown == NULL) {
		rule_fault(&site, "out of memory");
		rule_free(&rule);
		return;
	}
	rules->at = grown;
	grown[rules->count++] = rule;
}

size_t identity_rules_count(const struct identity_rules *rules)
{
	return rules->count;
}

void identity_rules_view(const struct identity_rules *rules, size_t i,
                         struct identity_rule_view *out)
{
	const struct rule *rule = &rules->at[i];

	*out = (struct identity_rule_view){
		.label = rule->label,
		.type = name_type_word(rule->type),
		.matcher = rule->matcher,
		.roles = rule->roles.text != NULL ? rule->roles.text : "",
		.databases = rule->databases.text != NULL ? rule->databases.text : "",
		.console = rule->console,
		.max_clients = rule->max_clients,
		.max_active = rule->max_active,
		.replication = rule->replication,
	};
}

/* ------------------------------------------------------------------ matching */

/* One look-up. The match data is made when the first pattern needs it. */
struct search {
	const struct identity_rules *rules;
	const struct names *names;
	pcre2_match_data *groups;
	struct errbuf *why;
};

static enum err match_pattern(struct search *s, const struct rule *rule, const char *name)
{
	PCRE2_UCHAR text[128];
	int rc;

	if (s->groups == NULL)
		s->groups = pcre2_match_data_create(CAPTURES_MAX, NULL);
	if (s->groups == NULL)
		return err_set(s->why, ERR_NO_MEMORY, "out of memory");
	rc = pcre2_match(rule->pattern, (PCRE2_SPTR)name, strlen(name), 0, 0, s->groups,
	                 s->rules->limits);
	if (rc >= 0)
		return ERR_OK;
	if (rc == PCRE2_ERROR_NOMATCH)
		return ERR_NOT_FOUND;
	/* going on to the next rule could grant what this one was meant to withhold */
	pcre2_get_error_message(rc, text, sizeof text);
	return err_set(s->why, ERR_DENIED, "identity %s: the pattern gave up: %s", rule->label,
	               text);
}

/* ERR_OK: *name is the first value that fits; ERR_NOT_FOUND: none does. */
static enum err match_rule(struct search *s, const struct rule *rule, const char **name)
{
	size_t count = names_count(s->names, rule->type);

	for (size_t i = 0; i < count; i++) {
		const char *value = names_at(s->names, rule->type, i);
		enum err rc;

		if (rule->pattern != NULL)
			rc = match_pattern(s, rule, value);
		else
			rc = strcmp(rule->exact, value) == 0 ? ERR_OK : ERR_NOT_FOUND;
		if (rc == ERR_OK)
			*name = value;
		if (rc != ERR_NOT_FOUND)
			return rc;
	}
	return ERR_NOT_FOUND;
}

struct role_text {
	char s[ROLE_BYTES_MAX + 1];
};

/* The bytes that a byte of a role's template stands for: itself, or a capture. */
static struct bytes expand_byte(const struct search *s, const char *name, const char *byte)
{
	int n = rule_capture(*byte);
	const PCRE2_SIZE *ends;

	if (n < 0)
		return (struct bytes){ .at = (const uint8_t *)byte, .len = 1 };
	ends = pcre2_get_ovector_pointer(s->groups);
	/* a group that took no part, or one that \K turned inside out */
	if (ends[2 * n] == PCRE2_UNSET || ends[2 * n] > ends[2 * n + 1])
		return (struct bytes){ 0 };
	return (struct bytes){
		.at = (const uint8_t *)name + ends[2 * n],
		.len = ends[2 * n + 1] - ends[2 * n],
	};
}

/* Fill the captures into one role. An empty capture refuses, even among other bytes: "app_\1" must
 * not become "app_". */
static enum err expand_role(const struct search *s, const struct rule *rule, const char *name,
                            const char *template, struct role_text *out)
{
	bool captured = false;
	size_t len = 0;

	for (const char *p = template; *p != '\0'; p++) {
		struct bytes part = expand_byte(s, name, p);

		if (part.len == 0)
			return err_set(s->why, ERR_DENIED, "identity %s: \\%d captured nothing",
			               rule->label, rule_capture(*p));
		if (part.len > ROLE_BYTES_MAX - len)
			return err_set(s->why, ERR_DENIED,
			               "identity %s: the captured role is longer than %u bytes",
			               rule->label, ROLE_BYTES_MAX);
		memcpy(out->s + len, part.at, part.len);
		len += part.len;
		captured |= rule_capture(*p) >= 0;
	}
	out->s[len] = '\0';
	/* only the operator may say "any role", never a certificate */
	if (captured && strcmp(out->s, "*") == 0)
		return err_set(s->why, ERR_DENIED, "identity %s: the captured role is *",
		               rule->label);
	return ERR_OK;
}

static enum err expand_roles(const struct search *s, const struct rule *rule, const char *name,
                             struct role_text *texts, const char **roles)
{
	for (size_t i = 0; i < rule->roles.count; i++) {
		enum err rc = expand_role(s, rule, name, rule->roles.at[i], &texts[i]);

		if (rc != ERR_OK)
			return rc;
		roles[i] = texts[i].s;
	}
	return ERR_OK;
}

static enum err finish(struct identity *draft, struct identity **out, struct errbuf *why)
{
	struct identity *id = identity_copy(draft);

	if (id == NULL)
		return err_set(why, ERR_NO_MEMORY, "out of memory");
	*out = id;
	return ERR_OK;
}

static enum err from_rule(const struct search *s, const struct rule *rule, const char *name,
                          struct identity **out)
{
	size_t count = rule->roles.count;
	struct role_text *texts = calloc(count + 1, sizeof *texts);
	const char **roles = calloc(count + 1, sizeof *roles);
	struct identity draft = {
		.label = rule->label,
		.name = name,
		.type = rule->type,
		.serial = names_serial(s->names),
		.not_after = names_not_after(s->names),
		.console = rule->console,
		.max_clients = rule->max_clients,
		.max_active = rule->max_active,
		.replication = rule->replication,
		.share_rule = rule->share_rule,
		.rule = (size_t)(rule - s->rules->at),
		.role_count = count,
		.roles = roles,
		.database_count = rule->databases.count,
		.databases = (const char *const *)rule->databases.at,
	};
	enum err rc = ERR_NO_MEMORY;

	if (texts == NULL || roles == NULL)
		rc = err_set(s->why, ERR_NO_MEMORY, "out of memory");
	else
		rc = expand_roles(s, rule, name, texts, roles);
	if (rc == ERR_OK)
		rc = finish(&draft, out, s->why);
	free(roles);
	free(texts);
	return rc;
}

/* No section: the CN is the role. */
static enum err from_cn(const struct search *s, struct identity **out)
{
	struct identity draft = {
		.type = NAME_CN,
		.serial = names_serial(s->names),
		.not_after = names_not_after(s->names),
		.rule = SIZE_MAX,
		.role_count = 1,
		.roles = &draft.name,
	};

	if (names_count(s->names, NAME_CN) == 0)
		return err_set(s->why, ERR_DENIED, "the certificate has no CN");
	draft.name = draft.label = names_at(s->names, NAME_CN, 0);
	if (strlen(draft.name) > ROLE_BYTES_MAX)
		return err_set(s->why, ERR_DENIED, "the CN is longer than a role's %u bytes",
		               ROLE_BYTES_MAX);
	if (strcmp(draft.name, "*") == 0)
		return err_set(s->why, ERR_DENIED, "the CN is *");
	return finish(&draft, out, s->why);
}

static enum err find_rule(struct search *s, struct identity **out)
{
	for (size_t i = 0; i < s->rules->count; i++) {
		const struct rule *rule = &s->rules->at[i];
		const char *name = NULL;
		enum err rc = match_rule(s, rule, &name);

		if (rc == ERR_OK)
			return from_rule(s, rule, name, out);
		if (rc != ERR_NOT_FOUND)
			return rc;
	}
	return err_set(s->why, ERR_DENIED, "no identity rule matches the certificate");
}

enum err identity_find(const struct identity_rules *rules, const struct names *names,
                       struct identity **out, struct errbuf *why)
{
	struct search s = { .rules = rules, .names = names, .why = why };
	enum err rc;

	if (!rules->present)
		return from_cn(&s, out);
	rc = find_rule(&s, out);
	pcre2_match_data_free(s.groups);
	return rc;
}

/* ------------------------------------------------------------------ the identity */

static size_t list_bytes(const char *const *list, size_t count)
{
	size_t n = count * sizeof *list;

	for (size_t i = 0; i < count; i++)
		n += strlen(list[i]) + 1;
	return n;
}

/* Copy s to *to and move *to behind it. */
static const char *place_text(char **to, const char *s)
{
	char *at = *to;
	size_t n = strlen(s) + 1;

	memcpy(at, s, n);
	*to += n;
	return at;
}

static void place_list(const char **slots, char **to, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		slots[i] = place_text(to, list[i]);
}

/* One block: the struct, the pointers of both lists, then all texts. */
struct identity *identity_copy(const struct identity *id)
{
	size_t size = sizeof *id + list_bytes(id->roles, id->role_count) +
	              list_bytes(id->databases, id->database_count) + strlen(id->label) + 1 +
	              strlen(id->name) + 1 + strlen(id->serial) + 1;
	struct identity *copy = malloc(size);
	const char **slots;
	char *texts;

	if (copy == NULL)
		return NULL;
	*copy = *id;
	slots = (const char **)(copy + 1);
	texts = (char *)(slots + id->role_count + id->database_count);
	copy->roles = slots;
	copy->databases = slots + id->role_count;
	place_list(slots, &texts, id->roles, id->role_count);
	place_list(slots + id->role_count, &texts, id->databases, id->database_count);
	copy->label = place_text(&texts, id->label);
	copy->name = place_text(&texts, id->name);
	copy->serial = place_text(&texts, id->serial);
	return copy;
}

void identity_free(struct identity *id)
{
	free(id);
}

static bool holds(const char *const *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i], name) == 0)
			return true;
	}
	return false;
}

bool identity_may_role(const struct identity *id, const char *role)
{
	if (id->role_count == 1 && strcmp(id->roles[0], "*") == 0)
		return true;
	return holds(id->roles, id->role_count, role);
}

bool identity_may_database(const struct identity *id, const char *database)
{
	return id->database_count == 0 || holds(id->databases, id->database_count, database);
}
