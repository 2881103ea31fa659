/* The tracker against the model of PostgreSQL, every choice of which is made by the input, or (first
 * byte even) against peers that keep no rules at all. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/tracker_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct dice {
	struct model_dice base;
	const uint8_t *at;
	size_t left;
};

static unsigned roll(struct model_dice *d, unsigned n)
{
	struct dice *dice = (struct dice *)d;

	if (dice->left == 0) {
		d->used_up = true;
		return n - 1;
	}
	dice->left--;
	return *dice->at++ % n;
}

static bool consistent(const struct tracker *t)
{
	int32_t owed = (int32_t)(t->sent - t->answered);

	if (t->len > t->cap || owed < 0 || (tracker_idle(t) && t->len > 0))
		return false;
	if (tracker_quiet(t) && (owed != 0 || !tracker_in_batch(t) || tracker_owes_query(t)))
		return false;
	if (tracker_at_extended(t))
		return owed > 0 && !tracker_at_query(t);
	return !tracker_at_query(t) || (tracker_owes_query(t) && !tracker_in_batch(t));
}

/* In turns from the client and from the server; bit 7 chooses the status of ReadyForQuery. */
static void no_rules(const uint8_t *data, size_t size)
{
	struct tracker t;

	tracker_init(&t);
	for (size_t i = 0; i < size; i++) {
		char type = (char)(data[i] & 0x7f);
		enum tracker_client what;
		enum err rc;

		if (i % 2 == 0)
			rc = tracker_from_client(&t, type, &what);
		else
			rc = tracker_from_server(&t, type, data[i] & 0x80 ? 'I' : 'T');
		if (rc != ERR_OK && rc != ERR_WIRE_TYPE)
			abort();
		if (!consistent(&t))
			abort();
		if (tracker_wants_barrier(&t))
			tracker_barrier_passed(&t);
	}
	tracker_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;
	struct dice dice = { .base.roll = roll };

	if (size == 0)
		return 0;
	if (data[0] % 2 == 0) {
		no_rules(data + 1, size - 1);
		return 0;
	}
	dice.at = data + 1;
	dice.left = size - 1;
	if (!model_run(&m, &dice.base, 1000)) {
		fprintf(stderr, "%s\n%s\n", m.failed, m.journal);
		abort();
	}
	return 0;
}
