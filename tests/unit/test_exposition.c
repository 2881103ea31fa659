/* exposition_priv.h: samples as Prometheus reads them. */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "src/admin/exposition_priv.h"

static const struct family family = { "x_seconds", FAMILY_HISTOGRAM, "How long x took." };
static const struct label none[] = { { NULL, NULL } };

static struct buf out;
static struct exposition e;

static void start(void)
{
	out = (struct buf){ 0 };
	e = (struct exposition){ .out = &out };
}

static void stop(void)
{
	buf_free(&out);
}

TestSuite(exposition, .init = start, .fini = stop);

static void expect(const char *want)
{
	cr_assert_not(e.no_memory);
	cr_expect(bytes_equal((struct bytes){ out.at, out.len }, bytes_of(want)),
	          "\n%.*sinstead of\n%s", (int)out.len, (const char *)out.at, want);
	buf_free(&out);
}

Test(exposition, families_say_what_they_are)
{
	const struct family counter = { "a_total", FAMILY_COUNTER, "Things." };
	const struct family gauge = { "b", FAMILY_GAUGE, "State." };

	exposition_family(&e, &counter);
	expect("# HELP a_total Things.\n# TYPE a_total counter\n");
	exposition_family(&e, &gauge);
	expect("# HELP b State.\n# TYPE b gauge\n");
	exposition_family(&e, &family);
	expect("# HELP x_seconds How long x took.\n# TYPE x_seconds histogram\n");
}

Test(exposition, values_are_exact_and_short)
{
	static const struct {
		enum unit unit;
		int64_t value;
		const char *want;
	} cases[] = {
		{ UNIT_ONE, 0, "x_seconds 0\n" },
		{ UNIT_ONE, 100, "x_seconds 100\n" },
		{ UNIT_ONE, -1, "x_seconds -1\n" },
		{ UNIT_ONE, INT64_MAX, "x_seconds 9223372036854775807\n" },
		{ UNIT_USEC, 0, "x_seconds 0\n" },
		{ UNIT_USEC, 1, "x_seconds 0.000001\n" },
		{ UNIT_USEC, 250, "x_seconds 0.00025\n" },
		{ UNIT_USEC, 2500000, "x_seconds 2.5\n" },
		{ UNIT_USEC, 100 * USEC_PER_SEC, "x_seconds 100\n" },
		{ UNIT_USEC, 1234567890123456, "x_seconds 1234567890.123456\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		exposition_value(&e, &family, none, cases[i].unit, cases[i].value);
		expect(cases[i].want);
	}
}

Test(exposition, labels_are_escaped)
{
	static const char *const cases[][2] = {
		{ "plain", "x_seconds{l=\"plain\"} 1\n" },
		{ "", "x_seconds{l=\"\"} 1\n" },
		{ "a\"b", "x_seconds{l=\"a\\\"b\"} 1\n" },
		{ "a\\b", "x_seconds{l=\"a\\\\b\"} 1\n" },
		{ "a\nb", "x_seconds{l=\"a\\nb\"} 1\n" },
		{ "\"\\\n", "x_seconds{l=\"\\\"\\\\\\n\"} 1\n" },
		{ "{a=\"b\"} 2", "x_seconds{l=\"{a=\\\"b\\\"} 2\"} 1\n" },
		{ "M\xc3\xbcller", "x_seconds{l=\"M\xc3\xbcller\"} 1\n" },
		{ "M\xfcller", "x_seconds{l=\"M?ller\"} 1\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		exposition_number(&e, &family,
		                  (const struct label[]){ { "l", cases[i][0] }, { NULL, NULL } },
		                  1);
		expect(cases[i][1]);
	}
	exposition_number(&e, &family,
	                  (const struct label[]){ { "a", "1" }, { "b", "2" }, { NULL, NULL } }, 3);
	expect("x_seconds{a=\"1\",b=\"2\"} 3\n");
}

/* The number behind the last blank of each line that begins so. */
static size_t numbers(const char *text, const char *prefix, long long *into, size_t max)
{
	size_t n = 0;

	for (; text != NULL && *text != '\0'; text = strchr(text, '\n') + 1) {
		const char *end = strchr(text, '\n'),
			   *blank = memrchr(text, ' ', (size_t)(end - text));

		if (strncmp(text, prefix, strlen(prefix)) == 0 && n < max)
			into[n++] = atoll(blank);
	}
	return n;
}

Test(exposition, buckets_add_up_and_the_last_has_all)
{
	long long buckets[HISTOGRAM_LIMIT_COUNT + 2], count;
	struct histogram h = { .sum = 0 };
	char *text;
	size_t n;

	for (size_t i = 0; i < HISTOGRAM_LIMIT_COUNT; i++)
		for (size_t k = 0; k <= i % 3; k++)
			histogram_add(&h, histogram_limits[i]);
	histogram_add(&h, 1000 * USEC_PER_SEC);
	exposition_histogram(&e, &family, (const struct label[]){ { "l", "v" }, { NULL, NULL } },
	                     &h);
	cr_assert_eq(buf_append(&out, "", 1), ERR_OK);
	text = (char *)out.at;
	n = numbers(text, "x_seconds_bucket{l=\"v\",le=\"", buckets,
	            sizeof(buckets) / sizeof(*buckets));
	cr_assert_eq(n, HISTOGRAM_LIMIT_COUNT + 1, "%zu", n);
	for (size_t i = 1; i < n; i++)
		cr_expect_geq(buckets[i], buckets[i - 1]);
	cr_assert_eq(numbers(text, "x_seconds_count{l=\"v\"} ", &count, 1), 1);
	cr_expect_eq(buckets[n - 1], count);
	cr_expect_eq((uint64_t)count, histogram_count(&h));
	cr_expect_not_null(strstr(text, "x_seconds_bucket{l=\"v\",le=\"0.0001\"} 1\n"), "%s", text);
	cr_expect_not_null(strstr(text, "x_seconds_bucket{l=\"v\",le=\"0.00025\"} 3\n"), "%s",
	                   text);
	cr_expect_not_null(strstr(text, ",le=\"100\"} "), "%s", text);
	cr_expect_not_null(strstr(text, ",le=\"+Inf\"} "), "%s", text);
}

Test(exposition, histograms_without_labels)
{
	struct histogram h = { .sum = 0 };
	char *text;

	histogram_add(&h, 1500000);
	exposition_histogram(&e, &family, none, &h);
	cr_assert_eq(buf_append(&out, "", 1), ERR_OK);
	text = (char *)out.at;
	cr_expect_not_null(strstr(text, "x_seconds_bucket{le=\"1\"} 0\n"), "%s", text);
	cr_expect_not_null(strstr(text, "x_seconds_bucket{le=\"2.5\"} 1\n"), "%s", text);
	cr_expect_not_null(strstr(text, "x_seconds_sum 1.5\nx_seconds_count 1\n"), "%s", text);
}
