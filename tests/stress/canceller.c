/* A client that cancels its own queries, again and again, for a while:
 *
 *   canceller CONNINFO SECONDS
 *
 * Half of the cancels hit a long query, the others race with the end of a short one. A query may end
 * well or cancelled; anything else, or a session that is of no use afterwards, is a failure. Prints how
 * many were which. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

static unsigned cancelled, completed;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void pause_us(long us)
{
	struct timespec ts = { .tv_nsec = us * 1000 };

	nanosleep(&ts, NULL);
}

static bool cancel(PGconn *conn)
{
	PGcancel *handle = PQgetCancel(conn);
	char why[256] = "no handle";
	bool ok = handle != NULL && PQcancel(handle, why, sizeof(why));

	if (!ok)
		fprintf(stderr, "canceller: cancel: %s\n", why);
	PQfreeCancel(handle);
	return ok;
}

/* Take what the query yields: done, or cancelled. */
static bool take_results(PGconn *conn)
{
	PGresult *res;
	bool ok = true;

	while ((res = PQgetResult(conn)) != NULL) {
		const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

		if (PQresultStatus(res) == PGRES_TUPLES_OK)
			completed++;
		else if (state != NULL && strcmp(state, "57014") == 0)
			cancelled++;
		else
			ok = false;
		PQclear(res);
	}
	if (!ok)
		fprintf(stderr, "canceller: query: %s", PQerrorMessage(conn));
	return ok;
}

static bool round_trip(PGconn *conn, unsigned round)
{
	const char *sql = round % 2 == 0 ? "SELECT pg_sleep(30)" : "SELECT pg_sleep(0.002)";

	if (!PQsendQuery(conn, sql)) {
		fprintf(stderr, "canceller: send: %s", PQerrorMessage(conn));
		return false;
	}
	pause_us((long)(random() % 5000));
	/* A long query whose cancel came before it reached a server is cancelled once more: as with
	 * PostgreSQL, a cancel that finds nothing running is forgotten. */
	while (true) {
		if (!cancel(conn))
			return false;
		for (int i = 0; i < 40 && PQconsumeInput(conn) && PQisBusy(conn); i++)
			pause_us(5000);
		if (!PQisBusy(conn) || PQstatus(conn) != CONNECTION_OK)
			return take_results(conn);
	}
}

/* A cancel that comes late may still hit the next query of its own session, never a second one. */
static bool still_usable(PGconn *conn)
{
	for (int i = 0; i < 2; i++) {
		PGresult *res = PQexec(conn, "SELECT 42");
		bool ok = PQresultStatus(res) == PGRES_TUPLES_OK && strcmp(PQgetvalue(res, 0, 0), "42") == 0;

		PQclear(res);
		if (ok)
			return true;
	}
	fprintf(stderr, "canceller: afterwards: %s", PQerrorMessage(conn));
	return false;
}

int main(int argc, char **argv)
{
	double deadline;
	PGconn *conn;
	bool ok = true;

	if (argc != 3) {
		fprintf(stderr, "usage: canceller CONNINFO SECONDS\n");
		return 2;
	}
	deadline = now() + atof(argv[2]);
	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK) {
		fprintf(stderr, "canceller: %s", PQerrorMessage(conn));
		PQfinish(conn);
		return EXIT_FAILURE;
	}
	for (unsigned round = 0; ok && now() < deadline; round++)
		ok = round_trip(conn, round) && still_usable(conn);
	PQfinish(conn);
	printf("%u cancelled, %u completed\n", cancelled, completed);
	return ok && cancelled > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
