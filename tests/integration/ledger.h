/* Clients that keep a ledger in a table, and note what was acknowledged to them, while a test does
 * something to everything behind them. At the end the table must agree with the notes; and when they are
 * served again behind a fault is measured. */
#ifndef PGSEAL_TESTS_LEDGER_H
#define PGSEAL_TESTS_LEDGER_H

#include "tests/integration/crowd.h"

#define LEDGER_CLIENTS 8
#define LEDGER_ENTRIES_MAX 50000
#define LEDGER_HEARD_MAX 16

struct ledger {
	struct rig *rig;
	const char *database;
	const char *losses;  /* SQLSTATEs that a client may hear, with blanks between */
	struct crowd crowd;
	/* When the latest transaction that succeeded was begun, per client. */
	_Atomic int64_t served_ms[LEDGER_CLIENTS];
	unsigned char acknowledged[LEDGER_CLIENTS][LEDGER_ENTRIES_MAX]; /* by client and serial */
	char overheard[LEDGER_CLIENTS][6]; /* SQLSTATE of what came between two queries */
	/* What clients were told instead of success, and how often. Under lock. */
	pthread_mutex_t lock;
	struct ledger_heard {
		char sqlstate[6];
		int count;
	} heard[LEDGER_HEARD_MAX];
};

/* What a client may be told whose server goes. "lost", an end without a word, is only for tests that end
 * pgseal itself; clients then try until they are let in. */
#define LEDGER_LOSSES "08006 57P01 57P02 57P03 57P05"

/* A database of that name with an empty ledger. */
void ledger_create(const char *database);
/* Start pgseal for it, four servers over two workers, and the clients; settings may be NULL, losses
 * are LEDGER_LOSSES or fewer. Goes on until ledger_close. Big: make it static. */
void ledger_open(struct ledger *l, const char *database, const char *settings, const char *losses);
/* The same before a pgseal that runs already, which stays the caller's to stop. */
void ledger_open_at(struct ledger *l, struct rig *rig, const char *database, const char *extra,
                    const char *losses);
/* Let them work for a while. */
void ledger_run(struct ledger *l, int run_ms);
/* The fault ended at that moment: wait until each client has been served since, print and return how
 * many milliseconds that took. Fails the test when it is more than a second and a half; under a
 * sanitizer, ten. */
int ledger_recovers(struct ledger *l, int64_t since_ms);
/* Times that any client heard this SQLSTATE; NULL: any. */
int ledger_heard(struct ledger *l, const char *sqlstate);
/* End, audit, print what clients were told; stops the pgseal that ledger_open started. */
void ledger_close(struct ledger *l);

#endif
