#include "pem_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pgseal/base/bytes.h"

#define FILE_BYTES_MAX (16 << 20)

void file_fault(const struct pem_file *file, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	report_file_error(file->rep, file->at, file->setting, file->path, text);
}

void file_notice(const struct pem_file *file, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	report_notice(file->rep, file->at, "%s: %s: %s", file->setting, quote_str(file->path).s,
	              text);
}

/* libpq's rule, and PostgreSQL's: root may share its key with a group, nobody else may. */
static bool check_mode(const struct pem_file *file, const struct stat *st)
{
	mode_t wrong = st->st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
	const char *remedy = st->st_uid == 0 ? "0640" : "0600";

	if ((st->st_mode & wrong) == 0)
		return true;
	file_fault(file, "the private key is open to others (mode %04o): chmod %s %s",
	           (unsigned)st->st_mode & 07777, remedy, quote_str(file->path).s);
	return false;
}

static bool check_stat(const struct pem_file *file, int fd, enum secrecy secrecy)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		file_fault(file, "%s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		file_fault(file, "is not a regular file");
	else if (st.st_size > FILE_BYTES_MAX)
		file_fault(file, "is larger than %d MB: is it the right file?",
		           FILE_BYTES_MAX >> 20);
	else
		return secrecy == PEM_PUBLIC || check_mode(file, &st);
	return false;
}

static bool read_all(const struct pem_file *file, int fd, BIO *to)
{
	char part[4096];
	size_t total = 0;
	bool fine = true;
	ssize_t n;

	while ((n = read(fd, part, sizeof part)) > 0 && fine) {
		total += (size_t)n;
		fine = total <= FILE_BYTES_MAX && BIO_write(to, part, (int)n) == n;
	}
	OPENSSL_cleanse(part, sizeof part);
	if (n < 0)
		file_fault(file, "cannot be read: %s", strerror(errno));
	else if (!fine)
		file_fault(file, "does not fit into memory");
	return fine && n == 0;
}

BIO *pem_open(const struct pem_file *file, enum secrecy secrecy)
{
	BIO *bio;
	bool fine;
	/* O_NONBLOCK: a FIFO must not hold us before fstat can refuse it */
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		file_fault(file, "cannot be opened: %s", strerror(errno));
		return NULL;
	}
	bio = BIO_new(secrecy == PEM_SECRET ? BIO_s_secmem() : BIO_s_mem());
	if (bio == NULL)
		file_fault(file, "out of memory");
	fine = bio != NULL && check_stat(file, fd, secrecy) && read_all(file, fd, bio);
	close(fd);
	if (fine)
		return bio;
	BIO_free(bio);
	return NULL;
}

bool pem_ended(char *detail, size_t size)
{
	unsigned long e = ERR_peek_last_error();
	bool ended = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;

	if (ended)
		ERR_clear_error();
	else
		tls_error_text(detail, size);
	return ended;
}
