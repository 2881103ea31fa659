/* commands.h and views.h: which command a statement is, and that tables are what tools expect. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "pgseal/admin/commands.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])

static enum err find(const char *sql, struct action *out, struct errbuf *why)
{
	struct statement st;

	cr_assert_eq(statement_next(&sql, &st, why), STATEMENT_READY);
	return commands_find(&st, out, why);
}

Test(commands, longest_words_win)
{
	static const struct {
		const char *sql, *words;
		size_t first_arg;
	} cases[] = {
		{ "SHOW VERSION", "SHOW VERSION", 2 },
		{ "show clients", "SHOW CLIENTS", 2 },
		{ "show clients extended", "SHOW CLIENTS EXTENDED", 3 },
		{ "SELECT servers extended", "SHOW SERVERS EXTENDED", 3 },
		{ "SELECT 1", "SELECT", 1 },
		{ "SELECT version()", "SELECT", 1 },
		{ "SELECT pg_catalog.version()", "SELECT", 1 },
		{ "select Version", "SHOW VERSION", 2 },
		{ "select standard_conforming_strings", "SHOW", 1 },
		{ "show client_encoding", "SHOW", 1 },
		{ "SHOW TRANSACTION ISOLATION LEVEL", "SHOW", 1 },
		{ "PAUSE", "PAUSE", 1 },
		{ "pause \"show\"", "PAUSE", 1 },
		{ "SHUTDOWN", "SHUTDOWN", 1 },
		{ "shutdown wait_for_clients", "SHUTDOWN WAIT_FOR_CLIENTS", 2 },
		{ "SET datestyle TO iso, mdy", "SET", 1 },
		{ "KILL", "KILL", 1 },
		{ "KILL users", "KILL", 1 },
		{ "KILL \"user\"", "KILL", 1 },
		{ "kill user x", "KILL USER", 2 },
		{ "SHUTDOWN DRAIN 5min", "SHUTDOWN DRAIN", 2 },
	};
	struct errbuf why = { "" };
	struct action a;

	for (size_t i = 0; i < CASES(cases); i++) {
		cr_assert_eq(find(cases[i].sql, &a, &why), ERR_OK, "%s: %s", cases[i].sql,
		             why.text);
		cr_assert_str_eq(a.command->words, cases[i].words);
		cr_assert_eq(a.first_arg, cases[i].first_arg);
	}
}

Test(commands, refusals_name_the_remedy)
{
	static const struct {
		const char *sql, *want;
	} cases[] = {
		{ "begin", "invalid command 'begin', use SHOW HELP;" },
		{ "SHOW", "invalid command 'SHOW', use SHOW HELP;" },
		{ "SHOW nosuch", "invalid command 'SHOW nosuch', use SHOW HELP;" },
		{ "SELECT nosuch()", "invalid command 'SELECT nosuch (', use SHOW HELP;" },
		{ "SELECT version(1)", "invalid command 'SELECT version (', use SHOW HELP;" },
		{ "SELECT 1, 2", "invalid command 'SELECT 1 ,', use SHOW HELP;" },
		{ "SELECT x", "invalid command 'SELECT x', use SHOW HELP;" },
		{ "\"SHOW\" VERSION", "invalid command 'SHOW VERSION', use SHOW HELP;" },
		{ "KILL_CLIENT", "usage: KILL_CLIENT <id>" },
		{ "KILL_CLIENT 1 2", "usage: KILL_CLIENT <id>" },
		{ "PAUSE a b", "usage: PAUSE [<db>]" },
		{ "RELOAD now", "usage: RELOAD" },
		{ "SHOW VERSION 3", "usage: SHOW VERSION" },
	};
	struct errbuf why;
	struct action a;

	for (size_t i = 0; i < CASES(cases); i++) {
		cr_assert_eq(find(cases[i].sql, &a, &why), ERR_SYNTAX, "%s", cases[i].sql);
		cr_assert_str_eq(why.text, cases[i].want);
	}
}

/* Parameters of sessions are anybody's, settings an administrator's. */
Test(commands, set_is_two_commands)
{
	static const struct {
		const char *sql;
		enum console_right right;
	} cases[] = {
		{ "SET datestyle = iso", CONSOLE_STATS },
		{ "SET SESSION verbose = 1", CONSOLE_STATS },
		{ "SET verbose = 1", CONSOLE_ADMIN },
		{ "set VERBOSE TO 1", CONSOLE_ADMIN },
		{ "SET verbose", CONSOLE_ADMIN },
		{ "SET \"workers\" = '1'", CONSOLE_ADMIN },
	};
	struct errbuf why = { "" };
	struct action a;

	for (size_t i = 0; i < CASES(cases); i++) {
		cr_assert_eq(find(cases[i].sql, &a, &why), ERR_OK, "%s: %s", cases[i].sql,
		             why.text);
		cr_assert_eq(a.command->right, cases[i].right, "%s", cases[i].sql);
	}
}

/* What changes anything takes an administrator; what looks does not. */
Test(commands, rights)
{
	for (size_t i = 0; i < commands_count; i++) {
		const struct command *c = &commands_table[i];
		bool looks = strncmp(c->words, "SHOW", 4) == 0 || strcmp(c->words, "SELECT") == 0 ||
		             strcmp(c->args, "<parameter> = <value>") == 0;

		looks = looks && strcmp(c->words, "SHOW FDS") != 0;

		cr_assert_eq(c->right, looks ? CONSOLE_STATS : CONSOLE_ADMIN, "%s", c->words);
		cr_assert(c->run != NULL && c->help[0] != '\0' && c->min_args <= c->max_args);
	}
}

/* --- columns --- */

static const char *columns_of(const char *sql, char *out, size_t size)
{
	struct errbuf why;
	struct action a;
	size_t n = 0;

	cr_assert_eq(find(sql, &a, &why), ERR_OK, "%s: %s", sql, why.text);
	out[0] = '\0';
	for (size_t i = 0; i < a.column_count; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", i > 0 ? " " : "",
		                      a.columns[i].name);
	return out;
}

#define SOCKET_COLUMNS \
	"type user database replication state addr port local_addr local_port connect_time " \
	"request_time wait wait_us close_needed ptr link remote_pid tls application_name " \
	"prepared_statements id"

/* Number and order are those of PgBouncer 1.26: tools go by position. */
Test(commands, columns_are_pgbouncers)
{
	static const struct {
		const char *sql, *want;
	} cases[] = {
		{ "SHOW VERSION", "version" },
		{ "SHOW CONFIG", "key value default changeable" },
		{ "SHOW LISTS", "list items" },
		{ "SHOW STATE", "key value" },
		{ "SHOW TOTALS", "name value" },
		{ "SHOW HELP", "" },
		{ "SHOW client_encoding", "client_encoding" },
		{ "SHOW CLIENTS", SOCKET_COLUMNS },
		{ "SHOW SERVERS", SOCKET_COLUMNS },
		{ "SHOW CLIENTS EXTENDED",
		  SOCKET_COLUMNS " identity cert_serial cert_not_after tls_group" },
		{ "SHOW SERVERS EXTENDED",
		  SOCKET_COLUMNS " identity cert_serial cert_not_after tls_group" },
		{ "SHOW SOCKETS",
		  SOCKET_COLUMNS " recv_pos pkt_pos pkt_remain send_pos send_remain "
		                 "pkt_avail send_avail" },
		{ "SHOW ACTIVE_SOCKETS",
		  SOCKET_COLUMNS " recv_pos pkt_pos pkt_remain send_pos send_remain "
		                 "pkt_avail send_avail" },
		{ "SHOW MEM", "name size used free memtotal" },
		{ "SHOW DNS_HOSTS", "hostname ttl addrs" },
		{ "SHOW DNS_ZONES", "zonename serial count" },
		{ "SHOW ERRORS", "side class host sqlstate count last_at last_message" },
		{ "SHOW MAP 'cn:x'", "identity rule matched roles databases console reason" },
		{ "SHOW PEERS", "peer_id host port pool_size" },
		{ "SHOW PEER_POOLS", "peer_id cl_active_cancel_req cl_waiting_cancel_req "
		                     "sv_active_cancel sv_login" },
		{ "SHOW POOLS",
		  "database user cl_active cl_waiting cl_active_cancel_req "
		  "cl_waiting_cancel_req sv_active sv_active_cancel sv_being_canceled "
		  "sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode "
		  "load_balance_hosts" },
		{ "SHOW DATABASES",
		  "name host port database force_user pool_size min_pool_size "
		  "reserve_pool_size server_lifetime pool_mode load_balance_hosts "
		  "max_connections current_connections max_client_connections "
		  "current_client_connections paused disabled" },
		{ "SHOW STATS",
		  "database total_server_assignment_count total_xact_count "
		  "total_query_count total_received total_sent total_xact_time "
		  "total_query_time total_wait_time total_client_parse_count "
		  "total_server_parse_count total_bind_count total_client_login_count "
		  "avg_server_assignment_count avg_xact_count avg_query_count avg_recv "
		  "avg_sent avg_xact_time avg_query_time avg_wait_time "
		  "avg_client_parse_count avg_server_parse_count avg_bind_count "
		  "avg_client_login_count" },
		{ "SHOW STATS_TOTALS", "database server_assignment_count xact_count query_count "
		                       "bytes_received bytes_sent xact_time query_time wait_time "
		                       "client_parse_count server_parse_count bind_count "
		                       "client_login_count" },
		{ "SHOW USERS", "name pool_size reserve_pool_size pool_mode max_user_connections "
		                "current_connections max_user_client_connections "
		                "current_client_connections" },
	};
	char out[1024];

	for (size_t i = 0; i < CASES(cases); i++)
		cr_assert_str_eq(columns_of(cases[i].sql, out, sizeof(out)), cases[i].want,
		                 "%s: %s", cases[i].sql, out);
}

/* Telegraf reads every column but the first as a whole number. */
Test(commands, stats_are_numeric)
{
	for (size_t i = 1; i < view_stats.count; i++)
		cr_assert_eq(view_stats.columns[i].type, TYPE_NUMERIC);
}
