/* What a client says: subjects, chosen at random. */
#include <string.h>

#include "tests/integration/subjects.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	unsigned topic;
	unsigned weight;
	void (*say)(struct talker *);
} subjects[] = {
	{ TOPIC_STATEMENTS, 12, say_batch },     { TOPIC_STATEMENTS, 4, say_flushed },
	{ TOPIC_STATEMENTS, 6, say_as_drivers }, { TOPIC_STATEMENTS, 2, say_cursor },
	{ TOPIC_STATEMENTS, 5, say_query },      { TOPIC_STATEMENTS, 5, say_block },
	{ TOPIC_SHAPES, 4, say_shape },          { TOPIC_CALLS, 1, say_call },
	{ TOPIC_PARAMETERS, 5, say_parameter },  { TOPIC_UNREPORTED, 5, say_unreported },
	{ TOPIC_PREPARE, 5, say_prepare },       { TOPIC_COPY, 2, say_copy_in },
	{ TOPIC_COPY, 1, say_copy_early_sync },  { TOPIC_COPY, 1, say_copy_in_batch },
	{ TOPIC_COPY, 2, say_copy_out },         { TOPIC_ROLES, 4, say_role },
	{ TOPIC_ENCODINGS, 5, say_encoding },    { TOPIC_DIALECTS, 6, say_dialect },
	{ TOPIC_PARAMETERS, 2, say_local },      { TOPIC_SEQUENCES, 4, say_sequence },
	{ TOPIC_FUNCTIONS, 1, say_function },
};

static void say_something(struct talker *t)
{
	unsigned all = 0, chosen;
	size_t i;

	for (i = 0; i < COUNT(subjects); i++)
		all += t->topics & subjects[i].topic ? subjects[i].weight : 0;
	chosen = roll(t, all);
	for (i = 0; i < COUNT(subjects); i++) {
		unsigned weight = t->topics & subjects[i].topic ? subjects[i].weight : 0;

		if (chosen < weight)
			break;
		chosen -= weight;
	}
	subjects[i].say(t);
}

/* Nothing is left of another conversation. */
static void say_hello(struct talker *t)
{
	utter_query(t, "TRUNCATE @.rows, @.keyed, @.drawn RESTART IDENTITY");
	utter_query(t, "ALTER SEQUENCE @.tickets RESTART");
	utter_query(t, "DO $$ BEGIN PERFORM set_config('client_min_messages', 'error', true); "
	               "DROP TABLE IF EXISTS @.shape; "
	               "PERFORM lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = 9000#; END $$");
	utter_end(t);
}

/* Nor does it keep a server that the others wait for. */
static void say_goodbye(struct talker *t)
{
	utter_query(t, "ROLLBACK");
	utter_end(t);
	utter_query(t, "DISCARD ALL");
	utter_end(t);
	utter_query(t, "SELECT '" CONVERSATION_END "'");
	utter_end(t);
}

void conversation_make(struct conversation *c, uint64_t seed, int client, unsigned topics)
{
	static const unsigned patience[] = { 90, 60, 10 }; /* chances to wait for the answers */
	struct talker t = { .to = c, .client = client, .topics = topics };
	unsigned things, waits;

	t.dice = seed * 0x9e3779b97f4a7c15u + (uint64_t)client + 1;
	memset(c, 0, sizeof(*c));
	say_hello(&t);
	waits = PICK(&t, patience);
	for (things = 5 + roll(&t, 20); things > 0; things--) {
		t.subject++;
		say_something(&t);
		if (chance(&t, waits))
			utter_end(&t);
		else
			utter_end_pipelined(&t);
	}
	t.subject = CONVERSATION_FRAME;
	say_goodbye(&t);
}

bool conversation_drop(struct conversation *c, int subject)
{
	int left = 0;

	for (int i = 0; i < c->count; i++)
		if (c->steps[i].subject != subject)
			c->steps[left++] = c->steps[i];
	if (left == c->count)
		return false;
	c->count = left;
	return true;
}
