#include "exposition_priv.h"

#include <inttypes.h>
#include <string.h>

/* ---- text ---- */

static void put_bytes(struct exposition *e, const char *at, size_t n)
{
	if (!e->no_memory && n > 0 && buf_append(e->out, at, n) != ERR_OK)
		e->no_memory = true;
}

static void put(struct exposition *e, const char *text)
{
	put_bytes(e, text, strlen(text));
}

/* What stands for a character in text; NULL: itself. Bytes that are no UTF-8 would make the whole
 * unreadable: valid tells whether there are any in this text. */
static const char *escape_of(char c, bool valid)
{
	switch (c) {
	case '\\':
		return "\\\\";
	case '\n':
		return "\\n";
	case '"':
		return "\\\"";
	default:
		return valid || (unsigned char)c < 0x80 ? NULL : "?";
	}
}

static void put_escaped(struct exposition *e, const char *text)
{
	bool valid = utf8_valid(bytes_of(text));
	const char *run = text, *escape;

	for (; *text != '\0'; text++) {
		if ((escape = escape_of(*text, valid)) == NULL)
			continue;
		put_bytes(e, run, (size_t)(text - run));
		put(e, escape);
		run = text + 1;
	}
	put(e, run);
}

/* ---- values ---- */

struct value_text {
	char s[32];
};

static struct value_text number_text(int64_t value)
{
	struct value_text text;

	snprintf(text.s, sizeof(text.s), "%" PRId64, value);
	return text;
}

/* As short as it is exact: 0.00025, 2.5, 100. */
static struct value_text seconds_text(usec_t value)
{
	struct value_text text;
	size_t n = (size_t)snprintf(text.s, sizeof(text.s), "%" PRId64 ".%06d",
	                            value / USEC_PER_SEC, (int)(value % USEC_PER_SEC));

	while (text.s[n - 1] == '0')
		text.s[--n] = '\0';
	if (text.s[n - 1] == '.')
		text.s[n - 1] = '\0';
	return text;
}

/* ---- lines ---- */

static void put_label(struct exposition *e, const char *before, const struct label *label)
{
	put(e, before);
	put(e, label->name);
	put(e, "=\"");
	put_escaped(e, label->value);
	put(e, "\"");
}

/* more: a label behind the others, or NULL. */
static void put_sample(struct exposition *e, const char *name, const char *suffix,
                       const struct label *labels, const struct label *more, const char *value)
{
	const char *before = "{";

	put(e, name);
	put(e, suffix);
	for (; labels->name != NULL; labels++) {
		put_label(e, before, labels);
		before = ",";
	}
	if (more != NULL) {
		put_label(e, before, more);
		before = ",";
	}
	put(e, *before == ',' ? "} " : " ");
	put(e, value);
	put(e, "\n");
}

void exposition_family(struct exposition *e, const struct family *f)
{
	static const char *const types[] = {
		[FAMILY_COUNTER] = "counter",
		[FAMILY_GAUGE] = "gauge",
		[FAMILY_HISTOGRAM] = "histogram",
	};

	put(e, "# HELP ");
	put(e, f->name);
	put(e, " ");
	put(e, f->help);
	put(e, "\n# TYPE ");
	put(e, f->name);
	put(e, " ");
	put(e, types[f->type]);
	put(e, "\n");
}

void exposition_value(struct exposition *e, const struct family *f, const struct label *labels,
                      enum unit unit, int64_t value)
{
	struct value_text text = unit == UNIT_USEC ? seconds_text(value) : number_text(value);

	put_sample(e, f->name, "", labels, NULL, text.s);
}

void exposition_number(struct exposition *e, const struct family *f, const struct label *labels,
                       int64_t value)
{
	exposition_value(e, f, labels, UNIT_ONE, value);
}

static void put_bucket(struct exposition *e, const struct family *f, const struct label *labels,
                       const char *limit, uint64_t count)
{
	struct label le = { "le", limit };

	put_sample(e, f->name, "_bucket", labels, &le, number_text((int64_t)count).s);
}

void exposition_histogram(struct exposition *e, const struct family *f, const struct label *labels,
                          const struct histogram *h)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < HISTOGRAM_LIMIT_COUNT; i++) {
		sum += h->counts[i];
		put_bucket(e, f, labels, seconds_text(histogram_limits[i]).s, sum);
	}
	sum += h->counts[i];
	put_bucket(e, f, labels, "+Inf", sum);
	put_sample(e, f->name, "_sum", labels, NULL, seconds_text((usec_t)h->sum).s);
	put_sample(e, f->name, "_count", labels, NULL, number_text((int64_t)sum).s);
}
