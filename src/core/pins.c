#include "pgseal/core/pins.h"

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
#include "pgseal/wire/reader.h"
#include "pgseal/wire/sql.h"

#define BIT(n) (1u << (n))
/* More names than this are not followed one by one. */
#define TOUCHED_MAX_BYTES 32768

/* Which texts make it likely, and how to find out. All names are qualified: the search_path is the client's.
 * NULL: the server cannot tell, it lasts as long as the session. */
static const struct pin_row {
	const char *word;
	unsigned trait;
	const char *exists;
} rows[PINS] = {
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
			                      n > 0 ? ", " : "", rows[i].word);
	return words;
}

bool pins_hold(const struct server *srv)
{
	return srv->pins.held != 0 || pins_ask_due(srv);
}

bool pins_ask_due(const struct server *srv)
{
	return srv->pins.suspected != 0 || srv->pins.touched.len > 0 || srv->pins.all_settings;
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
		if (strcmp(at, name) == 0)
			return true;
	return false;
}

/* Changes of parameters that the server reports come by themselves. */
static bool is_reported(const struct server *srv, const char *name)
{
	return params_find(srv->reported, name) != NULL;
}

/* They end with the transaction, however they are set. */
static bool is_of_transaction(const char *name)
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

static void touch(struct server *srv, const char *name)
{
	if (is_of_transaction(name))
		return;
	if (strcmp(name, "session_authorization") == 0)
		srv->pins.suspected |= BIT(PIN_ROLE);
	if (!is_reported(srv, name))
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

static bool is_ascii(struct bytes b)
{
	size_t i;

	for (i = 0; i < b.len; i++)
		if (b.at[i] >= 0x80 || b.at[i] == '\0')
			return false;
	return true;
}

bool pins_notice_set(struct server *srv, struct bytes text, struct sql_reading how, unsigned traits)
{
	struct buf *setting = &srv->pins.setting;
	struct sql_mention m, more;
	struct sql_cursor c;

	if (traits != SQL_SETS || mode_of(srv) == PIN_OFF || !sql_certain(text, how))
		return false;
	sql_begin(&c, text, how);
	if (!sql_next(&c, &m) || m.kind != SQL_SET || m.value_len == 0 || sql_next(&c, &more) ||
	    m.name[0] == '\0' || !is_ascii(text) || !is_all(text, &m))
		return false;
	if (is_reported(srv, m.name) || is_of_transaction(m.name) ||
	    strcmp(m.name, "session_authorization") == 0 || touched_has(&srv->pins.touched, m.name))
		return false;
	buf_free(setting);
	if (buf_append(setting, m.name, strlen(m.name) + 1) == ERR_OK &&
	    buf_append(setting, text.at + m.value_at, m.value_len) == ERR_OK &&
	    buf_append(setting, "", 1) == ERR_OK)
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
		if ((traits & rows[i].trait) != 0)
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
	return (srv->pins.held & BIT(PIN_LISTEN)) != 0;
}

void pins_doubt(struct server *srv, enum pin pin)
{
	srv->pins.suspected |= srv->pins.held & BIT(pin);
}

/* ---- the question ---- */

static enum err put(struct buf *sql, const char *text)
{
	return buf_append(sql, text, strlen(text));
}

/* The isolation of the session's transactions may be such that they wait for others. */
#define QUESTION_BEGIN "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE; "

static enum err put_part(struct buf *sql, const char *text)
{
	enum err rc = put(sql, sql->len >= sizeof(QUESTION_BEGIN) ? " UNION ALL " : "");

	return rc == ERR_OK ? put(sql, text) : rc;
}

static enum err ask_for_pin(struct server *srv, int pin, struct buf *sql)
{
	char head[64];
	enum err rc;

	snprintf(head, sizeof(head), "SELECT 'pin', '%d', NULL, NULL WHERE EXISTS (", pin);
	if ((rc = put_part(sql, head)) == ERR_OK)
		rc = put(sql, rows[pin].exists);
	if (rc == ERR_OK && pin == PIN_ROLE)
		rc = params_literal(sql, PQuser(srv->conn));
	return rc == ERR_OK ? put(sql, ")") : rc;
}

/* A value as PostgreSQL has it, whatever the client's encoding can say: hexadecimal. */
#define VALUE_BEGIN "pg_catalog.encode(pg_catalog.convert_to(pg_catalog.current_setting("
#define VALUE_END ", true), pg_catalog.getdatabaseencoding()), 'hex')"

/* Name, value, and whether the session has set it; what is no parameter of PostgreSQL's own does not tell. */
static enum err ask_for_touched(const struct buf *touched, struct buf *sql)
{
	const char *name = (const char *)touched->at, *end = name + touched->len;
	const char *before = "SELECT 'set', n, " VALUE_BEGIN "n" VALUE_END
			     ", s.source FROM pg_catalog.unnest(ARRAY[";
	enum err rc = ERR_OK;

	for (; rc == ERR_OK && name < end; name += strlen(name) + 1) {
		rc = before[0] == 'S' ? put_part(sql, before) : put(sql, before);
		if (rc == ERR_OK)
			rc = params_literal(sql, name);
		before = ",";
	}
	return rc != ERR_OK ? rc
	                    : put(sql, "]::pg_catalog.text[]) n LEFT JOIN pg_catalog.pg_settings s ON "
	                               "pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) n");
}

static enum err ask_for_settings(struct buf *sql)
{
	return put_part(sql, "SELECT 'set', pg_catalog.lower(name), " VALUE_BEGIN "name" VALUE_END
	                     ", source FROM pg_catalog.pg_settings WHERE source "
	                     "OPERATOR(pg_catalog.=) 'session'");
}

enum err pins_question(struct server *srv, struct buf *sql)
{
	enum err rc = put(sql, QUESTION_BEGIN);
	int i;

	for (i = 0; rc == ERR_OK && i < PINS; i++)
		if ((srv->pins.suspected & BIT(i)) != 0 && rows[i].exists != NULL)
			rc = ask_for_pin(srv, i, sql);
	if (rc == ERR_OK && srv->pins.touched.len > 0)
		rc = ask_for_touched(&srv->pins.touched, sql);
	if (rc == ERR_OK && srv->pins.all_settings)
		rc = ask_for_settings(sql);
	srv->pins.found = 0;
	return rc == ERR_OK ? buf_append(sql, "", 1) : rc;
}

/* ---- the answer ---- */

#define COLUMNS 4
#define VALUE_MAX 8192
#define LENGTH_NULL UINT32_MAX

/* A column's text with its end; false: NULL, or it does not fit. */
static bool take_text(struct reader *r, char *out, size_t size)
{
	const uint8_t *at;
	uint32_t len;

	if (!reader_u32(r, &len) || len >= size || !reader_take(r, len, &at))
		return false;
	memcpy(out, at, len);
	out[len] = '\0';
	return true;
}

static bool is_long(struct reader r, size_t size)
{
	uint32_t len;

	return reader_u32(&r, &len) && len != LENGTH_NULL && len >= size;
}

static bool hex_digit(char c, unsigned *out)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	if (at == NULL)
		return false;
	*out = (unsigned)(at - digits);
	return true;
}

/* Where it stands. */
static bool unhex(char *text)
{
	unsigned high, low;
	char *to = text;

	for (; *text != '\0'; text += 2) {
		if (!hex_digit(text[0], &high) || !hex_digit(text[1], &low))
			return false;
		*to++ = (char)(high << 4 | low);
	}
	*to = '\0';
	return true;
}

/* What PostgreSQL does not list has a value from when it was set first, '' after a reset; a role is none. */
static bool was_reset(const char *name, const char *value, const char *source)
{
	if (source != NULL)
		return strcmp(source, "session") != 0;
	return strcmp(name, "role") == 0 && strcmp(value, "none") == 0;
}

/* PostgreSQL shows six digits of a number with a fraction. As long as it is the one that the client wrote, that is what
 * follows it. */
static const char *as_written(const struct server *srv, const char *name, const char *value)
{
	const char *at = (const char *)srv->pins.numbers.at, *end = at + srv->pins.numbers.len;
	const char *number, *found = value;
	char shown[32];

	for (; at < end; at = number + strlen(number) + 1) {
		number = at + strlen(at) + 1;
		if (strcasecmp(at, name) != 0)
			continue;
		snprintf(shown, sizeof(shown), "%g", strtod(number, NULL));
		found = strcmp(shown, value) == 0 ? number : value;
	}
	return found;
}

static enum err setting_row(struct server *srv, struct reader *r)
{
	char name[SQL_NAME_MAX + 1], value[2 * VALUE_MAX + 1], source[32];
	bool has_source;

	if (!take_text(r, name, sizeof(name)))
		return ERR_WIRE_FORMAT;
	if (is_of_transaction(name)) /* our question has set those */
		return ERR_OK;
	if (is_long(*r, sizeof(value))) { /* too long to follow anybody */
		srv->pins.found |= BIT(PIN_SETTING);
		return ERR_OK;
	}
	if (!take_text(r, value, sizeof(value)))
		return follow_reset(srv, name);
	has_source = take_text(r, source, sizeof(source));
	if (!unhex(value))
		return ERR_WIRE_FORMAT;
	if (was_reset(name, value, has_source ? source : NULL))
		return follow_reset(srv, name);
	return follow_set(srv, name, as_written(srv, name, value));
}

enum err pins_row(struct server *srv, struct bytes body)
{
	struct reader r = reader_of(body);
	uint16_t columns;
	char what[8], pin[8];

	if (!reader_u16(&r, &columns) || columns != COLUMNS || !take_text(&r, what, sizeof(what)))
		return ERR_WIRE_FORMAT;
	if (strcmp(what, "set") == 0)
		return setting_row(srv, &r);
	if (!take_text(&r, pin, sizeof(pin)) || pin[0] < '0' || pin[0] >= '0' + PINS)
		return ERR_WIRE_FORMAT;
	srv->pins.found |= BIT(pin[0] - '0');
	return ERR_OK;
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

	if (failed && (p->touched.len > 0 || p->all_settings))
		found |= BIT(PIN_SETTING);
	if (srv->session_bound) /* it has the server anyway */
		found = 0;
	p->held &= ~p->suspected | found;
	p->suspected = 0;
	p->resetting = p->all_settings = false;
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
	if (srv->pins.counted)
		(void)route_count_pinned(srv->route, -1);
	srv->pins = (struct pins){ 0 };
}
