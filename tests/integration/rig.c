/* One pgseal: its configuration, its process, its log. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

#define STOP_MS 20000
#define TERM_EVERY_MS 100

struct rig {
	char dir[300];
	char config[320];
	int port;
	pid_t pid;  /* 0: not started, or its end was seen */
	int status; /* once the end was seen */
	bool expected; /* a test looked at the status itself */
	bool both;     /* listens on TCP and on the Unix socket */
};

int rig_port(const struct rig *rig)
{
	return rig->port;
}

pid_t rig_pid(const struct rig *rig)
{
	return rig->pid;
}

const char *rig_dir(const struct rig *rig)
{
	return rig->dir;
}

const char *rig_config(const struct rig *rig)
{
	return rig->config;
}

/* --- ports --- */

/* Between looking and listening another test may choose the same port. So it is taken first as a
 * name that the kernel gives to one process and frees with it: an abstract Unix socket, left open. */
static bool port_reserve(int port)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "pgseal-rig-%d", port);

	len += (int)offsetof(struct sockaddr_un, sun_path) + 1;
	if (bind(fd, (struct sockaddr *)&name, (socklen_t)len) == 0)
		return true;
	close(fd);
	return false;
}

static bool port_is_free(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ok = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
	close(fd);
	return ok;
}

/* Below the range that the kernel gives to outgoing connections: those come and go too fast. */
static int port_choose(void)
{
	uint16_t random;
	int port;

	do {
		cr_assert(getrandom(&random, sizeof(random), 0) == (ssize_t)sizeof(random));
		port = 10000 + random % 10000;
	} while (!port_reserve(port) || !port_is_free(port));
	return port;
}

int rig_spare_port(void)
{
	return port_choose();
}

/* Does any line of this table of the kernel's hold both texts? Asking it, unlike connecting, leaves
 * no trace in pgseal. */
static bool kernel_lists(const char *table, const char *text, const char *also)
{
	char line[1024];
	bool found = false;
	FILE *f = fopen(table, "r");

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL)
		found = strstr(line, text) != NULL && strstr(line, also) != NULL;
	fclose(f);
	return found;
}

/* On all that the rig itself asked for; where a test has its own mind, one of the two will do. */
static bool is_listening(const struct rig *rig)
{
	/* the local port, any remote end, state 0A: LISTEN */
	struct rig_text v4 = rig_printf(":%04X 00000000:0000 0A", rig->port);
	struct rig_text v6 = rig_printf(":%04X %032d:0000 0A", rig->port, 0);
	struct rig_text path = rig_printf("%s/.s.PGSQL.%d", rig->dir, rig->port);
	bool tcp = kernel_lists("/proc/net/tcp", v4.s, "") || kernel_lists("/proc/net/tcp6", v6.s, "");
	/* flags: it accepts connections; type: stream */
	bool local = kernel_lists("/proc/net/unix", path.s, " 00010000 0001 ");

	return rig->both ? tcp && local : tcp || local;
}

/* --- configuration --- */

/* Is key set at the start of some line of the text? */
static bool sets(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
		line += strspn(line, " \t\n");
		if (strncmp(line, key, n) == 0 && strchr(" \t=", line[n]) != NULL && line[n] != '\0')
			return true;
	}
	return false;
}

static void write_default(FILE *f, const char *settings, const char *key, const char *value)
{
	if (!sets(settings, key))
		fprintf(f, "%s = %s\n", key, value);
}

/* Copy the text, filling in what stands between @ and @. */
static void write_expanded(FILE *f, const struct rig *rig, const char *text)
{
	const struct {
		const char *word;
		struct rig_text value;
	} words[] = {
		{ "@postgres@", rig_printf("host=127.0.0.1 port=%d", rig_postgres_port()) },
		{ "@pki@", rig_printf("%s", rig_pki()) },
		{ "@dir@", rig_printf("%s", rig->dir) },
	};

	while (*text != '\0') {
		size_t i, n = 1;

		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strncmp(text, words[i].word, strlen(words[i].word)) == 0)
				break;
		if (i < sizeof(words) / sizeof(words[0])) {
			fputs(words[i].value.s, f);
			n = strlen(words[i].word);
		} else {
			fputc(*text, f);
		}
		text += n;
	}
	fputc('\n', f);
}

static void write_pgseal_section(FILE *f, const struct rig *rig, const char *settings)
{
	const struct {
		const char *key;
		struct rig_text value;
	} defaults[] = {
		{ "listen_addr", rig_printf("127.0.0.1") },
		{ "listen_port", rig_printf("%d", rig->port) },
		{ "unix_socket_dir", rig_printf("%s", rig->dir) },
		{ "client_tls_cert_file", rig_printf("%s/server.crt", rig_pki()) },
		{ "client_tls_key_file", rig_printf("%s/server.key", rig_pki()) },
		{ "client_tls_ca_file", rig_printf("%s/ca.crt", rig_pki()) },
		{ "server_tls_ca_file", rig_printf("%s/ca.crt", rig_pki()) },
		{ "server_tls_cert_file", rig_printf("%s/pgseal.crt", rig_pki()) },
		{ "server_tls_key_file", rig_printf("%s/pgseal.key", rig_pki()) },
	};

	fprintf(f, "[pgseal]\n");
	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		write_default(f, settings, defaults[i].key, defaults[i].value.s);
	write_expanded(f, rig, settings);
}

void rig_configure(struct rig *rig, const char *settings, const char *databases,
                   const char *identities)
{
	FILE *f = fopen(rig->config, "w");

	cr_assert(f != NULL, "%s: %s", rig->config, strerror(errno));
	if (settings == NULL)
		settings = "";
	rig->both = !sets(settings, "listen_addr") && !sets(settings, "unix_socket_dir");
	write_pgseal_section(f, rig, settings);
	fprintf(f, "[databases]\n");
	write_expanded(f, rig, databases != NULL ? databases : "app = @postgres@ dbname=app\n"
	                                                       "other = @postgres@ dbname=other\n");
	if (identities != NULL) {
		fprintf(f, "[identities]\n");
		write_expanded(f, rig, identities);
	}
	cr_assert(fclose(f) == 0, "%s: %s", rig->config, strerror(errno));
}

/* --- the process --- */

static void (*before_exec)(void);

void rig_before_exec(void (*prepare)(void))
{
	before_exec = prepare;
}

/* Child side: never returns. The test's death is pgseal's. */
static void run_binary(const char *output, const char *const *argv)
{
	int fd = open(output, O_WRONLY | O_CREAT | O_APPEND, 0644);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	if (before_exec != NULL)
		before_exec();
	execv(argv[0], (char *const *)argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int plain_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* True once the process is known to have ended. */
static bool has_ended(struct rig *rig)
{
	int status;

	if (rig->pid != 0 && waitpid(rig->pid, &status, WNOHANG) == rig->pid) {
		rig->pid = 0;
		rig->status = plain_status(status);
	}
	return rig->pid == 0;
}

static void launch(struct rig *rig)
{
	struct rig_text log = rig_printf("%s/" RIG_LOG, rig->dir);
	const char *const argv[] = { rig_binary(), rig->config, NULL };
	int64_t deadline = rig_now_ms() + RIG_PATIENCE_MS;

	rig->pid = fork();
	cr_assert(rig->pid >= 0, "fork: %s", strerror(errno));
	if (rig->pid == 0)
		run_binary(log.s, argv);
	while (!is_listening(rig)) {
		cr_assert(!has_ended(rig), "pgseal ended with status %d", rig->status);
		cr_assert(rig_left_ms(deadline) > 0, "pgseal does not listen");
		rig_nap();
	}
}

/* So that the program finds the logs of a failed test. */
static void leave_name(const struct rig *rig)
{
	FILE *f = fopen(rig_printf("%s/" RIG_NAME, rig->dir).s, "w");

	cr_assert(f != NULL);
	fprintf(f, "%s.%s", criterion_current_test->category, criterion_current_test->name);
	fclose(f);
}

struct rig *rig_start(const char *settings, const char *databases, const char *identities)
{
	struct rig *rig;

	rig_require();
	rig = calloc(1, sizeof(*rig));
	cr_assert(rig != NULL);
	snprintf(rig->dir, sizeof(rig->dir), "%s/t.XXXXXX", rig_root());
	cr_assert(mkdtemp(rig->dir) != NULL && chmod(rig->dir, 0755) == 0, "%s", strerror(errno));
	snprintf(rig->config, sizeof(rig->config), "%s/pgseal.ini", rig->dir);
	rig->port = port_choose();
	leave_name(rig);
	rig_configure(rig, settings, databases, identities);
	launch(rig);
	return rig;
}

void rig_signal(struct rig *rig, int signo)
{
	cr_assert(rig->pid != 0 && kill(rig->pid, signo) == 0, "pgseal does not run");
}

void rig_replace(struct rig *rig)
{
	rig_signal(rig, SIGKILL);
	while (!has_ended(rig))
		rig_nap();
	launch(rig);
}

int rig_wait_exit(struct rig *rig, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;

	while (!has_ended(rig)) {
		if (rig_left_ms(deadline) == 0)
			return -1;
		rig_nap();
	}
	rig->expected = true;
	return rig->status;
}

/* Signals that are pending together become one, hence a second only when the first was seen not to
 * be enough. */
static bool terminate(struct rig *rig)
{
	int64_t deadline = rig_now_ms() + STOP_MS;
	int64_t again = 0;

	while (!has_ended(rig) && rig_left_ms(deadline) > 0) {
		if (rig_now_ms() >= again) {
			kill(rig->pid, SIGTERM);
			again = rig_now_ms() + TERM_EVERY_MS;
		}
		rig_nap();
	}
	if (has_ended(rig))
		return true;
	kill(rig->pid, SIGKILL);
	waitpid(rig->pid, NULL, 0);
	return false;
}

void rig_stop(struct rig *rig)
{
	bool in_time;
	int status;

	if (rig == NULL)
		return;
	in_time = terminate(rig);
	status = rig->expected ? 0 : rig->status;
	free(rig);
	cr_assert(in_time, "pgseal did not end on SIGTERM");
	cr_assert(status == 0, "pgseal ended with status %d", status);
}

bool rig_reload(struct rig *rig, struct rig_text *why)
{
	PGresult *res = rig_console(rig, "RELOAD");
	bool ok = PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;

	if (why != NULL)
		*why = rig_printf("%s", PQresultErrorMessage(res));
	PQclear(res);
	return ok;
}

/* Everything in the file that fits. */
static void read_file(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "r");

	out[0] = '\0';
	if (f == NULL)
		return;
	out[fread(out, 1, size - 1, f)] = '\0';
	fclose(f);
}

void rig_run(const char *const *arguments, struct rig_run *out)
{
	struct rig_text output = rig_printf("%s/run.XXXXXX", rig_root());
	const char *argv[32] = { rig_binary() };
	size_t n = 1;
	int status;
	pid_t pid;

	while (arguments[n - 1] != NULL && n < 31) {
		argv[n] = arguments[n - 1];
		n++;
	}
	close(mkstemp(output.s));
	pid = fork();
	cr_assert(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0)
		run_binary(output.s, argv);
	cr_assert(waitpid(pid, &status, 0) == pid);
	out->status = plain_status(status);
	read_file(output.s, out->text, sizeof(out->text));
	unlink(output.s);
}

/* --- the log --- */

int rig_log_count(const struct rig *rig, const char *pattern)
{
	FILE *f = fopen(rig_printf("%s/" RIG_LOG, rig->dir).s, "r");
	char *line = NULL;
	size_t cap = 0;
	int count = 0;
	regex_t re;

	cr_assert(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) == 0, "bad pattern: %s", pattern);
	while (f != NULL && getline(&line, &cap, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		count += regexec(&re, line, 0, NULL, 0) == 0;
	}
	if (f != NULL)
		fclose(f);
	free(line);
	regfree(&re);
	return count;
}

bool rig_log_contains(const struct rig *rig, const char *pattern)
{
	return rig_log_count(rig, pattern) > 0;
}

bool rig_wait_log(const struct rig *rig, const char *pattern, int wait_ms)
{
	int64_t deadline = rig_now_ms() + wait_ms;

	while (!rig_log_contains(rig, pattern)) {
		if (rig_left_ms(deadline) == 0)
			return false;
		rig_nap();
	}
	return true;
}
