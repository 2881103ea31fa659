/* A certificate's DER: whatever the bytes, names that come out are clean. */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/tls/dn_priv.h"
#include "pgseal/base/bytes.h"
#include "pgseal/tls/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAMES_MAX || !utf8_valid(bytes_of(name)))
		abort();
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
			abort();
	}
}

static void check_names(const struct names *n)
{
	struct errbuf why;

	if (names_count(n, NAME_CN) > 1 || names_count(n, NAME_DN) > 1 ||
	    names_count(n, NAME_SHA256) != 1 || names_count(n, NAME_SPKI) != 1)
		abort();
	for (int t = 0; t < NAME_TYPES; t++) {
		for (size_t i = 0; i < names_count(n, (enum name_type)t); i++)
			check_name(names_at(n, (enum name_type)t, i));
	}
	check_name(names_serial(n));
	/* what we write, an operator may copy into a rule */
	if (names_count(n, NAME_DN) == 1 && dn_check(names_at(n, NAME_DN, 0), &why) != ERR_OK)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned char *at = data;
	X509 *cert = d2i_X509(NULL, &at, (long)size);
	struct names *names = NULL;
	struct errbuf why = { "" };

	ERR_clear_error();
	if (cert == NULL)
		return 0;
	if (names_extract(cert, &names, &why) == ERR_OK)
		check_names(names);
	else if (names != NULL || why.text[0] == '\0')
		abort();
	if (ERR_peek_error() != 0)
		abort();
	names_free(names);
	X509_free(cert);
	return 0;
}
