/* `pgseal --explain`: whom a certificate would be, without a running pooler. */
#ifndef PGSEAL_EXPLAIN_H
#define PGSEAL_EXPLAIN_H

struct explain_question {
	const char *config;
	const char *cert;     /* PEM file: the client's, then its intermediates */
	const char *role;     /* NULL: not asked */
	const char *database; /* NULL: not asked */
};

/* Print the answer. Exit status: 0 allowed, 1 refused or trouble. */
int explain(const struct explain_question *q);

#endif
