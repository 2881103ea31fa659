/* Clients that do not wait for the end of their login: they ask, or leave, while it goes on. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/freeze.h"
#include "tests/integration/rig_priv.h"

#define IDENTITIES                                           \
	"watcher = cn:watcher roles=watcher console=stats\n" \
	"rest = cn:/^([a-z]+)$/ roles=\\1\n"
#define FLOOD_BYTES 100000
#define RECORD_BYTES 15000 /* goes out in one piece, before anybody can close */

TestSuite(early, .timeout = 60);

static struct rig *rig;
static struct frames frames;
static struct script say;

/* The StartupMessage and what is said already, so many times over, in one write. */
static void arrive_with(const char *name, const char *database, size_t times)
{
	const char *const params[] = { "user", name, "database", database, NULL };
	struct rig_tls how = { .cert = name };
	static uint8_t packet[4 * sizeof(say.at)];
	size_t n = rig_startup(packet, 1024, FRAMES_3_0, params);

	memset(&frames, 0, sizeof(frames));
	frames.ssl = rig_tls_connect(rig, &how, NULL);
	cr_assert(frames.ssl != NULL, "no TLS for %s", name);
	for (; times > 0; times--) {
		cr_assert(say.len <= sizeof(packet) - n);
		memcpy(packet + n, say.at, say.len);
		n += say.len;
	}
	rig_tls_send(frames.ssl, packet, n);
	say.len = 0;
}

static void arrive(const char *name, const char *database)
{
	arrive_with(name, database, 1);
}

static void leave_and_stop(void)
{
	frames_drop(&frames);
	rig_stop(rig);
}

/* --- asking --- */

Test(early, query_with_the_startup_message_is_answered_by_a_cold_pool)
{
	crowd_database("a_cold");
	rig = rig_start(NULL, crowd_entry("a_cold", "pool_size=1").s, NULL);
	cr_assert_eq(crowd_backends("a_cold"), 0, "the pool is not cold");
	script_query(&say, "SELECT 42");
	arrive("alice", "a_cold");
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "RKZ");
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "TDCZ");
	leave_and_stop();
}

Test(early, batches_and_queries_with_the_startup_message_are_answered_in_order)
{
	rig = rig_start(NULL, NULL, NULL);
	for (int i = 0; i < 3; i++) { /* cold, then warm */
		script_parse(&say, "", "SELECT 1");
		script_bind(&say, "");
		script_execute(&say, 0);
		script_sync(&say);
		script_query(&say, "SELECT nonsense");
		script_query(&say, "SELECT 2");
		arrive("alice", "app");
		cr_assert_str_eq(frames_until(&frames, 'Z', 4).s, "RKZ12DCZEZTDCZ");
		frames_drop(&frames);
	}
	leave_and_stop();
}

Test(early, goodbye_with_the_startup_message_ends_the_session)
{
	PGconn *conn;

	crowd_database("a_bye");
	rig = rig_start(NULL, crowd_entry("a_bye", "pool_size=1").s, NULL);
	for (int i = 0; i < 3; i++) {
		script_query(&say, "SELECT 1");
		script_put(&say, 'X', NULL, 0);
		arrive("alice", "a_bye");
		cr_assert(strchr(frames_until(&frames, 'X', 1).s, '!') != NULL, "not ended");
		frames_drop(&frames);
	}
	conn = rig_connect(rig, "dbname=a_bye");
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}

/* --- asking the console --- */

static void start_console(void)
{
	rig = rig_start("workers = 1\n", NULL, IDENTITIES);
	cr_assert(rig_wait_log(rig, "started: ", RIG_PATIENCE_MS));
}

Test(early, command_with_the_startup_message_is_answered_by_the_console)
{
	start_console();
	script_query(&say, "SHOW VERSION");
	arrive("watcher", "pgseal");
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "RKZ");
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "TDCZ");
	script_query(&say, "SHOW POOLS");
	frames_send(&frames, &say);
	cr_assert(strchr(frames_until(&frames, 'Z', 1).s, 'Z') != NULL);
	leave_and_stop();
}

Test(early, hundred_kilobytes_of_commands_are_all_answered_by_the_console)
{
	int count = 0;

	start_console();
	for (; say.len < FLOOD_BYTES / 2; count += 2)
		script_query(&say, "SHOW VERSION");
	arrive_with("watcher", "pgseal", 2);
	cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "RKZ");
	for (int i = 0; i < count; i++)
		cr_assert_str_eq(frames_until(&frames, 'Z', 1).s, "TDCZ", "command %d of %d", i,
		                 count);
	leave_and_stop();
}

/* Longer than the console takes: that shows in the header. */
Test(early, command_of_hundred_kilobytes_is_refused_by_the_console)
{
	static char blanks[RECORD_BYTES];
	uint32_t size = htonl(FLOOD_BYTES);
	PGconn *conn;

	start_console();
	memset(blanks, ' ', sizeof(blanks) - 1);
	script_text(&say, 'Q', blanks);
	memcpy(say.at + 1, &size, sizeof(size));
	arrive("watcher", "pgseal");
	cr_assert(strchr(frames_until(&frames, 'A', 1).s, '!') != NULL, "not ended");
	conn = rig_connect_as(rig, "watcher", "dbname=pgseal");
	cr_assert_neq(rig_query(conn, "SHOW VERSION").s[0], '\0');
	PQfinish(conn);
	leave_and_stop();
}

Test(early, nonsense_with_the_startup_message_ends_that_console_alone)
{
	PGconn *conn;

	start_console();
	memset(say.at, 'A', say.len = RECORD_BYTES);
	arrive("watcher", "pgseal");
	cr_assert(strchr(frames_until(&frames, 'A', 1).s, '!') != NULL, "not ended");
	conn = rig_connect_as(rig, "watcher", "dbname=pgseal");
	cr_assert_neq(rig_query(conn, "SHOW VERSION").s[0], '\0');
	PQfinish(conn);
	leave_and_stop();
}

/* --- leaving --- */

static void refused_by_the_server(void)
{
	for (int i = 0; i < 3; i++) {
		frames_try_login(&frames, rig, "alice", "nosuch", FRAMES_3_0);
		cr_assert_str_eq(frames.sqlstate, "3D000", "%s %s", frames.sqlstate,
		                 frames.message);
		frames_drop(&frames);
	}
}

Test(early, client_that_leaves_before_its_servers_login_fails_harms_nobody)
{
	struct freeze freeze;
	PGconn *conn;

	rig = rig_start("workers = 1\nquery_wait_timeout = 60\n", "* = @postgres@\n", NULL);
	freeze_logins(&freeze);
	arrive("alice", "nosuch");
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "nosuch", "cl_waiting", "1",
	                           RIG_PATIENCE_MS));
	frames_drop(&frames);
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "nosuch", "cl_waiting", "0",
	                           RIG_PATIENCE_MS));
	freeze_end(&freeze);
	cr_assert(rig_wait_log(rig, "login failed: database=\"?nosuch", RIG_PATIENCE_MS));
	refused_by_the_server();
	conn = rig_connect(rig, "");
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}

Test(early, clients_that_leave_at_any_moment_of_a_failing_login_harm_nobody)
{
	PGconn *conn;

	rig = rig_start("workers = 1\nquery_wait_timeout = 60\n", "* = @postgres@\n", NULL);
	for (useconds_t wait_us = 0; wait_us < 30000; wait_us += 1500) {
		arrive("alice", "nosuch");
		usleep(wait_us);
		frames_drop(&frames);
	}
	refused_by_the_server();
	conn = rig_connect(rig, "");
	cr_assert_str_eq(rig_query(conn, "SELECT 'on'").s, "on");
	PQfinish(conn);
	rig_stop(rig);
}
