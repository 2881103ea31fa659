/* authn.h: who counts as the same, and how sessions are counted. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdint.h>

#include "pgseal/core/authn.h"
#include "pgseal/tls/identity.h"

#define CASES(t) (sizeof(t) / sizeof(t)[0])

static struct authns *all;

static void start(void)
{
	cr_assert_eq(authns_create(&all), ERR_OK);
}

static void stop(void)
{
	authns_free(all);
}

TestSuite(authn, .init = start, .fini = stop);

/* As if by a rule; what no comparison is to look at differs from certificate to certificate. */
static struct identity identity(const char *label, enum name_type type, const char *name)
{
	static const char *const roles[] = { "app_rw", "app_ro" };
	static size_t nth;

	nth++;
	return (struct identity){
		.label = label,
		.type = type,
		.name = name,
		.serial = nth % 2 == 0 ? "01" : "02",
		.not_after = (int64_t)nth,
		.max_clients = (int64_t)nth,
		.rule = nth,
		.role_count = 1 + nth % 2,
		.roles = roles,
	};
}

static struct authn *get(const char *label, enum name_type type, const char *name)
{
	struct identity id = identity(label, type, name);
	struct authn *a = authn_get(all, &id);

	cr_assert_not_null(a);
	return a;
}

static struct authn *get_shared(const char *label, enum name_type type, const char *name)
{
	struct identity id = identity(label, type, name);
	struct authn *a;

	id.share_rule = true;
	a = authn_get(all, &id);
	cr_assert_not_null(a);
	return a;
}

Test(authn, certificates_of_one_name_are_the_same)
{
	struct authn *a = get("web", NAME_DNS, "web.example"), *b;
	char label[] = "web", name[] = "web.example";

	b = get(label, NAME_DNS, name);
	cr_assert_eq(a, b);
	authn_release(a);
	label[0] = name[0] = 'x';
	a = get("web", NAME_DNS, "web.example");
	cr_assert_eq(a, b, "it must not need the texts of the identity");
	authn_release(a);
	authn_release(b);
}

Test(authn, another_label_type_or_name_is_another)
{
	static const struct {
		const char *label;
		enum name_type type;
		const char *name;
		bool shared;
	} cases[] = {
		{ "web", NAME_CN, "alice", false },
		{ "web", NAME_CN, "bob", false },
		{ "web", NAME_CN, "Alice", false },
		{ "web", NAME_CN, "alic", false },
		{ "web", NAME_DNS, "alice", false },
		{ "web", NAME_EMAIL, "alice", false },
		{ "we", NAME_CN, "balice", false },
		/* the same bytes in a row, were there nothing between them */
		{ "web", NAME_CN, "namecnalice", false },
		{ "webnamecn", NAME_CN, "alice", false },
		{ "alice", NAME_CN, "web", false },
		{ "web", NAME_CN, "alice", true },
		{ "we", NAME_CN, "alice", true },
		{ "web", NAME_CN, "rule", false },
		{ "rule", NAME_CN, "alice", false },
		{ "rule", NAME_CN, "alice", true },
		/* without a section the label is the CN, which holds what it likes */
		{ "web name", NAME_CN, "web name", false },
		{ "web name cn", NAME_CN, "web name cn", false },
	};
	struct authn *held[CASES(cases)];

	for (size_t i = 0; i < CASES(cases); i++) {
		held[i] = (cases[i].shared ? get_shared : get)(cases[i].label, cases[i].type,
		                                               cases[i].name);
		for (size_t j = 0; j < i; j++)
			cr_expect_neq(held[i], held[j], "%s:%s and %s:%s", cases[i].label,
			              cases[i].name, cases[j].label, cases[j].name);
	}
	for (size_t i = 0; i < CASES(cases); i++)
		authn_release(held[i]);
}

Test(authn, share_rule_makes_all_names_of_a_rule_one)
{
	struct authn *a = get_shared("fleet", NAME_CN, "i-1"), *b;

	b = get_shared("fleet", NAME_CN, "i-2");
	cr_expect_eq(a, b);
	authn_release(b);
	b = get_shared("fleet", NAME_URI, "spiffe://prod/i-1");
	cr_expect_eq(a, b);
	authn_release(b);
	b = get_shared("ships", NAME_CN, "i-1");
	cr_expect_neq(a, b);
	authn_release(b);
	b = get("fleet", NAME_CN, "i-1");
	cr_expect_neq(a, b);
	authn_release(b);
	authn_release(a);
}

Test(authn, a_reference_keeps_it)
{
	struct authn *a = get("web", NAME_CN, "alice"), *b;

	authn_session_began(a);
	cr_assert_eq(authn_hold(a), a);
	authn_release(a);
	b = get("web", NAME_CN, "alice");
	cr_expect_eq(a, b);
	cr_expect(authn_has_sessions(b));
	cr_expect(authn_session_ended(b));
	authn_release(b);
	authn_release(a);
	a = get("web", NAME_CN, "alice");
	cr_expect_not(authn_has_sessions(a), "a new one begins with none");
	authn_release(a);
	cr_expect_null(authn_hold(NULL));
	authn_release(NULL);
}

Test(authn, the_last_session_to_end_is_told)
{
	struct authn *a = get("web", NAME_CN, "alice"), *other = get("web", NAME_CN, "bob");

	cr_expect_not(authn_has_sessions(a));
	authn_session_began(a);
	authn_session_began(a);
	authn_session_began(other);
	cr_expect_not(authn_session_ended(a));
	cr_expect(authn_has_sessions(a));
	cr_expect(authn_session_ended(a));
	cr_expect_not(authn_has_sessions(a));
	authn_session_began(a);
	cr_expect(authn_session_ended(a));
	cr_expect(authn_session_ended(other));
	authn_release(a);
	authn_release(other);
}

/* ---- two threads ---- */

#define ROUNDS 20000

struct crowd {
	struct authn *first; /* that must be found each time; NULL: any */
	unsigned last;       /* how often a session was the last one */
	unsigned faults;
};

static void *come_and_go(void *arg)
{
	struct identity id = { .label = "web", .type = NAME_CN, .name = "alice" };
	struct crowd *c = arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		struct authn *a = authn_get(all, &id);

		if (a == NULL || (c->first != NULL && a != c->first)) {
			c->faults++;
			break;
		}
		authn_session_began(a);
		c->faults += !authn_has_sessions(a);
		c->last += authn_session_ended(a);
		authn_release(a);
	}
	return NULL;
}

static void run_two(struct crowd crowds[2])
{
	pthread_t threads[2];

	for (size_t i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &crowds[i]), 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(crowds[0].faults + crowds[1].faults, 0);
}

Test(authn, none_is_the_last_in_two_threads_while_another_stays)
{
	struct authn *a = get("web", NAME_CN, "alice");
	struct crowd crowds[2] = { { .first = a }, { .first = a } };

	authn_session_began(a);
	run_two(crowds);
	cr_expect_eq(crowds[0].last + crowds[1].last, 0);
	cr_expect(authn_has_sessions(a));
	cr_expect(authn_session_ended(a));
	authn_release(a);
}

Test(authn, it_is_made_and_freed_by_two_threads)
{
	struct crowd crowds[2] = { { .first = NULL }, { .first = NULL } };
	struct authn *a;

	run_two(crowds);
	cr_expect_gt(crowds[0].last + crowds[1].last, 0);
	a = get("web", NAME_CN, "alice");
	cr_expect_not(authn_has_sessions(a));
	authn_release(a);
}
