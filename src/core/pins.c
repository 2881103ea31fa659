#include "pins_priv.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pgseal/base/log.h"
#include "pgseal/core/follow.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"
#include "pgseal/wire/sql.h"

/* More names than this are not followed one by one. */
#define TOUCHED_MAX_BYTES 32768

/* All names are qualified: the search_path is the client's. */
const struct pin_row pins_rows[PINS] = {
	[PIN_STATEMENT] = { "prepared statement", SQL_PREPARES,
	                    "SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql OR "
	                    "pg_catalog.left(name, 7) OPERATOR(pg_catalog.<>) 'pgseal_'" },
	[PIN_TEMP] = { "temporary object", SQL_TEMP,
	               "SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) "
	               "'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid "
	               "OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()" },
	[PIN_LOCK] = { "advisory lock", SQL_LOCKS,
	               "SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) "
	               "'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()" },
	[PIN_CURSOR] = { "cursor WITH HOLD", SQL_HOLDS,
	                 "SELECT FROM pg_catalog.pg_cursors WHERE is_holdable" },
	[PIN_LISTEN] = { "LISTEN", SQL_LISTENS, "SELECT FROM pg_catalog.pg_listening_channels()" },
	[PIN_ROLE] = { "session authorization", 0,
	               "SELECT WHERE session_user OPERATOR(pg_catalog.<>) " },
	[PIN_SETTING] = { "parameter that does not show", 0, NULL },
	[PIN_CALL] = { "function call by protocol", 0, NULL },
};

struct pin_words pins_words(const struct pins *p)
{
	struct pin_words words = { "" };
	size_t n = 0;
	int i;

	for (i = 0; i < PINS; i++)
		if ((p->held & BIT(i)) != 0)
			n += (size_t)snprintf(words.s + n, sizeof(words.s) - n, "%s%s",
			                      n > 0 ? ", " : "", pins_rows[i].word);
	return words;
}

bool pins_hold(const struct server *srv)
{
	return srv->pins.held != 0 || pins_ask_due(srv);
}

bool pins_ask_due(const struct server *srv)
{
	return srv->pins.suspected != 0 || srv->pins.touched.len > 0 || srv->pins.all_settings ||
	       srv->pins.standby;
}

static int64_t mode_of(const struct server *srv)
{
	return srv->pool->worker->site->settings.pin;
}

/* ---- suspicion ---- */

static bool touched_has(const struct buf *touched, const char *name)
{
	const char *at = (const char *)touched->at, *end = at + touched->len;

	for (; at < end; at += strlen(at) + 1)
		if (strcasecmp(at, name) == 0)
			return true;
	return false;
}

/* Changes of parameters that the server reports come by themselves. */
static bool is_reported(const struct server *srv, const char *name)
{
	return params_find(srv->reported, name) != NULL;
}

/* They end with the transaction, however they are set. */
bool pins_of_transaction(const char *name)
{
	return strcmp(name, "transaction_isolation") == 0 ||
	       strcmp(name, "transaction_read_only") == 0 ||
	       strcmp(name, "transaction_deferrable") == 0;
}

/* In lower case, as it is compared. What is not ASCII is in the client's encoding. */
void pins_ask(struct server *srv, const char *name)
{
	struct buf *touched = &srv->pins.touched;
	char lower[SQL_NAME_MAX + 1];
	bool ascii = true;
	size_t i;

	for (i = 0; name[i] != '\0' && i < SQL_NAME_MAX; i++) {
		lower[i] = (char)tolower((unsigned char)name[i]);
		ascii = ascii && (unsigned char)name[i] < 0x80;
	}
	lower[i] = '\0';
	if (touched_has(touched, lower))
		return;
	if (!ascii || name[i] != '\0' || touched->len > TOUCHED_MAX_BYTES ||
	    buf_append(touched, lower, i + 1) != ERR_OK)
		pins_add(srv, PIN_SETTING);
}

void pins_ask_attrs(struct server *srv)
{
	srv->pins.standby = true;
	pins_ask(srv, "default_transaction_read_only");
}

/* The server will report it. Without memory it is asked. */
static void explain(struct server *srv, const char *name)
{
	struct buf *explained = &srv->pins.explained;

	if (!touched_has(explained, name) && explained->len < TOUCHED_MAX_BYTES &&
	    buf_append(explained, name, strlen(name) + 1) != ERR_OK)
		buf_free(explained);
}

bool pins_explain(const struct server *srv, const char *name)
{
	return touched_has(&srv->pins.explained, name);
}

static void touch(struct server *srv, const char *name)
{
	if (pins_of_transaction(name))
		return;
	if (strcmp(name, "session_authorization") == 0)
		srv->pins.suspected |= BIT(PIN_ROLE);
	if (is_reported(srv, name))
		explain(srv, name);
	else
		pins_ask(srv, name);
}

/* Whatever the session has set of those that are not reported. */
static void touch_all(struct server *srv)
{
	const struct params *p = srv->session->asked;
	size_t i;

	for (i = 0; i < params_count(p); i++)
		touch(srv, params_at(p, i)->name);
	srv->pins.suspected |= srv->pins.held & BIT(PIN_ROLE);
}

/* It may have done anything: its settings, of those that PostgreSQL lists, and all else that can be asked for. */
static void suspect_all(struct server *srv)
{
	srv->pins.suspected |= (BIT(PINS) - 1) & ~BIT(PIN_SETTING) & ~BIT(PIN_CALL);
	srv->pins.all_settings = true;
	srv->doubted = true; /* of others it is known only that they must not stay */
	touch_all(srv);
	touch(srv, "role");
}

/* RESET leads to what the server was started or logged in with, which is not what its session began with. */
static void touch_first(struct server *srv, const char *name)
{
	const char *first = params_get(srv->session->initial, name),
		   *usual = params_get(srv->pool->greeting, name);

	if (first == NULL || (usual != NULL && strcmp(first, usual) == 0))
		return;
	pins_ask(srv, name);
	srv->pins.resetting = true;
}

void pins_reset(struct server *srv)
{
	const struct params *p = srv->session->initial;
	size_t i;

	for (i = 0; i < params_count(p); i++)
		touch_first(srv, params_at(p, i)->name);
}

/* What is created without a schema may go to pg_temp. */
static bool makes_temp(const struct server *srv)
{
	const char *path = params_get(srv->session->asked, "search_path");

	return path != NULL && strcasestr(path, "pg_temp") != NULL;
}

#define NUMBER_MAX 40

/* A value with a fraction or exponent. Without memory its six digits will do. */
static void note_number(struct server *srv, struct bytes text, const struct sql_mention *m)
{
	struct buf *numbers = &srv->pins.numbers;
	const uint8_t *value = text.at + m->value_at;
	char number[NUMBER_MAX + 1], *rest;
	size_t name = strlen(m->name) + 1;

	if (m->kind != SQL_SET || m->value_len == 0 || m->value_len > NUMBER_MAX ||
	    numbers->len > TOUCHED_MAX_BYTES)
		return;
	memcpy(number, value, m->value_len);
	number[m->value_len] = '\0';
	if (strpbrk(number, ".eE") == NULL || strtod(number, &rest) == 0 || *rest != '\0')
		return;
	if (buf_reserve(numbers, name + m->value_len + 1) == ERR_OK &&
	    buf_append(numbers, m->name, name) == ERR_OK &&
	    buf_append(numbers, number, m->value_len + 1) != ERR_OK)
		buf_free(numbers);
}

static void notice_mention(struct server *srv, const struct sql_mention *m)
{
	switch (m->kind) {
	case SQL_SET:
	case SQL_RESET:
		touch(srv, m->name);
		if (m->kind == SQL_RESET || m->resets) /* SET to DEFAULT, set_config() to NULL */
			touch_first(srv, m->name);
		break;
	case SQL_RESET_ALL:
	case SQL_DISCARD_ALL:
		touch_all(srv);
		pins_reset(srv);
		break;
	case SQL_SET_UNKNOWN:
		pins_add(srv, PIN_SETTING);
		if (m->resets)
			pins_reset(srv);
		break;
	default:
		break;
	}
}

static void notice_settings(struct server *srv, struct bytes text, struct sql_reading how)
{
	struct sql_mention m;
	struct sql_cursor c;

	sql_begin(&c, text, how);
	while (sql_next(&c, &m)) {
		notice_mention(srv, &m);
		note_number(srv, text, &m);
	}
}

/* ---- SET name = value, and nothing else ---- */

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Is there nothing but that in the text: SET, blanks, and what ends a value? */
static bool is_all(struct bytes text, const struct sql_mention *m)
{
	size_t i = 0, ends = 0;

	while (i < text.len && is_blank(text.at[i]))
		i++;
	if (text.len - i < 4 || strncasecmp((const char *)text.at + i, "set", 3) != 0 ||
	    !is_blank(text.at[i + 3]) || m->at < i)
		return false;
	for (i = m->value_at + m->value_len; i < text.len; i++) {
		ends += text.at[i] == ';';
		if (!is_blank(text.at[i]) && text.at[i] != '\'' && (text.at[i] != ';' || ends > 1))
			return false;
	}
	return true;
}

#define FOLLOWED_MAX 1000 /* bytes of a value that is followed without a question */

/* By way of the search_path, and not again if that changes: the server alone knows what it has found. */
static bool is_looked_up(const char *name)
{
	return strcmp(name, "default_text_search_config") == 0;
}

bool pins_notice_set(struct server *srv, struct bytes text, struct sql_reading how)
{
	struct buf *setting = &srv->pins.setting;
	char value[FOLLOWED_MAX + 1];
	struct sql_mention m, more;
	struct sql_cursor c;

	if (mode_of(srv) == PIN_OFF || params_find(srv->session->asked, "role") != NULL)
		return false;
	sql_begin(&c, text, how);
	if (!sql_next(&c, &m) || m.kind != SQL_SET || !sql_value(text, &m, value, sizeof(value)) ||
	    sql_next(&c, &more) || m.name[0] == '\0' || !bytes_ascii(text) || !is_all(text, &m))
		return false;
	if (is_reported(srv, m.name) || pins_of_transaction(m.name) || is_looked_up(m.name) ||
	    strcmp(m.name, "session_authorization") == 0 || touched_has(&srv->pins.touched, m.name))
		return false;
	buf_free(setting);
	if (buf_append(setting, m.name, strlen(m.name) + 1) == ERR_OK &&
	    buf_append(setting, value, strlen(value) + 1) == ERR_OK)
		return true;
	buf_free(setting);
	return false;
}

enum err pins_set_done(struct server *srv)
{
	struct buf setting = srv->pins.setting;
	const char *name = (const char *)setting.at;
	enum err rc;

	if (setting.len == 0)
		return ERR_OK;
	srv->pins.setting = (struct buf){ 0 };
	rc = follow_set(srv, name, name + strlen(name) + 1);
	buf_free(&setting);
	return rc;
}

/* ---- all texts ---- */

void pins_notice(struct server *srv, struct bytes text, struct sql_reading how, unsigned traits)
{
	int i;

	if (traits == 0)
		return;
	if (mode_of(srv) == PIN_OFF) {
		srv->doubted = srv->doubted || (traits & (SQL_SETS | SQL_UNKNOWN)) != 0;
		return;
	}
	for (i = 0; i < PINS; i++)
		if ((traits & pins_rows[i].trait) != 0)
			srv->pins.suspected |= BIT(i);
	if ((traits & SQL_FORGETS) != 0)
		srv->pins.suspected |= srv->pins.held & ~BIT(PIN_SETTING) & ~BIT(PIN_CALL);
	if ((traits & SQL_CREATES) != 0 && makes_temp(srv))
		srv->pins.suspected |= BIT(PIN_TEMP);
	if ((traits & SQL_UNKNOWN) != 0)
		suspect_all(srv);
	if ((traits & (SQL_SETS | SQL_FORGETS_STATEMENTS)) != 0)
		notice_settings(srv, text, how);
}

bool pins_watch(const struct server *srv)
{
	return srv->session != NULL && srv->session->mode == POOL_TRANSACTION &&
	       mode_of(srv) != PIN_OFF;
}

bool pins_listen(const struct server *srv)
{
	return ((srv->pins.held | srv->pins.suspected) & BIT(PIN_LISTEN)) != 0;
}

void pins_doubt(struct server *srv, enum pin pin)
{
	srv->pins.suspected |= srv->pins.held & BIT(pin);
}

/* ---- what follows from it ---- */

static void tell_pinned(struct server *srv, unsigned fresh)
{
	struct pins only = { .held = fresh };

	log_info(LOG_SESSION, srv->session->id, "pinned: server=%s reason=\"%s\"",
	         log_id_text(srv->id).s, pins_words(&only).s);
}

/* With pin = warn it stays behind; its client is told, once. */
static void warn(struct server *srv, unsigned fresh)
{
	struct pins only = { .held = fresh & ~srv->pins.warned };
	char detail[256];

	if (only.held == 0)
		return;
	srv->pins.warned |= only.held;
	log_warning(LOG_SESSION, srv->session->id, "left behind: server=%s state=\"%s\"",
	            log_id_text(srv->id).s, pins_words(&only).s);
	snprintf(detail, sizeof(detail),
	         "It is in the server connection, which others use too: %s.", pins_words(&only).s);
	session_tell(srv->session, 'N', "WARNING", SQLSTATE_WARNING,
	             "session state is left behind at the end of the transaction", detail,
	             "Use pool_mode=session or pin=auto for sessions that need it.");
}

/* It is kept now, or no longer. */
static void count(struct server *srv)
{
	int64_t most = srv->pool->worker->site->settings.max_pinned_servers;
	struct pins *p = &srv->pins;
	int n;

	if (p->counted == (p->held != 0))
		return;
	p->counted = !p->counted;
	n = route_count_pinned(srv->route, p->counted ? 1 : -1);
	p->too_many = p->counted && most > 0 && n > most;
}

static void hold(struct server *srv, unsigned pins)
{
	unsigned fresh = pins & ~srv->pins.held;

	if (fresh != 0)
		tell_pinned(srv, fresh);
	srv->pins.held |= pins;
	count(srv);
}

void pins_add(struct server *srv, enum pin pin)
{
	/* Without names that are shared, a client's statement must not be met by others. */
	if (pin == PIN_STATEMENT || mode_of(srv) == PIN_AUTO)
		hold(srv, BIT(pin));
	else
		warn(srv, BIT(pin));
}

void pins_answered(struct server *srv, bool failed)
{
	struct pins *p = &srv->pins;
	unsigned found = failed ? p->suspected : p->found;

	if (failed && p->all_settings)
		copies_set_all_lost(&srv->copies);
	if (failed && (p->touched.len > 0 || p->all_settings))
		found |= BIT(PIN_SETTING);
	if (srv->session_bound) /* it has the server anyway */
		found = 0;
	p->held &= ~p->suspected | found;
	p->suspected = 0;
	p->resetting = p->all_settings = p->standby = false;
	buf_free(&p->touched);
	buf_free(&p->numbers);
	if (((p->held | found) & BIT(PIN_STATEMENT)) == 0 && srv->session->prepared != NULL)
		prepared_drop_own(srv->session->prepared, srv->pool->worker->statements);
	if (mode_of(srv) == PIN_AUTO)
		hold(srv, found);
	else
		warn(srv, found & ~p->held);
	count(srv);
}

void pins_transaction_ended(struct server *srv)
{
	buf_free(&srv->pins.explained);
}

void pins_discarded(struct server *srv)
{
	srv->pins.held &= ~(BIT(PIN_SETTING) | BIT(PIN_CALL));
	count(srv);
}

void pins_clear(struct server *srv)
{
	buf_free(&srv->pins.touched);
	buf_free(&srv->pins.numbers);
	buf_free(&srv->pins.setting);
	buf_free(&srv->pins.explained);
	if (srv->pins.counted)
		(void)route_count_pinned(srv->route, -1);
	srv->pins = (struct pins){ 0 };
}
