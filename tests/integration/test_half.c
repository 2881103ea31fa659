/* A client that dies in the middle of a message: what the server has of it must never be completed
 * by anything that is sent behind it, the goodbye to the server least of all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

#define CUT_MAX 5 /* a Terminate has so many bytes */
#define SETTLE_US 20000

TestSuite(half, .timeout = 180);

static struct rig *rig;
static struct frames frames;
static struct script say;
static PGconn *other;
static bool text_alone; /* half a text waits in pgseal until it is whole: no server is lent for it */

/* One server, a table t; the next client waits for its turn. */
static void start(const char *database)
{
	crowd_database(database);
	rig = rig_start(NULL, crowd_entry(database, "pool_size=1").s, NULL);
	other = rig_connect(rig, rig_printf("dbname=%s", database).s);
	rig_exec(other, "CREATE TABLE t (i int, note text)");
}

static void ask(char until, const char *answers)
{
	frames_send(&frames, &say);
	cr_assert_str_eq(frames_until(&frames, until, 1).s, answers);
}

/* The client dies with so many bytes missing; the server, behind whatever pgseal did to it, has
 * nothing in the table, and the next client is served. */
static void die(const char *database, size_t missing)
{
	cr_assert(missing < say.len);
	say.len -= missing;
	frames_send(&frames, &say);
	cr_assert(text_alone || rig_console_wait(rig, "SHOW POOLS", "database", database, "sv_active",
	                                         "1", RIG_PATIENCE_MS));
	usleep(SETTLE_US); /* so that the server has what pgseal has */
	frames_drop(&frames);
	cr_assert_str_eq(rig_query(other, "SELECT 'on'").s, "on");
	cr_assert_eq(PQtransactionStatus(other), PQTRANS_IDLE);
	cr_assert(crowd_wait_backends(database, "1", RIG_PATIENCE_MS));
	cr_assert_str_eq(rig_query(other, "SELECT count(*) FROM t").s, "0",
	                 "%zu bytes short, but done", missing);
}

static void stop(void)
{
	PQfinish(other);
	rig_stop(rig);
}

/* Its last bytes are a comment, which other bytes may stand for. */
#define INSERT "INSERT INTO t VALUES (1, 'half') -- ZZZZZ"

static void for_each_cut(const char *database, void (*tell)(void))
{
	start(database);
	for (size_t missing = 1; missing <= CUT_MAX; missing++) {
		frames_login(&frames, rig, "alice", database);
		tell();
		die(database, missing);
	}
	stop();
}

static void tell_query(void)
{
	script_query(&say, INSERT);
}

Test(half, query_is_never_executed)
{
	text_alone = true;
	for_each_cut("h_query", tell_query);
}

/* More than pgseal keeps back: what it passes on bit by bit must not be executed either. */
static const char *long_insert(void)
{
	static char text[68000];
	int n = snprintf(text, sizeof(text), "INSERT INTO t VALUES (1, 'half') --");

	memset(text + n, 'Z', sizeof(text) - (size_t)n - 1);
	return text;
}

static void tell_long_query(void)
{
	script_query(&say, long_insert());
}

Test(half, long_query_is_never_executed)
{
	for_each_cut("h_long", tell_long_query);
}

static void tell_query_behind_another(void)
{
	script_query(&say, "SELECT 1");
	script_query(&say, INSERT);
}

Test(half, query_behind_a_whole_one_is_never_executed)
{
	text_alone = true; /* once the whole one is answered */
	for_each_cut("h_second", tell_query_behind_another);
}

static void tell_commit(void)
{
	script_query(&say, "BEGIN; INSERT INTO t VALUES (1, 'half')");
	ask('Z', "CCZ");
	script_query(&say, "COMMIT -- ZZZZZ");
}

Test(half, commit_is_never_executed)
{
	for_each_cut("h_commit", tell_commit);
}

static void tell_parse(void)
{
	script_parse(&say, "", INSERT);
}

Test(half, parse_is_never_executed)
{
	text_alone = true;
	for_each_cut("h_parse", tell_parse);
}

static void tell_long_parse(void)
{
	script_parse(&say, "", long_insert());
}

Test(half, long_parse_is_never_executed)
{
	for_each_cut("h_long_parse", tell_long_parse);
}

static void tell_bind(void)
{
	script_parse(&say, "", INSERT);
	script_bind(&say, "");
}

Test(half, bind_is_never_executed)
{
	for_each_cut("h_bind", tell_bind);
}

static void tell_execute(void)
{
	tell_bind();
	script_execute(&say, 0);
}

Test(half, execute_is_never_committed)
{
	for_each_cut("h_execute", tell_execute);
}

static void tell_sync(void)
{
	tell_execute();
	script_sync(&say);
}

Test(half, sync_is_never_committed)
{
	for_each_cut("h_sync", tell_sync);
}

static void begin_copy(void)
{
	script_query(&say, "COPY t FROM STDIN");
	ask('G', "G");
	script_put(&say, 'd', "1\twhole\n", 8);
}

static void tell_copy_data(void)
{
	begin_copy();
	script_put(&say, 'd', "2\thalf\n", 7);
}

Test(half, row_of_a_copy_is_never_kept)
{
	for_each_cut("h_row", tell_copy_data);
}

static void tell_copy_done(void)
{
	begin_copy();
	script_put(&say, 'c', NULL, 0);
}

Test(half, end_of_a_copy_never_keeps_its_rows)
{
	for_each_cut("h_done", tell_copy_done);
}
