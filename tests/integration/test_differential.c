/* Conversations made up at random have the same answers through pgseal as straight from PostgreSQL.
 *
 * PGSEAL_SEED=n begins with that seed, PGSEAL_CONVERSATIONS=n makes so many conversations (a round has
 * four, one per client, and a seed of its own), PGSEAL_POOL=n gives the pool so many servers. A failure
 * tells the seed of its round; with PGSEAL_SHRINK=1 it leaves out first what it can do without.
 *
 * What is not compared: see transcript.h; what is not said in pool_mode transaction: see EXCEPTIONS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/exchange.h"
#include "tests/integration/rig_priv.h"

/* In pool_mode transaction:
 * - statements have other names in the catalog, and those of others are there too (TOPIC_CATALOG);
 * - errors told by pgseal in PostgreSQL's place have no file, line and routine.
 * What README tells under "What it does not do today" does not come up in any mode: clients ask for no parameters
 * when they connect, so that a RESET leads to the same value within its transaction; and what functions set, they
 * set by names in the text or it is none of the custom parameters. */
#define EXCEPTIONS TOPIC_CATALOG

/* A change is judged by the same conversations as the one before it; others are for long runs. */
#define SEED          1
#define CONVERSATIONS 80
#define FEW           8 /* of each variant */

TestSuite(differential, .timeout = 24 * 3600); /* exchange_run has its own patience */

struct trial {
	const char *database;
	struct rig *rig; /* NULL: PostgreSQL again */
	unsigned topics;
	int workers;       /* one: its servers are for all clients alike */
	bool places;       /* errors come from the same places */
	bool identities;   /* not all clients have the same */
	int conversations; /* unless the environment says how many; 0: CONVERSATIONS */
};

struct round {
	uint64_t seed;
	struct conversation says[CONVERSATION_CLIENTS];
	struct transcript direct[CONVERSATION_CLIENTS];
	struct transcript pooled[CONVERSATION_CLIENTS];
};

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static void make_tables(const char *database)
{
	PGconn *conn = rig_admin_connect(database);

	rig_exec(conn, "SET ROLE alice");
	for (int i = 0; i < CONVERSATION_CLIENTS; i++)
		rig_exec(conn,
		         rig_printf("CREATE SCHEMA c%d; SET search_path = c%d; "
		                    "CREATE TABLE rows (id int, word text); "
		                    "CREATE TABLE keyed (id int PRIMARY KEY); "
		                    "CREATE TABLE drawn (id serial, word text); "
		                    "CREATE SEQUENCE tickets; "
		                    "GRANT USAGE ON SCHEMA c%d TO app_ro, app_rw; "
		                    "GRANT SELECT ON ALL TABLES IN SCHEMA c%d TO app_ro; "
		                    "GRANT ALL ON ALL TABLES IN SCHEMA c%d TO app_rw; "
		                    "GRANT ALL ON ALL SEQUENCES IN SCHEMA c%d TO app_ro, app_rw",
		                    i, i, i, i, i, i)
		                 .s);
	PQfinish(conn);
}

/* Roles are there for all tests at once, and two GRANT of one role must not meet. */
static void grant_roles(void)
{
	PGconn *conn = rig_admin_connect("postgres");

	rig_exec(conn, "SET client_min_messages = warning; SELECT pg_advisory_lock(1)");
	rig_exec(conn, "GRANT app_ro, app_rw TO alice");
	PQfinish(conn);
}

static void make_database(const char *database)
{
	crowd_database(database);
	grant_roles();
	make_tables(database);
}

/* --- what is told about a difference --- */

static void print_heard(const char *whose, const struct transcript *t, int first, size_t most)
{
	size_t from = first > 0 ? t->marks[first - 1] : 0, left = t->len - from;

	fprintf(stderr, "  %s:\n", whose);
	transcript_print(stderr, t->heard + from, left < most ? left : most);
}

static void print_said(const struct conversation *c, int last)
{
	for (int i = 0; i <= last; i++) {
		fprintf(stderr, "  step %d%s:\n", i, c->steps[i].wait ? "" : " (pipelined)");
		transcript_print(stderr, c->said.at + c->steps[i].at, c->steps[i].len);
	}
}

static void tell(const struct round *r, int client, size_t where)
{
	const struct conversation *c = &r->says[client];
	const struct transcript *direct = &r->direct[client], *pooled = &r->pooled[client];
	size_t from = 0, most;
	int first = 0, last = 0;

	while (last < c->count - 1 && direct->marks[last] <= where) {
		if (direct->marks[last] > 0) {
			from = direct->marks[last];
			first = last + 1;
		}
		last++;
	}
	fprintf(stderr,
	        "PGSEAL_SEED=%ju PGSEAL_CONVERSATIONS=%d: client %d, steps %d to %d of %d\n",
	        (uintmax_t)r->seed, CONVERSATION_CLIENTS, client, first, last, c->count);
	print_said(c, last);
	most = where - from + 500;
	print_heard("PostgreSQL", direct, first, most);
	print_heard("pgseal", pooled, first, most);
}

/* --- rounds --- */

static void forget(struct round *r)
{
	for (int i = 0; i < CONVERSATION_CLIENTS; i++) {
		transcript_free(&r->direct[i]);
		transcript_free(&r->pooled[i]);
	}
}

/* The generator has counted the answers right, or else what is heard is not what was waited for. */
static bool hears_end(const struct transcript *t)
{
	static const uint8_t end[] = "D\0\0\0\x11\0\1\0\0\0\7" CONVERSATION_END
				     "C\0\0\0\rSELECT 1\0Z\0\0\0\5I";
	size_t n = sizeof(end) - 1;

	return t->len >= n && memcmp(t->heard + t->len - n, end, n) == 0;
}

static void converse(const struct trial *t, struct round *r)
{
	static const char *const alike[CONVERSATION_CLIENTS] = { "alice", "alice", "alice",
		                                                 "alice" };
	static const char *const several[CONVERSATION_CLIENTS] = { "alice", "bob", "alice",
		                                                   "carol" };

	forget(r);
	for (int i = 0; i < CONVERSATION_CLIENTS; i++) {
		r->direct[i].places = r->pooled[i].places = t->places;
		if (!exchange_run(NULL, t->database, r->seed, NULL, &r->says[i], &r->direct[i], 1) ||
		    !hears_end(&r->direct[i])) {
			tell(r, i, r->direct[i].len);
			cr_assert(false, "client %d straight to PostgreSQL", i);
		}
	}
	exchange_run(t->rig, t->database, r->seed, t->identities ? several : alike, r->says,
	             r->pooled, CONVERSATION_CLIENTS);
}

/* Converse; the first client that hears something else, or -1. */
static int find_difference(const struct trial *t, struct round *r, size_t *where)
{
	converse(t, r);
	for (int i = 0; i < CONVERSATION_CLIENTS; i++)
		if (transcript_differ(&r->direct[i], &r->pooled[i], where))
			return i;
	return -1;
}

/* Leave out subject by subject what the difference does not need, as long as it shows each time. */
static void shrink(const struct trial *t, struct round *r)
{
	struct conversation before;
	size_t where;

	for (int i = 0; i < CONVERSATION_CLIENTS; i++)
		for (int subject = CONVERSATION_STEPS; subject > CONVERSATION_FRAME; subject--) {
			before = r->says[i];
			if (conversation_drop(&r->says[i], subject) &&
			    find_difference(t, r, &where) < 0)
				r->says[i] = before;
		}
}

static void shrink_and_tell(const struct trial *t, struct round *r)
{
	size_t where;
	int client = -1;

	shrink(t, r);
	for (int tries = 0; client < 0 && tries < 20; tries++)
		client = find_difference(t, r, &where);
	for (int i = 0; i < CONVERSATION_CLIENTS; i++) {
		fprintf(stderr, "shrunk: client %d\n", i);
		print_said(&r->says[i], r->says[i].count - 1);
	}
	if (client >= 0)
		tell(r, client, where);
}

static bool same_answers(const struct trial *t, uint64_t seed)
{
	struct round *r = calloc(1, sizeof(*r));
	size_t where;
	int client;

	cr_assert(r != NULL);
	r->seed = seed;
	for (int i = 0; i < CONVERSATION_CLIENTS; i++)
		conversation_make(&r->says[i], seed, i, t->topics);
	client = find_difference(t, r, &where);
	if (client >= 0)
		tell(r, client, where);
	if (client >= 0 && getenv("PGSEAL_SHRINK") != NULL)
		shrink_and_tell(t, r);
	forget(r);
	free(r);
	return client < 0;
}

/* The first question of a pool for what was drawn from sequences may come too late. */
static void ask_first(const struct trial *t)
{
	PGconn *conn = rig_connect(t->rig, rig_printf("dbname=%s", t->database).s);

	PQclear(PQexec(conn, "SELECT lastval()"));
	PQfinish(conn);
}

static void run(const struct trial *t)
{
	uint64_t seed = number_from("PGSEAL_SEED", SEED);
	uint64_t all = t->conversations > 0 ? (uint64_t)t->conversations : CONVERSATIONS;
	uint64_t rounds = number_from("PGSEAL_CONVERSATIONS", all) / CONVERSATION_CLIENTS;
	int bad = 0;

	if (t->rig != NULL)
		ask_first(t);
	for (uint64_t i = 0; i < rounds && bad < 3; i++)
		bad += !same_answers(t, seed + i);
	rig_stop(t->rig);
	cr_assert_eq(bad, 0, "%d rounds differ; seeds above", bad);
}

static void run_in_transactions(struct trial *t)
{
	struct rig_text keys = rig_printf("pool_size=%d min_pool_size=2",
	                                  (int)number_from("PGSEAL_POOL", 2));
	struct rig_text settings;

	make_database(t->database);
	t->topics &= ~(unsigned)EXCEPTIONS;
	settings = rig_printf("workers = %d\nserver_round_robin = 1\n"
	                      "max_prepared_statements = 3\n", t->workers);
	t->rig = rig_start(settings.s, crowd_entry(t->database, keys.s).s, NULL);
	run(t);
}

/* PostgreSQL answers the same twice: the test itself is sound. */
Test(differential, harness)
{
	struct trial t = { .database = "v_harness", .topics = TOPIC_ALL, .places = true };

	make_database(t.database);
	run(&t);
}

Test(differential, sessions)
{
	struct trial t = { .database = "v_sessions", .topics = TOPIC_ALL, .places = true };

	make_database(t.database);
	t.rig = rig_start("pool_mode = session\n", crowd_entry(t.database, "pool_size=4").s, NULL);
	run(&t);
}

Test(differential, prepared)
{
	struct trial t = { .database = "v_prepared",
		           .topics = TOPIC_STATEMENTS | TOPIC_PREPARE | TOPIC_SHAPES,
		           .workers = 1 };

	run_in_transactions(&t);
}

Test(differential, everything)
{
	struct trial t = { .database = "v_everything", .topics = TOPIC_ALL, .workers = 2 };

	run_in_transactions(&t);
}

/* --- the settings that decide what becomes of a session's state --- */

static void run_variant(const char *database, const char *mode, int prepared, const char *reset)
{
	bool sessions = strcmp(mode, "session") == 0;
	struct trial t = { .database = database,
		           .topics = TOPIC_ALL & ~(sessions ? 0u : (unsigned)EXCEPTIONS),
		           .places = sessions,
		           .identities = true,
		           .conversations = FEW };
	struct rig_text keys = rig_printf("pool_size=%d", (int)number_from("PGSEAL_POOL", 2));
	struct rig_text settings = rig_printf("workers = 1\nserver_round_robin = 1\npool_mode = %s\n"
	                                      "max_prepared_statements = %d\nserver_reset = %s\n",
	                                      mode, prepared, reset);

	make_database(database);
	t.rig = rig_start(settings.s, crowd_entry(database, keys.s).s,
	                  "people = cn:/(alice|bob|carol)/ roles=alice\n");
	run(&t);
}

#define VARIANT(mode, prepared, reset)                                                    \
	Test(differential, mode##_##prepared##_##reset)                                   \
	{                                                                                 \
		run_variant("v_" #mode "_" #prepared "_" #reset, #mode, prepared, #reset); \
	}

VARIANT(transaction, 200, suspected)
VARIANT(transaction, 200, identity)
VARIANT(transaction, 200, client)
VARIANT(transaction, 0, suspected)
VARIANT(transaction, 0, identity)
VARIANT(transaction, 0, client)
VARIANT(transaction, 2, suspected)
VARIANT(transaction, 2, identity)
VARIANT(transaction, 2, client)
/* where statements are the server's own */
VARIANT(session, 200, suspected)
VARIANT(session, 0, identity)
VARIANT(session, 2, client)
