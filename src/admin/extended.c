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

static struct named *find(struct console *c, char kind, const char *name)
{
	struct named *n;

	LIST_FOREACH(n, &c->names, link) {
		if (n->kind == kind && strcmp(n->name, name) == 0)
			break;
	}
	return n;
}

/* The same, missed when it is not there. */
static struct named *need(struct console *c, char kind, const char *name)
{
	struct named *n = find(c, kind, name);

	if (n == NULL && kind == 'S')
		fail(c, SQLSTATE_INVALID_SQL_STATEMENT_NAME, "prepared statement does not exist");
	else if (n == NULL)
		fail(c, SQLSTATE_INVALID_CURSOR_NAME, "portal does not exist");
	return n;
}

static void named_free(struct named *n)
{
	free(n->name);
	free(n->sql);
	free(n->formats.at);
	result_free(&n->result);
	free(n);
}

static void drop(struct console *c, struct named *n)
{
	if (n == NULL)
		return;
	LIST_REMOVE(n, link);
	c->name_count--;
	named_free(n);
}

/* The unnamed one makes room for the next of its kind, others must be closed before. */
static bool make_room(struct console *c, char kind, const char *name)
{
	if (*name == '\0')
		drop(c, find(c, kind, name));
	if (find(c, kind, name) == NULL)
		return true;
	if (kind == 'S')
		fail(c, SQLSTATE_DUPLICATE_PSTATEMENT, "prepared statement already exists");
	else
		fail(c, SQLSTATE_DUPLICATE_CURSOR, "portal already exists");
	return false;
}

/* NULL: the error has been written. */
static struct named *make(struct console *c, char kind, const char *name, const char *sql)
{
	struct named *n;

	if (c->name_count >= CONSOLE_NAMES_MAX) {
		fail(c, SQLSTATE_OUT_OF_MEMORY, "too many prepared statements and portals");
		return NULL;
	}
	if ((n = calloc(1, sizeof(*n))) != NULL) {
		n->kind = kind;
		n->name = strdup(name);
		n->sql = strdup(sql);
	}
	if (n == NULL || n->name == NULL || n->sql == NULL) {
		if (n != NULL)
			named_free(n);
		fail_memory(c);
		return NULL;
	}
	LIST_INSERT_HEAD(&c->names, n, link);
	c->name_count++;
	return n;
}

void extended_drop_unnamed(struct console *c)
{
	drop(c, find(c, 'S', ""));
	drop(c, find(c, 'P', ""));
}

/* Of one kind, or all. */
static void drop_all(struct console *c, const char *kinds)
{
	struct named *n, *next;

	for (n = LIST_FIRST(&c->names); n != NULL; n = next) {
		next = LIST_NEXT(n, link);
		if (strchr(kinds, n->kind) != NULL)
			drop(c, n);
	}
}

void extended_free(struct console *c)
{
	drop_all(c, "PS");
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

/* Types of parameters may be told; there are none, whatever their types. */
static void take_parse(struct console *c, struct reader *r)
{
	struct bytes name, sql;
	struct action action;
	struct named *n;

	if (!reader_str(r, &name) || !reader_str(r, &sql)) {
		fail_malformed(c);
		return;
	}
	if (!make_room(c, 'S', (const char *)name.at) ||
	    !understand(c, (const char *)sql.at, &action) ||
	    (n = make(c, 'S', (const char *)name.at, (const char *)sql.at)) == NULL)
		return;
	n->columns = action.columns;
	n->column_count = action.column_count;
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

/* Takes over formats' memory. */
static void bind_portal(struct console *c, const char *name, const struct named *from,
                        struct formats *formats)
{
	struct named *n;

	if (formats->count > 1 && formats->count != from->column_count) {
		fail(c, SQLSTATE_PROTOCOL_VIOLATION,
		     "as many result formats as columns are needed");
		return;
	}
	if ((n = make(c, 'P', name, from->sql)) == NULL)
		return;
	n->columns = from->columns;
	n->column_count = from->column_count;
	n->formats = *formats;
	formats->at = NULL;
	reply_empty(&c->out, '2');
}

static void take_bind(struct console *c, struct reader *r)
{
	struct formats formats = { 0 };
	struct bytes name, statement;
	const struct named *from;

	if (!reader_str(r, &name) || !reader_str(r, &statement)) {
		fail_malformed(c);
		return;
	}
	if (!bind_takes_nothing(c, r) || !make_room(c, 'P', (const char *)name.at) ||
	    (from = need(c, 'S', (const char *)statement.at)) == NULL)
		return;
	if (!read_formats(r, &formats))
		fail_malformed(c);
	else if (formats.at == NULL)
		fail_memory(c);
	else
		bind_portal(c, (const char *)name.at, from, &formats);
	free(formats.at);
}

/* --- Describe --- */

/* A kind and a name. False: malformed, the error has been written. */
static bool read_kind(struct console *c, struct reader *r, char *kind, const char **name)
{
	struct bytes text;
	uint8_t byte;

	if (!reader_u8(r, &byte) || !reader_str(r, &text) || (byte != 'S' && byte != 'P')) {
		fail_malformed(c);
		return false;
	}
	*kind = (char)byte;
	*name = (const char *)text.at;
	return true;
}

static void take_describe(struct console *c, struct reader *r)
{
	const struct named *n;
	const char *name;
	char kind;

	if (!read_kind(c, r, &kind, &name) || (n = need(c, kind, name)) == NULL)
		return;
	if (kind == 'S')
		reply_no_parameters(&c->out);
	if (n->columns == NULL)
		reply_empty(&c->out, 'n');
	else /* a statement has no formats yet: text is told */
		reply_columns(&c->out, n->columns, n->column_count, &n->formats);
}

/* --- Execute --- */

/* What is left of the portal's rows, as many as asked for. */
static void deliver(struct console *c, struct named *p)
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
	struct named *p = c->executing;

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

static void execute(struct session *s, struct named *p)
{
	struct console *c = s->console;
	const char *sql = p->sql;

	if (p->begun) {
		deliver(c, p);
	} else if (console_is_empty(sql)) {
		reply_empty(&c->out, 'I');
	} else {
		c->executing = p;
		if (!console_begin(s, &sql)) {
			c->executing = NULL;
			c->skipping = true;
		}
	}
}

static void take_execute(struct session *s, struct reader *r)
{
	struct console *c = s->console;
	struct bytes name;
	struct named *p;
	uint32_t max;

	if (!reader_str(r, &name) || !reader_u32(r, &max)) {
		fail_malformed(c);
		return;
	}
	if ((p = need(c, 'P', (const char *)name.at)) == NULL)
		return;
	c->execute_max = max > INT32_MAX ? 0 : max;
	execute(s, p);
}

/* --- Close --- */

static void take_close(struct console *c, struct reader *r)
{
	const char *name;
	char kind;

	if (!read_kind(c, r, &kind, &name))
		return;
	drop(c, find(c, kind, name));
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
		drop_all(c, "P");
		break;
	default: /* Flush: everything goes out at once anyway */
		break;
	}
}
