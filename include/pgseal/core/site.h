/* The configuration in force: one immutable snapshot, built and checked as a whole.
 *
 * A reload builds a new one and, when nothing is wrong with it, sends it to every thread; each lets go
 * of the old one when its turn comes. */
#ifndef PGSEAL_CORE_SITE_H
#define PGSEAL_CORE_SITE_H

#include <stdatomic.h>

#include "pgseal/base/mailbox.h"
#include "pgseal/base/report.h"
#include "pgseal/base/settings.h"
#include "pgseal/core/database.h"
#include "pgseal/core/user.h"
#include "pgseal/tls/context.h"
#include "pgseal/tls/identity.h"

struct ini;

struct site {
	atomic_uint refs;
	char *path;
	struct ini *text;            /* a reference: what was read */
	struct settings settings;
	SSL_CTX *client_tls;
	struct identity_rules *rules;
	struct database **databases; /* in file order, the fallback among them */
	size_t database_count;
	struct database *fallback;   /* the "*" entry, or NULL; borrowed from databases */
	struct user *users;          /* uthash by name, in file order */
	struct tls_files tls_files;
};

/* Read, parse and check everything. Every finding goes to rep; *out is written only without errors.
 * ERR_CONFIG, ERR_NO_MEMORY. Control thread. */
enum err site_load(const char *path, struct report *rep, struct site **out) MUST_CHECK;
/* The same configuration but for one setting, checked as a whole: settings are those of `old`,
 * databases, users and identities what had been read for it. Certificate files are read anew only
 * for a setting about TLS. Findings and errors as above, ERR_CONFIG for a value that is refused
 * too. Control thread. */
enum err site_change(const struct site *old, const struct setting *row, const char *value,
                     struct report *rep, struct site **out) MUST_CHECK;
struct site *site_hold(struct site *site);
void site_release(struct site *site); /* NULL is fine */
/* A letter that brings a new reference to another thread: follow(owner of the mailbox, site) takes it
 * over there. NULL: out of memory. */
struct letter *site_letter(struct site *site, void (*follow)(void *owner, struct site *site));

/* The entry of that name, or the fallback, or NULL. Borrowed from the site. */
struct database *site_database(const struct site *site, const char *name);
/* The entry of [users] for a role, or NULL. Borrowed from the site. */
struct user *site_user(const struct site *site, const char *role);
/* Is that database the console? No entry may have such a name. */
bool site_is_console(const char *name);
/* Is name in a comma-separated list, case ignored (parameter names)? */
bool site_list_has(const char *list, const char *name);

#endif
