/* The extended protocol: a statement is kept as text and understood anew whenever it runs; a portal
 * keeps its result, so that rows may be taken in parts. Commands take no parameters. */
#include <stdlib.h>
#include <string.h>

#include "console_priv.h"
#include "pgseal/wire/message.h"

#define SQLSTATE_DUPLICATE_CURSOR "42P03"

static void fail(struct console *c, const char *sqlstate, const char *message)
{
	reply_error(&c->out, sqlstate, message, NULL);
	c->skipping = true;
}

static void fail_malformed(struct console *c)
{
	fail(c, SQLSTATE_PROTOCOL_VIOLATION, "malformed message");
}

static void fail_memory(struct console *c)
{
	fail(c, SQLSTATE_OUT_OF_MEMORY, "out of memory");
}

/* --- named things --- */

static struct prepared *find_prepared(struct console *c, const char *name)
{
	struct prepared *p;

	LIST_FOREACH(p, &c->prepared, link) {
		if (strcmp(p->name, name) == 0)
			break;
	}
	return p;
}

static struct portal *find_portal(struct console *c, const char *name)
{
	struct portal *p;

	LIST_FOREACH(p, &c->portals, link) {
		if (strcmp(p->name, name) == 0)
			break;
	}
	return p;
}

static void drop_prepared(struct console *c, struct prepared *p)
{
	if (p == NULL)
		return;
	LIST_REMOVE(p, link);
	c->names--;
	free(p->name);
	free(p->sql);
	free(p);
}

static void drop_portal(struct console *c, struct portal *p)
{
	if (p == NULL)
		return;
	LIST_REMOVE(p, link);
	c->names--;
	free(p->name);
	free(p->sql);
	free(p->formats.at);
	result_free(&p->result);
	free(p);
}

void extended_drop_unnamed(struct console *c)
{
	drop_prepared(c, find_prepared(c, ""));
	drop_portal(c, find_portal(c, ""));
}

static void drop_portals(struct console *c)
{
	while (!LIST_EMPTY(&c->portals))
		drop_portal(c, LIST_FIRST(&c->portals));
}

void extended_free(struct console *c)
{
	drop_portals(c);
	while (!LIST_EMPTY(&c->prepared))
		drop_prepared(c, LIST_FIRST(&c->prepared));
}

/* --- Parse --- */

/* One statement or none. False: the error has been written. */
static bool understand(struct console *c, const char *sql, struct action *out)
{
	struct statement st;
	struct errbuf why;

	memset(out, 0, sizeof(*out));
	switch (statement_next(&sql, &st, &why)) {
	case STATEMENT_END:
		return true;
	case STATEMENT_BAD:
		fail(c, SQLSTATE_SYNTAX_ERROR, why.text);
		return false;
	case STATEMENT_READY:
		break;
	}
	if (commands_find(&st, out, &why) != ERR_OK) {
		fail(c, SQLSTATE_SYNTAX_ERROR, why.text);
		return false;
	}
	if (!console_is_empty(sql)) {
		fail(c, SQLSTATE_SYNTAX_ERROR,
		     "cannot insert multiple commands into a prepared statement");
		return false;
	}
	return true;
}

static struct prepared *make_prepared(const char *name, const char *sql,
                                      const struct action *action)
{
	struct prepared *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->name = strdup(name);
	p->sql = strdup(sql);
	p->columns = action->columns;
	p->column_count = action->column_count;
	if (p->name == NULL || p->sql == NULL) {
		free(p->name);
		free(p->sql);
		free(p);
		return NULL;
	}
	return p;
}

/* Types of parameters may be told; there are none, whatever their types. */
static void take_parse(struct console *c, struct reader *r)
{
	struct bytes name, sql;
	struct action action;
	struct prepared *p;

	if (!reader_str(r, &name) || !reader_str(r, &sql)) {
		fail_malformed(c);
		return;
	}
	if (name.len == 0)
		drop_prepared(c, find_prepared(c, ""));
	if (find_prepared(c, (const char *)name.at) != NULL) {
		fail(c, SQLSTATE_DUPLICATE_PSTATEMENT, "prepared statement already exists");
		return;
	}
	if (!understand(c, (const char *)sql.at, &action))
		return;
	if (c->names >= CONSOLE_NAMES_MAX) {
		fail(c, SQLSTATE_OUT_OF_MEMORY, "too many prepared statements and portals");
		return;
	}
	p = make_prepared((const char *)name.at, (const char *)sql.at, &action);
	if (p == NULL) {
		fail_memory(c);
		return;
	}
	LIST_INSERT_HEAD(&c->prepared, p, link);
	c->names++;
	reply_empty(&c->out, '1');
}

/* --- Bind --- */

/* Codes of 0 and 1, counted. False: malformed. */
static bool read_formats(struct reader *r, struct formats *out)
{
	uint16_t count, code;

	if (!reader_u16(r, &count) || reader_left(r) < 2u * count)
		return false;
	out->count = count;
	out->at = calloc(count + 1u, 1);
	for (size_t i = 0; out->at != NULL && i < count; i++) {
		if (!reader_u16(r, &code) || code > 1)
			return false;
		out->at[i] = (uint8_t)code;
	}
	return true;
}

/* Formats and values of parameters: there must be no values. */
static bool bind_takes_nothing(struct console *c, struct reader *r)
{
	struct formats ignored = { 0 };
	uint16_t values;
	bool ok = read_formats(r, &ignored) && reader_u16(r, &values);

	free(ignored.at);
	if (!ok)
		fail_malformed(c);
	else if (values > 0)
		fail(c, SQLSTATE_PROTOCOL_VIOLATION, "console commands take no parameters");
	return ok && values == 0;
}

/* NULL: out of memory. Takes over formats' memory. */
static struct portal *make_portal(const char *name, const struct prepared *from,
                                  struct formats *formats)
{
	struct portal *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->name = strdup(name);
	p->sql = strdup(from->sql);
	p->columns = from->columns;
	p->column_count = from->column_count;
	if (p->name == NULL || p->sql == NULL || formats->at == NULL) {
		free(p->name);
		free(p->sql);
		free(p);
		return NULL;
	}
	p->formats = *formats;
	formats->at = NULL;
	return p;
}

static void bind_portal(struct console *c, const char *name, const struct prepared *from,
                        struct formats *formats)
{
	struct portal *p;

	if (formats->count > 1 && formats->count != from->column_count) {
		fail(c, SQLSTATE_PROTOCOL_VIOLATION,
		     "as many result formats as columns are needed");
		return;
	}
	if (c->names >= CONSOLE_NAMES_MAX) {
		fail(c, SQLSTATE_OUT_OF_MEMORY, "too many prepared statements and portals");
		return;
	}
	if ((p = make_portal(name, from, formats)) == NULL) {
		fail_memory(c);
		return;
	}
	LIST_INSERT_HEAD(&c->portals, p, link);
	c->names++;
	reply_empty(&c->out, '2');
}

static void take_bind(struct console *c, struct reader *r)
{
	struct formats formats = { 0 };
	struct bytes name, statement;
	const struct prepared *from;

	if (!reader_str(r, &name) || !reader_str(r, &statement)) {
		fail_malformed(c);
		return;
	}
	if (!bind_takes_nothing(c, r))
		return;
	if (name.len == 0)
		drop_portal(c, find_portal(c, ""));
	if ((from = find_prepared(c, (const char *)statement.at)) == NULL)
		fail(c, SQLSTATE_INVALID_SQL_STATEMENT_NAME, "prepared statement does not exist");
	else if (find_portal(c, (const char *)name.at) != NULL)
		fail(c, SQLSTATE_DUPLICATE_CURSOR, "portal already exists");
	else if (!read_formats(r, &formats))
		fail_malformed(c);
	else
		bind_portal(c, (const char *)name.at, from, &formats);
	free(formats.at);
}

/* --- Describe --- */

static void describe_columns(struct console *c, const struct column *columns, size_t count,
                             const struct formats *formats)
{
	if (columns == NULL)
		reply_empty(&c->out, 'n');
	else
		reply_columns(&c->out, columns, count, formats);
}

static void describe_statement(struct console *c, const char *name)
{
	const struct prepared *p = find_prepared(c, name);

	if (p == NULL) {
		fail(c, SQLSTATE_INVALID_SQL_STATEMENT_NAME, "prepared statement does not exist");
		return;
	}
	reply_no_parameters(&c->out);
	describe_columns(c, p->columns, p->column_count, NULL);
}

static void describe_portal(struct console *c, const char *name)
{
	const struct portal *p = find_portal(c, name);

	if (p == NULL)
		fail(c, SQLSTATE_INVALID_CURSOR_NAME, "portal does not exist");
	else
		describe_columns(c, p->columns, p->column_count, &p->formats);
}

static void take_describe(struct console *c, struct reader *r)
{
	struct bytes name;
	uint8_t kind;

	if (!reader_u8(r, &kind) || !reader_str(r, &name))
		fail_malformed(c);
	else if (kind == 'S')
		describe_statement(c, (const char *)name.at);
	else if (kind == 'P')
		describe_portal(c, (const char *)name.at);
	else
		fail_malformed(c);
}

/* --- Execute --- */

/* What is left of the portal's rows, as many as asked for. */
static void deliver(struct console *c, struct portal *p)
{
	if (p->result.columns != NULL)
		reply_rows(&c->out, &p->result, &p->formats, &p->at, c->execute_max);
	if (p->at < p->result.rows.len) {
		reply_empty(&c->out, 's');
		return;
	}
	reply_complete(&c->out, &p->result);
	p->result.notice = NULL; /* told once */
}

void extended_result(struct console *c, struct result *r)
{
	struct portal *p = c->executing;

	c->executing = NULL;
	if (r->sqlstate != NULL) {
		reply_error(&c->out, r->sqlstate, r->message.text,
		            r->detail.len > 0 ? (const char *)r->detail.at : NULL);
		c->skipping = true;
		return;
	}
	p->result = *r;
	r->rows = r->detail = (struct buf){ 0 };
	p->begun = true;
	deliver(c, p);
}

static void take_execute(struct session *s, struct reader *r)
{
	struct console *c = s->console;
	struct bytes name;
	struct portal *p;
	const char *sql;
	uint32_t max;

	if (!reader_str(r, &name) || !reader_u32(r, &max)) {
		fail_malformed(c);
		return;
	}
	if ((p = find_portal(c, (const char *)name.at)) == NULL) {
		fail(c, SQLSTATE_INVALID_CURSOR_NAME, "portal does not exist");
		return;
	}
	c->execute_max = max > INT32_MAX ? 0 : max;
	if (p->begun) {
		deliver(c, p);
	} else if (console_is_empty(p->sql)) {
		reply_empty(&c->out, 'I');
	} else {
		c->executing = p;
		sql = p->sql;
		if (!console_begin(s, &sql)) {
			c->executing = NULL;
			c->skipping = true;
		}
	}
}

/* --- Close --- */

static void take_close(struct console *c, struct reader *r)
{
	struct bytes name;
	uint8_t kind;

	if (!reader_u8(r, &kind) || !reader_str(r, &name) || (kind != 'S' && kind != 'P')) {
		fail_malformed(c);
		return;
	}
	if (kind == 'S')
		drop_prepared(c, find_prepared(c, (const char *)name.at));
	else
		drop_portal(c, find_portal(c, (const char *)name.at));
	reply_empty(&c->out, '3');
}

void extended_message(struct session *s, char type, struct bytes body)
{
	struct console *c = s->console;
	struct reader r = reader_of(body);

	switch (type) {
	case 'P':
		take_parse(c, &r);
		break;
	case 'B':
		take_bind(c, &r);
		break;
	case 'D':
		take_describe(c, &r);
		break;
	case 'E':
		take_execute(s, &r);
		break;
	case 'C':
		take_close(c, &r);
		break;
	case 'S': /* the implicit transaction ends, and its portals with it */
		c->skipping = false;
		drop_portals(c);
		break;
	default: /* Flush: everything goes out at once anyway */
		break;
	}
}
