#include "probes_priv.h"

#include <string.h>
#include <strings.h>

#include "pgseal/admin/console.h"
#include "pgseal/wire/message.h"

/* name that the column has, words that ask for it, value; those that the greeting reports too are
 * the same there */
#define PROBE_TABLE(X)                                                                        \
	X("application_name", "application_name", "")                                         \
	X("client_encoding", "client_encoding", "UTF8")                                       \
	X("client_min_messages", "client_min_messages", "notice")                             \
	X("DateStyle", "datestyle", "ISO")                                                    \
	X("default_transaction_isolation", "default_transaction_isolation", "read committed") \
	X("default_transaction_read_only", "default_transaction_read_only", "off")            \
	X("extra_float_digits", "extra_float_digits", "1")                                    \
	X("in_hot_standby", "in_hot_standby", "off")                                          \
	X("integer_datetimes", "integer_datetimes", "on")                                     \
	X("IntervalStyle", "intervalstyle", "postgres")                                       \
	X("is_superuser", "is_superuser", "on")                                               \
	X("lock_timeout", "lock_timeout", "0")                                                \
	X("max_identifier_length", "max_identifier_length", "63")                             \
	X("search_path", "search_path", "")                                                   \
	X("server_encoding", "server_encoding", "UTF8")                                       \
	X("server_version", "server_version", "1.26.0/pgseal")                                \
	X("standard_conforming_strings", "standard_conforming_strings", "on")                 \
	X("statement_timeout", "statement_timeout", "0")                                      \
	X("TimeZone", "timezone", "GMT")                                                      \
	X("TimeZone", "time zone", "GMT")                                                     \
	X("transaction_isolation", "transaction_isolation", "read committed")                 \
	X("transaction_isolation", "transaction isolation level", "read committed")           \
	X("transaction_read_only", "transaction_read_only", "off")

/* functions, the column's name as PostgreSQL chooses it, value */
#define FUNCTION_TABLE(X)                                            \
	X("version", "version", view_version_text)                        \
	X("current_database", "current_database", CONSOLE_DATABASE)  \
	X("current_schema", "current_schema", "pgseal")              \
	X("pg_is_in_recovery", "pg_is_in_recovery", "f")

static void get_value(struct cell *out, const struct row *row)
{
	out->text = row->value;
}

static const struct column columns[] = {
#define X(name, words, value) { name, TYPE_TEXT, get_value },
	PROBE_TABLE(X)
#undef X
#define X(words, name, value) { name, TYPE_TEXT, get_value },
	FUNCTION_TABLE(X)
#undef X
};

static const struct {
	const char *words, *value;
} probes[] = {
#define X(name, words, value) { words, value },
	PROBE_TABLE(X)
#undef X
#define X(words, name, value) { words, value },
	FUNCTION_TABLE(X)
#undef X
};
#define X(a, b, c) +1
enum { PARAMETERS = 0 PROBE_TABLE(X), ALL = PARAMETERS FUNCTION_TABLE(X) };
#undef X

static bool take(struct action *a, size_t i)
{
	a->probe = i;
	a->columns = &columns[i];
	a->column_count = 1;
	return true;
}

void probes_run(struct request *rq, struct session *s)
{
	view_row(rq, &(struct row){ .value = probes[rq->action.probe].value });
	rq->result.tag = rq->action.probe < PARAMETERS ? "SHOW" : "SELECT 1";
	console_done(rq, s);
}

/* --- SHOW --- */

bool probes_is_parameter(const struct statement *st, struct action *a)
{
	for (size_t i = 0; i < PARAMETERS; i++) {
		size_t n = statement_begins(st, a->first_arg, probes[i].words);

		if (n > 0 && a->first_arg + n == st->count)
			return take(a, i);
	}
	return false;
}

/* --- SELECT --- */

static bool is_sign(const struct token *t, char c)
{
	return t->kind == TOKEN_SIGN && t->text[0] == c;
}

/* A name, with or without its schema, and empty parentheses. */
bool probes_is_function(const struct statement *st, struct action *a)
{
	const struct token *t = &st->token[a->first_arg];
	const char *name;

	if (st->count - a->first_arg != 3 || t[0].kind != TOKEN_WORD || !is_sign(&t[1], '(') ||
	    !is_sign(&t[2], ')'))
		return false;
	name = t[0].text + (strncasecmp(t[0].text, "pg_catalog.", 11) == 0 ? 11 : 0);
	for (size_t i = PARAMETERS; i < ALL; i++) {
		if (strcasecmp(probes[i].words, name) == 0)
			return take(a, i);
	}
	return false;
}

bool probes_is_ping(const struct statement *st, struct action *a)
{
	static const struct column column = { "?column?", TYPE_INT4, get_value };
	const struct token *t = &st->token[a->first_arg];

	a->columns = &column;
	a->column_count = 1;
	return st->count - a->first_arg == 1 && t->kind == TOKEN_WORD && strlen(t->text) < 10 &&
	       t->text[strspn(t->text, "0123456789")] == '\0';
}

void probes_ping(struct request *rq, struct session *s)
{
	view_row(rq, &(struct row){ .value = request_arg(rq, 0) });
	rq->result.tag = "SELECT 1";
	console_done(rq, s);
}

/* --- SET --- */

static bool is_probe(const char *name)
{
	for (size_t i = 0; i < PARAMETERS; i++) {
		if (strcasecmp(columns[i].name, name) == 0)
			return true;
	}
	return false;
}

/* "SESSION" and the like before the name; the forms with words of their own. */
static bool is_harmless(const struct statement *st, size_t *name)
{
	*name = 1 + statement_begins(st, 1, "SESSION") + statement_begins(st, 1, "LOCAL");
	return statement_begins(st, *name, "TIME ZONE") > 0 ||
	       statement_begins(st, *name, "NAMES") > 0 ||
	       statement_begins(st, *name, "CHARACTERISTICS AS TRANSACTION") > 0 ||
	       (*name < st->count && is_probe(st->token[*name].text));
}

void probes_set(struct request *rq, struct session *s)
{
	const struct statement *st = &rq->statement;
	size_t name;

	rq->result.tag = "SET";
	if (is_harmless(st, &name)) {
		console_done(rq, s);
		return;
	}
	if (name >= st->count)
		request_fail(rq, SQLSTATE_SYNTAX_ERROR, "SET needs a parameter's name");
	else
		request_fail(rq, SQLSTATE_UNDEFINED_OBJECT,
		             "unrecognized configuration parameter \"%s\"", st->token[name].text);
	console_done(rq, s);
}
