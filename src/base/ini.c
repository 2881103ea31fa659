#include <errno.h>
#include <ini.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/ini.h"

#define FILE_BYTES_MAX (16 << 20) /* nobody's configuration; somebody's /dev/zero */
#define SECTION_BYTES_MAX 49      /* inih cuts longer ones without a word */

/* Growing array of owned strings. */
struct strings {
	char **at;
	size_t count;
};

struct ini {
	atomic_uint refs;
	struct ini_entry *entries; /* owned, with section, key and value */
	size_t count;
	struct strings files; /* owned: what places point to */
	struct strings sections;
};

/* One open file of the stack: the whole text, and how far the reader got. */
struct source {
	const char *name; /* in ini->files */
	struct buf text;
	size_t pos;
	int line;
	dev_t dev; /* who it is, against a file that includes itself */
	ino_t ino;
};

/* What an indented line would do now. */
enum indent {
	INDENT_NOTHING, /* there is no value to go on with */
	INDENT_VALUE,   /* goes on with the last entry's value */
	INDENT_REFUSED, /* goes on with a line that was refused, and is so silently */
};

/* inih pulls lines through read_line() and hands entries to take_entry(). Everything that inih
 * would take silently and wrongly is refused in between, and reaches it as an empty line. */
struct parser {
	struct ini *ini;
	struct report *rep;
	struct source stack[INI_INCLUDE_DEPTH];
	size_t depth;
	struct place at; /* of the line that inih is looking at */
	enum indent indent;
	bool continues; /* the line at `at` goes on with the last entry's value */
	bool lost;      /* behind a refused section header: whose are these entries? */
	bool no_memory;
	bool from_memory; /* not a file: may not include */
};

static char *strings_add(struct strings *list, const char *s, size_t len)
{
	char **at = realloc(list->at, (list->count + 1) * sizeof(*at));
	char *copy;

	if (at == NULL)
		return NULL;
	list->at = at;
	if ((copy = strndup(s, len)) != NULL)
		at[list->count++] = copy;
	return copy;
}

static void strings_free(struct strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->at[i]);
	free(list->at);
}

static void refuse_memory(struct parser *p)
{
	if (!p->no_memory)
		report_error(p->rep, p->at, "out of memory");
	p->no_memory = true;
}

/* --- files --- */

/* All of f, or an error in *why. */
static enum err read_all(FILE *f, struct buf *text, struct errbuf *why)
{
	size_t n;

	do {
		if (buf_reserve(text, BUFSIZ) != ERR_OK)
			return err_set(why, ERR_NO_MEMORY, "out of memory");
		errno = 0;
		n = fread(text->at + text->len, 1, BUFSIZ, f);
		text->len += n;
		if (text->len > FILE_BYTES_MAX)
			return err_set(why, ERR_RANGE, "larger than any configuration file");
	} while (n > 0);
	if (ferror(f))
		return err_set(why, ERR_IO, "cannot read: %s", strerror(errno));
	return ERR_OK;
}

static enum err read_file(struct source *src, struct errbuf *why)
{
	struct stat st;
	FILE *f = fopen(src->name, "re");
	enum err rc;

	if (f == NULL)
		return err_set(why, ERR_IO, "cannot open: %s", strerror(errno));
	if (fstat(fileno(f), &st) != 0)
		rc = err_set(why, ERR_IO, "cannot read: %s", strerror(errno));
	else
		rc = read_all(f, &src->text, why);
	fclose(f);
	if (rc != ERR_OK) {
		buf_free(&src->text);
		return rc;
	}
	src->dev = st.st_dev;
	src->ino = st.st_ino;
	return ERR_OK;
}

static bool is_open(const struct parser *p, const struct source *src)
{
	for (size_t i = 0; i < p->depth; i++)
		if (p->stack[i].dev == src->dev && p->stack[i].ino == src->ino)
			return true;
	return false;
}

static void push(struct parser *p, struct source src)
{
	/* all of them: inih would skip another one behind our back */
	while (src.text.len - src.pos >= 3 && memcmp(src.text.at + src.pos, "\xef\xbb\xbf", 3) == 0)
		src.pos += 3;
	p->stack[p->depth++] = src;
	p->indent = INDENT_NOTHING;
}

static void pop(struct parser *p)
{
	buf_free(&p->stack[--p->depth].text);
	p->indent = INDENT_NOTHING;
}

/* Put the file on top of the stack; name is in ini->files, at is who asked for it. */
static void push_file(struct parser *p, const char *name, struct place at)
{
	struct source src = { .name = name };
	struct errbuf why;

	if (p->depth == INI_INCLUDE_DEPTH) {
		report_error(p->rep, at, "%%include nested deeper than %d files",
		             INI_INCLUDE_DEPTH);
		return;
	}
	if (read_file(&src, &why) != ERR_OK) {
		if (at.line == 0)
			report_error(p->rep, at, "%s", why.text);
		else
			report_error(p->rep, at, "\"%s\": %s", quote_str(name).s, why.text);
		return;
	}
	if (is_open(p, &src)) {
		report_error(p->rep, at, "\"%s\" includes itself", quote_str(name).s);
		buf_free(&src.text);
		return;
	}
	push(p, src);
}

/* --- lines --- */

struct span {
	const char *at;
	size_t len;
};

static bool is_blank(char c)
{
	return c != '\0' && strchr(" \t\r\v\f", c) != NULL;
}

static struct span trimmed(struct span s)
{
	while (s.len > 0 && is_blank(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

/* "%include path", relative to the directory of the file that says so. */
static void do_include(struct parser *p, struct span line)
{
	static const char word[] = "%include";
	const char *here = p->at.file;
	const char *slash = strrchr(here, '/');
	struct span path = { line.at + sizeof(word) - 1, line.len - (sizeof(word) - 1) };
	char *name;
	int n;

	if (line.len < sizeof(word) || strncmp(line.at, word, sizeof(word) - 1) != 0 ||
	    !is_blank(path.at[0]) || (path = trimmed(path)).len == 0) {
		report_error(p->rep, p->at,
		             "%% begins a directive, and the only one is: %%include file");
		return;
	}
	if (p->from_memory) {
		report_error(p->rep, p->at, "%%include works in files only");
		return;
	}
	n = path.at[0] == '/' || slash == NULL ? 0 : (int)(slash - here) + 1;
	n = asprintf(&name, "%.*s%.*s", n, here, (int)path.len, path.at);
	here = n < 0 ? NULL : strings_add(&p->ini->files, name, (size_t)n);
	if (n >= 0)
		free(name);
	if (here == NULL)
		refuse_memory(p);
	else
		push_file(p, here, p->at);
}

/* inih takes everything up to the first ']' and ignores what follows. False: refused. */
static bool check_header(struct parser *p, struct span line)
{
	const char *end = memchr(line.at, ']', line.len);
	size_t to_end = end == NULL ? line.len : (size_t)(end - line.at);
	struct span name = { line.at + 1, to_end - 1 };
	struct span rest = { line.at + to_end, line.len - to_end };

	p->indent = INDENT_REFUSED;
	p->lost = true;
	if (end != NULL)
		rest = trimmed((struct span){ rest.at + 1, rest.len - 1 });
	if (end == NULL)
		report_error(p->rep, p->at, "section header without its ]");
	else if (name.len == 0)
		report_error(p->rep, p->at, "section without a name");
	else if (name.len > SECTION_BYTES_MAX)
		report_error(p->rep, p->at, "section name longer than %d bytes", SECTION_BYTES_MAX);
	else if (rest.len > 0 && rest.at[0] != ';' && rest.at[0] != '#')
		report_error(p->rep, p->at, "text behind the section header; begin a new line");
	else if (memchr(name.at, ';', name.len) != NULL)
		report_error(p->rep, p->at, "';' in a section name");
	else if (strings_add(&p->ini->sections, name.at, name.len) == NULL)
		refuse_memory(p);
	else
		p->lost = false;
	if (!p->lost)
		p->indent = INDENT_NOTHING;
	return !p->lost;
}

/* inih would take ':' for '=' as well: "app:x = y" became app = "x = y". False: refused. */
static bool check_key(struct parser *p, struct span line)
{
	size_t n = 0;

	while (n < line.len && line.at[n] != '=' && line.at[n] != ':' &&
	       (line.at[n] != ';' || !is_blank(line.at[n - 1])))
		n++;
	p->indent = INDENT_REFUSED;
	if (n == line.len || line.at[n] == ';')
		report_error(p->rep, p->at, "neither \"key = value\" nor a section nor a comment");
	else if (line.at[n] == ':')
		report_error(p->rep, p->at, "':' in a key, or in place of '='");
	else if (n == 0)
		report_error(p->rep, p->at, "value without a key");
	else
		p->indent = INDENT_VALUE;
	return p->indent == INDENT_VALUE;
}

static bool check_indented(struct parser *p)
{
	p->continues = p->indent == INDENT_VALUE;
	if (p->indent == INDENT_NOTHING)
		report_error(p->rep, p->at,
		             "an indented line goes on with the value above, and there is none; "
		             "keys begin in the first column");
	return p->continues;
}

/* May inih see this line? limit: bytes that fit into its buffer. */
static bool check_line(struct parser *p, struct span line, size_t limit)
{
	struct span text = trimmed(line);

	if (text.len == 0 || text.at[0] == ';' || text.at[0] == '#')
		return false;
	if (line.len > limit) {
		report_error(
			p->rep, p->at,
			"line longer than %zu bytes; break it, and indent the lines on which it "
			"goes on",
			limit);
		p->indent = INDENT_REFUSED;
		return false;
	}
	if (text.at != line.at)
		return check_indented(p);
	if (line.at[0] == '[')
		return check_header(p, text);
	return check_key(p, text);
}

/* Next line of the file on top, without its end. Files that are through go from the stack. */
static bool next_line(struct parser *p, struct span *line)
{
	struct source *src;
	const char *start, *end;
	size_t left;

	while (p->depth > 0 && p->stack[p->depth - 1].pos >= p->stack[p->depth - 1].text.len)
		pop(p);
	if (p->depth == 0)
		return false;
	src = &p->stack[p->depth - 1];
	start = (const char *)src->text.at + src->pos;
	left = src->text.len - src->pos;
	end = memchr(start, '\n', left);
	line->at = start;
	line->len = end == NULL ? left : (size_t)(end - start);
	src->pos += line->len + (end != NULL);
	while (line->len > 0 && is_blank(line->at[line->len - 1]))
		line->len--;
	p->at = (struct place){ src->name, ++src->line };
	return true;
}

/* inih's reader: like fgets. */
static char *read_line(char *out, int size, void *stream)
{
	struct parser *p = stream;
	size_t limit = (size_t)size - 2 < INI_LINE_BYTES ? (size_t)size - 2 : INI_LINE_BYTES;
	struct span line;

	if (p->no_memory || !next_line(p, &line))
		return NULL;
	p->continues = false;
	if (memchr(line.at, '\0', line.len) != NULL) {
		report_error(p->rep, p->at, "NUL byte; is this a text file in UTF-8?");
		p->indent = INDENT_REFUSED;
		line.len = 0;
	} else if (line.len > 0 && line.at[0] == '%') {
		p->indent = INDENT_NOTHING;
		do_include(p, line);
		line.len = 0;
	} else if (!check_line(p, line, limit)) {
		line.len = 0;
	}
	memcpy(out, line.at, line.len);
	memcpy(out + line.len, "\n", 2);
	return out;
}

/* --- entries --- */

/* Length without a comment: packaged inih looks for none in continuation lines. */
static int length_of_value(const char *line)
{
	size_t n = 1;

	while (line[n] != '\0' && (line[n] != ';' || !is_blank(line[n - 1])))
		n++;
	return (int)trimmed((struct span){ line, n }).len;
}

static bool grow_value(struct ini *ini, const char *more)
{
	struct ini_entry *e = &ini->entries[ini->count - 1];
	char *value;

	if (asprintf(&value, "%s%s%.*s", e->value, *e->value == '\0' ? "" : " ",
	             length_of_value(more), more) < 0)
		return false;
	free((char *)e->value);
	e->value = value;
	return true;
}

static void entry_free(const struct ini_entry *e)
{
	free((char *)e->section);
	free((char *)e->key);
	free((char *)e->value);
}

static bool add_entry(struct ini *ini, struct ini_entry e)
{
	struct ini_entry *at = realloc(ini->entries, (ini->count + 1) * sizeof(*at));

	if (at == NULL)
		return false;
	ini->entries = at;
	e.section = strdup(e.section);
	e.key = strdup(e.key);
	e.value = strdup(e.value);
	if (e.section == NULL || e.key == NULL || e.value == NULL) {
		entry_free(&e);
		return false;
	}
	at[ini->count++] = e;
	return true;
}

/* inih's handler: comments and blanks around are gone, 1 goes on. */
static int take_entry(void *user, const char *section, const char *key, const char *value)
{
	struct parser *p = user;
	bool done;

	if (p->lost)
		return 1;
	if (p->continues)
		done = grow_value(p->ini, value);
	else
		done = add_entry(p->ini, (struct ini_entry){ section, key, value, p->at });
	if (!done)
		refuse_memory(p);
	return 1;
}

/* --- the whole --- */

/* Parse what stands on the stack. The result, or NULL without memory. */
static struct ini *run(struct parser *p)
{
	int rc = p->no_memory ? 0 : ini_parse_stream(read_line, p, take_entry, p);

	while (p->depth > 0)
		pop(p);
	/* what inih may complain of was refused before; should its rules differ, do not go on */
	if (rc > 0 && report_errors(p->rep) == 0)
		report_error(p->rep, p->at, "malformed; line %d with all included", rc);
	if (rc < 0)
		refuse_memory(p);
	if (p->no_memory) {
		ini_release(p->ini);
		return NULL;
	}
	return p->ini;
}

static bool parser_start(struct parser *p, const char *name, struct report *rep)
{
	*p = (struct parser){ .rep = rep };
	p->ini = calloc(1, sizeof(*p->ini));
	if (p->ini != NULL)
		atomic_init(&p->ini->refs, 1);
	if (p->ini != NULL)
		p->at.file = strings_add(&p->ini->files, name, strlen(name));
	if (p->at.file == NULL)
		refuse_memory(p);
	return !p->no_memory;
}

struct ini *ini_load(const char *path, struct report *rep)
{
	struct parser p;

	if (parser_start(&p, path, rep))
		push_file(&p, p.at.file, p.at);
	return run(&p);
}

struct ini *ini_load_text(const char *name, const char *text, size_t len, struct report *rep)
{
	struct parser p;
	struct source src = { .text = { 0 } };

	if (parser_start(&p, name, rep)) {
		p.from_memory = true;
		src.name = p.at.file;
		if (buf_append(&src.text, text, len) == ERR_OK)
			push(&p, src);
		else
			refuse_memory(&p);
	}
	return run(&p);
}

struct ini *ini_hold(struct ini *ini)
{
	atomic_fetch_add_explicit(&ini->refs, 1, memory_order_relaxed);
	return ini;
}

void ini_release(struct ini *ini)
{
	if (ini == NULL || atomic_fetch_sub_explicit(&ini->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < ini->count; i++)
		entry_free(&ini->entries[i]);
	free(ini->entries);
	strings_free(&ini->files);
	strings_free(&ini->sections);
	free(ini);
}

size_t ini_count(const struct ini *ini)
{
	return ini->count;
}

const struct ini_entry *ini_at(const struct ini *ini, size_t i)
{
	return &ini->entries[i];
}

bool ini_has_section(const struct ini *ini, const char *section)
{
	for (size_t i = 0; i < ini->sections.count; i++)
		if (strcmp(ini->sections.at[i], section) == 0)
			return true;
	return false;
}
