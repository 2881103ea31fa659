/* Sites swapped under readers: each reader sees one whole site at a time, databases outlive the
 * site that brought them, and everything is freed once. For TSan, which criterion does not run
 * under; exit status 0 is success. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pgseal/base/mailbox.h"
#include "pgseal/core/site.h"

#define READERS 4
#define RELOADS 300
#define KEPT 8 /* databases that a reader holds on to */

struct site_letter {
	struct letter letter;
	struct site *site; /* a reference */
};

struct reader {
	pthread_t thread;
	struct mailbox *mb;
	struct site *site;           /* a reference */
	struct database *kept[KEPT]; /* references, of sites that may be gone */
	long seen;                   /* sites */
	unsigned seed;
};

static struct reader readers[READERS];
static atomic_int faults, ended;
static char path[] = "/tmp/stress_reload.XXXXXX";

/* Both entries of a site carry its number as pool_size; a mixture would show. */
static bool write_config(int number)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		return false;
	fprintf(f,
	        "[pgseal]\nunix_socket_dir = /tmp\nserver_tls_sslmode = disable\ndefault_pool_size = %d\n"
	        "[databases]\napp = host=127.0.0.1 dbname=app pool_size=%d\n* = host=127.0.0.1\n",
	        number, number);
	return fclose(f) == 0;
}

static void site_discard(struct letter *letter)
{
	struct site_letter *l = (struct site_letter *)letter;

	site_release(l->site);
	free(l);
}

static void site_arrive(struct letter *letter, void *owner)
{
	struct site_letter *l = (struct site_letter *)letter;
	struct reader *r = owner;
	struct site *old = r->site;

	r->site = l->site;
	l->site = old;
	r->seen++;
	site_discard(letter);
}

static void look_at_site(struct reader *r)
{
	struct database *app = site_database(r->site, "app"),
			*rest = site_database(r->site, "rest");
	struct database **slot = &r->kept[rand_r(&r->seed) % KEPT];

	if (app == NULL || rest == NULL || app->pool_size != rest->pool_size ||
	    app->pool_size != r->site->settings.default_pool_size)
		atomic_fetch_add(&faults, 1);
	if (*slot != NULL && strcmp((*slot)->name, "app") != 0)
		atomic_fetch_add(&faults, 1);
	if (*slot != NULL)
		database_release(*slot);
	*slot = app != NULL ? database_hold(app) : NULL;
	site_release(site_hold(r->site));
}

static void *read_sites(void *arg)
{
	struct reader *r = arg;
	struct pollfd p = { mailbox_fd(r->mb), POLLIN, 0 };

	while (!atomic_load(&ended)) {
		if (poll(&p, 1, 0) == 1)
			mailbox_drain(r->mb);
		if (r->site != NULL)
			look_at_site(r);
	}
	mailbox_drain(r->mb);
	return NULL;
}

static bool post(struct reader *r, struct site *site)
{
	struct site_letter *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return false;
	l->letter.deliver = site_arrive;
	l->letter.discard = site_discard;
	l->site = site_hold(site);
	mailbox_post(r->mb, &l->letter);
	return true;
}

/* As control does: the new one whole, or the old one stays. */
static bool reload(struct site **current, int number)
{
	struct report *rep = report_create();
	struct site *next = NULL;
	bool ok = rep != NULL && write_config(number) && site_load(path, rep, &next) == ERR_OK;

	if (!ok && rep != NULL)
		report_print(rep, stderr);
	report_free(rep);
	for (int i = 0; ok && i < READERS; i++)
		ok = post(&readers[i], next);
	if (ok) {
		site_release(*current);
		*current = next;
	}
	return ok;
}

static int finish(struct site *site)
{
	int i, k;

	atomic_store(&ended, 1);
	for (i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		mailbox_free(readers[i].mb);
		site_release(readers[i].site);
		for (k = 0; k < KEPT; k++)
			if (readers[i].kept[k] != NULL)
				database_release(readers[i].kept[k]);
		if (readers[i].seen != RELOADS) {
			fprintf(stderr, "reader %d saw %ld sites\n", i, readers[i].seen);
			atomic_fetch_add(&faults, 1);
		}
	}
	if (site != NULL && atomic_load(&site->refs) != 1)
		atomic_fetch_add(&faults, 1);
	site_release(site);
	unlink(path);
	return atomic_load(&faults) != 0;
}

int main(void)
{
	struct site *site = NULL;
	int i, fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	for (i = 0; i < READERS; i++) {
		readers[i].seed = (unsigned)i + 1;
		if (mailbox_create(&readers[i], &readers[i].mb) != ERR_OK ||
		    pthread_create(&readers[i].thread, NULL, read_sites, &readers[i]) != 0)
			return 1;
	}
	for (i = 1; i <= RELOADS; i++)
		if (!reload(&site, i))
			atomic_fetch_add(&faults, 1);
	return finish(site);
}
