/* How a session ends: what its client is told, what the log and the console keep, who gets back what it held. */
#include "pgseal/core/session.h"

#include <assert.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/core/pool.h"
#include "pgseal/core/relay.h"
#include "pgseal/core/troubles.h"
#include "pgseal/core/worker.h"
#include "pgseal/wire/frame.h"
#include "pgseal/wire/message.h"

/* Without a severity the client is told nothing. */
static const struct close_row {
	const char *words; /* for the log */
	const char *severity, *sqlstate, *message;
	const char *hint; /* the remedy, where there is one */
} close_rows[] = {
	[CLOSE_QUIT] = { .words = "client closed the connection" },
	[CLOSE_LOST] = { .words = "client connection lost" },
	[CLOSE_PROTOCOL] = { "protocol violation by the client", "FATAL", SQLSTATE_PROTOCOL_VIOLATION,
	                     "protocol violation", NULL },
	[CLOSE_SERVER_LOST] = { "server lost", "FATAL", SQLSTATE_CONNECTION_FAILURE,
	                        "server closed the connection unexpectedly",
	                        "If a COMMIT was not answered, find out whether it took effect "
	                        "before repeating it." },
	[CLOSE_SERVER_FATAL] = { .words = "server ended the session" },
	[CLOSE_SERVER_NONSENSE] = { "server nonsense", "FATAL", SQLSTATE_CONNECTION_FAILURE,
	                            "server sent a message that makes no sense here",
	                            "The log of the pooler tells which message it was." },
	[CLOSE_SERVER_LOGIN] = { "server login failed", "FATAL", SQLSTATE_CONNECTION_FAILURE,
	                         "could not connect to the server", NULL },
	[CLOSE_WAIT] = { "query_wait_timeout", "FATAL", SQLSTATE_TOO_MANY_CONNECTIONS,
	                 "query_wait_timeout",
	                 "Shorten transactions, or raise default_pool_size or query_wait_timeout." },
	[CLOSE_PAUSED] = { "query_wait_timeout while paused", "FATAL", SQLSTATE_CANNOT_CONNECT_NOW,
	                   "pool is paused",
	                   "An administrator can RESUME it on the console of the pooler." },
	[CLOSE_QUERY_TIMEOUT] = { "query_timeout", "FATAL", SQLSTATE_QUERY_CANCELED, "query_timeout",
	                          "query_timeout and cancel_wait_timeout of the pooler say how long "
	                          "a query may take." },
	[CLOSE_TRANSACTION] = { "transaction_timeout", "FATAL", "25P04",
	                        "terminating connection due to transaction timeout", NULL },
	[CLOSE_IDLE_TRANSACTION] = { "idle_transaction_timeout", "FATAL", "25P03",
	                             "terminating connection due to idle-in-transaction timeout", NULL },
	[CLOSE_IDLE] = { "client_idle_timeout", "FATAL", "57P05",
	                 "terminating connection due to idle-session timeout", NULL },
	[CLOSE_SETUP] = { "session parameters refused", "FATAL", SQLSTATE_INVALID_PARAMETER_VALUE,
	                  "session parameters were refused by the server",
	                  "Mend the parameter in the connection string, or name it in "
	                  "ignore_startup_parameters of the pooler." },
	[CLOSE_DISABLED] = { "database is disabled", "FATAL", SQLSTATE_NOT_IN_STATE,
	                     "database is disabled",
	                     "An administrator can ENABLE it on the console of the pooler." },
	[CLOSE_KILLED] = { "killed from the console", "FATAL", SQLSTATE_ADMIN_SHUTDOWN,
	                   "terminating connection due to administrator command", NULL },
	[CLOSE_SHUTDOWN] = { "shutdown", "FATAL", SQLSTATE_ADMIN_SHUTDOWN,
	                     "terminating connection due to administrator command", NULL },
	[CLOSE_PINNED] = { "max_pinned_servers", "FATAL", SQLSTATE_CONFIGURATION_LIMIT_EXCEEDED,
	                   "too many server connections are kept by sessions",
	                   "SHOW PINS on the console of the pooler tells by which; "
	                   "max_pinned_servers is how many may be." },
	[CLOSE_REPLACED] = { "server_fast_close", "FATAL", SQLSTATE_ADMIN_SHUTDOWN,
	                     "terminating connection because its server connection is replaced", NULL },
	[CLOSE_PARAMETERS] = { "max_client_parameters", "FATAL", SQLSTATE_PROGRAM_LIMIT_EXCEEDED,
	                       "too many session parameters",
	                       "Set fewer parameters, or raise max_client_parameters and "
	                       "max_client_parameter_memory of the pooler." },
	[CLOSE_NO_MEMORY] = { "out of memory", "FATAL", SQLSTATE_OUT_OF_MEMORY, "out of memory", NULL },
};
_Static_assert(sizeof(close_rows) / sizeof(close_rows[0]) == CLOSE_REASONS, "a row for each");

const char *close_reason_word(enum close_reason reason)
{
	return close_rows[reason].words;
}

static void log_end(struct session *s, enum close_reason reason, const char *detail)
{
	if (!s->worker->site->settings.log_disconnections)
		return;
	log_info(LOG_SESSION, s->id, "close: identity=\"%s\" reason=\"%s\"%s%s%s age=%s",
	         quote_str(s->identity->label).s, close_rows[reason].words,
	         detail ? " detail=\"" : "", detail ? quote_str(detail).s : "", detail ? "\"" : "",
	         duration_text(loop_now(s->worker->loop) - s->born).s);
}

/* Out of every list of the living. */
static void leave_worker(struct session *s)
{
	struct worker *w = s->worker;

	if (s->pool != NULL) {
		if (s->state == SESSION_GREETING || s->state == SESSION_WAITING)
			pool_forget(s->pool, s);
		pool_uncharge(w, s);
		params_release(w->params, s->asked);
		params_release(w->params, s->initial);
		params_release(w->params, s->told);
		s->asked = s->initial = s->told = NULL;
		prepared_free(s->prepared, w->statements);
		s->prepared = NULL;
	} else if (s->console != NULL) {
		w->crew->console->close(s);
		s->console = NULL;
	}
	pool_session_gone(s);
	if (s->tally != NULL)
		s->tally->sessions--;
	TAILQ_REMOVE(&w->sessions, s, link);
	LIST_REMOVE(s, key_link);
	TAILQ_INSERT_TAIL(&w->dead, s, link);
	atomic_fetch_sub(&w->load, 1);
	if (s->counted)
		atomic_fetch_sub(&w->crew->clients, 1);
	session_leave_seats(s);
}

/* Of an administrator's acts, and of clients that go, there is nothing to tell; servers that go are
 * the relay's to tell. */
static void note_trouble(const struct session *s, enum close_reason reason, const char *sqlstate,
                         const char *words)
{
	const struct close_row *row = &close_rows[reason];
	char addr[64];
	int port;

	if (row->severity == NULL || reason == CLOSE_SERVER_LOST ||
	    reason == CLOSE_SERVER_NONSENSE || strcmp(row->sqlstate, SQLSTATE_ADMIN_SHUTDOWN) == 0)
		return;
	peer_text(s->peer, addr, sizeof(addr), &port);
	troubles_note(s->worker->crew->troubles, TROUBLE_CLIENT, row->words, addr, sqlstate, words);
}

void session_close_error(struct session *s, enum close_reason reason, const struct message_error *e)
{
	const struct close_row *row = &close_rows[reason];

	if (s->state == SESSION_CLOSING)
		return;
	if (row->severity != NULL && !relay_mid_message(s) && !stream_failed(&s->stream))
		session_tell(s, 'E', row->severity, e->sqlstate, e->message, e->detail, e->hint);
	log_end(s, reason,
	        reason == CLOSE_SERVER_LOGIN || reason == CLOSE_SETUP ? e->message : e->detail);
	note_trouble(s, reason, e->sqlstate, e->detail != NULL ? e->detail : e->message);
	s->worker->closes[reason]++;
	if (s->server != NULL)
		relay_detach(s, reason != CLOSE_QUIT);
	leave_worker(s);
	session_set_state(s, SESSION_CLOSING);
}

void session_close_words(struct session *s, enum close_reason reason, const char *sqlstate,
                         const char *message, const char *detail)
{
	session_close_error(s, reason,
	                    &(struct message_error){ .sqlstate = sqlstate,
	                                             .message = message,
	                                             .detail = detail,
	                                             .hint = close_rows[reason].hint });
}

void session_close(struct session *s, enum close_reason reason, const char *detail)
{
	session_close_words(s, reason, close_rows[reason].sqlstate, close_rows[reason].message,
	                    detail);
}

void session_fail_request(struct session *s, const char *sqlstate, const char *message)
{
	struct bytes input = { s->input.at, s->input.len };
	struct frame frame;
	enum err why;

	assert(s->state == SESSION_WAITING);
	if (frame_peek(FRAME_FROM_CLIENT, input, SIZE_MAX, &frame, &why) != FRAME_READY)
		return;
	pool_forget(s->pool, s);
	pool_uncharge(s->worker, s);
	session_set_state(s, SESSION_IDLE);
	session_tell(s, 'E', "ERROR", sqlstate, message, NULL, NULL);
	/* A batch is skipped up to its Sync, a Query or FunctionCall ends with itself. */
	s->skipping = strchr("QFS", frame.row->type) == NULL;
	s->passing = frame.size;
	s->dropping = true;
	if (!s->skipping)
		session_send_ready(s, 'I');
	relay_resume(s);
}
