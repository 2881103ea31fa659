#include "pgseal/admin/commands.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/wire/message.h"
#include "control_commands_priv.h"
#include "pool_commands_priv.h"
#include "probes_priv.h"
#include "request_priv.h"

static void command_show(struct request *rq, struct session *s);
static void command_help(struct request *rq, struct session *s);

/* --- the table --- */

#define ANY_ARGS STATEMENT_TOKENS
#define SHOW(what, view_, help_)                                                         \
	{ .words = "SHOW " what, .args = "", .right = CONSOLE_STATS, .run = command_show, \
	  .view = &view_, .help = help_ }
#define CONTROL(words_, kind, help_)                                                    \
	{ .words = words_, .args = "", .right = CONSOLE_ADMIN, .run = command_control,      \
	  .option = kind, .help = help_ }

const struct command commands_table[] = {
	{ .words = "SHOW HELP", .args = "", .right = CONSOLE_STATS, .run = command_help,
	  .help = "This list." },
	SHOW("VERSION", view_version, "Version of this program."),
	SHOW("CONFIG", view_config, "Settings in force."),
	SHOW("DATABASES", view_databases, "Entries of [databases] and what uses them."),
	SHOW("POOLS", view_pools, "Clients and servers of each database and role."),
	SHOW("CLIENTS", view_clients, "Client connections."),
	SHOW("CLIENTS EXTENDED", view_clients_extended, "The same, with certificates."),
	SHOW("SERVERS", view_servers, "Server connections."),
	SHOW("SERVERS EXTENDED", view_servers_extended, "The same, with certificates."),
	SHOW("SOCKETS", view_sockets, "Both, with the state of their buffers."),
	SHOW("ACTIVE_SOCKETS", view_active_sockets, "Those that are at something."),
	SHOW("STATS", view_stats, "Counters of each database."),
	SHOW("STATS_TOTALS", view_stats_totals, "Counters since the start."),
	SHOW("STATS_AVERAGES", view_stats_averages, "Averages of the last stats_period."),
	SHOW("TOTALS", view_totals, "Counters of all databases together."),
	SHOW("LISTS", view_lists, "How many there are of what."),
	SHOW("STATE", view_state, "Active, paused?"),
	SHOW("USERS", view_users, "Roles and what uses them."),
	SHOW("IDENTITIES", view_identities, "Rules that say which certificate is whom."),
	{ .words = "SHOW MAP", .args = "'<type>:<name>', ...", .right = CONSOLE_STATS,
	  .min_args = 1, .max_args = ANY_ARGS, .run = command_show, .view = &view_map,
	  .help = "Whom a certificate with these names would be." },
	SHOW("TLS", view_tls, "Files of certificates and keys in force."),
	SHOW("ERRORS", view_errors, "What has gone wrong, by kind, the latest first."),
	SHOW("PINS", view_pins, "Server connections that sessions keep, and why."),
	SHOW("MEM", view_mem, "Memory of connections and pools, and of the process."),
	SHOW("DNS_HOSTS", view_dns_hosts, "Host names of servers, and where they have led."),
	SHOW("DNS_ZONES", view_dns_zones, "None: zones are not watched."),
	SHOW("PEERS", view_peers, "None: one process serves all cores."),
	SHOW("PEER_POOLS", view_peer_pools, "None."),
	{ .words = "SHOW", .args = "<parameter>", .right = CONSOLE_STATS, .max_args = ANY_ARGS,
	  .fits = probes_is_parameter, .run = probes_run,
	  .help = "Session parameters that drivers ask for." },
	{ .words = "SELECT", .args = "1", .right = CONSOLE_STATS, .max_args = ANY_ARGS,
	  .fits = probes_is_ping, .run = probes_ping, .help = "Is anybody there?" },
	{ .words = "SELECT", .args = "version()", .right = CONSOLE_STATS, .max_args = ANY_ARGS,
	  .fits = probes_is_function, .run = probes_run,
	  .help = "Functions that drivers ask for when they connect." },
	{ .words = "SET", .args = "<setting> = <value>", .right = CONSOLE_ADMIN, .min_args = 1,
	  .max_args = ANY_ARGS, .fits = control_is_setting, .run = command_set,
	  .help = "Change a setting until the next RELOAD." },
	{ .words = "SET", .args = "<parameter> = <value>", .right = CONSOLE_STATS, .min_args = 1,
	  .max_args = ANY_ARGS, .run = probes_set,
	  .help = "Session parameters that drivers set; without effect." },
	CONTROL("RELOAD", CONTROL_RELOAD, "Read the configuration and put it into force."),
	{ .words = "PAUSE", .args = "[<db>]", .right = CONSOLE_ADMIN, .max_args = 1,
	  .run = command_pause, .help = "Lend no servers; returns when none is lent any more." },
	{ .words = "RESUME", .args = "[<db>]", .right = CONSOLE_ADMIN, .max_args = 1,
	  .run = command_resume, .help = "End a PAUSE." },
	{ .words = "DISABLE", .args = "<db>", .right = CONSOLE_ADMIN, .min_args = 1, .max_args = 1,
	  .run = command_disable, .help = "Let no new clients of it in." },
	{ .words = "ENABLE", .args = "<db>", .right = CONSOLE_ADMIN, .min_args = 1, .max_args = 1,
	  .run = command_enable, .help = "End a DISABLE." },
	{ .words = "RECONNECT", .args = "[<db>]", .right = CONSOLE_ADMIN, .max_args = 1,
	  .run = command_reconnect, .help = "Replace the servers as they come free." },
	{ .words = "WAIT_CLOSE", .args = "[<db>]", .right = CONSOLE_ADMIN, .max_args = 1,
	  .run = command_wait_close,
	  .help = "Return when the servers that are to be replaced now are gone." },
	{ .words = "KILL", .args = "[<db>]", .right = CONSOLE_ADMIN, .max_args = 1,
	  .run = command_kill, .help = "Close all clients and servers of it." },
	{ .words = "KILL USER", .args = "<role>", .right = CONSOLE_ADMIN, .min_args = 1,
	  .max_args = 1, .run = command_kill_user,
	  .help = "Close all clients and servers of a role." },
	{ .words = "KILL IDENTITY", .args = "<label>", .right = CONSOLE_ADMIN, .min_args = 1,
	  .max_args = 1, .run = command_kill_identity,
	  .help = "Close all clients of an identity, but for this one." },
	{ .words = "KILL_CLIENT", .args = "<id>", .right = CONSOLE_ADMIN, .min_args = 1,
	  .max_args = 1, .run = command_kill_client, .help = "Close a client's connection." },
	CONTROL("SHUTDOWN", CONTROL_SHUTDOWN, "End at once."),
	CONTROL("SHUTDOWN WAIT_FOR_SERVERS", CONTROL_SHUTDOWN_WAIT_FOR_SERVERS,
	        "End each session at its transaction's end, then end."),
	CONTROL("SHUTDOWN WAIT_FOR_CLIENTS", CONTROL_SHUTDOWN_WAIT_FOR_CLIENTS,
	        "Let nobody in; end when all have left by themselves."),
	{ .words = "SHUTDOWN DRAIN", .args = "[<time>]", .right = CONSOLE_ADMIN, .max_args = 1,
	  .run = command_drain,
	  .help = "As WAIT_FOR_SERVERS; behind that time, or shutdown_timeout, end at once." },
	{ .words = "SUSPEND", .args = "", .right = CONSOLE_ADMIN, .run = command_refused,
	  .help = "Not here: no process takes over another's connections. See PAUSE, SHUTDOWN." },
	{ .words = "SHOW FDS", .args = "", .right = CONSOLE_ADMIN, .run = command_refused,
	  .help = "Not here: keys and descriptors of sessions are nobody else's." },
};
const size_t commands_count = sizeof(commands_table) / sizeof(*commands_table);

/* --- finding --- */

#define SHOW_WORD "SHOW"

/* How many tokens the command's words take; 0: the statement begins with others. */
static size_t match(const struct statement *st, const struct command *c)
{
	size_t n = statement_begins(st, 0, c->words), len = strlen(SHOW_WORD);
	const char *rest = c->words + len;

	if (n > 0 || strncmp(c->words, SHOW_WORD, len) != 0 ||
	    statement_begins(st, 0, "SELECT") == 0)
		return n;
	if (*rest == '\0')
		return 1;
	n = statement_begins(st, 1, rest + 1);
	return n > 0 ? 1 + n : 0;
}

static bool counts(const struct statement *st, const struct action *a)
{
	size_t args = st->count - a->first_arg;

	return args >= a->command->min_args && args <= a->command->max_args;
}

/* The longest words that fit. strict: only where the number of arguments fits too. */
static struct action find(const struct statement *st, bool strict)
{
	struct action best = { 0 };

	for (size_t i = 0; i < commands_count; i++) {
		const struct command *c = &commands_table[i];
		struct action a = { .command = c, .first_arg = match(st, c) };

		if (a.first_arg > best.first_arg && (!strict || counts(st, &a)) &&
		    (c->fits == NULL || c->fits(st, &a)))
			best = a;
	}
	return best;
}

/* The statement's beginning, for a message. */
static void excerpt(const struct statement *st, char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < st->count && i < 3 && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s", i == 0 ? "" : " ",
		                       st->token[i].text);
}

static enum err unknown(const struct statement *st, struct errbuf *why)
{
	char text[80];

	excerpt(st, text, sizeof(text));
	return err_set(why, ERR_SYNTAX, "invalid command '%s', use SHOW HELP;", text);
}

/* It would have been a command with other arguments. */
static enum err misused(const struct statement *st, struct errbuf *why)
{
	const struct command *c = find(st, false).command;

	if (c == NULL || statement_begins(st, 0, "SELECT") > 0)
		return unknown(st, why);
	return err_set(why, ERR_SYNTAX, "usage: %s%s%s", c->words, *c->args != '\0' ? " " : "",
	               c->args);
}

enum err commands_find(const struct statement *st, struct action *out, struct errbuf *why)
{
	struct action a = find(st, true);

	if (st->too_long)
		return unknown(st, why);
	if (a.command == NULL)
		return misused(st, why);
	if (a.command->view != NULL) {
		a.columns = a.command->view->columns;
		a.column_count = a.command->view->count;
	}
	*out = a;
	return ERR_OK;
}

/* --- running --- */

void commands_run(struct request *rq, struct session *s)
{
	const struct command *c = rq->action.command;
	enum console_right right = s->identity->console;

	rq->result.columns = rq->action.columns;
	rq->result.column_count = rq->action.column_count;
	if (right < c->right) {
		request_fail(rq, SQLSTATE_INSUFFICIENT_PRIVILEGE, "%s: admin access needed",
		             c->words);
		console_done(rq, s);
		return;
	}
	c->run(rq, s);
}

static enum tour_next show_part(struct request *rq, struct worker *w)
{
	return rq->action.command->view->visit(rq, w);
}

static bool show_home(struct request *rq, struct worker *w)
{
	const struct view *view = rq->action.command->view;

	if (rq->cut)
		request_fail_cancelled(rq, NULL);
	else if (view->home != NULL)
		view->home(rq, w);
	return true;
}

static void command_show(struct request *rq, struct session *s)
{
	rq->result.tag = "SHOW";
	if (rq->action.command->view->visit != NULL) {
		request_tour(rq, s, show_part, show_home);
		return;
	}
	(void)show_home(rq, s->worker);
	console_done(rq, s);
}

static enum err help_line(struct buf *to, const struct command *c)
{
	char usage[80], line[200];
	int n;

	snprintf(usage, sizeof(usage), "%s%s%s", c->words, *c->args != '\0' ? " " : "", c->args);
	n = snprintf(line, sizeof(line), "\n\t%-27s  %s", usage, c->help);
	return buf_append(to, line, strnlen(line, (size_t)n));
}

/* In a notice, as PgBouncer does: libpq shows it, and no row has to be made up. */
static void command_help(struct request *rq, struct session *s)
{
	enum err rc = ERR_OK;

	for (size_t i = 0; i < commands_count && rc == ERR_OK; i++)
		rc = help_line(&rq->result.detail, &commands_table[i]);
	if (rc == ERR_OK)
		rc = buf_append(&rq->result.detail, "", 1);
	rq->result.no_memory = rc != ERR_OK;
	rq->result.notice = "Console usage";
	rq->result.tag = "SHOW";
	console_done(rq, s);
}
