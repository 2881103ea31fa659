#include "control_commands_priv.h"

#include <string.h>
#include <strings.h>

#include "pgseal/base/log.h"
#include "pgseal/wire/message.h"

#define SQLSTATE_CANT_CHANGE_NOW "55P02" /* cant_change_runtime_param */

void command_control(struct request *rq, struct session *s)
{
	log_info(LOG_CONSOLE, s->id, "%s: by=\"%s\"", rq->action.command->words,
	         quote_str(s->identity->label).s);
	rq->control.limit = -1;
	request_control(rq, s, (enum control_kind)rq->action.command->option);
}

void command_drain(struct request *rq, struct session *s)
{
	const char *limit = request_arg(rq, 0);

	rq->control.limit = -1;
	if (limit != NULL && parse_duration(limit, &rq->control.limit) != ERR_OK) {
		request_fail(rq, SQLSTATE_INVALID_PARAMETER_VALUE,
		             "\"%s\" is not a time such as 15, 1.5s, 100ms, 2h",
		             quote_str(limit).s);
		console_done(rq, s);
		return;
	}
	log_info(LOG_CONSOLE, s->id, "SHUTDOWN DRAIN: by=\"%s\"", quote_str(s->identity->label).s);
	request_control(rq, s, CONTROL_SHUTDOWN_WAIT_FOR_SERVERS);
}

/* --- SET --- */

/* In any case, as PostgreSQL takes parameters. NULL: none of ours. */
static const struct setting *find_setting(const char *name)
{
	for (size_t i = 0; i < settings_count; i++) {
		if (strcasecmp(settings_table[i].name, name) == 0)
			return &settings_table[i];
	}
	return NULL;
}

bool control_is_setting(const struct statement *st, struct action *a)
{
	return a->first_arg < st->count && find_setting(st->token[a->first_arg].text) != NULL;
}

/* Behind the name: "=" or TO, and one value. NULL: something else. */
static const char *find_value(const struct request *rq)
{
	const struct statement *st = &rq->statement;
	const struct token *t = &st->token[rq->action.first_arg + 1];

	if (st->count != rq->action.first_arg + 3 || t[1].kind == TOKEN_SIGN ||
	    (statement_begins(st, rq->action.first_arg + 1, "TO") == 0 &&
	     (t[0].kind != TOKEN_SIGN || t[0].text[0] != '=')))
		return NULL;
	return t[1].text;
}

void command_set(struct request *rq, struct session *s)
{
	const struct setting *row = find_setting(request_arg(rq, 0));
	const char *value = find_value(rq);

	rq->result.tag = "SET";
	if (value == NULL) {
		request_fail(rq, SQLSTATE_SYNTAX_ERROR,
		             "usage: SET %s = <value>; a value that is more than a word or number "
		             "goes in single quotes",
		             row->name);
	} else if (row->apply != APPLY_RELOAD) {
		request_fail(rq, SQLSTATE_CANT_CHANGE_NOW,
		             "%s cannot be changed without a restart", row->name);
	} else {
		log_info(LOG_CONSOLE, s->id, "set: by=\"%s\" %s=\"%s\"",
		         quote_str(s->identity->label).s, row->name, quote_str(value).s);
		rq->control.setting = row;
		rq->control.value = value;
		request_control(rq, s, CONTROL_SET);
		return;
	}
	console_done(rq, s);
}

/* --- what there is not --- */

void command_refused(struct request *rq, struct session *s)
{
	request_fail(rq, SQLSTATE_FEATURE_NOT_SUPPORTED, "%s is not supported",
	             rq->action.command->words);
	request_detail(rq, rq->action.command->help);
	console_done(rq, s);
}
