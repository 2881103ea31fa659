/* Raw frames over TLS. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/frames.h"

/* --- what the client says --- */

static void put_u32(uint8_t *out, size_t v)
{
	uint32_t be = htonl((uint32_t)v);

	memcpy(out, &be, sizeof(be));
}

void script_put(struct script *s, char type, const void *body, size_t n)
{
	cr_assert(n + 5 <= sizeof(s->at) - s->len);
	s->at[s->len] = (uint8_t)type;
	put_u32(s->at + s->len + 1, n + 4);
	if (n > 0)
		memcpy(s->at + s->len + 5, body, n);
	s->len += n + 5;
}

void script_text(struct script *s, char type, const char *text)
{
	script_put(s, type, text, strlen(text) + 1);
}

void script_parse(struct script *s, const char *name, const char *sql)
{
	char body[sizeof(s->at)];
	int n = snprintf(body, sizeof(body) - 2, "%s%c%s", name, '\0', sql);

	cr_assert(n > 0 && (size_t)n < sizeof(body) - 3);
	memset(body + n, 0, 3); /* terminator, no parameter types */
	script_put(s, 'P', body, (size_t)n + 3);
}

void script_bind(struct script *s, const char *name)
{
	char body[256] = "";
	size_t n = strlen(name);

	cr_assert(n < 200);
	memcpy(body + 1, name, n);
	script_put(s, 'B', body, 1 + n + 1 + 6); /* no formats, no values, no result formats */
}

void script_execute(struct script *s, uint32_t most)
{
	uint8_t body[5] = { 0 };

	put_u32(body + 1, most);
	script_put(s, 'E', body, sizeof(body));
}

void script_call(struct script *s, uint32_t function)
{
	uint8_t body[10] = { 0 }; /* no formats, no arguments, result as text */

	put_u32(body, function);
	script_put(s, 'F', body, sizeof(body));
}

void frames_send(struct frames *f, struct script *s)
{
	rig_tls_send(f->ssl, s->at, s->len);
	s->len = 0;
}

/* --- what comes back --- */

static void take_error(struct frames *f, const uint8_t *body, size_t n)
{
	for (size_t i = 0; i < n && body[i] != 0; i += strlen((const char *)body + i) + 1) {
		if (body[i] == 'C')
			snprintf(f->sqlstate, sizeof(f->sqlstate), "%s",
			         (const char *)body + i + 1);
		else if (body[i] == 'M')
			snprintf(f->message, sizeof(f->message), "%s", (const char *)body + i + 1);
	}
}

static void take_key(struct frames *f, const uint8_t *body, size_t n)
{
	uint32_t pid;

	cr_assert(n >= 8 && n - 4 <= sizeof(f->secret));
	memcpy(&pid, body, sizeof(pid));
	f->pid = ntohl(pid);
	f->secret_len = n - 4;
	memcpy(f->secret, body + 4, f->secret_len);
}

/* Next message; 0 at the end or the deadline. */
static char next_message(struct frames *f)
{
	static uint8_t body[8192];
	size_t n;
	char type = rig_tls_message(f->ssl, body, sizeof(body) - 1, &n, RIG_PATIENCE_MS);

	if (type == 0)
		return 0;
	body[n < sizeof(body) ? n : sizeof(body) - 1] = 0;
	if (type == 'E')
		take_error(f, body, n < sizeof(body) ? n : sizeof(body));
	else if (type == 'K')
		take_key(f, body, n);
	else if (type == 'C')
		snprintf(f->tag, sizeof(f->tag), "%.60s", (const char *)body);
	return type;
}

struct rig_text frames_until(struct frames *f, char type, int n)
{
	struct rig_text seen = { "" };
	size_t len = 0;
	char got;

	f->sqlstate[0] = '\0';
	while (len < sizeof(seen.s) - 2 && n > 0) {
		if ((got = next_message(f)) == 0) {
			seen.s[len++] = rig_tls_alert(f->ssl, 0) == -2 ? '?' : '!';
			break;
		}
		n -= got == type;
		if (strchr("NSA", got) != NULL ||
		    (len > 0 && seen.s[len - 1] == got && strchr("Dd", got)))
			continue;
		seen.s[len++] = got;
	}
	return seen;
}

/* --- sessions --- */

bool frames_try_login(struct frames *f, const struct rig *rig, const char *name,
                      const char *database, uint32_t version)
{
	const char *const params[] = { "user", name, "database", database, NULL };
	struct rig_tls how = { .cert = name };
	struct rig_text answers;
	uint8_t packet[1024];

	memset(f, 0, sizeof(*f));
	f->ssl = rig_tls_connect(rig, &how, NULL);
	cr_assert(f->ssl != NULL, "no TLS for %s", name);
	rig_tls_send(f->ssl, packet, rig_startup(packet, sizeof(packet), version, params));
	answers = frames_until(f, 'Z', 1);
	return strchr(answers.s, 'Z') != NULL;
}

void frames_login(struct frames *f, const struct rig *rig, const char *name, const char *database)
{
	cr_assert(frames_try_login(f, rig, name, database, FRAMES_3_0), "login: %s %s", f->sqlstate,
	          f->message);
}

void frames_drop(struct frames *f)
{
	rig_tls_free(f->ssl);
	f->ssl = NULL;
}

/* --- cancel --- */

static size_t cancel_packet(uint8_t *packet, size_t cap, uint32_t pid, const void *secret, size_t n)
{
	uint8_t body[4 + 256];

	cr_assert(n <= 256);
	put_u32(body, pid);
	memcpy(body + 4, secret, n);
	return rig_packet(packet, cap, RIG_CANCEL_REQUEST, body, 4 + n);
}

void frames_cancel(const struct rig *rig, uint32_t pid, const void *secret, size_t n)
{
	uint8_t packet[300];
	int fd = rig_raw_connect(rig);

	rig_raw_send(fd, packet, cancel_packet(packet, sizeof(packet), pid, secret, n));
	cr_assert(rig_raw_closed(fd, RIG_PATIENCE_MS), "the cancel connection stays open");
	close(fd);
}

void frames_cancel_tls(const struct rig *rig, const struct rig_tls *how, uint32_t pid,
                       const void *secret, size_t n)
{
	SSL *ssl = rig_tls_connect(rig, how, NULL);
	uint8_t packet[300];

	cr_assert(ssl != NULL);
	rig_tls_send(ssl, packet, cancel_packet(packet, sizeof(packet), pid, secret, n));
	cr_assert(rig_raw_closed(SSL_get_fd(ssl), RIG_PATIENCE_MS),
	          "the cancel connection stays open");
	rig_tls_free(ssl);
}

void frames_cancel_of(PGconn *conn)
{
	PGcancel *cancel = PQgetCancel(conn);
	char why[256] = "";

	cr_assert(PQcancel(cancel, why, sizeof(why)), "%s", why);
	PQfreeCancel(cancel);
}
