/* The parts of pins.h: what is suspected and held (pins.c), asking the server about it (pins_ask.c). */
#ifndef PGSEAL_CORE_PINS_PRIV_H
#define PGSEAL_CORE_PINS_PRIV_H

#include "pgseal/core/pins.h"

#define BIT(n) (1u << (n))

/* Which texts make it likely, and how to find out. NULL: the server cannot tell, it lasts as long as the session. */
struct pin_row {
	const char *word;
	unsigned trait;
	const char *exists;
};
extern const struct pin_row pins_rows[PINS];

/* Such parameters end with the transaction, however they are set. */
bool pins_of_transaction(const char *name);

#endif
