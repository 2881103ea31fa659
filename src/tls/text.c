#include "text_priv.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <string.h>
#include <time.h>

#include "pgseal/tls/names.h"

/* Length of the control character at p, 0 when there is none. In UTF-8 C1 controls have two
 * bytes. */
static size_t control_length(const uint8_t *p, size_t left)
{
	if (p[0] < 0x20 || p[0] == 0x7f)
		return 1;
	if (left >= 2 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
		return 2;
	return 0;
}

enum err text_check(struct bytes text, const char *what, struct errbuf *why)
{
	if (text.len > NAMES_MAX)
		return err_set(why, ERR_DENIED, "%s is longer than %u bytes", what, NAMES_MAX);
	for (size_t i = 0; i < text.len; i++) {
		size_t n = control_length(text.at + i, text.len - i);

		if (n > 0)
			return err_set(why, ERR_DENIED, "%s holds the control byte \\x%02x", what,
			               text.at[i + n - 1]);
	}
	if (!utf8_valid(text))
		return err_set(why, ERR_DENIED, "%s is not valid UTF-8", what);
	return ERR_OK;
}

static bool is_seven_bit_type(int type)
{
	return type == V_ASN1_IA5STRING || type == V_ASN1_PRINTABLESTRING ||
	       type == V_ASN1_NUMERICSTRING || type == V_ASN1_VISIBLESTRING;
}

static bool is_ascii(const ASN1_STRING *value)
{
	return bytes_ascii((struct bytes){ ASN1_STRING_get0_data(value),
	                                   (size_t)ASN1_STRING_length(value) });
}

enum err text_from_asn1(const ASN1_STRING *value, const char *what, char **out, struct errbuf *why)
{
	unsigned char *utf8 = NULL;
	enum err rc;
	char *copy;
	int n;

	if (is_seven_bit_type(ASN1_STRING_type(value)) && !is_ascii(value))
		return err_set(why, ERR_DENIED, "%s is of an ASCII type but holds other bytes",
		               what);
	n = ASN1_STRING_to_UTF8(&utf8, value);
	if (n < 0)
		return err_set(why, ERR_DENIED, "%s is not a well-formed text", what);
	rc = text_check((struct bytes){ .at = utf8, .len = (size_t)n }, what, why);
	if (rc == ERR_OK) {
		copy = strndup((const char *)utf8, (size_t)n);
		if (copy == NULL)
			rc = err_set(why, ERR_NO_MEMORY, "out of memory");
		else
			*out = copy;
	}
	OPENSSL_free(utf8);
	return rc;
}

char *text_serial(const ASN1_INTEGER *serial)
{
	BIGNUM *number = ASN1_INTEGER_to_BN(serial, NULL);
	char *hex = number == NULL ? NULL : BN_bn2hex(number);
	char *copy = hex == NULL ? NULL : strdup(hex);

	OPENSSL_free(hex);
	BN_free(number);
	return copy;
}

bool text_time(const ASN1_TIME *t, int64_t *out)
{
	struct tm tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*out = (int64_t)timegm(&tm);
	return true;
}
