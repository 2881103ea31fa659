/* Prepared statements in messages: where a message names one, another name in its place, and what a
 * statement takes and yields. protocol: Message Formats, Parse, Bind, Describe, Close,
 * ParameterDescription, RowDescription. */
#ifndef PGSEAL_WIRE_PSTATEMENT_H
#define PGSEAL_WIRE_PSTATEMENT_H

#include <stdint.h>

#include "pgseal/base/bytes.h"

struct pstatement_mention {
	struct bytes
		before;    /* between header and name: a Bind's portal and its NUL, else the 'S' */
	struct bytes name; /* without its NUL */
	size_t head;       /* bytes of the message up to the end of the name's NUL */
};

enum pstatement_next {
	PSTATEMENT_MORE,  /* the name has not come yet */
	PSTATEMENT_NONE,  /* it names no prepared statement, or is broken: the server judges */
	PSTATEMENT_NAMED, /* *out is filled; it borrows from the message */
};
/* message: a Parse, Bind, Describe or Close from its type byte on, as far as it has come; size: of the
 * whole of it. Other types name none. */
enum pstatement_next pstatement_find(struct bytes message, size_t size,
                                     struct pstatement_mention *out);

/* The first part of the same message with another name: header, m->before, name, NUL. */
size_t pstatement_head_size(const struct pstatement_mention *m, size_t name_len);
void pstatement_write_head(uint8_t *to, char type, size_t size, const struct pstatement_mention *m,
                           struct bytes name);

/* What a statement takes and yields, as a number that differs where a client would be misled: types of
 * parameters; names, types and modifiers of columns. Not whose columns they are, nor formats: a
 * table that was made anew looks the same, as it does to PostgreSQL. Never 0. */
uint64_t pstatement_shape_begin(void);
/* Bodies of ParameterDescription and RowDescription; broken ones count as the bytes that they are. */
uint64_t pstatement_shape_parameters(uint64_t shape, struct bytes body);
uint64_t pstatement_shape_columns(uint64_t shape, struct bytes body);

#endif
