/* A new site in the place of the old one, whole or not at all. */
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/base/report.h"
#include "pgseal/core/gate.h"
#include "pgseal/core/troubles.h"
#include "pgseal/core/worker.h"
#include "process_priv.h"

enum err reload_open_log(const struct process *p, const struct site *site, struct errbuf *why)
{
	const struct settings *s = &site->settings;
	struct log_sink sink = {
		.path = s->logfile[0] != '\0' ? s->logfile : NULL,
		.syslog = s->syslog,
		.syslog_ident = s->syslog_ident,
		.syslog_facility = s->syslog_facility,
		.verbose = (int)s->verbose + p->opts->verbose,
	};

	return log_open(&sink, why);
}

static void log_report(const struct report *rep)
{
	const char *line;
	int is_error;
	size_t i;

	for (i = 0; i < report_lines(rep); i++) {
		line = report_line(rep, i, &is_error);
		log_line(is_error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, LOG_CONFIG, 0, "%s", line);
	}
}

/* What a reload cannot change is said, and stays what it is in every view. */
static void keep_restart_only(const struct site *old, struct site *new, struct report *rep)
{
	struct place at = { new->path, 0 };
	const struct setting *row;
	struct errbuf why;
	char value[1024];

	for (row = settings_table; row < settings_table + settings_count; row++) {
		if (row->apply != APPLY_RESTART ||
		    settings_same(&old->settings, &new->settings, row))
			continue;
		report_notice(rep, at, "%s: takes effect with a restart", row->name);
		settings_text(&old->settings, row, value, sizeof(value));
		if (settings_set(&new->settings, row, value, &why) != ERR_OK)
			report_notice(rep, at, "%s: %s", row->name, why.text);
	}
}

/* Everybody gets the new site, or nobody: so all letters are written before one is posted. */
static enum err spread_site(struct process *p, struct site *site)
{
	size_t i, n = 0, gates = p->crew.gate_count, all = gates + p->crew.worker_count;
	struct letter *letters[2 * CREW_MAX];

	while (n < all &&
	       (letters[n] = n < gates ? gate_site_letter(site) : worker_site_letter(site)) != NULL)
		n++;
	for (i = 0; i < n; i++)
		if (n < all)
			letters[i]->discard(letters[i]);
		else if (i < gates)
			gate_post(p->crew.gates[i], letters[i]);
		else
			worker_post(p->crew.workers[i - gates], letters[i]);
	return n == all ? ERR_OK : ERR_NO_MEMORY;
}

/* Takes the new site, or lets go of it and keeps the old one. */
static enum err put_into_force(struct process *p, struct site *site, struct report *rep)
{
	struct errbuf why;
	enum err rc;

	if ((rc = reload_open_log(p, site, &why)) != ERR_OK)
		report_error(rep, (struct place){ site->path, 0 }, "logfile: %s", why.text);
	else
		rc = spread_site(p, site);
	if (rc != ERR_OK) {
		site_release(site);
		return rc;
	}
	site_release(p->site);
	p->site = site;
	return ERR_OK;
}

/* Build the new site whole and put it into force, or keep the old one. rep tells all. */
static enum err reload(struct process *p, struct report *rep)
{
	struct site *site;
	enum err rc;

	if ((rc = site_load(p->opts->config, rep, &site)) != ERR_OK)
		return rc;
	keep_restart_only(p->site, site, rep);
	return put_into_force(p, site, rep);
}

/* The findings as one text, for the console. */
static void append_findings(struct buf *text, const struct report *rep)
{
	const char *line;
	int is_error;
	size_t i;

	for (i = 0; i < report_lines(rep); i++) {
		line = report_line(rep, i, &is_error);
		if ((i > 0 && buf_append(text, "\n", 1) != ERR_OK) ||
		    buf_append(text, line, strlen(line)) != ERR_OK)
			break;
	}
}

/* For SHOW TLS and SHOW ERRORS: which files it was, or that there is none any more. */
static void note_files(const struct process *p, const struct report *rep, enum err rc)
{
	const char *setting, *path;
	int is_error;
	size_t i;

	if (rc == ERR_OK)
		troubles_settle(p->crew.troubles, TROUBLE_FILE);
	for (i = 0; rc != ERR_OK && i < report_lines(rep); i++)
		if (report_file(rep, i, &setting, &path))
			troubles_note(p->crew.troubles, TROUBLE_FILE, setting, path, NULL,
			              report_line(rep, i, &is_error));
}

/* For the log on the way. */
enum err reload_site(struct process *p, struct buf *text)
{
	struct report *rep = report_create();
	enum err rc = ERR_NO_MEMORY;

	process_notify("RELOADING=1");
	log_reopen();
	if (rep != NULL) {
		rc = reload(p, rep);
		log_report(rep);
		note_files(p, rep, rc);
	}
	standing_reloaded(&p->standing, rc != ERR_OK);
	if (rc == ERR_OK)
		log_info(LOG_CONFIG, 0, "reloaded: file=%s", p->opts->config);
	else
		log_error(LOG_CONFIG, 0, "reload refused: the configuration in force stays: %s",
		          err_text(rc));
	if (rep != NULL)
		append_findings(text, rep);
	report_free(rep);
	process_notify("READY=1");
	return rc;
}

/* What else there is to find in the configuration its last reload has told: errors alone are
 * news. */
enum err reload_change(struct process *p, const struct setting *row, const char *value,
                       struct buf *text)
{
	struct report *rep = report_create();
	struct site *site;
	enum err rc = ERR_NO_MEMORY;

	if (rep != NULL && (rc = site_change(p->site, row, value, rep, &site)) == ERR_OK)
		rc = put_into_force(p, site, rep);
	if (rep != NULL && rc != ERR_OK)
		append_findings(text, rep);
	report_free(rep);
	return rc;
}
