/* One identity rule, parsed. Private to the tls floor. */
#ifndef PGSEAL_TLS_RULE_PRIV_H
#define PGSEAL_TLS_RULE_PRIV_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <stddef.h>

#include "pgseal/base/report.h"
#include "pgseal/tls/identity.h"

#define ROLE_BYTES_MAX 63u /* PostgreSQL's NAMEDATALEN - 1 */
#define CAPTURES_MAX 10u   /* \0 (the whole name) to \9 */

/* Comma list of names. In a role, the byte CAPTURE_BYTE(n) stands for \n: no name may hold control
 * bytes, so it means nothing else. */
#define CAPTURE_BYTE(n) ((char)(1 + (n)))
struct items {
	char **at;
	size_t count;
	char *text; /* as written; NULL: the attribute is not there */
};

struct rule {
	char *label;
	enum name_type type;
	char *matcher; /* as written, without the type */
	char *exact;   /* what the name must be; NULL with a pattern */
	pcre2_code *pattern;
	struct items roles;
	struct items databases; /* count 0: every database */
	enum console_right console;
	int64_t max_clients, max_active;
	bool replication;
	bool share_rule;
};

/* Where findings about one rule go. */
struct rule_site {
	const char *label;
	struct place at;
	struct report *rep;
};
void rule_fault(const struct rule_site *site, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Parse the value of one row into *rule (zeroed before). Findings go to site->rep; with errors the
 * rule is unfit for use but may be freed. */
void rule_parse(struct rule *rule, const char *value, const struct rule_site *site);
void rule_free(struct rule *rule);

/* The number of the capture that c stands for, -1 when it is an ordinary byte. */
int rule_capture(char c);

/* The matcher half, split off for size. Parses "type:matcher" and leaves *at behind it; false
 * when it could not tell where the matcher ends. */
bool rule_parse_matcher(struct rule *rule, const char **at, const struct rule_site *site);

bool rule_blank(char c);

#endif
