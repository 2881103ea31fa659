#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/report.h"

struct finding {
	char *text; /* NULL: there was no memory for it */
	const char *setting; /* of an error about a file; NULL: it is about something else */
	char *path;
	bool is_error;
};

struct report {
	struct finding *at;
	size_t count;
	size_t cap;
	size_t errors; /* apart from the array: it must be right even when that could not grow */
};

struct report *report_create(void)
{
	return calloc(1, sizeof(struct report));
}

void report_free(struct report *rep)
{
	if (rep == NULL)
		return;
	for (size_t i = 0; i < rep->count; i++) {
		free(rep->at[i].text);
		free(rep->at[i].path);
	}
	free(rep->at);
	free(rep);
}

static bool make_room(struct report *rep)
{
	size_t cap = rep->cap == 0 ? 16 : rep->cap * 2;
	struct finding *at;

	if (rep->count < rep->cap)
		return true;
	if ((at = realloc(rep->at, cap * sizeof(*at))) == NULL)
		return false;
	rep->at = at;
	rep->cap = cap;
	return true;
}

/* "file:line: text", "file: text" or "text". NULL without memory. */
static char *placed_text(struct place at, const char *text)
{
	char *out;
	int n;

	if (at.file == NULL)
		n = asprintf(&out, "%s", text);
	else if (at.line == 0)
		n = asprintf(&out, "%s: %s", at.file, text);
	else
		n = asprintf(&out, "%s:%d: %s", at.file, at.line, text);
	return n < 0 ? NULL : out;
}

static void add(struct report *rep, bool is_error, struct place at, const char *fmt, va_list ap)
{
	char *text;

	rep->errors += is_error;
	if (!make_room(rep))
		return;
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	rep->at[rep->count++] = (struct finding){
		.text = text == NULL ? NULL : placed_text(at, text),
		.is_error = is_error,
	};
	free(text);
}

void report_error(struct report *rep, struct place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(rep, true, at, fmt, ap);
	va_end(ap);
}

void report_notice(struct report *rep, struct place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(rep, false, at, fmt, ap);
	va_end(ap);
}

void report_file_error(struct report *rep, struct place at, const char *setting, const char *path,
                       const char *text)
{
	size_t before = rep->count;

	report_error(rep, at, "%s: %s: %s", setting, quote_str(path).s, text);
	if (rep->count > before) {
		rep->at[before].setting = setting;
		rep->at[before].path = strdup(path);
	}
}

bool report_file(const struct report *rep, size_t i, const char **setting, const char **path)
{
	const struct finding *found = &rep->at[i];

	if (found->setting == NULL || found->path == NULL)
		return false;
	*setting = found->setting;
	*path = found->path;
	return true;
}

size_t report_errors(const struct report *rep)
{
	return rep->errors;
}

size_t report_lines(const struct report *rep)
{
	return rep->count;
}

const char *report_line(const struct report *rep, size_t i, int *is_error)
{
	const struct finding *found = &rep->at[i];

	*is_error = found->is_error;
	return found->text == NULL ? "(out of memory for the text)" : found->text;
}

void report_print(const struct report *rep, FILE *to)
{
	for (size_t i = 0; i < rep->count; i++) {
		int is_error;
		const char *text = report_line(rep, i, &is_error);

		fprintf(to, "%s: %s\n", is_error ? "error" : "notice", text);
	}
}
