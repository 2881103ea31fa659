#include "refusal_priv.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dn_priv.h"
#include "pgseal/base/bytes.h"
#include "pgseal/tls/context.h"
#include "text_priv.h"

/* OpenSSL hands out slots of ex_data once per process. */
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
static int slot = -1;

static void free_refusal(void *parent, void *refusal, CRYPTO_EX_DATA *data, int index, long argl,
                         void *argp)
{
	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	free(refusal);
}

static void make_slot(void)
{
	slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_refusal);
}

static int refusal_slot(void)
{
	pthread_once(&slot_once, make_slot);
	return slot;
}

static void describe(struct tls_refusal *r, X509 *cert)
{
	char *subject, *serial;

	ERR_set_mark(); /* the handshake's own error is to be the only one in the queue */
	subject = dn_display(X509_get_subject_name(cert));
	serial = text_serial(X509_get0_serialNumber(cert));
	ERR_pop_to_mark();
	snprintf(r->subject, sizeof r->subject, "%.*s", (int)sizeof r->subject - 1,
	         quote_str(subject != NULL ? subject : "").s);
	snprintf(r->serial, sizeof r->serial, "%.*s", (int)sizeof r->serial - 1,
	         serial != NULL ? serial : "");
	free(serial);
	free(subject);
}

int refusal_verify(int fine, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	struct tls_refusal *r;

	if (fine || ssl == NULL || tls_refusal(ssl) != NULL)
		return fine;
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return fine; /* refused all the same, only unexplained */
	r->code = X509_STORE_CTX_get_error(store);
	r->depth = X509_STORE_CTX_get_error_depth(store);
	if (cert != NULL)
		describe(r, cert);
	if (SSL_set_ex_data(ssl, refusal_slot(), r) != 1)
		free(r);
	return fine;
}

const struct tls_refusal *tls_refusal(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, refusal_slot());
}

/* ------------------------------------------------------------------ OpenSSL's errors as text */

static void append_error(char *out, size_t size, unsigned long code, const char *data)
{
	const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
	                                            : ERR_reason_error_string(code);
	size_t len = strlen(out);

	snprintf(out + len, size - len, "%s%s%s%s", len > 0 ? "; " : "",
	         reason != NULL ? reason : "unknown error", data[0] != '\0' ? ": " : "",
	         quote_str(data).s);
}

void tls_error_text(char *out, size_t size)
{
	const char *data;
	unsigned long code;
	int flags;

	out[0] = '\0';
	while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0)
		append_error(out, size, code, (flags & ERR_TXT_STRING) != 0 ? data : "");
	if (out[0] == '\0')
		snprintf(out, size, "no detail");
}
