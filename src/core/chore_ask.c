/* What servers that idle are asked: whether they live, what has changed, how they spell what a client asks for. */
#include "chore_priv.h"

#include <string.h>
#include <strings.h>

#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/message.h"

/* ---- whether it lives, and what has changed ---- */

bool chore_check_due(const struct server *srv)
{
	const struct settings *s = &srv->pool->worker->site->settings;

	return s->server_check_query[0] != '\0' &&
	       loop_now(srv->pool->worker->loop) - srv->since > s->server_check_delay;
}

static void ask(struct server *srv, enum chore chore, const char *query)
{
	enum err rc;

	server_set_state(srv, SERVER_CLEANING);
	if ((rc = server_query(srv, chore, query)) == ERR_OK)
		rc = chore_arm_deadline(srv);
	if (rc != ERR_OK)
		server_close(srv, err_text(rc));
}

void chore_check(struct server *srv)
{
	const char *query = srv->pool->worker->site->settings.server_check_query;

	ask(srv, CHORE_CHECK, strcmp(query, "<empty>") == 0 ? "" : query);
}

/* Whatever it has to report comes with the answer to the next command; of what a client has set, after a reset. */
void chore_ask(struct server *srv)
{
	struct params *none = pool_greeting_hidden(srv) ? params_none(srv->pool->worker->params)
	                                                : NULL;

	if (none != NULL)
		server_set_in_force(srv, none);
	ask(srv, CHORE_CHECK, none != NULL ? "RESET ROLE; RESET ALL" : "");
}

/* ---- how it spells what a client asks for ---- */

static const char *name_of(const struct server *srv)
{
	return (const char *)srv->spelling.at;
}

static const char *value_of(const struct server *srv)
{
	return name_of(srv) + strlen(name_of(srv)) + 1;
}

#define ASK_BEGIN                                                                          \
	"SET TRANSACTION ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE; "                 \
	"SELECT pg_catalog.length(pg_catalog.set_config('client_encoding', "               \
	"pg_catalog.getdatabaseencoding(), true)), pg_catalog.length(pg_catalog.set_config("
#define ASK_RESET                                                                          \
	", (SELECT reset_val FROM pg_catalog.pg_settings WHERE pg_catalog.lower(name) "    \
	"OPERATOR(pg_catalog.=) pg_catalog.lower("
#define ASK_SET ")), true)), pg_catalog.encode(pg_catalog.convert_to(pg_catalog.set_config("
#define ASK_END ", true), pg_catalog.getdatabaseencoding()), 'hex')"

/* As in a new session: whatever has been set there is led back first, as DateStyle is completed by what was in force; and
 * an error is told in the encoding that the value has. Of what is set nothing outlives the query. */
static enum err put_question(struct buf *sql, const char *name, const char *value)
{
	static const char *const parts[] = { ASK_BEGIN, ASK_RESET, ASK_SET, ", ", ASK_END };
	const char *const literals[] = { name, name, name, value };
	enum err rc = ERR_OK;
	size_t i;

	for (i = 0; rc == ERR_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
		rc = buf_append(sql, parts[i], strlen(parts[i]));
		if (rc == ERR_OK && i < sizeof(literals) / sizeof(literals[0]))
			rc = params_literal(sql, literals[i]);
	}
	return rc == ERR_OK ? buf_append(sql, "", 1) : rc;
}

#define COLUMNS 3

void chore_spell(struct server *srv, const char *name, const char *value)
{
	struct buf sql = { 0 };
	enum err rc = put_question(&sql, name, value);

	buf_free(&srv->spelling);
	srv->spelling_noted = false;
	srv->spelling_age = spellings_age(route_spellings(srv->route));
	if (rc == ERR_OK)
		rc = buf_append(&srv->spelling, name, strlen(name) + 1);
	if (rc == ERR_OK)
		rc = buf_append(&srv->spelling, value, strlen(value) + 1);
	if (rc == ERR_OK)
		ask(srv, CHORE_SPELL, (const char *)sql.at);
	else
		server_close(srv, err_text(rc));
	buf_free(&sql);
}

bool chore_spells(const struct server *srv, const char *name, const char *value)
{
	return srv->chore == CHORE_SPELL && strcmp(name_of(srv), name) == 0 &&
	       strcmp(value_of(srv), value) == 0;
}

bool chore_spells_name(const struct server *srv, const char *name)
{
	return srv->chore == CHORE_SPELL && strcasecmp(name_of(srv), name) == 0;
}

/* The first that comes; and none of a server that is to be replaced by another. */
static void note(struct server *srv, enum spelling how, const struct buf *text)
{
	if (!srv->spelling_noted && srv->stale == NULL)
		spellings_add(route_spellings(srv->route), srv->spelling_age, name_of(srv),
		              value_of(srv), how, (struct bytes){ text->at, text->len },
		              loop_now(srv->pool->worker->loop));
	srv->spelling_noted = true;
}

void chore_spells_no_more(struct server *srv)
{
	static const struct buf nothing = { 0 };

	if (srv->chore == CHORE_SPELL)
		note(srv, SPELLING_UNSEEN, &nothing);
}

static enum err note_shown(struct server *srv, struct bytes row)
{
	struct bytes columns[COLUMNS];
	struct buf shown = { 0 };
	enum err rc = message_read_row(row, columns, COLUMNS);

	if (rc == ERR_OK)
		rc = buf_append(&shown, columns[COLUMNS - 1].at, columns[COLUMNS - 1].len);
	if (rc == ERR_OK)
		rc = buf_append(&shown, "", 1);
	if (rc == ERR_OK && !bytes_unhex((char *)shown.at))
		rc = ERR_WIRE_FORMAT;
	if (rc == ERR_OK) {
		shown.len = strlen((const char *)shown.at) + 1;
		note(srv, SPELLING_SHOWN, &shown);
	}
	buf_free(&shown);
	return rc;
}

/* About the value: others are about our question, or pass. */
static bool is_refusal(struct bytes sqlstate)
{
	static const char *const states[] = { SQLSTATE_INVALID_PARAMETER_VALUE,
		                              SQLSTATE_FEATURE_NOT_SUPPORTED,
		                              SQLSTATE_CANT_CHANGE_RUNTIME_PARAM };
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (bytes_equal(sqlstate, bytes_of(states[i])))
			return true;
	return false;
}

static enum err note_error(struct server *srv, struct bytes body)
{
	struct message_error_view view;
	struct buf words = { 0 };
	enum err rc = message_read_error(body, &view);
	const struct bytes fields[] = { view.sqlstate, view.message, view.detail, view.hint };
	size_t i;

	/* Whatever else it is, the end of the answer says that there was none. */
	if (rc != ERR_OK || !is_refusal(view.sqlstate))
		return rc;
	for (i = 0; rc == ERR_OK && i < sizeof(fields) / sizeof(fields[0]); i++) {
		rc = buf_append(&words, fields[i].at, fields[i].len);
		if (rc == ERR_OK)
			rc = buf_append(&words, "", 1);
	}
	if (rc == ERR_OK)
		note(srv, SPELLING_REFUSED, &words);
	buf_free(&words);
	return rc;
}

enum chore_next chore_spell_message(struct server *srv, char type, const uint8_t *body, size_t len)
{
	enum err rc = ERR_OK;

	if ((type == 'D' || type == 'E') && body == NULL)
		return CHORE_FAILED;
	if (type == 'D')
		rc = note_shown(srv, (struct bytes){ body, len });
	else if (type == 'E')
		rc = note_error(srv, (struct bytes){ body, len });
	if (rc != ERR_OK || (type == 'Z' && body[0] != 'I'))
		return CHORE_FAILED;
	if (type == 'Z')
		chore_spells_no_more(srv);
	return type == 'Z' ? CHORE_DONE : CHORE_GO_ON;
}
