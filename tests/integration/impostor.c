/* The impostor's thread and what it can say. */
#include "tests/integration/impostor.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/rig_priv.h"

static bool read_all(SSL *ssl, void *to, size_t n)
{
	char *at = to;
	size_t got;

	for (; n > 0; n -= got, at += got)
		if (SSL_read_ex(ssl, at, n, &got) != 1)
			return false;
	return true;
}

bool impostor_asked_for_tls(int fd)
{
	char request[8];

	return recv(fd, request, sizeof(request), MSG_WAITALL) == (ssize_t)sizeof(request);
}

SSL *impostor_secure(const struct impostor *im, int fd)
{
	SSL *ssl = SSL_new(im->ctx);

	SSL_set_fd(ssl, fd);
	if (impostor_asked_for_tls(fd) && send(fd, "S", 1, MSG_NOSIGNAL) == 1 &&
	    SSL_accept(ssl) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

char impostor_hear(SSL *ssl, bool first, char *body, size_t cap)
{
	char type = 'p';
	uint32_t size;

	if ((!first && !read_all(ssl, &type, 1)) || !read_all(ssl, &size, sizeof(size)))
		return 0;
	size = ntohl(size) - (uint32_t)sizeof(size);
	if (size >= cap || !read_all(ssl, body, size))
		return 0;
	body[size] = '\0';
	return type;
}

void impostor_tell(SSL *ssl, struct script *say)
{
	size_t sent;

	SSL_write_ex(ssl, say->at, say->len, &sent);
	say->len = 0;
}

void impostor_put_parameter(struct script *say, const char *name, const char *value)
{
	char body[100];
	int n = snprintf(body, sizeof(body), "%s%c%s", name, '\0', value);

	script_put(say, 'S', body, (size_t)n + 1);
}

void impostor_put_welcome(struct script *say)
{
	static const char *const params[][2] = {
		{ "server_version", "15.0" },  { "client_encoding", "UTF8" },
		{ "DateStyle", "ISO, MDY" },   { "TimeZone", "UTC" },
		{ "integer_datetimes", "on" }, { "standard_conforming_strings", "on" },
		{ "application_name", "" },    { "IntervalStyle", "postgres" },
	};

	script_put(say, 'R', "\0\0\0\0", 4);
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		impostor_put_parameter(say, params[i][0], params[i][1]);
	script_put(say, 'K', "\0\0\1\2\0\0\0\3", 8);
	script_put(say, 'Z', "I", 1);
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Of a pooler's own statements: a row is one column, a false. */
static void put_execution(struct script *say, struct impostor_batch *batch)
{
	static const char *const tags[] = { "BEGIN", "COMMIT",      "ROLLBACK",
		                            "RESET", "DISCARD ALL", "DISCARD SEQUENCES",
		                            "SET",   "DEALLOCATE",  NULL };
	const char *const *tag = tags;

	while (*tag != NULL && !begins(batch->text, *tag))
		tag++;
	if (*tag == NULL)
		script_put(say, 'D', "\0\1\0\0\0\1f", 7);
	script_text(say, 'C', *tag != NULL ? *tag : "SELECT 1");
	if (begins(batch->text, "BEGIN"))
		batch->status = 'T';
	else if (begins(batch->text, "COMMIT") || begins(batch->text, "ROLLBACK"))
		batch->status = 'I';
}

/* Name, text, count of types, types. */
static void take_statement(struct impostor_batch *batch, const char *body)
{
	const char *text = body + strlen(body) + 1, *types = text + strlen(text) + 1;
	size_t n = sizeof(uint16_t) + sizeof(uint32_t) * (uint8_t)types[1];

	snprintf(batch->text, sizeof(batch->text), "%s", text);
	batch->types_len = n < sizeof(batch->types) ? n : sizeof(batch->types);
	memcpy(batch->types, types, batch->types_len);
}

bool impostor_put_answer(struct script *say, struct impostor_batch *batch, char type,
                         const char *body)
{
	const char *complete = type == 'P' ? "1" : type == 'B' ? "2" : type == 'C' ? "3" : "";

	if (type == 'P')
		take_statement(batch, body);
	if (*complete != '\0')
		script_put(say, *complete, NULL, 0);
	else if (type == 'D' && body[0] == 'S')
		script_put(say, 't', batch->types, batch->types_len);
	if (type == 'D')
		script_put(say, 'n', NULL, 0);
	else if (type == 'E')
		put_execution(say, batch);
	else if (type == 'S')
		script_put(say, 'Z', batch->status == 'T' ? "T" : "I", 1);
	return type == 'H' || type == 'S';
}

void impostor_put_fatal(struct script *say, const char *sqlstate, const char *message)
{
	char body[300];
	int n = snprintf(body, sizeof(body), "SFATAL%cVFATAL%cC%.5s%cM%.200s%c", '\0', '\0',
	                 sqlstate, '\0', message, '\0');

	script_put(say, 'E', body, (size_t)n + 1);
}

struct guest_of {
	struct impostor *im;
	int fd;
	void (*converse)(SSL *ssl, struct script *say);
};

static void *serve(void *arg)
{
	struct guest_of *g = arg;
	SSL *ssl = impostor_secure(g->im, g->fd);
	struct script *say = calloc(1, sizeof(*say));

	if (ssl != NULL)
		g->converse(ssl, say);
	free(say);
	SSL_free(ssl);
	close(g->fd);
	free(g);
	return NULL;
}

void impostor_serve(struct impostor *im, int fd, void (*converse)(SSL *ssl, struct script *say))
{
	struct guest_of *g = malloc(sizeof(*g));
	pthread_t thread;

	*g = (struct guest_of){ im, dup(fd), converse };
	if (pthread_create(&thread, NULL, serve, g) == 0)
		pthread_detach(thread);
}

static void *run(void *arg)
{
	struct impostor *im = arg;
	int fd, on = 1;

	while ((fd = accept(im->fd, NULL, NULL)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		im->connections++;
		im->receive(im, fd);
		close(fd);
	}
	return NULL;
}

void impostor_start(struct impostor *im, const char *cert,
                    void (*receive)(struct impostor *im, int fd), const void *arg)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rig_text prefix = cert != NULL ? rig_printf("%s", cert)
	                                      : rig_printf("%s/server", rig_pki());
	socklen_t len = sizeof(at);

	signal(SIGPIPE, SIG_IGN);
	im->receive = receive;
	im->arg = arg;
	im->connections = 0;
	im->ctx = SSL_CTX_new(TLS_server_method());
	cr_assert(SSL_CTX_use_certificate_chain_file(im->ctx,
	                                             rig_printf("%.3000s.crt", prefix.s).s) == 1);
	cr_assert(SSL_CTX_use_PrivateKey_file(im->ctx, rig_printf("%.3000s.key", prefix.s).s,
	                                      SSL_FILETYPE_PEM) == 1);
	im->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert(bind(im->fd, (struct sockaddr *)&at, len) == 0 && listen(im->fd, 16) == 0 &&
	          getsockname(im->fd, (struct sockaddr *)&at, &len) == 0);
	im->port = ntohs(at.sin_port);
	cr_assert(pthread_create(&im->thread, NULL, run, im) == 0);
}

void impostor_stop(struct impostor *im)
{
	shutdown(im->fd, SHUT_RDWR);
	pthread_join(im->thread, NULL);
	close(im->fd);
	SSL_CTX_free(im->ctx);
}
