/* What comes before a session: requests, StartupMessages and what is none, protocol versions. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"

static struct rig *rig;

static void start(void)
{
	rig = rig_start("gates = 1\n", "app = @postgres@ dbname=app\nalice = @postgres@ dbname=other\n",
	                NULL);
}

static void stop(void)
{
	rig_stop(rig);
}

TestSuite(startup, .init = start, .fini = stop, .timeout = 60);

/* A whole session: pgseal is well. */
static void assert_serves(void)
{
	PGconn *conn = rig_connect(rig, NULL);

	cr_assert_str_eq(rig_query(conn, "SELECT 6 * 7").s, "42");
	PQfinish(conn);
}

/* ---- requests for encryption ---- */

/* Behind the request: a login and a statement, for a pooler that would take them as decrypted. */
static size_t smuggle(uint8_t *out, size_t cap, uint32_t request)
{
	static const char query[] = "Q\0\0\0\x1d" "CREATE TABLE smuggled ()";
	const char *const params[] = { "user", "alice", "database", "app", NULL };
	size_t n = rig_packet(out, cap, request, NULL, 0);

	n += rig_startup(out + n, cap - n, GUEST_V3_0, params);
	memcpy(out + n, query, sizeof(query));
	return n + sizeof(query);
}

static void assert_smuggling_fails(uint32_t request)
{
	struct guest g = guest_clear(rig);
	uint8_t packets[512];

	guest_send(&g, packets, smuggle(packets, sizeof(packets), request));
	cr_assert(guest_ended(&g, RIG_PATIENCE_MS), "it was answered");
	guest_leave(&g);
	cr_assert(rig_wait_log(rig, "dropped: .*bytes behind a request for encryption", RIG_PATIENCE_MS));
	cr_assert_not(rig_log_contains(rig, "login:"));
	cr_assert_str_eq(rig_admin_query("SELECT to_regclass('smuggled') IS NULL").s, "t");
}

Test(startup, bytes_behind_an_ssl_request_close_the_connection)
{
	assert_smuggling_fails(RIG_SSL_REQUEST);
}

Test(startup, bytes_behind_a_gssenc_request_close_the_connection)
{
	assert_smuggling_fails(RIG_GSSENC_REQUEST);
}

Test(startup, one_byte_behind_an_ssl_request_is_enough)
{
	struct guest g = guest_clear(rig);
	uint8_t packet[9] = { 0 };

	rig_packet(packet, 8, RIG_SSL_REQUEST, NULL, 0);
	guest_send(&g, packet, sizeof(packet));
	cr_assert(guest_ended(&g, RIG_PATIENCE_MS));
	guest_leave(&g);
}

Test(startup, gssenc_request_is_answered_n_and_tls_may_follow)
{
	struct guest g = guest_clear(rig);
	struct guest_answer answer;
	char byte = 0;

	guest_request(&g, RIG_GSSENC_REQUEST);
	cr_assert(guest_recv(&g, &byte, 1, RIG_PATIENCE_MS) == 1 && byte == 'N', "answer %d", byte);
	guest_request(&g, RIG_SSL_REQUEST);
	cr_assert(guest_recv(&g, &byte, 1, RIG_PATIENCE_MS) == 1 && byte == 'S', "answer %d", byte);
	cr_assert(guest_handshake(&g, "alice", NULL, 0));
	guest_login(&g, "alice", "app");
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_leave(&g);
}

Test(startup, gssenc_requests_are_answered_a_bounded_number_of_times)
{
	struct guest g = guest_clear(rig);
	char byte = 'N';
	int answers = 0;

	while (answers < 20) {
		guest_request(&g, RIG_GSSENC_REQUEST);
		if (guest_recv(&g, &byte, 1, RIG_PATIENCE_MS) != 1)
			break;
		cr_assert_eq(byte, 'N');
		answers++;
	}
	cr_assert(answers >= 1 && answers < 10, "%d answers", answers);
	guest_leave(&g);
	cr_assert(rig_wait_log(rig, "too many requests for encryption", RIG_PATIENCE_MS));
}

Test(startup, requests_for_encryption_inside_tls_close_the_connection)
{
	struct guest guests[] = { guest_tls(rig, "alice"), guest_tls(rig, "alice"),
		                  guest_direct(rig, "alice"), guest_direct(rig, "alice") };

	for (size_t i = 0; i < 4; i++) {
		guest_request(&guests[i], i % 2 == 0 ? RIG_SSL_REQUEST : RIG_GSSENC_REQUEST);
		cr_assert(guest_ended(&guests[i], RIG_PATIENCE_MS), "case %zu was answered", i);
		guest_leave(&guests[i]);
	}
}

/* ---- in the clear ---- */

Test(startup, plaintext_startup_message_is_told_that_tls_is_required)
{
	struct guest g = guest_clear(rig);
	struct guest_answer answer;

	guest_login(&g, "alice", "app");
	guest_answer(&g, &answer);
	cr_assert_str_eq(answer.severity, "FATAL");
	cr_assert_str_eq(answer.sqlstate, "28000");
	cr_assert_str_eq(answer.message, "connection requires TLS with a client certificate");
	cr_assert(guest_ended(&g, RIG_PATIENCE_MS));
	guest_leave(&g);
}

Test(startup, what_is_no_postgres_is_closed_at_once_and_unanswered)
{
	static const char *const strangers[] = {
		"GET / HTTP/1.1\r\nHost: db\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\n\n\n\n", "*1\r\n$4\r\nPING\r\n",
		"EHLO example.com\r\n",
	};

	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		struct guest g = guest_clear(rig);

		guest_send(&g, strangers[i], strlen(strangers[i]));
		cr_assert(guest_ended(&g, 5000), "%s", strangers[i]);
		guest_leave(&g);
	}
	cr_assert_eq(rig_log_count(rig, "dropped: .*not a PostgreSQL client"), 5);
}

/* ---- lengths ---- */

Test(startup, impossible_lengths_are_refused_from_the_header_alone)
{
	static const uint32_t lengths[] = { 0, 1, 7, 10001, 0x7fffffff, 0x80000000, 0xffffffff };

	for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct guest g = i % 2 == 0 ? guest_clear(rig) : guest_tls(rig, "alice");
		uint32_t header = htonl(lengths[i / 2]);

		guest_send(&g, &header, sizeof(header));
		cr_assert(guest_ended(&g, 5000), "length %u", lengths[i / 2]);
		guest_leave(&g);
	}
	assert_serves();
}

Test(startup, cancel_request_of_a_wrong_length_is_refused_from_its_header)
{
	static const uint32_t lengths[] = { 8, 15, 12 + 257, 10000, 0x7fffffff };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t header[2] = { htonl(lengths[i]), htonl(RIG_CANCEL_REQUEST) };
		struct guest g = guest_clear(rig);

		guest_send(&g, header, sizeof(header));
		cr_assert(guest_ended(&g, 5000), "length %u", lengths[i]);
		guest_leave(&g);
	}
	assert_serves();
}

/* A StartupMessage of exactly that size, most of it one protocol option. */
static size_t padded_startup(uint8_t *out, size_t cap, size_t size)
{
	static char padding[10000];
	const char *const params[] = { "user", "alice", "database", "app", "_pq_.padding", padding, NULL };
	size_t bare;

	padding[0] = '\0';
	bare = rig_startup(out, cap, GUEST_V3_0, params);
	memset(padding, 'x', size - bare);
	padding[size - bare] = '\0';
	return rig_startup(out, cap, GUEST_V3_0, params);
}

Test(startup, packet_of_10000_bytes_is_taken)
{
	struct guest g = guest_tls(rig, "alice");
	struct guest_answer answer;
	uint8_t packet[12000];
	size_t n = padded_startup(packet, sizeof(packet), 10000);

	cr_assert_eq(n, 10000);
	guest_send(&g, packet, n);
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_leave(&g);
}

Test(startup, everything_may_come_in_single_bytes)
{
	const char *const params[] = { "user", "alice", "database", "app", NULL };
	struct guest g = guest_clear(rig);
	struct guest_answer answer;
	uint8_t packet[256];
	char byte = 0;
	size_t n = rig_packet(packet, sizeof(packet), RIG_SSL_REQUEST, NULL, 0);

	for (size_t i = 0; i < n; i++)
		guest_send(&g, packet + i, 1);
	cr_assert(guest_recv(&g, &byte, 1, RIG_PATIENCE_MS) == 1 && byte == 'S');
	cr_assert(guest_handshake(&g, "alice", NULL, 0));
	n = rig_startup(packet, sizeof(packet), GUEST_V3_0, params);
	for (size_t i = 0; i < n; i++)
		guest_send(&g, packet + i, 1);
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_leave(&g);
}

Test(startup, query_in_the_same_record_as_the_startup_message_is_answered)
{
	static const char query[] = "Q\0\0\0\0" "SELECT 1000";
	const char *const params[] = { "user", "alice", "database", "app", NULL };
	struct guest g = guest_tls(rig, "alice");
	struct guest_answer answer;
	uint8_t packet[256];
	size_t n = rig_startup(packet, sizeof(packet), GUEST_V3_0, params);

	memcpy(packet + n, query, sizeof(query));
	packet[n + 4] = (uint8_t)sizeof(query) - 1;
	guest_send(&g, packet, n + sizeof(query));
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	cr_assert_str_eq(guest_result(&g).s, "1000");
	guest_leave(&g);
}

/* ---- settings of a StartupMessage ---- */

struct malformed {
	const char *what;
	const char *body;
	size_t len;
};
#define BODY(text) text, sizeof(text) - 1

Test(startup, malformed_packets_get_a_protocol_violation)
{
	static const struct malformed cases[] = {
		{ "empty body", BODY("") },
		{ "terminator alone", BODY("\0") },
		{ "no terminator", BODY("user\0alice\0database\0app\0") },
		{ "no terminator, cut in a value", BODY("user\0alice\0database\0ap") },
		{ "two terminators", BODY("user\0alice\0\0\0") },
		{ "odd number of strings", BODY("user\0alice\0database\0\0") },
		{ "bytes behind the terminator", BODY("user\0alice\0\0database\0app\0\0") },
		{ "no user", BODY("database\0app\0\0") },
		{ "empty user", BODY("user\0\0database\0app\0\0") },
		{ "user is not UTF-8", BODY("user\0al\xff\0database\0app\0\0") },
		{ "database is not UTF-8", BODY("user\0alice\0database\0\xc3\0\0") },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct guest g = guest_tls(rig, "alice");
		struct guest_answer answer;
		uint8_t packet[256];

		guest_send(&g, packet, rig_packet(packet, sizeof(packet), GUEST_V3_0, cases[i].body,
		                                  cases[i].len));
		guest_answer(&g, &answer);
		cr_assert_str_eq(answer.sqlstate, "08P01", "%s: \"%s\"", cases[i].what, answer.sqlstate);
		cr_assert_str_eq(answer.severity, "FATAL");
		cr_assert(guest_ended(&g, RIG_PATIENCE_MS), "%s", cases[i].what);
		guest_leave(&g);
	}
	assert_serves();
}

/* sql's answer for somebody who said this in the StartupMessage. */
static struct rig_text ask_as(const char *const *params, const char *sql)
{
	struct guest g = guest_tls(rig, "alice");
	struct guest_answer answer;
	struct rig_text text;

	guest_startup(&g, GUEST_V3_0, params);
	guest_answer(&g, &answer);
	cr_assert(answer.ready, "%s", answer.message);
	guest_query(&g, sql);
	text = guest_result(&g);
	guest_leave(&g);
	return text;
}

Test(startup, later_of_two_equal_names_wins)
{
	const char *const params[] = { "user", "bob", "database", "other", "user", "alice", "database",
		                       "app", "application_name", "first", "application_name", "second",
		                       NULL };

	cr_assert_str_eq(ask_as(params, "SELECT current_user || ' ' || current_database() || ' ' || "
	                                "current_setting('application_name')").s, "alice app second");
}

Test(startup, missing_or_empty_database_is_the_users_name)
{
	/* the entry named alice leads to another database, so that one sees which was taken */
	cr_assert_str_eq(ask_as((const char *const[]){ "user", "alice", NULL },
	                        "SELECT current_database()").s, "other");
	cr_assert_str_eq(ask_as((const char *const[]){ "user", "alice", "database", "", NULL },
	                        "SELECT current_database()").s, "other");
}

static struct guest_answer try_names(const char *user, const char *database)
{
	struct guest_answer answer;

	guest_try(rig, "alice", user, database, &answer);
	return answer;
}

Test(startup, names_longer_than_postgres_allows_are_refused_and_not_cut)
{
	char longest[64], too_long[65], far_too_long[129];

	memset(longest, 'u', 63);
	memset(too_long, 'u', 64);
	memset(far_too_long, 'u', 128);
	longest[63] = too_long[64] = far_too_long[128] = '\0';
	cr_assert_str_eq(try_names(longest, "app").sqlstate, "28000");
	cr_assert_str_eq(try_names(too_long, "app").sqlstate, "08P01");
	cr_assert_str_eq(try_names(far_too_long, "app").sqlstate, "08P01");
	cr_assert_str_eq(try_names("alice", longest).sqlstate, "3D000");
	cr_assert_str_eq(try_names("alice", too_long).sqlstate, "08P01");
}

Test(startup, names_of_the_client_cannot_forge_log_lines)
{
	struct guest_answer answer = try_names("al\nice\" evil=\"1", "app");

	cr_assert_str_eq(answer.sqlstate, "28000");
	cr_assert(rig_wait_log(rig, "refused: .*al\\\\x0aice\\\\x22 evil", RIG_PATIENCE_MS));
	cr_assert_not(rig_log_contains(rig, "^ice"));
}

/* Without rules nobody has granted it. */
Test(startup, replication_is_refused_unless_it_says_no)
{
	static const char *const yes[] = { "true", "on", "1", "yes", "database" };
	static const char *const no[] = { "false", "off", "0", "no" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		const char *const params[] = { "user", "alice", "database", "app", "replication", yes[i], NULL };
		struct guest g = guest_tls(rig, "alice");
		struct guest_answer answer;

		guest_startup(&g, GUEST_V3_0, params);
		guest_answer(&g, &answer);
		cr_assert_str_eq(answer.sqlstate, "42501", "replication=%s", yes[i]);
		guest_leave(&g);
	}
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		cr_assert_str_eq(ask_as((const char *const[]){ "user", "alice", "database", "app",
		                                               "replication", no[i], NULL }, "SELECT 1").s,
		                 "1", "replication=%s", no[i]);
}

/* ---- versions ---- */

static void greet(uint32_t version, const char *option, struct guest_answer *answer)
{
	const char *const params[] = { "user", "alice", "database", "app", option, "1", NULL };
	struct guest g = guest_tls(rig, "alice");

	guest_startup(&g, version, params);
	guest_answer(&g, answer);
	guest_leave(&g);
}

Test(startup, other_major_versions_get_an_error_that_names_them)
{
	static const struct {
		uint32_t version;
		const char *message;
	} cases[] = {
		{ 1u << 16, "unsupported frontend protocol 1.0: server supports 3.0 to 3.2" },
		{ 2u << 16, "unsupported frontend protocol 2.0: server supports 3.0 to 3.2" },
		{ 4u << 16, "unsupported frontend protocol 4.0: server supports 3.0 to 3.2" },
		{ (4u << 16) | 2, "unsupported frontend protocol 4.2: server supports 3.0 to 3.2" },
	};
	struct guest_answer answer;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		greet(cases[i].version, NULL, &answer);
		cr_assert_str_eq(answer.severity, "FATAL");
		cr_assert_str_eq(answer.sqlstate, "0A000");
		cr_assert_str_eq(answer.message, cases[i].message);
	}
}

static const struct version_case {
	uint32_t version;
	const char *option; /* of the protocol; NULL: none */
	int negotiations;
	uint32_t newest;
	const char *unknown;
	size_t secret_bytes;
} version_cases[] = {
	{ GUEST_V3_0, NULL, 0, 0, "", 4 },
	{ GUEST_V3_2, NULL, 0, 0, "", 32 },
	{ (3u << 16) | 1, NULL, 1, GUEST_V3_0, "", 4 },
	{ (3u << 16) | 3, NULL, 1, GUEST_V3_2, "", 32 },
	{ (3u << 16) | 9999, NULL, 1, GUEST_V3_2, "", 32 },
	{ GUEST_V3_0, "_pq_.x", 1, GUEST_V3_0, "_pq_.x ", 4 },
	{ GUEST_V3_2, "_pq_.x", 1, GUEST_V3_2, "_pq_.x ", 32 },
	{ (3u << 16) | 9999, "_pq_.command_progress", 1, GUEST_V3_2, "_pq_.command_progress ", 32 },
};

static void assert_version_case(const struct version_case *c)
{
	struct guest_answer answer;

	greet(c->version, c->option, &answer);
	cr_assert(answer.ready, "version %x: %s", c->version, answer.message);
	cr_assert_eq(answer.negotiations, c->negotiations, "version %x: %d negotiations", c->version,
	             answer.negotiations);
	cr_assert_eq(answer.newest, c->newest, "version %x: newest %x", c->version, answer.newest);
	cr_assert_str_eq(answer.unknown, c->unknown);
	cr_assert_eq(answer.secret_bytes, c->secret_bytes, "version %x: secret of %zu bytes", c->version,
	             answer.secret_bytes);
}

Test(startup, minor_versions_and_options_are_negotiated_exactly_once)
{
	assert_serves(); /* the route's parameters are known from now on */
	for (size_t i = 0; i < sizeof(version_cases) / sizeof(version_cases[0]); i++)
		assert_version_case(&version_cases[i]);
}

Test(startup, first_client_of_a_route_is_negotiated_with_exactly_once)
{
	assert_version_case(&version_cases[4]);
}

Test(startup, first_client_of_a_route_hears_of_its_options_exactly_once)
{
	assert_version_case(&version_cases[7]);
}

Test(startup, several_unknown_options_are_all_named)
{
	const char *const params[] = { "user", "alice", "_pq_.a", "1", "database", "app", "_pq_.b", "",
		                       NULL };
	struct guest g = guest_tls(rig, "alice");
	struct guest_answer answer;

	guest_startup(&g, GUEST_V3_0, params);
	guest_answer(&g, &answer);
	cr_assert(answer.ready);
	cr_assert_eq(answer.negotiations, 1);
	cr_assert_str_eq(answer.unknown, "_pq_.a _pq_.b ");
	guest_leave(&g);
}
