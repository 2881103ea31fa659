/* Clients that vanish, do not read, dribble and break off: their own servers are free again, and nobody
 * else notices. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"
#include "tests/integration/ledger.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/world.h"

/* Three seconds until a silent peer counts as gone. */
#define WATCHFUL "tcp_keepidle = 1\ntcp_keepintvl = 1\ntcp_keepcnt = 2\ntcp_user_timeout = 3000\n"
#define WATCHFUL_MS 3000
#define SLACK_MS 2000 /* of the kernel's timers, which are not exact */
#define BIG "SELECT repeat('x', 1000) FROM generate_series(1, 200000)"

TestSuite(fault_clients, .timeout = 180);

static struct ledger ledger;
static struct rig *rig;

/* The ledger has a pool of its own, so that it shares only the process with the others. */
static void start(const char *database, const char *settings)
{
	rig_alone();
	rig_require();
	ledger_create(database);
	rig = rig_start(
		rig_printf("workers = 2\nquery_wait_timeout = 60\nlisten_addr = *\n%s", settings).s,
		rig_printf("%.500sapp = @postgres@ dbname=app pool_size=1\n"
	                   "other = @postgres@ dbname=other pool_size=1\n",
	                   crowd_entry(database, "pool_size=4").s)
			.s,
		NULL);
	ledger_open_at(&ledger, rig, database, "", "");
}

static void stop(void)
{
	ledger_recovers(&ledger, rig_now_ms());
	ledger_close(&ledger);
	rig_stop(rig);
}

/* Somebody else gets the only server of that pool, at last. */
static void next_is_served(const char *database, const char *why, int64_t since)
{
	PGconn *next = rig_connect(rig, rig_printf("dbname=%s", database).s);
	int took;

	rig_exec(next, "SELECT 1");
	took = (int)(rig_now_ms() - since);
	fprintf(stderr, "# %s: the next was served within %d ms\n", why, took);
	cr_assert_lt(took, rig_sanitized() ? 20000 : WATCHFUL_MS + SLACK_MS);
	PQfinish(next);
}

/* Begin to read a big answer, and stop. */
static void begin_to_read(PGconn *conn)
{
	struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

	cr_assert(PQsendQuery(conn, BIG) == 1 && PQflush(conn) == 0);
	cr_assert(poll(&p, 1, RIG_PATIENCE_MS) == 1);
}

static struct rig_text from_there(const struct remote *r, const char *database)
{
	return rig_printf("hostaddr=%s dbname=%s", r->address, database);
}

/* One in a transaction, one in the middle of an answer, one idle: no FIN, no reset, nothing. */
Test(fault_clients, vanish_without_a_word)
{
	struct remote remote;
	PGconn *holds, *reads, *idle;
	int64_t since;
	int before;

	world_require();
	start("f_vanish", WATCHFUL);
	remote_open(&remote);
	before = guest_descriptors(rig);
	remote_enter(&remote);
	holds = rig_connect(rig, from_there(&remote, "app").s);
	reads = rig_connect(rig, from_there(&remote, "other").s);
	idle = rig_connect(rig, from_there(&remote, "other").s);
	remote_leave(&remote);
	rig_exec(holds, "BEGIN");
	begin_to_read(reads);
	since = rig_now_ms();
	remote_cut(&remote);
	next_is_served("app", "vanished in a transaction", since);
	next_is_served("other", "vanished in an answer", since);
	/* the two servers stay */
	cr_assert(guest_wait_descriptors(rig, before + 2, RIG_PATIENCE_MS), "%d descriptors",
	          guest_descriptors(rig));
	cr_assert_geq(rig_log_count(rig, "close: .*Connection timed out|No route to host"), 3);
	PQfinish(holds);
	PQfinish(reads);
	PQfinish(idle);
	remote_close(&remote);
	stop();
}

/* Alive, but it does not take its answer: tcp_user_timeout is for that too. */
Test(fault_clients, never_read)
{
	PGconn *lazy;
	int64_t since;

	start("f_lazy", WATCHFUL);
	lazy = rig_connect(rig, "dbname=app");
	since = rig_now_ms();
	begin_to_read(lazy);
	next_is_served("app", "never reads", since);
	PQfinish(lazy);
	stop();
}

/* ---- bad manners ---- */

/* So many bytes of a session with a query and a half, in pieces. */
static void say_part(const struct guest *g, size_t most, size_t piece)
{
	static const char *const params[] = { "user", "alice", "database", "app", NULL };
	uint8_t all[600];
	size_t n = rig_startup(all, sizeof(all), GUEST_V3_0, params);

	memcpy(all + n, "Q\0\0\0\15SELECT 1\0Q\0\0\0\15SELE", 23);
	n += 23;
	for (size_t pos = 0; pos < n && pos < most; pos += piece)
		guest_send(g, all + pos, pos + piece < n ? piece : n - pos);
}

/* They break off at any byte, with and without a FIN, while others work in the same pool's process. */
Test(fault_clients, dribble_and_break_off_at_any_byte)
{
	int rounds = rig_sanitized() ? 30 : 120, before;

	start("f_manners", "");
	before = guest_descriptors(rig);
	for (int i = 0; i < rounds; i++) {
		struct guest g = guest_tls(rig, "alice");

		say_part(&g, (size_t)(i % 60), i % 3 == 0 ? 1 : 7);
		if (i % 2 == 0)
			guest_leave(&g);
		else
			guest_reset(&g);
	}
	cr_assert(guest_wait_descriptors(rig, before + 1, RIG_PATIENCE_MS), "%d descriptors",
	          guest_descriptors(rig));
	next_is_served("app", "bad manners", rig_now_ms());
	stop();
}
