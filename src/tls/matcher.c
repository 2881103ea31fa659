/* type:exact, type:"exact", type:/pattern/ */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "dn_priv.h"
#include "names_priv.h"
#include "pgseal/base/bytes.h"
#include "rule_priv.h"
#include "text_priv.h"

#define DIGEST_DIGITS 64u

static const char type_list[] = "cn, dn, dns, uri, email, sha256, spki";

bool rule_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *at)
{
	while (rule_blank(*at))
		at++;
	return at;
}

/* Does the rule's value end here, or go on with " attribute=..."? */
static bool ends_matcher(const char *at)
{
	const char *next = skip_blanks(at);
	const char *end = next;

	if (*next == '\0')
		return true;
	while (*end == '_' || islower((unsigned char)*end))
		end++;
	return next > at && end > next && *end == '=';
}

/* The slash that closes a pattern: the first that is not escaped and has nothing or an attribute
 * behind it, so that slashes within patterns, and in attributes, need no escape. Else the last
 * one, so that the fault is found in what follows. NULL when there is none. */
static const char *pattern_end(const char *at)
{
	const char *last = NULL;

	for (; *at != '\0'; at++) {
		if (*at == '\\' && at[1] != '\0') {
			at++;
		} else if (*at == '/') {
			if (ends_matcher(at + 1))
				return at;
			last = at;
		}
	}
	return last;
}

static void compile(struct rule *rule, const char *pattern, size_t len,
                    const struct rule_site *site)
{
	const uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED |
	                         PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
	PCRE2_UCHAR text[128];
	PCRE2_SIZE offset;
	int code;

	if (len == 0) {
		rule_fault(site, "the pattern // is empty");
		return;
	}
	rule->pattern = pcre2_compile((PCRE2_SPTR)pattern, len, options, &code, &offset, NULL);
	if (rule->pattern != NULL)
		return;
	pcre2_get_error_message(code, text, sizeof text);
	rule_fault(site, "the pattern is malformed at byte %zu of /%s/: %s", offset,
	           quote((struct bytes){ .at = (const uint8_t *)pattern, .len = len }).s, text);
}

static bool parse_pattern(struct rule *rule, const char **at, const struct rule_site *site)
{
	const char *start = *at + 1;
	const char *end = pattern_end(start);

	if (end == NULL) {
		rule_fault(site, "the pattern has no closing slash: write %s:/pattern/",
		           name_type_word(rule->type));
		return false;
	}
	*at = end + 1;
	if (**at != '\0' && !rule_blank(**at)) {
		rule_fault(site,
		           "\"%s\" follows the pattern's closing slash: put a blank there, or "
		           "write \\/ for a slash that belongs to the pattern",
		           quote_str(*at).s);
		return false;
	}
	if (rule->type == NAME_SHA256 || rule->type == NAME_SPKI)
		rule_fault(site, "%s takes no pattern: write its 64 hex digits",
		           name_type_word(rule->type));
	else
		compile(rule, start, (size_t)(end - start), site);
	return true;
}

/* "text" with \" and \\; other backslashes stand for themselves, as a dn is full of them. */
static bool parse_quoted(struct rule *rule, const char **at, const struct rule_site *site)
{
	const char *p = *at + 1;
	char *out = malloc(strlen(p) + 1);
	size_t n = 0;

	if (out == NULL) {
		rule_fault(site, "out of memory");
		return false;
	}
	for (; *p != '\0' && *p != '"'; p++) {
		if (p[0] == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		out[n++] = *p;
	}
	out[n] = '\0';
	rule->exact = out;
	if (*p != '"') {
		rule_fault(site, "the quoted text has no closing \": write %s:\"text\"",
		           name_type_word(rule->type));
		return false;
	}
	*at = p + 1;
	if (**at == '\0' || rule_blank(**at))
		return true;
	rule_fault(site,
	           "\"%s\" follows the closing quote: put a blank there, or write \\\" for a "
	           "quote that belongs to the text",
	           quote_str(*at).s);
	return false;
}

static bool parse_bare(struct rule *rule, const char **at, const struct rule_site *site)
{
	size_t n = 0;

	while ((*at)[n] != '\0' && !rule_blank((*at)[n]))
		n++;
	rule->exact = strndup(*at, n);
	if (rule->exact == NULL) {
		rule_fault(site, "out of memory");
		return false;
	}
	*at += n;
	return true;
}

/* Lower-case hex without colons; false when it is not a SHA-256. */
static bool canonical_digest(char *text)
{
	size_t n = 0;

	for (const char *p = text; *p != '\0'; p++) {
		if (*p == ':')
			continue;
		if (!isxdigit((unsigned char)*p) || n == DIGEST_DIGITS)
			return false;
		text[n++] = (char)tolower((unsigned char)*p);
	}
	text[n] = '\0';
	return n == DIGEST_DIGITS;
}

/* A matcher that no certificate can ever fit is a mistake: say so now. */
static void check_exact(struct rule *rule, const struct rule_site *site)
{
	const char *word = name_type_word(rule->type);
	struct errbuf why;

	if (rule->exact[0] == '\0') {
		rule_fault(site, "nothing stands behind %s:", word);
		return;
	}
	if (rule->type == NAME_SHA256 || rule->type == NAME_SPKI) {
		if (!canonical_digest(rule->exact))
			rule_fault(site, "%s needs the 64 hex digits of a SHA-256, colons allowed",
			           word);
		return;
	}
	if (text_check(bytes_of(rule->exact), "the text to match", &why) != ERR_OK ||
	    (rule->type == NAME_DN && dn_check(rule->exact, &why) != ERR_OK))
		rule_fault(site, "%s can never match: %s", word, why.text);
}

static bool parse_type(struct rule *rule, const char **at, const struct rule_site *site)
{
	size_t n = strcspn(*at, ": \t\r\n=");

	if ((*at)[n] != ':') {
		rule_fault(site,
		           "the rule must begin with type:value, such as cn:alice; types are %s",
		           type_list);
		return false;
	}
	if (!name_type_find(*at, n, &rule->type)) {
		rule_fault(site, "\"%s\" is no type of name: write one of %s",
		           quote((struct bytes){ .at = (const uint8_t *)*at, .len = n }).s,
		           type_list);
		return false;
	}
	*at += n + 1;
	return true;
}

bool rule_parse_matcher(struct rule *rule, const char **at, const struct rule_site *site)
{
	const char *start;
	bool ended;

	*at = skip_blanks(*at);
	if (!parse_type(rule, at, site))
		return false;
	start = *at;
	if (*start == '/')
		ended = parse_pattern(rule, at, site);
	else
		ended = *start == '"' ? parse_quoted(rule, at, site) : parse_bare(rule, at, site);
	if (!ended)
		return false;
	rule->matcher = strndup(start, (size_t)(*at - start));
	if (rule->matcher == NULL)
		rule_fault(site, "out of memory");
	if (rule->exact != NULL)
		check_exact(rule, site);
	return true;
}
