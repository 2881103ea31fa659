/* libpq's pipeline mode: many queries on their way before the first answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpq_scenarios.h"

/* Text for what is sent by the extended protocol; the schema's name at "%s". */
static void send(PGconn *conn, const char *sql)
{
	if (!PQsendQueryParams(conn, with_schema(sql), 0, NULL, NULL, NULL, NULL, 0))
		printf("!! send: %s", PQerrorMessage(conn));
}

/* Show all results up to and including that many synchronisation points. */
static void receive(PGconn *conn, int syncs)
{
	PGresult *res;
	int empty = 0;

	while (syncs > 0 && empty < 2) {
		res = PQgetResult(conn);
		empty = res == NULL ? empty + 1 : 0;
		if (res == NULL)
			continue;
		if (PQresultStatus(res) == PGRES_PIPELINE_SYNC)
			syncs--;
		show(res);
	}
	if (empty >= 2)
		printf("!! no more results\n");
}

static void leave(PGconn *conn)
{
	printf("leave=%d transaction=%d\n", PQexitPipelineMode(conn),
	       (int)PQtransactionStatus(conn));
	query(conn, "select 'by itself'");
}

static void pipeline_simple(PGconn *conn)
{
	int i;

	PQenterPipelineMode(conn);
	for (i = 0; i < 5; i++)
		send(conn, "select 'first', 1");
	PQpipelineSync(conn);
	receive(conn, 1);
	leave(conn);
}

static void pipeline_many(PGconn *conn)
{
	int round, i;

	PQenterPipelineMode(conn);
	for (round = 0; round < 4; round++) {
		for (i = 0; i < 3; i++)
			send(conn, "select generate_series(1, 3)");
		PQpipelineSync(conn);
	}
	receive(conn, 4);
	leave(conn);
}

static void pipeline_error_inside(PGconn *conn)
{
	query(conn, "create table %s.pipe (id int primary key)");
	PQenterPipelineMode(conn);
	send(conn, "insert into %s.pipe values (1)");
	send(conn, "insert into %s.pipe values (1 / 0)");
	send(conn, "insert into %s.pipe values (2)");
	PQpipelineSync(conn);
	send(conn, "insert into %s.pipe values (3)");
	PQpipelineSync(conn);
	send(conn, "selec");
	PQpipelineSync(conn);
	send(conn, "insert into %s.pipe values (3) returning id");
	send(conn, "select 'never'");
	PQpipelineSync(conn);
	send(conn, "select * from %s.pipe order by 1");
	PQpipelineSync(conn);
	receive(conn, 5);
	leave(conn);
}

static void pipeline_prepared(PGconn *conn)
{
	const char *value = "3";
	int i;

	PQenterPipelineMode(conn);
	PQsendPrepare(conn, "p", "select $1::int + 1", 0, NULL);
	PQsendDescribePrepared(conn, "p");
	PQsendQueryPrepared(conn, "p", 1, &value, NULL, NULL, 0);
	PQpipelineSync(conn);
	receive(conn, 1);
	for (i = 0; i < 6; i++) {
		PQsendQueryPrepared(conn, "p", 1, &value, NULL, NULL, i % 2);
		PQpipelineSync(conn);
	}
	receive(conn, 6);
	PQsendPrepare(conn, "q", "select 'q'", 0, NULL);
	send(conn, "deallocate p");
	PQsendPrepare(conn, "p", "select 'p again'", 0, NULL);
	PQsendQueryPrepared(conn, "p", 0, NULL, NULL, NULL, 0);
	PQsendQueryPrepared(conn, "q", 0, NULL, NULL, NULL, 0);
	PQpipelineSync(conn);
	receive(conn, 1);
	PQsendPrepare(conn, "p", "select 'twice'", 0, NULL);
	PQsendPrepare(conn, "r", "select 'skipped'", 0, NULL);
	PQpipelineSync(conn);
	PQsendQueryPrepared(conn, "p", 0, NULL, NULL, NULL, 0);
	PQpipelineSync(conn);
	PQsendQueryPrepared(conn, "r", 0, NULL, NULL, NULL, 0);
	PQpipelineSync(conn);
	receive(conn, 3);
	leave(conn);
}

static void pipeline_transaction(PGconn *conn)
{
	query(conn, "create table %s.trans (id int)");
	PQenterPipelineMode(conn);
	send(conn, "begin");
	send(conn, "insert into %s.trans values (1)");
	send(conn, "select 0 / 0");
	PQpipelineSync(conn);
	send(conn, "insert into %s.trans values (2)");
	PQpipelineSync(conn);
	send(conn, "rollback");
	send(conn, "insert into %s.trans values (3)");
	PQpipelineSync(conn);
	send(conn, "begin");
	send(conn, "insert into %s.trans values (4)");
	PQpipelineSync(conn);
	receive(conn, 4);
	printf("transaction=%d\n", (int)PQtransactionStatus(conn));
	send(conn, "commit");
	send(conn, "table %s.trans");
	PQpipelineSync(conn);
	receive(conn, 1);
	leave(conn);
}

static void pipeline_unique_violation(PGconn *conn)
{
	char value[16];
	const char *values[] = { value };
	int i;

	query(conn, "create table %s.uniq (id int primary key)");
	show(PQprepare(conn, "ins", with_schema("insert into %s.uniq values ($1) returning id"), 0,
	               NULL));
	PQenterPipelineMode(conn);
	for (i = 0; i < 30; i++) {
		snprintf(value, sizeof(value), "%d", i % 11);
		PQsendQueryPrepared(conn, "ins", 1, values, NULL, NULL, 0);
		if (i % 4 == 3)
			PQpipelineSync(conn);
	}
	PQpipelineSync(conn);
	receive(conn, 8);
	leave(conn);
	query(conn, "select count(*), sum(id) from %s.uniq");
}

/* No Sync: the answers come because the client asks the server to flush. */
static void pipeline_flush_requests(PGconn *conn)
{
	int i;

	PQenterPipelineMode(conn);
	for (i = 0; i < 3; i++) {
		send(conn, "select 'flushed'");
		PQsendFlushRequest(conn);
		PQflush(conn);
		show(PQgetResult(conn));
		if (PQgetResult(conn) != NULL)
			printf("!! one more result\n");
	}
	PQpipelineSync(conn);
	receive(conn, 1);
	leave(conn);
}

static void pipeline_single_rows(PGconn *conn)
{
	PGresult *res;
	int i, rows = 0;

	PQenterPipelineMode(conn);
	for (i = 0; i < 3; i++)
		send(conn, "select generate_series(1, 500)");
	PQpipelineSync(conn);
	for (i = 0; i < 3; i++) {
		if (i != 1)
			PQsetSingleRowMode(conn);
		while ((res = PQgetResult(conn)) != NULL) {
			if (PQresultStatus(res) == PGRES_SINGLE_TUPLE) {
				rows++;
				PQclear(res);
			} else {
				show(res);
			}
		}
		printf("rows=%d\n", rows);
	}
	receive(conn, 1);
	leave(conn);
}

/* More than any buffer holds, both ways, in one pipeline. */
static void pipeline_large(PGconn *conn)
{
	size_t size = 300000;
	char *big = malloc(size + 1);
	const char *values[] = { big };
	int i;

	if (big == NULL)
		abort();
	memset(big, 'b', size);
	big[size] = '\0';
	PQenterPipelineMode(conn);
	for (i = 0; i < 12; i++) {
		if (!PQsendQueryParams(conn, "select $1 || '.'", 1, NULL, values, NULL, NULL, 0))
			printf("!! send: %s", PQerrorMessage(conn));
		if (i % 5 == 4)
			PQpipelineSync(conn);
	}
	PQpipelineSync(conn);
	receive(conn, 3);
	leave(conn);
	free(big);
}

static void pipeline_disallowed(PGconn *conn)
{
	PQenterPipelineMode(conn);
	printf("simple=%d copy=", PQsendQuery(conn, "select 1"));
	send(conn, "vacuum");
	send(conn, "select 1");
	PQpipelineSync(conn);
	receive(conn, 1);
	send(conn, "select 1");
	send(conn, "vacuum");
	PQpipelineSync(conn);
	receive(conn, 1);
	leave(conn);
}

/* What is left unread when the connection ends is nobody else's. */
static void pipeline_abandoned(PGconn *conn)
{
	PGconn *other;
	int i;

	for (i = 0; i < 3; i++) {
		other = connect_with(NULL);
		PQenterPipelineMode(other);
		send(other, "begin");
		send(other, "select generate_series(1, 20000)");
		PQpipelineSync(other);
		PQflush(other);
		PQfinish(other);
		query(conn, "select 'mine'");
		query(conn, "rollback");
	}
}

const struct scenario pipeline_scenarios[] = {
	{ "pipeline_simple", pipeline_simple },
	{ "pipeline_many", pipeline_many },
	{ "pipeline_error_inside", pipeline_error_inside },
	{ "pipeline_prepared", pipeline_prepared },
	{ "pipeline_transaction", pipeline_transaction },
	{ "pipeline_unique_violation", pipeline_unique_violation },
	{ "pipeline_flush_requests", pipeline_flush_requests },
	{ "pipeline_single_rows", pipeline_single_rows },
	{ "pipeline_large", pipeline_large },
	{ "pipeline_disallowed", pipeline_disallowed },
	{ "pipeline_abandoned", pipeline_abandoned },
};
const size_t pipeline_scenario_count = sizeof(pipeline_scenarios) / sizeof(*pipeline_scenarios);
