/* Several clients at once, each with its conversation, on one thread: which of them says its next piece
 * is chosen at random, so that their words and the answers meet in all possible ways. */
#ifndef PGSEAL_TESTS_EXCHANGE_H
#define PGSEAL_TESTS_EXCHANGE_H

#include "tests/integration/conversation.h"
#include "tests/integration/transcript.h"

/* rig NULL: straight to PostgreSQL. Logs them all in as alice, each with its certificate (not used for PostgreSQL), and
 * lets them speak to their ends; who is there leaves. False when a connection breaks off or one of them waits
 * in vain for long: its transcript ends in a note then. */
bool exchange_run(const struct rig *rig, const char *database, uint64_t seed,
                  const char *const *certs, const struct conversation *conversations,
                  struct transcript *transcripts, int clients);

#endif
