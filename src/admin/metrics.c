#include "pgseal/admin/metrics.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>
#include <openssl/crypto.h>

#include "config.h"
#include "metrics_priv.h"
#include "pgseal/core/gate.h"
#include "pgseal/core/round.h"

struct metrics {
	struct round round;
	void (*done)(void *arg, struct metrics *m);
	void *arg;
	struct sums *sums;
	struct tally *tallies;
	uint64_t closes[CLOSE_REASONS];
	uint64_t login_failures[LOGIN_FAILURES];
	struct gate_stats gates;
	uint64_t reloads[2]; /* control's: done, refused */
	bool no_memory;
};

/* ---- collecting ---- */

static void visit_worker(struct round *r, struct worker *w)
{
	struct metrics *m = (struct metrics *)r;

	if (!sums_add(&m->sums, w) || !tally_merge(&m->tallies, w->tallies))
		m->no_memory = true;
	for (size_t i = 0; i < CLOSE_REASONS; i++)
		m->closes[i] += w->closes[i];
	for (size_t i = 0; i < LOGIN_FAILURES; i++)
		m->login_failures[i] += w->login_failures[i];
}

static void visit_gate(struct round *r, struct gate *g)
{
	gate_stats_add(&((struct metrics *)r)->gates, g);
}

static void come_home(struct round *r, void *process)
{
	struct metrics *m = (struct metrics *)r;

	(void)process;
	m->done(m->arg, m);
}

static void drop(struct round *r)
{
	metrics_free((struct metrics *)r);
}

_Static_assert(offsetof(struct metrics, round) == 0, "a round leads back to its metrics");

enum err metrics_collect(struct crew *crew, void (*done)(void *arg, struct metrics *m), void *arg)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return ERR_NO_MEMORY;
	m->done = done;
	m->arg = arg;
	m->round = (struct round){ .crew = crew, .visit_worker = visit_worker,
		                   .visit_gate = visit_gate, .come_home = come_home,
		                   .drop = drop };
	round_start(&m->round);
	return ERR_OK;
}

void metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	sums_free(m->sums);
	tally_free(&m->tallies);
	free(m);
}

/* ---- single values ---- */

static const struct label nothing[] = { { NULL, NULL } };

static int64_t console_clients(const struct sums *sums)
{
	uint64_t n = 0;

	for (const struct sum *sum = sums->by_key; sum != NULL; sum = sum->hh.next)
		n += sum->console ? sum->clients : 0;
	return (int64_t)n;
}

#define GETTER(name, expression)                                                        \
	static int64_t get_##name(const struct metrics *m, const struct metrics_control *c) \
	{                                                                               \
		(void)m;                                                                \
		(void)c;                                                                \
		return (int64_t)(expression);                                           \
	}
GETTER(started, c->started)
GETTER(ready, c->ready)
GETTER(loaded, c->loaded)
GETTER(last_reload, !c->last_refused)
GETTER(max_clients, c->site->settings.max_client_conn)
GETTER(console, console_clients(m->sums))
GETTER(visitors, m->gates.visitors)

static const struct value_row {
	struct family family;
	enum unit unit;
	int64_t (*get)(const struct metrics *m, const struct metrics_control *c);
} value_rows[] = {
	{ GAUGE("process_start_time_seconds", "When the process was started, since the epoch."),
	  UNIT_USEC, get_started },
	{ GAUGE("pgseal_ready", "What /ready says."), UNIT_ONE, get_ready },
	{ GAUGE("pgseal_config_loaded_timestamp_seconds",
	        "When the configuration in force was loaded, since the epoch."),
	  UNIT_USEC, get_loaded },
	{ GAUGE("pgseal_config_last_reload_successful",
	        "Whether the last reload put into force what it read."),
	  UNIT_ONE, get_last_reload },
	{ GAUGE("pgseal_max_clients", "Most clients: max_client_conn."), UNIT_ONE, get_max_clients },
	{ GAUGE("pgseal_console_clients", "Sessions of the console."), UNIT_ONE, get_console },
	{ GAUGE("pgseal_login_clients", "Clients that are not let in yet."), UNIT_ONE,
	  get_visitors },
};

static void write_values(struct exposition *e, const struct metrics *m,
                         const struct metrics_control *c)
{
	const struct value_row *row;

	for (row = value_rows; row < value_rows + COUNT(value_rows); row++) {
		exposition_family(e, &row->family);
		exposition_value(e, &row->family, nothing, row->unit, row->get(m, c));
	}
}

/* ---- counters, one for each word of a label ---- */

static const char *const refusal_words[] = {
#define X(number, word) word,
	REFUSAL_TABLE(X)
#undef X
};
static const char *const login_failure_words[] = {
#define X(number, word, prefix) word,
	LOGIN_FAILURE_TABLE(X)
#undef X
};
static const char *const close_words[] = {
#define X(name) #name,
	CLOSE_REASON_TABLE(X)
#undef X
};
static const char *const outcome_words[] = { "done", "refused" };

#define WORDS(name, help, label, words, field) \
	{ COUNTER(name, help), label, words, COUNT(words), offsetof(struct metrics, field) }
static const struct words_row {
	struct family family;
	const char *label;
	const char *const *words;
	size_t count;
	size_t offset; /* of the counters in struct metrics */
} words_rows[] = {
	WORDS("pgseal_config_reloads_total", "Reloads, by their outcome.", "outcome", outcome_words,
	      reloads),
	WORDS("pgseal_client_refusals_total", "Clients that were not let in, by the cause.", "cause",
	      refusal_words, gates.refusals),
	WORDS("pgseal_client_closes_total", "Sessions that ended, by the reason.", "reason",
	      close_words, closes),
	WORDS("pgseal_server_login_failures_total",
	      "Logins to servers that failed, by the kind of cause.", "cause", login_failure_words,
	      login_failures),
};

/* Where the table that a word comes from has no other name for it: CLOSE_QUIT is "quit". */
struct plain_word {
	char s[48];
};
static struct plain_word plain_word(const char *word)
{
	struct plain_word plain;

	snprintf(plain.s, sizeof(plain.s), "%s",
	         strncmp(word, "CLOSE_", 6) == 0 ? word + 6 : word);
	for (char *c = plain.s; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return plain;
}

static void write_words(struct exposition *e, const struct metrics *m)
{
	const struct words_row *row;
	uint64_t value;

	for (row = words_rows; row < words_rows + COUNT(words_rows); row++) {
		exposition_family(e, &row->family);
		for (size_t i = 0; i < row->count; i++) {
			struct plain_word word = plain_word(row->words[i]);

			memcpy(&value, (const char *)m + row->offset + i * sizeof(value),
			       sizeof(value));
			exposition_number(
				e, &row->family,
				(const struct label[]){ { row->label, word.s }, { NULL, NULL } },
				(int64_t)value);
		}
	}
}

/* ---- what has labels of its own ---- */

static void write_build(struct exposition *e)
{
	static const struct family family =
		GAUGE("pgseal_build_info", "Always 1; the labels tell what runs.");
	char libpq[32];
	const struct label labels[] = {
		{ "version", PACKAGE_VERSION },
		{ "openssl", OpenSSL_version(OPENSSL_VERSION_STRING) },
		{ "libpq", libpq },
		{ NULL, NULL },
	};

	snprintf(libpq, sizeof(libpq), "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
	exposition_family(e, &family);
	exposition_number(e, &family, labels, 1);
}

static bool same_file(const struct tls_file *a, const struct tls_file *b)
{
	return strcmp(a->setting, b->setting) == 0 && strcmp(a->path, b->path) == 0 &&
	       strcmp(a->subject, b->subject) == 0;
}

/* Several databases may name the same file, but a sample must be unique. */
static bool is_repeated(const struct tls_files *files, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_file(&files->at[k], &files->at[i]))
			return true;
	return false;
}

static void write_certificates(struct exposition *e, const struct tls_files *files)
{
	static const struct family family =
		GAUGE("pgseal_tls_certificate_not_after_timestamp_seconds",
	              "When the first certificate of a file expires, since the epoch.");

	exposition_family(e, &family);
	for (size_t i = 0; i < files->count; i++) {
		const struct tls_file *file = &files->at[i];
		const struct label labels[] = {
			{ "setting", file->setting },
			{ "path", file->path },
			{ "subject", file->subject },
			{ NULL, NULL },
		};

		if (file->not_after != 0 && !is_repeated(files, i))
			exposition_number(e, &family, labels, file->not_after);
	}
}

static void write_handshakes(struct exposition *e, const struct histogram *h)
{
	static const struct family family =
		HISTOGRAM("pgseal_client_handshake_duration_seconds",
	                  "How long successful TLS handshakes took, from the client's arrival.");

	exposition_family(e, &family);
	exposition_histogram(e, &family, nothing, h);
}

static const struct tally_row {
	struct family family;
	size_t offset; /* in struct tally */
} tally_rows[] = {
	{ COUNTER("pgseal_identity_logins_total",
	          "Logins of clients, by the label of the rule that they matched."),
	  offsetof(struct tally, logins) },
	{ GAUGE("pgseal_identity_sessions",
	        "Clients that are logged in, by the label of the rule that they matched."),
	  offsetof(struct tally, sessions) },
};

static void write_tallies(struct exposition *e, const struct tally *tallies)
{
	const struct tally_row *row;
	uint64_t value;

	for (row = tally_rows; row < tally_rows + COUNT(tally_rows); row++) {
		exposition_family(e, &row->family);
		for (const struct tally *t = tallies; t != NULL; t = t->hh.next) {
			memcpy(&value, (const char *)t + row->offset, sizeof(value));
			exposition_number(
				e, &row->family,
				(const struct label[]){ { "identity", t->label }, { NULL, NULL } },
				(int64_t)value);
		}
	}
}

/* ---- all of it ---- */

static int compare_tallies(const struct tally *a, const struct tally *b)
{
	return strcmp(a->label, b->label);
}

enum err metrics_write(struct metrics *m, const struct metrics_control *control, struct buf *out)
{
	struct exposition e = { .out = out, .no_memory = m->no_memory };

	if (m->sums == NULL)
		return ERR_NO_MEMORY;
	m->reloads[0] = control->reloads - control->refused;
	m->reloads[1] = control->refused;
	sums_sort(m->sums);
	HASH_SORT(m->tallies, compare_tallies);
	write_build(&e);
	write_values(&e, m, control);
	write_words(&e, m);
	write_certificates(&e, &control->site->tls_files);
	write_handshakes(&e, &m->gates.handshake);
	write_tallies(&e, m->tallies);
	metrics_write_pools(&e, m->sums);
	return e.no_memory ? ERR_NO_MEMORY : ERR_OK;
}
