/* A simple query to the console: whatever the text, statements are taken one by one to its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/admin/commands.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_statement(const struct statement *st)
{
	struct errbuf why = { "" };
	struct action a;

	if (st->count == 0 || st->count > STATEMENT_TOKENS)
		abort();
	for (size_t i = 0; i < st->count; i++) {
		const char *text = st->token[i].text;

		if (text < st->text || text + strlen(text) >= st->text + sizeof(st->text))
			abort();
	}
	if (commands_find(st, &a, &why) != ERR_OK) {
		if (why.text[0] == '\0')
			abort();
		return;
	}
	if (st->too_long || a.first_arg == 0 || a.first_arg > st->count ||
	    st->count - a.first_arg > a.command->max_args ||
	    (a.columns == NULL) != (a.column_count == 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *sql = malloc(size + 1);
	enum statement_next next;
	struct statement st;
	struct errbuf why;
	const char *at = sql, *before;

	if (sql == NULL)
		return 0;
	if (size > 0)
		memcpy(sql, data, size);
	sql[size] = '\0';
	do {
		before = at;
		next = statement_next(&at, &st, &why);
		if (next == STATEMENT_READY)
			check_statement(&st);
		if (at < before || at > sql + strlen(sql) ||
		    (next == STATEMENT_READY && at == before))
			abort();
	} while (next == STATEMENT_READY);
	free(sql);
	return 0;
}
