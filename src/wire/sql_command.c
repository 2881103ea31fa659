/* Statements that PostgreSQL does not look into before it carries them out. */
#include <string.h>

#include "sql_priv.h"

/* Words that they begin with: those which run outside of transaction blocks, or begin and end them. EXPLAIN, DECLARE,
 * CREATE TABLE AS and CALL are looked into like a SELECT. */
static const char *const words[] = {
	"abort",  "alter",  "analyse", "analyze", "begin",     "checkpoint", "cluster",
	"commit", "discard", "drop",   "end",     "listen",    "lock",       "notify",
	"reindex", "release", "reset", "rollback", "savepoint", "set",       "show",
	"start",  "truncate", "unlisten", "vacuum",
};

/* Backslashes and the encoding could make something else of it. */
static bool is_plain(struct bytes text)
{
	return memchr(text.at, '\\', text.len) == NULL && bytes_ascii(text);
}

bool sql_is_command(struct bytes text)
{
	struct sql_lexer x = { .at = text.at, .end = text.at + text.len };
	struct sql_token t;

	if (text.len == 0 || text.len > SQL_READ_MAX || !sql_token(&x, &t))
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (sql_is_word(&t, words[i]))
			return is_plain(text);
	return false;
}
