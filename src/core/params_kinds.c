/* What parameters mean to the pooler, by their names. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "params_priv.h"

/* What changes neither how a text is read nor what a plan of it yields, at most how fast. Sorted. */
static const char *const harmless[] = {
	"application_name",
	"client_connection_check_interval",
	"client_min_messages",
	"commit_delay",
	"commit_siblings",
	"cpu_index_tuple_cost",
	"cpu_operator_cost",
	"cpu_tuple_cost",
	"deadlock_timeout",
	"default_transaction_deferrable",
	"default_transaction_isolation",
	"default_transaction_read_only",
	"effective_cache_size",
	"effective_io_concurrency",
	"enable_bitmapscan",
	"enable_hashagg",
	"enable_hashjoin",
	"enable_indexonlyscan",
	"enable_indexscan",
	"enable_material",
	"enable_memoize",
	"enable_mergejoin",
	"enable_nestloop",
	"enable_seqscan",
	"enable_sort",
	"enable_tidscan",
	"hash_mem_multiplier",
	"idle_in_transaction_session_timeout",
	"idle_session_timeout",
	"jit",
	"lc_messages",
	"lock_timeout",
	"log_duration",
	"log_min_duration_statement",
	"log_min_messages",
	"log_statement",
	"maintenance_work_mem",
	"max_parallel_workers",
	"max_parallel_workers_per_gather",
	"parallel_setup_cost",
	"parallel_tuple_cost",
	"plan_cache_mode",
	"random_page_cost",
	"seq_page_cost",
	"statement_timeout",
	"synchronous_commit",
	"tcp_keepalives_count",
	"tcp_keepalives_idle",
	"tcp_keepalives_interval",
	"tcp_user_timeout",
	"temp_buffers",
	"temp_file_limit",
	"track_activities",
	"transaction_timeout",
	"work_mem",
};

static int by_word(const void *name, const void *word)
{
	return strcasecmp(name, *(const char *const *)word);
}

bool params_harmless(const char *name)
{
	return bsearch(name, harmless, sizeof(harmless) / sizeof(harmless[0]), sizeof(harmless[0]),
	               by_word) != NULL;
}

bool params_changes_reading(const char *name)
{
	return strchr(name, '.') == NULL && strcasecmp(name, "role") != 0 &&
	       strcasecmp(name, "search_path") != 0 && !params_harmless(name);
}

static bool digest_row(EVP_MD_CTX *ctx, const struct param *p)
{
	char folded[64];
	size_t n = strlen(p->name), i, part;

	for (i = 0; i < n; i += part) {
		part = n - i < sizeof(folded) ? n - i : sizeof(folded);
		for (size_t k = 0; k < part; k++)
			folded[k] = (char)tolower((unsigned char)p->name[i + k]);
		if (EVP_DigestUpdate(ctx, folded, part) != 1)
			return false;
	}
	return EVP_DigestUpdate(ctx, "", 1) == 1 &&
	       EVP_DigestUpdate(ctx, p->value, strlen(p->value) + 1) == 1;
}

/* Parameters that end a connection which does nothing, or statements of whoever comes next. Below that many
 * milliseconds, INT64_MAX: always. */
static const struct acting {
	const char *name;
	int64_t least_ms;
} acting[] = {
	{ "idle_session_timeout", INT64_MAX },
	{ "tcp_user_timeout", INT64_MAX },
	{ "statement_timeout", 1000 },
	{ "transaction_timeout", 1000 },
	{ "idle_in_transaction_session_timeout", 1000 },
};

/* As PostgreSQL reads and prints them: a number, of milliseconds if there is no unit. */
static int64_t milliseconds(const char *value)
{
	static const struct {
		const char *unit;
		double factor;
	} units[] = { { "us", 0.001 }, { "ms", 1 },      { "s", 1000 }, { "min", 60000 },
		      { "h", 3600e3 }, { "d", 86400e3 }, { "", 1 } };
	char *rest;
	double n = strtod(value, &rest);
	size_t i;

	while (*rest == ' ')
		rest++;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(rest, units[i].unit) == 0)
			break;
	if (i == sizeof(units) / sizeof(units[0]) || !(n > 0))
		return n > 0; /* what it cannot read acts soon */
	n *= units[i].factor;
	return n < 1 ? 1 : n > 1e15 ? INT64_MAX : (int64_t)n;
}

static bool acts(const struct params *p, const struct acting *row)
{
	const char *value = params_get(p, row->name);
	int64_t ms = value != NULL ? milliseconds(value) : 0;

	return ms > 0 && (row->least_ms == INT64_MAX || ms < row->least_ms);
}

const char *params_first_acting(const struct params *p)
{
	size_t i;

	for (i = 0; p->count > 0 && i < sizeof(acting) / sizeof(acting[0]); i++)
		if (acts(p, &acting[i]))
			return acting[i].name;
	return NULL;
}

bool params_act(const struct params *p)
{
	return p->acts;
}

/* Nobody can make up values that pass for those of others. */
static bool find_dialect(struct params *p)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sum[EVP_MAX_MD_SIZE];
	bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	size_t i;

	for (i = 0; ok && i < p->count; i++)
		ok = params_harmless(p->rows[i].name) || digest_row(ctx, &p->rows[i]);
	ok = ok && EVP_DigestFinal_ex(ctx, sum, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	memcpy(&p->dialect, sum, sizeof(p->dialect));
	p->dialect |= 1; /* not 0 */
	return true;
}

bool params_classify(struct params *p)
{
	p->acts = params_first_acting(p) != NULL;
	return find_dialect(p);
}

bool params_read_only(const char *name)
{
	static const char *const names[] = { "server_version",    "server_encoding",
		                             "is_superuser",      "session_authorization",
		                             "integer_datetimes", "in_hot_standby" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}
