#include <poll.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/duo.h"
#include "tests/integration/rig_priv.h"

#define SILENCE_MS 300

struct rig *duo_rig;
struct frames a, b;
struct script say;

void duo_start(const char *database, int pool_size, const char *settings)
{
	crowd_database(database);
	duo_rig = rig_start(settings,
	                    crowd_entry(database, rig_printf("pool_size=%d", pool_size).s).s, NULL);
	frames_login(&a, duo_rig, "alice", database);
	frames_login(&b, duo_rig, "alice", database);
}

void duo_finish(void)
{
	frames_drop(&a);
	frames_drop(&b);
	rig_stop(duo_rig);
}

void describe(const char *name)
{
	script_text(&say, 'D', rig_printf("S%s", name).s);
}

void prepare(const char *name, const char *sql)
{
	script_parse(&say, name, sql);
	describe(name);
	script_sync(&say);
}

void execute(const char *name)
{
	script_bind(&say, name);
	script_execute(&say, 0);
	script_sync(&say);
}

void close_statement(const char *name)
{
	script_text(&say, 'C', rig_printf("S%s", name).s);
}

static int readies(const char *answers)
{
	int n = 0;

	for (; *answers != '\0'; answers++)
		n += *answers == 'Z';
	return n;
}

void expect(struct frames *f, const char *answers)
{
	frames_send(f, &say);
	cr_assert_str_eq(frames_until(f, 'Z', readies(answers)).s, answers, "%s %s", f->sqlstate,
	                 f->message);
}

void expect_rows(struct frames *f, const char *answers, int rows)
{
	expect(f, answers);
	cr_assert_str_eq(f->tag, rig_printf("SELECT %d", rows).s, "rows of somebody else: %s",
	                 f->tag);
}

void expect_error(struct frames *f, const char *answers, const char *sqlstate, const char *words)
{
	expect(f, answers);
	cr_assert_str_eq(f->sqlstate, sqlstate, "%s %s", f->sqlstate, f->message);
	cr_assert(strstr(f->message, words) != NULL, "\"%s\" instead of \"%s\"", f->message, words);
}

bool stays_silent(const struct frames *f)
{
	struct pollfd p = { .fd = SSL_get_fd(f->ssl), .events = POLLIN };

	return poll(&p, 1, SILENCE_MS) == 0;
}

/* The first column of the only row; frames.c keeps no rows. */
void run(struct frames *f, const char *sql)
{
	script_query(&say, sql);
	frames_send(f, &say);
	cr_assert(strchr(frames_until(f, 'Z', 1).s, 'E') == NULL, "%s: %s", sql, f->message);
}

struct rig_text ask(struct frames *f, const char *sql)
{
	struct rig_text text = { "" };
	uint8_t body[4096];
	size_t n, len;
	char type;

	script_query(&say, sql);
	frames_send(f, &say);
	while ((type = rig_tls_message(f->ssl, body, sizeof(body), &n, RIG_PATIENCE_MS)) != 'Z') {
		cr_assert_neq(type, 0);
		if (type != 'D')
			continue;
		len = (size_t)body[4] << 8 | body[5]; /* behind the count and half of the length */
		memcpy(text.s, body + 6, len);
		text.s[len] = '\0';
	}
	return text;
}
