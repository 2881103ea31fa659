/* Identity rules: which certificate is whom, and what that one may do.
 *
 * [identities] label = type:value attributes...; the first rule that matches wins. The value is exact,
 * or /pattern/ (PCRE2, anchored at both ends, UTF, with match limits); it may be quoted with "..." when
 * it holds blanks. Attributes: roles=a,b  databases=x,y  console=admin|stats
 * max_clients=n  max_active=n  replication=yes|no  share=rule|name;
 * in roles= a backslash and digit stand for the pattern's capture; "*" alone allows any role. No
 * databases= means every database. A rule that grants neither roles nor console is an error.
 * Without any rules: the subject's only CN is the role, on every database, no console, no replication. */
#ifndef PGSEAL_TLS_IDENTITY_H
#define PGSEAL_TLS_IDENTITY_H

#include <stdbool.h>

#include "pgseal/base/report.h"
#include "pgseal/tls/names.h"

enum console_right { CONSOLE_NONE, CONSOLE_STATS, CONSOLE_ADMIN };

struct identity_rules;

/* NULL without memory. Starts as "no section". */
struct identity_rules *identity_rules_create(void);
void identity_rules_free(struct identity_rules *rules);
/* Add one row of the section; findings go to rep. Labels must be unique and of [A-Za-z0-9_.-]. */
void identity_rules_add(struct identity_rules *rules, const char *label, const char *value,
                        struct place at, struct report *rep);
/* A section with no rows lets nobody in: say that the section was there. */
void identity_rules_present(struct identity_rules *rules);

size_t identity_rules_count(const struct identity_rules *rules);
/* For SHOW IDENTITIES; texts borrowed from the rules. */
struct identity_rule_view {
	const char *label;
	const char *type;    /* "cn", ... */
	const char *matcher; /* as written, without the type */
	const char *roles;   /* as written; "" none */
	const char *databases;
	enum console_right console;
	int64_t max_clients, max_active; /* 0: no limit */
	bool replication;
};
void identity_rules_view(const struct identity_rules *rules, size_t i,
                         struct identity_rule_view *out);

/* Who a certificate is: compact, immutable, one allocation, owned by the caller. */
struct identity {
	const char *label;  /* rule's label; the CN when there are no rules */
	const char *name;   /* the certificate name that matched */
	enum name_type type;
	const char *serial;
	int64_t not_after;  /* seconds since the epoch */
	enum console_right console;
	int64_t max_clients; /* its sessions at once; 0: no limit */
	int64_t max_active;  /* of these, how many may use the pool at once; 0: no limit */
	bool replication;    /* it may ask for replication connections, which read everything */
	bool share_rule;     /* all names that the rule matches count as one identity between clients */
	size_t rule;        /* index; SIZE_MAX: no section */
	size_t role_count;
	const char *const *roles;     /* captures filled in */
	size_t database_count;        /* 0: every database */
	const char *const *databases;
};

/* ERR_DENIED with *why (for the log, never for the client): no rule matches, no CN, a pattern over its
 * limits, a capture that gives an empty role or one longer than 63 bytes. */
enum err identity_find(const struct identity_rules *rules, const struct names *names,
                       struct identity **out, struct errbuf *why) MUST_CHECK;
void identity_free(struct identity *id);
struct identity *identity_copy(const struct identity *id); /* NULL without memory */

bool identity_may_role(const struct identity *id, const char *role);
bool identity_may_database(const struct identity *id, const char *database);

#endif
