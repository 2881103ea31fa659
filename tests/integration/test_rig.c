/* The rig itself: PostgreSQL is as promised, and one query goes through both legs. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/rig.h"

TestSuite(rig, .timeout = 60);

Test(rig, superuser_reaches_postgres)
{
	rig_require();
	cr_assert_str_eq(rig_admin_query("SELECT current_user").s, "postgres");
	cr_assert(rig_admin_wait("SELECT count(*) FROM pg_database WHERE datname IN ('app', 'other')", "2",
	                         1000));
}

static PGconn *straight(const char *role, const char *cert)
{
	struct rig_text prefix = rig_cert(cert);
	char info[4096];

	snprintf(info, sizeof(info), "host=127.0.0.1 port=%d dbname=app user=%s sslmode=verify-full "
	         "sslrootcert=%s/ca.crt sslcert=%.1000s.crt sslkey=%.1000s.key", rig_postgres_port(), role,
	         rig_pki(), prefix.s, prefix.s);
	return PQconnectdb(info);
}

Test(rig, poolers_certificate_opens_every_role)
{
	PGconn *conn;

	rig_require();
	conn = straight("bob", "pgseal");
	cr_assert(PQstatus(conn) == CONNECTION_OK, "%s", PQerrorMessage(conn));
	cr_assert_str_eq(rig_query(conn, "SELECT current_user").s, "bob");
	PQfinish(conn);
}

Test(rig, other_certificates_do_not)
{
	PGconn *conn;

	rig_require();
	conn = straight("bob", "alice");
	cr_assert(PQstatus(conn) == CONNECTION_BAD);
	PQfinish(conn);
}

Test(rig, certificates_are_made_on_demand)
{
	rig_require();
	cr_assert(strstr(rig_cert("stranger").s, "/stranger") != NULL);
}

Test(rig, one_query_through_both_legs)
{
	struct rig *rig = rig_start(NULL, NULL, NULL);
	PGconn *conn = rig_connect(rig, "dbname=app");

	cr_assert_str_eq(rig_query(conn, "SELECT current_user").s, "alice");
	PQfinish(conn);
	rig_stop(rig);
}
