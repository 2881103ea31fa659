/* Messages about statements that lie across the buffers they come in, or are larger than any: the names in
 * them are found and replaced even so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/rig_priv.h"

#define ROUND_ROBIN "server_round_robin=1\nmin_pool_size=2\n"
#define RECORD 16384 /* the most that comes in one piece of TLS */
#define BIG 200000
#define LOOKED_AT 65536 /* for the end of a name */
#define ENDLESS 250000

TestSuite(prepared_sizes, .timeout = 120);

/* ---- messages of any size, which a script has no room for ---- */

static uint8_t big[ENDLESS + 1000];
static size_t big_len;

static void put(const void *at, size_t n)
{
	cr_assert(n <= sizeof(big) - big_len);
	memcpy(big + big_len, at, n);
	big_len += n;
}

static void put_header(char type, size_t size)
{
	uint8_t header[5] = { (uint8_t)type };

	for (int i = 0; i < 4; i++)
		header[1 + i] = (uint8_t)((size - 1) >> (24 - 8 * i));
	put(header, sizeof(header));
}

/* Of exactly that size, header included: the text is followed by blanks. */
static void put_parse(const char *name, const char *sql, size_t size)
{
	size_t head = 5 + strlen(name) + 1, blanks = size - head - strlen(sql) - 3;

	put_header('P', size);
	put(name, strlen(name) + 1);
	put(sql, strlen(sql));
	cr_assert(blanks <= sizeof(big) - big_len - 3);
	memset(big + big_len, ' ', blanks);
	big_len += blanks;
	put("\0\0\0", 3);
}

static void put_query(const char *sql, size_t size)
{
	size_t blanks = size - 5 - strlen(sql) - 1;

	put_header('Q', size);
	put(sql, strlen(sql));
	cr_assert(blanks <= sizeof(big) - big_len - 1);
	memset(big + big_len, ' ', blanks);
	big_len += blanks;
	put("", 1);
}

/* And what is in `say` behind it, all in one write. */
static void send_big(struct frames *f)
{
	put(say.at, say.len);
	rig_tls_send(f->ssl, big, big_len);
	big_len = say.len = 0;
}

static void hears(struct frames *f, const char *answers, int readies)
{
	cr_assert_str_eq(frames_until(f, 'Z', readies).s, answers, "%s %s", f->sqlstate,
	                 f->message);
}

/* ---- around the buffers ---- */

Test(prepared_sizes, parse_that_ends_anywhere_around_a_buffers_end)
{
	/* a record, what is looked at as a whole, what is read at once, and what comes of that */
	static const size_t sizes[] = { RECORD, 65536, 131072, 131072 + RECORD };

	duo_start("z_ends", 2, ROUND_ROBIN);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int off = -8; off <= 8; off++) {
			int rows = 1 + (off + 8);

			put_parse("mine", rig_printf("SELECT generate_series(1, %d)", rows).s,
			          sizes[i] + (size_t)off);
			execute("mine");
			send_big(&a);
			hears(&a, "12DCZ", 1);
			for (int k = 0; k < 2; k++) {
				execute("mine");
				expect_rows(&a, "2DCZ", rows);
			}
			close_statement("mine");
			script_sync(&say);
			expect(&a, "3Z");
		}
	}
	duo_finish();
}

/* In front of each byte of Parse, Bind, Describe and Close ends what comes in one piece. */
Test(prepared_sizes, names_that_lie_across_two_records)
{
	duo_start("z_across", 2, ROUND_ROBIN);
	prepare("mine", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	for (size_t before = 0; before < 120; before++) {
		put_query("SELECT 1", RECORD - before);
		script_parse(&say, "mine", "SELECT generate_series(1, 3)");
		describe("mine");
		script_bind(&say, "mine");
		script_execute(&say, 0);
		close_statement("mine");
		script_sync(&say);
		send_big(&a);
		hears(&a, "TDCZ1tT2DC3Z", 2);
		cr_assert_str_eq(a.tag, "SELECT 3", "%zu bytes before", before);
	}
	execute("mine");
	expect_rows(&b, "2DCZ", 7);
	duo_finish();
}

/* ---- names ---- */

static const char *long_name(size_t len)
{
	static char name[ENDLESS + 1];

	cr_assert(len < sizeof(name));
	memset(name, 'n', len);
	name[len] = '\0';
	return name;
}

/* The header, then pieces with their NULs, then bytes. */
static void put_named(char type, const char *first, const char *second, const void *rest, size_t n)
{
	size_t two = second != NULL ? strlen(second) + 1 : 0;

	put_header(type, 5 + strlen(first) + 1 + two + n);
	put(first, strlen(first) + 1);
	if (second != NULL)
		put(second, two);
	put(rest, n);
}

/* Of a kind and a name: Describe and Close. */
static void put_of_kind(char type, char kind, const char *name)
{
	put_header(type, 5 + 1 + strlen(name) + 1);
	put(&kind, 1);
	put(name, strlen(name) + 1);
}

/* PostgreSQL looks at the first 63 bytes of a name, and takes 10000 of it in the messages that have nothing
 * else in them. */
Test(prepared_sizes, names_of_many_kilobytes_stand_for_their_beginnings)
{
	static const size_t lengths[] = { 9000, 30000 };

	duo_start("z_names", 2, ROUND_ROBIN);
	for (size_t i = 0; i < 2; i++) {
		const char *name = long_name(lengths[i]);
		struct rig_text beginning = rig_printf("%.63s", name);

		put_parse(name, "SELECT generate_series(1, 3)", lengths[i] + 100);
		script_sync(&say);
		send_big(&a);
		hears(&a, "1Z", 1);
		name = i == 0 ? name : beginning.s;
		for (int k = 0; k < 3; k++) {
			/* portal and statement */
			put_named('B', long_name(lengths[i]), long_name(lengths[i]), "\0\0\0\0\0\0",
			          6);
			put_of_kind('D', 'P', name);
			put_named('E', name, NULL, "\0\0\0\0", 4);
			put_of_kind('C', 'P', name);
			put_of_kind('D', 'S', name);
			script_sync(&say);
			send_big(&a);
			hears(&a, "2TDC3tTZ", 1);
			cr_assert_str_eq(a.tag, "SELECT 3");
			execute(beginning.s);
			expect_rows(&a, "2DCZ", 3);
		}
		put_of_kind('C', 'S', name);
		script_sync(&say);
		send_big(&a);
		hears(&a, "3Z", 1);
		execute(beginning.s);
		expect_error(&a, "EZ", "26000", "does not exist");
	}
	duo_finish();
}

/* Nobody is to hold that in memory in order to find its end. */
Test(prepared_sizes, endless_name_ends_its_client_alone)
{
	static const char types[] = { 'P', 'B', 'D', 'C' };

	duo_start("z_endless", 1, NULL);
	prepare("mine", "SELECT generate_series(1, 7)");
	expect(&b, "1tTZ");
	for (size_t i = 0; i < sizeof(types); i++) {
		if (types[i] == 'P' || types[i] == 'B')
			put_named(types[i], long_name(ENDLESS), NULL, "\0\0\0\0\0\0\0", 7);
		else
			put_of_kind(types[i], 'S', long_name(ENDLESS));
		big_len = LOOKED_AT; /* the rest would meet a closed door */
		send_big(&a);
		cr_assert_str_eq(frames_until(&a, 'Z', 1).s, "E!", "%c", types[i]);
		cr_assert_str_eq(a.sqlstate, "08P01", "%c: %s", types[i], a.message);
		execute("mine");
		expect_rows(&b, "2DCZ", 7);
		frames_drop(&a);
		frames_login(&a, duo_rig, "alice", "z_endless");
	}
	duo_finish();
}

/* ---- together with statements of the pooler's own ---- */

#define ZONE "SELECT current_setting('TimeZone') || current_setting('work_mem')"

static char *make_text(void)
{
	char *sql = malloc(BIG);

	cr_assert(sql != NULL);
	memset(sql, ' ', BIG);
	memcpy(sql, ZONE, strlen(ZONE));
	sql[BIG - 1] = '\0';
	return sql;
}

static void prepares(PGconn *conn, const char *name, const char *sql)
{
	PGresult *res = PQprepare(conn, name, sql, 0, NULL);

	cr_assert_eq(PQresultStatus(res), PGRES_COMMAND_OK, "%s", PQresultErrorMessage(res));
	PQclear(res);
}

static void executes(PGconn *conn, const char *name, const char *want)
{
	PGresult *res = PQexecPrepared(conn, name, 0, NULL, NULL, NULL, 0);

	cr_assert_eq(PQresultStatus(res), PGRES_TUPLES_OK, "%s", PQresultErrorMessage(res));
	cr_assert_str_eq(PQgetvalue(res, 0, 0), want);
	PQclear(res);
}

/* What a server must be set to, and the statement that it does not have, in front of the client's message:
 * each time both. Before the first of them the values are not even known to be good. */
Test(prepared_sizes, large_parse_behind_parameters_that_must_be_set)
{
	char *sql = make_text();
	PGconn *c, *d;

	crowd_database("z_setup");
	duo_rig = rig_start("max_prepared_statements=1\n", crowd_entry("z_setup", "pool_size=1").s,
	                    NULL);
	c = rig_connect(duo_rig, "dbname=z_setup options='-c TimeZone=Asia/Tokyo'");
	d = rig_connect(duo_rig, "dbname=z_setup options='-c work_mem=5MB -c TimeZone=UTC'");
	for (int i = 0; i < 3; i++) {
		struct rig_text name = rig_printf("s%d", i);

		prepares(c, name.s, sql);
		prepares(d, name.s, sql);
		for (int k = 0; k <= i; k++) {
			executes(c, rig_printf("s%d", k).s, "Asia/Tokyo4MB");
			executes(d, rig_printf("s%d", k).s, "UTC5MB");
		}
		sql[BIG - 10 - i] = ';'; /* another text */
	}
	PQfinish(c);
	PQfinish(d);
	free(sql);
	rig_stop(duo_rig);
}
