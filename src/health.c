#include "health.h"

#include <stdlib.h>
#include <string.h>

#include "pgseal/admin/metrics.h"
#include "pgseal/base/log.h"
#include "pgseal/loop/http.h"

#define CONNECTIONS_MAX 32
#define CONNECTION_LIFE (15 * USEC_PER_SEC)
#define PLAIN_TYPE "text/plain; charset=utf-8"
/* More requests than connections may wait: those of connections that are gone. */
#define WAITING_MAX 64

struct health {
	struct http *http;
	struct crew *crew;
	const struct standing *standing;
	/* Who waits for metrics. A round through the threads serves those who asked before it began. */
	uint64_t waiting[WAITING_MAX];
	size_t waiting_count, served_count;
};

void standing_reloaded(struct standing *st, bool refused)
{
	st->reloads++;
	st->refused += refused;
	st->last_refused = refused;
	if (!refused)
		st->loaded = clock_wall_us();
}

static void answer(struct health *h, uint64_t ticket, int status, const char *text)
{
	http_answer(h->http, ticket, status, PLAIN_TYPE, bytes_of(text));
}

/* ---- /live, /ready ---- */

static void get_live(void *arg, uint64_t ticket)
{
	answer(arg, ticket, 200, "live\n");
}

/* With an expired certificate of ours no client would let itself in. */
static const struct tls_file *expired(const struct site *site)
{
	const struct tls_files *files = &site->tls_files;

	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->at[i].setting, "client_tls_cert_file") == 0 &&
		    files->at[i].not_after < clock_wall_us() / USEC_PER_SEC)
			return &files->at[i];
	return NULL;
}

/* A refused reload is no reason: what was in force goes on being served. */
static bool is_ready(const struct health *h, struct errbuf *why)
{
	const struct standing *st = h->standing;
	const struct tls_file *file = expired(*st->site);

	why->text[0] = '\0';
	if (*st->closing)
		snprintf(why->text, sizeof(why->text), "draining: no new clients are let in\n");
	else if (file != NULL)
		snprintf(why->text, sizeof(why->text), "%s %s has expired\n", file->setting,
		         file->path);
	return why->text[0] == '\0';
}

static void get_ready(void *arg, uint64_t ticket)
{
	struct health *h = arg;
	struct errbuf why;

	if (is_ready(h, &why))
		answer(h, ticket, 200, "ready\n");
	else
		answer(h, ticket, 503, why.text);
}

/* ---- /metrics ---- */

static void begin_round(struct health *h);

static enum err write_text(struct health *h, struct metrics *m, struct buf *out)
{
	const struct standing *st = h->standing;
	struct metrics_control control = {
		.site = *st->site,
		.started = st->started,
		.loaded = st->loaded,
		.reloads = st->reloads,
		.refused = st->refused,
		.last_refused = st->last_refused,
	};
	struct errbuf why;

	control.ready = is_ready(h, &why);
	return metrics_write(m, &control, out);
}

static void collected(void *arg, struct metrics *m)
{
	struct health *h = arg;
	struct buf text = { 0 };
	enum err rc = write_text(h, m, &text);
	size_t i;

	metrics_free(m);
	for (i = 0; i < h->served_count; i++)
		if (rc == ERR_OK)
			http_answer(h->http, h->waiting[i], 200, METRICS_TYPE,
			            (struct bytes){ text.at, text.len });
		else
			answer(h, h->waiting[i], 500, "out of memory\n");
	buf_free(&text);
	h->waiting_count -= h->served_count;
	memmove(h->waiting, h->waiting + h->served_count, h->waiting_count * sizeof(h->waiting[0]));
	begin_round(h);
}

/* For all who wait now; nobody is told twice. */
static void begin_round(struct health *h)
{
	h->served_count = h->waiting_count;
	if (h->served_count == 0 || metrics_collect(h->crew, collected, h) == ERR_OK)
		return;
	while (h->waiting_count > 0)
		answer(h, h->waiting[--h->waiting_count], 500, "out of memory\n");
	h->served_count = 0;
}

static void get_metrics(void *arg, uint64_t ticket)
{
	struct health *h = arg;

	if (h->waiting_count == WAITING_MAX) {
		answer(h, ticket, 503, "busy\n");
		return;
	}
	h->waiting[h->waiting_count++] = ticket;
	if (h->served_count == 0)
		begin_round(h);
}

/* ---- life ---- */

static const struct http_page pages[] = {
	{ "/metrics", get_metrics },
	{ "/live", get_live },
	{ "/ready", get_ready },
	{ NULL, NULL },
};

static enum err listen_all(struct health *h, const struct endpoints *at, struct errbuf *why)
{
	struct errbuf detail;
	enum err rc;

	for (size_t i = 0; i < at->count; i++) {
		if ((rc = http_listen(h->http, &at->at[i], &detail)) != ERR_OK)
			return err_set(why, rc, "metrics_listen: %s", detail.text);
		log_info(LOG_HTTP, 0, "listening: address=%s", at->at[i].text);
	}
	return ERR_OK;
}

enum err health_open(struct loop *loop, struct crew *crew, const struct standing *standing,
                     struct health **out, struct errbuf *why)
{
	struct http_options options = { .pages = pages,
		                        .connections = CONNECTIONS_MAX,
		                        .life = CONNECTION_LIFE };
	struct endpoints at;
	struct health *h;
	enum err rc;

	if ((rc = endpoints_parse((*standing->site)->settings.metrics_listen, &at, why)) != ERR_OK)
		return rc;
	if (at.count == 0)
		return ERR_OK;
	if ((options.arg = h = calloc(1, sizeof(*h))) == NULL)
		return err_set(why, ERR_NO_MEMORY, "out of memory");
	h->crew = crew;
	h->standing = standing;
	if ((rc = http_create(loop, &options, &h->http)) != ERR_OK)
		err_set(why, rc, "%s", err_text(rc));
	else
		rc = listen_all(h, &at, why);
	if (rc != ERR_OK)
		health_close(h);
	else
		*out = h;
	return rc;
}

void health_close(struct health *h)
{
	if (h == NULL)
		return;
	http_free(h->http);
	free(h);
}
