/* Several conversations, interleaved. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <openssl/err.h>

#include "tests/integration/exchange.h"
#include "tests/integration/rig_priv.h"

struct partner {
	SSL *ssl;
	const struct conversation *says;
	struct transcript *hears;
	int step;    /* which it says */
	size_t said; /* bytes of that step */
	int due;     /* ReadyForQuery owed for all steps up to this one */
	bool over;
	bool broken;
};

struct exchange {
	struct partner partners[CONVERSATION_CLIENTS];
	int count;
	uint64_t dice;
	int64_t deadline_ms; /* unless something happens */
};

static void log_in(struct partner *p, const struct rig *rig, const char *database,
                   const char *cert)
{
	const char *const params[] = { "user", "alice", "database", database, NULL };
	struct rig_tls how = { .cert = rig != NULL ? cert : "pgseal" };
	uint8_t packet[1024];

	p->ssl = rig_tls_connect(rig, &how, NULL);
	cr_assert(p->ssl != NULL);
	rig_tls_send(p->ssl, packet, rig_startup(packet, sizeof(packet), FRAMES_3_0, params));
	p->due = 1; /* behind the login */
}

static void log_out(struct partner *p)
{
	static const uint8_t goodbye[] = { 'X', 0, 0, 0, 4 };

	if (!p->broken)
		rig_tls_send(p->ssl, goodbye, sizeof(goodbye));
	rig_tls_free(p->ssl);
	p->over = true;
}

static void break_off(struct partner *p, const char *why)
{
	transcript_note(p->hears, why);
	p->broken = true;
	log_out(p);
}

/* All that has come; true if there was anything. */
static bool listen_to(struct partner *p)
{
	uint8_t chunk[16384];
	bool any = false;
	size_t n;
	int rc;

	while (!p->over) {
		ERR_clear_error();
		rc = SSL_read_ex(p->ssl, chunk, sizeof(chunk), &n);
		if (rc != 1 && SSL_get_error(p->ssl, rc) == SSL_ERROR_WANT_READ)
			break;
		any = true;
		if (rc != 1)
			break_off(p, "the connection broke off");
		else
			transcript_hear(p->hears, chunk, n);
	}
	return any;
}

/* Has it heard all that it waits for behind the step? */
static bool is_answered(const struct partner *p, const struct step *s)
{
	const struct transcript *t = p->hears;

	if (t->ready != p->due)
		return t->ready > p->due;
	return s->answers == 0 || t->failed || t->answers >= s->answers;
}

/* Steps of which all has been said and heard are over. Who is at the end leaves: others may wait for the
 * server that it keeps. */
static void advance(struct partner *p)
{
	const struct step *s = &p->says->steps[p->step];

	while (!p->over && p->said == s->len && (!s->wait || is_answered(p, s))) {
		p->hears->marks[p->step] = s->wait ? p->hears->len : 0;
		p->said = 0;
		if (++p->step == p->says->count)
			log_out(p);
		s++;
	}
}

static bool may_speak(const struct partner *p)
{
	if (p->over || p->hears->ready == 0)
		return false;
	return p->said < p->says->steps[p->step].len;
}

/* The next piece of what it has to say. */
static void speak(struct partner *p)
{
	const struct step *s = &p->says->steps[p->step];
	size_t n = s->len - p->said;

	if (p->said == 0)
		p->due += s->ready - (p->hears->failed ? s->missing : 0);
	if (s->grain > 0 && n > s->grain)
		n = s->grain;
	rig_tls_send(p->ssl, p->says->said.at + s->at + p->said, n);
	p->said += n;
	advance(p);
}

static unsigned roll_die(struct exchange *x, unsigned n)
{
	x->dice ^= x->dice << 13;
	x->dice ^= x->dice >> 7;
	x->dice ^= x->dice << 17;
	return (unsigned)((x->dice >> 20) % n);
}

static struct partner *choose_speaker(struct exchange *x)
{
	struct partner *able[CONVERSATION_CLIENTS];
	unsigned n = 0;

	for (int i = 0; i < x->count; i++)
		if (may_speak(&x->partners[i]))
			able[n++] = &x->partners[i];
	return n > 0 ? able[roll_die(x, n)] : NULL;
}

static void wait_for_any(struct exchange *x)
{
	struct pollfd fds[CONVERSATION_CLIENTS];
	nfds_t n = 0;

	for (int i = 0; i < x->count; i++)
		if (!x->partners[i].over)
			fds[n++] = (struct pollfd){ .fd = SSL_get_fd(x->partners[i].ssl),
				                    .events = POLLIN };
	poll(fds, n, rig_left_ms(x->deadline_ms));
}

static bool listen_to_all(struct exchange *x)
{
	bool any = false;

	for (int i = 0; i < x->count; i++) {
		struct partner *p = &x->partners[i];

		if (listen_to(p) && p->hears->ready > 0) {
			any = true;
			advance(p);
		}
	}
	return any;
}

static bool all_over(const struct exchange *x)
{
	for (int i = 0; i < x->count; i++)
		if (!x->partners[i].over)
			return false;
	return true;
}

/* One turn: somebody speaks, or all wait. */
static void turn(struct exchange *x)
{
	struct partner *p;

	if (listen_to_all(x))
		x->deadline_ms = rig_now_ms() + RIG_PATIENCE_MS;
	if ((p = choose_speaker(x)) != NULL)
		speak(p);
	else if (!all_over(x))
		wait_for_any(x);
	if (rig_left_ms(x->deadline_ms) > 0)
		return;
	for (int i = 0; i < x->count; i++)
		if (!x->partners[i].over)
			break_off(&x->partners[i], "nothing more comes");
}

bool exchange_run(const struct rig *rig, const char *database, uint64_t seed,
                  const char *const *certs, const struct conversation *conversations,
                  struct transcript *transcripts, int clients)
{
	struct exchange x = { .count = clients, .dice = seed * 2 + 1 };
	bool whole = true;

	for (int i = 0; i < clients; i++) {
		x.partners[i].says = &conversations[i];
		x.partners[i].hears = &transcripts[i];
		log_in(&x.partners[i], rig, database, rig != NULL ? certs[i] : NULL);
	}
	x.deadline_ms = rig_now_ms() + RIG_PATIENCE_MS;
	while (!all_over(&x))
		turn(&x);
	for (int i = 0; i < clients; i++)
		whole = whole && !x.partners[i].broken;
	return whole;
}
