/* A server's last words: its client hears them once, however they arrive. The server is an
 * impostor, because PostgreSQL sends its messages whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/impostor.h"
#include "tests/integration/rig_priv.h"

#define PAUSE_US 30000 /* so that pgseal reads what came so far */
#define PIECES_MAX 4

TestSuite(fatal, .timeout = 60);

/* What the impostor says to the query "go" before it hangs up. */
struct last_words {
	size_t at[PIECES_MAX]; /* a pause behind so many bytes; 0: no more of these */
	size_t len;            /* nothing behind so many bytes is sent; 0: all of them */
	const char *heard;     /* what the client hears, as of frames_until */
	const char *sqlstate;
};

static struct impostor impostor;
static struct script words;
static struct rig *rig;

/* --- the impostor: in its thread no assertion may be made --- */

static void speak_and_hang_up(SSL *ssl, const struct last_words *how)
{
	size_t pos = 0, sent, end = how->len > 0 ? how->len : words.len;

	for (size_t i = 0; i < PIECES_MAX && how->at[i] > 0; i++) {
		SSL_write_ex(ssl, words.at + pos, how->at[i] - pos, &sent);
		pos = how->at[i];
		usleep(PAUSE_US);
	}
	if (end > pos)
		SSL_write_ex(ssl, words.at + pos, end - pos, &sent);
}

static void converse(SSL *ssl, const struct last_words *how)
{
	static struct script say;
	char body[4096];
	char type;

	if (impostor_hear(ssl, true, body, sizeof(body)) == 0)
		return;
	impostor_put_welcome(&say);
	impostor_tell(ssl, &say);
	while ((type = impostor_hear(ssl, false, body, sizeof(body))) == 'Q' &&
	       strcmp(body, "go") != 0) {
		script_text(&say, 'C', "SELECT 0"); /* of the pooler's own */
		script_put(&say, 'Z', "I", 1);
		impostor_tell(ssl, &say);
	}
	if (type == 'Q')
		speak_and_hang_up(ssl, how);
}

static void receive(struct impostor *im, int fd)
{
	SSL *ssl = impostor_secure(im, fd);

	if (ssl != NULL)
		converse(ssl, im->arg);
	SSL_free(ssl);
}

/* --- the tests --- */

/* A new client asks, each time, and hears what it should. */
static void for_each(const struct last_words *cases, size_t count)
{
	static struct script say;
	struct frames f;

	rig_require();
	impostor_start(&impostor, NULL, receive, NULL);
	rig = rig_start("workers = 1\n",
	                rig_printf("app = host=127.0.0.1 port=%d pool_size=1\n", impostor.port).s,
	                NULL);
	for (size_t i = 0; i < count; i++) {
		impostor.arg = &cases[i];
		frames_login(&f, rig, "alice", "app");
		script_query(&say, "go");
		frames_send(&f, &say);
		cr_assert_str_eq(frames_until(&f, 'Z', 1).s, cases[i].heard, "case %zu", i);
		cr_assert_str_eq(f.sqlstate, cases[i].sqlstate, "case %zu: %s", i, f.message);
		frames_drop(&f);
	}
	rig_stop(rig);
	impostor_stop(&impostor);
}
#define FOR_EACH(cases) for_each(cases, sizeof(cases) / sizeof(cases)[0])

Test(fatal, words_are_heard_once_wherever_they_are_cut_in_pieces)
{
	static const struct last_words cases[] = {
		{ .heard = "E!", .sqlstate = "57P01" },
		{ .at = { 1 }, .heard = "E!", .sqlstate = "57P01" },
		{ .at = { 4 }, .heard = "E!", .sqlstate = "57P01" },
		{ .at = { 5 }, .heard = "E!", .sqlstate = "57P01" },
		{ .at = { 8 }, .heard = "E!", .sqlstate = "57P01" },
		{ .at = { 3, 6, 20, 40 }, .heard = "E!", .sqlstate = "57P01" },
	};

	impostor_put_fatal(&words, "57P01", "the impostor hangs up");
	FOR_EACH(cases);
}

Test(fatal, words_that_end_in_the_middle_are_replaced_by_one_whole_error)
{
	static const struct last_words cases[] = {
		{ .len = 1, .heard = "E!", .sqlstate = "08006" },
		{ .len = 5, .heard = "E!", .sqlstate = "08006" },
		{ .len = 20, .heard = "E!", .sqlstate = "08006" },
		{ .at = { 3, 6 }, .len = 20, .heard = "E!", .sqlstate = "08006" },
	};

	impostor_put_fatal(&words, "57P01", "the impostor hangs up");
	FOR_EACH(cases);
}

/* RowDescription without columns (7 bytes), DataRow without any (7), then the end. */
Test(fatal, words_in_mid_result_are_heard_once)
{
	static const struct last_words cases[] = {
		{ .heard = "TDE!", .sqlstate = "57P01" },
		{ .at = { 7 }, .heard = "TDE!", .sqlstate = "57P01" },
		{ .at = { 14 }, .heard = "TDE!", .sqlstate = "57P01" },
		{ .at = { 10, 16, 20 }, .heard = "TDE!", .sqlstate = "57P01" },
		{ .len = 14, .heard = "TDE!", .sqlstate = "08006" },
		{ .len = 16, .heard = "TDE!", .sqlstate = "08006" },
	};

	script_put(&words, 'T', "\0\0", 2);
	script_put(&words, 'D', "\0\0", 2);
	impostor_put_fatal(&words, "57P01", "the impostor hangs up");
	FOR_EACH(cases);
}

/* A row that was begun can be ended by nothing: an error behind it would be taken for part of it. */
Test(fatal, half_a_row_is_followed_by_nothing)
{
	static const struct last_words cases[] = {
		{ .len = 7 + 5 + 6 + 100, .heard = "T!", .sqlstate = "" },
		{ .at = { 7, 20 }, .len = 7 + 5 + 6 + 100, .heard = "T!", .sqlstate = "" },
	};
	static char row[2 + 4 + 10000] = { 0, 1, 0, 0, 0x27, 0x10 };

	script_put(&words, 'T', "\0\0", 2);
	script_put(&words, 'D', row, sizeof(row));
	impostor_put_fatal(&words, "57P01", "the impostor hangs up");
	FOR_EACH(cases);
}
