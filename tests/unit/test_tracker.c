#include <criterion/criterion.h>
#include <string.h>

#include "pgseal/wire/tracker.h"
#include "unit/tracker_model.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- conversations as text ---
 *   >PBES   these from the client, each to be forwarded       ~d   this one to be swallowed
 *   <12CZI  these from the server; Z with its status          !Z   this one to be refused (ZI)
 *   =...    must hold: i idle, b busy, q quiet, o owed, w wants a barrier, l lost, d doubtful,
 *           a in the batch that is open, A not, u owes a query, U none; what comes next is about
 *           y a query, x an extended message, z neither; s what is owed needs more from the client, n it
 *           does not; 0-9 extended messages are not answered
 *   ^       the barrier passed */

static bool holds_owed(const struct tracker *t, char what)
{
	switch (what) {
	case 'a':
		return tracker_in_batch(t);
	case 'A':
		return !tracker_in_batch(t);
	case 'u':
		return tracker_owes_query(t);
	case 'U':
		return !tracker_owes_query(t);
	case 'x':
		return tracker_at_extended(t) && !tracker_at_query(t);
	case 'y':
		return tracker_at_query(t) && !tracker_at_extended(t);
	case 'z':
		return !tracker_at_query(t) && !tracker_at_extended(t);
	default:
		return t->sent - t->answered == (uint32_t)(what - '0');
	}
}

static bool holds(const struct tracker *t, char what)
{
	switch (what) {
	case 'i':
		return tracker_idle(t);
	case 'b':
		return !tracker_idle(t);
	case 'q':
		return tracker_quiet(t);
	case 'o':
		return !tracker_quiet(t);
	case 'w':
		return tracker_wants_barrier(t) && !tracker_idle(t);
	case 's':
		return tracker_stalls(t) && !tracker_quiet(t);
	case 'n':
		return !tracker_stalls(t) && !tracker_quiet(t);
	case 'l':
		return t->lost;
	case 'd':
		return t->doubtful;
	default:
		return holds_owed(t, what);
	}
}

static bool client_step(struct tracker *t, char type, enum tracker_client want)
{
	enum tracker_client what;

	return tracker_from_client(t, type, &what) == ERR_OK && what == want;
}

/* One character of a conversation in the mode set by the last of > ~ < ! = */
static bool step(struct tracker *t, char mode, const char **at)
{
	char c = *(*at)++, status = 0;

	if ((mode == '<' || mode == '!') && c == 'Z')
		status = *(*at)++;
	switch (mode) {
	case '>':
		return client_step(t, c, TRACK_FORWARD);
	case '~':
		return client_step(t, c, TRACK_SWALLOW);
	case '<':
		return tracker_from_server(t, c, status) == ERR_OK;
	case '!':
		return tracker_from_server(t, c, status) == ERR_WIRE_TYPE;
	default:
		return holds(t, c);
	}
}

static void converse(const char *what, const char *script)
{
	const char *at = script;
	struct tracker t;
	char mode = 0;
	bool good = true;

	tracker_init(&t);
	while (good && *at != '\0') {
		if (*at == ' ')
			at++;
		else if (strchr("><~!=", *at) != NULL)
			mode = *at++;
		else if (*at == '^' && at++ != NULL)
			tracker_barrier_passed(&t);
		else
			good = step(&t, mode, &at);
	}
	cr_expect(good, "%s: \"%s\" fails at \"%.*s[%s]\"", what, script,
	          (int)(at - script > 0 ? at - script - 1 : 0), script, at - 1);
	tracker_fini(&t);
}

struct conversation {
	const char *what, *script;
};

static void converse_all(const struct conversation *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		converse(c[i].what, c[i].script);
}

Test(tracker, what_is_owed_may_need_more_from_the_client)
{
	static const struct conversation cases[] = {
		{ "a query", ">Q =n" },
		{ "a batch", ">P =s >BE =s >S =n" },
		{ "a batch behind a query", ">QPBE =n <CZI =s" },
		{ "a batch behind a batch", ">PBESP =n <12CZI =s" },
		{ "a flushed batch", ">PBH =n <1 =n <2 =q" },
		{ "more behind the Flush", ">PH =n >B =s" },
		{ "a Flush before the batch", ">PHSB =n <1ZI =s" },
		{ "rows of a COPY", ">Q =n <G =s >d =s >c =n" },
		{ "rows of a COPY in a batch", ">PBES <12G =s" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, simple_protocol)
{
	static const struct conversation cases[] = {
		{ "fresh", "=iq" },
		{ "a query", ">Q =bo <TDDC =bo <ZI =iq" },
		{ "several statements in one query", ">Q <TDCCTDC =o <ZI =i" },
		{ "empty query", ">Q <I =b <ZI =i" },
		{ "an error", ">Q <E =bo <ZI =i" },
		{ "transaction block", ">Q <CZT =bq >Q <CZT =b >Q <CZI =i" },
		{ "failed transaction block", ">Q <CZT >Q <EZE =bq >Q <CZI =i" },
		{ "two queries in flight", ">QQ <CZI =b <CZI =i" },
		{ "a function call", ">F =o <V =b <ZI =i" },
		{ "a function call that fails", ">F <EZI =i" },
		{ "calls and queries in turns", ">QFQ <CZI <VZI =b <CZI =i" },
		{ "asynchronous messages at rest", "<SNA =i >Q <NSATNDNCN =b <ZI =i" },
		{ "Sync alone", ">S =b <ZI =i" },
		{ "Flush alone", ">H =i" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, extended_protocol)
{
	static const struct conversation cases[] = {
		{ "one batch", ">PBDES =b <12TDDC =bo <ZI =i" },
		{ "no rows described", ">PBDES <12nCZI =i" },
		{ "a statement described", ">PDS <1tTZI =i >DS <tnZI =i" },
		{ "close", ">CS <3ZI =i" },
		{ "empty statement", ">PBES <12IZI =i" },
		{ "no Sync yet", ">PBE <12C =bq >S =o <ZI =i" },
		{ "Flush holds the server", ">PDH <1tT =bq >BES <2CZI =i" },
		{ "row limit: suspended, then another Execute",
		  ">PBEH <12DDs =bq >E <DC =b >S <ZI =i" },
		{ "row limit in a transaction block", ">PBES <12sZT =bq >ES <DsZT =b >ES <CZT =b" },
		{ "three Syncs in flight", ">PBESPBESPBES <12CZI =b <12CZI =b <12CZI =i" },
		{ "only Syncs", ">SSS <ZI =b <ZI =b <ZI =i" },
		{ "batch without Sync behind a Sync", ">PBESPBE <12CZI =b <12C =bq >S <ZI =i" },
		{ "BEGIN in a batch", ">PBES <12CZT =b >PBES <12CZI =i" },
		{ "a query in mid-batch", ">PBEQ =b <12C =b <TDC =b <ZI =i" },
		{ "a query in mid-batch, then Sync", ">PBEQS <12CCZI =b <ZI =i" },
		{ "a function call in mid-batch", ">PBF <12VZI =i" },
		{ "a query, then a batch", ">QPBE =b <CZI =b <12C =b >S <ZI =i" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, errors_skip_to_sync)
{
	static const struct conversation cases[] = {
		{ "at Parse", ">PBES <E =bo <ZI =i" },
		{ "at Execute", ">PBES <12E =b <ZI =i" },
		{ "before Sync is sent", ">PBE <E =bq >S =o <ZI =i" },
		{ "more of the batch behind the error", ">P <E =bq >BDECH =bq >S <ZI =i" },
		{ "all answered, then an error without Sync",
		  ">P <1 =q <E =b >BE =q >S =o <ZI =i" },
		{ "the first of three batches", ">PBESPBESPBES <1E =b <ZI =b <12CZI =b <12CZI =i" },
		{ "the second of three batches", ">PBESPBESPBES <12CZI <12E =b <ZI =b <12CZI =i" },
		{ "each of three batches", ">PBESPBESPBES <EZI <EZI =b <EZI =i" },
		{ "a query in the batch is skipped", ">PBEQS <E =b <ZI =i" },
		{ "a call in the batch is skipped", ">PFBES <E =b <ZI =i" },
		{ "a query sent while skipping", ">P <E >Q =bq >F =bq >S <ZI =i" },
		{ "a query skipped, Sync comes later", ">PBEQ <E =bq >S =bo <ZI =i" },
		{ "behind the Sync all counts again", ">P <E >QSQ =o <ZI =b <CZI =i" },
		{ "a query in mid-batch fails: no skipping", ">PBEQ <12CE =b <ZI =i" },
		{ "Sync itself fails to commit", ">PBES <12C =b <E =b <ZI =i" },
		{ "in a transaction block", ">PBES <12CZT >PBES <1EZE =b >Q <CZI =i" },
		{ "one batch fails, the next has a query", ">PSQPS <EZI =b <CZI =b <1ZI =i" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, copy_in_by_query)
{
	static const struct conversation cases[] = {
		{ "data, then the end", ">Q <G =bo >ddc =b <C =b <ZI =i" },
		{ "the client gives up", ">Q <G >df =b <EZI =i" },
		{ "end sent before CopyInResponse", ">Qdc <G =b <CZI =i" },
		{ "failure sent before CopyInResponse", ">Qf <GEZI =i" },
		{ "data sent to what is no COPY", ">Qddc <CZI =i ~d" },
		{ "two COPY in one query", ">Q <G >dc <C =b <G >dc <CZI =i" },
		{ "two COPY, both ends sent ahead", ">Qdcdc <G <C <G <CZI =i" },
		{ "two empty COPY, both ends sent ahead", ">Qcc <GC =b <GC =b <ZI =i" },
		{ "two COPY, one end sent ahead", ">Qdc <GC <G =b >c <CZI =i" },
		{ "COPY, then a query in flight", ">Q <G >dcQ <CZI =b <TDCZI =i" },
		{ "both in flight, the end ahead", ">QdcQ <GCZI =b <TDCZI =i" },
		{ "the end belongs to the second query", ">QQdc <CZI =b <GCZI =i" },
		{ "stale end between queries", ">QcQ <CZI =b <G =b >dc <CZI =i" },
		{ "Flush and Sync inside are ignored", ">Q <G >dHdS =b >dSc <CZI =i" },
		{ "early Sync is ignored", ">QS <G >dc <CZI =i" },
		{ "early Sync behind no COPY is answered", ">QS <CZI =b <ZI =i" },
		{ "Sync behind the end counts", ">Q <G >dcS <CZI =b <ZI =i" },
		{ "server fails while the client streams",
		  ">Q <G >ddd <E =b >d <ZI =i ~d ~d ~c =i" },
		{ "late CopyFail", ">Q <G >d <EZI =i ~f =i >Q <CZI =i" },
		{ "late end while the error travels", ">Q <G >d <E >dc =b <ZI =i ~c" },
		{ "late data in a transaction block", ">Q <CZT >Q <G >d <EZE =b ~d ~c >Q <CZI =i" },
		{ "no late data reaches the next query", ">Q <G <EZI ~d >Q >d <CZI =i" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, copy_in_by_execute)
{
	static const struct conversation cases[] = {
		{ "early Sync, as libpq does", ">PBDES <12nG =bo >ddcS =b <C =b <ZI =i" },
		{ "early Sync, late one missing", ">PBES <12G >dc <C =bq >S <ZI =i" },
		{ "Flush instead of Sync", ">PBEH <12G >dc <C =bq >S <ZI =i" },
		{ "all sent ahead", ">PBEdcS <12GC =b <ZI =i" },
		{ "all sent ahead, with early Sync", ">PBESdcS <12GC =b <ZI =i" },
		{ "all ahead but the last Sync", ">PBESdc <12G =b <C =bq >S <ZI =i" },
		{ "early Sync, but no COPY", ">PBESdcS <12CZI =b <ZI =i" },
		{ "next batch behind the end", ">PBES <12G >dcSPBES <C <ZI =b <12CZI =i" },
		{ "server fails, no Sync in flight", ">PBEH <12G >dd <E =bq ~d ~c >S =o <ZI =i" },
		{ "server fails, the end in flight", ">PBEH <12G >ddcS <E =bo <ZI =i ~d" },
		{ "COPY OUT", ">PBES <12Hddc =b <C =b <ZI =i" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, copy_doubt)
{
	static const struct conversation cases[] = {
		/* the Sync was read before the error: its ReadyForQuery never comes */
		{ "swallowed", ">PBES <12G >d <E =bqd >cS =o <ZI =bqw ^ =i" },
		{ "swallowed, end in flight", ">PBES <12G >dcS <E =bo <ZI =w ^ =i" },
		/* the error came first: it is answered after all */
		{ "answered", ">PBES <12G >d <E =bq <ZI =w ^ =i ~c" },
		{ "answered, end in flight", ">PBES <12G >dcS <E <ZI =w <ZI =w ^ =i" },
		{ "answered while the next batch is in flight",
		  ">PBES <12G >dcSPBES <E <ZI <ZI <12C =b <ZI =w ^ =i" },
		{ "simple COPY", ">Q <G >dSc <E =bo <ZI =w <ZI =w ^ =i" },
		{ "no doubt when it ended well", ">Q <G >dSSc <C <ZI =i" },
		{ "in a transaction block", ">QQ <CZTCZT >Q <G >Sdc <EZE =bw ^ =bq >Q <CZI =i" },
		{ "in a transaction block, its end in flight",
		  ">QQ <CZTCZT >Q <G >SdcQ <EZE =bo <CZI =w ^ =i" },
		{ "answers are not refused in doubt", ">Q <G >S <EZI =w <TDC12snZI =w ^ =i" },
		{ "a batch is not asked about", ">Q <G >S <EZI =w >P =b <1 =bqd >S <ZI =w ^ =i" },
		{ "COPY in doubt loses the server", ">QQ <CZI <G >S <EZI =w >Q <G =l >dc <CZI =b" },
		{ "a server that needs no end of COPY", ">Q <G >S <CZI =w" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, broken_rules_lose_the_server)
{
	static const struct conversation cases[] = {
		{ "Query inside COPY", ">Q <G >Q =l <EZI =b <EZI =b" },
		{ "Parse inside COPY", ">Q <G >dP =l" },
		{ "FunctionCall inside COPY", ">Q <G >F =l" },
		{ "Query in flight behind COPY without its end", ">QQ <G =l" },
		{ "Execute behind COPY without its end", ">PBEES <12G =l" },
		{ "a batch behind COPY's early Sync", ">PBESPBES <12G =l" },
		{ "a call behind COPY", ">QF <G =l" },
		{ "CopyBoth", ">Q <W =l >ddc <dcC <ZI =b" },
		{ "an error that answers nothing", "<E =lb" },
		{ "a second error while skipping", ">P <E <E =l >S <ZI =b" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, nonsense_of_the_server_is_refused)
{
	static const struct conversation cases[] = {
		{ "nothing was asked", "!ZI!ZE =i" },
		{ "nothing was asked", "!1!2!3!n!s!t!T!D!C!I!V!G!H!W!c!d" },
		{ "no such status", ">Q !ZX !Z* <ZI =i" },
		{ "ReadyForQuery before the batch is answered", ">PBES <12 !ZI <CZI =i" },
		{ "ReadyForQuery without Sync", ">PBE <12C !ZI" },
		{ "ReadyForQuery while skipping", ">P <E !ZI" },
		{ "a second ReadyForQuery", ">Q <CZI !ZI" },
		{ "extended answers to a Query", ">Q !1!2!3!n!s!t" },
		{ "rows for a call", ">F !D!T!C!I <VZI" },
		{ "a function's result for a Query", ">Q !V" },
		{ "rows for Sync", ">S !D!T!C!1 <ZI =i" },
		{ "messages of login", ">Q !R!K!v!p!Q!X" },
		{ "one answer too many", ">PBES <12C !C <ZI =i" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, places_of_extended_messages)
{
	static const struct conversation cases[] = {
		{ "each owes one answer", "=0z >PBDEC =5x <1 =4 <2 =3 <tT =2 <DDC =1x <3 =0z" },
		{ "rows, notices and descriptions of parameters do not answer",
		  ">DES =2 <t =2 <NSA =2 <T =1 <DDD =1x <s =0z" },
		{ "Sync, Flush, Query and FunctionCall have none", ">SHQF =0z" },
		{ "behind a query", ">QPS =1y <TDC =1y <ZI =1x <1 =0z" },
		{ "behind a Sync", ">PBESPS =4x <12C =1z <ZI =1x <1 =0z <ZI =0" },
		{ "an error answers all up to the Sync", ">PBESPS =4 <E =1z <ZI =1x" },
		{ "an error in the middle", ">PBEES =4 <12 =2 <E =0z <ZI =0" },
		{ "an error before the Sync is sent", ">PB =2 <E =0 >BE =0z >SP =1z <ZI =1x" },
		{ "an error answers those behind the query too", ">PQBS =2x <E =0z <ZI =i" },
		{ "an error of a query answers it alone", ">QP =1y <E =1y <ZI =1x" },
		{ "COPY takes one", ">PBES <12 =1x <G =1x >dcS =1x <C =0z <ZI =i" },
		{ "COPY fails", ">PBEH <12G =1x >d <E =0z" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, in_the_open_batch)
{
	static const struct conversation cases[] = {
		{ "of the one batch", "=a >PB =a <1 =a <2 =a" },
		{ "its Sync ends it", ">PB =a >S =A <12 =A <ZI =a" },
		{ "an earlier one is owed", ">PSP =A <1 =A <ZI =a <1 =a" },
		{ "a query is owed", ">Q =A >P =A <C =A <ZI =a" },
		{ "a call is owed", ">FP =A <V =A <ZI =a" },
		{ "a Sync is owed", ">S =A >P =A <ZI =a" },
		{ "behind a query in mid-batch", ">PQ =A <1 =A >P =A <CZI =a" },
		{ "skipped", ">PBE <E =a >BE =a >S =A <ZI =a" },
		{ "COPY reads its early Sync", ">PBESH =A <12G =a" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, queries_that_are_owed)
{
	static const struct conversation cases[] = {
		{ "until its end", "=Uz >Q =uy <TDC =uy <C =uy <ZI =Uz" },
		{ "until it has failed", ">Q <E =uy <ZI =Uz" },
		{ "two", ">QQ =u <CZI =uy <CZI =Uz" },
		{ "behind a batch", ">PBES =Ux >Q =ux <12C =uz <ZI =uy <CZI =Uz" },
		{ "in mid-batch", ">PQ =ux <1 =uy <CZI =U" },
		{ "skipped", ">PQ =u <E =U >Q =U >SQ =u <ZI =uy" },
		{ "a call is none", ">F =Uz >Q =uz <VZI =uy" },
		{ "COPY", ">Q <G =uy >d =uy >c =uy <C =uy <ZI =U" },
		{ "behind COPY", ">QcQ <G =uy <CZI =uy <CZI =U" },
	};

	converse_all(cases, COUNT(cases));
}

Test(tracker, types_that_do_not_exist)
{
	enum tracker_client what = TRACK_LEAVE;
	struct tracker t;

	tracker_init(&t);
	cr_assert_eq(tracker_from_client(&t, 'p', &what), ERR_WIRE_TYPE);
	cr_assert_eq(tracker_from_client(&t, '\0', &what), ERR_WIRE_TYPE);
	cr_assert_eq(tracker_from_client(&t, (char)0xff, &what), ERR_WIRE_TYPE);
	cr_assert_eq(tracker_from_server(&t, '\0', 0), ERR_WIRE_TYPE);
	cr_assert_eq(tracker_from_server(&t, (char)0xff, 0), ERR_WIRE_TYPE);
	cr_assert(tracker_idle(&t));
	cr_assert_eq(tracker_from_client(&t, 'X', &what), ERR_OK);
	cr_assert_eq(what, TRACK_LEAVE);
	tracker_fini(&t);
}

Test(tracker, what_needs_a_server)
{
	enum tracker_client what;
	struct tracker t;

	tracker_init(&t);
	for (const char *c = "QFPBDECS"; *c != '\0'; c++)
		cr_expect(tracker_needs_server(&t, *c), "%c", *c);
	for (const char *c = "dcfHX"; *c != '\0'; c++)
		cr_expect(!tracker_needs_server(&t, *c), "%c", *c);
	cr_assert_eq(tracker_from_client(&t, 'P', &what), ERR_OK);
	cr_assert_eq(tracker_from_server(&t, '1', 0), ERR_OK);
	cr_assert(tracker_needs_server(&t, 'H'), "a batch is open");
	cr_assert(!tracker_needs_server(&t, 'd'));
	cr_assert_eq(tracker_from_client(&t, 'Q', &what), ERR_OK);
	cr_assert(tracker_needs_server(&t, 'd'), "it may be COPY");
	tracker_fini(&t);
}

Test(tracker, long_pipelines_fit_and_give_memory_back)
{
	enum tracker_client what;
	struct tracker t;
	uint32_t pairs = 0;

	tracker_init(&t);
	for (; !tracker_full(&t); pairs++) {
		cr_assert_eq(tracker_from_client(&t, 'E', &what), ERR_OK);
		cr_assert_eq(tracker_from_client(&t, 'S', &what), ERR_OK);
	}
	cr_assert_eq(pairs, TRACKER_RUNS_MAX / 2);
	for (; pairs > 0; pairs--) {
		cr_assert(!tracker_idle(&t));
		cr_assert_eq(tracker_from_server(&t, 'C', 0), ERR_OK);
		cr_assert_eq(tracker_from_server(&t, 'Z', 'I'), ERR_OK);
	}
	cr_assert(tracker_idle(&t));
	cr_assert_null(t.runs);
	tracker_fini(&t);
}

Test(tracker, equal_messages_share_a_run)
{
	enum tracker_client what;
	struct tracker t;

	tracker_init(&t);
	for (int i = 0; i < 1000000; i++)
		cr_assert_eq(tracker_from_client(&t, 'S', &what), ERR_OK);
	cr_assert_null(t.runs);
	for (int i = 0; i < 1000000; i++) {
		cr_assert(!tracker_idle(&t));
		cr_assert_eq(tracker_from_server(&t, 'Z', 'I'), ERR_OK);
	}
	cr_assert(tracker_idle(&t));
	tracker_fini(&t);
}

/* The ring wraps while runs are dropped behind its front. */
Test(tracker, ring_wraps)
{
	for (size_t turns = 0; turns < 200; turns++) {
		enum tracker_client what;
		struct tracker t;

		tracker_init(&t);
		for (const char *c = "QSQS"; *c != '\0'; c++)
			cr_assert_eq(tracker_from_client(&t, *c, &what), ERR_OK);
		for (size_t i = 0; i < turns; i++) {
			cr_assert_eq(tracker_from_server(&t, 'Z', 'I'), ERR_OK);
			cr_assert_eq(tracker_from_client(&t, i % 2 == 0 ? 'Q' : 'S', &what),
			             ERR_OK);
		}
		for (int i = 0; i < 4; i++) {
			cr_assert(!tracker_idle(&t));
			cr_assert_eq(tracker_from_server(&t, 'Z', 'I'), ERR_OK);
		}
		cr_assert(tracker_idle(&t));
		tracker_fini(&t);
	}
}

/* --- against a model of PostgreSQL --- */

struct dice {
	struct model_dice base;
	uint64_t state;
};

static unsigned roll(struct model_dice *d, unsigned n)
{
	struct dice *dice = (struct dice *)d;

	dice->state ^= dice->state << 13; /* xorshift: the same on every machine */
	dice->state ^= dice->state >> 7;
	dice->state ^= dice->state << 17;
	return (unsigned)(dice->state >> 33) % n;
}

Test(tracker, never_idle_while_anything_is_owed, .timeout = 120)
{
	static struct model m;
	unsigned times_idle = 0, barriers = 0, times_placed = 0, times_behind = 0;

	for (unsigned episode = 1; episode <= 40000; episode++) {
		struct dice dice = { { roll, false }, episode * UINT64_C(0x9E3779B97F4A7C15) };

		cr_assert(model_run(&m, &dice.base, 10 + episode % 190), "episode %u: %s\n%s",
		          episode, m.failed, m.journal);
		times_idle += m.times_idle;
		barriers += m.barriers;
		times_placed += m.times_placed;
		times_behind += m.times_behind;
	}
	/* else the model proves nothing */
	cr_assert(times_idle > 10000);
	cr_assert(barriers > 100);
	cr_assert(times_placed > 10000 && times_behind > 10000);
}
