/* Messages that we write or read ourselves. protocol: Message Formats, Error and Notice Fields. */
#ifndef PGSEAL_WIRE_MESSAGE_H
#define PGSEAL_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "pgseal/base/bytes.h"
#include "pgseal/wire/writer.h"

/* SQLSTATEs that pgseal itself raises; PostgreSQL's names. */
#define SQLSTATE_SUCCESS "00000"
#define SQLSTATE_WARNING "01000"
#define SQLSTATE_PROTOCOL_VIOLATION "08P01"
#define SQLSTATE_CONNECTION_FAILURE "08006"
#define SQLSTATE_CANNOT_CONNECT_NOW "57P03"
#define SQLSTATE_ADMIN_SHUTDOWN "57P01"
#define SQLSTATE_QUERY_CANCELED "57014"
#define SQLSTATE_INVALID_AUTHORIZATION "28000"
#define SQLSTATE_UNDEFINED_DATABASE "3D000"
#define SQLSTATE_TOO_MANY_CONNECTIONS "53300"
#define SQLSTATE_OUT_OF_MEMORY "53200"
#define SQLSTATE_CONFIGURATION_LIMIT_EXCEEDED "53400"
#define SQLSTATE_PROGRAM_LIMIT_EXCEEDED "54000"
#define SQLSTATE_FEATURE_NOT_SUPPORTED "0A000"
#define SQLSTATE_CANT_CHANGE_RUNTIME_PARAM "55P02"
#define SQLSTATE_NOT_IN_STATE "55000" /* object_not_in_prerequisite_state */
#define SQLSTATE_SYNTAX_ERROR "42601"
#define SQLSTATE_INVALID_PARAMETER_VALUE "22023"
#define SQLSTATE_READ_ONLY_SQL_TRANSACTION "25006"
#define SQLSTATE_UNDEFINED_OBJECT "42704"
#define SQLSTATE_INSUFFICIENT_PRIVILEGE "42501"
#define SQLSTATE_INVALID_SQL_STATEMENT_NAME "26000"
#define SQLSTATE_INVALID_CURSOR_NAME "34000"
#define SQLSTATE_DUPLICATE_PSTATEMENT "42P05"

/* An ErrorResponse or NoticeResponse to write. NULL fields are left out. */
struct message_error {
	const char *severity; /* "ERROR", "FATAL", "NOTICE", ... */
	const char *sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
	const char *routine; /* where PostgreSQL would raise it, if drivers look at that */
};
/* type 'E' or 'N'. Fields S, V, C, M, D, H, R, and F: "pgseal", to tell who raised it. */
void message_write_error(struct writer *w, char type, const struct message_error *e);

/* The same taken apart; each span is empty when the field is missing. Borrowed. */
struct message_error_view {
	struct bytes severity; /* V, or S from old servers */
	struct bytes sqlstate;
	struct bytes message;
	struct bytes detail;
	struct bytes hint;
};
/* body: behind the header. ERR_WIRE_FORMAT. Missing SQLSTATE is not an error. */
enum err message_read_error(struct bytes body, struct message_error_view *out) MUST_CHECK;

void message_write_auth_ok(struct writer *w);
void message_write_parameter(struct writer *w, const char *name, const char *value);
void message_write_key(struct writer *w, uint32_t pid, struct bytes secret);
void message_write_ready(struct writer *w, char status); /* 'I', 'T', 'E' */
void message_write_query(struct writer *w, const char *sql);
/* NegotiateProtocolVersion; newest: version we speak, WIRE_PROTOCOL_*. */
void message_write_negotiate(struct writer *w, uint32_t newest, const char *const *options,
                             size_t count);
void message_write_command_complete(struct writer *w, const char *tag);
/* Rows of text for consoles: format 0, table and type oid given. */
struct message_column {
	const char *name;
	uint32_t type_oid; /* 25 text, 20 int8, 23 int4, 1700 numeric, 16 bool */
};
void message_write_row_description(struct writer *w, const struct message_column *cols, size_t n);
/* values[i] NULL is SQL NULL. */
void message_write_data_row(struct writer *w, const char *const *values, size_t n);

/* DataRow body of n columns; of NULL `at` is NULL. Borrowed. ERR_WIRE_FORMAT. */
enum err message_read_row(struct bytes body, struct bytes *columns, size_t n) MUST_CHECK;

/* ParameterStatus body. ERR_WIRE_FORMAT. NUL-terminated spans, borrowed. */
enum err message_read_parameter(struct bytes body, struct bytes *name,
                                struct bytes *value) MUST_CHECK;

#endif
