/* DNS as far as a stub resolver asks: one question, A or AAAA (RFC 1035, section 4). */
#include "tests/integration/nameserver.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"
#include "tests/integration/world.h"

#define HEADER 12
#define TYPE_A 1

/* ---- the server: in its thread no assertion may be made ---- */

/* Bytes of the question behind the header, 0 if there is none. */
static size_t question_size(const uint8_t *at, size_t n)
{
	size_t pos = HEADER;

	while (pos < n && at[pos] != 0)
		pos += 1u + at[pos];
	return pos + 5 <= n ? pos + 5 - HEADER : 0;
}

/* Make the answer of the query, in place; its size. */
static size_t answer(const struct nameserver *ns, uint8_t *at, size_t n)
{
	static const uint8_t codes[] = {
		[NAMESERVER_ANSWERS] = 0, [NAMESERVER_FAILS] = 2, [NAMESERVER_DENIES] = 3
	};
	/* the name of the question, type A, class IN, no time to live, four bytes */
	uint8_t record[16] = { 0xc0, HEADER, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4 };
	size_t size = question_size(at, n);
	uint32_t address = htonl(ns->address);
	bool is_a = size > 0 && at[HEADER + size - 3] == TYPE_A;

	at[2] = 0x81; /* a response, recursion desired */
	at[3] = (uint8_t)(0x80 | codes[ns->mood]);
	memset(at + 6, 0, 6);
	if (ns->mood != NAMESERVER_ANSWERS || !is_a)
		return HEADER + size;
	at[7] = 1;
	memcpy(record + 12, &address, sizeof(address));
	memcpy(at + HEADER + size, record, sizeof(record));
	return HEADER + size + sizeof(record);
}

static void *run(void *arg)
{
	struct nameserver *ns = arg;
	struct sockaddr_in from;
	uint8_t packet[600];
	socklen_t len = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(ns->fd, packet, 500, 0, (struct sockaddr *)&from, &len)) > 0) {
		ns->asked++;
		if (n > HEADER && ns->mood != NAMESERVER_SILENT)
			sendto(ns->fd, packet, answer(ns, packet, (size_t)n), 0,
			       (struct sockaddr *)&from, len);
		len = sizeof(from);
	}
	return NULL;
}

void nameserver_start(struct nameserver *ns, const char *address)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	ns->mood = NAMESERVER_ANSWERS;
	nameserver_move(ns, address);
	ns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert(bind(ns->fd, (struct sockaddr *)&at, len) == 0 &&
	          getsockname(ns->fd, (struct sockaddr *)&at, &len) == 0);
	ns->port = ntohs(at.sin_port);
	cr_assert(pthread_create(&ns->thread, NULL, run, ns) == 0);
}

/* An empty packet ends it. */
void nameserver_stop(struct nameserver *ns)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)ns->port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	sendto(ns->fd, "", 0, 0, (struct sockaddr *)&at, sizeof(at));
	pthread_join(ns->thread, NULL);
	close(ns->fd);
}

void nameserver_move(struct nameserver *ns, const char *address)
{
	ns->address = ntohl(inet_addr(address));
}

/* ---- who asks it ---- */

static struct rig_text resolv_conf, hosts;

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, "%s", path);
}

void names_write_resolv_conf(const char *text)
{
	write_file(resolv_conf.s, text);
}

void names_write_hosts(const char *text)
{
	write_file(hosts.s, text);
}

/* In the child that becomes pgseal. */
static void enter(void)
{
	if (!world_own_mounts() ||
	    mount(resolv_conf.s, "/etc/resolv.conf", NULL, MS_BIND, NULL) != 0 ||
	    mount(hosts.s, "/etc/hosts", NULL, MS_BIND, NULL) != 0)
		_exit(77);
}

void names_prepare(const char *resolv, const char *host_lines)
{
	world_require();
	resolv_conf = rig_printf("%s/resolv.conf.%d", rig_root(), (int)getpid());
	hosts = rig_printf("%s/hosts.%d", rig_root(), (int)getpid());
	names_write_resolv_conf(resolv);
	names_write_hosts(host_lines);
	rig_before_exec(enter);
}

struct rig_text names_by(const struct nameserver *ns)
{
	return rig_printf("nameserver 127.0.0.1:%d\n", ns->port);
}
