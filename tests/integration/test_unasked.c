/* What servers say without being asked: parameters that changed, notices, notifications. It comes at any
 * moment, and the server is an impostor, which chooses the moments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/impostor.h"
#include "tests/integration/rig_priv.h"

TestSuite(unasked, .timeout = 60);

#define HOME "UTC"
#define ELSEWHERE "Asia/Tokyo"
#define RELOADS (2 * ZONES)
#define ZONES 3   /* one after the other by each of them, */
#define TURNS 2   /* and all but the server's own by each transaction, the second one first */

static const char *const zones[ZONES] = { ELSEWHERE, "Europe/Berlin", HOME };

static struct impostor impostor;
static struct rig *rig;
static _Atomic bool dribbles;      /* every byte by itself */
static _Atomic bool speak, spoken; /* what is left to say, once the test says so */
static _Atomic int restored;       /* statements of the pooler's own about the time zone */
static _Atomic int rolled_back;    /* and such to end a transaction */

/* --- the impostor: in its thread no assertion may be made --- */

/* As PostgreSQL would have it: the session's, and what a reset leads to. */
static char zone[64], usual[64];
static int reloads, turns;

static void tell(SSL *ssl, struct script *say)
{
	size_t sent;

	for (size_t i = 0; dribbles && i < say->len; i++)
		SSL_write_ex(ssl, say->at + i, 1, &sent);
	if (dribbles)
		say->len = 0;
	else
		impostor_tell(ssl, say);
}

static void put_zone(struct script *say, const char *value)
{
	snprintf(zone, sizeof(zone), "%s", value);
	impostor_put_parameter(say, "TimeZone", value);
}

static void put_notice(struct script *say)
{
	static const char notice[] = "SNOTICE\0VNOTICE\0C00000\0Mhear this\0";

	script_put(say, 'N', notice, sizeof(notice));
}

static void put_notification(struct script *say)
{
	static const char notification[] = "\0\0\0\1news\0nothing";

	script_put(say, 'A', notification, sizeof(notification));
}

static void put_unasked(struct script *say, const char *value)
{
	put_zone(say, value);
	put_notice(say);
	put_notification(say);
}

/* The server's configuration has changed. */
static void put_reload(struct script *say)
{
	snprintf(usual, sizeof(usual), "%s", zones[reloads++ % ZONES]);
	put_unasked(say, usual);
}

static void put_end(struct script *say, const char *tag, const char *status)
{
	script_text(say, 'C', tag);
	script_put(say, 'Z', status, 1);
}

static void put_rows(struct script *say)
{
	script_put(say, 'T', "\0\0", 2);
	put_notice(say);
	script_put(say, 'D', "\0\0", 2);
	put_zone(say, ELSEWHERE);
	script_put(say, 'D', "\0\0", 2);
	put_notification(say);
	script_text(say, 'C', "SELECT 2");
	put_notice(say);
	script_put(say, 'Z', "I", 1);
}

static void put_copy(struct script *say)
{
	script_put(say, 'H', "\0\0\0", 3);
	for (int i = 0; i < 3; i++)
		script_put(say, 'd', "one row\n", 8);
	put_zone(say, ELSEWHERE);
	script_put(say, 'd', "\\.\n", 3);
	script_put(say, 'c', NULL, 0);
	put_end(say, "COPY 4", "I");
}

/* The pooler's own: it is carried out, and commented upon. */
static void put_effects(struct script *say, const char *query)
{
	const char *at = strstr(query, "TimeZone'");
	char value[64] = "";

	put_notice(say);
	if (at != NULL)
		sscanf(at, "TimeZone'%*[^']'%60[^']", value);
	else if (strcmp(query, "RESET ALL") == 0 || strcmp(query, "DISCARD ALL") == 0)
		strcpy(value, usual);
	if (value[0] != '\0' && strcmp(value, zone) != 0) {
		put_zone(say, value);
		restored++;
	}
	put_notification(say);
	rolled_back += strncmp(query, "ROLLBACK", 8) == 0;
}

static size_t add_column(char *row, size_t at, const char *text)
{
	size_t n = strlen(text);

	row[at] = row[at + 1] = row[at + 2] = '\0';
	row[at + 3] = (char)n;
	memcpy(row + at + 4, text, n);
	return at + 4 + n;
}

/* Whose the time zone is, if the pooler asks for that. */
static void put_source(struct script *say, const char *query)
{
	char row[300] = { 0, 4 }, hex[2 * sizeof(zone) + 1];
	size_t at = 2;

	if (strstr(query, "getdatabaseencoding") == NULL || strstr(query, "E'timezone'") == NULL)
		return;
	for (size_t i = 0; i <= strlen(zone); i++)
		sprintf(hex + 2 * i, "%02x", (unsigned char)zone[i]);
	hex[2 * strlen(zone)] = '\0';
	at = add_column(row, at, "set");
	at = add_column(row, at, "timezone");
	at = add_column(row, at, hex);
	at = add_column(row, at, strcmp(zone, usual) == 0 ? "configuration file" : "session");
	script_put(say, 'D', row, at);
}

/* After an answer, when the client has it. */
static void speak_when_told(SSL *ssl, struct script *say, bool inside)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	while (!speak && rig_now_ms() < deadline)
		rig_nap();
	if (inside)
		put_unasked(say, zones[++turns % TURNS]);
	else
		put_reload(say);
	tell(ssl, say);
	spoken = true;
}

static void put_answer(struct script *say, const char *query)
{
	if (strcmp(query, "rows") == 0) {
		put_rows(say);
	} else if (strcmp(query, "copy") == 0) {
		put_copy(say);
	} else if (strcmp(query, "show") == 0) {
		put_end(say, zone, "I");
	} else if (strcmp(query, "begin") == 0 || strcmp(query, "speak in a transaction") == 0) {
		put_end(say, "BEGIN", "T");
	} else if (strcmp(query, "speak") == 0 || strcmp(query, "at once") == 0) {
		put_end(say, "OK", "I");
	} else {
		put_effects(say, query);
		put_source(say, query);
		put_end(say, "SELECT 1", "I");
	}
}

static void answer(SSL *ssl, const char *query, struct script *say)
{
	put_answer(say, query);
	if (strcmp(query, "at once") == 0)
		put_reload(say);
	tell(ssl, say);
	if (strncmp(query, "speak", 5) == 0)
		speak_when_told(ssl, say, strcmp(query, "speak") != 0);
}

static void converse(SSL *ssl, struct script *say)
{
	struct impostor_batch batch = { .status = 'I' };
	char body[4096], type;

	if (impostor_hear(ssl, true, body, sizeof(body)) == 0)
		return;
	impostor_put_welcome(say);
	impostor_tell(ssl, say);
	while ((type = impostor_hear(ssl, false, body, sizeof(body))) != 0 && type != 'X') {
		if (type == 'E')
			put_effects(say, batch.text);
		if (type == 'Q')
			answer(ssl, body, say);
		else if (impostor_put_answer(say, &batch, type, body))
			tell(ssl, say);
	}
}

static void receive(struct impostor *im, int fd)
{
	SSL *ssl = impostor_secure(im, fd);
	struct script *say = calloc(1, sizeof(*say));

	snprintf(zone, sizeof(zone), HOME);
	snprintf(usual, sizeof(usual), HOME);
	if (ssl != NULL)
		converse(ssl, say);
	free(say);
	SSL_free(ssl);
}

/* --- the clients --- */

struct client {
	struct frames f;
	char zone[64]; /* as it was told */
};

static struct client a, b;
static struct script say;

static void start(void)
{
	struct client *clients[] = { &a, &b };

	rig_require();
	impostor_start(&impostor, NULL, receive, NULL);
	rig = rig_start("workers = 1\n",
	                rig_printf("app = host=127.0.0.1 port=%d pool_size=1\n", impostor.port).s,
	                NULL);
	for (size_t i = 0; i < 2; i++) {
		frames_login(&clients[i]->f, rig, "alice", "app");
		snprintf(clients[i]->zone, sizeof(clients[i]->zone), HOME);
	}
}

static void stop(void)
{
	frames_drop(&a.f);
	frames_drop(&b.f);
	rig_stop(rig);
	impostor_stop(&impostor);
	cr_assert_eq(impostor.connections, 1, "the server was given up");
}

/* Types of all messages up to the first one of that type; what they tell is noted. */
static struct rig_text hear(struct client *c, char last)
{
	struct rig_text got = { "" };
	char body[4096];
	size_t n, len = 0;

	do {
		got.s[len] = rig_tls_message(c->f.ssl, (uint8_t *)body, sizeof(body) - 1, &n,
		                             RIG_PATIENCE_MS);
		body[n < sizeof(body) ? n : sizeof(body) - 1] = '\0';
		if (got.s[len] == 'S' && strcmp(body, "TimeZone") == 0)
			snprintf(c->zone, sizeof(c->zone), "%.60s", body + sizeof("TimeZone"));
		else if (got.s[len] == 'C')
			snprintf(c->f.tag, sizeof(c->f.tag), "%.60s", body);
	} while (got.s[len] != '\0' && got.s[len] != last && ++len < sizeof(got.s) - 1);
	return got;
}

static void hears(struct client *c, const char *want)
{
	cr_assert_str_eq(hear(c, want[strlen(want) - 1]).s, want);
}

static void asks(struct client *c, const char *query, const char *answers)
{
	script_query(&say, query);
	frames_send(&c->f, &say);
	hears(c, answers);
}

/* What it was told is so, and it is told nothing else. */
static void all_is_well(struct client *c)
{
	asks(c, "show", "CZ");
	cr_assert_str_eq(c->f.tag, c->zone);
}

static void let_it_speak(void)
{
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	speak = true;
	while (!spoken && rig_now_ms() < deadline)
		rig_nap();
	cr_assert(spoken);
	speak = spoken = false;
}

/* --- the tests --- */

/* What its parameters are now is told to each client, as by PostgreSQL, before the client hears that
 * it may go on. */
Test(unasked, words_of_an_idle_server_reach_nobody_but_its_parameters)
{
	start();
	for (int i = 0; i < RELOADS; i++) {
		asks(&a, "speak", "CZ");
		cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "sv_idle", "1",
		                           RIG_PATIENCE_MS));
		let_it_speak();
		asks(&b, "show", "CSZ");
		cr_assert_str_eq(b.zone, zones[i % ZONES]);
		all_is_well(&b);
		asks(&a, "show", "CSZ");
		cr_assert_str_eq(a.zone, zones[i % ZONES]);
		all_is_well(&a);
	}
	cr_assert_eq(restored, 0, "no client has set anything");
	stop();
}

/* The session may have them as they are or not, but nobody else; and it is told the truth. */
Test(unasked, words_right_behind_the_end_of_an_answer)
{
	struct rig_text heard;

	start();
	for (int i = 0; i < RELOADS; i++) {
		asks(&a, "at once", "CZ");
		asks(&b, "show", "CSZ");
		cr_assert_str_eq(b.zone, zones[i % ZONES]);
		all_is_well(&b);
		script_query(&say, "show");
		frames_send(&a.f, &say);
		heard = hear(&a, 'Z');
		cr_assert(strcmp(heard.s, "CSZ") == 0 || strcmp(heard.s, "SNACZ") == 0, "%s",
		          heard.s);
		cr_assert_str_eq(a.zone, zones[i % ZONES]);
		all_is_well(&a);
	}
	stop();
}

Test(unasked, words_inside_a_transaction_are_its_clients)
{
	start();
	for (int i = 0; i < 2 * TURNS; i++) {
		asks(&a, "speak in a transaction", "CZ");
		let_it_speak();
		hears(&a, "SNA");
		cr_assert_str_eq(a.zone, zones[(i + 1) % TURNS]);
		all_is_well(&a); /* and it commits */
		all_is_well(&b);
		cr_assert_str_eq(b.zone, HOME);
		all_is_well(&a);
		cr_assert_str_eq(a.zone, zones[(i + 1) % TURNS]);
		cr_assert_eq(restored, 2 * (i + 1), "one has its time zone by chance");
	}
	stop();
}

Test(unasked, words_while_it_is_cleaned_up_behind_a_client)
{
	start();
	for (int i = 0; i < 3; i++) {
		asks(&a, "begin", "CZ");
		frames_drop(&a.f);
		all_is_well(&b);
		cr_assert_eq(rolled_back, i + 1);
		frames_login(&a.f, rig, "alice", "app");
		all_is_well(&a);
	}
	stop();
}

static void in_the_middle(void)
{
	asks(&a, "rows", "TNDSDACNZ");
	cr_assert_str_eq(a.zone, ELSEWHERE);
	all_is_well(&b);
	all_is_well(&a);
	asks(&b, "copy", "HdddSdcCZ");
	cr_assert_str_eq(b.zone, ELSEWHERE);
	all_is_well(&a);
	all_is_well(&b);
}

Test(unasked, words_in_the_middle_of_an_answer)
{
	start();
	in_the_middle();
	cr_assert_geq(restored, 1);
	stop();
}

Test(unasked, words_and_answers_that_come_byte_by_byte)
{
	start();
	dribbles = true;
	in_the_middle();
	asks(&a, "speak in a transaction", "CZ");
	let_it_speak();
	hears(&a, "SNA");
	all_is_well(&a);
	all_is_well(&b);
	stop();
}
