/* Subjects of conversations: statements in messages of their own. */
#include <stddef.h>

#include "tests/integration/subjects.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct phrase phrases[] = {
	/* the same text by all clients */
	{ "SELECT 1 AS one, 'two'::text AS two", "" },
	{ "SELECT $1::int4 + 1", "i" },
	{ "SELECT $1::text || '!'", "t" },
	{ "SELECT $1::int4 AS n, $2::text AS t", "it" },
	{ "SELECT generate_series(1, $1::int4) AS i", "i" },
	{ "VALUES (1, 'a'), (2, 'b'), (3, NULL)", "" },
	{ "SELECT 10 / $1::int4", "i" },
	{ "SHOW DateStyle", "" },
	{ "BEGIN", "" },
	{ "COMMIT", "" },
	{ "ROLLBACK", "" },
	{ "", "" },
	/* each its own */
	{ "SELECT '#'::text AS client, $1::int4", "i" },
	{ "SELECT 'client #'::text", "" },
	{ "SELECT id, word FROM @.rows ORDER BY id, word", "" },
	{ "INSERT INTO @.rows VALUES ($1, $2)", "it" },
	{ "INSERT INTO @.keyed VALUES ($1)", "i" },
	{ "DELETE FROM @.rows WHERE id = $1 RETURNING word", "i" },
	{ "SELECT count(*) FROM @.keyed", "" },
	/* none of these can be parsed */
	{ "SELECT nonsense", "" },
	{ "selec # 1", "" },
	{ "SELECT 1; SELECT 2", "" },
};

static const char *const portals[] = { "", "", "p", "q" };

/* Whose portal may be executed now. Not the unnamed one of before: where a Query has failed in a block, it
 * is what is left of that Query, and PostgreSQL (15.18) dies of executing it. */
static const char *some_portal(struct talker *t)
{
	return portals[t->bound ? roll(t, COUNT(portals)) : 2 + roll(t, COUNT(portals) - 2)];
}

static const struct phrase *some_phrase(struct talker *t)
{
	if ((t->topics & TOPIC_FOLDED) && chance(t, 5))
		return some_constant(t);
	return &PICK(t, phrases);
}

/* A name whose statement may be looked at now; mostly one that was parsed before. */
static int some_name(struct talker *t)
{
	bool unnamed = t->unnamed || (t->topics & TOPIC_STALE);
	unsigned names = unnamed ? UTTER_NAMES : UTTER_NAMES - 1;
	unsigned name = roll(t, names);

	if (chance(t, 85))
		for (unsigned tries = 0; t->known[name] == NULL && tries < names; tries++)
			name = (name + 1) % names;
	return (int)name;
}

static void say_parse(struct talker *t)
{
	int name = (int)roll(t, UTTER_NAMES);

	/* most of those who use a name again close it before */
	if (t->known[name] != NULL && name != UTTER_UNNAMED && chance(t, 60))
		utter_close(t, 'S', utter_name(name));
	utter_parse(t, name, some_phrase(t));
}

static void say_bind(struct talker *t)
{
	if ((t->topics & TOPIC_SHARED) && chance(t, 5))
		utter_bind_to(t, "", chance(t, 50) ? "x" : "Y", "");
	else
		utter_bind(t, PICK(t, portals), some_name(t));
}

static void say_describe(struct talker *t)
{
	if (chance(t, 60))
		utter_describe(t, 'S', utter_name(some_name(t)));
	else
		utter_describe(t, 'P', some_portal(t));
}

static void say_execute(struct talker *t)
{
	utter_execute(t, some_portal(t), chance(t, 60) ? 0 : 1 + roll(t, 2));
}

static void say_close(struct talker *t)
{
	if (chance(t, 60))
		utter_close(t, 'S',
		            chance(t, 10) ? "nosuch" : utter_name((int)roll(t, UTTER_NAMES)));
	else
		utter_close(t, 'P', PICK(t, portals));
}

static void say_bind_and_execute(struct talker *t)
{
	const char *portal = PICK(t, portals);

	utter_bind(t, portal, some_name(t));
	if (chance(t, 40))
		utter_describe(t, 'P', portal);
	utter_execute(t, portal, chance(t, 70) ? 0 : 1 + roll(t, 2));
	if (chance(t, 15))
		utter_execute(t, portal, roll(t, 3));
}

static void say_messages(struct talker *t, unsigned most)
{
	static const struct {
		unsigned weight;
		void (*say)(struct talker *);
	} kinds[] = {
		{ 6, say_bind_and_execute }, { 5, say_parse }, { 2, say_describe }, { 1, say_bind },
		{ 1, say_execute },          { 1, say_close },
	};

	for (unsigned n = 1 + roll(t, most); n > 0; n--) {
		unsigned chosen = roll(t, 16);
		size_t i = 0;

		for (; chosen >= kinds[i].weight; i++)
			chosen -= kinds[i].weight;
		kinds[i].say(t);
	}
}

void say_batch(struct talker *t)
{
	say_messages(t, 6);
	utter_sync(t);
	if (chance(t, 5))
		utter_sync(t);
}

/* What comes up to a Flush is waited for; then the batch goes on. */
void say_flushed(struct talker *t)
{
	say_messages(t, 4);
	utter_flush(t);
	utter_end(t);
	if (chance(t, 25)) {
		utter_query(t, "SELECT 'in the middle'");
		utter_sync(t);
		utter_end_doubtful(t, 1);
	} else {
		if (chance(t, 70))
			say_messages(t, 3);
		utter_sync(t);
	}
}

/* As drivers do it: the statement in one round trip, its execution in the next. */
void say_as_drivers(struct talker *t)
{
	int name = chance(t, 50) ? UTTER_UNNAMED : (int)roll(t, UTTER_NAMES);

	if (name != UTTER_UNNAMED && chance(t, 70))
		utter_close(t, 'S', utter_name(name));
	utter_parse(t, name, some_phrase(t));
	utter_describe(t, 'S', utter_name(name));
	utter_sync(t);
	if (chance(t, 70))
		utter_end(t);
	utter_bind(t, "", name);
	utter_execute(t, "", 0);
	utter_sync(t);
}

/* A portal, row by row, in a transaction. */
void say_cursor(struct talker *t)
{
	static const struct phrase rows = { "SELECT generate_series(1, 5) AS i, '#'::text", "" };
	const char *portal = PICK(t, portals);

	utter_query(t, "ROLLBACK; BEGIN");
	if (chance(t, 50))
		utter_end(t);
	utter_parse(t, UTTER_UNNAMED, &rows);
	utter_bind(t, portal, UTTER_UNNAMED);
	utter_execute(t, portal, 1);
	if (chance(t, 50))
		utter_flush(t);
	else
		utter_sync(t);
	utter_end(t);
	utter_execute(t, portal, 1 + roll(t, 2));
	utter_sync(t);
	utter_end(t);
	if (chance(t, 50))
		utter_close(t, 'P', portal);
	utter_execute(t, portal, 0);
	utter_sync(t);
	utter_query(t, chance(t, 50) ? "COMMIT" : "ROLLBACK");
}

/* A statement whose result changes its shape. A UNION, because the columns of a table are described with its
 * OID. */
void say_shape(struct talker *t)
{
	static const struct phrase look = { "TABLE @.shape UNION ALL TABLE @.shape", "" };
	static const char *const changes[] = {
		"CREATE TABLE @.shape (a int)",
		"ALTER TABLE @.shape ADD COLUMN b text",
		"ALTER TABLE @.shape DROP COLUMN b",
		"ALTER TABLE @.shape ALTER COLUMN a TYPE text",
		"INSERT INTO @.shape (a) VALUES (#)",
		"DROP TABLE @.shape",
	};
	int name = chance(t, 80) ? 0 : 1;

	if (t->known[name] != &look || chance(t, 30)) {
		utter_query(t, changes[0]);
		utter_close(t, 'S', utter_name(name));
		utter_parse(t, name, &look);
		utter_sync(t);
	}
	if (chance(t, 50))
		utter_query(t, PICK(t, changes));
	if (chance(t, 50))
		utter_describe(t, 'S', utter_name(name));
	utter_bind_to(t, "", utter_name(name), "");
	utter_execute(t, "", 0);
	utter_sync(t);
}
