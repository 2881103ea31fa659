/* Servers that say what no PostgreSQL says: they cost nobody else anything. Which of the impostor's connections does what
 * is up to its clients' queries. */
#include <stdatomic.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/impostor.h"
#include "tests/integration/rig_priv.h"

TestSuite(unruly, .timeout = 60);

#define NAMES 20000 /* under half a megabyte */

static struct impostor impostor;
static struct rig *rig;
static atomic_bool speak; /* who was asked to says half a message now, */
static atomic_bool end;   /* and the other half */
static atomic_int spoken;
static atomic_bool flood; /* whoever logs in is sent notifications instead of ReadyForQuery */

/* --- the impostor: in its thread no assertion may be made --- */

static void put_names(SSL *ssl, struct script *say)
{
	for (int i = 0; i < NAMES; i++) {
		impostor_put_parameter(say, rig_printf("name_%d", i).s, "v");
		if (say->len > sizeof(say->at) / 2)
			impostor_tell(ssl, say);
	}
}

static void wait_until(atomic_bool *what)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (!*what && rig_now_ms() < deadline)
		rig_nap();
}

/* A warning, which may come at any time. */
static void say_in_two_parts(SSL *ssl)
{
	static const char warning[] = "N\0\0\0\x1bSWARNING\0C01000\0Mhalf\0";
	const size_t whole = sizeof(warning), half = 11;

	wait_until(&speak);
	SSL_write(ssl, warning, (int)half);
	spoken++;
	wait_until(&end);
	SSL_write(ssl, warning + half, (int)(whole - half));
}

static void flood_with_notifications(SSL *ssl, struct script *say)
{
	static const char notification[] = "\0\0\0\1channel\0payload";

	script_put(say, 'R', "\0\0\0\0", 4);
	impostor_tell(ssl, say);
	do {
		while (say->len < sizeof(say->at) / 2)
			script_put(say, 'A', notification, sizeof(notification));
	} while (SSL_write(ssl, say->at, (int)say->len) > 0);
}

static void answer(SSL *ssl, struct script *say, const char *query)
{
	if (strcmp(query, "names") == 0)
		put_names(ssl, say);
	script_text(say, 'C', "SELECT 0");
	script_put(say, 'Z', "I", 1);
	impostor_tell(ssl, say);
	if (strcmp(query, "half") == 0)
		say_in_two_parts(ssl);
}

static void converse(SSL *ssl, struct script *say)
{
	struct impostor_batch batch = { .status = 'I' };
	char body[4096], type;

	if (impostor_hear(ssl, true, body, sizeof(body)) == 0)
		return;
	if (flood)
		flood_with_notifications(ssl, say);
	impostor_put_welcome(say);
	impostor_tell(ssl, say);
	while ((type = impostor_hear(ssl, false, body, sizeof(body))) != 0 && type != 'X')
		if (type == 'Q')
			answer(ssl, say, body);
		else if (impostor_put_answer(say, &batch, type, body))
			impostor_tell(ssl, say);
}

static void receive(struct impostor *im, int fd)
{
	impostor_serve(im, fd, converse);
}

/* --- the tests --- */

static void start(const char *keys)
{
	rig_require();
	impostor_start(&impostor, NULL, receive, NULL);
	rig = rig_start("workers = 1\ngreeting_max_age = 1d\n",
	                rig_printf("app = host=127.0.0.1 port=%d %s\n", impostor.port, keys).s,
	                NULL);
}

static void stop(void)
{
	rig_stop(rig);
	impostor_stop(&impostor);
}

static void works(PGconn *conn)
{
	rig_exec(conn, "anything");
}

Test(unruly, names_without_end_are_nonsense)
{
	PGconn *conn, *other;

	start("pool_size=2");
	conn = rig_connect(rig, "");
	other = rig_connect(rig, "");
	works(other);
	cr_assert_str_eq(rig_error(conn, "names").s, "08006");
	cr_assert(rig_wait_log(rig, "more parameters than any server has", RIG_PATIENCE_MS));
	works(other);
	PQfinish(conn);
	PQfinish(other);
	stop();
}

/* A client, and a server that it has used, which idles and has said half a message since. */
static PGconn *start_with_half_said(const char *keys)
{
	PGconn *conn;

	start(keys);
	conn = rig_connect(rig, "");
	rig_exec(conn, "half");
	speak = true;
	while (spoken == 0)
		rig_nap();
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "sv_tested", "1",
	                           RIG_PATIENCE_MS));
	return conn;
}

Test(unruly, half_of_a_message_is_nothing_to_be_lent)
{
	PGconn *conn;

	conn = start_with_half_said("pool_size=2");
	/* there is another */
	for (int i = 0; i < 3; i++)
		works(conn);
	end = true;
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "sv_idle", "2",
	                           RIG_PATIENCE_MS));
	works(conn);
	PQfinish(conn);
	stop();
}

/* With one server alone, it is another in its place. */
Test(unruly, half_of_a_message_that_is_all_costs_the_server)
{
	PGconn *conn;

	conn = start_with_half_said("pool_size=1");
	works(conn);
	cr_assert_eq(impostor.connections, 2);
	PQfinish(conn);
	end = true;
	stop();
}

/* libpq would keep them all. */
Test(unruly, notifications_without_end_are_no_login)
{
	PGconn *conn;

	flood = true;
	start("pool_size=1");
	conn = PQconnectStart(rig_conninfo(rig, "alice", "").s);
	while (!rig_wait_log(rig, "login failed: .*more than 1 MB", 10))
		PQconnectPoll(conn);
	PQfinish(conn);
	flood = false;
	conn = rig_connect(rig, "");
	works(conn);
	PQfinish(conn);
	stop();
}
