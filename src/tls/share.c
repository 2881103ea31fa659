/* A parsed certificate with its public key takes 8 kB, as much as all else that an idle connection takes
 * in OpenSSL, and there is no way to let go of it before the connection ends. But the thousand
 * connections of an application show the same one: each is verified on its own, and then keeps the
 * copy that the first one left here instead of its own. */
#include "share_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define SLOTS \
	256 /* certificates remembered; a newcomer takes the place of whose digest begins alike */
#define SHA256_BYTES 32

struct share {
	pthread_mutex_t lock; /* gates verify at the same time */
	struct {
		uint8_t sha256[SHA256_BYTES];
		X509 *cert; /* a reference; NULL: free */
	} slots[SLOTS];
};

/* OpenSSL hands out slots of ex_data once per process. */
static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static int share_index = -1;

static void share_free(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long argl,
                       void *argp)
{
	struct share *share = data;

	(void)parent;
	(void)all;
	(void)index;
	(void)argl;
	(void)argp;
	if (share == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		X509_free(share->slots[i].cert);
	pthread_mutex_destroy(&share->lock);
	free(share);
}

static void make_index(void)
{
	share_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, share_free);
}

/* The copy to keep instead of cert, with a reference for the caller; NULL: cert itself. */
static X509 *share_swap(struct share *share, X509 *cert)
{
	uint8_t sha256[SHA256_BYTES];
	X509 **kept, *found = NULL;
	size_t at;

	if (X509_digest(cert, EVP_sha256(), sha256, NULL) != 1)
		return NULL;
	at = sha256[0] % SLOTS;
	kept = &share->slots[at].cert;
	pthread_mutex_lock(&share->lock);
	if (*kept != NULL && memcmp(share->slots[at].sha256, sha256, SHA256_BYTES) == 0) {
		found = *kept;
		X509_up_ref(found);
	} else {
		X509_free(*kept);
		X509_up_ref(cert);
		*kept = cert;
		memcpy(share->slots[at].sha256, sha256, SHA256_BYTES);
	}
	pthread_mutex_unlock(&share->lock);
	return found;
}

/* What the client showed is what its SSL is going to keep. */
static void share_shown(X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct share *share = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), share_index);
	STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(store);

	for (int i = 0; i < sk_X509_num(shown); i++) {
		X509 *own = sk_X509_value(shown, i), *kept = share_swap(share, own);

		if (kept != NULL) {
			sk_X509_set(shown, i, kept);
			X509_free(own);
		}
	}
	/* The SSL would keep this as well, and with it what has just been exchanged. */
	X509_STORE_CTX_set0_verified_chain(store, NULL);
}

static int share_verify(X509_STORE_CTX *store, void *unused)
{
	int fine = X509_verify_cert(store) > 0;

	(void)unused;
	if (fine)
		share_shown(store);
	return fine;
}

bool share_certificates(SSL_CTX *ctx)
{
	struct share *share = calloc(1, sizeof *share);

	pthread_once(&index_once, make_index);
	if (share == NULL || SSL_CTX_set_ex_data(ctx, share_index, share) != 1) {
		free(share);
		return false;
	}
	pthread_mutex_init(&share->lock, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, share_verify, NULL);
	return true;
}
