/* malloc and its like, over the C library's own. Loaded by LD_PRELOAD. */
#include "tests/integration/famine.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *at, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *at);

static struct famine *famine;
static uintptr_t own_begin, own_end; /* the program's text */

/* The program itself comes first: that one will do. */
static int find_own(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];

		if (h->p_type == PT_LOAD && (h->p_flags & PF_X) != 0) {
			own_begin = info->dlpi_addr + h->p_vaddr;
			own_end = own_begin + h->p_memsz;
		}
	}
	return 1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv(FAMINE_ENV);
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*famine), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	dl_iterate_phdr(find_own, NULL);
	if (at != MAP_FAILED)
		famine = at;
}

/* caller: who asks for memory. */
static bool refused(const void *caller)
{
	long number, from;

	if (famine == NULL)
		return false;
	if (famine->own && ((uintptr_t)caller < own_begin || (uintptr_t)caller >= own_end))
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

#define CALLER __builtin_return_address(0)

void *malloc(size_t n)
{
	return refused(CALLER) ? NULL : count(__libc_malloc(n));
}

void *calloc(size_t items, size_t n)
{
	return refused(CALLER) ? NULL : count(__libc_calloc(items, n));
}

void *realloc(void *at, size_t n)
{
	if (at != NULL && n == 0) {
		free(at);
		return NULL;
	}
	if (refused(CALLER))
		return NULL;
	return at == NULL ? count(__libc_malloc(n)) : __libc_realloc(at, n);
}

void *reallocarray(void *at, size_t items, size_t n)
{
	if (refused(CALLER))
		return NULL;
	return at == NULL ? count(__libc_malloc(items * n)) : __libc_realloc(at, items * n);
}

/* The C library's own ask for memory in their caller's name. */
char *strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = refused(CALLER) ? NULL : count(__libc_malloc(len + 1));

	if (copy == NULL)
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = refused(CALLER) ? NULL : count(__libc_malloc(size));

	return copy != NULL ? memcpy(copy, s, size) : NULL;
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return refused(CALLER) ? NULL : count(__libc_memalign(alignment, n));
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
	void *at = refused(CALLER) ? NULL : count(__libc_memalign(alignment, n));

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

/* pgseal puts functions of its own under OpenSSL, which would make all that it asks for pgseal's. */
int CRYPTO_set_mem_functions(void *take, void *resize, void *give_back);
int CRYPTO_set_mem_functions(void *take, void *resize, void *give_back)
{
	int (*real)(void *, void *, void *);

	*(void **)&real = dlsym(RTLD_NEXT, "CRYPTO_set_mem_functions");
	return famine != NULL && famine->own ? 1 : real(take, resize, give_back);
}
