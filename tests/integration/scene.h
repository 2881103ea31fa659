/* Scenes: what some clients say in turns, and what they must be answered. Each is played to PostgreSQL first, with
 * a connection for each client: its answers are what pgseal's are compared with, whoever shares a server with whom. */
#ifndef PGSEAL_TESTS_SCENE_H
#define PGSEAL_TESTS_SCENE_H

#include "tests/integration/actor.h"

struct line {
	char who; /* a b c d */
	enum deed deed;
	const char *text; /* each @ and # in it stands for the scene's own texts */
	/* NULL: whatever PostgreSQL answers. Of an error only so much as is said here; otherwise the whole
	 * answer, which is so that a scene shows what it is about: PostgreSQL must agree. */
	const char *want;
};

#define ANYTHING "?" /* wanted where even PostgreSQL's answer does not matter */
#define SCENE_END \
	{         \
		0 \
	}

/* Tables of the same name: which one does the client see that says just "spot"? It tells "evil" or "public". */
#define SCENE_SPOTS                                                          \
	"CREATE SCHEMA evil; CREATE TABLE evil.spot AS SELECT 'evil' AS it;" \
	"CREATE TABLE public.spot AS SELECT 'public' AS it;"                 \
	"GRANT USAGE ON SCHEMA evil TO PUBLIC; GRANT SELECT ON evil.spot, public.spot TO PUBLIC;"

/* How many advisory locks the server has that answers. */
#define SCENE_OWN_LOCKS \
	"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"

/* alice and bob are two identities of one role. */
#define SCENE_TWO_RULES "one = cn:alice roles=alice\ntwo = cn:bob roles=alice\n"

struct scene {
	const char *name;
	const char *at, *hash;    /* for @ and # */
	const struct line *lines; /* up to who = 0 */
	const struct line *more;  /* NULL: nothing more */
};

/* Where it is played. */
struct stage {
	const char *settings; /* NULL: none */
	const char *keys;     /* of the database's entry */
	const char *identities;
	const char *certs[4]; /* of a b c d; NULL: alice */
	bool two;             /* two servers are there from the beginning */
	bool leaves; /* who was speaking leaves when another one begins, and never comes back */
};

extern const struct stage scene_one_server;    /* in transaction mode, as all but the last three */
extern const struct stage scene_two_servers;   /* the one used last comes first */
extern const struct stage scene_turns;         /* two servers, taken in turns */
extern const struct stage scene_no_statements; /* two servers, max_prepared_statements = 0 */
extern const struct stage scene_leaves;        /* who is gone leaves nothing on the only server */
extern const struct stage scene_session;       /* the same, pool_mode = session */
extern const struct stage
	scene_session_bare; /* and with server_reset_query empty: server_reset decides */
extern const struct stage scene_session_suspected; /* the same with server_reset = suspected */

/* A database of that name, in which the superuser does that, and a pgseal on it. alice is the role of all. */
void scene_open(const char *database, const char *ddl, const struct stage *stage);
/* Play it; a difference fails the test, and the next scene can be played. */
void scene_play(const struct scene *scene);
void scene_play_all(const struct scene *scenes, size_t n);
void scene_close(void);
struct rig *scene_rig(void);

/* Do it once in the program's PostgreSQL, whoever else does so at the same time: roles are shared by databases. */
void scene_roles(const char *sql);

#endif
