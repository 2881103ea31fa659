/* The attributes of an identity rule, and the rule as a whole. */
#include "rule_priv.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/bytes.h"
#include "text_priv.h"

#define LIMIT_MAX 1000000

void rule_fault(const struct rule_site *site, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	report_error(site->rep, site->at, "identity %s: %s", quote_str(site->label).s, text);
}

int rule_capture(char c)
{
	int n = c - CAPTURE_BYTE(0);

	return n >= 0 && n < (int)CAPTURES_MAX ? n : -1;
}

/* One item of a list while it is read. */
struct item_reader {
	const char *word; /* attribute, for findings */
	const char *at;
	bool captures; /* \N allowed */
	char *out;
	size_t len;
};

static bool take_backslash(struct item_reader *r, const struct rule_site *site)
{
	char c = r->at[1];

	if (c == '\\' || c == '"' || c == ',') {
		r->out[r->len++] = c;
	} else if (isdigit((unsigned char)c) && r->captures) {
		r->out[r->len++] = CAPTURE_BYTE(c - '0');
	} else {
		rule_fault(site,
		           isdigit((unsigned char)c) && c != '\0'
		                   ? "%s= takes no captures, only roles= does; write \\\\ for a "
		                     "backslash"
		                   : "%s=: a backslash stands before a capture's digit, \\, \" or "
		                     "a comma; write \\\\ for a backslash",
		           r->word);
		return false;
	}
	r->at += 2;
	return true;
}

/* Read up to an unquoted comma or the end. Control bytes are refused here, which leaves
 * CAPTURE_BYTE unambiguous. */
static bool read_item(struct item_reader *r, const struct rule_site *site)
{
	bool quoted = *r->at == '"';

	r->at += quoted;
	while (*r->at != '\0' && (quoted ? *r->at != '"' : *r->at != ',')) {
		if (*r->at == '\\') {
			if (!take_backslash(r, site))
				return false;
			continue;
		}
		if ((unsigned char)*r->at < 0x20 || *r->at == '"') {
			rule_fault(site,
			           "%s=: a control byte or a quote within a name; write \\\" for a "
			           "quote that belongs to it",
			           r->word);
			return false;
		}
		r->out[r->len++] = *r->at++;
	}
	if (quoted)
		r->at += *r->at == '"';
	if (*r->at != '\0' && *r->at != ',') {
		rule_fault(site, "%s=: write a comma behind a closing quote", r->word);
		return false;
	}
	r->out[r->len] = '\0';
	return true;
}

static bool item_fits(const struct item_reader *r, const struct rule_site *site)
{
	struct bytes text = { .at = (const uint8_t *)r->out, .len = r->len };
	size_t captures = 0;

	for (size_t i = 0; i < r->len; i++)
		captures += rule_capture(r->out[i]) >= 0;
	if (r->len == 0)
		rule_fault(site, "%s= has an empty name: write %s=a,b", r->word, r->word);
	else if (r->len - captures > ROLE_BYTES_MAX)
		rule_fault(site, "%s=: \"%s\" is longer than PostgreSQL's %u bytes", r->word,
		           quote(text).s, ROLE_BYTES_MAX);
	else if (!utf8_valid(text) || memchr(r->out, 0x7f, r->len) != NULL)
		rule_fault(site, "%s=: \"%s\" is not a clean UTF-8 text", r->word, quote(text).s);
	else
		return true;
	return false;
}

static bool keep_item(struct items *items, const char *text, const struct rule_site *site)
{
	char **grown = reallocarray(items->at, items->count + 1, sizeof *grown);
	char *copy = strdup(text);

	if (grown != NULL)
		items->at = grown;
	if (grown == NULL || copy == NULL) {
		free(copy);
		rule_fault(site, "out of memory");
		return false;
	}
	items->at[items->count++] = copy;
	return true;
}

static void check_star(const struct items *items, const char *word, const struct rule_site *site)
{
	for (size_t i = 0; i < items->count && items->count > 1; i++) {
		if (strcmp(items->at[i], "*") == 0) {
			rule_fault(site, "%s=: * stands for all and must stand alone", word);
			return;
		}
	}
}

static void read_items(struct items *items, struct item_reader *r, const struct rule_site *site)
{
	for (;;) {
		r->len = 0;
		if (!read_item(r, site) || !item_fits(r, site) || !keep_item(items, r->out, site))
			return;
		if (*r->at == '\0')
			break;
		r->at++;
	}
	check_star(items, r->word, site);
}

static void parse_items(struct items *items, const char *word, const char *value, bool captures,
                        const struct rule_site *site)
{
	struct item_reader r = { .word = word, .at = value, .captures = captures };

	items->text = strdup(value);
	r.out = malloc(strlen(value) + 1);
	if (items->text == NULL || r.out == NULL)
		rule_fault(site, "out of memory");
	else
		read_items(items, &r, site);
	free(r.out);
}

static void free_items(struct items *items)
{
	for (size_t i = 0; i < items->count; i++)
		free(items->at[i]);
	free(items->at);
	free(items->text);
	*items = (struct items){ 0 };
}

static void set_roles(struct rule *rule, const char *value, const struct rule_site *site)
{
	parse_items(&rule->roles, "roles", value, true, site);
}

/* "*" says in so many words what leaving the attribute out says too: no list is kept. */
static void set_databases(struct rule *rule, const char *value, const struct rule_site *site)
{
	struct items *items = &rule->databases;

	parse_items(items, "databases", value, false, site);
	if (items->count == 1 && strcmp(items->at[0], "*") == 0)
		free(items->at[--items->count]);
}

static void set_console(struct rule *rule, const char *value, const struct rule_site *site)
{
	if (strcmp(value, "admin") == 0)
		rule->console = CONSOLE_ADMIN;
	else if (strcmp(value, "stats") == 0)
		rule->console = CONSOLE_STATS;
	else
		rule_fault(site, "console=%s: write console=admin or console=stats",
		           quote_str(value).s);
}

static void set_limit(int64_t *limit, const char *word, const char *value,
                      const struct rule_site *site)
{
	if (parse_int(value, 1, LIMIT_MAX, limit) != ERR_OK)
		rule_fault(site, "%s=%s: a whole number from 1 to %d is needed", word,
		           quote_str(value).s, LIMIT_MAX);
}

static void set_max_clients(struct rule *rule, const char *value, const struct rule_site *site)
{
	set_limit(&rule->max_clients, "max_clients", value, site);
}

static void set_max_active(struct rule *rule, const char *value, const struct rule_site *site)
{
	set_limit(&rule->max_active, "max_active", value, site);
}

static void set_replication(struct rule *rule, const char *value, const struct rule_site *site)
{
	if (strcmp(value, "yes") == 0)
		rule->replication = true;
	else if (strcmp(value, "no") != 0)
		rule_fault(site, "replication=%s: write replication=yes or replication=no",
		           quote_str(value).s);
}

static void set_share(struct rule *rule, const char *value, const struct rule_site *site)
{
	if (strcmp(value, "rule") == 0)
		rule->share_rule = true;
	else if (strcmp(value, "name") != 0)
		rule_fault(site, "share=%s: write share=rule or share=name", quote_str(value).s);
}

static const struct attribute {
	const char *word;
	void (*set)(struct rule *rule, const char *value, const struct rule_site *site);
} attributes[] = {
	{ "roles", set_roles },           { "databases", set_databases },
	{ "console", set_console },       { "max_clients", set_max_clients },
	{ "max_active", set_max_active }, { "replication", set_replication },
	{ "share", set_share },
};
#define ATTRIBUTES (sizeof attributes / sizeof attributes[0])

static void set_attribute(struct rule *rule, const char *word, const char *value, bool seen[],
                          const struct rule_site *site)
{
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		if (strcmp(attributes[i].word, word) != 0)
			continue;
		if (seen[i])
			rule_fault(site, "%s= stands there twice: write one list", word);
		else
			attributes[i].set(rule, value, site);
		seen[i] = true;
		return;
	}
	rule_fault(site,
	           "\"%s\" is no attribute: write roles=, databases=, console=, max_clients=, "
	           "max_active=, replication= or share=",
	           quote_str(word).s);
}

/* Bytes up to a blank outside quotes. A value whose quote never closes has no end. */
static bool attribute_length(const char *at, size_t *out)
{
	bool quoted = false;
	size_t n = 0;

	for (; at[n] != '\0' && (quoted || !rule_blank(at[n])); n++) {
		if (at[n] == '\\' && at[n + 1] != '\0')
			n++;
		else if (at[n] == '"')
			quoted = !quoted;
	}
	*out = n;
	return !quoted;
}

/* text is one attribute, a copy that may be cut up. */
static void parse_attribute(struct rule *rule, char *text, bool seen[],
                            const struct rule_site *site)
{
	char *equals = strchr(text, '=');

	if (equals == NULL) {
		rule_fault(site,
		           "\"%s\" is not attribute=value: quote a text that holds blanks, "
		           "and write no blanks around = or commas",
		           quote_str(text).s);
		return;
	}
	*equals = '\0';
	set_attribute(rule, text, equals + 1, seen, site);
}

static void parse_attributes(struct rule *rule, const char *at, const struct rule_site *site)
{
	bool seen[ATTRIBUTES] = { false };
	char *text;
	size_t n;

	for (; *at != '\0'; at += n) {
		while (rule_blank(*at))
			at++;
		if (!attribute_length(at, &n)) {
			rule_fault(site, "\"%s\" has no closing quote", quote_str(at).s);
			return;
		}
		if (n == 0)
			return;
		text = strndup(at, n);
		if (text == NULL) {
			rule_fault(site, "out of memory");
			return;
		}
		parse_attribute(rule, text, seen, site);
		free(text);
	}
}

/* Every \N must be a group of the pattern, or the role would be empty for ever. */
static void check_captures(const struct rule *rule, const struct rule_site *site)
{
	uint32_t groups = 0;
	int highest = -1;

	for (size_t i = 0; i < rule->roles.count; i++) {
		for (const char *p = rule->roles.at[i]; *p != '\0'; p++)
			highest = rule_capture(*p) > highest ? rule_capture(*p) : highest;
	}
	if (highest < 0)
		return;
	if (rule->pattern == NULL) {
		rule_fault(site, "roles= holds \\%d but there is no /pattern/ to capture it",
		           highest);
		return;
	}
	pcre2_pattern_info(rule->pattern, PCRE2_INFO_CAPTURECOUNT, &groups);
	if ((uint32_t)highest > groups)
		rule_fault(site, "roles= holds \\%d but the pattern has %u capture groups", highest,
		           groups);
}

void rule_parse(struct rule *rule, const char *value, const struct rule_site *site)
{
	size_t before = report_errors(site->rep);
	const char *at = value;

	if (!rule_parse_matcher(rule, &at, site))
		return;
	parse_attributes(rule, at, site);
	if (report_errors(site->rep) > before)
		return;
	check_captures(rule, site);
	if (rule->roles.count == 0 && rule->console == CONSOLE_NONE)
		rule_fault(site, "the rule grants nothing: add roles=name or console=stats");
}

void rule_free(struct rule *rule)
{
	free(rule->label);
	free(rule->matcher);
	free(rule->exact);
	pcre2_code_free(rule->pattern);
	free_items(&rule->roles);
	free_items(&rule->databases);
}
