/* Clients that follow a table. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/actor.h"
#include "tests/integration/body.h"
#include "tests/integration/rig_priv.h"

#define VALUES_MAX 20
#define BODY_MAX 65536

/* --- texts with values --- */

struct words {
	char text[8192];
	const char *values[VALUES_MAX];
	size_t count;
};

static void split(const char *text, struct words *out)
{
	char *at;

	cr_assert(strlen(text) < sizeof(out->text));
	strcpy(out->text, text);
	out->count = 0;
	for (at = out->text; (at = strstr(at, " << ")) != NULL;) {
		*at = '\0';
		at += 4;
		cr_assert(out->count < VALUES_MAX);
		out->values[out->count++] = at;
	}
}

/* --- messages --- */

/* All as text: no formats, the values, and the result's format or formats. */
static void add_values(struct body *b, const struct words *w)
{
	body_u16(b, 0);
	body_u16(b, w->count);
	for (size_t i = 0; i < w->count; i++) {
		if (strcmp(w->values[i], "\\N") == 0) {
			body_u32(b, UINT32_MAX);
			continue;
		}
		body_u32(b, strlen(w->values[i]));
		body_add(b, w->values[i], strlen(w->values[i]));
	}
	body_u16(b, 0);
}

static void say_parse(struct actor *who, const char *text)
{
	const char *colon = strstr(text, ": ");

	cr_assert(colon != NULL, "no name: %s", text);
	script_parse(&who->said, rig_printf("%.*s", (int)(colon - text), text).s, colon + 2);
}

static void say_bind(struct actor *who, const char *name, const struct words *w)
{
	struct body b = { 0 };

	body_string(&b, "");
	body_string(&b, name);
	add_values(&b, w);
	script_put(&who->said, 'B', b.at, b.len);
	script_execute(&who->said, 0);
}

static void say_unnamed(struct actor *who, const struct words *w)
{
	script_parse(&who->said, "", w->text);
	say_bind(who, "", w);
}

static void say_call(struct actor *who, const struct words *w)
{
	struct rig_text oid = rig_admin_query(
		rig_printf("SELECT '%s'::regprocedure::oid::int", w->text).s);
	struct body b = { 0 };

	body_u32(&b, (size_t)atoi(oid.s));
	add_values(&b, w);
	script_put(&who->said, 'F', b.at, b.len);
}

/* Those without which no ReadyForQuery comes. */
static void end_message(struct actor *who, enum deed deed)
{
	if (deed == PARSING || deed == OPEN)
		return;
	if (deed == PARSE || deed == BIND || deed == CLOSE || deed == EXTENDED)
		script_sync(&who->said);
	who->owed++;
}

static void put_deed(struct actor *who, enum deed deed, const char *text)
{
	struct words w;

	split(text, &w);
	if (deed == QUERY || deed == ASK || deed == HOLD)
		script_query(&who->said, text);
	else if (deed == PARSE || deed == PARSING)
		say_parse(who, text);
	else if (deed == BIND)
		say_bind(who, w.text, &w);
	else if (deed == CLOSE)
		script_text(&who->said, 'C', rig_printf("S%s", text).s);
	else if (deed == EXTENDED || deed == OPEN)
		say_unnamed(who, &w);
	else if (deed == CALL)
		say_call(who, &w);
	else
		cr_assert_fail("deed %d", (int)deed);
	end_message(who, deed);
}

void actor_say(struct actor *who, enum deed deed, const char *text)
{
	struct frames to = { .ssl = who->ssl };

	cr_assert(who->ssl != NULL, "not there: %s", text);
	put_deed(who, deed, text);
	if (deed != HOLD && deed != PARSING && deed != OPEN)
		frames_send(&to, &who->said);
}

/* --- what comes back --- */

struct answer {
	struct rig_text text;
	bool rows; /* there were some since the last ReadyForQuery */
};

static void tell(struct answer *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct answer *a, const char *fmt, ...)
{
	size_t len = strlen(a->text.s);
	va_list args;

	va_start(args, fmt);
	vsnprintf(a->text.s + len, sizeof(a->text.s) - len, fmt, args);
	va_end(args);
}

static size_t take_u32(const uint8_t *at)
{
	uint32_t be;

	memcpy(&be, at, sizeof(be));
	return ntohl(be);
}

/* A value with its length before it; where the next one is. */
static const uint8_t *tell_value(struct answer *a, const uint8_t *at)
{
	size_t len = take_u32(at);

	if (len == UINT32_MAX) {
		tell(a, "(null)");
		return at + 4;
	}
	tell(a, "%.*s", (int)len, (const char *)at + 4);
	return at + 4 + len;
}

static void tell_row(struct answer *a, const uint8_t *body)
{
	int count = body[0] << 8 | body[1];
	const uint8_t *at = body + 2;

	if (a->rows)
		tell(a, "|");
	a->rows = true;
	for (int i = 0; i < count; i++) {
		if (i > 0)
			tell(a, ",");
		at = tell_value(a, at);
	}
}

static void tell_error(struct answer *a, const uint8_t *body, size_t n)
{
	const char *state = "", *message = "";

	for (size_t i = 0; i < n && body[i] != 0; i += strlen((const char *)body + i) + 1) {
		if (body[i] == 'C')
			state = (const char *)body + i + 1;
		else if (body[i] == 'M')
			message = (const char *)body + i + 1;
	}
	tell(a, "!%s %s", state, message);
}

static void learn(struct actor *who, const uint8_t *body)
{
	const char *name = (const char *)body, *value = name + strlen(name) + 1;
	int i = 0;

	while (i < who->told && strcmp(who->parameters[i].name, name) != 0)
		i++;
	if (i == who->told)
		who->told++;
	cr_assert(i < ACTOR_TOLD_MAX);
	snprintf(who->parameters[i].name, sizeof(who->parameters[i].name), "%s", name);
	snprintf(who->parameters[i].value, sizeof(who->parameters[i].value), "%s", value);
}

static void take_key(struct actor *who, const uint8_t *body, size_t n)
{
	cr_assert(n >= 8 && n - 4 <= sizeof(who->secret));
	who->pid = (uint32_t)take_u32(body);
	who->secret_len = n - 4;
	memcpy(who->secret, body + 4, who->secret_len);
}

void actor_cancel(const struct actor *who, const struct rig *rig)
{
	frames_cancel(rig, who->pid, who->secret, who->secret_len);
}

static void take_message(struct actor *who, struct answer *a, char type, const uint8_t *body,
                         size_t n)
{
	if (type == 'D')
		tell_row(a, body);
	else if (type == 'V')
		tell_value(a, body);
	else if (type == 'E')
		tell_error(a, body, n);
	else if (type == 'A')
		tell(a, "*%s", (const char *)body + 4);
	else if (type == 'S')
		learn(who, body);
	else if (type == 'K')
		take_key(who, body, n);
	if (type != 'Z')
		return;
	who->transaction = (char)body[0];
	a->rows = false;
	if (--who->owed > 0)
		tell(a, ";");
}

struct rig_text actor_hear(struct actor *who)
{
	static uint8_t body[BODY_MAX];
	struct answer a = { 0 };
	size_t n;
	char type;

	while (who->owed > 0) {
		type = rig_tls_message(who->ssl, body, sizeof(body) - 1, &n, RIG_PATIENCE_MS);
		if (type == 0) {
			tell(&a, rig_tls_alert(who->ssl, 0) == -2 ? "(silence)" : "(end)");
			who->owed = 0;
			actor_drop(who);
			break;
		}
		body[n < sizeof(body) ? n : sizeof(body) - 1] = 0;
		take_message(who, &a, type, body, n);
	}
	return a.text;
}

static struct rig_text ask_again(struct actor *who, const char *text)
{
	struct rig_text first, next;

	actor_say(who, QUERY, text);
	first = actor_hear(who);
	for (int i = 0; i < 2 && who->ssl != NULL; i++) {
		actor_say(who, QUERY, text);
		next = actor_hear(who);
		if (strcmp(first.s, next.s) != 0)
			return rig_printf("%.1000s, then %.1000s", first.s, next.s);
	}
	return first;
}

struct rig_text actor_do(struct actor *who, enum deed deed, const char *text)
{
	struct rig_text nothing = { "" };

	if (deed == LEAVE) {
		actor_leave(who);
		return nothing;
	}
	if (deed == ADMIN) {
		PGconn *admin = rig_admin_connect(who->database);

		rig_exec(admin, text);
		PQfinish(admin);
		return nothing;
	}
	if (deed == ASK)
		return ask_again(who, text);
	actor_say(who, deed, text);
	return who->said.len > 0 ? nothing : actor_hear(who);
}

struct rig_text actor_query(struct actor *who, const char *sql)
{
	struct rig_text answer = actor_do(who, QUERY, sql);

	cr_assert(strchr(answer.s, '!') == NULL && who->ssl != NULL, "%s: %s", sql, answer.s);
	return answer;
}

/* --- sessions --- */

struct rig_text actor_join(struct actor *who, const struct rig *rig, const char *cert,
                           const char *database, const char *params)
{
	const char *pairs[2 * VALUES_MAX + 5] = { "user", "alice", "database", database };
	struct rig_tls how = { .cert = cert };
	uint8_t packet[4096];
	char text[2048];
	size_t n = 4;

	memset(who, 0, sizeof(*who));
	snprintf(text, sizeof(text), "%s", params);
	for (char *save, *at = strtok_r(text, ";", &save); at != NULL;
	     at = strtok_r(NULL, ";", &save)) {
		cr_assert(n < 2 * VALUES_MAX + 4 && strchr(at, '=') != NULL, "%s", params);
		pairs[n++] = at;
		pairs[n++] = strchr(at, '=') + 1;
		*strchr(at, '=') = '\0';
	}
	snprintf(who->database, sizeof(who->database), "%s", database);
	who->ssl = rig_tls_connect(rig, &how, NULL);
	cr_assert(who->ssl != NULL, "no TLS for %s", cert);
	rig_tls_send(who->ssl, packet, rig_startup(packet, sizeof(packet), FRAMES_3_0, pairs));
	who->owed = 1;
	return actor_hear(who);
}

void actor_enter(struct actor *who, const struct rig *rig, const char *cert, const char *database,
                 const char *params)
{
	struct rig_text answer = actor_join(who, rig, cert, database, params);

	cr_assert_str_empty(answer.s, "%s", answer.s);
}

void actor_leave(struct actor *who)
{
	if (who->ssl == NULL)
		return;
	/* its server may have ended it before */
	signal(SIGPIPE, SIG_IGN);
	(void)SSL_write(who->ssl, "X\0\0\0\4", 5);
	actor_drop(who);
}

void actor_drop(struct actor *who)
{
	rig_tls_free(who->ssl);
	who->ssl = NULL;
}

/* --- what it was told --- */

struct rig_text actor_misled(struct actor *who)
{
	struct rig_text told = { "" }, sql = { "SELECT " }, seen;

	for (int i = 0; i < who->told; i++) {
		told = rig_printf("%s%s%s", told.s, i > 0 ? "," : "", who->parameters[i].value);
		sql = rig_printf("%s%scurrent_setting('%s')", sql.s, i > 0 ? "," : "",
		                 who->parameters[i].name);
	}
	seen = actor_do(who, QUERY, sql.s);
	if (strcmp(told.s, seen.s) == 0)
		return (struct rig_text){ "" };
	return rig_printf("told %.1500s, and SHOW says %.1500s", told.s, seen.s);
}
