#include "pgseal/core/user.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/bytes.h"
#include "pgseal/core/pairs.h"

/* One row per key, with the offset in struct user. */
#define KEY(name, type, min, max, choices) \
	{ #name, SETTING_##type, offsetof(struct user, name), "", min, max, choices, APPLY_RELOAD, "", "" }
static const struct setting keys[] = {
	KEY(pool_size, INT, "1", "100000", ""),
	KEY(reserve_pool_size, INT, "0", "100000", ""),
	KEY(pool_mode, ENUM, "", "", "transaction|session"),
	KEY(max_user_connections, INT, "0", "1000000", ""),
	KEY(max_user_client_connections, INT, "0", "1000000", ""),
	KEY(query_timeout, DURATION, "0", "36500d", ""),
	KEY(query_wait_timeout, DURATION, "0", "36500d", ""),
	KEY(idle_transaction_timeout, DURATION, "0", "36500d", ""),
	KEY(transaction_timeout, DURATION, "0", "36500d", ""),
	KEY(client_idle_timeout, DURATION, "0", "36500d", ""),
};
#undef KEY
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static int64_t *field_of(struct user *u, const struct setting *row)
{
	return (int64_t *)((char *)u + row->offset);
}

struct parse {
	struct user *user;
	struct place at;
	struct report *rep;
	bool failed;
};

static void refuse(struct parse *ps, const char *why)
{
	report_error(ps->rep, ps->at, "user \"%s\": %s", ps->user->name, why);
	ps->failed = true;
}

static void set_key(struct parse *ps, const char *key, const char *value)
{
	struct errbuf why;
	size_t i;

	for (i = 0; i < KEYS; i++)
		if (strcmp(key, keys[i].name) == 0)
			break;
	if (i == KEYS)
		(void)err_set(&why, ERR_NOT_FOUND, "unknown key \"%s\"; pgseal.ini(5) lists them all",
		              quote_str(key).s);
	else if (settings_number(&keys[i], value, field_of(ps->user, &keys[i]), &why) == ERR_OK)
		return;
	refuse(ps, why.text);
}

static void parse_text(struct parse *ps, const char *p, char *key, char *value)
{
	const char *why;

	for (;;) {
		switch (pairs_take(&p, key, value, &why)) {
		case PAIRS_PAIR:
			set_key(ps, key, value);
			break;
		case PAIRS_URI:
			refuse(ps, "connection strings belong into [databases]");
			break;
		case PAIRS_BAD:
			refuse(ps, why);
			return;
		case PAIRS_END:
			return;
		}
	}
}

static struct user *user_create(const char *name, struct place at)
{
	struct user *u = calloc(1, sizeof(*u));
	size_t i;

	if (u == NULL)
		return NULL;
	atomic_init(&u->refs, 1);
	for (i = 0; i < KEYS; i++)
		*field_of(u, &keys[i]) = USER_UNSET;
	u->name = strdup(name);
	u->at.file = at.file != NULL ? strdup(at.file) : NULL;
	u->at.line = at.line;
	if (u->name == NULL) {
		user_release(u);
		return NULL;
	}
	return u;
}

struct user *user_parse(const char *name, const char *value, struct place at, struct report *rep)
{
	struct parse ps = { user_create(name, at), at, rep, false };
	size_t room = strlen(value) + 1;
	char *key = malloc(room), *text = malloc(room);

	if (key == NULL || text == NULL || ps.user == NULL) {
		report_error(rep, at, "out of memory");
		ps.failed = true;
	} else {
		parse_text(&ps, value, key, text);
	}
	free(key);
	free(text);
	if (ps.failed) {
		user_release(ps.user);
		return NULL;
	}
	return ps.user;
}

struct user *user_hold(struct user *u)
{
	atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);
	return u;
}

void user_release(struct user *u)
{
	/* The last one to let go must see what the others did before. */
	if (u == NULL || atomic_fetch_sub_explicit(&u->refs, 1, memory_order_acq_rel) > 1)
		return;
	free(u->name);
	free((char *)u->at.file);
	free(u);
}

/* ---- what holds in the end ---- */

static int64_t first_set(int64_t own, int64_t otherwise)
{
	return own != USER_UNSET ? own : otherwise;
}

void terms_agree(struct terms *out, const struct user *u, const struct database *db,
                 const struct settings *s)
{
	static const struct user silent = {
		.pool_size = USER_UNSET,
		.pool_mode = USER_UNSET,
		.query_wait_timeout = USER_UNSET,
		.query_timeout = USER_UNSET,
		.idle_transaction_timeout = USER_UNSET,
		.transaction_timeout = USER_UNSET,
		.client_idle_timeout = USER_UNSET,
	};

	if (u == NULL)
		u = &silent;
	out->pool_size = first_set(u->pool_size, db->pool_size);
	out->pool_mode = (enum pool_mode)first_set(u->pool_mode, (int64_t)db->pool_mode);
	out->server_reset = db->server_reset;
	out->query_wait_timeout = first_set(u->query_wait_timeout, db->query_wait_timeout);
	out->query_timeout = first_set(u->query_timeout, s->query_timeout);
	out->idle_transaction_timeout =
		first_set(u->idle_transaction_timeout, s->idle_transaction_timeout);
	out->transaction_timeout = first_set(u->transaction_timeout, s->transaction_timeout);
	out->client_idle_timeout = first_set(u->client_idle_timeout, s->client_idle_timeout);
	out->cancel_wait_timeout = s->cancel_wait_timeout;
	out->query_wait_notify = s->query_wait_notify;
}
