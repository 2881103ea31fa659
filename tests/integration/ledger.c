/* The ledger. In its clients' threads no assertion may be made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/ledger.h"
#include "tests/integration/rig_priv.h"

#define RECOVERY_MS 1500 /* where nothing else runs; PGSEAL_RECOVERY_MS for machines that are busy */
#define RECOVERY_SANITIZED_MS 10000
#define FOREVER_MS 3600000

/* ---- what a client hears ---- */

static void note(struct ledger *l, const char *sqlstate)
{
	size_t i;

	pthread_mutex_lock(&l->lock);
	for (i = 0; i < LEDGER_HEARD_MAX - 1; i++)
		if (l->heard[i].count == 0 || strcmp(l->heard[i].sqlstate, sqlstate) == 0)
			break;
	snprintf(l->heard[i].sqlstate, sizeof(l->heard[i].sqlstate), "%.5s", sqlstate);
	l->heard[i].count++;
	pthread_mutex_unlock(&l->lock);
}

/* What comes between two queries libpq hands out as a notice, errors too. */
static void overhear(void *arg, const PGresult *res)
{
	struct member *m = arg;
	struct ledger *l = m->crowd->arg;
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	snprintf(l->overheard[m->index], sizeof(l->overheard[0]), "%s", state != NULL ? state : "");
}

static struct rig_text loss(struct member *m, const char *sqlstate)
{
	struct ledger *l = m->crowd->arg;

	if (sqlstate == NULL && l->overheard[m->index][0] != '\0')
		sqlstate = l->overheard[m->index];
	return rig_printf("%s", sqlstate != NULL ? sqlstate : "lost");
}

/* SQLSTATE of the first error; "" for success, "lost" for an end without a word. */
static struct rig_text run(struct member *m, const char *sql)
{
	struct rig_text state = { "" };
	PGresult *res;

	if (!PQsendQuery(m->conn, sql))
		return loss(m, NULL);
	while ((res = PQgetResult(m->conn)) != NULL) {
		if (state.s[0] == '\0' && PQresultStatus(res) == PGRES_FATAL_ERROR)
			state = loss(m, PQresultErrorField(res, PG_DIAG_SQLSTATE));
		PQclear(res);
	}
	return state;
}

/* ---- a client ---- */

/* One transaction, in one of several ways. */
static struct rig_text enter(struct member *m, long serial)
{
	struct rig_text insert = rig_printf("INSERT INTO ledger VALUES (%d, %ld)", m->index,
	                                    serial);
	struct rig_text state;

	if (serial % 3 == 0)
		return run(m, insert.s);
	if (serial % 3 == 1)
		return run(m,
		           rig_printf("BEGIN; %.200s; SELECT pg_sleep(0.002); COMMIT", insert.s).s);
	state = run(m, "BEGIN");
	if (state.s[0] == '\0')
		state = run(m, insert.s);
	return state.s[0] == '\0' ? run(m, "COMMIT") : state;
}

/* pgseal itself goes: then nobody can tell why, nor be reached for a while. */
static bool may_be_lost(const struct ledger *l)
{
	return strstr(l->losses, "lost") != NULL;
}

static void connect_anew(struct member *m)
{
	struct ledger *l = m->crowd->arg;

	do {
		PQfinish(m->conn);
		m->conn = PQconnectdb(m->crowd->conninfo);
	} while (PQstatus(m->conn) != CONNECTION_OK && may_be_lost(l) && crowd_goes_on(m));
	if (PQstatus(m->conn) != CONNECTION_OK && !may_be_lost(l))
		member_fault(m, "reconnect: %s", PQerrorMessage(m->conn));
	l->overheard[m->index][0] = '\0';
	PQsetNoticeReceiver(m->conn, overhear, m);
}

static void keep_the_ledger(struct member *m)
{
	struct ledger *l = m->crowd->arg;

	PQsetNoticeReceiver(m->conn, overhear, m);
	for (long serial = 0; serial < LEDGER_ENTRIES_MAX && crowd_goes_on(m); serial++) {
		int64_t begun = rig_now_ms();
		struct rig_text state = enter(m, serial);

		m->done++;
		if (state.s[0] == '\0') {
			l->acknowledged[m->index][serial] = 1;
			l->served_ms[m->index] = begun;
			continue;
		}
		m->marks++;
		note(l, state.s);
		if (strstr(l->losses, state.s) == NULL)
			member_fault(m, "told %s: %s", state.s, PQerrorMessage(m->conn));
		if (PQstatus(m->conn) != CONNECTION_OK)
			connect_anew(m);
		else
			(void)run(m, "ROLLBACK");
	}
}

/* ---- from begin to end ---- */

void ledger_create(const char *database)
{
	PGconn *admin;

	crowd_database(database);
	admin = rig_admin_connect(database);
	rig_exec(admin, "CREATE TABLE ledger (client int, serial int)");
	rig_exec(admin, "GRANT ALL ON ledger TO alice");
	rig_exec(admin, rig_printf("ALTER DATABASE %s SET synchronous_commit = on", database).s);
	PQfinish(admin);
}

/* A client with a fault has ended: the test need not wait any longer. */
static void check_faults(const struct ledger *l)
{
	for (int i = 0; i < l->crowd.size; i++)
		cr_assert_eq(l->crowd.members[i].faults, 0, "client %d: %s", i,
		             l->crowd.members[i].why);
}

/* Until each client has been served since that moment: milliseconds. */
static int wait_served(const struct ledger *l, int64_t since_ms)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	for (int i = 0; i < l->crowd.size; i++)
		while (l->served_ms[i] <= since_ms) {
			check_faults(l);
			cr_assert(rig_left_ms(deadline) > 0, "client %d is not served", i);
			rig_nap();
		}
	return (int)(rig_now_ms() - since_ms);
}

void ledger_open_at(struct ledger *l, struct rig *rig, const char *database, const char *extra,
                    const char *losses)
{
	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
	l->database = database;
	l->losses = losses;
	crowd_start(&l->crowd, rig, LEDGER_CLIENTS, rig_printf("dbname=%s %s", database, extra).s,
	            FOREVER_MS, keep_the_ledger, l);
	(void)wait_served(l, 0);
}

void ledger_open(struct ledger *l, const char *database, const char *settings, const char *losses)
{
	struct rig_text all = rig_printf("workers = 2\nquery_wait_timeout = 60\n%s",
	                                 settings != NULL ? settings : "");
	struct rig *rig;

	ledger_create(database);
	rig = rig_start(all.s, crowd_entry(database, "pool_size=4").s, NULL);
	ledger_open_at(l, rig, database, "", losses);
	l->rig = rig;
}

void ledger_run(struct ledger *l, int run_ms)
{
	int64_t deadline = rig_now_ms() + run_ms;

	while (rig_left_ms(deadline) > 0) {
		check_faults(l);
		rig_nap();
	}
}

int ledger_recovers(struct ledger *l, int64_t since_ms)
{
	const char *busy = getenv("PGSEAL_RECOVERY_MS");
	int normal = busy != NULL ? atoi(busy) : RECOVERY_MS;
	int limit = rig_sanitized() ? RECOVERY_SANITIZED_MS : normal;
	int took = wait_served(l, since_ms);

	fprintf(stderr, "# %s: each client was served within %d ms\n", l->database, took);
	cr_assert_leq(took, limit, "%d ms", took);
	return took;
}

int ledger_heard(struct ledger *l, const char *sqlstate)
{
	int count = 0;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < LEDGER_HEARD_MAX; i++)
		if (sqlstate == NULL || strcmp(l->heard[i].sqlstate, sqlstate) == 0)
			count += l->heard[i].count;
	pthread_mutex_unlock(&l->lock);
	return count;
}

/* Compare the table with what the clients were told. */
static void audit(const struct ledger *l)
{
	static unsigned char entered[LEDGER_CLIENTS][LEDGER_ENTRIES_MAX];
	PGconn *admin = rig_admin_connect(l->database);
	PGresult *res = PQexec(admin, "SELECT client, serial FROM ledger");
	long told = 0, doubled = 0, missing = 0;

	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK);
	memset(entered, 0, sizeof(entered));
	for (int i = 0; i < PQntuples(res); i++) {
		unsigned char *entry =
			&entered[atoi(PQgetvalue(res, i, 0))][atoi(PQgetvalue(res, i, 1))];

		doubled += *entry;
		*entry = 1;
	}
	for (int c = 0; c < l->crowd.size; c++)
		for (long s = 0; s < l->crowd.members[c].done; s++) {
			told += l->acknowledged[c][s];
			missing += l->acknowledged[c][s] && !entered[c][s];
		}
	fprintf(stderr, "# %s: %ld acknowledged, %d entered\n", l->database, told, PQntuples(res));
	cr_assert_gt(told, LEDGER_CLIENTS);
	cr_assert_eq(missing, 0, "%ld acknowledged entries are missing", missing);
	cr_assert_eq(doubled, 0, "%ld entries are there twice", doubled);
	PQclear(res);
	PQfinish(admin);
}

void ledger_close(struct ledger *l)
{
	crowd_end(&l->crowd);
	crowd_join(&l->crowd);
	for (size_t i = 0; i < LEDGER_HEARD_MAX && l->heard[i].count > 0; i++)
		fprintf(stderr, "# %s: told %s: %d times\n", l->database, l->heard[i].sqlstate,
		        l->heard[i].count);
	audit(l);
	pthread_mutex_destroy(&l->lock);
	if (l->rig != NULL)
		rig_stop(l->rig);
}
