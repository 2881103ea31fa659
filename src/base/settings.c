#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/settings.h"

const struct setting settings_table[] = {
#define SETTING(name, type, field, initial, min, max, choices, apply, group, doc) \
	{ name,                                                                   \
	  SETTING_##type,                                                         \
	  offsetof(struct settings, field),                                       \
	  initial,                                                                \
	  min,                                                                    \
	  max,                                                                    \
	  choices,                                                                \
	  apply,                                                                  \
	  group,                                                                  \
	  doc },
#include "settings.def"
#undef SETTING
};

const size_t settings_count = sizeof(settings_table) / sizeof(settings_table[0]);

/* The type of each row must be that of its field: values are stored through the offset. */
#define FIELD(field) \
	_Generic(((struct settings *)0)->field, bool : 'b', int64_t : 'i', char * : 's')
#define FIELD_BOOL 'b'
#define FIELD_INT 'i'
#define FIELD_OCTAL 'i'
#define FIELD_DURATION 'i'
#define FIELD_MILLIS 'i'
#define FIELD_SIZE 'i'
#define FIELD_ENUM 'i'
#define FIELD_STRING 's'
#define SETTING(name, type, field, initial, min, max, choices, apply, group, doc) \
	_Static_assert(FIELD(field) == FIELD_##type, name);
#include "settings.def"
#undef SETTING

const struct setting *settings_find(const char *name)
{
	for (size_t i = 0; i < settings_count; i++)
		if (strcmp(settings_table[i].name, name) == 0)
			return &settings_table[i];
	return NULL;
}

/* --- the field of a row --- */

static void *field_of(struct settings *s, const struct setting *row)
{
	return (char *)s + row->offset;
}

static int64_t number_of(const struct settings *s, const struct setting *row)
{
	const char *at = (const char *)s + row->offset;

	if (row->type == SETTING_BOOL)
		return *(const bool *)at;
	return *(const int64_t *)at;
}

static const char *string_of(const struct settings *s, const struct setting *row)
{
	const char *text = *(char *const *)((const char *)s + row->offset);

	return text == NULL ? "" : text;
}

/* --- parsing --- */

/* Index of the word in "a|b|c", in any case; -1: none of them. */
static int64_t choice_index(const char *choices, const char *word, size_t len)
{
	for (int64_t i = 0;; i++) {
		size_t n = strcspn(choices, "|");

		if (n == len && strncasecmp(choices, word, len) == 0)
			return i;
		if (choices[n] == '\0')
			return -1;
		choices += n + 1;
	}
}

/* Words that PgBouncer or libpq know and that are left out here on purpose. */
static const struct {
	const char *setting;
	const char *words;
	const char *why;
} refused_words[] = {
	{ "pool_mode", "statement", "it breaks every transaction; use transaction" },
	{ "client_tls_sslmode", "disable|allow|prefer|require|verify-ca",
	  "clients are known by a verified certificate alone; use verify-full" },
	{ "server_tls_sslmode", "allow|prefer",
	  "it falls back to clear text in silence; use verify-full, or disable if that is meant" },
	{ "client_tls_protocols", "tlsv1.0|tlsv1.1|all|legacy|fast|insecure",
	  "TLS below 1.2 is broken; use tlsv1.3, or secure for 1.2 and 1.3" },
	{ "server_tls_protocols", "tlsv1.0|tlsv1.1|all|legacy|fast|insecure",
	  "TLS below 1.2 is broken; use tlsv1.3, or secure for 1.2 and 1.3" },
};

static enum err refuse_word(const struct setting *row, struct bytes word, struct errbuf *why)
{
	for (size_t i = 0; i < sizeof(refused_words) / sizeof(refused_words[0]); i++)
		if (strcmp(refused_words[i].setting, row->name) == 0 &&
		    choice_index(refused_words[i].words, (const char *)word.at, word.len) >= 0)
			return err_set(why, ERR_RANGE, "%s: \"%s\" is not supported: %s", row->name,
			               quote(word).s, refused_words[i].why);
	return err_set(why, ERR_SYNTAX, "%s: \"%s\" is none of %s", row->name, quote(word).s,
	               row->choices);
}

static enum err parse_octal(const char *s, int64_t *out)
{
	int64_t n = 0;

	if (*s == '\0' || s[strspn(s, "01234567")] != '\0')
		return ERR_SYNTAX;
	if (strlen(s) > 20)
		return ERR_RANGE;
	for (; *s != '\0'; s++)
		n = n * 8 + (*s - '0');
	*out = n;
	return ERR_OK;
}

static enum err parse_whole(const char *s, int64_t *out)
{
	return parse_int(s, INT64_MIN, INT64_MAX, out);
}

static enum err parse_flag(const char *s, int64_t *out)
{
	bool flag;
	enum err rc = parse_bool(s, &flag);

	if (rc == ERR_OK)
		*out = flag;
	return rc;
}

static enum err parse_millis(const char *s, usec_t *out)
{
	int64_t n;

	if (parse_int(s, 0, INT64_MAX / USEC_PER_MS, &n) != ERR_OK)
		return parse_duration(s, out);
	*out = n * USEC_PER_MS;
	return ERR_OK;
}

/* What a type takes: the parser, and what to tell those who wrote something else. */
static const struct {
	enum err (*parse)(const char *s, int64_t *out);
	const char *form;
} number_types[] = {
	[SETTING_BOOL] = { parse_flag, "0 or 1 (also off/on, false/true, no/yes)" },
	[SETTING_INT] = { parse_whole, "a whole number" },
	[SETTING_OCTAL] = { parse_octal, "an octal number such as 0700" },
	[SETTING_DURATION] = { parse_duration, "a time such as 15, 1.5s, 100ms, 2h" },
	[SETTING_MILLIS] = { parse_millis, "a time such as 12500 (milliseconds), 12.5s" },
	[SETTING_SIZE] = { parse_size, "a size such as 65536, 64kB, 2MB" },
};

/* Does value lie on the right side of the row's limit, if it has one? way: -1 minimum, 1 maximum.
 */
static bool within(const struct setting *row, const char *limit, int way, int64_t value)
{
	int64_t bound;

	if (*limit == '\0')
		return true;
	if (number_types[row->type].parse(limit, &bound) != ERR_OK)
		return false;
	return way < 0 ? value >= bound : value <= bound;
}

static enum err parse_number(const struct setting *row, const char *value, int64_t *out,
                             struct errbuf *why)
{
	int64_t n;
	enum err rc = number_types[row->type].parse(value, &n);

	if (rc == ERR_SYNTAX)
		return err_set(why, rc, "%s: \"%s\" is not %s", row->name, quote_str(value).s,
		               number_types[row->type].form);
	if (rc == ERR_OK && within(row, row->min, -1, n) && within(row, row->max, 1, n)) {
		*out = n;
		return ERR_OK;
	}
	return err_set(why, ERR_RANGE, "%s: %s is out of range (%s%s%s)", row->name,
	               quote_str(value).s, row->min, *row->max == '\0' ? " or more" : " to ",
	               row->max);
}

static enum err parse_choice(const struct setting *row, const char *value, int64_t *out,
                             struct errbuf *why)
{
	int64_t i = choice_index(row->choices, value, strlen(value));

	if (i < 0)
		return refuse_word(row, bytes_of(value), why);
	*out = i;
	return ERR_OK;
}

/* A string with choices is a comma list of them, row->max words at most. */
static enum err check_words(const struct setting *row, const char *value, struct errbuf *why)
{
	int64_t most = strtoll(row->max, NULL, 10);

	if (*row->choices == '\0')
		return ERR_OK;
	for (;; value++) {
		struct bytes word;

		value += strspn(value, " \t");
		word = (struct bytes){ (const uint8_t *)value, strcspn(value, ", \t") };
		if (choice_index(row->choices, value, word.len) < 0)
			return refuse_word(row, word, why);
		value += word.len;
		value += strspn(value, " \t");
		if (*value == '\0')
			return ERR_OK;
		if (*value != ',' || --most <= 0)
			return err_set(why, ERR_SYNTAX, "%s: %s of %s", row->name,
			               *row->max == '1' ? "one" : "a comma separated list",
			               row->choices);
	}
}

static enum err set_string(struct settings *s, const struct setting *row, const char *value,
                           struct errbuf *why)
{
	char **field = field_of(s, row);
	enum err rc = check_words(row, value, why);
	char *copy;

	if (rc != ERR_OK)
		return rc;
	if ((copy = strdup(value)) == NULL)
		return err_set(why, ERR_NO_MEMORY, "%s: out of memory", row->name);
	free(*field);
	*field = copy;
	return ERR_OK;
}

enum err settings_number(const struct setting *row, const char *value, int64_t *out,
                         struct errbuf *why)
{
	return row->type == SETTING_ENUM ? parse_choice(row, value, out, why)
	                                 : parse_number(row, value, out, why);
}

enum err settings_set(struct settings *s, const struct setting *row, const char *value,
                      struct errbuf *why)
{
	int64_t n = 0;
	enum err rc;

	if (row->type == SETTING_STRING)
		return set_string(s, row, value, why);
	if ((rc = settings_number(row, value, &n, why)) != ERR_OK)
		return rc;
	if (row->type == SETTING_BOOL)
		*(bool *)field_of(s, row) = n != 0;
	else
		*(int64_t *)field_of(s, row) = n;
	return ERR_OK;
}

enum err settings_init(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < settings_count; i++) {
		enum err rc = settings_set(s, &settings_table[i], settings_table[i].initial, NULL);

		assert(rc == ERR_OK || rc == ERR_NO_MEMORY);
		if (rc != ERR_OK) {
			settings_fini(s);
			return rc;
		}
	}
	return ERR_OK;
}

enum err settings_copy(struct settings *to, const struct settings *from)
{
	enum err rc = ERR_OK;

	*to = *from;
	for (size_t i = 0; i < settings_count; i++) {
		char **field = field_of(to, &settings_table[i]);

		if (settings_table[i].type == SETTING_STRING && (*field = strdup(*field)) == NULL)
			rc = ERR_NO_MEMORY;
	}
	if (rc != ERR_OK)
		settings_fini(to);
	return rc;
}

void settings_fini(struct settings *s)
{
	for (size_t i = 0; i < settings_count; i++) {
		char **field = field_of(s, &settings_table[i]);

		if (settings_table[i].type != SETTING_STRING)
			continue;
		free(*field);
		*field = NULL;
	}
}

/* --- printing --- */

static void print_choice(const char *choices, int64_t index, char *out, size_t size)
{
	for (; index > 0; index--)
		choices += strcspn(choices, "|") + 1;
	snprintf(out, size, "%.*s", (int)strcspn(choices, "|"), choices);
}

static void print_size(int64_t n, char *out, size_t size)
{
	static const char *const units[] = { "", "kB", "MB", "GB" };
	size_t i = 0;

	for (; n != 0 && n % 1024 == 0 && i < 3; i++)
		n /= 1024;
	snprintf(out, size, "%" PRId64 "%s", n, units[i]);
}

const char *settings_text(const struct settings *s, const struct setting *row, char *out,
                          size_t size)
{
	if (row->type == SETTING_STRING)
		snprintf(out, size, "%s", string_of(s, row));
	else if (row->type == SETTING_ENUM)
		print_choice(row->choices, number_of(s, row), out, size);
	else if (row->type == SETTING_SIZE)
		print_size(number_of(s, row), out, size);
	else if (row->type == SETTING_DURATION || row->type == SETTING_MILLIS)
		snprintf(out, size, "%s", duration_text(number_of(s, row)).s);
	else if (row->type == SETTING_OCTAL)
		snprintf(out, size, "%04" PRIo64, (uint64_t)number_of(s, row));
	else
		snprintf(out, size, "%" PRId64, number_of(s, row));
	return out;
}

bool settings_same(const struct settings *a, const struct settings *b, const struct setting *row)
{
	if (row->type == SETTING_STRING)
		return strcmp(string_of(a, row), string_of(b, row)) == 0;
	return number_of(a, row) == number_of(b, row);
}

/* --- PgBouncer's other names --- */

static const struct {
	const char *name;
	bool accepted;
	const char *remedy;
} foreign[] = {
#define FOREIGN(name, accepted, remedy) { name, accepted, remedy },
#include "foreign.def"
#undef FOREIGN
};

const char *settings_foreign(const char *name, bool *accepted)
{
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (strcmp(foreign[i].name, name) == 0) {
			*accepted = foreign[i].accepted;
			return foreign[i].remedy;
		}
	}
	return NULL;
}
