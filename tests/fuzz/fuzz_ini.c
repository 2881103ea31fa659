/* INI text from memory: whatever the bytes, entries are whole and findings have a place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_entry(const struct ini_entry *e)
{
	if (e->key[0] == '\0' || e->at.line < 1 || strcmp(e->at.file, "fuzz") != 0 ||
	    strchr(e->value, '\n') != NULL || strlen(e->section) > 49)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct report *rep = report_create();
	struct ini *ini = ini_load_text("fuzz", (const char *)data, size, rep);

	for (size_t i = 0; i < ini_count(ini); i++)
		check_entry(ini_at(ini, i));
	for (size_t i = 0; i < report_lines(rep); i++) {
		int is_error;

		if (strncmp(report_line(rep, i, &is_error), "fuzz:", 5) != 0)
			abort();
		/* what inih complains of was to be found before: see run() in ini.c */
		if (strstr(report_line(rep, i, &is_error), "with all included") != NULL)
			abort();
	}
	ini_release(ini);
	report_free(rep);
	return 0;
}
