/* Big messages and slow readers: everything arrives, and pgseal's memory does not grow with it. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/frames.h"
#include "tests/integration/rig_priv.h"

#define MB (1024 * 1024)
#define GROWTH_MAX (16 * MB) /* of pgseal's memory, whatever streams through it */

TestSuite(flow, .timeout = 180);

static struct rig *rig;
static struct script say;

/* One server in the pool, or more. */
static void start(const char *database, int servers)
{
	crowd_database(database);
	rig = rig_start("workers = 1\n",
	                crowd_entry(database, rig_printf("pool_size=%d", servers).s).s, NULL);
}

static PGconn *join(const char *database)
{
	return rig_connect(rig, rig_printf("dbname=%s", database).s);
}

/* Before pgseal is started: AddressSanitizer is not to hold back what was freed. */
static void memory_is_told_exactly(void)
{
	const char *options = getenv("ASAN_OPTIONS");

	setenv("ASAN_OPTIONS",
	       rig_printf("%s:quarantine_size_mb=1:thread_local_quarantine_size_kb=64",
	                  options != NULL ? options : "")
	               .s,
	       1);
}

static long memory_peak(void)
{
	FILE *f = fopen(rig_printf("/proc/%d/status", (int)rig_pid(rig)).s, "r");
	char line[256];
	long kb = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmHWM: %ld", &kb) == 1)
			break;
	if (f != NULL)
		fclose(f);
	cr_assert_gt(kb, 0);
	return kb * 1024;
}

/* Take one message of any size; its type. */
static char take_big(struct frames *f, size_t *n)
{
	static uint8_t chunk[65536];
	uint8_t header[5];
	size_t left;

	cr_assert_eq(rig_tls_recv(f->ssl, header, 5, RIG_PATIENCE_MS), 5);
	left = ((size_t)header[1] << 24 | (size_t)header[2] << 16 | (size_t)header[3] << 8 |
	        header[4]) -
	       4;
	*n = left;
	while (left > 0) {
		size_t want = left < sizeof(chunk) ? left : sizeof(chunk);

		cr_assert_eq(rig_tls_recv(f->ssl, chunk, want, RIG_PATIENCE_MS), want);
		left -= want;
	}
	return (char)header[0];
}

Test(flow, answers_of_every_size_around_the_buffers_arrive_whole)
{
	static const int sizes[] = { 4096, 8192, 16384, 32768, 65536, 81920, 131072 };
	struct frames f;
	size_t n;

	start("r_sizes", 1);
	frames_login(&f, rig, "alice", "r_sizes");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int off = -50; off <= 20; off++) {
			script_query(&say, rig_printf("SELECT repeat('x', %d)", sizes[i] + off).s);
			script_query(&say, rig_printf("SELECT repeat('x', %d)", sizes[i] + off).s);
			frames_send(&f, &say);
			for (int ready = 0; ready < 2;)
				ready += take_big(&f, &n) == 'Z';
		}
	}
	frames_drop(&f);
	rig_stop(rig);
}

Test(flow, row_of_300_megabytes_flows_through)
{
	const size_t size = 300u * 1000 * 1000;
	struct frames f;
	long before;
	size_t n = 0;

	memory_is_told_exactly();
	start("r_row", 1);
	frames_login(&f, rig, "alice", "r_row");
	script_query(&say, "SELECT 1");
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TDCZ");
	before = memory_peak();
	/* byte by byte PostgreSQL would take its time to make it */
	script_query(&say, rig_printf("SELECT repeat(repeat('x', 1000), %zu)", size / 1000).s);
	frames_send(&f, &say);
	cr_assert_eq(take_big(&f, &n), 'T');
	cr_assert_eq(take_big(&f, &n), 'D');
	cr_assert_eq(n, size + 6);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "CZ");
	cr_assert_lt(memory_peak() - before, GROWTH_MAX);
	frames_drop(&f);
	rig_stop(rig);
}

Test(flow, query_of_100_megabytes_flows_through)
{
	static char chunk[1000 * 1000];
	uint8_t header[5] = { 'Q' };
	uint32_t size = 4 + 15 + 100 * sizeof(chunk) + 3;
	struct frames f;
	long before;

	memory_is_told_exactly();
	start("r_query", 1);
	frames_login(&f, rig, "alice", "r_query");
	before = memory_peak();
	memset(chunk, 'x', sizeof(chunk));
	for (int i = 0; i < 4; i++)
		header[1 + i] = (uint8_t)(size >> (24 - 8 * i));
	rig_tls_send(f.ssl, header, sizeof(header));
	rig_tls_send(f.ssl, "SELECT length('", 15);
	for (int i = 0; i < 100; i++)
		rig_tls_send(f.ssl, chunk, sizeof(chunk));
	rig_tls_send(f.ssl, "')", 3);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "TDCZ");
	cr_assert_lt(memory_peak() - before, GROWTH_MAX);
	frames_drop(&f);
	rig_stop(rig);
}

#define ROW (100u * 1000 * 1000)

/* One message of COPY, of which nobody knows what is in it: here a row, and its end. */
static void send_row(struct frames *f)
{
	static char chunk[1000 * 1000];
	uint8_t header[5] = { 'd' };

	memset(chunk, 'x', sizeof(chunk));
	for (int i = 0; i < 4; i++)
		header[1 + i] = (uint8_t)((4 + ROW + 1) >> (24 - 8 * i));
	rig_tls_send(f->ssl, header, sizeof(header));
	for (size_t sent = 0; sent < ROW; sent += sizeof(chunk))
		rig_tls_send(f->ssl, chunk, sizeof(chunk));
	rig_tls_send(f->ssl, "\n", 1);
}

Test(flow, row_of_100_megabytes_is_copied_in_and_out)
{
	struct frames f;
	long before;
	size_t n = 0;

	memory_is_told_exactly();
	start("r_copy", 1);
	frames_login(&f, rig, "alice", "r_copy");
	script_query(&say, "CREATE TABLE t (line text)");
	script_query(&say, rig_printf("COPY t FROM STDIN WHERE length(line) = %u", ROW).s);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'G', 1).s, "CZG");
	before = memory_peak();
	send_row(&f);
	script_put(&say, 'c', NULL, 0);
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "CZ");
	cr_assert_str_eq(f.tag, "COPY 1");
	script_query(&say, "COPY t TO STDOUT");
	frames_send(&f, &say);
	cr_assert_eq(take_big(&f, &n), 'H');
	cr_assert_eq(take_big(&f, &n), 'd');
	cr_assert_eq(n, ROW + 1);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "cCZ");
	cr_assert_lt(memory_peak() - before, GROWTH_MAX);
	frames_drop(&f);
	rig_stop(rig);
}

Test(flow, client_that_does_not_read_costs_no_memory_and_nobody_else)
{
	struct frames f;
	PGconn *other;
	long before;
	size_t n, rows = 0;
	char type;

	memory_is_told_exactly();
	start("r_slow", 2);
	frames_login(&f, rig, "alice", "r_slow");
	other = join("r_slow");
	rig_exec(other, "SELECT 1");
	before = memory_peak();
	script_query(&say, "SELECT repeat('x', 1000) FROM generate_series(1, 100000)");
	frames_send(&f, &say);
	cr_assert(
		rig_admin_wait("SELECT count(*) FROM pg_stat_activity WHERE datname = 'r_slow' AND "
	                       "wait_event = 'ClientWrite'",
	                       "1", RIG_PATIENCE_MS));
	for (int i = 0; i < 200; i++)
		cr_assert_str_eq(rig_query(other, "SELECT 'other'").s, "other");
	cr_assert_lt(memory_peak() - before, GROWTH_MAX);
	while ((type = take_big(&f, &n)) != 'Z')
		rows += type == 'D';
	cr_assert_eq(rows, 100000);
	cr_assert_lt(memory_peak() - before, GROWTH_MAX);
	PQfinish(other);
	frames_drop(&f);
	rig_stop(rig);
}

/* Write as much as goes without waiting; how much of it is left. */
static size_t write_some(SSL *ssl, const uint8_t **at, size_t left)
{
	size_t sent;

	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
	while (left > 0 && SSL_write_ex(ssl, *at, left, &sent) == 1) {
		*at += sent;
		left -= sent;
	}
	return left;
}

static size_t read_some(SSL *ssl)
{
	static uint8_t chunk[65536];
	size_t got, all = 0;

	while (all < 4 * MB && SSL_read_ex(ssl, chunk, sizeof(chunk), &got) == 1)
		all += got;
	return all;
}

static bool writable(SSL *ssl, int wait_ms)
{
	struct pollfd p = { .fd = SSL_get_fd(ssl), .events = POLLOUT };

	return poll(&p, 1, wait_ms) > 0;
}

#define EACH 100000 /* bytes of a question, and of its answer */
#define COUNT 400
#define ANSWER (32 + 11 + EACH + 14 + 6) /* T D C Z */

/* Big questions with big answers. */
static uint8_t *make_questions(size_t *len)
{
	uint8_t *all = malloc((size_t)COUNT * (EACH + 200));
	char head[128];
	size_t n = (size_t)snprintf(head, sizeof(head), "SELECT repeat('y', %d) AS repeat --",
	                            EACH);
	size_t size = n + EACH + 1 + 4;

	cr_assert(all != NULL);
	*len = 0;
	for (int i = 0; i < COUNT; i++) {
		uint8_t *to = all + *len;

		to[0] = 'Q';
		for (int k = 0; k < 4; k++)
			to[1 + k] = (uint8_t)(size >> (24 - 8 * k));
		memcpy(to + 5, head, n);
		memset(to + 5 + n, 'x', EACH);
		to[5 + n + EACH] = 0;
		*len += 1 + size;
	}
	return all;
}

/* Go on asking and listen as well, to the end; bytes heard. */
static size_t ask_and_listen(SSL *ssl, const uint8_t *at, size_t left)
{
	int64_t deadline = rig_now_ms() + 3 * RIG_PATIENCE_MS;
	size_t got = 0;

	while (got < (size_t)COUNT * ANSWER && rig_left_ms(deadline) > 0) {
		struct pollfd p = { .fd = SSL_get_fd(ssl),
			            .events = (short)(POLLIN | (left > 0 ? POLLOUT : 0)) };

		poll(&p, 1, 100);
		got += read_some(ssl);
		left = write_some(ssl, &at, left);
	}
	return got;
}

/* The client insists on asking everything first. */
Test(flow, both_ends_writing_at_once_do_not_block_for_ever)
{
	size_t left;
	uint8_t *all = make_questions(&left);
	const uint8_t *at = all;
	struct frames f;
	PGconn *other;
	long before;

	memory_is_told_exactly();
	start("r_both", 2);
	frames_login(&f, rig, "alice", "r_both");
	other = join("r_both");
	rig_exec(other, "SELECT 1");
	before = memory_peak();
	while ((left = write_some(f.ssl, &at, left)) > 0 && writable(f.ssl, 500))
		;
	cr_assert_gt(left, 0, "nothing held the client back");
	cr_assert_str_eq(rig_query(other, "SELECT 'other'").s, "other");
	cr_assert_lt(memory_peak() - before, GROWTH_MAX);
	cr_assert_eq(ask_and_listen(f.ssl, at, left), (size_t)COUNT * ANSWER);
	cr_assert_lt(memory_peak() - before, GROWTH_MAX);
	free(all);
	PQfinish(other);
	frames_drop(&f);
	rig_stop(rig);
}
