/* The settings table as a sample file and as a list in the manual page. */
#include <string.h>

#include "pgseal/base/settings.h"

/* Is this the first row of its group? Rows of a group stand together. */
static bool begins_group(size_t i)
{
	return i == 0 || strcmp(settings_table[i - 1].group, settings_table[i].group) != 0;
}

#define SAMPLE_COLUMNS 78

/* The text in comment lines, broken between words. */
static void print_wrapped(FILE *to, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, " ");

		if (column == 0 || column + 1 + n > SAMPLE_COLUMNS) {
			fputs(column == 0 ? ";;" : "\n;;", to);
			column = 2;
		}
		fprintf(to, " %.*s", (int)n, text);
		column += 1 + n;
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', to);
}

/* The row's choices as a sentence; empty when it has none. */
struct sentence {
	char s[256];
};
static struct sentence choices_sentence(const struct setting *row)
{
	const char *lead = row->type == SETTING_ENUM || *row->max == '1' ? "One of" : "Words";
	struct sentence text = { "" };
	size_t len;

	if (*row->choices == '\0')
		return text;
	len = (size_t)snprintf(text.s, sizeof(text.s), "%s: ", lead);
	for (const char *c = row->choices; *c != '\0' && len + 3 < sizeof(text.s); c++) {
		text.s[len++] = *c == '|' ? ',' : *c;
		if (*c == '|')
			text.s[len++] = ' ';
	}
	text.s[len++] = '.';
	text.s[len] = '\0';
	return text;
}

void settings_print_sample(FILE *to)
{
	fputs("[pgseal]\n", to);
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];

		if (begins_group(i))
			fprintf(to, "\n;;;\n;;; %s\n;;;\n", row->group);
		fputc('\n', to);
		print_wrapped(to, row->doc);
		if (*row->choices != '\0')
			print_wrapped(to, choices_sentence(row).s);
		if (row->apply == APPLY_RESTART)
			fputs(";; A change needs a restart.\n", to);
		fprintf(to, ";%s =%s%s\n", row->name, *row->initial == '\0' ? "" : " ",
		        row->initial);
	}
}

/* The character as roff takes it, whatever it is. */
static size_t print_roff_char(FILE *to, char c)
{
	static const struct {
		char plain;
		const char *roff;
	} table[] = {
		{ '\\', "\\e" },  { '-', "\\-" },    { '~', "\\(ti" },
		{ '^', "\\(ha" }, { '\'', "\\(aq" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].plain == c) {
			fputs(table[i].roff, to);
			return strlen(table[i].roff);
		}
	}
	fputc(c, to);
	return 1;
}

#define ROFF_COLUMNS 66 /* behind these a blank ends the line, so that lines stay below 80 */

/* Text for roff: one sentence a line at most, and no line that would be a request. */
static void print_roff(FILE *to, const char *text)
{
	size_t column = 0;

	for (char before = '\0'; *text != '\0'; before = *text++) {
		if (*text == ' ' && (before == '.' || column > ROFF_COLUMNS)) {
			fputc('\n', to);
			column = 0;
			continue;
		}
		if (column == 0 && *text == '.')
			fputs("\\&", to);
		column += print_roff_char(to, *text);
	}
}

static void print_man_range(FILE *to, const struct setting *row)
{
	if (*row->choices != '\0') {
		fputc('\n', to);
		print_roff(to, choices_sentence(row).s);
	} else if (*row->max != '\0') {
		fprintf(to, "\nFrom %s to %s.", row->min, row->max);
	} else if (*row->min != '\0') {
		fprintf(to, "\nAt least %s.", row->min);
	}
}

void settings_print_man(FILE *to)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];

		if (begins_group(i))
			fprintf(to, ".SS %s\n", row->group);
		fprintf(to, ".TP\n.B %s\n", row->name);
		print_roff(to, row->doc);
		print_man_range(to, row);
		fputs("\nDefault: ", to);
		print_roff(to, *row->initial == '\0' ? "empty" : row->initial);
		fputs(row->apply == APPLY_RESTART ? ".\nA change needs a restart.\n"
		                                  : ".\nA reload puts a change into force.\n",
		      to);
	}
}
