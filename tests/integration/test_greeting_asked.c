/* What a client that connects is told is asked for: when, how often, and what becomes of it if nobody answers. The
 * server is an impostor, which counts the questions and answers them when it likes. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <criterion/criterion.h>

#include "tests/integration/impostor.h"
#include "tests/integration/rig_priv.h"

TestSuite(greeting_asked, .timeout = 60);

#define AGE_MS 300
#define AGE "greeting_max_age = 300ms\n" /* the same */
#define FOR_EVER "greeting_max_age = 1d\n"
#define WORKERS "workers = 2\n"
#define PATIENT "greeting_wait = 20s\n" /* as long as a slow machine may take */

static struct impostor impostor;
static struct rig *rig;

/* --- the impostor: in its thread no assertion may be made --- */

static const char *version = "15.0";
static const char *_Atomic recovery; /* what it has to report */
static _Atomic int questions, logins;
static _Atomic bool mute; /* it answers nothing for now */

static void put_welcome(struct script *say)
{
	script_put(say, 'R', "\0\0\0\0", 4);
	impostor_put_parameter(say, "server_version", version);
	impostor_put_parameter(say, "client_encoding", "UTF8");
	impostor_put_parameter(say, "in_hot_standby", recovery);
	impostor_put_parameter(say, "TimeZone", "UTC");
	script_put(say, 'K', "\0\0\1\2\0\0\0\3", 8);
	script_put(say, 'Z', "I", 1);
}

static void put_answer(struct script *say, const char *query)
{
	if (query[0] == '\0')
		script_put(say, 'I', NULL, 0);
	else
		script_text(say, 'C', "OK");
}

/* In the same order as PostgreSQL: what has changed comes right before ReadyForQuery. */
static void put_end(struct script *say, const char **told, bool in_transaction)
{
	const char *now = recovery;

	if (now != *told)
		impostor_put_parameter(say, "in_hot_standby", now);
	*told = now;
	script_put(say, 'Z', in_transaction ? "T" : "I", 1);
}

static void converse(SSL *ssl, struct script *say)
{
	struct impostor_batch batch = { .status = 'I' };
	const char *told;
	char body[4096], type;

	if (impostor_hear(ssl, true, body, sizeof(body)) == 0)
		return;
	logins++;
	while (mute)
		rig_nap();
	told = recovery;
	put_welcome(say);
	impostor_tell(ssl, say);
	while ((type = impostor_hear(ssl, false, body, sizeof(body))) != 0 && type != 'X') {
		questions += type == 'Q' && body[0] == '\0';
		while (mute)
			rig_nap();
		if (type == 'Q') {
			put_answer(say, body);
			put_end(say, &told, strcmp(body, "BEGIN") == 0);
			impostor_tell(ssl, say);
		} else if (impostor_put_answer(say, &batch, type, body)) {
			impostor_tell(ssl, say);
		}
	}
}

static void receive(struct impostor *im, int fd)
{
	impostor_serve(im, fd, converse);
}

/* --- the clients --- */

static void start(const char *settings, const char *keys)
{
	rig_require();
	recovery = "on";
	impostor_start(&impostor, NULL, receive, NULL);
	rig = rig_start(settings,
	                rig_printf("app = host=127.0.0.1 port=%d %s\n", impostor.port, keys).s,
	                NULL);
}

static void stop(void)
{
	rig_stop(rig);
	impostor_stop(&impostor);
}

static void is_told(PGconn *conn, const char *want)
{
	cr_assert_str_eq(rig_told(conn, "in_hot_standby"), want);
}

static void newcomer_is_told(const char *want)
{
	PGconn *conn = rig_connect(rig, "");

	is_told(conn, want);
	PQfinish(conn);
}

/* Nothing is asked by itself: only time passes, and more of it than the age of what is known may be. */
static void age_runs_out(PGconn *conn)
{
	struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };
	int before = questions;

	cr_assert_eq(poll(&p, 1, AGE_MS + 50), 0, "it has heard something");
	cr_assert_eq(questions, before, "asked for nobody");
}

/* --- many at once --- */

#define STORM 200

static struct {
	PGconn *conn;
	PostgresPollingStatusType next;
} storm[STORM];

static void storm_begin(int n)
{
	struct rig_text info = rig_conninfo(rig, "alice", "");

	for (int i = 0; i < n; i++) {
		storm[i].conn = PQconnectStart(info.s);
		cr_assert(PQstatus(storm[i].conn) != CONNECTION_BAD);
		storm[i].next = PGRES_POLLING_WRITING;
	}
}

/* All that are under way take a step, if they can. */
static int storm_step(int n)
{
	int left = 0;

	for (int i = 0; i < n; i++) {
		bool reads = storm[i].next == PGRES_POLLING_READING;
		struct pollfd p = { .fd = PQsocket(storm[i].conn),
			            .events = reads ? POLLIN : POLLOUT };

		if (storm[i].next == PGRES_POLLING_OK)
			continue;
		left++;
		if (poll(&p, 1, 0) == 1)
			storm[i].next = PQconnectPoll(storm[i].conn);
		cr_assert(storm[i].next != PGRES_POLLING_FAILED, "client %d: %s", i,
		          PQerrorMessage(storm[i].conn));
	}
	return left;
}

/* Wait until no more than that many are still on their way. */
static void storm_wait(int n, int most)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (storm_step(n) > most) {
		cr_assert(rig_left_ms(deadline) > 0, "clients are not greeted");
		rig_nap();
	}
}

static void storm_end(int n, const char *want)
{
	for (int i = 0; i < n; i++) {
		is_told(storm[i].conn, want);
		PQfinish(storm[i].conn);
	}
}

/* --- when it is asked --- */

Test(greeting_asked, not_while_servers_answer)
{
	PGconn *first;

	start(WORKERS FOR_EVER, "pool_size=1");
	first = rig_connect(rig, "");
	rig_exec(first, "anything");
	recovery = "off";
	for (int i = 0; i < 4; i++)
		newcomer_is_told("on");
	/* Whoever asks anything brings it to all who come later. */
	rig_exec(first, "anything");
	for (int i = 0; i < 4; i++)
		newcomer_is_told("off");
	is_told(first, "off");
	cr_assert_eq(questions, 0);
	PQfinish(first);
	stop();
}

Test(greeting_asked, after_its_age)
{
	PGconn *first;

	start(WORKERS AGE PATIENT, "pool_size=1");
	first = rig_connect(rig, "");
	is_told(first, "on");
	cr_assert_eq(questions, 0, "the login has told");
	for (int i = 0; i < 3; i++) {
		recovery = i % 2 == 0 ? "off" : "on";
		age_runs_out(first);
		newcomer_is_told(i % 2 == 0 ? "off" : "on");
		cr_assert_eq(questions, i + 1);
	}
	PQfinish(first);
	stop();
}

Test(greeting_asked, for_each_who_comes_if_so_wished)
{
	start(WORKERS PATIENT "greeting_max_age = 0\n", "pool_size=1");
	newcomer_is_told("on");
	for (int i = 1; i <= 6; i++) {
		int before = questions;

		recovery = i % 2 == 0 ? "on" : "off";
		newcomer_is_told(i % 2 == 0 ? "on" : "off");
		cr_assert_gt(questions, before);
	}
	stop();
}

Test(greeting_asked, not_of_servers_that_would_not_tell)
{
	version = "13.5";
	start(WORKERS PATIENT "greeting_max_age = 0\n", "pool_size=1");
	for (int i = 0; i < 4; i++)
		newcomer_is_told("on");
	cr_assert_eq(questions, 0);
	stop();
}

/* An order of an administrator means that things may have changed. */
Test(greeting_asked, after_reload_and_reconnect)
{
	start(WORKERS PATIENT FOR_EVER, "pool_size=1");
	newcomer_is_told("on");
	recovery = "off";
	newcomer_is_told("on");
	cr_assert_eq(questions, 0);
	cr_assert(rig_reload(rig, NULL));
	newcomer_is_told("off");
	cr_assert_eq(questions, 1);
	newcomer_is_told("off");
	cr_assert_eq(questions, 1, "once is enough");
	recovery = "on";
	PQclear(rig_console(rig, "RECONNECT"));
	newcomer_is_told("on"); /* by a login: nobody who could be asked is left */
	cr_assert_eq(logins, 2);
	stop();
}

/* --- how often --- */

Test(greeting_asked, once_for_a_storm)
{
	PGconn *first;
	int64_t begun, took;

	start(WORKERS AGE PATIENT "max_client_conn = 1000\nmax_login_clients = 1000\n",
	      "pool_size=1");
	first = rig_connect(rig, "");
	recovery = "off";
	age_runs_out(first);
	begun = rig_now_ms();
	storm_begin(STORM);
	storm_wait(STORM, 0);
	took = rig_now_ms() - begun;
	storm_end(STORM, "off");
	cr_assert_geq(questions, 1);
	/* It may last for longer than an answer is good for. */
	cr_assert_leq(questions, 2 + took / AGE_MS, "%d questions in %jd ms", questions,
	              (intmax_t)took);
	cr_assert_eq(logins, 1);
	PQfinish(first);
	stop();
}

/* While one is asked, or logs in, newcomers of all workers wait for that, even if there is room for more servers. */
Test(greeting_asked, once_for_all_workers)
{
	int64_t begun, took = 0;
	PGconn *first;

	start(WORKERS AGE PATIENT, "pool_size=5");
	first = rig_connect(rig, "");
	recovery = "off";
	age_runs_out(first);
	mute = true;
	begun = rig_now_ms();
	storm_begin(8);
	while (atoi(rig_console_value(rig, "SHOW POOLS", "database", "app", "cl_waiting").s) < 8) {
		took = rig_now_ms() - begun;
		cr_assert_lt(took, RIG_PATIENCE_MS);
		storm_step(8);
	}
	/* Behind 200 ms without an answer the next one is asked. */
	cr_assert_leq(questions + logins, 2 + took / 200, "%d asked, %d logged in", questions,
	              logins);
	mute = false;
	storm_wait(8, 0);
	storm_end(8, "off");
	PQfinish(first);
	stop();
}

/* --- nobody answers --- */

#define FROM_MEMORY "greeted from memory"

/* It is greeted all the same, with what was known; and not at once. */
static void newcomer_is_told_from_memory(void)
{
	int before = rig_log_count(rig, FROM_MEMORY);
	int64_t begun = rig_now_ms(), took;

	newcomer_is_told("on");
	took = rig_now_ms() - begun;
	cr_assert_geq(took, 190);
	cr_assert_leq(took, 10000, "it took %jd ms", (intmax_t)took);
	cr_assert_eq(rig_log_count(rig, FROM_MEMORY), before + 1);
}

Test(greeting_asked, from_memory_if_the_answer_does_not_come)
{
	PGconn *first;

	start(WORKERS AGE, "pool_size=1");
	first = rig_connect(rig, "");
	age_runs_out(first);
	mute = true;
	newcomer_is_told_from_memory();
	newcomer_is_told_from_memory();
	recovery = "off";
	mute = false;
	rig_exec(first, "anything");
	is_told(first, "off");
	newcomer_is_told("off");
	PQfinish(first);
	stop();
}

/* The only server has a transaction; another client waits for it, with a longer patience. */
Test(greeting_asked, from_memory_while_all_servers_are_busy)
{
	PGconn *busy, *waiting;

	start("workers = 1\n" AGE, "pool_size=1");
	busy = rig_connect(rig, "");
	waiting = rig_connect(rig, "");
	rig_exec(busy, "BEGIN");
	age_runs_out(waiting);
	newcomer_is_told_from_memory();
	cr_assert(PQsendQuery(waiting, "anything"));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	newcomer_is_told_from_memory();
	newcomer_is_told_from_memory();
	rig_exec(busy, "COMMIT");
	cr_assert_str_eq(rig_outcome(waiting).s, "");
	cr_assert_eq(questions, 0);
	PQfinish(busy);
	PQfinish(waiting);
	stop();
}

Test(greeting_asked, from_memory_while_paused)
{
	PGconn *first;

	start(WORKERS AGE, "pool_size=1");
	first = rig_connect(rig, "");
	PQclear(rig_console(rig, "PAUSE"));
	age_runs_out(first);
	newcomer_is_told_from_memory();
	recovery = "off";
	PQclear(rig_console(rig, "RESUME"));
	newcomer_is_told("off");
	PQfinish(first);
	stop();
}

Test(greeting_asked, from_memory_while_the_server_is_down)
{
	PGconn *first;

	start(WORKERS AGE, "pool_size=1");
	first = rig_connect(rig, "");
	shutdown(impostor.fd, SHUT_RDWR); /* nobody gets in any more */
	PQclear(rig_console(rig, "RECONNECT"));
	cr_assert(rig_wait_log(rig, "close: .*RECONNECT", RIG_PATIENCE_MS));
	age_runs_out(first);
	newcomer_is_told_from_memory();
	newcomer_is_told_from_memory();
	PQfinish(first);
	stop();
}

/* Who comes to a route that nothing is known of has nothing to be told from. */
Test(greeting_asked, but_not_without_any_memory)
{
	int64_t begun;
	PGconn *conn;

	start(WORKERS "query_wait_timeout = 1s\ngreeting_wait = 10ms\n", "pool_size=1");
	shutdown(impostor.fd, SHUT_RDWR);
	begun = rig_now_ms();
	conn = rig_try_connect(rig, "alice", "");
	cr_assert_eq(PQstatus(conn), CONNECTION_BAD);
	cr_assert_geq(rig_now_ms() - begun, 900);
	cr_assert(strstr(PQerrorMessage(conn), "query_wait_timeout") != NULL ||
	                  strstr(PQerrorMessage(conn), "refused") != NULL,
	          "%s", PQerrorMessage(conn));
	cr_assert_eq(rig_log_count(rig, FROM_MEMORY), 0);
	PQfinish(conn);
	stop();
}
