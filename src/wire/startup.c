#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pgseal/wire/reader.h"
#include "pgseal/wire/startup.h"

#define HEADER 8u /* length word and code word */
#define CANCEL_PID 4u
#define MAJOR_MAX 1000u
#define BLANKS " \t\n\v\f\r"
#define PROTOCOL_EXTENSION "_pq_."

/* --- recognising a packet --- */

struct request_row {
	uint32_t code;
	enum startup_kind kind;
	uint32_t min, max; /* length word */
};

static const struct request_row requests[] = {
	{ WIRE_PROTOCOL(1234, 5678), STARTUP_CANCEL, HEADER + CANCEL_PID + WIRE_SECRET_MIN,
	  HEADER + CANCEL_PID + WIRE_SECRET_MAX },
	{ WIRE_PROTOCOL(1234, 5679), STARTUP_SSL_REQUEST, HEADER, HEADER },
	{ WIRE_PROTOCOL(1234, 5680), STARTUP_GSSENC_REQUEST, HEADER, HEADER },
};
static const struct request_row session_row = { 0, STARTUP_SESSION, HEADER, STARTUP_MAX };

/* NULL: nothing of PostgreSQL's. */
static const struct request_row *request_of(uint32_t code)
{
	uint32_t major = code >> 16;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (requests[i].code == code)
			return &requests[i];
	}
	return major > 0 && major <= MAJOR_MAX ? &session_row : NULL;
}

enum startup_next startup_peek(struct bytes b, struct startup_packet *out)
{
	struct reader r = reader_of(b);
	const struct request_row *row;
	const uint8_t *body;
	uint32_t length, code;

	if (!reader_u32(&r, &length))
		return STARTUP_MORE;
	if (length < HEADER || length > STARTUP_MAX)
		return STARTUP_BAD;
	if (!reader_u32(&r, &code))
		return STARTUP_MORE;
	row = request_of(code);
	if (row == NULL || length < row->min || length > row->max)
		return STARTUP_BAD;
	if (!reader_take(&r, length - HEADER, &body))
		return STARTUP_MORE;
	*out = (struct startup_packet){
		.kind = row->kind,
		.size = length,
		.version = row->kind == STARTUP_SESSION ? code : 0,
		.body = { body, length - HEADER },
	};
	return STARTUP_PACKET;
}

enum err startup_cancel(const struct startup_packet *p, struct cancel_key *out)
{
	struct reader r = reader_of(p->body);
	struct cancel_key key;

	if (!reader_u32(&r, &key.pid))
		return ERR_WIRE_SHORT;
	key.secret = reader_rest(&r);
	if (key.secret.len < WIRE_SECRET_MIN)
		return ERR_WIRE_SHORT;
	if (key.secret.len > WIRE_SECRET_MAX)
		return ERR_WIRE_LIMIT;
	*out = key;
	return ERR_OK;
}

/* --- the settings of a StartupMessage --- */

/* What is gathered on the way; s is handed over when everything is well. */
struct gather {
	struct startup s;
	size_t param_cap, unknown_cap;
	char *options; /* in s.text; NULL: none */
	struct errbuf *why;
};

static enum err no_memory(struct gather *g)
{
	return err_set(g->why, ERR_NO_MEMORY, "out of memory");
}

static enum err malformed(struct gather *g, const char *what)
{
	return err_set(g->why, ERR_WIRE_FORMAT, "invalid startup packet: %s", what);
}

/* Room for one more element in an array. NULL: no memory, the array is as it was. */
static void *room(void *array, size_t count, size_t *cap, size_t element)
{
	size_t next = *cap == 0 ? 8 : *cap * 2;
	void *grown;

	if (count < *cap)
		return array;
	if ((grown = realloc(array, next * element)) != NULL)
		*cap = next;
	return grown;
}

static struct startup_param *param_find(const struct startup *s, const char *name)
{
	for (size_t i = 0; i < s->param_count; i++) {
		if (strcasecmp(s->params[i].name, name) == 0)
			return &s->params[i];
	}
	return NULL;
}

/* A later value replaces an earlier one, except among the first `fixed`. */
static enum err param_set(struct gather *g, const char *name, const char *value, size_t fixed)
{
	struct startup_param *have = param_find(&g->s, name), *grown;

	if (have != NULL && (size_t)(have - g->s.params) < fixed)
		return ERR_OK;
	if (have != NULL) {
		*have = (struct startup_param){ name, value };
		return ERR_OK;
	}
	if (g->s.param_count - fixed >= STARTUP_PARAMS_MAX)
		return malformed(g, "too many settings");
	grown = room(g->s.params, g->s.param_count, &g->param_cap, sizeof(*grown));
	if (grown == NULL)
		return no_memory(g);
	g->s.params = grown;
	g->s.params[g->s.param_count++] = (struct startup_param){ name, value };
	return ERR_OK;
}

static enum err unknown_add(struct gather *g, const char *name)
{
	const char **grown = room(g->s.unknown_options, g->s.unknown_count, &g->unknown_cap,
	                          sizeof(*grown));

	if (grown == NULL)
		return no_memory(g);
	g->s.unknown_options = grown;
	g->s.unknown_options[g->s.unknown_count++] = name;
	return ERR_OK;
}

static enum err pair_take(struct gather *g, const char *name, char *value)
{
	if (strcmp(name, "user") == 0)
		g->s.user = value;
	else if (strcmp(name, "database") == 0)
		g->s.database = value;
	else if (strcmp(name, "replication") == 0)
		g->s.replication = value;
	else if (strcmp(name, "options") == 0)
		g->options = value;
	else if (strncmp(name, PROTOCOL_EXTENSION, strlen(PROTOCOL_EXTENSION)) == 0)
		return unknown_add(g, name);
	else
		return param_set(g, name, value, 0);
	return ERR_OK;
}

/* g->s.text holds the packet's len bytes: names and values in turn, then an empty name. */
static enum err pairs_take(struct gather *g, size_t len)
{
	struct reader r = reader_of((struct bytes){ (const uint8_t *)g->s.text, len });
	struct bytes name, value;
	size_t count = 0;
	enum err rc;

	for (;;) {
		if (!reader_str(&r, &name))
			return malformed(g, "no terminator at its end");
		if (name.len == 0)
			break;
		if (!reader_str(&r, &value))
			return malformed(g, "a name without a value");
		if (++count > STARTUP_PARAMS_MAX)
			return malformed(g, "too many names");
		rc = pair_take(g, (const char *)name.at,
		               g->s.text + (value.at - (const uint8_t *)g->s.text));
		if (rc != ERR_OK)
			return rc;
	}
	if (reader_left(&r) != 0)
		return malformed(g, "bytes behind its terminator");
	return ERR_OK;
}

/* --- "options" --- */

/* The next word, unescaped in place; NULL at the end. */
static char *next_word(char **at)
{
	char *from = *at + strspn(*at, BLANKS), *to = from, *word = from;
	bool escaped = false;
	char c;

	if (*from == '\0')
		return NULL;
	while ((c = *from) != '\0' && (escaped || strchr(BLANKS, c) == NULL)) {
		escaped = !escaped && c == '\\';
		if (!escaped)
			*to++ = c;
		from++;
	}
	*at = c == '\0' ? from : from + 1; /* before the blank is overwritten */
	*to = '\0';
	return word;
}

/* "name=value", of "-c" or "--" */
static enum err setting_take(struct gather *g, char *text, size_t fixed)
{
	char *equals = text == NULL ? NULL : strchr(text, '=');

	if (equals == NULL || equals == text)
		return malformed(g, "a setting in options is not of the form name=value");
	*equals = '\0';
	for (char *c = text; *c != '\0'; c++) {
		if (*c == '-')
			*c = '_';
	}
	return param_set(g, text, equals + 1, fixed);
}

static enum err options_take(struct gather *g)
{
	const size_t fixed = g->s.param_count; /* what the packet names itself wins */
	char *at = g->options, *word;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && (word = next_word(&at)) != NULL) {
		if (strcmp(word, "-c") == 0)
			rc = setting_take(g, next_word(&at), fixed);
		else if (strncmp(word, "-c", 2) == 0 || strncmp(word, "--", 2) == 0)
			rc = setting_take(g, word + 2, fixed);
		else
			rc = malformed(g, "options may hold settings only (-c name=value)");
	}
	return rc;
}

/* --- "replication" --- */

/* PostgreSQL's booleans: how many of their letters it takes to know them, and what they mean here. */
static const struct {
	const char *word;
	size_t least;
	enum replication_mode mode;
} booleans[] = {
	{ "true", 1, REPLICATION_PHYSICAL }, { "false", 1, REPLICATION_NONE },
	{ "yes", 1, REPLICATION_PHYSICAL },  { "no", 1, REPLICATION_NONE },
	{ "on", 2, REPLICATION_PHYSICAL },   { "off", 2, REPLICATION_NONE },
	{ "1", 1, REPLICATION_PHYSICAL },    { "0", 1, REPLICATION_NONE },
};

enum replication_mode startup_replication(const char *word)
{
	size_t len, i;

	if (word == NULL)
		return REPLICATION_NONE;
	if (strcmp(word, "database") == 0)
		return REPLICATION_LOGICAL;
	len = strlen(word);
	for (i = 0; i < sizeof(booleans) / sizeof(booleans[0]); i++)
		if (len >= booleans[i].least && len <= strlen(booleans[i].word) &&
		    strncasecmp(word, booleans[i].word, len) == 0)
			return booleans[i].mode;
	return REPLICATION_UNCLEAR;
}

/* --- the whole --- */

static enum err name_check(struct gather *g, const char *name, const char *too_long,
                           const char *not_utf8)
{
	struct bytes b = bytes_of(name);

	if (b.len > STARTUP_NAME_MAX)
		return malformed(g, too_long);
	if (!utf8_valid(b))
		return malformed(g, not_utf8);
	return ERR_OK;
}

static enum err names_check(struct gather *g)
{
	struct startup *s = &g->s;
	enum err rc;

	if (s->user == NULL || s->user[0] == '\0')
		return malformed(g, "no user name");
	if (s->database == NULL || s->database[0] == '\0')
		s->database = s->user;
	rc = name_check(g, s->user, "the user name is too long", "the user name is not UTF-8");
	if (rc != ERR_OK)
		return rc;
	return name_check(g, s->database, "the database name is too long",
	                  "the database name is not UTF-8");
}

enum err startup_parse(const struct startup_packet *p, struct startup *out, struct errbuf *why)
{
	struct gather g = { .s = { .version = p->version }, .why = why };
	enum err rc;

	if ((g.s.text = malloc(p->body.len + 1)) == NULL)
		return no_memory(&g);
	if (p->body.len > 0)
		memcpy(g.s.text, p->body.at, p->body.len);
	rc = pairs_take(&g, p->body.len);
	if (rc == ERR_OK)
		rc = names_check(&g);
	if (rc == ERR_OK && g.options != NULL)
		rc = options_take(&g);
	if (rc != ERR_OK) {
		startup_free(&g.s);
		return rc;
	}
	g.s.mode = startup_replication(g.s.replication);
	*out = g.s;
	return ERR_OK;
}

void startup_free(struct startup *s)
{
	if (s == NULL)
		return;
	free(s->params);
	free(s->unknown_options);
	free(s->text);
	*s = (struct startup){ 0 };
}
