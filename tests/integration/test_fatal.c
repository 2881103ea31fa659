/* A server's last words: its client hears them once, however they arrive. The server is an
 * impostor, because PostgreSQL sends its messages whole. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/frames.h"
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

struct impostor {
	int fd, port;
	SSL_CTX *ctx;
	pthread_t thread;
	struct script words;
	const struct last_words *how;
};

static struct impostor impostor;
static struct rig *rig;

/* --- the impostor: in its thread no assertion may be made --- */

static bool read_all(SSL *ssl, void *to, size_t n)
{
	char *at = to;
	size_t got;

	for (; n > 0; n -= got, at += got)
		if (SSL_read_ex(ssl, at, n, &got) != 1)
			return false;
	return true;
}

/* A message's body, at most cap - 1 bytes, as text. has_type: all but the first have one. Returns
 * the type; 0 at the end. */
static char hear(SSL *ssl, bool has_type, char *body, size_t cap)
{
	char type = 'p';
	uint32_t size;

	if ((has_type && !read_all(ssl, &type, 1)) || !read_all(ssl, &size, sizeof(size)))
		return 0;
	size = ntohl(size) - (uint32_t)sizeof(size);
	if (size >= cap || !read_all(ssl, body, size))
		return 0;
	body[size] = '\0';
	return type;
}

static void tell(SSL *ssl, struct script *say)
{
	size_t sent;

	SSL_write_ex(ssl, say->at, say->len, &sent);
	say->len = 0;
}

static void welcome(SSL *ssl)
{
	static const char *const params[][2] = {
		{ "server_version", "15.0" },  { "client_encoding", "UTF8" },
		{ "DateStyle", "ISO, MDY" },   { "TimeZone", "UTC" },
		{ "integer_datetimes", "on" }, { "standard_conforming_strings", "on" },
		{ "application_name", "" },    { "IntervalStyle", "postgres" },
	};
	static struct script say;
	char body[100];

	script_put(&say, 'R', "\0\0\0\0", 4);
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		int n = snprintf(body, sizeof(body), "%s%c%s", params[i][0], '\0', params[i][1]);

		script_put(&say, 'S', body, (size_t)n + 1);
	}
	script_put(&say, 'K', "\0\0\1\2\0\0\0\3", 8);
	script_put(&say, 'Z', "I", 1);
	tell(ssl, &say);
}

static void speak_and_hang_up(SSL *ssl, const struct impostor *im)
{
	size_t pos = 0, sent, end = im->how->len > 0 ? im->how->len : im->words.len;

	for (size_t i = 0; i < PIECES_MAX && im->how->at[i] > 0; i++) {
		SSL_write_ex(ssl, im->words.at + pos, im->how->at[i] - pos, &sent);
		pos = im->how->at[i];
		usleep(PAUSE_US);
	}
	if (end > pos)
		SSL_write_ex(ssl, im->words.at + pos, end - pos, &sent);
}

static void converse(SSL *ssl, const struct impostor *im)
{
	static struct script say;
	char body[4096];
	char type;

	if (hear(ssl, false, body, sizeof(body)) == 0)
		return;
	welcome(ssl);
	while ((type = hear(ssl, true, body, sizeof(body))) == 'Q' && strcmp(body, "go") != 0) {
		script_text(&say, 'C', "SELECT 0"); /* of the pooler's own */
		script_put(&say, 'Z', "I", 1);
		tell(ssl, &say);
	}
	if (type == 'Q')
		speak_and_hang_up(ssl, im);
}

static void receive(int fd, const struct impostor *im)
{
	SSL *ssl = SSL_new(im->ctx);
	char request[8];
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	SSL_set_fd(ssl, fd);
	if (recv(fd, request, sizeof(request), MSG_WAITALL) == (ssize_t)sizeof(request) &&
	    send(fd, "S", 1, 0) == 1 && SSL_accept(ssl) == 1)
		converse(ssl, im);
	SSL_free(ssl);
	close(fd);
}

static void *run_impostor(void *arg)
{
	struct impostor *im = arg;
	int fd;

	while ((fd = accept(im->fd, NULL, NULL)) >= 0)
		receive(fd, im);
	return NULL;
}

static void impostor_start(struct impostor *im)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	signal(SIGPIPE, SIG_IGN);
	im->ctx = SSL_CTX_new(TLS_server_method());
	cr_assert(SSL_CTX_use_certificate_chain_file(
			  im->ctx, rig_printf("%s/server.crt", rig_pki()).s) == 1);
	cr_assert(SSL_CTX_use_PrivateKey_file(im->ctx, rig_printf("%s/server.key", rig_pki()).s,
	                                      SSL_FILETYPE_PEM) == 1);
	im->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert(bind(im->fd, (struct sockaddr *)&at, len) == 0 && listen(im->fd, 16) == 0 &&
	          getsockname(im->fd, (struct sockaddr *)&at, &len) == 0);
	im->port = ntohs(at.sin_port);
	cr_assert(pthread_create(&im->thread, NULL, run_impostor, im) == 0);
}

static void impostor_stop(struct impostor *im)
{
	shutdown(im->fd, SHUT_RDWR);
	pthread_join(im->thread, NULL);
	close(im->fd);
	SSL_CTX_free(im->ctx);
}

/* --- the tests --- */

static void put_fatal(struct script *s)
{
	static const char body[] = "SFATAL\0VFATAL\0C57P01\0Mthe impostor hangs up\0";

	script_put(s, 'E', body, sizeof(body));
}

/* A new client asks, each time, and hears what it should. */
static void for_each(const struct last_words *cases, size_t count)
{
	static struct script say;
	struct frames f;

	rig_require();
	impostor_start(&impostor);
	rig = rig_start("workers = 1\n",
	                rig_printf("app = host=127.0.0.1 port=%d pool_size=1\n", impostor.port).s,
	                NULL);
	for (size_t i = 0; i < count; i++) {
		impostor.how = &cases[i];
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

	put_fatal(&impostor.words);
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

	put_fatal(&impostor.words);
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

	script_put(&impostor.words, 'T', "\0\0", 2);
	script_put(&impostor.words, 'D', "\0\0", 2);
	put_fatal(&impostor.words);
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

	script_put(&impostor.words, 'T', "\0\0", 2);
	script_put(&impostor.words, 'D', row, sizeof(row));
	put_fatal(&impostor.words);
	FOR_EACH(cases);
}
