/* The parts of chores: for sessions and behind them (chore.c), and questions to servers that idle (chore_ask.c). */
#ifndef PGSEAL_CORE_CHORE_PRIV_H
#define PGSEAL_CORE_CHORE_PRIV_H

#include "pgseal/core/chore.h"

/* It is closed if what it is at takes too long. ERR_NO_MEMORY. */
enum err chore_arm_deadline(struct server *srv) MUST_CHECK;
/* Of CHORE_SPELL: see chore_message. */
enum chore_next chore_spell_message(struct server *srv, char type, const uint8_t *body, size_t len);

#endif
