/* Words for a conversation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/body.h"
#include "tests/integration/utter.h"

#define OID_INT4 23u
#define OID_TEXT 25u

/* --- dice: xorshift64* --- */

unsigned roll(struct talker *t, unsigned n)
{
	t->dice ^= t->dice >> 12;
	t->dice ^= t->dice << 25;
	t->dice ^= t->dice >> 27;
	return (unsigned)((t->dice * 2685821657736338717u >> 32) % n);
}

bool chance(struct talker *t, unsigned percent)
{
	return roll(t, 100) < percent;
}

/* --- bodies of messages --- */

/* SQL with the client's own schema and number. */
static void add_sql(struct body *b, const struct talker *t, const char *sql)
{
	char digit = (char)('0' + t->client);

	for (; *sql != '\0'; sql++) {
		if (*sql == '@')
			body_add(b, "c", 1);
		body_add(b, *sql == '@' || *sql == '#' ? &digit : sql, 1);
	}
	body_add(b, "", 1);
}

static void put(struct talker *t, char type, const struct body *b)
{
	script_put(&t->to->said, type, b->at, b->len);
	t->flushed = type == 'H';
}

/* One that owes an answer, or none if another of its batch fails. */
static void put_in_batch(struct talker *t, char type, const struct body *b)
{
	put(t, type, b);
	t->answers++;
}

/* One behind which a ReadyForQuery comes. */
static void put_request(struct talker *t, char type, const struct body *b)
{
	put(t, type, b);
	t->ready++;
	t->answers = 0;
	t->unnamed = t->bound = false;
}

/* --- messages --- */

const char *utter_name(int name)
{
	static const char *const names[UTTER_NAMES] = { "a", "b", "c", "d", "" };

	return names[name];
}

void utter_parse(struct talker *t, int name, const struct phrase *p)
{
	size_t types = chance(t, 30) ? roll(t, (unsigned)strlen(p->params) + 1) : 0;
	struct body b = { 0 };

	body_string(&b, utter_name(name));
	add_sql(&b, t, p->sql);
	body_u16(&b, types);
	for (size_t i = 0; i < types; i++)
		body_u32(&b, p->params[i] == 'i' ? OID_INT4 : OID_TEXT);
	put_in_batch(t, 'P', &b);
	t->known[name] = p;
	if (name == UTTER_UNNAMED)
		t->unnamed = true;
}

static void add_value(struct talker *t, struct body *b, char kind, bool binary)
{
	uint32_t number = roll(t, 6);
	char digit = (char)('0' + number);

	if (chance(t, 5)) {
		body_u32(b, UINT32_MAX); /* NULL */
	} else if (binary && kind == 'i') {
		body_u32(b, 4);
		body_u32(b, number);
	} else {
		body_u32(b, 1);
		body_add(b, &digit, 1);
	}
}

/* Formats: none (all text), one for all, or one for each. The values follow the same choice. */
static void add_values(struct talker *t, struct body *b, const char *params)
{
	size_t n = strlen(params);
	unsigned how = roll(t, 3);
	bool binary[8] = { false };

	body_u16(b, how == 0 ? 0 : how == 1 ? 1 : n);
	for (size_t i = 0; i < n; i++)
		binary[i] = how == 0   ? false
		            : i == 0   ? chance(t, 50)
		            : how == 1 ? binary[0]
		                       : chance(t, 50);
	for (size_t i = 0; i < (how == 0 ? 0 : how == 1 ? 1 : n); i++)
		body_u16(b, binary[i]);
	body_u16(b, n);
	for (size_t i = 0; i < n; i++)
		add_value(t, b, params[i], binary[i]);
}

void utter_bind_to(struct talker *t, const char *portal, const char *statement, const char *params)
{
	struct body b = { 0 };

	body_string(&b, portal);
	body_string(&b, statement);
	add_values(t, &b, params);
	if (chance(t, 70)) {
		body_u16(&b, 0);
	} else {
		body_u16(&b, 1);
		body_u16(&b, roll(t, 2));
	}
	put_in_batch(t, 'B', &b);
	if (portal[0] == '\0')
		t->bound = true;
}

void utter_bind(struct talker *t, const char *portal, int name)
{
	static const char *const wrong[] = { "", "i", "tt", "iti" };
	const struct phrase *p = t->known[name];

	utter_bind_to(t, portal, utter_name(name),
	              p == NULL || chance(t, 5) ? PICK(t, wrong) : p->params);
}

static void put_named(struct talker *t, char type, char kind, const char *name)
{
	struct body b = { 0 };

	body_add(&b, &kind, 1);
	body_string(&b, name);
	put_in_batch(t, type, &b);
}

void utter_describe(struct talker *t, char kind, const char *name)
{
	put_named(t, 'D', kind, name);
}

void utter_close(struct talker *t, char kind, const char *name)
{
	put_named(t, 'C', kind, name);
}

void utter_execute(struct talker *t, const char *portal, uint32_t most)
{
	struct body b = { 0 };

	body_string(&b, portal);
	body_u32(&b, most);
	put_in_batch(t, 'E', &b);
}

void utter_sync(struct talker *t)
{
	put_request(t, 'S', &(struct body){ 0 });
}

void utter_flush(struct talker *t)
{
	put(t, 'H', &(struct body){ 0 });
}

void utter_query(struct talker *t, const char *sql)
{
	struct body b = { 0 };

	add_sql(&b, t, sql);
	put_request(t, 'Q', &b);
}

void utter_copy_query(struct talker *t, const char *sql)
{
	utter_query(t, sql);
	t->ready--;
	t->answers = 1;
	t->flushed = true;
}

void utter_data(struct talker *t, const char *text)
{
	struct body b = { 0 };

	body_add(&b, text, strlen(text));
	put(t, 'd', &b);
}

void utter_done(struct talker *t)
{
	put(t, 'c', &(struct body){ 0 });
}

void utter_fail(struct talker *t, const char *why)
{
	struct body b = { 0 };

	body_string(&b, why);
	put(t, 'f', &b);
}

static void add_argument(struct body *b, const struct talker *t, const char *arg)
{
	struct body value = { 0 };

	add_sql(&value, t, arg);
	body_u32(b, value.len - 1);
	body_add(b, value.at, value.len - 1);
}

void utter_call(struct talker *t, const struct call *c)
{
	struct body b = { 0 };
	size_t n = 0;

	while (c->args[n] != NULL)
		n++;
	body_u32(&b, c->function);
	body_u16(&b, 0);
	body_u16(&b, n);
	for (size_t i = 0; i < n; i++)
		add_argument(&b, t, c->args[i]);
	body_u16(&b, 0);
	put_request(t, 'F', &b);
}

/* --- steps --- */

static struct step *end_step(struct talker *t, bool wait)
{
	struct conversation *c = t->to;
	struct step *s = &c->steps[c->count];

	cr_assert(c->count < CONVERSATION_STEPS);
	if (c->said.len == t->start)
		return s; /* a step of nothing is none */
	c->count++;
	*s = (struct step){ .at = t->start,
		            .len = c->said.len - t->start,
		            .ready = t->ready,
		            .answers = t->flushed ? t->answers : 0,
		            .wait = wait,
		            .subject = t->subject };
	if (chance(t, 10))
		s->grain = 1;
	else if (chance(t, 20))
		s->grain = 1 + roll(t, 60);
	t->start = c->said.len;
	t->ready = 0;
	t->flushed = false;
	return s;
}

void utter_end(struct talker *t)
{
	end_step(t, true);
}

void utter_end_pipelined(struct talker *t)
{
	end_step(t, false);
}

void utter_end_doubtful(struct talker *t, int missing)
{
	end_step(t, true)->missing = missing;
}
