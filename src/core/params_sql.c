/* Statements that put parameters into force. */
#include <string.h>
#include <strings.h>

#include "params_priv.h"

static enum err put_text(struct buf *sql, const char *s)
{
	return buf_append(sql, s, strlen(s));
}

/* ASCII alone, which means the same bytes of the server's encoding in every client_encoding and under
 * every standard_conforming_strings. */
enum err params_literal(struct buf *sql, const char *s)
{
	static const char hex[] = "0123456789abcdef";
	enum err rc = put_text(sql, "E'");

	for (; rc == ERR_OK && *s != '\0'; s++) {
		uint8_t c = (uint8_t)*s;
		char escaped[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

		if (c == '\'' || c == '\\' || c >= 0x7f)
			rc = buf_append(sql, escaped, sizeof(escaped));
		else
			rc = buf_append(sql, s, 1);
	}
	return rc == ERR_OK ? put_text(sql, "'") : rc;
}

static enum err end_statement(struct buf *sql)
{
	return buf_append(sql, "", 1);
}

static bool is_role(const struct param *p)
{
	return strcasecmp(p->name, "role") == 0;
}

static bool differs(const struct param *p, const struct params *have)
{
	const struct param *other = have != NULL ? params_find(have, p->name) : NULL;

	return other == NULL || strcmp(other->value, p->value) != 0;
}

/* Something is set that is not wanted. A single one may be the superuser's to reset, all of them are
 * anybody's. The role is none of "all". */
static bool must_reset_all(const struct params *want, const struct params *have)
{
	size_t i;

	for (i = 0; i < have->count; i++)
		if (!is_role(&have->rows[i]) && params_find(want, have->rows[i].name) == NULL)
			return true;
	return false;
}

/* Another role may not be allowed to set what is wanted. */
static bool must_reset_role(const struct params *have)
{
	const struct param *role = params_find(have, "role");

	return role != NULL && strcmp(role->value, "none") != 0;
}

static enum err put_resets(struct buf *sql, const struct params *want, const struct params *have,
                           bool all)
{
	const struct param *style;
	enum err rc = ERR_OK;

	if (have == NULL || must_reset_role(have))
		rc = buf_append(sql, "RESET ROLE", sizeof("RESET ROLE"));
	if (rc == ERR_OK && all)
		return buf_append(sql, "RESET ALL", sizeof("RESET ALL"));
	/* The one parameter whose new value may leave a part of the old one in force. */
	style = params_find(want, "DateStyle");
	if (rc == ERR_OK && style != NULL && differs(style, have) &&
	    params_find(have, "DateStyle") != NULL)
		rc = buf_append(sql, "RESET DateStyle", sizeof("RESET DateStyle"));
	return rc;
}

/* A SELECT has room for 1,664 columns. */
#define SETS_PER_STATEMENT 500u

/* value NULL: what it is without having been set. The value itself is not asked for: the client's encoding may have
 * no way to say it. */
static enum err put_call(struct buf *sql, const char *name, const char *value)
{
	enum err rc = put_text(sql, "pg_catalog.set_config(");

	if (rc == ERR_OK)
		rc = params_literal(sql, name);
	if (rc == ERR_OK)
		rc = put_text(sql, ",");
	if (rc == ERR_OK)
		rc = value != NULL ? params_literal(sql, value) : put_text(sql, "NULL");
	return rc == ERR_OK ? put_text(sql, ",false) IS NULL") : rc;
}

static enum err put_set(struct buf *sql, const struct param *p, size_t n)
{
	bool first = n % SETS_PER_STATEMENT == 0;
	enum err rc = ERR_OK;

	if (n > 0 && first)
		rc = end_statement(sql);
	if (rc == ERR_OK)
		rc = put_text(sql, first ? "SELECT " : ", ");
	return rc == ERR_OK ? put_call(sql, p->name, p->value) : rc;
}

static enum err put_sets(struct buf *sql, const struct params *want, const struct params *have)
{
	const struct param *p, *role = params_find(want, "role");
	enum err rc = ERR_OK;
	size_t i, n = 0;

	for (i = 0; rc == ERR_OK && i < want->count; i++) {
		p = &want->rows[i];
		if (p != role && differs(p, have))
			rc = put_set(sql, p, n++);
	}
	if (rc == ERR_OK && role != NULL)
		rc = put_set(sql, role, n++);
	return rc == ERR_OK && n > 0 ? end_statement(sql) : rc;
}

enum err params_difference(const struct params *want, const struct params *have, struct buf *sql)
{
	enum err rc;
	bool all;

	if (want == have)
		return ERR_OK;
	all = have == NULL || must_reset_all(want, have);
	rc = put_resets(sql, want, have, all);
	/* What needs the rights of the session's own role comes while that is in force. */
	return rc == ERR_OK ? put_sets(sql, want, all ? NULL : have) : rc;
}

static enum err put_switch(struct buf *sql, const char *name, const char *value)
{
	enum err rc = put_text(sql, "SELECT ");

	if (rc == ERR_OK)
		rc = put_call(sql, name, value);
	return rc == ERR_OK ? end_statement(sql) : rc;
}

enum err params_switch(const struct params *to, const struct params *from, struct buf *sql)
{
	enum err rc = ERR_OK;
	size_t i;

	for (i = 0; rc == ERR_OK && i < from->count; i++)
		if (!params_harmless(from->rows[i].name) && differs(&from->rows[i], to))
			rc = put_switch(sql, from->rows[i].name, NULL);
	for (i = 0; rc == ERR_OK && i < to->count; i++)
		if (!params_harmless(to->rows[i].name) && differs(&to->rows[i], from))
			rc = put_switch(sql, to->rows[i].name, to->rows[i].value);
	return rc;
}

enum err params_undo(struct params_table *t, struct params **have, struct buf *sql)
{
	enum err rc = ERR_OK;
	const char *name;

	while (rc == ERR_OK && (name = params_first_acting(*have)) != NULL)
		if ((rc = put_text(sql, "RESET ")) == ERR_OK &&
		    (rc = put_text(sql, name)) == ERR_OK && (rc = put_text(sql, ";")) == ERR_OK)
			rc = params_drop(t, have, name);
	return rc == ERR_OK ? end_statement(sql) : rc;
}
