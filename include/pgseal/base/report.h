/* Everything that is wrong with a configuration, collected, so that one run tells it all. */
#ifndef PGSEAL_BASE_REPORT_H
#define PGSEAL_BASE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "pgseal/base/err.h"

/* Where a value was set; file is borrowed and lives as long as the configuration text's owner. */
struct place {
	const char *file; /* NULL: not from a file */
	int line;         /* 0: the file as a whole */
};

struct report;

/* NULL when out of memory. */
struct report *report_create(void);
void report_free(struct report *rep);

/* Add one finding, "file:line: text". Errors refuse the configuration, notices do not. Running out
 * of memory here loses the text but never the count. */
void report_error(struct report *rep, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void report_notice(struct report *rep, struct place at, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same about a file that a setting names: "setting: path: text". setting is static. */
void report_file_error(struct report *rep, struct place at, const char *setting, const char *path,
                       const char *text);

size_t report_errors(const struct report *rep);  /* number of errors */
size_t report_lines(const struct report *rep);   /* errors and notices, in order of discovery */
const char *report_line(const struct report *rep, size_t i, int *is_error); /* borrowed */

/* Was the finding an error about a file? Then which, borrowed. */
bool report_file(const struct report *rep, size_t i, const char **setting, const char **path);

/* One finding per line; errors first word "error:", notices "notice:". */
void report_print(const struct report *rep, FILE *to);

#endif
