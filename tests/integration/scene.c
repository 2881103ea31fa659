/* Plays scenes. */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/rig_priv.h"
#include "tests/integration/scene.h"

#define LINES_MAX 64
#define ACTORS 4

/* A worker keeps the servers that it used last for itself: with one of them it is sure who meets whom. */
#define ONE_WORKER "workers=1\n"

const struct stage scene_one_server = { .keys = "pool_size=1" };
const struct stage scene_two_servers = { .settings = ONE_WORKER, .keys = "pool_size=2" };
const struct stage scene_turns = { .settings = ONE_WORKER "server_round_robin=1\n",
	                           .keys = "pool_size=2",
	                           .two = true };
const struct stage scene_no_statements = { .settings = ONE_WORKER "max_prepared_statements=0\n",
	                                   .keys = "pool_size=2" };
const struct stage scene_leaves = { .keys = "pool_size=1", .leaves = true };
const struct stage scene_session = { .keys = "pool_size=1 pool_mode=session", .leaves = true };
const struct stage scene_session_bare = { .settings = "server_reset_query=\n",
	                                  .keys = "pool_size=1 pool_mode=session",
	                                  .leaves = true };
const struct stage scene_session_suspected = {
	.settings = "server_reset_query=\nserver_reset=suspected\n",
	.keys = "pool_size=1 pool_mode=session",
	.leaves = true
};

static struct rig *rig;
static struct stage stage;
static char database[64];
static struct actor actors[ACTORS];

struct rig *scene_rig(void)
{
	return rig;
}

/* --- the stage --- */

void scene_roles(const char *sql)
{
	/* two who change the same row at once would fail */
	rig_admin_exec(rig_printf("SELECT pg_advisory_xact_lock(1); %s", sql).s);
}

void scene_open(const char *name, const char *ddl, const struct stage *on)
{
	PGconn *admin;

	crowd_database(name);
	admin = rig_admin_connect(name);
	if (ddl != NULL)
		rig_exec(admin, ddl);
	PQfinish(admin);
	snprintf(database, sizeof(database), "%s", name);
	stage = *on;
	rig = rig_start(stage.settings, crowd_entry(name, stage.keys).s, stage.identities);
}

void scene_close(void)
{
	rig_stop(rig);
}

/* --- a performance --- */

struct play {
	const struct scene *scene;
	const struct rig *rig; /* NULL: PostgreSQL itself */
	int count;
	struct rig_text answers[LINES_MAX];
	bool left[ACTORS];
	int speaker;
};

static const char *cert_of(const struct play *p, int who)
{
	if (p->rig == NULL)
		return "pgseal";
	return stage.certs[who] != NULL ? stage.certs[who] : "alice";
}

static const struct line *line_of(const struct scene *s, int i)
{
	for (const struct line *l = s->lines; l->who != 0; l++)
		if (i-- == 0)
			return l;
	for (const struct line *l = s->more; l != NULL && l->who != 0; l++)
		if (i-- == 0)
			return l;
	return NULL;
}

/* The line's text with the scene's own ones in it. */
static struct rig_text text_of(const struct scene *s, const struct line *l)
{
	struct rig_text text = { "" };
	size_t n = 0;

	for (const char *from = l->text; *from != '\0'; from++) {
		const char *own = *from == '@' ? s->at : *from == '#' ? s->hash : NULL;
		size_t len = own != NULL ? strlen(own) : 1;

		cr_assert(len < sizeof(text.s) - n);
		memcpy(text.s + n, own != NULL ? own : from, len);
		n += len;
	}
	text.s[n] = '\0';
	return text;
}

static void make_two_servers(void)
{
	struct actor *both[2] = { &actors[2], &actors[3] };

	for (int i = 0; i < 2; i++) {
		actor_enter(both[i], rig, "alice", database, "");
		actor_query(both[i], "BEGIN");
	}
	for (int i = 0; i < 2; i++) {
		actor_query(both[i], "COMMIT");
		actor_leave(both[i]);
	}
}

/* Who speaks is there, and the one before has left where the stage wants it so. */
static bool enters(struct play *p, int who, enum deed deed)
{
	if (deed == JOIN) /* nothing is said yet */
		return !p->left[who];
	if (p->rig != NULL && stage.leaves && p->speaker >= 0 && p->speaker != who) {
		actor_leave(&actors[p->speaker]);
		p->left[p->speaker] = true;
	}
	p->speaker = who;
	return !p->left[who];
}

static struct rig_text perform(struct play *p, const struct line *l)
{
	struct actor *who = &actors[l->who - 'a'];
	struct rig_text text = text_of(p->scene, l), answer;
	const char *cert = cert_of(p, l->who - 'a');

	if (l->deed == JOIN)
		return actor_join(who, p->rig, cert, database, text.s);
	if (l->deed == WAIT) {
		if (p->rig == NULL || rig_admin_wait(text.s, l->want, RIG_PATIENCE_MS))
			return rig_printf("%s", l->want);
		return rig_admin_query(text.s);
	}
	if (who->ssl == NULL && l->deed != LEAVE) {
		answer = actor_join(who, p->rig, cert, database, "");
		if (answer.s[0] != '\0')
			return answer;
	}
	return actor_do(who, l->deed, text.s);
}

static bool meets(const char *answer, const char *want)
{
	if (strchr(want, '!') != NULL)
		return strncmp(answer, want, strlen(want)) == 0;
	return strcmp(answer, want) == 0;
}

/* What the client was told must be true whenever it asks. */
static bool told_truth(const struct play *p, const struct line *l)
{
	struct actor *who = &actors[l->who - 'a'];
	struct rig_text misled;

	if (l->deed != ASK || who->ssl == NULL || who->transaction != 'I')
		return true;
	misled = actor_misled(who);
	cr_expect_str_empty(misled.s, "%s: %c after %s: %s", p->scene->name, l->who, l->text,
	                    misled.s);
	return misled.s[0] == '\0';
}

/* True as long as it is worth while to go on. */
static bool judge(const struct play *p, const struct play *oracle, const struct line *l, int i)
{
	const char *answer = p->answers[i].s;
	const char *want = oracle == NULL ? l->want : oracle->answers[i].s;
	bool ok = want == NULL || (l->want != NULL && strcmp(l->want, ANYTHING) == 0) ||
	          (oracle == NULL ? meets(answer, want) : strcmp(answer, want) == 0);

	cr_expect(ok, "%s, line %d, %s%c says \"%s\":\n  \"%s\"\n  instead of \"%s\"",
	          p->scene->name, i + 1, oracle == NULL ? "straight to PostgreSQL, " : "", l->who,
	          text_of(p->scene, l).s, answer, want);
	return ok && told_truth(p, l);
}

static bool play(struct play *p, const struct play *oracle)
{
	const struct line *l;
	bool ok = true;

	p->speaker = -1;
	if (p->rig != NULL && stage.two)
		make_two_servers();
	for (int i = 0; ok && (l = line_of(p->scene, i)) != NULL; i++) {
		cr_assert(i < LINES_MAX && l->who >= 'a' && l->who < 'a' + ACTORS);
		if (!enters(p, l->who - 'a', l->deed))
			continue;
		p->answers[i] = perform(p, l);
		ok = judge(p, oracle, l, i);
	}
	for (int i = 0; i < ACTORS; i++)
		actor_leave(&actors[i]);
	return ok;
}

void scene_play(const struct scene *scene)
{
	static struct play oracle, pooled;

	oracle = (struct play){ .scene = scene };
	pooled = (struct play){ .scene = scene, .rig = rig };
	if (!play(&oracle, NULL))
		return;
	cr_assert(crowd_wait_backends(database, "0", RIG_PATIENCE_MS));
	play(&pooled, &oracle);
	PQclear(rig_console(rig, "KILL"));
	cr_assert(crowd_wait_backends(database, "0", RIG_PATIENCE_MS));
}

void scene_play_all(const struct scene *scenes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		scene_play(&scenes[i]);
}
