#include "pgseal/base/err.h"

static const char *const err_texts[] = {
#define X(number, text) [number] = text,
	ERR_TABLE(X)
#undef X
};

const char *err_text(enum err e)
{
	if ((unsigned)e >= ERR_COUNT)
		return "unknown error";
	return err_texts[e];
}

enum err err_set(struct errbuf *why, enum err e, const char *fmt, ...)
{
	va_list ap;

	if (why == NULL)
		return e;
	va_start(ap, fmt);
	/* a cut text is still a text; the only other failure is a bad format */
	if (vsnprintf(why->text, sizeof(why->text), fmt, ap) < 0)
		why->text[0] = '\0';
	va_end(ap);
	return e;
}
