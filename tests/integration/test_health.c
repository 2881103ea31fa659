/* /live, /ready, and the HTTP port itself: what it says, and what nobody can do to it. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/guest.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scrape.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

TestSuite(health, .timeout = 120);

static struct rig *rig;
static int port;

static void start(const char *settings)
{
	port = rig_spare_port();
	rig = rig_start(rig_printf("metrics_listen = 127.0.0.1:%d\n%s", port, settings).s, NULL,
	                NULL);
}

static void assert_says(const char *path, int status, const char *body)
{
	struct scrape s;

	scrape_get(port, path, &s);
	cr_assert_eq(s.status, status, "%s: %d %s", path, s.status, s.body);
	cr_assert_not_null(strstr(s.body, body), "%s: %s", path, s.body);
	scrape_free(&s);
}

/* ---- what it says ---- */

Test(health, live_and_ready)
{
	start("");
	assert_says("/live", 200, "live\n");
	assert_says("/ready", 200, "ready\n");
	assert_says("/", 404, "Not Found");
	assert_says("/metrics/", 404, "Not Found");
	cr_expect_eq(scrape_metric(port, "pgseal_ready"), 1);
	rig_stop(rig);
}

Test(health, not_ready_while_draining_but_live_and_measured)
{
	PGconn *busy;

	start("shutdown_timeout = 60\n");
	busy = rig_connect(rig, NULL);
	rig_exec(busy, "BEGIN");
	rig_signal(rig, SIGTERM);
	cr_assert(rig_wait_log(rig, "shutdown: sessions end with their transactions",
	                       RIG_PATIENCE_MS));
	assert_says("/ready", 503, "draining");
	assert_says("/live", 200, "live\n");
	cr_expect_eq(scrape_metric(port, "pgseal_ready"), 0);
	cr_expect_eq(
		scrape_metric(port,
	                      "pgseal_clients{database=\"app\",role=\"alice\",state=\"active\"}"),
		1);
	rig_exec(busy, "COMMIT");
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	PQfinish(busy);
	rig_stop(rig);
}

Test(health, not_ready_while_waiting_for_clients_to_leave)
{
	PGconn *conn;

	start("");
	conn = rig_connect(rig, NULL);
	PQclear(rig_console(rig, "SHUTDOWN WAIT_FOR_CLIENTS"));
	assert_says("/ready", 503, "draining");
	PQfinish(conn);
	cr_assert_eq(rig_wait_exit(rig, RIG_PATIENCE_MS), 0);
	rig_stop(rig);
}

/* A certificate for so many seconds, put into force. False: it took us longer than that. */
static bool reload_with_short_certificate(int seconds)
{
	struct pki_cert *ca = guest_ca();
	struct rig_text prefix = guest_odd(rig, "short",
	                                   (struct pki_options){ .cn = "localhost",
	                                                         .eku = "serverAuth",
	                                                         .issuer = ca,
	                                                         .from_s = -100,
	                                                         .until_s = seconds });

	pki_free(ca);
	rig_configure(
		rig,
		rig_printf("metrics_listen = 127.0.0.1:%d\nclient_tls_cert_file = %.1000s.crt\n"
	                   "client_tls_key_file = %.1000s.key\n",
	                   port, prefix.s, prefix.s)
			.s,
		NULL, NULL);
	return rig_reload(rig, NULL);
}

Test(health, not_ready_when_the_certificate_has_expired)
{
	int64_t deadline;
	int seconds = 2;

	start("");
	while (!reload_with_short_certificate(seconds))
		cr_assert_lt(seconds *= 2, 60);
	deadline = rig_now_ms() + RIG_PATIENCE_MS + seconds * 1000;
	while (scrape_status(port, "/ready") != 503) {
		cr_assert_gt(rig_left_ms(deadline), 0, "still ready");
		rig_nap();
	}
	assert_says("/ready", 503, "client_tls_cert_file ");
	assert_says("/ready", 503, "/short.crt has expired\n");
	rig_stop(rig);
}

/* ---- configuration ---- */

/* The line of the configuration that begins so. */
static int line_of(const char *key)
{
	FILE *f = fopen(rig_config(rig), "r");
	char text[1000];
	int line = 0;

	cr_assert(f != NULL);
	do {
		cr_assert(fgets(text, sizeof(text), f) != NULL, "no %s", key);
		line++;
	} while (strncmp(text, key, strlen(key)) != 0);
	fclose(f);
	return line;
}

Test(health, a_bad_address_is_told_with_line_and_remedy)
{
	const char *arguments[] = { "--check", NULL, NULL };
	struct rig_text want;
	struct rig_run run;

	start("");
	arguments[1] = rig_config(rig);
	rig_configure(rig, "metrics_listen = localhost:9127\n", NULL, NULL);
	want = rig_printf("pgseal.ini:%d: metrics_listen: \"localhost:9127\" is not an address and "
	                  "a port; write them as 127.0.0.1:9127 or [::1]:9127",
	                  line_of("metrics_listen"));
	rig_run(arguments, &run);
	cr_expect_eq(run.status, 1);
	cr_expect_not_null(strstr(run.text, want.s), "%s", run.text);
	cr_assert_not(rig_reload(rig, NULL));
	assert_says("/ready", 200, "ready\n");
	rig_stop(rig);
}

Test(health, an_address_in_use_ends_the_start)
{
	const char *arguments[] = { NULL, NULL };
	struct rig *first;
	struct rig_run run;

	start("");
	first = rig;
	rig = rig_start(NULL, NULL, NULL);
	rig_configure(rig,
	              rig_printf("listen_port = %d\nmetrics_listen = 127.0.0.1:%d\n",
	                         rig_spare_port(), port)
	                      .s,
	              NULL, NULL);
	arguments[0] = rig_config(rig);
	rig_run(arguments, &run);
	cr_expect_eq(run.status, 1);
	cr_expect_not_null(
		strstr(run.text, rig_printf("metrics_listen: cannot listen on 127.0.0.1:%d: "
	                                    "Address already in use",
	                                    port)
	                                 .s),
		"%s", run.text);
	rig_stop(rig);
	rig_stop(first);
}

Test(health, a_change_needs_a_restart)
{
	start("");
	rig_configure(rig, "metrics_listen = 127.0.0.1:1\n", NULL, NULL);
	cr_assert(rig_reload(rig, NULL));
	cr_assert(
		rig_wait_log(rig, "metrics_listen: takes effect with a restart", RIG_PATIENCE_MS));
	assert_says("/ready", 200, "ready\n");
	rig_stop(rig);
}

Test(health, listens_on_all_that_is_asked_for)
{
	int first = rig_spare_port(), second = rig_spare_port();

	rig = rig_start(
		rig_printf("metrics_listen = 127.0.0.1:%d, 127.0.0.1:%d\n", first, second).s, NULL,
		NULL);
	cr_expect_eq(scrape_status(first, "/live"), 200);
	cr_expect_eq(scrape_status(second, "/live"), 200);
	rig_stop(rig);
	rig = rig_start(NULL, NULL, NULL);
	cr_expect_eq(scrape_status(first, "/live"), 0);
	cr_expect_not(rig_log_contains(rig, "listening: address"));
	rig_stop(rig);
}

/* ---- clients that mean no good ---- */

static void assert_serves(void)
{
	PGconn *conn = rig_connect(rig, NULL);

	cr_assert_str_eq(rig_query(conn, "SELECT 6 * 7").s, "42");
	PQfinish(conn);
	assert_says("/live", 200, "live\n");
	cr_assert_geq(scrape_metric(port, "process_start_time_seconds"), 1);
}

static void say(const char *text, int status)
{
	char answer[1000] = "";
	int fd = scrape_connect(port);

	rig_raw_send(fd, text, strlen(text));
	rig_raw_recv(fd, answer, sizeof(answer) - 1, RIG_PATIENCE_MS);
	cr_expect_eq(strncmp(answer, rig_printf("HTTP/1.1 %d ", status).s, 13), 0, "%s: %s", text,
	             answer);
	close(fd);
}

Test(health, nonsense_is_refused)
{
	static char long_head[9000] = "GET /metrics HTTP/1.1\r\nx: ";

	start("");
	say("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405);
	say("DELETE /live HTTP/1.0\r\n\r\n", 405);
	say("GET /metrics HTTP/9.9\r\n\r\n", 505);
	say("GET\r\n\r\n", 400);
	say("\x16\x03\x01\x02\x00", 400);
	memset(long_head + strlen(long_head), 'x', sizeof(long_head) - strlen(long_head) - 1);
	say(long_head, 431);
	assert_serves();
	rig_stop(rig);
}

Test(health, half_open_and_silent_clients_harm_nobody)
{
	static const char *const began[] = { "", "G", "GET /metrics HTTP/1.1\r\n",
		                             "GET /metrics HTTP/1.1\r\n\r\n" };
	int fds[100];
	int before;

	start("");
	assert_serves();
	before = guest_descriptors(rig);
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = scrape_connect(port);
		rig_raw_send(fds[i], began[i % COUNT(began)], strlen(began[i % COUNT(began)]));
	}
	assert_serves();
	/* those that came first have given way */
	cr_assert(rig_raw_closed(fds[0], RIG_PATIENCE_MS));
	cr_assert(guest_wait_descriptors(rig, before + 40, RIG_PATIENCE_MS));
	/* and nobody stays for ever, while the others hold on */
	cr_assert(guest_wait_descriptors(rig, before, 2 * RIG_PATIENCE_MS));
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	rig_stop(rig);
}

Test(health, ends_with_clients_of_every_kind)
{
	int asked, silent;

	start("");
	silent = scrape_connect(port);
	asked = scrape_connect(port);
	rig_raw_send(asked, "GET /metrics HTTP/1.1\r\n\r\n", 25);
	rig_stop(rig);
	close(asked);
	close(silent);
}
