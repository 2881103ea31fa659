/* INI files: inih underneath, with what it lacks: line numbers, a refusal of over-long lines,
 * %include, and every finding at once.
 *
 * Values may go on over indented continuation lines; inih hands them over joined by a blank here.
 * A line longer than INI_LINE_BYTES (comments may be) is an error that says how to continue it.
 * A line that begins with ; or # is a comment; inside a line, a blank and ; begin one, in values
 * too. Keys end at '=' alone and begin in the first column. A byte order mark is skipped, a NUL
 * byte is an error. An included file stands where it is included, sections and all: the section
 * that was begun last goes on, in it and behind it. */
#ifndef PGSEAL_BASE_INI_H
#define PGSEAL_BASE_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "pgseal/base/err.h"
#include "pgseal/base/report.h"

#define INI_LINE_BYTES 198 /* packaged inih truncates silently above this */
#define INI_INCLUDE_DEPTH 10

struct ini_entry {
	const char *section; /* "" before the first section */
	const char *key;
	const char *value;
	struct place at; /* line of the key */
};

struct ini;

/* Read the file and what it includes ("%include other.ini", relative to the including file).
 * Trouble goes to rep; the result holds what could be read, and is NULL only without memory. */
struct ini *ini_load(const char *path, struct report *rep);
/* The same from memory; name stands for the file in findings, and %include is an error. For tests
 * and fuzzing. */
struct ini *ini_load_text(const char *name, const char *text, size_t len, struct report *rep);
/* Any thread; the last one to let go frees it. */
struct ini *ini_hold(struct ini *ini);
void ini_release(struct ini *ini); /* NULL is fine */

size_t ini_count(const struct ini *ini);
const struct ini_entry *ini_at(const struct ini *ini, size_t i); /* file order; borrowed */
/* Did the section's header appear, be it with no entry below? */
bool ini_has_section(const struct ini *ini, const char *section);

#endif
