#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "pgseal/base/bytes.h"
#include "pgseal/base/clock.h"
#include "pgseal/base/log.h"

#define LINE_BYTES 2048

/* The sink. What other threads read is atomic; the rest is the control thread's.
 *
 * The file has one descriptor number for the life of the process: a new file is put under the
 * number by dup3, which is atomic, so that a thread about to write never holds a number that was
 * closed and given to somebody's socket. */
static struct {
	atomic_int fd; /* where lines go: STDERR_FILENO, the file's number, -1 (syslog alone) */
	atomic_bool syslog;
	atomic_int verbose;
	atomic_uint lost; /* lines that could not be written since the last that could */
	atomic_bool torn; /* the last write ended within a line */
	int number;       /* the file's; -1 before the first file */
	char *path;       /* owned; NULL: no file */
} sink = { .fd = STDERR_FILENO, .number = -1 };

/* syslog() reads the ident that openlog() was given, so both go under this lock. */
static pthread_mutex_t syslog_lock = PTHREAD_MUTEX_INITIALIZER;
static char syslog_ident[64];

static _Thread_local char thread_name[8] = "-";

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARNING] = { "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

static const char *const areas[] = {
#define X(number, text) [number] = text,
	LOG_AREA_TABLE(X)
#undef X
};

static const struct {
	const char *name;
	int number;
} facilities[] = {
	{ "auth", LOG_AUTH },     { "authpriv", LOG_AUTHPRIV }, { "cron", LOG_CRON },
	{ "daemon", LOG_DAEMON }, { "ftp", LOG_FTP },           { "kern", LOG_KERN },
	{ "lpr", LOG_LPR },       { "mail", LOG_MAIL },         { "news", LOG_NEWS },
	{ "syslog", LOG_SYSLOG }, { "user", LOG_USER },         { "uucp", LOG_UUCP },
	{ "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 },     { "local2", LOG_LOCAL2 },
	{ "local3", LOG_LOCAL3 }, { "local4", LOG_LOCAL4 },     { "local5", LOG_LOCAL5 },
	{ "local6", LOG_LOCAL6 }, { "local7", LOG_LOCAL7 },
};

/* --- the sink --- */

static int facility_number(const char *name)
{
	for (size_t i = 0; name != NULL && i < sizeof(facilities) / sizeof(facilities[0]); i++)
		if (strcmp(facilities[i].name, name) == 0)
			return facilities[i].number;
	return -1;
}

/* Non-blocking: a FIFO or terminal as log file must not stop the process. Regular files ignore it.
 */
static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

/* Put the open file under the sink's number and close fd, success or not. */
static bool take_file(int fd)
{
	bool done = true;

	if (sink.number < 0) {
		sink.number = fd;
		return true;
	}
	if (dup3(fd, sink.number, O_CLOEXEC) < 0)
		done = false;
	close(fd);
	return done;
}

static void start_syslog(const char *ident, int facility)
{
	pthread_mutex_lock(&syslog_lock);
	snprintf(syslog_ident, sizeof(syslog_ident), "%s", ident == NULL ? "pgseal" : ident);
	openlog(syslog_ident, LOG_PID | LOG_NDELAY, facility);
	pthread_mutex_unlock(&syslog_lock);
}

/* The part of log_open that may fail half-way: path is the new sink's, owned by it on success. */
static enum err open_path(char *path, struct errbuf *why)
{
	int fd = path == NULL ? -1 : open_file(path);

	if (path != NULL && (fd < 0 || !take_file(fd)))
		return err_set(why, ERR_IO, "cannot open log file \"%s\": %s", quote_str(path).s,
		               strerror(errno));
	free(sink.path);
	sink.path = path;
	return ERR_OK;
}

enum err log_open(const struct log_sink *want, struct errbuf *why)
{
	int facility = facility_number(want->syslog_facility);
	char *path = NULL;
	enum err rc;

	if (want->syslog && facility < 0)
		return err_set(why, ERR_RANGE, "no syslog facility is called \"%s\"",
		               quote_str(want->syslog_facility).s);
	if (want->path != NULL && *want->path != '\0' && (path = strdup(want->path)) == NULL)
		return err_set(why, ERR_NO_MEMORY, "out of memory");
	if ((rc = open_path(path, why)) != ERR_OK) {
		free(path);
		return rc;
	}
	if (want->syslog)
		start_syslog(want->syslog_ident, facility);
	atomic_store(&sink.syslog, want->syslog);
	atomic_store(&sink.verbose, want->verbose);
	if (path != NULL)
		atomic_store(&sink.fd, sink.number);
	else
		atomic_store(&sink.fd, want->syslog ? -1 : STDERR_FILENO);
	return ERR_OK;
}

void log_reopen(void)
{
	int fd;

	if (sink.path == NULL)
		return;
	fd = open_file(sink.path);
	if (fd < 0 || !take_file(fd))
		log_error(LOG_PROCESS, 0, "log not reopened: file=\"%s\" reason=\"%s\"",
		          quote_str(sink.path).s, strerror(errno));
}

void log_close(void)
{
	atomic_store(&sink.fd, STDERR_FILENO);
	atomic_store(&sink.syslog, false);
	/* the number stays taken, see above, but lets go of the file */
	if (sink.number >= 0)
		dup3(STDERR_FILENO, sink.number, O_CLOEXEC);
	free(sink.path);
	sink.path = NULL;
	pthread_mutex_lock(&syslog_lock);
	closelog();
	pthread_mutex_unlock(&syslog_lock);
}

void log_thread(const char *name)
{
	snprintf(thread_name, sizeof(thread_name), "%s", name);
}

bool log_enabled(enum log_level level)
{
	return level != LOG_LEVEL_DEBUG ||
	       atomic_load_explicit(&sink.verbose, memory_order_relaxed) > 0;
}

/* --- ids --- */

#define SERIAL_MAX ((INT64_C(1) << LOG_ID_OWNER_SHIFT) - 1)
#define OWNER_MAX ((INT64_C(1) << (64 - LOG_ID_OWNER_SHIFT)) - 1)

struct log_id_text log_id_text(uint64_t id)
{
	struct log_id_text text = { "-" };

	if (id != 0)
		snprintf(text.s, sizeof(text.s), "%" PRIu64 "-%" PRIu64, id >> LOG_ID_OWNER_SHIFT,
		         id & (uint64_t)SERIAL_MAX);
	return text;
}

bool log_id_parse(const char *s, uint64_t *out)
{
	const char *dash = strchr(s, '-');
	char owner_text[16];
	int64_t owner, serial;

	if (dash == NULL || (size_t)(dash - s) >= sizeof(owner_text))
		return false;
	snprintf(owner_text, sizeof(owner_text), "%.*s", (int)(dash - s), s);
	if (parse_int(owner_text, 0, OWNER_MAX, &owner) != ERR_OK || dash[1] == '-' ||
	    parse_int(dash + 1, 0, SERIAL_MAX, &serial) != ERR_OK || (owner | serial) == 0)
		return false;
	*out = LOG_ID(owner, (uint64_t)serial);
	return true;
}

/* --- lines --- */

struct line {
	char s[LINE_BYTES];
	size_t len;
};

static void line_add(struct line *line, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void line_vadd(struct line *line, const char *fmt, va_list ap)
{
	size_t room = sizeof(line->s) - line->len;
	int n = vsnprintf(line->s + line->len, room, fmt, ap);

	if (n < 0)
		return;
	line->len += (size_t)n < room ? (size_t)n : room - 1;
}

static void line_add(struct line *line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line_vadd(line, fmt, ap);
	va_end(ap);
}

static void line_add_time(struct line *line)
{
	usec_t now = clock_wall_us();
	time_t seconds = now / USEC_PER_SEC;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	line_add(line, "%04d-%02d-%02d %02d:%02d:%02d.%03d UTC ", tm.tm_year + 1900, tm.tm_mon + 1,
	         tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
	         (int)(now % USEC_PER_SEC / USEC_PER_MS));
}

/* End the line: marked when cut, and one line whatever the arguments held. */
static void line_end(struct line *line)
{
	if (line->len == sizeof(line->s) - 1)
		memcpy(line->s + line->len - 4, "...", 3);
	else
		line->len++;
	line->s[line->len - 1] = '\n';
	for (size_t i = 0; i + 1 < line->len; i++)
		if ((unsigned char)line->s[i] < 0x20 || line->s[i] == 0x7f)
			line->s[i] = '?';
}

static bool write_whole(int fd, const struct line *line)
{
	ssize_t n;

	while ((n = write(fd, line->s, line->len)) < 0 && errno == EINTR)
		;
	if (n > 0 && (size_t)n < line->len)
		atomic_store(&sink.torn, true);
	return n == (ssize_t)line->len;
}

/* After trouble, the first line that gets through again tells how many did not. */
static void write_lost(int fd)
{
	unsigned lost = atomic_exchange(&sink.lost, 0);
	struct line line = { .len = 0 };

	if (lost == 0)
		return;
	if (atomic_load(&sink.torn))
		line_add(&line, " [torn] ");
	line_add_time(&line);
	line_add(&line, "warning %s process -: log lines lost: count=%u", thread_name, lost);
	line_end(&line);
	if (write_whole(fd, &line))
		atomic_store(&sink.torn, false);
	else
		atomic_fetch_add(&sink.lost, lost);
}

/* A full disk or a broken one costs lines, never the process. */
static void write_line(int fd, const struct line *line)
{
	if (atomic_load_explicit(&sink.lost, memory_order_relaxed) > 0)
		write_lost(fd);
	if (!write_whole(fd, line))
		atomic_fetch_add(&sink.lost, 1);
}

static void write_syslog(enum log_level level, const char *text, size_t len)
{
	pthread_mutex_lock(&syslog_lock);
	syslog(levels[level].priority, "%.*s", (int)len, text);
	pthread_mutex_unlock(&syslog_lock);
}

void log_line(enum log_level level, enum log_area area, uint64_t id, const char *fmt, ...)
{
	int saved_errno = errno, fd = atomic_load(&sink.fd);
	struct line line;
	size_t body; /* where the part for syslog begins, which has time and level of its own */
	va_list ap;

	if (!log_enabled(level))
		return;
	line.len = 0;
	line_add_time(&line);
	line_add(&line, "%s ", levels[level].name);
	body = line.len;
	line_add(&line, "%s %s %s: ", thread_name, areas[area], log_id_text(id).s);
	va_start(ap, fmt);
	line_vadd(&line, fmt, ap);
	va_end(ap);
	line_end(&line);
	if (fd >= 0)
		write_line(fd, &line);
	if (atomic_load(&sink.syslog))
		write_syslog(level, line.s + body, line.len - 1 - body);
	errno = saved_errno;
}
