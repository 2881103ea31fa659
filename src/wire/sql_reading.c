#include <string.h>

#include "sql_priv.h"

/* --- names of encodings --- */

#define NAME_MAX_LEN 20

/* As PostgreSQL compares them: lower case, letters and digits only. */
struct encoding {
	const char *name;
	enum sql_encoding is;
	bool family; /* any name that begins so */
};

/* In this order: the first that fits. */
static const struct encoding encodings[] = {
	{ "sjis", SQL_ENCODING_SJIS, false },         { "shiftjis", SQL_ENCODING_SJIS, false },
	{ "shiftjis2004", SQL_ENCODING_SJIS, false }, { "mskanji", SQL_ENCODING_SJIS, false },
	{ "win932", SQL_ENCODING_SJIS, false },       { "windows932", SQL_ENCODING_SJIS, false },
	{ "big5", SQL_ENCODING_WIDE, false },         { "win950", SQL_ENCODING_WIDE, false },
	{ "windows950", SQL_ENCODING_WIDE, false },   { "gbk", SQL_ENCODING_WIDE, false },
	{ "win936", SQL_ENCODING_WIDE, false },       { "windows936", SQL_ENCODING_WIDE, false },
	{ "uhc", SQL_ENCODING_WIDE, false },          { "win949", SQL_ENCODING_WIDE, false },
	{ "windows949", SQL_ENCODING_WIDE, false },   { "gb18030", SQL_ENCODING_WIDE, false },
	{ "johab", SQL_ENCODING_WIDE, false },        { "utf8", SQL_ENCODING_SAFE, false },
	{ "unicode", SQL_ENCODING_SAFE, false },      { "sqlascii", SQL_ENCODING_SAFE, false },
	{ "muleinternal", SQL_ENCODING_SAFE, false }, { "latin", SQL_ENCODING_SAFE, true },
	{ "iso8859", SQL_ENCODING_SAFE, true },       { "euc", SQL_ENCODING_SAFE, true },
	{ "koi8", SQL_ENCODING_SAFE, true },          { "win125", SQL_ENCODING_SAFE, true },
	{ "windows125", SQL_ENCODING_SAFE, true },    { "win8", SQL_ENCODING_SAFE, true },
	{ "windows8", SQL_ENCODING_SAFE, true },      { "tcvn", SQL_ENCODING_SAFE, true },
	{ "win", SQL_ENCODING_SAFE, false },          { "alt", SQL_ENCODING_SAFE, false },
	{ "abc", SQL_ENCODING_SAFE, false },          { "vscii", SQL_ENCODING_SAFE, false },
};

static enum sql_encoding encoding_of(const char *spelled)
{
	uint8_t plain[NAME_MAX_LEN];
	struct bytes name = { plain, 0 };

	for (; *spelled != '\0'; spelled++) {
		uint8_t c = sql_lower((uint8_t)*spelled);

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9'))
			continue;
		if (name.len == sizeof(plain))
			return SQL_ENCODING_UNKNOWN;
		plain[name.len++] = c;
	}
	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		const struct encoding *e = &encodings[i];

		if (e->family ? sql_starts(name, e->name) : sql_same(name, e->name))
			return e->is;
	}
	return SQL_ENCODING_UNKNOWN;
}

static enum sql_backslashes backslashes_of(const char *conforming)
{
	if (sql_same(bytes_of(conforming), "on"))
		return SQL_BACKSLASHES_PLAIN;
	return sql_same(bytes_of(conforming), "off") ? SQL_BACKSLASHES_ESCAPE
	                                             : SQL_BACKSLASHES_UNKNOWN;
}

struct sql_reading sql_reading_of(const char *standard_conforming_strings,
                                  const char *client_encoding)
{
	struct sql_reading how = { SQL_BACKSLASHES_UNKNOWN, SQL_ENCODING_UNKNOWN };

	if (standard_conforming_strings != NULL)
		how.backslashes = backslashes_of(standard_conforming_strings);
	if (client_encoding != NULL)
		how.encoding = encoding_of(client_encoding);
	return how;
}

/* --- bytes --- */

static const bool sjis_leads[256] = {
	[0x81 ... 0x9f] = true,
	[0xe0 ... 0xfc] = true,
};

static const bool wide_leads[256] = {
	[0x81 ... 0xfe] = true,
};

const bool *sql_leads(enum sql_encoding e)
{
	if (e == SQL_ENCODING_SJIS)
		return sjis_leads;
	return e == SQL_ENCODING_WIDE ? wide_leads : NULL;
}

/* --- doubts --- */

/* As second bytes of characters these are no signs; letters, digits and underscores make no
 * difference, as they belong to a word with or without the byte before them. */
static bool is_sign_or_second(uint8_t c)
{
	return c >= 0x40 && c < 0x80 && sql_class_of[c] < SQL_IS_DOLLAR;
}

static bool may_hold_pairs(struct bytes b)
{
	for (size_t i = 1; i < b.len; i++)
		if (is_sign_or_second(b.at[i]) && b.at[i - 1] >= 0x80)
			return true;
	return false;
}

/* In SHIFT_JIS_2004 these two are a backslash to a server whose encoding is UTF8, and none to
 * others. */
static bool may_hold_backslash(struct bytes b)
{
	static const uint8_t pair[] = { 0x81, '_' };

	return memmem(b.at, b.len, pair, sizeof(pair)) != NULL;
}

struct sql_doubts sql_doubts(struct bytes text, struct sql_reading how)
{
	struct sql_doubts d = { false, false, false };
	struct bytes b = sql_readable(text);

	if (how.encoding == SQL_ENCODING_UNKNOWN)
		d.encoding = may_hold_pairs(b);
	if (how.encoding == SQL_ENCODING_UNKNOWN || how.encoding == SQL_ENCODING_SJIS)
		d.never = may_hold_backslash(b);
	if (how.backslashes == SQL_BACKSLASHES_UNKNOWN)
		d.backslashes = memchr(b.at, '\\', b.len) != NULL;
	return d;
}

bool sql_certain(struct bytes text, struct sql_reading how)
{
	struct sql_doubts d = sql_doubts(text, how);

	return !d.backslashes && !d.encoding && !d.never;
}
