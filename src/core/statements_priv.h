/* Prepared statements on servers that are shared: what the files that deal with them have in common. */
#ifndef PGSEAL_CORE_STATEMENTS_PRIV_H
#define PGSEAL_CORE_STATEMENTS_PRIV_H

#include "pgseal/core/prepared.h"
#include "pgseal/core/server.h"
#include "pgseal/core/session.h"
#include "pgseal/wire/pstatement.h"
#include "pgseal/wire/sql.h"
#include "pgseal/wire/writer.h"
#include "relay_priv.h"

/* Statements that no server has. What a client must not get is asked of the server under one of these
 * names: it fails there, in its turn, and the client is told what the name stands for (relay_answers.c). */
#define REFUSAL_UNNAMED PSTATEMENT_PREFIX "unnamed"
#define REFUSAL_CHANGED PSTATEMENT_PREFIX "changed"
#define REFUSAL_LIMIT PSTATEMENT_PREFIX "limit"
/* And one that is prepared, when a client's Parse is to fail because of that. */
#define TAKEN PSTATEMENT_PREFIX "taken"
/* And a portal. */
#define REFUSAL_PORTAL PSTATEMENT_PREFIX "portal"

/* A message of a client's at the front of the feed. */
struct about {
	struct session *s;
	struct server *srv;
	struct feed *f;
	size_t size; /* of the whole of it */
	char type;
	struct pstatement_mention m; /* not of a Query */
	struct bytes body;           /* of a Parse or Query: what is to be sent from its text on */
	struct buf text;             /* owned: where body lies, if it is not as it came */
	bool rewritten;              /* it is not */
	unsigned voids;              /* empty statements that must be there before it is carried out */
	struct sql_reading how;      /* the server reads its text, as far as is known */
	unsigned traits;             /* enum sql_trait of it as it came, by text_look */
};

enum found {
	FOUND_AS_IS,   /* under the client's own name, or not at all */
	FOUND_RENAMED, /* under to->name */
	FOUND_MISSING, /* to->st must be prepared first */
	FOUND_LATER,   /* shows when what is under way has been answered */
};

struct target {
	struct pstatement *st; /* borrowed; NULL: none that is known */
	struct bytes name;
	uint64_t shape; /* as the client was told */
	bool in_text;   /* with others perhaps, none of which may make room for it */
	char guarded[PSTATEMENT_ALIAS_MAX + 1];
};

/* ---- relay_statements.c ---- */

/* The session ends, and the server with it. FEED_STOP. */
enum feed_next statements_no_memory(const struct about *a);
/* Until all that was sent before this batch has been answered. FEED_STOP. */
enum feed_next statements_hold(const struct about *a);
/* Messages that come now are read under parameters that this stands for; *under is borrowed, NULL: which cannot be
 * told. */
uint64_t statements_dialect(const struct about *a, struct params **under);
/* And the same for a statement that was parsed before, and is used now. */
uint64_t statements_used_dialect(const struct about *a, const struct pstatement *st);
/* Parsed now it could be another statement than when its client prepared it. */
bool statements_reads_otherwise(const struct server *srv, const struct pstatement *st);

/* The first part of the message says this name; the rest is passed on by length. */
enum feed_next statements_under_name(const struct about *a, struct bytes name);
/* Most bytes of statements that a session may have. */
size_t statements_most_memory(const struct session *s);

/* ---- relay_parse.c, relay_call.c ---- */

enum feed_next parse_pass(const struct about *a);
/* So much of a FunctionCall must be at hand. */
size_t call_need(const struct frame *frame);
enum feed_next call_pass(const struct about *a);

/* ---- relay_find.c ---- */

/* Is the step of the batch that is open? If it fails, so does all of the client's up to its Sync. */
bool statements_in_batch(const struct server *srv, const struct step *step);
/* Another name that stands for nothing; FOUND_RENAMED. */
enum found statements_refuse(struct target *to, const char *name);
/* Nobody gets at statements of ours by the names that they have on servers. */
enum found statements_as_is(struct target *to, struct bytes name);
/* What the message mentions. */
enum found statements_find(const struct about *a, struct target *to);
/* Is it on the server, under which name, and with this shape (0: whatever shape)? */
enum found statements_find_copy(const struct about *a, struct pstatement *st, uint64_t shape,
                                struct target *to);
/* A text that the batch has carried out, if it comes so far, deallocates all; one behind that step (NULL:
 * any). Carried out it may not be, if it was only bound. */
bool statements_forgets(struct server *srv, const struct step *since);
/* The same of this one. */
bool statements_deallocates(const struct server *srv, struct bytes name, const struct step *since);
enum found statements_find_named(const struct about *a, struct bytes name, struct target *to);
/* The server gets what it lacks. The client's message waits for what that turns out to be: FEED_STOP; but
 * for an unnamed statement of which the client knows nothing yet, which cannot disappoint it. */
enum feed_next statements_fetch(const struct about *a, const struct target *to);
/* The message goes on, in front of what the feed holds behind it. Takes step's references; NULL: its answer
 * means nothing to us. */
enum feed_next statements_account(const struct about *a, const struct step *step);

/* What is prepared, or about to be, under that name: its text is what runs. NULL: nobody knows. */
const struct pstatement *statements_behind(const struct about *a, struct bytes name);

/* ---- relay_text.c: what the text of a Parse or Query tells, and names in it ---- */

/* Of a Parse or Query: sets a->body, a->how, a->traits. True: all of it is here. */
bool text_look(struct about *a);
/* Names in a->body become those of the server. FEED_STOP: not yet. */
enum feed_next text_resolve(struct about *a);
/* The same of a statement that was prepared before: a new reference to what it is now; NULL: not yet. */
struct pstatement *text_resolve_statement(struct about *a, struct pstatement *st);
/* A text, as the client wrote it, is about to be carried out: what may come of it is noted, and what it needs goes
 * before it. To be called last before the message itself goes. FEED_STOP: not yet. */
enum feed_next text_run(const struct about *a, struct bytes text, unsigned traits);
/* One of which only that is known. */
enum feed_next text_run_unknown(const struct about *a);
/* The text of a body, which ends with its NUL. */
struct bytes text_of(struct bytes body);
/* A Parse or Query that goes on as it is, come what may. */
void text_suspected(struct about *a);
/* In session mode: may it lead parameters back to what the session did not begin with? */
void text_watch_resets(struct about *a);

/* ---- relay_notice.c: what a text may leave, for relay_text.c ---- */

/* depth: of statements that execute others; 0. */
void text_notice(const struct about *a, struct bytes text, unsigned traits, int depth);
void text_notice_flux(const struct about *a, struct bytes text, unsigned traits);
/* Of what it executes, too. */
unsigned text_all_traits(const struct about *a, struct bytes text, unsigned traits, int depth);
/* Does it ask for, or may it overwrite, what another session has drawn from sequences? */
bool text_meets_sequences(const struct about *a, unsigned traits);
/* Those go first. FEED_STOP: not yet. */
enum feed_next text_discard_sequences(const struct about *a);
/* A Query that asks for them where they cannot be discarded is answered here, with an error. True: it is. */
bool text_refuse(const struct about *a, struct bytes text, unsigned traits);

/* ---- relay_portal.c: the unnamed portal, in all pool modes ---- */

/* So much of the message must be at hand to tell whether it is about it. */
size_t portal_need(const struct frame *frame);
bool portal_is_unnamed(char type, struct bytes have);
enum portal {
	PORTAL_THERE,
	PORTAL_MISSING, /* nobody may get to use what may be there */
	PORTAL_LATER,   /* shows when what is under way has been answered */
};
enum portal portal_find(const struct server *srv, char type, bool unnamed);
/* Such a message goes on to the server, which heeds it, or skips it as far as is known. */
void portal_note(struct server *srv, char type, bool unnamed, bool heeded);
enum feed_next portal_refuse(const struct about *a);

/* ---- reread.c: around a Parse of ours ---- */

struct insertion;
void reread_begin(struct insertion *in, const struct pstatement *st);
void reread_end(struct insertion *in, const struct pstatement *st);

/* ---- insertion.c: messages of ours among the client's ---- */

struct insertion {
	struct server *srv;
	struct buf out;
	struct writer w;
	bool failed;
};

struct insertion insertion_begin(struct server *srv);
/* What has that name on the server goes: a Parse is to follow. */
void insertion_make_way(struct insertion *in, struct pstatement *st, struct bytes name);
/* The oldest ones over the limit go. */
void insertion_make_room(struct insertion *in);
void insertion_close(struct insertion *in, struct bytes name);
/* name: "" for the unnamed statement. */
void insertion_parse(struct insertion *in, struct pstatement *st, struct bytes name);
void insertion_describe(struct insertion *in, struct pstatement *st, struct bytes name,
                        bool awaited);
/* Without it the server keeps its answers until the client's Sync. */
void insertion_flush(struct insertion *in);
/* An empty statement, to be deallocated by a client that deallocates one of those that are shared. */
void insertion_parse_void(struct insertion *in, struct bytes name);
/* The client's own Parse, with other words. Takes step's references. */
void insertion_client_parse(struct insertion *in, struct bytes name, struct bytes body,
                            const struct step *step);
void insertion_sync(struct insertion *in);
void insertion_query(struct insertion *in, struct bytes body);
/* A statement without a result that matters, as STEP_SETUP, between transactions: it drops the unnamed portal. */
void insertion_setup(struct insertion *in, const char *sql);
/* The same in a batch of the client's, as STEP_OUR_EXECUTE: it drops nothing of the client's. */
void insertion_execute(struct insertion *in, const char *sql);
/* In the place of a client's message: it fails at the server. */
void insertion_bind(struct insertion *in, const char *name);
void insertion_use_portal(struct insertion *in, char type, const char *name); /* 'D', 'E' */
/* Send it in front of the client's message. FEED_STOP: out of memory, all is over. */
enum feed_next insertion_send(struct insertion *in, const struct about *a);
/* Send it by itself. ERR_NO_MEMORY: the server is of no use any more. */
enum err insertion_send_alone(struct insertion *in) MUST_CHECK;
/* Send it in the place of the client's message, which is dropped. */
enum feed_next insertion_replace(struct insertion *in, const struct about *a);

#endif
