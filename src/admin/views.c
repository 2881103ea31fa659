/* What all views share, and the views that ask no worker. */
#include "pgseal/admin/views.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "pgseal/core/troubles.h"
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
		if (row->file->field != 0)                                             \
			cell_time(out, row->file->field);                              \
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

/* Of the last reload, which was refused for it. */
static void get_file_last_error(struct cell *out, const struct row *row)
{
	out->text = row->value;
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

static const char *trouble_of(const struct tls_file *file, const struct trouble *at, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (at[i].side == TROUBLE_FILE && !at[i].over &&
		    strcmp(at[i].class, file->setting) == 0 && strcmp(at[i].host, file->path) == 0)
			return at[i].message.s;
	}
	return "";
}

static void tls_home(struct request *rq, struct worker *w)
{
	const struct tls_files *files = &w->site->tls_files;
	struct trouble troubles[TROUBLES_MAX];
	size_t count = troubles_list(w->crew->troubles, troubles);

	for (size_t i = 0; i < files->count; i++) {
		const struct tls_file *file = &files->at[i];

		view_row(rq, &(struct row){ .file = file,
		                            .value = trouble_of(file, troubles, count) });
	}
}

const struct view view_tls = VIEW(tls_columns, NULL, tls_home);

/* --- ERRORS --- */

static void get_side(struct cell *out, const struct row *row)
{
	static const char *const words[] = {
		[TROUBLE_CLIENT] = "client", [TROUBLE_SERVER] = "server", [TROUBLE_FILE] = "file",
	};

	out->text = words[row->trouble->side];
}

#define TROUBLE_TEXT(field)                                                            \
	static void get_trouble_##field(struct cell *out, const struct row *row)       \
	{                                                                              \
		out->text = row->trouble->field;                                       \
	}
TROUBLE_TEXT(class)
TROUBLE_TEXT(host)
TROUBLE_TEXT(sqlstate)

static void get_trouble_message(struct cell *out, const struct row *row)
{
	out->text = row->trouble->message.s;
}

static void get_trouble_count(struct cell *out, const struct row *row)
{
	cell_uint(out, row->trouble->count);
}

static void get_trouble_last_at(struct cell *out, const struct row *row)
{
	cell_time(out, row->trouble->last_at / USEC_PER_SEC);
}

static const struct column errors_columns[] = {
	{ "side", TYPE_TEXT, get_side },
	{ "class", TYPE_TEXT, get_trouble_class },
	{ "host", TYPE_TEXT, get_trouble_host },
	{ "sqlstate", TYPE_TEXT, get_trouble_sqlstate },
	{ "count", TYPE_INT8, get_trouble_count },
	{ "last_at", TYPE_TEXT, get_trouble_last_at },
	{ "last_message", TYPE_TEXT, get_trouble_message },
};

static void errors_home(struct request *rq, struct worker *w)
{
	struct trouble troubles[TROUBLES_MAX];
	size_t count = troubles_list(w->crew->troubles, troubles);

	for (size_t i = 0; i < count; i++)
		view_row(rq, &(struct row){ .trouble = &troubles[i] });
}

const struct view view_errors = VIEW(errors_columns, NULL, errors_home);
