/* Many clients at once. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"

bool crowd_goes_on(const struct member *m)
{
	return m->faults == 0 && rig_now_ms() < m->crowd->deadline_ms;
}

void member_fault(struct member *m, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(m->why, sizeof(m->why), fmt, args);
	va_end(args);
	m->faults++;
}

struct rig_text member_exec(struct member *m, const char *sql)
{
	PGresult *res = PQexec(m->conn, sql);
	ExecStatusType status = PQresultStatus(res);
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	struct rig_text text = { "" };

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		text = rig_printf("%s", state != NULL ? state : "lost");
	PQclear(res);
	return text;
}

struct rig_text member_query(struct member *m, const char *sql)
{
	PGresult *res = PQexec(m->conn, sql);
	ExecStatusType status = PQresultStatus(res);
	struct rig_text text = { "" };

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		member_fault(m, "%s: %s", sql, PQerrorMessage(m->conn));
	else if (PQntuples(res) > 0)
		text = rig_printf("%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	return text;
}

static void *run_member(void *arg)
{
	struct member *m = arg;

	m->conn = PQconnectdb(m->crowd->conninfo);
	if (PQstatus(m->conn) != CONNECTION_OK)
		member_fault(m, "connect: %s", PQerrorMessage(m->conn));
	else
		m->crowd->body(m);
	PQfinish(m->conn);
	return NULL;
}

void crowd_start(struct crowd *c, const struct rig *rig, int size, const char *extra, int run_ms,
                 void (*body)(struct member *m), void *arg)
{
	cr_assert(size <= CROWD_MAX);
	memset(c, 0, sizeof(*c));
	c->size = size;
	c->body = body;
	c->arg = arg;
	c->deadline_ms = rig_now_ms() + run_ms;
	snprintf(c->conninfo, sizeof(c->conninfo), "%s", rig_conninfo(rig, "alice", extra).s);
	for (int i = 0; i < size; i++) {
		struct member *m = &c->members[i];

		m->crowd = c;
		m->index = i;
		m->seed = (unsigned)i + 1;
		cr_assert(pthread_create(&m->thread, NULL, run_member, m) == 0);
	}
}

void crowd_end(struct crowd *c)
{
	c->deadline_ms = rig_now_ms();
}

void crowd_join(struct crowd *c)
{
	for (int i = 0; i < c->size; i++)
		pthread_join(c->members[i].thread, NULL);
	for (int i = 0; i < c->size; i++)
		cr_assert(c->members[i].faults == 0, "client %d: %s", i, c->members[i].why);
}

void crowd_database(const char *name)
{
	rig_require();
	rig_admin_exec(rig_printf("CREATE DATABASE %s", name).s);
	rig_admin_exec(rig_printf("ALTER DATABASE %s OWNER TO alice", name).s);
}

struct rig_text crowd_entry(const char *name, const char *keys)
{
	return rig_printf("%s = @postgres@ dbname=%s %s\n", name, name, keys);
}

static struct rig_text count_backends(const char *database)
{
	return rig_printf("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s'", database);
}

int crowd_backends(const char *database)
{
	return atoi(rig_admin_query(count_backends(database).s).s);
}

bool crowd_wait_backends(const char *database, const char *want, int wait_ms)
{
	return rig_admin_wait(count_backends(database).s, want, wait_ms);
}
