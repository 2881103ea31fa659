/* Much at once by libpq: COPY, large values, rows one by one. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpq_scenarios.h"

static void copy_in(PGconn *conn, const char *line, int count, const char *failure)
{
	PGresult *res = PQexec(conn, with_schema("copy %s.c from stdin"));
	int i;

	printf("%s fields=%d\n", PQresStatus(PQresultStatus(res)), PQnfields(res));
	PQclear(res);
	for (i = 0; i < count; i++)
		if (PQputCopyData(conn, line, (int)strlen(line)) != 1)
			break;
	PQputCopyEnd(conn, failure);
	while ((res = PQgetResult(conn)) != NULL)
		show(res);
}

static void copy_out(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, with_schema(sql));
	size_t bytes = 0, rows = 0;
	char *data;
	int n;

	printf("%s binary=%d\n", PQresStatus(PQresultStatus(res)), PQbinaryTuples(res));
	PQclear(res);
	while ((n = PQgetCopyData(conn, &data, 0)) > 0) {
		bytes += (size_t)n;
		rows++;
		PQfreemem(data);
	}
	printf("rows=%zu bytes=%zu\n", rows, bytes);
	while ((res = PQgetResult(conn)) != NULL)
		show(res);
}

static void copies(PGconn *conn)
{
	query(conn, "create table %s.c (id int, line text)");
	copy_in(conn, "1\tone\n", 5000, NULL);
	copy_in(conn, "2\ttwo\n", 10, "the client gave up");
	copy_in(conn, "bad\tline\n", 5000, NULL);
	query(conn, "begin");
	copy_in(conn, "3\n", 10, NULL);
	query(conn, "select 1");
	query(conn, "rollback");
	copy_out(conn, "copy %s.c to stdout");
	copy_out(conn, "copy %s.c to stdout (format binary)");
	copy_out(conn, "copy (select 1 / (3000 - g) from generate_series(1, 5000) g) to stdout");
	copy_out(conn, "copy (select 1 where false) to stdout");
	query(conn, "select count(*), sum(id) from %s.c");
}

static void large_values(PGconn *conn)
{
	size_t size = 1u << 20;
	char *big = malloc(size + 1);
	const char *values[] = { big };

	if (big == NULL)
		abort();
	memset(big, 'x', size);
	big[size] = '\0';
	show(PQexecParams(conn, "select length($1), md5($1), $1", 1, NULL, values, NULL, NULL, 0));
	show(PQprepare(conn, "big", "select $1 || '!'", 0, NULL));
	show(PQexecPrepared(conn, "big", 1, values, NULL, NULL, 0));
	query(conn, "select repeat('y', 1000000), repeat('z', 3000000)");
	query(conn, "select g, md5(g::text) from generate_series(1, 10000) g");
	free(big);
}

static void single_rows(PGconn *conn)
{
	PGresult *res;
	int64_t sum = 0;
	int rows = 0;

	PQsendQuery(
		conn,
		"select g, 100 / (5001 - g) from generate_series(1, 10000) g; select 'not run'");
	PQsetSingleRowMode(conn);
	while ((res = PQgetResult(conn)) != NULL) {
		if (PQresultStatus(res) != PGRES_SINGLE_TUPLE) {
			show(res);
			continue;
		}
		rows++;
		sum += strtol(PQgetvalue(res, 0, 0), NULL, 10);
		PQclear(res);
	}
	printf("rows=%d sum=%" PRId64 "\n", rows, sum);
	query(conn, "select 'goes on'");
}

const struct scenario bulk_scenarios[] = {
	{ "copies", copies },
	{ "large_values", large_values },
	{ "single_rows", single_rows },
};
const size_t bulk_scenario_count = sizeof(bulk_scenarios) / sizeof(*bulk_scenarios);
