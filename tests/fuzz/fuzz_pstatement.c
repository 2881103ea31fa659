/* Messages that name prepared statements. The first two bytes: how much more of the message there is than is at
 * hand. The rest is a message, and a description of columns as well. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/wire/frame.h"
#include "pgseal/wire/pstatement.h"
#include "pgseal/wire/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static bool same(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static void check_mention(struct bytes message, const struct pstatement_mention *m)
{
	must(m->head <= message.len, "the head is at hand");
	must(m->before.at == message.at + FRAME_HEADER, "before stands behind the header");
	must(m->name.at == m->before.at + m->before.len, "the name stands behind that");
	must(m->head == pstatement_head_size(m, m->name.len), "all of the head is told");
	must(message.at[m->head - 1] == '\0', "a NUL ends it");
	must(memchr(m->name.at, '\0', m->name.len) == NULL, "and there is none before");
}

static void check_renaming(struct bytes message, size_t size, const struct pstatement_mention *m,
                           const char *to)
{
	struct bytes name = bytes_of(to);
	size_t n = pstatement_head_size(m, name.len);
	uint8_t *head = malloc(n); /* of exactly this size, for ASan */
	size_t size_now = size - m->head + n;
	struct pstatement_mention again;

	if (head == NULL)
		return;
	pstatement_write_head(head, (char)message.at[0], size, m, name);
	must(head[0] == message.at[0], "the same type");
	must(reader_length(head) == (uint32_t)(size_now - 1), "the length adds up");
	must(pstatement_find((struct bytes){ head, n }, size_now, &again) == PSTATEMENT_NAMED,
	     "it has a name again");
	must(same(again.before, m->before), "the same in front of it");
	must(same(again.name, name), "the new name");
	must(again.head == n, "all of the head");
	free(head);
}

/* Whatever more comes does not change what has been said. */
static void check_pieces(struct bytes message, size_t size, enum pstatement_next all)
{
	struct pstatement_mention m;
	enum pstatement_next next = PSTATEMENT_MORE;
	size_t n;

	for (n = 0; n < message.len && n < size && next == PSTATEMENT_MORE; n++)
		next = pstatement_find((struct bytes){ message.at, n }, size, &m);
	must(next == PSTATEMENT_MORE || next == all, "a verdict stays");
	must(next != PSTATEMENT_NAMED || m.head == n - 1, "it comes as soon as it can");
}

static void check_shapes(struct bytes body)
{
	uint64_t shape = pstatement_shape_begin(), columns, parameters;

	columns = pstatement_shape_columns(shape, body);
	parameters = pstatement_shape_parameters(shape, body);
	must(shape != 0 && columns != 0 && parameters != 0, "a shape is never 0");
	must(columns == pstatement_shape_columns(shape, body), "always the same");
	must(pstatement_shape_columns(parameters, body) != 0, "nor one behind another");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes message = { data + 2, size - 2 };
	struct pstatement_mention m;
	enum pstatement_next next;
	size_t whole;

	if (size < 2)
		return 0;
	check_shapes(message);
	whole = message.len + ((size_t)data[0] << 8 | data[1]);
	if (whole < FRAME_HEADER)
		return 0;
	next = pstatement_find(message, whole, &m);
	must(next != PSTATEMENT_MORE || message.len < whole, "nothing more comes of the whole");
	check_pieces(message, whole, next);
	if (next != PSTATEMENT_NAMED)
		return 0;
	check_mention(message, &m);
	check_renaming(message, whole, &m, "");
	check_renaming(message, whole, &m, "pgseal_0123456789abcdef0123456789abcdef");
	return 0;
}
