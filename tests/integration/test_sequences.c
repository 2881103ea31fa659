/* lastval, currval and random numbers: what a client hears is its own, or that there is nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

TestSuite(sequences, .timeout = 120);

#define CLIENTS 6
#define ROUNDS 40
#define DDL                                                                  \
	"CREATE TABLE orders (id serial, who int); CREATE SEQUENCE tickets;" \
	"GRANT ALL ON orders, orders_id_seq, tickets TO PUBLIC"

/* How a client draws and asks. Each of its own values is larger than the one before. */
struct habit {
	const char *draw; /* yields what was drawn */
	const char *ask;
	bool together; /* both in one transaction */
};

static const struct habit lastval = { "INSERT INTO orders (who) VALUES (%d) RETURNING id",
	                              "SELECT lastval()", false };
static const struct habit currval = { "INSERT INTO orders (who) VALUES (%d) RETURNING id",
	                              "SELECT currval('orders_id_seq')", false };
static const struct habit nextval = { "SELECT nextval('tickets') + 0 * %d",
	                              "SELECT currval('tickets')", false };
static const struct habit together = { "INSERT INTO orders (who) VALUES (%d) RETURNING id",
	                               "SELECT lastval()", true };

/* The value, or with an error its SQLSTATE. */
static struct rig_text value_of(struct member *m, const char *sql)
{
	PGresult *res = PQexec(m->conn, sql);
	struct rig_text text = { "" };

	if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1)
		text = rig_printf("%s", PQgetvalue(res, 0, 0));
	else if (PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL)
		text = rig_printf("%s", PQresultErrorField(res, PG_DIAG_SQLSTATE));
	PQclear(res);
	return text;
}

static void compare(struct member *m, int round, const char *drawn, const char *heard)
{
	if (strcmp(drawn, heard) == 0)
		m->done++;
	else if (round > 0) /* with its first question the pool learns that it is one that asks */
		member_fault(m, "round %d: drew %s, and lastval or currval says %s", round, drawn,
		             heard);
}

static void draw_and_ask(struct member *m)
{
	const struct habit *h = m->crowd->arg;
	struct rig_text drawn, heard;
	char sql[200];

	snprintf(sql, sizeof(sql), h->draw, m->index);
	for (int round = 0; round < ROUNDS && m->faults == 0; round++) {
		if (h->together)
			member_query(m, "BEGIN");
		drawn = value_of(m, sql);
		heard = value_of(m, h->ask);
		if (h->together)
			member_query(m, "COMMIT");
		compare(m, round, drawn.s, heard.s);
	}
}

static void play_habit(const char *database, const char *keys, const struct habit *h)
{
	static struct crowd crowd;
	struct rig *rig;
	PGconn *admin;

	crowd_database(database);
	admin = rig_admin_connect(database);
	rig_exec(admin, DDL);
	rig = rig_start("workers=2\n", crowd_entry(database, keys).s, NULL);
	crowd_start(&crowd, rig, CLIENTS, rig_printf("dbname=%s", database).s, RIG_PATIENCE_MS,
	            draw_and_ask, (void *)(uintptr_t)h);
	crowd_join(&crowd);
	for (int i = 0; i < CLIENTS; i++)
		cr_expect_geq(crowd.members[i].done, h->together ? ROUNDS : ROUNDS - 1);
	PQfinish(admin);
	rig_stop(rig);
}

Test(sequences, lastval_on_one_server)
{
	play_habit("sq_last_one", "pool_size=1", &lastval);
}

Test(sequences, lastval_on_two_servers)
{
	play_habit("sq_last_two", "pool_size=2", &lastval);
}

Test(sequences, currval_on_one_server)
{
	play_habit("sq_curr_one", "pool_size=1", &currval);
}

Test(sequences, currval_on_two_servers)
{
	play_habit("sq_curr_two", "pool_size=2", &currval);
}

Test(sequences, nextval_on_one_server)
{
	play_habit("sq_next_one", "pool_size=1", &nextval);
}

Test(sequences, lastval_in_the_transaction)
{
	play_habit("sq_together", "pool_size=1", &together);
}

/* Without a hold it is the truth or 55000, and never another's. */
static void draw_and_hear_no_other(struct member *m)
{
	struct rig_text drawn, heard;
	char sql[200];

	snprintf(sql, sizeof(sql), lastval.draw, m->index);
	for (int round = 0; round < ROUNDS && m->faults == 0; round++) {
		drawn = value_of(m, sql);
		heard = value_of(m, lastval.ask);
		if (round > 0 && strcmp(heard.s, drawn.s) != 0 && strcmp(heard.s, "55000") != 0)
			member_fault(m, "drew %s, is told %s", drawn.s, heard.s);
	}
}

Test(sequences, without_hold_there_is_no_answer_rather_than_anothers)
{
	static struct crowd crowd;
	struct rig *rig;
	PGconn *admin;

	crowd_database("sq_never");
	admin = rig_admin_connect("sq_never");
	rig_exec(admin, DDL);
	rig = rig_start("workers=2\nlastval_hold=0\n", crowd_entry("sq_never", "pool_size=1").s,
	                NULL);
	crowd_start(&crowd, rig, CLIENTS, "dbname=sq_never", RIG_PATIENCE_MS,
	            draw_and_hear_no_other, NULL);
	crowd_join(&crowd);
	PQfinish(admin);
	rig_stop(rig);
}

/* ---- in turns, so that it is sure who comes after whom ---- */

static const struct line never_drew[] = { { 'b', QUERY, "SELECT lastval()", "!55000" },
	                                  { 'b', QUERY, "SELECT currval('tickets')", "!55000" },
	                                  SCENE_END };

/* b has asked before: its pool knows that somebody does. */
#define FIRST                                            \
	{                                                \
		'b', QUERY, "SELECT lastval()", "!55000" \
	}

static const struct scene scenes[] = {
	{ .name = "nextval",
	  .lines = (const struct line[]){ FIRST,
	                                  { 'a', QUERY, "SELECT nextval('tickets') > 0", "t" },
	                                  SCENE_END } },
	{ .name = "INSERT",
	  .lines = (const struct line[]){ FIRST,
	                                  { 'a', QUERY, "INSERT INTO orders (who) VALUES (1)", "" },
	                                  SCENE_END } },
	{ .name = "INSERT by a prepared statement",
	  .lines = (const struct line[]){ FIRST,
	                                  { 'a', PARSE, "s: INSERT INTO orders (who) VALUES ($1)",
	                                    "" },
	                                  { 'a', BIND, "s << 1", "" },
	                                  SCENE_END } },
	{ .name = "INSERT in a WITH",
	  .lines = (const struct line[]){ FIRST,
	                                  { 'a', EXTENDED,
	                                    "WITH x AS (INSERT INTO orders (who) VALUES "
	                                    "(1) RETURNING who) SELECT who FROM x",
	                                    "1" },
	                                  SCENE_END } },
	{ .name = "setval",
	  .lines = (const struct line[]){ FIRST,
	                                  { 'a', QUERY, "SELECT setval('tickets', 1000)", "1000" },
	                                  SCENE_END } },
	{ .name = "EXECUTE of an INSERT",
	  .lines = (const struct line[]){ FIRST,
	                                  { 'a', QUERY,
	                                    "PREPARE s AS INSERT INTO orders (who) VALUES (1)",
	                                    "" },
	                                  { 'a', QUERY, "EXECUTE s", "" },
	                                  { 'a', QUERY, "DEALLOCATE s", "" },
	                                  SCENE_END } },
	{ .name = "a call",
	  .lines = (const struct line[]){ FIRST,
	                                  { 'a', CALL, "setval(regclass,bigint) << tickets << 2000",
	                                    ANYTHING },
	                                  SCENE_END } },
};

static void play_sequences(const char *database, const struct stage *stage)
{
	scene_open(database, DDL, stage);
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		struct scene scene = scenes[i];

		scene.more = never_drew;
		scene_play(&scene);
	}
	scene_close();
}

Test(sequences, of_others_are_not_heard_on_one_server)
{
	play_sequences("sq_one", &scene_one_server);
}

Test(sequences, of_others_are_not_heard_on_two_servers)
{
	play_sequences("sq_two", &scene_two_servers);
}

/* ---- random numbers ---- */

static const struct {
	const char *name, *sql;
} seeds[] = {
	{ "setseed", "SELECT setseed(0.5)" },
	{ "SET seed", "SET seed = 0.5" },
	{ "set_config", "SELECT set_config('seed', '0.5', false)" },
	{ "setseed in a transaction", "BEGIN; SELECT setseed(0.5); COMMIT" },
};

static void play_seeds(const char *database, const struct stage *on, bool leaves)
{
	struct actor a = { 0 }, b = { 0 };
	struct rig_text known;

	scene_open(database, NULL, on);
	actor_enter(&a, NULL, "pgseal", database, "");
	actor_query(&a, seeds[0].sql);
	known = actor_query(&a, "SELECT random()");
	actor_leave(&a);
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		actor_enter(&a, scene_rig(), "alice", database, "");
		actor_query(&a, seeds[i].sql);
		if (leaves)
			actor_leave(&a);
		actor_enter(&b, scene_rig(), "alice", database, "");
		cr_expect_str_neq(actor_query(&b, "SELECT random()").s, known.s, "%s",
		                  seeds[i].name);
		actor_leave(&b);
		actor_leave(&a);
	}
	scene_close();
}

Test(sequences, of_random_numbers_are_not_anothers)
{
	play_seeds("sq_seed", &scene_two_servers, false);
}

Test(sequences, of_random_numbers_are_not_those_of_who_left)
{
	play_seeds("sq_seedleft", &scene_one_server, true);
}
