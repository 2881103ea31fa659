/* A statement that is prepared once more, for another server, is read as it was when its client prepared it: under
 * the parameters of then, which fix what its constants mean. */
#include "statements_priv.h"

#include <string.h>

#include "pgseal/core/pool.h"
#include "pgseal/core/worker.h"

/* Statements that switch from one set to another, or nothing. False: out of memory. */
static bool write_switch(struct insertion *in, const struct params *to, const struct params *from)
{
	struct buf sql = { 0 };
	const char *at;
	bool ok = params_switch(to, from, &sql) == ERR_OK;

	for (at = (const char *)sql.at; ok && at < (const char *)sql.at + sql.len;
	     at += strlen(at) + 1)
		insertion_execute(in, at);
	buf_free(&sql);
	return ok;
}

/* In a transaction block all of it is undone with a savepoint, which prepared statements survive. */
static bool in_block(const struct insertion *in)
{
	return in->srv->tracker.status != 'I';
}

void reread_begin(struct insertion *in, const struct pstatement *st)
{
	struct params *none;

	if (!statements_reads_otherwise(in->srv, st))
		return;
	if (!in_block(in)) {
		in->failed = in->failed || !write_switch(in, st->under, in->srv->session->asked);
		return;
	}
	insertion_execute(in, "SAVEPOINT pgseal_reread");
	insertion_execute(in, "RESET ALL");
	if ((none = params_none(in->srv->pool->worker->params)) == NULL ||
	    !write_switch(in, st->under, none))
		in->failed = true;
	params_release(in->srv->pool->worker->params, none);
}

void reread_end(struct insertion *in, const struct pstatement *st)
{
	if (!statements_reads_otherwise(in->srv, st))
		return;
	if (in_block(in)) {
		insertion_execute(in, "ROLLBACK TO SAVEPOINT pgseal_reread");
		insertion_execute(in, "RELEASE SAVEPOINT pgseal_reread");
	} else if (!write_switch(in, in->srv->session->asked, st->under)) {
		in->failed = true;
	}
}
