/* malloc and its like, over the C library's own. Loaded by LD_PRELOAD. */
#include "tests/integration/famine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *at, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *at);

static struct famine *famine;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv(FAMINE_ENV);
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*famine), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at != MAP_FAILED)
		famine = at;
}

static bool refused(void)
{
	long number, from;

	if (famine == NULL)
		return false;
	number = ++famine->made;
	from = famine->from;
	if (from == 0 || number < from || number >= famine->until)
		return false;
	famine->failed++;
	errno = ENOMEM;
	return true;
}

static void *count(void *at)
{
	if (famine != NULL && at != NULL)
		famine->live++;
	return at;
}

void *malloc(size_t n)
{
	return refused() ? NULL : count(__libc_malloc(n));
}

void *calloc(size_t items, size_t n)
{
	return refused() ? NULL : count(__libc_calloc(items, n));
}

void *realloc(void *at, size_t n)
{
	if (at == NULL)
		return malloc(n);
	if (n == 0) {
		free(at);
		return NULL;
	}
	return refused() ? NULL : __libc_realloc(at, n);
}

void *memalign(size_t alignment, size_t n);
void *memalign(size_t alignment, size_t n)
{
	return refused() ? NULL : count(__libc_memalign(alignment, n));
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
	void *at = memalign(alignment, n);

	if (at == NULL)
		return ENOMEM;
	*out = at;
	return 0;
}

void free(void *at)
{
	if (famine != NULL && at != NULL)
		famine->live--;
	__libc_free(at);
}
