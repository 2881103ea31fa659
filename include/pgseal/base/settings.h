/* The settings of the [pgseal] section: one row each in settings.def, one field each here.
 * Parsing, SHOW CONFIG, the sample file and the manual page all come from the row. */
#ifndef PGSEAL_BASE_SETTINGS_H
#define PGSEAL_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pgseal/base/clock.h"
#include "pgseal/base/err.h"
#include "pgseal/base/report.h"

enum pool_mode { POOL_TRANSACTION, POOL_SESSION };
enum pin_mode { PIN_AUTO, PIN_WARN, PIN_OFF };
/* When a server connection is cleaned before another client gets it: at which border between clients. */
enum server_reset {
	SERVER_RESET_SUSPECTED, /* at none, only where a text of the client before made it necessary */
	SERVER_RESET_IDENTITY,  /* from one identity to another */
	SERVER_RESET_CLIENT,    /* from one client to another */
	SERVER_RESET_CLOSE,     /* from one identity to another, and then it is closed */
};

struct settings {
	/* where */
	char *listen_addr;
	int64_t listen_port;
	char *unix_socket_dir;
	int64_t unix_socket_mode;
	char *unix_socket_group;
	int64_t listen_backlog;
	/* process */
	char *user;
	char *pidfile;
	int64_t workers;
	int64_t gates;
	usec_t shutdown_timeout;
	/* log */
	char *logfile;
	bool syslog;
	char *syslog_ident;
	char *syslog_facility;
	bool log_connections;
	bool log_disconnections;
	bool log_pooler_errors;
	bool log_stats;
	int64_t verbose;
	usec_t stats_period;
	/* metrics */
	char *metrics_listen;
	/* pools */
	int64_t pool_mode; /* enum pool_mode */
	int64_t default_pool_size;
	int64_t min_pool_size;
	int64_t reserve_pool_size;
	usec_t reserve_pool_timeout;
	int64_t max_client_conn;
	int64_t max_db_connections;
	int64_t max_db_client_connections;
	int64_t max_user_connections;
	int64_t max_user_client_connections;
	int64_t max_host_connections;
	int64_t max_replication_connections;
	int64_t max_login_clients;
	usec_t query_wait_timeout;
	usec_t query_wait_notify;
	usec_t query_timeout;
	usec_t cancel_wait_timeout;
	usec_t transaction_timeout;
	usec_t idle_transaction_timeout;
	usec_t client_idle_timeout;
	int64_t server_reset; /* enum server_reset */
	char *server_reset_query;
	bool server_reset_query_always;
	usec_t server_lifetime;
	usec_t server_idle_timeout;
	char *server_check_query;
	usec_t server_check_delay;
	bool server_fast_close;
	bool server_round_robin;
	usec_t server_connect_timeout;
	usec_t server_login_retry;
	usec_t client_login_timeout;
	int64_t max_packet_size;
	int64_t max_prepared_statements;
	int64_t max_client_prepared_memory;
	int64_t max_client_parameters;
	int64_t max_client_parameter_memory;
	int64_t pin; /* enum pin_mode */
	int64_t max_pinned_servers;
	usec_t greeting_max_age;
	usec_t greeting_wait;
	usec_t lastval_hold;
	char *ignore_startup_parameters;
	char *track_extra_parameters;
	bool application_name_add_host;
	/* TCP */
	bool tcp_keepalive;
	usec_t tcp_keepidle;
	usec_t tcp_keepintvl;
	int64_t tcp_keepcnt;
	usec_t tcp_user_timeout;
	int64_t tcp_socket_buffer;
	bool tcp_defer_accept;
	bool cancel_require_tls;
	/* TLS, clients */
	int64_t client_tls_sslmode;
	char *client_tls_cert_file;
	char *client_tls_key_file;
	char *client_tls_ca_file;
	char *client_tls_crl_file;
	char *client_tls_protocols;
	char *client_tls_ciphers;
	char *client_tls13_ciphers;
	char *client_tls_ecdhcurve;
	/* TLS, servers */
	int64_t server_tls_sslmode;
	char *server_tls_ca_file;
	char *server_tls_cert_file;
	char *server_tls_key_file;
	char *server_tls_protocols;
};

enum setting_type {
	SETTING_BOOL,
	SETTING_INT,
	SETTING_OCTAL,
	SETTING_DURATION,
	SETTING_MILLIS, /* a duration, in milliseconds where no unit is given */
	SETTING_SIZE,
	SETTING_STRING,
	SETTING_ENUM, /* value is the index in `choices` */
};
enum setting_apply {
	APPLY_RELOAD,  /* a reload puts it into force */
	APPLY_RESTART, /* read once at start; a reload that changes it says so */
};

struct setting {
	const char *name;
	enum setting_type type;
	size_t offset; /* of the field in struct settings */
	const char *initial;
	const char *min;     /* same syntax as values; "" none */
	const char *max;     /* likewise; SETTING_STRING with choices: how many words */
	const char *choices; /* words separated by '|'. SETTING_ENUM: in enum order; SETTING_STRING:
			      * the value is a comma separated list of them; "" anything */
	enum setting_apply apply;
	const char *group; /* heading in the sample and the manual page */
	const char *doc;   /* one paragraph, roff-free */
};

/* The table; settings_count rows. */
extern const struct setting settings_table[];
extern const size_t settings_count;
const struct setting *settings_find(const char *name); /* NULL: unknown */

/* All defaults. ERR_NO_MEMORY. */
enum err settings_init(struct settings *s) MUST_CHECK;
/* *to is written whatever it was before, for settings_fini only on success. ERR_NO_MEMORY. */
enum err settings_copy(struct settings *to, const struct settings *from) MUST_CHECK;
void settings_fini(struct settings *s);

/* Parse and store one value. ERR_SYNTAX, ERR_RANGE, ERR_NO_MEMORY, with *why naming the remedy;
 * the old value stays. */
enum err settings_set(struct settings *s, const struct setting *row, const char *value,
                      struct errbuf *why) MUST_CHECK;
/* The same for values of other sections, whose rows need no offset: the number that a value stands for. Not
 * for SETTING_STRING. ERR_SYNTAX, ERR_RANGE. */
enum err settings_number(const struct setting *row, const char *value, int64_t *out,
                         struct errbuf *why) MUST_CHECK;
/* Current value as SHOW CONFIG prints it, into out (cut if need be); returns out. */
const char *settings_text(const struct settings *s, const struct setting *row, char *out,
                          size_t size);
/* Do both hold the same value in this row? */
bool settings_same(const struct settings *a, const struct settings *b, const struct setting *row);

/* What became of a name of PgBouncer's that is not in the table. NULL: never heard of it.
 * *accepted: harmless here, take it with a notice; otherwise refuse with the returned remedy. */
const char *settings_foreign(const char *name, bool *accepted);

/* The table as the commented sample section, "[pgseal]" and all, and as the roff list of
 * pgseal.ini(5). */
void settings_print_sample(FILE *to);
void settings_print_man(FILE *to);

#endif
