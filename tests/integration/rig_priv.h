/* What the parts of the rig share. */
#ifndef PGSEAL_TESTS_RIG_PRIV_H
#define PGSEAL_TESTS_RIG_PRIV_H

#include "tests/integration/rig.h"

#define RIG_ENV "PGSEAL_RIG"           /* the program's directory */
#define RIG_ENV_PORT "PGSEAL_RIG_PORT" /* PostgreSQL's; unset: there is none */
#define RIG_LOG "pgseal.log"           /* in each pgseal's directory */
#define RIG_NAME "test"                /* file beside it: the test that started it */

const char *rig_root(void);
const char *rig_binary(void);
const char *rig_source_dir(void);

/* Monotonic milliseconds; and a nap between two looks at a condition. */
int64_t rig_now_ms(void);
void rig_nap(void);

/* Milliseconds left until the deadline, never negative, for poll(). */
int rig_left_ms(int64_t deadline_ms);

struct rig_text rig_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
