/* Two clients in raw frames on a database of their own, for what one of them must not notice of the
 * other. */
#ifndef PGSEAL_TESTS_DUO_H
#define PGSEAL_TESTS_DUO_H

#include "tests/integration/frames.h"

extern struct rig *duo_rig;
extern struct frames a, b; /* both as alice */
extern struct script say;

/* A pgseal with these settings (NULL: none) and so many servers at the most. */
void duo_start(const char *database, int pool_size, const char *settings);
void duo_finish(void);

void describe(const char *name);
/* As drivers do it: the statement in one round trip, its execution in the next. */
void prepare(const char *name, const char *sql);
void execute(const char *name);
void close_statement(const char *name);
/* Send what is to be said, and hear that up to the n-th ReadyForQuery. */
void expect(struct frames *f, const char *answers);
/* The same of something that yields so many rows: each client asks for a number of its own. */
void expect_rows(struct frames *f, const char *answers, int rows);
/* Answers end with an error of that SQLSTATE, whose message contains the words. */
void expect_error(struct frames *f, const char *answers, const char *sqlstate, const char *words);
bool stays_silent(const struct frames *f);
/* A simple query that succeeds. */
void run(struct frames *f, const char *sql);
/* One value, by a simple query. */
struct rig_text ask(struct frames *f, const char *sql);

#endif
