/* What administrators do under load, and no client hears of: RELOAD, RECONNECT, PAUSE and RESUME, new
 * certificates on either side, new authorities. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <openssl/x509.h>

#include "tests/integration/guest.h"
#include "tests/integration/ledger.h"
#include "tests/integration/rig_priv.h"

#define ROUND_MS 250

TestSuite(fault_orders, .timeout = 180);

static struct ledger ledger;
static struct rig *rig;

/* Clients that come and go, beside the ledger's, which stay. */
static struct crowd comers;

static void come_and_go(struct member *m)
{
	while (crowd_goes_on(m)) {
		PQfinish(m->conn);
		m->conn = PQconnectdb(m->crowd->conninfo);
		if (PQstatus(m->conn) != CONNECTION_OK)
			member_fault(m, "connect: %s", PQerrorMessage(m->conn));
		else
			(void)member_query(m, "SELECT 1");
		m->done++;
	}
}

static void order(const char *command)
{
	PGresult *res = rig_console(rig, command);

	cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK, "%s: %s", command,
	             PQresultErrorMessage(res));
	PQclear(res);
}

static void begin(const char *database, const char *settings)
{
	ledger_create(database);
	rig = rig_start(rig_printf("workers = 2\nquery_wait_timeout = 60\nlog_connections = 0\n"
	                           "log_disconnections = 0\n%s",
	                           settings)
	                        .s,
	                crowd_entry(database, "pool_size=4").s, NULL);
	ledger_open_at(&ledger, rig, database, "", "");
	crowd_start(&comers, rig, 3, rig_printf("dbname=%s", database).s, 3600000, come_and_go,
	            NULL);
}

/* Nobody heard anything. */
static void end(void)
{
	ledger_recovers(&ledger, rig_now_ms());
	crowd_end(&comers);
	crowd_join(&comers);
	for (int i = 0; i < comers.size; i++)
		cr_assert_gt(comers.members[i].done, 0);
	ledger_close(&ledger);
	rig_stop(rig);
}

Test(fault_orders, of_every_kind_are_noticed_by_nobody)
{
	static const char *const orders[] = {
		"RELOAD", "RECONNECT",       "PAUSE", "RESUME",    "RELOAD", "PAUSE f_orders",
		"RELOAD", "RESUME f_orders", "PAUSE", "RECONNECT", "RESUME", "RECONNECT f_orders",
	};

	rig_alone();
	begin("f_orders", "");
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		order(orders[i]);
		ledger_run(&ledger, ROUND_MS);
	}
	end();
}

/* ---- certificates ---- */

static void copy_file(const char *from, const char *to, mode_t mode)
{
	char bytes[65536];
	FILE *in = fopen(from, "r"), *out = fopen(rig_printf("%s.new", to).s, "w");
	size_t n;

	cr_assert(in != NULL && out != NULL, "%s, %s", from, to);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		cr_assert(fwrite(bytes, 1, n, out) == n);
	fclose(in);
	fclose(out);
	cr_assert(chmod(rig_printf("%s.new", to).s, mode) == 0);
	cr_assert(rename(rig_printf("%s.new", to).s, to) == 0);
}

static void write_pair(const char *dir, const char *name, struct pki_cert *cert)
{
	pki_write_cert(rig_printf("%s/%s.crt", dir, name).s, cert);
	pki_write_key(rig_printf("%s/%s.key", dir, name).s, cert, 0600);
}

/* A certificate of this authority for the rig's servers: localhost and 127.0.0.1. */
static struct pki_cert *server_of(const struct pki_cert *ca)
{
	static const char ip[] = { 127, 0, 0, 1 };
	struct pki_options how = { .issuer = ca, .cn = "localhost", .eku = "serverAuth" };

	how.sans[0] = (struct pki_san){ .type = PKI_SAN_DNS, .value = "localhost" };
	how.sans[1] = (struct pki_san){ PKI_SAN_IP, ip, sizeof(ip) };
	return pki_make(&how);
}

/* Authorities in one file, as a change of them needs it for a while. */
static void write_bundle(const char *path, const struct pki_cert *one, const struct pki_cert *two)
{
	const struct pki_cert *const both[] = { one, two, NULL };

	pki_write_chain(path, both);
}

static void reload(void)
{
	struct rig_text why;

	cr_assert(rig_reload(rig, &why), "%s", why.s);
	ledger_run(&ledger, ROUND_MS);
}

/* Towards clients: another certificate, then one of another authority, which those who come trust too;
 * and clients of that authority are let in while the old ones are. */
Test(fault_orders, change_of_the_certificates_for_clients)
{
	struct pki_cert *ca = guest_ca(), *new_ca = pki_ca("New CA", NULL), *cert, *client;
	struct rig_text trust = rig_printf("%s/trust.crt", rig_root());
	struct rig_text dir = rig_printf("%s/front", rig_root());
	PGconn *late;

	rig_alone();
	rig_require();
	cr_assert(mkdir(dir.s, 0755) == 0);
	copy_file(rig_printf("%s/server.crt", rig_pki()).s, rig_printf("%s/s.crt", dir.s).s, 0644);
	copy_file(rig_printf("%s/server.key", rig_pki()).s, rig_printf("%s/s.key", dir.s).s, 0600);
	copy_file(rig_printf("%s/ca.crt", rig_pki()).s, rig_printf("%s/ca.crt", dir.s).s, 0644);
	begin("f_front",
	      rig_printf("client_tls_cert_file = %1$s/s.crt\nclient_tls_key_file = %1$s/s.key\n"
	                 "client_tls_ca_file = %1$s/ca.crt\n",
	                 dir.s)
	              .s);
	write_pair(dir.s, "s", cert = server_of(ca));
	pki_free(cert);
	reload();
	write_bundle(rig_printf("%s/ca.crt", dir.s).s, ca, new_ca);
	reload();
	client = pki_client(new_ca, "alice");
	write_pair(dir.s, "late", client);
	late = rig_try_connect(
		rig, "alice",
		rig_printf("dbname=f_front sslcert=%1$s/late.crt sslkey=%1$s/late.key", dir.s).s);
	cr_assert_eq(PQstatus(late), CONNECTION_OK, "%s", PQerrorMessage(late));
	PQfinish(late);
	write_bundle(trust.s, ca, new_ca);
	pki_free(client);
	pki_free(new_ca);
	pki_free(ca);
	end();
}

/* PostgreSQL's own, in its data directory; it must belong to its owner. */
static void give_postgres(const char *name, const char *from)
{
	struct rig_text to = rig_printf("%s/postgres/data/%s", rig_root(), name);
	struct stat st;

	cr_assert(stat(to.s, &st) == 0);
	copy_file(from, to.s, 0600);
	cr_assert(chown(to.s, st.st_uid, st.st_gid) == 0);
}

static void reload_postgres(void)
{
	cr_assert_str_eq(rig_admin_query("SELECT pg_reload_conf()").s, "t");
	ledger_run(&ledger, ROUND_MS);
}

/* Issuer of the certificate that PostgreSQL shows to the newest connection, as seen from here. */
static struct rig_text shown_issuer(const char *trust)
{
	PGconn *conn = PQconnectdb(
		rig_printf("host=127.0.0.1 port=%d user=alice dbname=app sslmode=verify-full "
	                   "sslrootcert=%s sslcert=%s/pgseal.crt sslkey=%s/pgseal.key",
	                   rig_postgres_port(), trust, rig_pki(), rig_pki())
			.s);
	X509 *cert = NULL;
	struct rig_text text = { "" };

	cr_assert_eq(PQstatus(conn), CONNECTION_OK, "%s", PQerrorMessage(conn));
	cert = SSL_get0_peer_certificate(PQsslStruct(conn, "OpenSSL"));
	X509_NAME_oneline(X509_get_issuer_name(cert), text.s, sizeof(text.s));
	PQfinish(conn);
	return text;
}

/* Towards PostgreSQL: first both authorities are trusted, then its certificate changes, then all servers
 * are made anew, then the old authority goes. */
Test(fault_orders, change_of_the_authority_behind_postgres)
{
	struct pki_cert *ca = guest_ca(), *new_ca = pki_ca("New CA", NULL), *cert;
	struct rig_text dir = rig_printf("%s/back", rig_root());
	struct rig_text trust = rig_printf("%s/trust.crt", dir.s);

	rig_alone();
	rig_require();
	cr_assert(mkdir(dir.s, 0755) == 0);
	copy_file(rig_printf("%s/ca.crt", rig_pki()).s, trust.s, 0644);
	begin("f_back", rig_printf("server_tls_ca_file = %s\n", trust.s).s);
	write_bundle(trust.s, ca, new_ca);
	reload();
	write_pair(dir.s, "server", cert = server_of(new_ca));
	pki_free(cert);
	give_postgres("server.crt", rig_printf("%s/server.crt", dir.s).s);
	give_postgres("server.key", rig_printf("%s/server.key", dir.s).s);
	reload_postgres();
	cr_assert(strstr(shown_issuer(trust.s).s, "New CA") != NULL);
	order("RECONNECT");
	ledger_run(&ledger, ROUND_MS);
	pki_write_cert(trust.s, new_ca);
	reload();
	order("RECONNECT");
	ledger_run(&ledger, ROUND_MS);
	pki_free(new_ca);
	pki_free(ca);
	end();
	give_postgres("server.crt", rig_printf("%s/server.crt", rig_pki()).s);
	give_postgres("server.key", rig_printf("%s/server.key", rig_pki()).s);
	cr_assert_str_eq(rig_admin_query("SELECT pg_reload_conf()").s, "t");
}
