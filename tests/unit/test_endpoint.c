/* endpoint.h: lists of addresses with ports. */
#include <arpa/inet.h>
#include <string.h>

#include <criterion/criterion.h>

#include "pgseal/base/endpoint.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

Test(endpoint, takes_both_families)
{
	struct endpoints all;
	struct errbuf why;

	cr_assert_eq(endpoints_parse(" 127.0.0.1:9127 ,[::1]:65535", &all, &why), ERR_OK);
	cr_assert_eq(all.count, 2);
	cr_expect_str_eq(all.at[0].text, "127.0.0.1:9127");
	cr_expect_eq(all.at[0].at.in.sin_family, AF_INET);
	cr_expect_eq(all.at[0].at.in.sin_port, htons(9127));
	cr_expect_eq(all.at[0].at.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	cr_expect_eq(all.at[0].len, sizeof(struct sockaddr_in));
	cr_expect_str_eq(all.at[1].text, "[::1]:65535");
	cr_expect_eq(all.at[1].at.in6.sin6_family, AF_INET6);
	cr_expect_eq(all.at[1].at.in6.sin6_port, htons(65535));
	cr_expect(IN6_IS_ADDR_LOOPBACK(&all.at[1].at.in6.sin6_addr));
	cr_expect_eq(all.at[1].len, sizeof(struct sockaddr_in6));
}

Test(endpoint, nothing_is_a_list_of_none)
{
	struct endpoints all = { .count = 7 };

	cr_expect_eq(endpoints_parse("", &all, NULL), ERR_OK);
	cr_expect_eq(all.count, 0);
	cr_expect_eq(endpoints_parse("  ", &all, NULL), ERR_OK);
	cr_expect_eq(all.count, 0);
}

Test(endpoint, refuses_what_is_none)
{
	static const char *const bad[] = {
		"9127", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
		"127.0.0.1:-1", "127.0.0.1:80x", ":9127", "*:9127", "localhost:9127",
		"::1:9127", "[::1]", "[::1:9127", "[]:9127", "[:9127", "[127.0.0.1]:9127",
		"1.2.3:9127", "1.2.3.4.5:9127", "[::1]x:9127", "127.0.0.1:1,", ",127.0.0.1:1",
		"127.0.0.1:1,,127.0.0.1:2", "127.0.0.1:1 127.0.0.1:2", ",",
		"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:9127",
	};
	struct endpoints all = { .count = 7 };
	struct errbuf why;

	for (size_t i = 0; i < COUNT(bad); i++) {
		cr_expect_eq(endpoints_parse(bad[i], &all, &why), ERR_SYNTAX, "%s", bad[i]);
		cr_expect_not_null(strstr(why.text, "write them as 127.0.0.1:9127"), "%s", bad[i]);
		cr_expect_eq(all.count, 7, "%s", bad[i]);
	}
}

Test(endpoint, has_a_limit)
{
	char list[ENDPOINTS_MAX * 16 + 32] = "127.0.0.1:1";
	struct endpoints all;
	struct errbuf why;

	for (int i = 1; i < ENDPOINTS_MAX; i++)
		strcat(list, ",127.0.0.1:1");
	cr_expect_eq(endpoints_parse(list, &all, &why), ERR_OK);
	cr_expect_eq(all.count, ENDPOINTS_MAX);
	strcat(list, ",127.0.0.1:1");
	cr_expect_eq(endpoints_parse(list, &all, &why), ERR_LIMIT);
}
