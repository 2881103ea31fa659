/* What was heard. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/transcript.h"

#define HEADER 5

void transcript_free(struct transcript *t)
{
	free(t->heard);
	free(t->half);
	memset(t, 0, sizeof(*t));
}

static void append(uint8_t **at, size_t *len, size_t *cap, const void *more, size_t n)
{
	if (n > *cap - *len) {
		*cap = 2 * *cap + n;
		cr_assert((*at = realloc(*at, *cap)) != NULL);
	}
	if (n > 0)
		memcpy(*at + *len, more, n);
	*len += n;
}

/* Body size of the message there; false while its header has not come whole. */
static bool message_at(const uint8_t *at, size_t n, size_t *body)
{
	uint32_t size;

	if (n < HEADER)
		return false;
	memcpy(&size, at + 1, sizeof(size));
	cr_assert(ntohl(size) >= 4, "message length %u", ntohl(size));
	*body = ntohl(size) - 4;
	return true;
}

static void keep(struct transcript *t, char type, const void *body, size_t n)
{
	uint32_t size = htonl((uint32_t)n + 4);

	append(&t->heard, &t->len, &t->cap, &type, 1);
	append(&t->heard, &t->len, &t->cap, &size, sizeof(size));
	append(&t->heard, &t->len, &t->cap, body, n);
}

void transcript_note(struct transcript *t, const char *what)
{
	keep(t, '!', what, strlen(what) + 1);
}

/* --- parameters --- */

static void learn_parameter(struct transcript *t, const char *name)
{
	struct transcript_parameter *p = t->parameters;

	while (p->name[0] != '\0' && strcmp(p->name, name) != 0)
		p++;
	cr_assert(p < t->parameters + TRANSCRIPT_PARAMETERS - 1);
	snprintf(p->name, sizeof(p->name), "%s", name);
	snprintf(p->value, sizeof(p->value), "%s", name + strlen(name) + 1);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct transcript_parameter *)a)->name,
	              ((const struct transcript_parameter *)b)->name);
}

static void keep_parameters(struct transcript *t)
{
	struct transcript_parameter *p = t->parameters;
	size_t count = 0;
	char line[256];
	int n;

	while (p[count].name[0] != '\0')
		count++;
	qsort(p, count, sizeof(*p), by_name);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(p[i].value, p[i].told) == 0)
			continue;
		memcpy(p[i].told, p[i].value, sizeof(p[i].told));
		n = snprintf(line, sizeof(line), "%s = %s", p[i].name, p[i].value);
		keep(t, 'S', line, (size_t)n + 1);
	}
}

/* --- messages --- */

static void keep_fields(struct transcript *t, char type, const uint8_t *body, size_t n)
{
	uint8_t *fields = NULL;
	size_t len = 0, cap = 0, size;

	for (size_t i = 0; i < n && body[i] != 0; i += size) {
		size = strnlen((const char *)body + i, n - i - 1) + 1;
		if (t->places || strchr("FLR", body[i]) == NULL)
			append(&fields, &len, &cap, body + i, size);
	}
	append(&fields, &len, &cap, "", 1);
	keep(t, type, fields, len);
	free(fields);
}

static bool has(const uint8_t *body, size_t n, const char *part)
{
	return n > 0 && memmem(body, n, part, strlen(part)) != NULL;
}

/* Several things are wrong with one message: which of them is found first may differ. A statement that has
 * changed is noticed by PostgreSQL behind a Bind's wrong number of parameters, by pgseal before. */
static bool is_either(const uint8_t *body, size_t n)
{
	static const char *const either[] = {
		"bind message supplies", "cached plan must not change result type",
		".shape\" does not exist", "current transaction is aborted",
	};

	for (size_t i = 0; i < sizeof(either) / sizeof(either[0]); i++)
		if (has(body, n, either[i]))
			return true;
	return false;
}

/* PostgreSQL's own words about a statement of the protocol that SQL has met: its name on the server is in them. */
static const char *without_name(const uint8_t *body, size_t n)
{
	static const char *const words[] = {
		"C42601|wrong number of parameters for prepared statement",
		"C42P05|prepared statement already exists",
	};

	if (has(body, n, "Mwrong number of parameters for prepared statement \""))
		return words[0];
	if (has(body, n, "Mprepared statement \"") && has(body, n, "\" already exists"))
		return words[1];
	return NULL;
}

static void count(struct transcript *t, char type)
{
	if (type == 'Z') {
		t->ready++;
		t->answers = 0;
		t->failed = false;
	} else if (type == 'E') {
		t->failed = true;
	} else if (strchr("123TnCsIG", type) != NULL) {
		t->answers++;
	}
}

/* A ParameterDescription that was not to be, as an error came instead of what follows it. */
static void forget_half_a_description(struct transcript *t)
{
	if (t->described > 0)
		t->len = t->described - 1;
}

static void take(struct transcript *t, char type, const uint8_t *body, size_t n)
{
	const char *words = NULL;

	count(t, type);
	if (type == 'E' && !t->places)
		forget_half_a_description(t);
	t->described = type == 't' ? t->len + 1 : 0;
	if (type == 'E' && !t->places)
		words = is_either(body, n) || (t->aborted && has(body, n, "C26000"))
		                ? "it does not fit"
		                : without_name(body, n);
	if (type == 'S')
		learn_parameter(t, (const char *)body);
	else if (words != NULL)
		keep(t, type, words, strlen(words) + 1);
	else if (type == 'E' || type == 'N')
		keep_fields(t, type, body, n);
	if (type == 'Z') {
		t->aborted = n == 1 && body[0] == 'E';
		keep_parameters(t);
	}
	if (strchr("SENK", type) == NULL)
		keep(t, type, body, n);
}

void transcript_hear(struct transcript *t, const uint8_t *at, size_t n)
{
	size_t from = 0, body;

	append(&t->half, &t->half_len, &t->half_cap, at, n);
	while (message_at(t->half + from, t->half_len - from, &body) &&
	       body <= t->half_len - from - HEADER) {
		take(t, (char)t->half[from], t->half + from + HEADER, body);
		from += HEADER + body;
	}
	if (from > 0)
		memmove(t->half, t->half + from, t->half_len - from);
	t->half_len -= from;
}

/* --- two of them --- */

struct heard {
	char type;
	const uint8_t *body;
	size_t n;
};

/* What is there at *at; *at goes on after it. Type 0: the end. */
static struct heard next_heard(const struct transcript *t, size_t *at)
{
	struct heard h = { 0 };

	if (!message_at(t->heard + *at, t->len - *at, &h.n))
		return h;
	h.type = (char)t->heard[*at];
	h.body = t->heard + *at + HEADER;
	*at += HEADER + h.n;
	return h;
}

static bool is_same(const struct heard *a, const struct heard *b)
{
	return a->type == b->type && a->n == b->n &&
	       (a->n == 0 || memcmp(a->body, b->body, a->n) == 0);
}

/* The value of a sequence, and the error that there is none. */
static bool is_unanswered(const struct heard *a, const struct heard *b)
{
	return a->type == 'D' && b->type == 'E' && has(a->body, a->n, TRANSCRIPT_ASKED) &&
	       has(b->body, b->n, "C55000");
}

bool transcript_differ(const struct transcript *a, const struct transcript *b, size_t *where)
{
	size_t at = 0, there = 0;
	struct heard h, k;

	do {
		*where = at;
		h = next_heard(a, &at);
		k = next_heard(b, &there);
		if (is_unanswered(&h, &k)) /* nor is there a CommandComplete */
			next_heard(a, &at);
		else if (!is_same(&h, &k))
			return true;
	} while (h.type != 0);
	return false;
}

static void print_body(FILE *f, const uint8_t *at, size_t n)
{
	size_t most = n < 300 ? n : 300;

	for (size_t i = 0; i < most; i++)
		if (isprint(at[i]))
			fputc(at[i], f);
		else if (at[i] == 0)
			fputs(i + 1 < n ? "|" : "", f);
		else
			fprintf(f, "\\%02x", at[i]);
	if (most < n)
		fprintf(f, " ... %zu bytes", n);
}

void transcript_print(FILE *f, const uint8_t *at, size_t n)
{
	size_t i = 0, body;

	while (i < n && message_at(at + i, n - i, &body) && body <= n - i - HEADER) {
		fprintf(f, "    %c ", at[i]);
		print_body(f, at + i + HEADER, body);
		fputc('\n', f);
		i += HEADER + body;
	}
}
