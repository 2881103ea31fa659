/* database.h and user.h: whether server connections are cleaned, from the setting to the terms of a pool. */
#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/core/database.h"
#include "pgseal/core/user.h"

static const struct place here = { "t.ini", 7 };
static struct settings settings;
static struct report *rep;

static void start(void)
{
	cr_assert_eq(settings_init(&settings), ERR_OK);
	rep = report_create();
	cr_assert_not_null(rep);
}

static void stop(void)
{
	report_free(rep);
	settings_fini(&settings);
}

TestSuite(database, .init = start, .fini = stop);

static struct database *entry(const char *value)
{
	return database_parse("app", value, here, &settings, rep);
}

static enum server_reset agreed(const struct database *db)
{
	struct user *u = user_parse("alice", "pool_mode=session", here, rep);
	struct terms terms;

	cr_assert_not_null(u);
	terms_agree(&terms, u, db, &settings);
	user_release(u);
	return terms.server_reset;
}

Test(database, server_reset_is_the_setting_unless_the_entry_says_otherwise)
{
	static const struct {
		const char *value;
		enum server_reset want;
	} cases[] = {
		{ "host=db.example.com", SERVER_RESET_CLIENT },
		{ "server_reset=suspected", SERVER_RESET_SUSPECTED },
		{ "server_reset=identity", SERVER_RESET_IDENTITY },
		{ "server_reset=client", SERVER_RESET_CLIENT },
		{ "server_reset=close host=db.example.com", SERVER_RESET_CLOSE },
	};

	settings.server_reset = SERVER_RESET_CLIENT;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct database *db = entry(cases[i].value);

		cr_assert_not_null(db, "%s", cases[i].value);
		cr_expect_eq(db->server_reset, cases[i].want, "%s", cases[i].value);
		cr_expect_eq(agreed(db), cases[i].want, "%s", cases[i].value);
		database_release(db);
	}
}

Test(database, a_wrong_server_reset_is_told_with_place_and_remedy)
{
	int is_error;

	cr_assert_null(entry("host=db.example.com server_reset=always"));
	cr_assert_eq(report_errors(rep), 1);
	cr_assert_str_eq(report_line(rep, 0, &is_error),
	                 "t.ini:7: database \"app\": server_reset: use suspected, identity, client "
	                 "or close");
}

/* A reload that changes it must not cost all connections. */
Test(database, server_reset_is_no_part_of_the_login)
{
	struct database *a = entry("host=db.example.com server_reset=identity");
	struct database *b = entry("host=db.example.com server_reset=close");
	struct database *c = entry("host=db2.example.com server_reset=close");

	cr_assert(a != NULL && b != NULL && c != NULL);
	cr_expect(database_same_login(a, b));
	cr_expect_not(database_same_login(b, c));
	database_release(a);
	database_release(b);
	database_release(c);
}
