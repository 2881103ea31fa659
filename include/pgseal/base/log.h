/* The log: one line per event, `time level thread area id: event: key=value ...`.
 *
 * The sink is the process's; logging is safe from every thread. Peer text is quoted by the caller
 * (bytes.h), secrets and query text never come here. */
#ifndef PGSEAL_BASE_LOG_H
#define PGSEAL_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

#define LOG_AREA_TABLE(X) \
	X(LOG_PROCESS, "process") \
	X(LOG_CONFIG, "config")   \
	X(LOG_GATE, "gate")       \
	X(LOG_TLS, "tls")         \
	X(LOG_SESSION, "session") \
	X(LOG_SERVER, "server")   \
	X(LOG_POOL, "pool")       \
	X(LOG_CANCEL, "cancel")   \
	X(LOG_CONSOLE, "console") \
	X(LOG_HTTP, "http")
enum log_area {
#define X(number, text) number,
	LOG_AREA_TABLE(X)
#undef X
};

/* Where lines go. path NULL: stderr. syslog: in addition to the file when a path is set, instead of
 * stderr otherwise (PgBouncer's meaning). Strings are copied. */
struct log_sink {
	const char *path;
	bool syslog;
	const char *syslog_ident;
	const char *syslog_facility; /* "daemon", "local0", ... */
	int verbose;                 /* 0: up to info; 1 and more: debug too */
};

/* Install or replace the sink; on error the old one stays. ERR_IO (path cannot be opened),
 * ERR_RANGE (no such facility). Control thread. */
enum err log_open(const struct log_sink *sink, struct errbuf *why) MUST_CHECK;
/* Open the same path anew after rotation; on failure keep the old file and say so. Control thread. */
void log_reopen(void);
void log_close(void);

/* Name of the calling thread in its lines: "ctl", "g1", "w3". Cut at 7 characters. */
void log_thread(const char *name);

bool log_enabled(enum log_level level);

/* Ids of sessions and servers: the owner's index in the high bits, a serial below; 0 prints "-". */
#define LOG_ID_OWNER_SHIFT 40
#define LOG_ID(owner, serial) (((uint64_t)(owner) << LOG_ID_OWNER_SHIFT) | (serial))
struct log_id_text {
	char s[32];
};
struct log_id_text log_id_text(uint64_t id); /* "3-1042" */
bool log_id_parse(const char *s, uint64_t *out);

void log_line(enum log_level level, enum log_area area, uint64_t id, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

#define log_error(area, id, ...)   log_line(LOG_LEVEL_ERROR, area, id, __VA_ARGS__)
#define log_warning(area, id, ...) log_line(LOG_LEVEL_WARNING, area, id, __VA_ARGS__)
#define log_info(area, id, ...)    log_line(LOG_LEVEL_INFO, area, id, __VA_ARGS__)
#define log_debug(area, id, ...)                                              \
	do {                                                                  \
		if (log_enabled(LOG_LEVEL_DEBUG))                             \
			log_line(LOG_LEVEL_DEBUG, area, id, __VA_ARGS__);     \
	} while (0)

#endif
