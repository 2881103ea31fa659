/* What the text of a query shows of what it leaves behind in its session, and which prepared
 * statements it names. PostgreSQL: "Lexical Structure" and the synopses of SET, PREPARE and so on.
 *
 * Only the text is looked at. What is done inside of functions, DO blocks and other literals, by way
 * of search_path (a table made in pg_temp that way) or under names in Unicode escapes is not seen. In
 * the encodings that only clients may have (SJIS, BIG5, GBK, UHC, GB18030, JOHAB) the second byte of a
 * character can be a backslash; inside of strings with escapes it is taken for one. */
#ifndef PGSEAL_WIRE_SQL_H
#define PGSEAL_WIRE_SQL_H

#include "pgseal/base/bytes.h"

/* What a text may do to its session. Texts that PostgreSQL would refuse may have any. */
enum sql_trait {
	SQL_SETS = 1 << 0,     /* sets or resets parameters for longer than a transaction */
	SQL_TEMP = 1 << 1,     /* may make a temporary object */
	SQL_LOCKS = 1 << 2,    /* takes or gives back an advisory lock of the session */
	SQL_HOLDS = 1 << 3,    /* DECLARE ... WITH HOLD */
	SQL_LISTENS = 1 << 4,  /* LISTEN, UNLISTEN */
	SQL_PREPARES = 1 << 5, /* PREPARE name */
	SQL_NAMES = 1 << 6,    /* PREPARE, EXECUTE or DEALLOCATE of a name */
	SQL_FORGETS = 1 << 7, /* may end what others of these stand for: CLOSE, DEALLOCATE, DISCARD,
	                        * DROP, RESET ALL, UNLISTEN, pg_advisory_unlock() */
	SQL_FORGETS_STATEMENTS = 1 << 8, /* DEALLOCATE ALL, DISCARD ALL */
	SQL_SETS_LOCAL = 1 << 9, /* sets parameters up to the end of the transaction */
};

/* All traits of a text of any number of statements. backslashes: they are escapes in plain '...', as
 * standard_conforming_strings is off. Never fails; time is linear in the length. */
unsigned sql_traits(struct bytes text, bool backslashes);

enum sql_mention_kind {
	SQL_PREPARE, /* these three: of a prepared statement */
	SQL_EXECUTE,
	SQL_DEALLOCATE,
	SQL_DEALLOCATE_ALL,
	SQL_DISCARD_ALL,
	SQL_SET,   /* a parameter, which has a value of its own now */
	SQL_RESET, /* the same, to what it was when the session began */
	SQL_RESET_ALL,
	SQL_SET_UNKNOWN, /* set or reset; which one cannot be told, or its name does not fit */
	SQL_MENTION_KINDS,
};

#define SQL_NAME_MAX 63 /* bytes that PostgreSQL heeds of a name: NAMEDATALEN - 1 */

struct sql_mention {
	enum sql_mention_kind kind;
	/* The name as it stands in the text, quotes and dots included. len 0: it does not stand there,
	 * at is where it would. */
	size_t at, len;
	/* What the name means. Of a statement: without quotes, in lower case if there were none, cut
	 * where PostgreSQL cuts; "" with len > 0 if in Unicode escapes (U&"..."), which cannot be
	 * replaced either, as UESCAPE may follow. Of a parameter: always in lower case, since the server
	 * does not tell them apart. Else "". */
	char name[SQL_NAME_MAX + 1];
};

/* Where PostgreSQL's lexer would stand. All of it is private. */
struct sql_lexer {
	const uint8_t *at, *end;
	size_t depth; /* parentheses open */
	bool backslashes;
};

/* Where an iteration stands. Owns nothing; all of it is private. */
struct sql_cursor {
	struct sql_lexer lex;
	const uint8_t *text;
	const char *const *fixed; /* rest of a NULL-terminated list of names to be mentioned */
	enum sql_mention_kind fixed_kind;
	size_t fixed_at;
	uint32_t letters; /* words that begin with these matter to the statement */
	unsigned traits;  /* of what has been read */
	bool inside;      /* of a statement: its first word is read */
	bool creates;     /* that statement is a CREATE */
};

/* The text is borrowed until the last sql_next. */
void sql_begin(struct sql_cursor *c, struct bytes text, bool backslashes);
/* The next mention in the order of the text; false: there is none any more. */
bool sql_next(struct sql_cursor *c, struct sql_mention *out);

#endif
