/* STATS and its relatives: counters by database. Times are microseconds. */
#include "pgseal/admin/views.h"
#include "request_priv.h"
#include "sums_priv.h"

/* counter, name behind total_, name behind avg_, what an average is taken over: the counter of that
 * name, or the period's seconds */
#define STATS_TABLE(X)                                                                          \
	X(server_assignment_count, "server_assignment_count", "server_assignment_count", seconds) \
	X(xact_count, "xact_count", "xact_count", seconds)                                      \
	X(query_count, "query_count", "query_count", seconds)                                   \
	X(bytes_received, "received", "recv", seconds)                                          \
	X(bytes_sent, "sent", "sent", seconds)                                                  \
	X(xact_time, "xact_time", "xact_time", xact_count)                                      \
	X(query_time, "query_time", "query_time", query_count)                                  \
	X(wait_time, "wait_time", "wait_time", server_assignment_count)                         \
	X(client_parse_count, "client_parse_count", "client_parse_count", seconds)              \
	X(server_parse_count, "server_parse_count", "server_parse_count", seconds)              \
	X(bind_count, "bind_count", "bind_count", seconds)                                      \
	X(client_login_count, "client_login_count", "client_login_count", seconds)

/* --- getters --- */

static void get_database(struct cell *out, const struct row *row)
{
	out->text = row->sum->database;
}

static void put_average(struct cell *out, uint64_t sum, uint64_t over)
{
	cell_uint(out, over == 0 ? 0 : sum / over);
}

/* What an average is taken over. */
static uint64_t over_seconds(const struct row *row)
{
	return (uint64_t)(row->site->settings.stats_period / USEC_PER_SEC);
}
#define OVER(counter)                                                                  \
	static uint64_t over_##counter(const struct row *row)                          \
	{                                                                              \
		return row->sum->period.counter;                                       \
	}
OVER(xact_count)
OVER(query_count)
OVER(server_assignment_count)

#define X(counter, total, avg, over)                                                   \
	static void get_total_##counter(struct cell *out, const struct row *row)       \
	{                                                                              \
		cell_uint(out, row->sum->stats.counter);                               \
	}                                                                              \
	static void get_avg_##counter(struct cell *out, const struct row *row)         \
	{                                                                              \
		put_average(out, row->sum->period.counter, over_##over(row));          \
	}
STATS_TABLE(X)
#undef X

/* --- by database --- */

static const struct column stats_columns[] = {
	{ "database", TYPE_TEXT, get_database },
#define X(counter, total, avg, over) { "total_" total, TYPE_NUMERIC, get_total_##counter },
	STATS_TABLE(X)
#undef X
#define X(counter, total, avg, over) { "avg_" avg, TYPE_NUMERIC, get_avg_##counter },
	STATS_TABLE(X)
#undef X
};

static const struct column totals_columns[] = {
	{ "database", TYPE_TEXT, get_database },
#define X(counter, total, avg, over) { #counter, TYPE_NUMERIC, get_total_##counter },
	STATS_TABLE(X)
#undef X
};

static const struct column averages_columns[] = {
	{ "database", TYPE_TEXT, get_database },
#define X(counter, total, avg, over) { #counter, TYPE_NUMERIC, get_avg_##counter },
	STATS_TABLE(X)
#undef X
};

static enum tour_next sums_visit(struct request *rq, struct worker *w)
{
	if (!sums_add(&rq->sums, w))
		rq->result.no_memory = true;
	return TOUR_ON;
}

static void stats_home(struct request *rq, struct worker *w)
{
	struct sums *sums = rq->sums != NULL ? sums_group(rq->sums, SUMS_BY_DATABASE) : NULL;

	rq->result.no_memory = rq->result.no_memory || sums == NULL;
	if (sums == NULL)
		return;
	sums_sort(sums);
	for (const struct sum *sum = sums->by_key; sum != NULL; sum = sum->hh.next)
		view_row(rq, &(struct row){ .sum = sum, .site = w->site });
	sums_free(sums);
}

#define VIEW(columns_, home_)                                                          \
	{ .columns = columns_, .count = sizeof(columns_) / sizeof(*columns_),          \
	  .visit = sums_visit, .home = home_ }

const struct view view_stats = VIEW(stats_columns, stats_home);
const struct view view_stats_totals = VIEW(totals_columns, stats_home);
const struct view view_stats_averages = VIEW(averages_columns, stats_home);

/* --- all together: the columns of STATS as rows --- */

static void get_name(struct cell *out, const struct row *row)
{
	out->text = row->name;
}

static void get_value(struct cell *out, const struct row *row)
{
	stats_columns[row->number].get(out, row);
}

static const struct column all_columns[] = {
	{ "name", TYPE_TEXT, get_name },
	{ "value", TYPE_NUMERIC, get_value },
};

static void all_home(struct request *rq, struct worker *w)
{
	struct sums *sums = rq->sums != NULL ? sums_group(rq->sums, SUMS_BY_NOTHING) : NULL;
	const struct sum none = { .database = "", .user = "" };
	struct row row = { .site = w->site };

	rq->result.no_memory = rq->result.no_memory || sums == NULL;
	if (sums == NULL)
		return;
	row.sum = sums->by_key != NULL ? sums->by_key : &none;
	for (size_t i = 1; i < sizeof(stats_columns) / sizeof(*stats_columns); i++) {
		row.name = stats_columns[i].name;
		row.number = (int64_t)i;
		view_row(rq, &row);
	}
	sums_free(sums);
}

const struct view view_totals = VIEW(all_columns, all_home);
