#include <criterion/criterion.h>
#include <errno.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pgseal/base/log.h"

static char dir[] = "/tmp/pgseal-test-log.XXXXXX";
static char path[64], rotated[64];

static void start(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(rotated, sizeof(rotated), "%s/log.1", dir);
}

static void stop(void)
{
	log_close();
	unlink(path);
	unlink(rotated);
	rmdir(dir);
}

TestSuite(log, .init = start, .fini = stop);

static void open_log(const char *to, int verbose)
{
	struct log_sink sink = { .path = to, .verbose = verbose };

	cr_assert_eq(log_open(&sink, NULL), ERR_OK);
}

/* The file's text; static, of the last call. */
static const char *text_of(const char *file)
{
	static char text[16384];
	FILE *f = fopen(file, "r");

	cr_assert_not_null(f, "%s", file);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static bool matches(const char *text, const char *pattern)
{
	regex_t re;
	bool found;

	cr_assert_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	found = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

#define TIME "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\\.[0-9]{3} UTC "

Test(log, line_has_time_level_thread_area_and_id)
{
	open_log(path, 0);
	log_thread("w3");
	log_info(LOG_SESSION, LOG_ID(3, 1042), "login: key=%s", "value");
	cr_assert(matches(text_of(path), TIME "info w3 session 3-1042: login: key=value\n$"), "%s",
	          text_of(path));
}

Test(log, id_nought_is_a_dash_and_long_thread_names_are_cut)
{
	open_log(path, 0);
	log_thread("much-too-long");
	log_error(LOG_PROCESS, 0, "start");
	cr_assert(matches(text_of(path), TIME "error much-to process -: start\n$"), "%s",
	          text_of(path));
}

Test(log, debug_needs_verbose)
{
	open_log(path, 0);
	cr_assert(!log_enabled(LOG_LEVEL_DEBUG));
	log_debug(LOG_POOL, 0, "hidden");
	open_log(path, 1);
	cr_assert(log_enabled(LOG_LEVEL_DEBUG));
	log_debug(LOG_POOL, 0, "shown");
	cr_assert_null(strstr(text_of(path), "hidden"));
	cr_assert_not_null(strstr(text_of(path), "debug - pool -: shown"));
}

Test(log, one_event_is_one_line_and_long_ones_are_cut)
{
	const char *text, *end;

	open_log(path, 0);
	log_info(LOG_TLS, 0, "a\nb\rc");
	log_info(LOG_TLS, 0, "%5000d", 1);
	text = text_of(path);
	cr_assert_not_null(strstr(text, ": a?b?c\n"));
	end = strstr(text, "...\n");
	cr_assert_not_null(end);
	cr_assert_eq(end[4], '\0');
	cr_assert_lt(strlen(text), 2200);
}

Test(log, reopen_follows_rotation)
{
	open_log(path, 0);
	log_info(LOG_PROCESS, 0, "one");
	cr_assert_eq(rename(path, rotated), 0);
	log_info(LOG_PROCESS, 0, "two");
	log_reopen();
	log_info(LOG_PROCESS, 0, "three");
	cr_assert_not_null(strstr(text_of(rotated), "two"));
	cr_assert_null(strstr(text_of(rotated), "three"));
	cr_assert_not_null(strstr(text_of(path), "three"));
}

Test(log, failed_reopen_keeps_the_old_file)
{
	open_log(path, 0);
	cr_assert_eq(rename(path, rotated), 0);
	cr_assert_eq(mkdir(path, 0700), 0);
	log_reopen();
	log_info(LOG_PROCESS, 0, "still here");
	cr_assert_eq(rmdir(path), 0);
	cr_assert_not_null(strstr(text_of(rotated), "log not reopened: file="));
	cr_assert_not_null(strstr(text_of(rotated), "still here"));
}

Test(log, failed_open_keeps_the_old_sink)
{
	struct log_sink missing = { .path = "/nonexistent/log" };
	struct log_sink facility = { .syslog = true, .syslog_facility = "local8" };
	struct errbuf why;

	open_log(path, 0);
	cr_assert_eq(log_open(&missing, &why), ERR_IO);
	cr_assert_not_null(strstr(why.text, "/nonexistent/log"));
	cr_assert_eq(log_open(&facility, &why), ERR_RANGE);
	cr_assert_not_null(strstr(why.text, "local8"));
	log_info(LOG_PROCESS, 0, "still here");
	cr_assert_not_null(strstr(text_of(path), "still here"));
}

Test(log, new_path_replaces_the_old_and_syslog_goes_beside)
{
	struct log_sink both = { .path = rotated,
		                 .syslog = true,
		                 .syslog_ident = "pgseal-test",
		                 .syslog_facility = "local7" };

	open_log(path, 0);
	cr_assert_eq(log_open(&both, NULL), ERR_OK);
	log_debug(LOG_PROCESS, 0, "nobody's");
	log_info(LOG_PROCESS, 0, "second file");
	cr_assert_null(strstr(text_of(path), "second"));
	cr_assert_not_null(strstr(text_of(rotated), "second"));
}

Test(log, a_full_disk_costs_lines_and_says_how_many)
{
	struct rlimit none = { 0, RLIM_INFINITY }, old;
	const char *text;

	open_log(path, 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	setrlimit(RLIMIT_FSIZE, &none);
	errno = ENOENT;
	log_info(LOG_PROCESS, 0, "lost one");
	log_info(LOG_PROCESS, 0, "lost two");
	cr_assert_eq(errno, ENOENT, "logging leaves errno alone");
	none.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &none);
	log_info(LOG_PROCESS, 0, "back again");
	setrlimit(RLIMIT_FSIZE, &old);
	text = text_of(path);
	cr_assert_null(strstr(text, "lost one"));
	cr_assert(matches(text, TIME "warning - process -: log lines lost: count=2\n"), "%s", text);
	cr_assert_not_null(strstr(text, "back again\n"));
}

static const struct {
	const char *in;
	bool ok;
	uint64_t want;
} id_cases[] = {
	{ "3-1042", true, LOG_ID(3, 1042) },
	{ "0-1", true, LOG_ID(0, 1) },
	{ "16777215-1099511627775", true, UINT64_MAX },
	{ "16777216-1", false, 0 },
	{ "1-1099511627776", false, 0 },
	{ "0-0", false, 0 },
	{ "-", false, 0 },
	{ "", false, 0 },
	{ "7", false, 0 },
	{ "3-", false, 0 },
	{ "-3-4", false, 0 },
	{ "3--4", false, 0 },
	{ "3-4x", false, 0 },
	{ " 3-4", false, 0 },
	{ "00000000000000000003-4", false, 0 },
};

Test(log_id, parses_what_it_prints_and_nothing_else)
{
	for (size_t i = 0; i < sizeof(id_cases) / sizeof(id_cases[0]); i++) {
		uint64_t id = 0;

		cr_expect_eq(log_id_parse(id_cases[i].in, &id), id_cases[i].ok, "\"%s\"",
		             id_cases[i].in);
		cr_expect_eq(id, id_cases[i].want, "\"%s\"", id_cases[i].in);
		if (id_cases[i].ok)
			cr_expect_str_eq(log_id_text(id).s, id_cases[i].in);
	}
	cr_expect_str_eq(log_id_text(0).s, "-");
}
