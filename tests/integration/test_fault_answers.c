/* A server whose answers end anywhere, or whose messages lie about their length: its client hears whole
 * messages and why there are no more of them, or nothing; the next client notices nothing. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/impostor.h"
#include "tests/integration/rig_priv.h"

TestSuite(fault_answers, .timeout = 180);

/* What the impostor does on the connection that is under way. */
struct plan {
	char type;        /* the message that it dies of: Query, */
	const char *upon; /* whose text begins so, or Flush or Sync, after a Parse of such a text */
	size_t len;       /* so many bytes of `words` are sent */
};

static struct impostor impostor;
static struct script words;
static struct plan plan;
static struct rig *rig;

/* --- the impostor: in its thread no assertion may be made --- */

/* Has it come to the message of which it dies? */
static bool is_doomed(char type, const char *text, bool *doomed)
{
	if ((type == 'P' || type == 'Q') && strncmp(text, plan.upon, strlen(plan.upon)) == 0)
		*doomed = true;
	if (*doomed && type == plan.type)
		return true;
	*doomed = *doomed && strchr("QHS", type) == NULL;
	return false;
}

static bool answer(char type, const char *body, struct impostor_batch *batch, struct script *say)
{
	if (type != 'Q')
		return impostor_put_answer(say, batch, type, body);
	script_text(say, 'C', "SELECT 0");
	script_put(say, 'Z', "I", 1);
	return true;
}

static void converse(SSL *ssl, struct script *say)
{
	struct impostor_batch batch = { .status = 'I' };
	char body[4096], type;
	bool doomed = false;
	size_t sent;

	if (impostor_hear(ssl, true, body, sizeof(body)) == 0)
		return;
	impostor_put_welcome(say);
	impostor_tell(ssl, say);
	while ((type = impostor_hear(ssl, false, body, sizeof(body))) != 0 && type != 'X') {
		if (is_doomed(type, type == 'P' ? body + strlen(body) + 1 : body, &doomed)) {
			if (plan.len > 0)
				SSL_write_ex(ssl, words.at, plan.len, &sent);
			return;
		}
		if (answer(type, body, &batch, say))
			impostor_tell(ssl, say);
	}
}

static void receive(struct impostor *im, int fd)
{
	SSL *ssl = impostor_secure(im, fd);
	struct script *say = calloc(1, sizeof(*say));

	if (ssl != NULL)
		converse(ssl, say);
	free(say);
	SSL_free(ssl);
}

/* --- the tests --- */

static void start(const char *settings, const char *keys)
{
	rig_require();
	impostor_start(&impostor, NULL, receive, NULL);
	rig = rig_start(
		rig_printf("workers = 1\n%s", settings).s,
		rig_printf("app = host=127.0.0.1 port=%d pool_size=1 %s\n", impostor.port, keys).s,
		NULL);
}

static void stop(void)
{
	rig_stop(rig);
	impostor_stop(&impostor);
}

/* A client whose server is well. */
static void all_is_well(void)
{
	struct frames f;
	struct script say = { 0 };

	plan = (struct plan){ 'Q', "nothing", 0 };
	frames_login(&f, rig, "alice", "app");
	script_query(&say, "fine");
	frames_send(&f, &say);
	cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "CZ");
	frames_drop(&f);
}

static void put_columns(struct script *s)
{
	static const char column[] =
		"\0\1column\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0";

	script_put(s, 'T', column, sizeof(column) - 1);
}

static void put_rows(struct script *s)
{
	script_put(s, 'D', "\0\1\0\0\0\5first", 11);
	script_put(s, 'D', "\0\1\0\0\0\6second", 12);
	script_text(s, 'C', "SELECT 2");
	script_put(s, 'Z', "I", 1);
}

/* Types of the messages of `words` that are whole within so many bytes, a run of rows as one, and
 * whether a begun one behind them has shown its length. */
static struct rig_text whole(size_t len, bool *begun)
{
	struct rig_text types = { "" };
	size_t pos = 0, n = 0;
	uint32_t size;

	while (pos + 5 <= len) {
		memcpy(&size, words.at + pos + 1, sizeof(size));
		if (pos + 1 + ntohl(size) > len)
			break;
		if (n == 0 || types.s[n - 1] != 'D' || words.at[pos] != 'D')
			types.s[n++] = (char)words.at[pos];
		pos += 1 + ntohl(size);
	}
	*begun = pos + 5 <= len;
	return types;
}

/* The end of what a client hears when the answer ends there. */
static void check_words(size_t len, const struct frames *f, const char *heard)
{
	bool begun;
	struct rig_text types = whole(len, &begun);
	struct rig_text told = rig_printf("%.100sE!", types.s),
			silent = rig_printf("%.100s!", types.s);

	if (strcmp(heard, silent.s) == 0)
		cr_assert(begun, "%zu bytes: nothing was told", len);
	else
		cr_assert_str_eq(heard, told.s, "%zu bytes: %s", len, heard);
	if (strcmp(heard, told.s) == 0)
		cr_assert_str_eq(f->sqlstate, "08006", "%zu bytes: %s", len, f->message);
}

/* The answer ends behind each byte but the last, each time with a new client that says this. */
static void cut_everywhere(char type, void (*ask)(struct script *s))
{
	struct script say = { 0 };
	struct frames f;

	for (size_t len = 0; len < words.len; len++) {
		plan = (struct plan){ type, "go", len };
		frames_login(&f, rig, "alice", "app");
		ask(&say);
		frames_send(&f, &say);
		check_words(len, &f, frames_until(&f, 'Z', 1).s);
		frames_drop(&f);
	}
	all_is_well();
}

static void ask_simply(struct script *s)
{
	script_query(s, "go");
}

Test(fault_answers, answer_may_end_at_any_byte)
{
	start("", "");
	put_columns(&words);
	put_rows(&words);
	cut_everywhere('Q', ask_simply);
	stop();
}

static void ask_in_a_batch(struct script *s)
{
	script_parse(s, "", "go");
	script_bind(s, "");
	script_execute(s, 0);
	script_sync(s);
}

Test(fault_answers, answer_to_a_batch_may_end_at_any_byte)
{
	start("", "");
	script_put(&words, '1', NULL, 0);
	script_put(&words, '2', NULL, 0);
	put_rows(&words);
	cut_everywhere('S', ask_in_a_batch);
	stop();
}

/* One that was parsed, bound and executed. */
static void put_success(const char *tag, bool row)
{
	script_put(&words, '1', NULL, 0);
	script_put(&words, '2', NULL, 0);
	if (row)
		script_put(&words, 'D', "\0\1\0\0\0\1f", 7);
	script_text(&words, 'C', tag);
}

/* The client never sees any of it, nor is anything of its own carried out: it is told once that its
 * server is lost. */
Test(fault_answers, answer_to_the_poolers_own_statements_may_end_at_any_byte)
{
	struct script say = { 0 };
	struct frames f;

	start("", "");
	put_success("BEGIN", false);
	put_success("SELECT 1", true);
	put_success("COMMIT", false);
	for (size_t len = 0; len <= words.len; len++) {
		const char *const params[] = { "user",     "alice",      "database", "app",
			                       "TimeZone", "Asia/Tokyo", NULL };
		struct rig_tls how = { .cert = "alice" };
		uint8_t packet[1024];

		plan = (struct plan){ 'H', "SELECT pg_catalog.set_config", len };
		memset(&f, 0, sizeof(f));
		f.ssl = rig_tls_connect(rig, &how, NULL);
		rig_tls_send(f.ssl, packet,
		             rig_startup(packet, sizeof(packet), FRAMES_3_0, params));
		cr_assert(strchr(frames_until(&f, 'Z', 1).s, 'Z') != NULL);
		script_query(&say, "go");
		frames_send(&f, &say);
		cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "E!", "%zu bytes", len);
		cr_assert_str_eq(f.sqlstate, "08006", "%zu bytes: %s", len, f.message);
		frames_drop(&f);
	}
	cr_assert_eq(impostor.connections, words.len + 1, "a server lived on");
	all_is_well();
	stop();
}

/* After a client that has left: nobody is told. */
static void cut_after_clients(char type, const char *upon)
{
	struct script say = { 0 };
	struct frames f;

	for (size_t len = 0; len < words.len; len++) {
		plan = (struct plan){ type, upon, len };
		for (int i = 0; i < 2; i++) {
			frames_login(&f, rig, "alice", "app");
			script_query(&say, "fine");
			frames_send(&f, &say);
			cr_assert_str_eq(frames_until(&f, 'Z', 1).s, "CZ", "%zu bytes", len);
			frames_drop(&f);
		}
	}
	cr_assert_eq(impostor.connections, 2 * words.len, "a server lived on");
}

Test(fault_answers, answer_to_the_reset_may_end_at_any_byte)
{
	start("pool_mode = session\nserver_reset_query = RESET ALL\n", "");
	script_text(&words, 'C', "RESET");
	script_put(&words, 'Z', "I", 1);
	cut_after_clients('Q', "RESET ALL");
	stop();
}

Test(fault_answers, answer_to_the_cleaning_may_end_at_any_byte)
{
	start("pool_mode = session\n", "");
	put_success("BEGIN", false);
	put_success("RESET", false);
	put_success("COMMIT", false);
	put_success("DISCARD ALL", false);
	script_put(&words, 'Z', "I", 1);
	cut_after_clients('S', "DISCARD ALL");
	stop();
}

/* --- lengths --- */

struct lie {
	const char *what;
	const char *bytes;
	size_t n;
	const char *heard;
};
#define LIE(what, bytes, heard)                       \
	{                                             \
		what, bytes, sizeof(bytes) - 1, heard \
	}

/* An answer that begins well, so that something is under way. */
#define ROWS "T\0\0\0\6\0\0D\0\0\0\6\0\0"

/* Behind what cannot be, nothing more is believed; where a client has the head of a message already,
 * nothing can be told. */
Test(fault_answers, lengths_that_lie_end_that_client_alone)
{
	static const struct lie lies[] = {
		LIE("zero", ROWS "D\0\0\0\0", "TDE!"),
		LIE("less than itself", ROWS "C\0\0\0\3", "TDE!"),
		LIE("negative", ROWS "D\377\377\377\377", "TDE!"),
		LIE("most negative", ROWS "D\200\0\0\0", "TDE!"),
		LIE("ready for query, too short", ROWS "Z\0\0\0\4", "TDE!"),
		LIE("ready for query, too long", ROWS "Z\0\0\0\6II", "TDE!"),
		LIE("ready for query, endless", ROWS "Z\177\377\377\377I", "TDE!"),
		LIE("parse complete with a body", ROWS "1\0\0\0\5x", "TDE!"),
		LIE("parameter beyond all measure", ROWS "S\0\20\0\0x", "TDE!"),
		LIE("parameter without an end", ROWS "S\0\0\0\6xy", "TDE!"),
		LIE("no such message", ROWS "y\0\0\0\4", "TDE!"),
		LIE("no ascii", ROWS "\377\0\0\0\4", "TDE!"),
		LIE("bytes behind a message that was cut short", ROWS "D\0\0\0\6\0\0\0\0\0",
		    "TDE!"),
		LIE("status that there is not", ROWS "Z\0\0\0\5Q", "TDE!"),
		LIE("answer that was not asked for", "2\0\0\0\4Z\0\0\0\5I", "E!"),
		LIE("more than it sends", ROWS "D\0\1\0\0\0\1", "TD!"),
		LIE("two gigabytes", ROWS "D\177\377\377\377\0\1", "TDE!"),
		LIE("almost two gigabytes", ROWS "D\177\377\377\376\0\1", "TD!"),
		LIE("error that is not whole", ROWS "E\0\0\1\0SFATAL", "TDE!"),
		LIE("almost two gigabytes of error", ROWS "E\177\377\377\376SFATAL", "TD!"),
	};
	struct script say = { 0 };
	struct frames f;

	start("", "");
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		words.len = lies[i].n;
		memcpy(words.at, lies[i].bytes, lies[i].n);
		plan = (struct plan){ 'Q', "go", lies[i].n };
		frames_login(&f, rig, "alice", "app");
		script_query(&say, "go");
		frames_send(&f, &say);
		cr_expect_str_eq(frames_until(&f, 'Z', 1).s, lies[i].heard, "%s", lies[i].what);
		if (strchr(lies[i].heard, 'E') != NULL)
			cr_expect_str_eq(f.sqlstate, "08006", "%s: %s %s", lies[i].what, f.sqlstate,
			                 f.message);
		frames_drop(&f);
		all_is_well();
	}
	stop();
}
