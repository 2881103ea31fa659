/* troubles.h: what is one kind, and who gives way. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "pgseal/core/troubles.h"

static struct troubles *t;
static struct trouble list[TROUBLES_MAX];

static void start(void)
{
	t = troubles_create();
	cr_assert_not_null(t);
}

static void stop(void)
{
	troubles_free(t);
}

TestSuite(troubles, .init = start, .fini = stop);

static const struct trouble *find(size_t n, const char *class, const char *sqlstate)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].class, class) == 0 && strcmp(list[i].sqlstate, sqlstate) == 0)
			return &list[i];
	cr_assert_fail("no %s %s", class, sqlstate);
	return NULL;
}

Test(troubles, clients_are_counted_by_class_and_servers_by_host)
{
	size_t n;

	troubles_note(t, TROUBLE_CLIENT, "identity", "192.0.2.1", "28000", "no rule");
	troubles_note(t, TROUBLE_CLIENT, "identity", "192.0.2.2", "28000", "two\nlines");
	troubles_note(t, TROUBLE_CLIENT, "identity", "192.0.2.2", "08P01", NULL);
	troubles_note(t, TROUBLE_SERVER, "login failed", "db1", "28000", "x");
	troubles_note(t, TROUBLE_SERVER, "login failed", "db2", "28000", "x");
	troubles_note(t, TROUBLE_SERVER, "login failed", "db2", "", NULL);
	cr_assert_eq(n = troubles_list(t, list), 5);
	cr_assert_eq(find(n, "identity", "28000")->count, 2);
	cr_assert_str_eq(find(n, "identity", "28000")->host, "192.0.2.2");
	cr_assert_str_eq(find(n, "identity", "28000")->message.s, "two\\x0alines");
	cr_assert_eq(find(n, "identity", "08P01")->count, 1);
	for (size_t i = 1; i < n; i++)
		cr_assert_geq(list[i - 1].last_at, list[i].last_at);
}

Test(troubles, the_quietest_gives_way)
{
	char host[16];
	size_t n;

	for (int i = 0; i < TROUBLES_MAX; i++) {
		snprintf(host, sizeof(host), "h%d", i);
		troubles_note(t, TROUBLE_SERVER, "c", host, NULL, NULL);
	}
	troubles_note(t, TROUBLE_SERVER, "c", "h1", NULL, NULL);
	troubles_note(t, TROUBLE_SERVER, "new", "h0", NULL, NULL);
	n = troubles_list(t, list);
	cr_assert_eq(n, TROUBLES_MAX);
	cr_assert_eq(find(n, "new", "")->count, 1);
	for (size_t i = 0; i < n; i++)
		cr_assert(strcmp(list[i].class, "new") == 0 || strcmp(list[i].host, "h0") != 0);
}

Test(troubles, what_is_over_may_come_back)
{
	troubles_note(t, TROUBLE_FILE, "client_tls_key_file", "/k", "F0000", "gone");
	troubles_note(t, TROUBLE_CLIENT, "identity", "x", "28000", "y");
	troubles_settle(t, TROUBLE_FILE);
	(void)troubles_list(t, list);
	cr_assert(find(2, "client_tls_key_file", "F0000")->over);
	cr_assert_not(find(2, "identity", "28000")->over);
	troubles_note(t, TROUBLE_FILE, "client_tls_key_file", "/k", "F0000", "gone");
	(void)troubles_list(t, list);
	cr_assert_not(find(2, "client_tls_key_file", "F0000")->over);
	cr_assert_eq(find(2, "client_tls_key_file", "F0000")->count, 2);
}
