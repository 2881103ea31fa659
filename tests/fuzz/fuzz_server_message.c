/* Bodies of server messages that are taken apart. First byte: which. */
#include <stdint.h>
#include <stdlib.h>

#include "pgseal/wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct bytes part, struct bytes whole)
{
	if (part.len == 0)
		return;
	if (part.at < whole.at || part.at + part.len >= whole.at + whole.len)
		abort();
	if (part.at[part.len] != '\0')
		abort();
}

static void read_row(struct bytes body)
{
	struct bytes columns[2];

	if (message_read_row(body, columns, 2) != ERR_OK)
		return;
	for (size_t i = 0; i < 2; i++)
		if (columns[i].at != NULL && (columns[i].at < body.at ||
		                              columns[i].at + columns[i].len > body.at + body.len))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message_error_view v;
	struct bytes body, name, value;

	if (size == 0)
		return 0;
	body = (struct bytes){ data + 1, size - 1 };
	if (data[0] == 'S') {
		if (message_read_parameter(body, &name, &value) == ERR_OK) {
			inside(name, body);
			inside(value, body);
		}
	} else if (data[0] == 'D') {
		read_row(body);
	} else if (message_read_error(body, &v) == ERR_OK) {
		inside(v.severity, body);
		inside(v.sqlstate, body);
		inside(v.message, body);
		inside(v.detail, body);
		inside(v.hint, body);
	}
	return 0;
}
