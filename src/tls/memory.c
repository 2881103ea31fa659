#include "pgseal/tls/memory.h"

#include <stdlib.h>

#include <openssl/crypto.h>

static _Thread_local unsigned long failures;

static void *count(void *at)
{
	failures += at == NULL;
	return at;
}

static void *take(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n > 0 ? count(malloc(n)) : NULL;
}

static void *resize(void *at, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	if (n > 0)
		return count(realloc(at, n));
	free(at);
	return NULL;
}

static void give_back(void *at, const char *file, int line)
{
	(void)file;
	(void)line;
	free(at);
}

void tls_memory_watch(void)
{
	CRYPTO_set_mem_functions(take, resize, give_back);
}

unsigned long tls_memory_failures(void)
{
	return failures;
}
