#include "loads.h"

#include <stdio.h>
#include <string.h>

#include "pgseal/wire/writer.h"

#define BATCH 16
#define CHUNK_BYTES 8192 /* what psql sends at a time */
#define COPY_CHUNKS 4096 /* 32 MB for each statement */

static void finish(const struct writer *w)
{
	if (writer_status(w) != ERR_OK)
		die("out of memory");
}

void compose_query(struct buf *to, const char *sql)
{
	struct writer w = writer_to(to);

	writer_begin(&w, 'Q');
	writer_str(&w, sql);
	writer_end(&w);
	finish(&w);
}

static void compose_simple(struct buf *to)
{
	compose_query(to, "select 1");
}

static void write_parse(struct writer *w, const char *name)
{
	writer_begin(w, 'P');
	writer_str(w, name);
	writer_str(w, "select 1");
	writer_u16(w, 0);
	writer_end(w);
}

/* Bind, Describe, Execute. */
static void write_use(struct writer *w, const char *name)
{
	writer_begin(w, 'B');
	writer_str(w, "");
	writer_str(w, name);
	writer_u16(w, 0);
	writer_u16(w, 0);
	writer_u16(w, 0);
	writer_end(w);
	writer_begin(w, 'D');
	writer_u8(w, 'P');
	writer_str(w, "");
	writer_end(w);
	writer_begin(w, 'E');
	writer_str(w, "");
	writer_u32(w, 0);
	writer_end(w);
}

static void write_execution(struct writer *w)
{
	write_parse(w, "");
	write_use(w, "");
}

static void write_sync(struct writer *w)
{
	writer_begin(w, 'S');
	writer_end(w);
}

static void compose_extended(struct buf *to)
{
	struct writer w = writer_to(to);

	write_execution(&w);
	write_sync(&w);
	finish(&w);
}

#define PREPARED "one"

static void compose_prepare(struct buf *to)
{
	struct writer w = writer_to(to);

	write_parse(&w, PREPARED);
	write_sync(&w);
	finish(&w);
}

static void compose_prepared(struct buf *to)
{
	struct writer w = writer_to(to);

	write_use(&w, PREPARED);
	write_sync(&w);
	finish(&w);
}

/* As libpq's pipeline mode sends them: one Sync at the end. */
static void compose_pipelined(struct buf *to)
{
	struct writer w = writer_to(to);
	int i;

	for (i = 0; i < BATCH; i++)
		write_execution(&w);
	write_sync(&w);
	finish(&w);
}

/* As drivers send them that want each to be a transaction of its own. */
static void compose_synced(struct buf *to)
{
	int i;

	for (i = 0; i < BATCH; i++)
		compose_extended(to);
}

static void compose_rows(struct buf *to)
{
	compose_query(to, "select i, 'this is row number ' || i from generate_series(1, 1000) i");
}

static void compose_long(struct buf *to)
{
	compose_query(to, "select pg_sleep(0.05)");
}

/* 160,000 rows of 200 bytes. */
static void compose_copy_out(struct buf *to)
{
	compose_query(to,
	              "copy (select repeat('0123456789', 20) from generate_series(1, 160000)) to "
	              "stdout");
}

/* The server takes all of it apart and throws it away: what is measured is the way to it. */
static void compose_copy_in(struct buf *to)
{
	compose_query(to, "copy sink from stdin where false");
}

static void compose_chunk(struct buf *to)
{
	static const char row[] = "0123456789012345678901234567890123456789012345678901234567890\n";
	struct writer w = writer_to(to);
	size_t n;

	writer_begin(&w, 'd');
	for (n = 0; n < CHUNK_BYTES; n += sizeof(row) - 1)
		writer_bytes(&w, bytes_of(row));
	writer_end(&w);
	finish(&w);
}

static const struct load loads[] = {
	{ .name = "simple", .compose = compose_simple, .answers = 1, .transactions = 1 },
	{ .name = "extended", .compose = compose_extended, .answers = 1, .transactions = 1 },
	{ .name = "prepared",
	  .compose = compose_prepared,
	  .answers = 1,
	  .transactions = 1,
	  .compose_opening = compose_prepare },
	{ .name = "pipelined", .compose = compose_pipelined, .answers = 1, .transactions = BATCH },
	{ .name = "synced", .compose = compose_synced, .answers = BATCH, .transactions = BATCH },
	{ .name = "rows", .compose = compose_rows, .answers = 1, .transactions = 1 },
	{ .name = "copy_out", .compose = compose_copy_out, .answers = 1, .transactions = 1 },
	{ .name = "copy_in",
	  .compose = compose_copy_in,
	  .answers = 1,
	  .transactions = 1,
	  .compose_chunk = compose_chunk,
	  .chunks = COPY_CHUNKS },
	{ .name = "connect",
	  .compose = compose_simple,
	  .answers = 1,
	  .transactions = 1,
	  .habit = HABIT_RECONNECT },
	{ .name = "mixed",
	  .compose = compose_simple,
	  .answers = 1,
	  .transactions = 1,
	  .compose_long = compose_long },
	{ .name = "idle",
	  .compose = compose_simple,
	  .answers = 1,
	  .transactions = 1,
	  .habit = HABIT_HOLD },
};

const struct load *load_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (strcmp(loads[i].name, name) == 0)
			return &loads[i];
	return NULL;
}

const char *load_names(void)
{
	static char names[200];
	size_t i, n = 0;

	for (i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, " %s", loads[i].name);
	return names;
}
