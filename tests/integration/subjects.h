/* What conversations are about; each of these says one thing, in one step or several. */
#ifndef PGSEAL_TESTS_SUBJECTS_H
#define PGSEAL_TESTS_SUBJECTS_H

#include "tests/integration/utter.h"

/* subjects_batch.c */
void say_batch(struct talker *t);
void say_flushed(struct talker *t);
void say_as_drivers(struct talker *t);
void say_cursor(struct talker *t);
void say_shape(struct talker *t);

/* subjects_sql.c */
void say_query(struct talker *t);
void say_block(struct talker *t);
void say_call(struct talker *t);
/* Either in a Query or in a batch. */
void say_sql(struct talker *t, const char *sql);
void say_parameter(struct talker *t);
void say_unreported(struct talker *t);
void say_prepare(struct talker *t);
void say_copy_in(struct talker *t);
void say_copy_early_sync(struct talker *t);
void say_copy_in_batch(struct talker *t);
void say_copy_out(struct talker *t);

/* subjects_state.c */
void say_role(struct talker *t);
void say_encoding(struct talker *t);
void say_dialect(struct talker *t);
void say_local(struct talker *t);
void say_sequence(struct talker *t);
void say_function(struct talker *t);
/* A statement whose meaning the parameters at Parse settle. */
const struct phrase *some_constant(struct talker *t);

#endif
