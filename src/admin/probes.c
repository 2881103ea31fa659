#include "probes_priv.h"

#include <string.h>
#include <strings.h>

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

static void get_value(struct cell *out, const struct row *row)
{
	out->text = row->value;
}

static const struct column probe_columns[] = {
#define X(name, words, value) { name, TYPE_TEXT, get_value },
	PROBE_TABLE(X)
#undef X
};

static const struct {
	const char *words, *value;
} probes[] = {
#define X(name, words, value) { words, value },
	PROBE_TABLE(X)
#undef X
};
#define PROBES (sizeof(probes) / sizeof(*probes))

/* --- SHOW --- */

bool probes_find(const struct statement *st, size_t first, struct action *action)
{
	for (size_t i = 0; i < PROBES; i++) {
		size_t n = statement_begins(st, first, probes[i].words);

		if (n > 0 && first + n == st->count) {
			action->probe = i;
			action->columns = &probe_columns[i];
			action->column_count = 1;
			return true;
		}
	}
	return false;
}

void probes_show(struct request *rq, struct session *s)
{
	view_row(rq, &(struct row){ .value = probes[rq->action.probe].value });
	rq->result.tag = "SHOW";
	console_done(rq, s);
}

/* --- SELECT 1 --- */

const struct column probes_ping_column = { "?column?", TYPE_INT4, get_value };

bool probes_is_ping(const struct statement *st)
{
	return statement_begins(st, 0, "SELECT") > 0 && st->count == 2 &&
	       st->token[1].kind == TOKEN_WORD && strlen(st->token[1].text) < 10 &&
	       st->token[1].text[strspn(st->token[1].text, "0123456789")] == '\0';
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
	for (size_t i = 0; i < PROBES; i++) {
		if (strcasecmp(probe_columns[i].name, name) == 0)
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
	else if (settings_find(st->token[name].text) != NULL)
		request_fail(rq, SQLSTATE_FEATURE_NOT_SUPPORTED,
		             "settings are changed in the configuration file, and by RELOAD");
	else
		request_fail(rq, SQLSTATE_UNDEFINED_OBJECT,
		             "unrecognized configuration parameter \"%s\"", st->token[name].text);
	console_done(rq, s);
}
