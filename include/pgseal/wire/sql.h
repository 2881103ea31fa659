/* What the text of a query shows of what it leaves behind in its session, and which prepared
 * statements it names. PostgreSQL: "Lexical Structure" and the synopses of SET, PREPARE and so on.
 *
 * Only the text is looked at. Not seen is what is done by functions, procedures, views, rules and
 * operators that the server has, by what is in literals that functions run (query_to_xml, ts_stat)
 * and by EXECUTE of a statement that another text has prepared. Neither is what has no trait, as
 * nothing but the end of the session undoes it: LOAD, temporary replication slots, a backup that
 * pg_backup_start began, pg_replication_origin_session_setup, connections of dblink. */
#ifndef PGSEAL_WIRE_SQL_H
#define PGSEAL_WIRE_SQL_H

#include "pgseal/base/bytes.h"

/* Bytes of a text that are read, so that a client cannot choose how long it takes. */
#define SQL_READ_MAX ((size_t)256 * 1024)

/* What a text may do to its session. Texts that PostgreSQL would refuse may have any, and any may
 * be one too many. */
enum sql_trait {
	SQL_SETS = 1 << 0,     /* sets or resets parameters for longer than a transaction */
	SQL_TEMP = 1 << 1,     /* may make a temporary object, or lead search_path to pg_temp */
	SQL_LOCKS = 1 << 2,    /* takes or gives back an advisory lock of the session */
	SQL_HOLDS = 1 << 3,    /* DECLARE ... WITH HOLD */
	SQL_LISTENS = 1 << 4,  /* LISTEN, UNLISTEN */
	SQL_PREPARES = 1 << 5, /* PREPARE name */
	SQL_NAMES = 1 << 6,    /* PREPARE, EXECUTE or DEALLOCATE of a name */
	SQL_FORGETS = 1 << 7, /* may end what others of these stand for: CLOSE, DEALLOCATE, DISCARD,
	                        * DROP, RESET ALL, UNLISTEN, pg_advisory_unlock() */
	SQL_FORGETS_STATEMENTS = 1 << 8, /* DEALLOCATE ALL, DISCARD ALL */
	SQL_SETS_LOCAL = 1 << 9,         /* sets parameters up to the end of the transaction */
	/* May do anything that any of these stands for: names in Unicode escapes, DO, what is
	 * beyond SQL_READ_MAX, and the few characters of which only the server knows what they
	 * mean. */
	SQL_UNKNOWN = 1 << 10,
	SQL_ASKS_SEQUENCE = 1 << 11, /* calls currval() or lastval() */
	SQL_DRAWS = 1 << 12, /* may draw from a sequence: INSERT, COPY, MERGE, SET x = DEFAULT in an
	                      * UPDATE, ALTER TABLE, nextval(); or sets one: setval() */
	SQL_SEEDS = 1 << 13, /* setseed(), SET seed, which lasts even if it is LOCAL */
	/* May lead a parameter back to the value that it had after the login, if only up to the end
	 * of the transaction: RESET, DISCARD ALL, SET x TO DEFAULT, SET x FROM CURRENT,
	 * set_config() to what may be NULL. */
	SQL_RESETS = 1 << 14,
	/* Makes objects where search_path leads, which may be pg_temp: CREATE, SELECT INTO. */
	SQL_CREATES = 1 << 15,
};

/* How PostgreSQL reads a text depends on two parameters. 0: their usual values. */
enum sql_backslashes {
	SQL_BACKSLASHES_PLAIN,
	SQL_BACKSLASHES_ESCAPE, /* in plain '...' too: standard_conforming_strings is off */
	SQL_BACKSLASHES_UNKNOWN,
};

/* Of the client. Texts are converted before they are read, so that the second byte of a character
 * is neither backslash nor bracket, whatever it looks like. */
enum sql_encoding {
	SQL_ENCODING_SAFE, /* bytes that look like ASCII are */
	SQL_ENCODING_SJIS, /* 0x81..0x9f and 0xe0..0xfc take one more byte */
	SQL_ENCODING_WIDE, /* 0x81..0xfe do: BIG5, GBK, UHC, JOHAB, GB18030 (two pairs) */
	SQL_ENCODING_UNKNOWN,
};

struct sql_reading {
	enum sql_backslashes backslashes;
	enum sql_encoding encoding;
};

/* By the values of these parameters, as the server or a client spells them. NULL, and what
 * PostgreSQL does not know: unknown. */
struct sql_reading sql_reading_of(const char *standard_conforming_strings,
                                  const char *client_encoding);

/* All traits of a text of any number of statements. Where `how` leaves something open that matters
 * to this text, those of all readings together. Never fails; time is linear in the length. */
unsigned sql_traits(struct bytes text, struct sql_reading how);
/* Does PostgreSQL look into it only when it carries it out, and is there but one way to read it? No rules of when it is
 * prepared matter to it then. */
bool sql_is_command(struct bytes text);
/* Is there but one way to read this text? */
bool sql_certain(struct bytes text, struct sql_reading how);

enum sql_mention_kind {
	SQL_PREPARE, /* these three: of a prepared statement */
	SQL_EXECUTE,
	SQL_DEALLOCATE,
	SQL_DEALLOCATE_ALL,
	SQL_DISCARD_ALL,
	SQL_SET,   /* a parameter, which has a value of its own now */
	SQL_SET_LOCAL, /* the same up to the end of the transaction; without a name if that cannot be told */
	SQL_RESET, /* the same, to what it was when the session began */
	SQL_RESET_ALL,
	SQL_SET_UNKNOWN, /* set or reset; which one cannot be told, or its name does not fit */
	SQL_MENTION_KINDS,
};

#define SQL_NAME_MAX 63 /* bytes that PostgreSQL heeds of a name: NAMEDATALEN - 1 */

struct sql_mention {
	enum sql_mention_kind kind;
	/* The name as it stands in the text, quotes and dots included. len 0: it does not stand
	 * there, at is where it would. */
	size_t at, len;
	/* It may lead the parameter back to the value that it had after the login. */
	bool resets;
	/* Of SQL_SET, SQL_SET_LOCAL: where the value stands if it is one number, one word in lower case, or one literal
	 * that has its value between its quotes byte for byte (these are not in it). len 0: it is anything else. */
	size_t value_at, value_len;
	/* What the name means. Of a statement: without quotes, in lower case if there were none,
	 * cut where PostgreSQL cuts; "" with len > 0 if in Unicode escapes (U&"..."), which cannot
	 * be replaced either, as UESCAPE may follow. Of a parameter: always in lower case, since
	 * the server does not tell them apart. Else "". */
	char name[SQL_NAME_MAX + 1];
};

/* Where PostgreSQL's lexer would stand. All of it is private. */
struct sql_lexer {
	const uint8_t *at, *end;
	const bool *leads; /* bytes that take one more with them; NULL: none */
	size_t depth;      /* parentheses open */
	size_t taken;      /* tokens so far; what is looked at twice counts twice */
	size_t ahead;      /* bytes that may still be looked at ahead of where reading is */
	bool backslashes;
	bool cut;     /* the text goes on after the end */
	bool touched; /* the end mattered to a token: it might be another if the text went on */
	bool strange; /* there was something of which only the server knows what it means */
};

/* Where an iteration stands. Owns nothing; all of it is private. */
struct sql_cursor {
	struct sql_lexer lex;
	const uint8_t *text;
	const char *const *fixed; /* rest of a NULL-terminated list of names to be mentioned */
	enum sql_mention_kind fixed_kind;
	size_t fixed_at;
	struct bytes fixed_value;
	uint32_t letters; /* words that begin with these matter to the statement */
	unsigned traits;  /* of what has been read */
	bool inside;      /* of a statement: its first word is read */
	bool makes;       /* that statement makes or changes objects */
};

/* The text is borrowed until the last sql_next. Where `how` is open, mentions are those of one of
 * the readings; ask sql_certain. */
void sql_begin(struct sql_cursor *c, struct bytes text, struct sql_reading how);
/* The next mention in the order of the text, as far as it is read; false: there is none left. */
bool sql_next(struct sql_cursor *c, struct sql_mention *out);

/* The value of SQL_SET or SQL_SET_LOCAL as the server takes it, with a NUL. False: the mention does not tell, or it does
 * not fit. */
bool sql_value(struct bytes text, const struct sql_mention *m, char *out, size_t size);

#endif
