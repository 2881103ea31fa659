/* Asking the server what a session has left in it, in one query. */
#include "pins_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pgseal/core/follow.h"
#include "pgseal/core/pool.h"
#include "pgseal/wire/message.h"

/* ---- the question ---- */

static enum err put(struct buf *sql, const char *text)
{
	return buf_append(sql, text, strlen(text));
}

/* The isolation of the session's transactions may be such that they wait for others. */
#define QUESTION_BEGIN "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE; "

static enum err put_part(struct buf *sql, const char *text)
{
	bool first = sql->len == 0 || sql->at[sql->len - 2] == ';';
	enum err rc = put(sql, first ? "" : " UNION ALL ");

	return rc == ERR_OK ? put(sql, text) : rc;
}

static enum err ask_for_pin(struct server *srv, int pin, struct buf *sql)
{
	char head[64];
	enum err rc;

	snprintf(head, sizeof(head), "SELECT 'pin', '%d', NULL, NULL WHERE EXISTS (", pin);
	if ((rc = put_part(sql, head)) == ERR_OK)
		rc = put(sql, pins_rows[pin].exists);
	if (rc == ERR_OK && pin == PIN_ROLE)
		rc = params_literal(sql, PQuser(srv->conn));
	return rc == ERR_OK ? put(sql, ")") : rc;
}

/* A value as PostgreSQL has it, whatever the client's encoding can say: hexadecimal. */
#define VALUE_BEGIN "pg_catalog.encode(pg_catalog.convert_to(pg_catalog.current_setting("
#define VALUE_END ", true), pg_catalog.getdatabaseencoding()), 'hex')"

/* What the session has set by the rights of a role it cannot set before it has that role. */
#define SOURCE                                                                                   \
	"CASE WHEN s.source OPERATOR(pg_catalog.=) 'session' AND pg_catalog.left(s.context, 9) " \
	"OPERATOR(pg_catalog.=) 'superuser' AND pg_catalog.current_setting('role') "             \
	"OPERATOR(pg_catalog.<>) 'none' THEN 'role' ELSE s.source END"

/* Name, value, and whether the session has set it; what is no parameter of PostgreSQL's own does not tell. */
static enum err ask_for_touched(const struct buf *touched, struct buf *sql)
{
	const char *name = (const char *)touched->at, *end = name + touched->len;
	const char *before = "SELECT 'set', n, " VALUE_BEGIN "n" VALUE_END ", " SOURCE
			     " FROM pg_catalog.unnest(ARRAY[";
	enum err rc = ERR_OK;

	for (; rc == ERR_OK && name < end; name += strlen(name) + 1) {
		rc = before[0] == 'S' ? put_part(sql, before) : put(sql, before);
		if (rc == ERR_OK)
			rc = params_literal(sql, name);
		before = ",";
	}
	return rc != ERR_OK
	               ? rc
	               : put(sql, "]::pg_catalog.text[]) n LEFT JOIN pg_catalog.pg_settings s ON "
	                          "pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) n");
}

static enum err ask_for_settings(struct buf *sql)
{
	return put_part(sql, "SELECT 'set', pg_catalog.lower(name), " VALUE_BEGIN "name" VALUE_END
	                     ", " SOURCE " FROM pg_catalog.pg_settings s WHERE "
	                     "source OPERATOR(pg_catalog.=) 'session'");
}

/* Are there fewer of the shared statements than there were? Names of clients do not begin like theirs. */
static enum err ask_for_copies(const struct server *srv, struct buf *sql)
{
	char part[400];

	snprintf(
		part, sizeof(part),
		"SELECT 'lost', NULL, NULL, NULL WHERE (SELECT pg_catalog.count(*) FROM "
		"pg_catalog.pg_prepared_statements WHERE NOT from_sql AND pg_catalog.left(name, 7) "
		"OPERATOR(pg_catalog.=) 'pgseal_' AND pg_catalog.length(name) "
		"OPERATOR(pg_catalog.=) %zu) OPERATOR(pg_catalog.<) %zu",
		(size_t)PSTATEMENT_NAME, copies_sure(&srv->copies));
	return put_part(sql, part);
}

static enum err ask_for_standby(struct buf *sql)
{
	return put_part(sql, "SELECT 'own', 'in_hot_standby', CASE WHEN "
	                     "pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END, NULL");
}

enum err pins_question(struct server *srv, struct buf *sql)
{
	/* In session mode it stands in a block of its own. */
	enum err rc = put(sql, srv->session_bound ? "" : QUESTION_BEGIN);
	int i;

	for (i = 0; rc == ERR_OK && i < PINS; i++)
		if ((srv->pins.suspected & BIT(i)) != 0 && pins_rows[i].exists != NULL)
			rc = ask_for_pin(srv, i, sql);
	if (rc == ERR_OK && srv->pins.touched.len > 0)
		rc = ask_for_touched(&srv->pins.touched, sql);
	if (rc == ERR_OK && srv->pins.all_settings)
		rc = ask_for_settings(sql);
	if (rc == ERR_OK && srv->pins.standby)
		rc = ask_for_standby(sql);
	if (rc == ERR_OK && srv->pins.all_settings && copies_sure(&srv->copies) > 0)
		rc = ask_for_copies(srv, sql);
	srv->pins.found = 0;
	return rc == ERR_OK ? buf_append(sql, "", 1) : rc;
}

/* ---- the answer ---- */

#define COLUMNS 4
#define VALUE_MAX 8192

/* A column's text with its end; false: NULL, or it does not fit. */
static bool copy_text(struct bytes column, char *out, size_t size)
{
	if (column.at == NULL || column.len >= size)
		return false;
	memcpy(out, column.at, column.len);
	out[column.len] = '\0';
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

static enum err setting_row(struct server *srv, const struct bytes *columns)
{
	char name[SQL_NAME_MAX + 1], value[2 * VALUE_MAX + 1], source[32];
	bool has_source;

	if (!copy_text(columns[1], name, sizeof(name)))
		return ERR_WIRE_FORMAT;
	if (pins_of_transaction(name)) /* our question has set those */
		return ERR_OK;
	if (columns[2].len >= sizeof(value)) { /* too long to follow anybody */
		srv->pins.found |= BIT(PIN_SETTING);
		return ERR_OK;
	}
	if (!copy_text(columns[2], value, sizeof(value)))
		return follow_reset(srv, name);
	has_source = copy_text(columns[3], source, sizeof(source));
	if (!bytes_unhex(value))
		return ERR_WIRE_FORMAT;
	if (has_source && strcmp(source, "role") == 0) {
		srv->pins.found |= BIT(PIN_SETTING);
		return ERR_OK;
	}
	if (was_reset(name, value, has_source ? source : NULL)) {
		pool_renew(srv, name, value); /* if it is one of those that are reported */
		return follow_reset(srv, name);
	}
	return follow_set(srv, name, as_written(srv, name, value));
}

static enum err own_row(struct server *srv, const struct bytes *columns)
{
	char name[SQL_NAME_MAX + 1], value[32];

	if (!copy_text(columns[1], name, sizeof(name)) ||
	    !copy_text(columns[2], value, sizeof(value)))
		return ERR_WIRE_FORMAT;
	pool_renew(srv, name, value);
	return ERR_OK;
}

enum err pins_row(struct server *srv, struct bytes body)
{
	struct bytes columns[COLUMNS];
	char what[8], pin[8];

	if (message_read_row(body, columns, COLUMNS) != ERR_OK ||
	    !copy_text(columns[0], what, sizeof(what)))
		return ERR_WIRE_FORMAT;
	if (strcmp(what, "set") == 0)
		return setting_row(srv, columns);
	if (strcmp(what, "own") == 0)
		return own_row(srv, columns);
	if (strcmp(what, "lost") == 0) {
		copies_set_all_lost(&srv->copies);
		return ERR_OK;
	}
	if (!copy_text(columns[1], pin, sizeof(pin)) || pin[0] < '0' || pin[0] >= '0' + PINS)
		return ERR_WIRE_FORMAT;
	srv->pins.found |= BIT(pin[0] - '0');
	return ERR_OK;
}
