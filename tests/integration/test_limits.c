/* The gate's defences: deadlines, caps, descriptors. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"

#define FLOOD 60

TestSuite(limits, .timeout = 90);

static void assert_serves(struct rig *rig)
{
	PGconn *conn = rig_connect(rig, NULL);

	cr_assert_str_eq(rig_query(conn, "SELECT 6 * 7").s, "42");
	PQfinish(conn);
}

/* ---- coming and going ---- */

Test(limits, connections_that_close_at_once_leave_neither_a_slot_nor_a_line)
{
	struct rig *rig = rig_start("gates = 1\nmax_login_clients = 2\n", NULL, NULL);
	int lines, descriptors;

	assert_serves(rig);
	cr_assert(rig_wait_log(rig, "close: ", RIG_PATIENCE_MS));
	lines = rig_log_count(rig, "");
	descriptors = guest_descriptors(rig);
	for (int i = 0; i < 300; i++) {
		struct guest g = guest_clear(rig);

		if (i % 3 == 1)
			guest_request(&g, RIG_SSL_REQUEST);
		if (i % 3 == 2)
			guest_reset(&g);
		else
			guest_leave(&g);
	}
	cr_assert(guest_wait_descriptors(rig, descriptors, RIG_PATIENCE_MS));
	/* in a flood the oldest may give way before its end was seen */
	cr_assert_eq(rig_log_count(rig, ""), lines + rig_log_count(rig, "the oldest gives way"));
	assert_serves(rig);
	rig_stop(rig);
}

Test(limits, reset_in_the_middle_of_a_handshake_is_no_news)
{
	static const uint8_t half_hello[] = { 0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00 };
	struct rig *rig = rig_start(NULL, NULL, NULL);
	int lines, descriptors;

	assert_serves(rig);
	cr_assert(rig_wait_log(rig, "close: ", RIG_PATIENCE_MS));
	lines = rig_log_count(rig, "");
	descriptors = guest_descriptors(rig);
	for (int i = 0; i < 50; i++) {
		struct guest g = guest_clear(rig);

		guest_send(&g, half_hello, sizeof(half_hello));
		guest_reset(&g);
	}
	cr_assert(guest_wait_descriptors(rig, descriptors, RIG_PATIENCE_MS));
	cr_assert_eq(rig_log_count(rig, ""), lines);
	assert_serves(rig);
	rig_stop(rig);
}

/* How far a guest gets before it resets the connection. */
static void reset_at(struct rig *rig, int stage)
{
	struct guest g = stage < 2 ? guest_clear(rig) : guest_tls(rig, "alice");
	struct guest_answer answer;

	if (stage == 1)
		guest_request(&g, RIG_SSL_REQUEST);
	if (stage >= 3)
		guest_login(&g, "alice", "app");
	if (stage >= 4)
		guest_answer(&g, &answer);
	if (stage >= 5)
		guest_query(&g, "SELECT generate_series(1, 100000)");
	guest_reset(&g);
}

Test(limits, resets_at_every_stage_leave_nothing_behind)
{
	struct rig *rig = rig_start(NULL, NULL, NULL);

	assert_serves(rig);
	for (int i = 0; i < 60; i++)
		reset_at(rig, i % 6);
	/* the listeners, the loops, and at most one server for each who came as far as a query */
	cr_assert(guest_wait_descriptors(rig, 60, RIG_PATIENCE_MS));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "cl_active", "0",
	                           RIG_PATIENCE_MS));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "sv_active", "0",
	                           RIG_PATIENCE_MS));
	cr_assert(rig_console_wait(rig, "SHOW POOLS", "database", "app", "cl_waiting", "0",
	                           RIG_PATIENCE_MS));
	assert_serves(rig);
	rig_stop(rig);
}

/* ---- client_login_timeout ---- */

static void send_half_hello(struct guest *g)
{
	static const uint8_t bytes[] = { 0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00 };

	guest_send(g, bytes, sizeof(bytes));
}

static void send_half_startup(struct guest *g)
{
	static const uint8_t bytes[] = { 0, 0, 1, 0, 0, 3, 0, 0, 'u', 's', 'e', 'r' };

	guest_send(g, bytes, sizeof(bytes));
}

static void ask_for_tls(struct guest *g)
{
	char answer;

	guest_request(g, RIG_SSL_REQUEST);
	cr_assert_eq(guest_recv(g, &answer, 1, RIG_PATIENCE_MS), 1);
}

Test(limits, who_does_not_finish_the_login_in_time_is_closed_wherever_it_stands)
{
	struct rig *rig = rig_start("client_login_timeout = 500ms\n", NULL, NULL);
	struct guest guests[] = { guest_clear(rig), guest_clear(rig), guest_clear(rig),
		                  guest_tls(rig, "alice"), guest_tls(rig, "alice") };

	ask_for_tls(&guests[1]);
	send_half_hello(&guests[2]);
	send_half_startup(&guests[4]);
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		cr_assert(guest_ended(&guests[i], RIG_PATIENCE_MS), "guest %zu", i);
		guest_leave(&guests[i]);
	}
	cr_assert(rig_wait_log(rig, "client_login_timeout", RIG_PATIENCE_MS));
	cr_assert_eq(rig_log_count(rig, "client_login_timeout"), 5);
	assert_serves(rig);
	rig_stop(rig);
}

/* One deadline for all of it: a byte now and then does not buy time. */
Test(limits, trickling_bytes_do_not_extend_the_deadline)
{
	struct rig *rig = rig_start("client_login_timeout = 1\n", NULL, NULL);
	struct guest g = guest_tls(rig, "alice");
	static const uint8_t startup[] = { 0, 0, 39, 0, 0, 3, 0, 0 };
	bool ended = false;
	int sent;

	/* each pause is 100 ms unless the end comes */
	for (sent = 0; sent < 200 && !ended; sent++) {
		if (SSL_write(g.ssl, startup + (sent < 8 ? sent : 7), 1) <= 0)
			break;
		ended = guest_ended(&g, 100);
	}
	cr_assert(sent > 3 && sent < 100, "closed after %d bytes", sent);
	cr_assert(rig_wait_log(rig, "client_login_timeout", RIG_PATIENCE_MS));
	guest_leave(&g);
	rig_stop(rig);
}

Test(limits, deadline_of_the_login_does_not_hit_a_session)
{
	struct rig *rig = rig_start("client_login_timeout = 300ms\n", NULL, NULL);
	PGconn *conn = rig_connect(rig, NULL);

	cr_assert_str_eq(rig_query(conn, "SELECT pg_sleep(1)::text || 'done'").s, "done");
	cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1");
	PQfinish(conn);
	rig_stop(rig);
}

/* ---- max_login_clients ---- */

Test(limits, flood_of_half_open_connections_lets_a_real_client_in)
{
	struct rig *rig = rig_start("gates = 1\nmax_login_clients = 10\n", NULL, NULL);
	struct guest flood[FLOOD];
	int before;

	assert_serves(rig);
	before = guest_descriptors(rig);
	for (int i = 0; i < FLOOD; i++) {
		flood[i] = guest_clear(rig);
		if (i % 2 == 0)
			send_half_hello(&flood[i]);
	}
	/* the oldest gave way, the youngest is still there */
	cr_assert(guest_ended(&flood[0], RIG_PATIENCE_MS));
	assert_serves(rig);
	cr_assert(guest_wait_descriptors(rig, before + 10, RIG_PATIENCE_MS));
	cr_assert_not(guest_ended(&flood[FLOOD - 1], 50));
	for (int i = 0; i < FLOOD; i++)
		guest_leave(&flood[i]);
	rig_stop(rig);
}

Test(limits, refused_ones_that_do_not_leave_are_as_bounded)
{
	struct rig *rig = rig_start("gates = 1\nmax_login_clients = 10\n", NULL, NULL);
	struct guest flood[FLOOD];
	struct guest_answer answer;
	int before, most = 0;

	assert_serves(rig);
	before = guest_descriptors(rig);
	for (int i = 0; i < FLOOD; i++) {
		flood[i] = guest_clear(rig);
		guest_login(&flood[i], "alice", "app");
		guest_answer(&flood[i], &answer);
		cr_assert_str_eq(answer.sqlstate, "28000");
		if (guest_descriptors(rig) > most)
			most = guest_descriptors(rig);
	}
	cr_assert(most <= before + 11, "%d descriptors, %d before", most, before);
	assert_serves(rig);
	for (int i = 0; i < FLOOD; i++)
		guest_leave(&flood[i]);
	rig_stop(rig);
}

/* ---- max_client_conn ---- */

Test(limits, max_client_conn_is_exact_and_leaves_the_console_reachable)
{
	struct rig *rig = rig_start("max_client_conn = 2\n", NULL,
	                            "people = cn:alice roles=alice\n"
	                            "staff = cn:operator roles=operator console=admin\n");
	PGconn *first = rig_connect(rig, NULL), *second = rig_connect(rig, NULL), *console;
	struct guest_answer answer;

	guest_try(rig, "alice", "alice", "app", &answer);
	cr_assert_str_eq(answer.severity, "FATAL");
	cr_assert_str_eq(answer.sqlstate, "53300");
	guest_try(rig, "operator", "operator", "app", &answer);
	cr_assert_str_eq(answer.sqlstate, "53300");
	console = rig_connect_as(rig, "operator", "dbname=pgseal");
	PQclear(rig_console(rig, "SHOW VERSION"));
	cr_assert_str_eq(rig_query(second, "SELECT 1").s, "1");
	PQfinish(first);
	cr_assert(rig_wait_log(rig, "close: ", RIG_PATIENCE_MS));
	first = rig_connect(rig, NULL);
	guest_try(rig, "alice", "alice", "app", &answer);
	cr_assert_str_eq(answer.sqlstate, "53300");
	PQfinish(first);
	PQfinish(second);
	PQfinish(console);
	rig_stop(rig);
}

Test(limits, refusals_do_not_count_as_clients)
{
	struct rig *rig = rig_start("max_client_conn = 1\n", NULL, NULL);
	struct guest_answer answer;

	for (int i = 0; i < 5; i++) {
		guest_try(rig, "alice", "bob", "app", &answer);
		cr_assert_str_eq(answer.sqlstate, "28000");
		guest_try(rig, "alice", "alice", "nowhere", &answer);
		cr_assert_str_eq(answer.sqlstate, "3D000");
	}
	assert_serves(rig);
	rig_stop(rig);
}

/* ---- descriptors ---- */

static void limit_descriptors(const struct rig *rig, int most)
{
	struct rlimit limit;

	cr_assert(prlimit(rig_pid(rig), RLIMIT_NOFILE, NULL, &limit) == 0);
	limit.rlim_cur = (rlim_t)most;
	cr_assert(prlimit(rig_pid(rig), RLIMIT_NOFILE, &limit, NULL) == 0);
}

Test(limits, running_out_of_descriptors_costs_new_connections_only)
{
	struct rig *rig = rig_start("gates = 1\n", NULL, NULL);
	PGconn *conn = rig_connect(rig, NULL);
	struct guest flood[FLOOD];

	cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1");
	limit_descriptors(rig, guest_descriptors(rig) + 10);
	for (int i = 0; i < FLOOD; i++)
		flood[i] = guest_clear(rig);
	cr_assert(rig_wait_log(rig, "accept: .*LimitNOFILE", RIG_PATIENCE_MS));
	/* sessions do not notice */
	for (int i = 0; i < 20; i++)
		cr_assert_str_eq(rig_query(conn, "SELECT 2").s, "2");
	for (int i = 0; i < FLOOD; i++)
		guest_leave(&flood[i]);
	/* and when there are descriptors again, so are clients */
	assert_serves(rig);
	PQfinish(conn);
	rig_stop(rig);
}

Test(limits, waiting_for_descriptors_costs_no_processor)
{
	struct rig *rig = rig_start("gates = 1\n", NULL, NULL);
	struct guest flood[FLOOD];
	int before;

	assert_serves(rig); /* it has begun, all of it, and has a server */
	cr_assert(rig_wait_log(rig, "close: ", RIG_PATIENCE_MS));
	before = guest_descriptors(rig);
	limit_descriptors(rig, before + 5);
	for (int i = 0; i < FLOOD; i++)
		flood[i] = guest_clear(rig);
	cr_assert(rig_wait_log(rig, "accept: ", RIG_PATIENCE_MS));
	/* one refusal per rest: a busy loop would write thousands of lines */
	cr_assert(rig_log_count(rig, "accept: ") < 100, "%d lines", rig_log_count(rig, "accept: "));
	for (int i = 0; i < FLOOD; i++)
		guest_leave(&flood[i]);
	cr_assert(guest_wait_descriptors(rig, before, RIG_PATIENCE_MS));
	assert_serves(rig);
	rig_stop(rig);
}

/* ---- addresses ---- */

Test(limits, several_addresses_and_both_families_are_listened_on)
{
	struct rig *rig;
	PGconn *conn;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0)
		cr_skip_test("no IPv6 on this machine");
	rig = rig_start("listen_addr = 127.0.0.1, ::1\n", NULL, NULL);
	assert_serves(rig);
	conn = rig_connect(rig, "hostaddr=::1");
	cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1");
	cr_assert(rig_wait_log(rig, "login: .*peer=::1:", RIG_PATIENCE_MS));
	PQfinish(conn);
	rig_stop(rig);
}

Test(limits, star_listens_on_every_address)
{
	struct rig *rig = rig_start("listen_addr = *\n", NULL, NULL);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	PGconn *conn;

	assert_serves(rig);
	if (fd >= 0) {
		conn = rig_connect(rig, "hostaddr=::1");
		cr_assert_str_eq(rig_query(conn, "SELECT 1").s, "1");
		PQfinish(conn);
	}
	rig_stop(rig);
}

Test(limits, unix_socket_speaks_tls_to_those_who_ask)
{
	struct rig *rig = rig_start(NULL, NULL, NULL);
	struct guest g = guest_unix(rig);
	struct guest_answer answer;
	char byte = 0;

	guest_request(&g, RIG_SSL_REQUEST);
	cr_assert(guest_recv(&g, &byte, 1, RIG_PATIENCE_MS) == 1 && byte == 'S', "answer %d", byte);
	cr_assert(guest_handshake(&g, "alice", NULL, 0));
	guest_login(&g, "alice", "app");
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_leave(&g);
	rig_stop(rig);
}

Test(limits, unix_socket_alone_needs_no_certificate_and_answers_n)
{
	struct rig *rig = rig_start("listen_addr =\nclient_tls_cert_file =\nclient_tls_key_file =\n"
	                            "client_tls_ca_file =\n", NULL, NULL);
	struct guest g = guest_unix(rig);
	struct guest_answer answer;
	char byte = 0;

	guest_request(&g, RIG_SSL_REQUEST);
	cr_assert(guest_recv(&g, &byte, 1, RIG_PATIENCE_MS) == 1 && byte == 'N', "answer %d", byte);
	guest_login(&g, "postgres", "pgseal");
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_leave(&g);
	rig_stop(rig);
}
