#include "pgseal/core/site.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pgseal/base/endpoint.h"
#include "pgseal/base/ini.h"
#include "pgseal/tls/memory.h"

struct build {
	struct site *site;
	struct report *rep;
	unsigned long failures; /* tls_memory_failures() at the beginning */
};

static enum err check_endpoints(const char *value, struct errbuf *why)
{
	struct endpoints ignored;

	return endpoints_parse(value, &ignored, why);
}

/* Texts whose form is checked here, because a row of the settings table cannot tell it. */
static const struct {
	const char *setting;
	enum err (*check)(const char *value, struct errbuf *why);
} forms[] = {
	{ "metrics_listen", check_endpoints },
};

static void check_form(struct build *b, const struct ini_entry *e)
{
	struct errbuf why;
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (strcmp(forms[i].setting, e->key) == 0 &&
		    forms[i].check(e->value, &why) != ERR_OK)
			report_error(b->rep, e->at, "%s: %s", e->key, why.text);
}

static void read_setting(struct build *b, const struct ini_entry *e)
{
	const struct setting *row = settings_find(e->key);
	struct errbuf why;
	const char *remedy;
	bool accepted;

	if (row != NULL) {
		if (settings_set(&b->site->settings, row, e->value, &why) != ERR_OK)
			report_error(b->rep, e->at, "%s", why.text);
		check_form(b, e);
		return;
	}
	remedy = settings_foreign(e->key, &accepted);
	if (remedy == NULL)
		report_error(b->rep, e->at, "unknown setting \"%s\"; pgseal.ini(5) lists them all",
		             e->key);
	else if (accepted)
		report_notice(b->rep, e->at, "%s: %s", e->key, remedy);
	else
		report_error(b->rep, e->at, "%s: %s", e->key, remedy);
}

static void read_identity(struct build *b, const struct ini_entry *e)
{
	identity_rules_add(b->site->rules, e->key, e->value, e->at, b->rep);
}

bool site_is_console(const char *name)
{
	return strcmp(name, "pgseal") == 0 || strcmp(name, "pgbouncer") == 0;
}

static void read_database(struct build *b, const struct ini_entry *e)
{
	struct site *site = b->site;
	struct database **more, *db;
	size_t i;

	if (site_is_console(e->key)) {
		report_error(b->rep, e->at,
		             "database \"%s\": the name is the console's; choose another and "
		             "set dbname=%s",
		             e->key, e->key);
		return;
	}
	for (i = 0; i < site->database_count; i++)
		if (strcmp(site->databases[i]->name, e->key) == 0) {
			report_error(b->rep, e->at, "database \"%s\" is there already, on line %d",
			             e->key, site->databases[i]->at.line);
			return;
		}
	if ((db = database_parse(e->key, e->value, e->at, &site->settings, b->rep)) == NULL)
		return;
	more = realloc(site->databases, (site->database_count + 1) * sizeof(*more));
	if (more == NULL) {
		report_error(b->rep, e->at, "out of memory");
		database_release(db);
		return;
	}
	site->databases = more;
	site->databases[site->database_count++] = db;
	if (strcmp(e->key, "*") == 0)
		site->fallback = db;
}

static void read_user(struct build *b, const struct ini_entry *e)
{
	struct user *u = site_user(b->site, e->key);

	if (u != NULL) {
		report_error(b->rep, e->at, "user \"%s\" is there already, on line %d", e->key,
		             u->at.line);
	} else if (strcmp(e->key, "*") == 0) {
		report_error(b->rep, e->at,
		             "user \"*\": there is no entry for all others; set it in [pgseal] or "
		             "[databases]");
	} else if ((u = user_parse(e->key, e->value, e->at, b->rep)) != NULL) {
		HASH_ADD_KEYPTR(hh, b->site->users, u->name, strlen(u->name), u);
		if (!HASH_HAS(u)) {
			report_error(b->rep, e->at, "out of memory");
			user_release(u);
		}
	}
}

/* Sections in the order in which they must be read: settings are defaults for the rest. */
static const struct {
	const char *name, *alias;
	void (*read)(struct build *b, const struct ini_entry *e);
} sections[] = {
	{ "pgseal", "pgbouncer", read_setting },
	{ "databases", "databases", read_database },
	{ "users", "users", read_user },
	{ "identities", "identities", read_identity },
};
#define SECTION_DATABASES 1
#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

static size_t section_index(const char *name)
{
	size_t i;

	for (i = 0; i < SECTIONS; i++)
		if (strcmp(name, sections[i].name) == 0 || strcmp(name, sections[i].alias) == 0)
			break;
	return i;
}

/* All sections from that one on. */
static void read_sections(struct build *b, const struct ini *ini, size_t first)
{
	const struct ini_entry *e;
	size_t i, k;

	for (k = first; k < SECTIONS; k++)
		for (i = 0; i < ini_count(ini); i++)
			if (section_index((e = ini_at(ini, i))->section) == k)
				sections[k].read(b, e);
}

static void refuse_unknown_sections(struct build *b, const struct ini *ini)
{
	const struct ini_entry *e;
	const char *unknown = NULL;
	size_t i;

	for (i = 0; i < ini_count(ini); i++) {
		e = ini_at(ini, i);
		if (section_index(e->section) < SECTIONS ||
		    (unknown && strcmp(unknown, e->section) == 0))
			continue;
		unknown = e->section;
		if (unknown[0] == '\0')
			report_error(b->rep, e->at,
			             "\"%s\" stands before the first section; write [pgseal] "
			             "above it",
			             e->key);
		else
			report_error(b->rep, e->at,
			             "unknown section [%s]; there are [pgseal], [databases], "
			             "[users] and [identities]",
			             unknown);
	}
}

/* The files and values that databases name for the server leg. */
static void check_server_files(struct build *b)
{
	struct site *site = b->site;
	const struct settings *s = &site->settings;
	struct place nowhere = { site->path, 0 };
	const struct database *db;
	const char *ca, *cert, *key;
	size_t i;

	tls_check_server_files(s->server_tls_ca_file, s->server_tls_cert_file,
	                       s->server_tls_key_file, nowhere, b->rep, &site->tls_files);
	for (i = 0; i < site->database_count; i++) {
		db = site->databases[i];
		ca = database_value(db, "sslrootcert");
		cert = database_value(db, "sslcert");
		key = database_value(db, "sslkey");
		if (ca != NULL &&
		    (strcmp(ca, s->server_tls_ca_file) == 0 || strcmp(ca, "system") == 0))
			ca = NULL;
		if (cert != NULL && strcmp(cert, s->server_tls_cert_file) == 0 &&
		    key != NULL && strcmp(key, s->server_tls_key_file) == 0)
			cert = key = NULL;
		tls_check_server_files(ca, cert, key, db->at, b->rep, &site->tls_files);
	}
}

static void check_whole(struct build *b)
{
	struct site *site = b->site;
	const struct settings *s = &site->settings;
	struct place nowhere = { site->path, 0 };

	if (site->database_count == 0)
		report_error(b->rep, nowhere,
		             "no database: add a [databases] section with a line such as "
		             "\"app = host=db.example port=5432\"");
	if (s->listen_addr[0] == '\0' && s->unix_socket_dir[0] == '\0')
		report_error(b->rep, nowhere,
		             "nowhere to listen: set listen_addr or unix_socket_dir");
}

static void check_files(struct build *b)
{
	struct site *site = b->site;
	const struct settings *s = &site->settings;
	struct place nowhere = { site->path, 0 };

	/* A pool that only serves the Unix socket's console needs no certificate of its own. */
	if (s->listen_addr[0] != '\0' || s->client_tls_cert_file[0] != '\0') {
		if (tls_client_context(s, nowhere, b->rep, &site->client_tls, &site->tls_files) !=
		            ERR_OK &&
		    report_errors(b->rep) == 0)
			report_error(b->rep, nowhere, "TLS for clients could not be set up");
	}
	check_server_files(b);
	if (tls_memory_failures() > b->failures)
		report_error(b->rep, nowhere, "out of memory");
}

/* Nothing in it yet but what it is read from. NULL: out of memory. */
static struct site *site_begin(const char *path)
{
	struct site *site = calloc(1, sizeof(*site));

	if (site == NULL)
		return NULL;
	atomic_init(&site->refs, 1);
	site->path = strdup(path);
	site->rules = identity_rules_create();
	if (site->path == NULL || site->rules == NULL) {
		site_release(site);
		return NULL;
	}
	return site;
}

static enum err site_end(struct build *b, struct site **out)
{
	if (report_errors(b->rep) > 0) {
		site_release(b->site);
		return ERR_CONFIG;
	}
	*out = b->site;
	return ERR_OK;
}

enum err site_load(const char *path, struct report *rep, struct site **out)
{
	struct build b = { site_begin(path), rep, tls_memory_failures() };
	struct site *site = b.site;

	if (site == NULL)
		return ERR_NO_MEMORY;
	if (settings_init(&site->settings) != ERR_OK ||
	    (site->text = ini_load(path, rep)) == NULL) {
		site_release(site);
		return ERR_NO_MEMORY;
	}
	if (ini_has_section(site->text, "identities"))
		identity_rules_present(site->rules);
	/* An unreadable file says so once; what an empty one lacks is no news then. */
	if (ini_count(site->text) > 0 || report_errors(rep) == 0) {
		read_sections(&b, site->text, 0);
		refuse_unknown_sections(&b, site->text);
		check_whole(&b);
		check_files(&b);
	}
	return site_end(&b, out);
}

static bool is_about_tls(const struct setting *row)
{
	return strncmp(row->name, "client_tls_", 11) == 0 ||
	       strncmp(row->name, "server_tls_", 11) == 0;
}

static enum err share_files(struct site *site, const struct site *old)
{
	if (old->client_tls != NULL && SSL_CTX_up_ref(old->client_tls) == 1)
		site->client_tls = old->client_tls;
	return tls_files_copy(&site->tls_files, &old->tls_files);
}

enum err site_change(const struct site *old, const struct setting *row, const char *value,
                     struct report *rep, struct site **out)
{
	struct build b = { site_begin(old->path), rep, tls_memory_failures() };
	struct site *site = b.site;
	struct errbuf why;

	if (site == NULL)
		return ERR_NO_MEMORY;
	site->text = ini_hold(old->text);
	if (settings_copy(&site->settings, &old->settings) != ERR_OK ||
	    (!is_about_tls(row) && share_files(site, old) != ERR_OK)) {
		site_release(site);
		return ERR_NO_MEMORY;
	}
	if (settings_set(&site->settings, row, value, &why) != ERR_OK)
		report_error(rep, (struct place){ NULL, 0 }, "%s", why.text);
	if (ini_has_section(site->text, "identities"))
		identity_rules_present(site->rules);
	read_sections(&b, site->text, SECTION_DATABASES);
	check_whole(&b);
	if (is_about_tls(row))
		check_files(&b);
	return site_end(&b, out);
}

struct site *site_hold(struct site *site)
{
	atomic_fetch_add_explicit(&site->refs, 1, memory_order_relaxed);
	return site;
}

void site_release(struct site *site)
{
	struct user *u, *next;
	size_t i;

	if (site == NULL || atomic_fetch_sub_explicit(&site->refs, 1, memory_order_acq_rel) > 1)
		return;
	HASH_ITER(hh, site->users, u, next) {
		HASH_DELETE(hh, site->users, u);
		user_release(u);
	}
	for (i = 0; i < site->database_count; i++)
		database_release(site->databases[i]);
	free(site->databases);
	identity_rules_free(site->rules);
	SSL_CTX_free(site->client_tls);
	tls_files_free(&site->tls_files);
	settings_fini(&site->settings);
	ini_release(site->text);
	free(site->path);
	free(site);
}

struct site_letter {
	struct letter letter;
	void (*follow)(void *owner, struct site *site);
	struct site *site; /* a reference */
};

static void letter_discard(struct letter *letter)
{
	struct site_letter *l = (struct site_letter *)letter;

	site_release(l->site);
	free(l);
}

static void letter_deliver(struct letter *letter, void *owner)
{
	struct site_letter *l = (struct site_letter *)letter;

	l->follow(owner, l->site);
	free(l);
}

struct letter *site_letter(struct site *site, void (*follow)(void *owner, struct site *site))
{
	struct site_letter *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->letter.deliver = letter_deliver;
	l->letter.discard = letter_discard;
	l->follow = follow;
	l->site = site_hold(site);
	return &l->letter;
}

struct database *site_database(const struct site *site, const char *name)
{
	size_t i;

	for (i = 0; i < site->database_count; i++)
		if (site->databases[i] != site->fallback &&
		    strcmp(site->databases[i]->name, name) == 0)
			return site->databases[i];
	return site->fallback;
}

struct user *site_user(const struct site *site, const char *role)
{
	struct user *u = NULL;

	HASH_FIND_STR(site->users, role, u);
	return u;
}

bool site_list_has(const char *list, const char *name)
{
	size_t len = strlen(name), n;

	while (*list != '\0') {
		list += strspn(list, ", \t");
		n = strcspn(list, ", \t");
		if (n == len && n > 0 && strncasecmp(list, name, n) == 0)
			return true;
		list += n;
	}
	return false;
}
