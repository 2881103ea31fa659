/* FunctionCall: any function at all may be called, by its OID. */
#include "relay_priv.h"

#include "pgseal/core/pins.h"
#include "pgseal/wire/reader.h"
#include "statements_priv.h"

#define CALL_OID_BYTES sizeof(uint32_t)

size_t call_need(const struct frame *frame)
{
	size_t need = FRAME_HEADER + CALL_OID_BYTES;

	return need < frame->size ? need : frame->size;
}

/* Of large objects: what they leave ends with the transaction. pg_proc.dat: lo_creat, lo_create, lo_open, lo_close,
 * loread, lowrite, lo_lseek, lo_lseek64, lo_tell, lo_tell64, lo_truncate, lo_truncate64, lo_unlink, lo_from_bytea,
 * lo_get, lo_get, lo_put. */
static bool is_large_object_function(uint32_t oid)
{
	static const uint32_t oids[] = { 715, 764,  952,  953,  954,  955,  956,  957,  958,
		                         964, 1004, 3170, 3171, 3172, 3457, 3458, 3459, 3460 };
	size_t i;

	for (i = 0; i < sizeof(oids) / sizeof(oids[0]); i++)
		if (oids[i] == oid)
			return true;
	return false;
}

/* Can it set a parameter that PostgreSQL does not list? set_config(), functions that execute a text (query_to_xml and
 * its like, ts_stat, ts_rewrite), and any that is not PostgreSQL's own. */
static bool may_set_unlisted(uint32_t oid)
{
	const uint32_t first_own = 16384; /* FirstNormalObjectId */

	return oid >= first_own || oid == 2078 || (oid >= 2922 && oid <= 2940) || oid == 3685 ||
	       oid == 3689 || oid == 3690;
}

/* Any function at all, which may do whatever a session can. */
enum feed_next call_pass(const struct about *a)
{
	struct reader r = reader_of(
		(struct bytes){ a->f->at + a->f->pos + FRAME_HEADER, a->size - FRAME_HEADER });
	uint32_t oid = 0;

	if (a->size < FRAME_HEADER + CALL_OID_BYTES || !reader_u32(&r, &oid) ||
	    is_large_object_function(oid))
		return statements_account(a, NULL);
	if (text_run_unknown(a) == FEED_STOP)
		return FEED_STOP;
	if (may_set_unlisted(oid))
		pins_add(a->srv, PIN_CALL);
	return statements_account(a, NULL);
}
