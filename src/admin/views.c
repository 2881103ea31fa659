/* What all views share, and the views that ask no worker. */
#include "pgseal/admin/views.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

#include "request_priv.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

/* --- cells --- */

void cell_printf(struct cell *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(out->room, sizeof(out->room), fmt, ap);
	va_end(ap);
	out->text = out->room;
}

void cell_text(struct cell *out, const char *text)
{
	cell_printf(out, "%s", text);
}

void cell_int(struct cell *out, int64_t v)
{
	cell_printf(out, "%" PRId64, v);
}

void cell_uint(struct cell *out, uint64_t v)
{
	cell_printf(out, "%" PRIu64, v);
}

void cell_time(struct cell *out, int64_t epoch_seconds)
{
	time_t at = (time_t)epoch_seconds;
	struct tm tm;

	if (localtime_r(&at, &tm) != NULL &&
	    strftime(out->room, sizeof(out->room), "%Y-%m-%d %H:%M:%S %Z", &tm) > 0)
		out->text = out->room;
}

void cell_moment(struct cell *out, const struct row *row, usec_t at)
{
	cell_time(out, (row->wall - (row->now - at)) / USEC_PER_SEC);
}

void view_row(struct request *rq, const struct row *row)
{
	struct cell cell;

	for (size_t i = 0; i < rq->result.column_count; i++) {
		cell.text = "";
		rq->result.columns[i].get(&cell, row);
		result_cell(&rq->result, cell.text);
	}
}

/* --- name and value --- */

static void get_name(struct cell *out, const struct row *row)
{
	out->text = row->name;
}

static void get_value(struct cell *out, const struct row *row)
{
	out->text = row->value;
}

#define VIEW(columns_, visit_, home_)                                                  \
	{ .columns = columns_, .count = sizeof(columns_) / sizeof(*columns_),          \
	  .visit = visit_, .home = home_ }

/* --- VERSION --- */

static const struct column version_columns[] = {
	{ "version", TYPE_TEXT, get_value },
};

const char view_version_text[] = "PgBouncer 1.26.0 compatible, pgseal " PACKAGE_VERSION;

static void version_home(struct request *rq, struct worker *w)
{
	(void)w;
	view_row(rq, &(struct row){ .value = view_version_text });
}

const struct view view_version = VIEW(version_columns, NULL, version_home);

/* --- STATE --- */

static const struct column state_columns[] = {
	{ "key", TYPE_TEXT, get_name },
	{ "value", TYPE_TEXT, get_value },
};

static void state_home(struct request *rq, struct worker *w)
{
	bool active = !w->paused && !w->draining;

	view_row(rq, &(struct row){ .name = "active", .value = active ? "yes" : "no" });
	view_row(rq, &(struct row){ .name = "paused", .value = w->paused ? "yes" : "no" });
	view_row(rq, &(struct row){ .name = "suspended", .value = "no" });
}

const struct view view_state = VIEW(state_columns, NULL, state_home);

/* --- CONFIG --- */

static void get_setting_value(struct cell *out, const struct row *row)
{
	out->text = settings_text(&row->site->settings, row->setting, out->room, sizeof(out->room));
}

static void get_setting_default(struct cell *out, const struct row *row)
{
	out->text = row->setting->initial;
}

static void get_setting_changeable(struct cell *out, const struct row *row)
{
	out->text = row->setting->apply == APPLY_RELOAD ? "yes" : "no";
}

static const struct column config_columns[] = {
	{ "key", TYPE_TEXT, get_name },
	{ "value", TYPE_TEXT, get_setting_value },
	{ "default", TYPE_TEXT, get_setting_default },
	{ "changeable", TYPE_TEXT, get_setting_changeable },
};

static void config_home(struct request *rq, struct worker *w)
{
	struct row row = { .site = w->site };

	for (size_t i = 0; i < settings_count; i++) {
		row.setting = &settings_table[i];
		row.name = row.setting->name;
		view_row(rq, &row);
	}
}

const struct view view_config = VIEW(config_columns, NULL, config_home);

/* --- TLS --- */

#define FILE_TEXT(field)                                                               \
	static void get_file_##field(struct cell *out, const struct row *row)          \
	{                                                                              \
		out->text = row->file->field;                                          \
	}
#define FILE_TIME(field)                                                               \
	static void get_file_##field(struct cell *out, const struct row *row)          \
	{                                                                              \
		cell_time(out, row->file->field);                                      \
	}
FILE_TEXT(setting)
FILE_TEXT(path)
FILE_TEXT(subject)
FILE_TEXT(issuer)
FILE_TEXT(serial)
FILE_TEXT(sha256)
FILE_TIME(not_before)
FILE_TIME(not_after)
FILE_TIME(loaded_at)

/* A file that could not be loaded never comes into force: the reload tells, and the log. */
static void get_file_last_error(struct cell *out, const struct row *row)
{
	(void)row;
	out->text = "";
}

static const struct column tls_columns[] = {
	{ "setting", TYPE_TEXT, get_file_setting },
	{ "file", TYPE_TEXT, get_file_path },
	{ "subject", TYPE_TEXT, get_file_subject },
	{ "issuer", TYPE_TEXT, get_file_issuer },
	{ "serial", TYPE_TEXT, get_file_serial },
	{ "not_before", TYPE_TEXT, get_file_not_before },
	{ "not_after", TYPE_TEXT, get_file_not_after },
	{ "sha256", TYPE_TEXT, get_file_sha256 },
	{ "loaded_at", TYPE_TEXT, get_file_loaded_at },
	{ "last_error", TYPE_TEXT, get_file_last_error },
};

static void tls_home(struct request *rq, struct worker *w)
{
	const struct tls_files *files = &w->site->tls_files;

	for (size_t i = 0; i < files->count; i++)
		view_row(rq, &(struct row){ .file = &files->at[i] });
}

const struct view view_tls = VIEW(tls_columns, NULL, tls_home);
