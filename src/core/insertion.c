/* Messages of ours among a client's. */
#include "statements_priv.h"

#include <string.h>

#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"

struct insertion insertion_begin(struct server *srv)
{
	return (struct insertion){ .srv = srv };
}

static void begin(struct insertion *in, char type)
{
	in->w = writer_to(&in->out);
	writer_begin(&in->w, type);
}

/* The message is complete, and owes an answer. Takes step's references; NULL: the answer is the client's. */
static void end(struct insertion *in, char type, const struct step *step)
{
	struct tracker *t = &in->srv->tracker;
	struct step placed = step != NULL ? *step : (struct step){ 0 };
	enum tracker_client what;

	writer_end(&in->w);
	placed.seq = t->sent;
	if (writer_status(&in->w) != ERR_OK || tracker_from_client(t, type, &what) != ERR_OK)
		in->failed = true;
	if (step != NULL &&
	    steps_push(&in->srv->steps, in->srv->pool->worker->statements, placed) != ERR_OK)
		in->failed = true;
}

static void put_name(struct insertion *in, struct bytes name)
{
	writer_bytes(&in->w, name);
	writer_u8(&in->w, 0);
}

void insertion_close(struct insertion *in, struct bytes name)
{
	struct step step = { .kind = STEP_OUR_CLOSE };

	memcpy(step.evicted, name.at, name.len);
	copies_set_leaving(&in->srv->copies, name, true);
	begin(in, 'C');
	writer_u8(&in->w, 'S');
	put_name(in, name);
	end(in, 'C', &step);
}

void insertion_client_parse(struct insertion *in, struct bytes name, struct bytes body,
                            const struct step *step)
{
	begin(in, 'P');
	put_name(in, name);
	writer_bytes(&in->w, body);
	end(in, 'P', step);
}

void insertion_parse(struct insertion *in, struct pstatement *st, struct bytes name)
{
	struct step step = { .kind = STEP_OUR_PARSE,
		             .st = pstatement_hold(st),
		             .unnamed = name.len == 0 };

	in->srv->pool->stats.server_parse_count++;
	reread_begin(in, st);
	insertion_client_parse(in, name, (struct bytes){ st->body, st->len }, &step);
	reread_end(in, st);
}

void insertion_parse_void(struct insertion *in, struct bytes name)
{
	static const uint8_t nothing[3]; /* an empty text, no parameters */
	struct step step = { .kind = STEP_OUR_PARSE };

	insertion_close(in, name); /* one may be left of a text that failed before it came to it */
	insertion_client_parse(in, name, (struct bytes){ nothing, sizeof(nothing) }, &step);
}

void insertion_describe(struct insertion *in, struct pstatement *st, struct bytes name,
                        bool awaited)
{
	struct step step = { .kind = STEP_OUR_DESCRIBE,
		             .st = pstatement_hold(st),
		             .unnamed = name.len == 0,
		             .awaited = awaited };

	begin(in, 'D');
	writer_u8(&in->w, 'S');
	put_name(in, name);
	end(in, 'D', &step);
}

void insertion_flush(struct insertion *in)
{
	begin(in, 'H');
	writer_end(&in->w);
	in->failed = in->failed || writer_status(&in->w) != ERR_OK;
}

void insertion_sync(struct insertion *in)
{
	begin(in, 'S');
	end(in, 'S', NULL);
	in->srv->steps.batch = in->srv->tracker.sent;
}

void insertion_query(struct insertion *in, struct bytes body)
{
	begin(in, 'Q');
	writer_bytes(&in->w, body);
	end(in, 'Q', NULL);
	in->srv->steps.batch = in->srv->tracker.sent;
}

/* No formats, values, result formats. */
static void put_bind(struct insertion *in, const char *portal, const char *name)
{
	begin(in, 'B');
	writer_str(&in->w, portal);
	writer_str(&in->w, name);
	writer_u16(&in->w, 0);
	writer_u16(&in->w, 0);
	writer_u16(&in->w, 0);
}

static void put_text(struct insertion *in, const char *name, const char *sql)
{
	begin(in, 'P');
	writer_str(&in->w, name);
	writer_str(&in->w, sql);
	writer_u16(&in->w, 0); /* no parameters */
}

static void put_execute(struct insertion *in, const char *portal)
{
	begin(in, 'E');
	writer_str(&in->w, portal);
	writer_u32(&in->w, 0); /* all rows */
}

static void put_close(struct insertion *in, char kind, const char *name)
{
	begin(in, 'C');
	writer_u8(&in->w, (uint8_t)kind);
	writer_str(&in->w, name);
}

/* Of the statement, and of the portal if it has a name, nothing is left. */
static void carry_out(struct insertion *in, const char *sql, enum step_kind kind, const char *name,
                      const char *portal)
{
	const struct step step = { .kind = (uint8_t)kind, .unnamed = true };

	put_text(in, name, sql);
	end(in, 'P', &step);
	put_bind(in, portal, name);
	end(in, 'B', &step);
	put_execute(in, portal);
	end(in, 'E', &step);
	if (portal[0] != '\0') {
		put_close(in, 'P', portal);
		end(in, 'C', &step);
	}
	put_close(in, 'S', name);
	end(in, 'C', &step);
}

void insertion_setup(struct insertion *in, const char *sql)
{
	carry_out(in, sql, STEP_SETUP, PSTATEMENT_PREFIX "setup", "");
}

void insertion_execute(struct insertion *in, const char *sql)
{
	carry_out(in, sql, STEP_OUR_EXECUTE, PSTATEMENT_PREFIX "own", PSTATEMENT_PREFIX "own");
}

void insertion_bind(struct insertion *in, const char *name)
{
	put_bind(in, "", name);
	end(in, 'B', NULL);
}

void insertion_use_portal(struct insertion *in, char type, const char *name)
{
	begin(in, type);
	if (type == 'D')
		writer_u8(&in->w, 'P');
	writer_str(&in->w, name);
	if (type == 'E')
		writer_u32(&in->w, 0); /* all rows */
	end(in, type, NULL);
}

void insertion_make_way(struct insertion *in, struct pstatement *st, struct bytes name)
{
	if (copies_use(&in->srv->copies, name) != NULL ||
	    steps_of_statement(&in->srv->steps, st) != NULL)
		insertion_close(in, name);
}

void insertion_make_room(struct insertion *in)
{
	const struct settings *settings = &in->srv->pool->worker->site->settings;
	size_t most = (size_t)settings->max_prepared_statements;
	struct copies *c = &in->srv->copies;
	const struct copy *oldest;

	while (copies_count(c) + in->srv->steps.parsing >= most &&
	       (oldest = copies_oldest(c)) != NULL)
		insertion_close(in,
		                (struct bytes){ (const uint8_t *)oldest->name, PSTATEMENT_NAME });
}

enum err insertion_send_alone(struct insertion *in)
{
	if (!in->failed)
		stream_write(&in->srv->stream, in->out.at, in->out.len);
	buf_free(&in->out);
	return in->failed ? ERR_NO_MEMORY : ERR_OK;
}

enum feed_next insertion_send(struct insertion *in, const struct about *a)
{
	bool failed = in->failed;

	if (!failed)
		feed_insert(a->f, a->s, &in->out);
	buf_free(&in->out);
	return failed ? statements_no_memory(a) : FEED_ON;
}

enum feed_next insertion_replace(struct insertion *in, const struct about *a)
{
	if (insertion_send(in, a) == FEED_STOP)
		return FEED_STOP;
	a->s->passing = a->size;
	a->s->dropping = true; /* in no run: what came before it has been flushed */
	a->s->rechecked = NULL;
	return FEED_ON;
}
