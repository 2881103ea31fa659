#include "pgseal/tls/bio.h"

#include <pthread.h>

#include <openssl/bio.h>

static int end_read(BIO *bio, char *to, int n)
{
	struct tls_end *end = BIO_get_data(bio);
	size_t got;

	BIO_clear_retry_flags(bio);
	if (end->flooded || n <= 0)
		return -1;
	got = end->take(end, to, (size_t)n);
	if (got == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	return (int)got;
}

static int end_write(BIO *bio, const char *at, int n)
{
	struct tls_end *end = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (n <= 0 || !end->give(end, at, (size_t)n))
		return -1;
	return n;
}

static long end_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	/* "Flushed" is all that OpenSSL asks for; everything else is not ours to answer. */
	return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void method_make(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pgseal");

	if (m == NULL)
		return;
	BIO_meth_set_read(m, end_read);
	BIO_meth_set_write(m, end_write);
	BIO_meth_set_ctrl(m, end_ctrl);
	method = m;
}

static void count_key_updates(int write_p, int version, int content_type, const void *at,
                              size_t len, SSL *ssl, void *arg)
{
	struct tls_end *end = arg;

	(void)version;
	(void)ssl;
	if (write_p || content_type != SSL3_RT_HANDSHAKE || len < 1)
		return;
	if (*(const unsigned char *)at == SSL3_MT_KEY_UPDATE &&
	    ++end->key_updates > TLS_KEY_UPDATES_MAX)
		end->flooded = true;
}

void tls_end_data(struct tls_end *end, size_t n, usec_t now)
{
	if (end->key_updates == 0)
		return;
	end->data_bytes += (uint32_t)(n < TLS_KEY_UPDATES_BYTES ? n : TLS_KEY_UPDATES_BYTES);
	if (end->data_bytes < TLS_KEY_UPDATES_BYTES && now - end->forgiven_at < TLS_KEY_UPDATES_US)
		return;
	end->key_updates = 0;
	end->data_bytes = 0;
	end->forgiven_at = now;
}

enum err tls_end_attach(SSL *ssl, struct tls_end *end)
{
	BIO *bio;

	pthread_once(&method_once, method_make);
	if (method == NULL || (bio = BIO_new(method)) == NULL)
		return ERR_NO_MEMORY;
	BIO_set_data(bio, end);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_msg_callback(ssl, count_key_updates);
	SSL_set_msg_callback_arg(ssl, end);
	return ERR_OK;
}
