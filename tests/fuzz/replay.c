/* Feeds every file of the named corpora to a fuzz target, so that what a fuzzer once found stays
 * found in builds without libFuzzer. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NULL: cannot be read. The caller frees. A copy of exactly this size lets ASan see overreads. */
static uint8_t *read_whole(const char *path, size_t size)
{
	uint8_t *data = malloc(size > 0 ? size : 1);
	FILE *f = fopen(path, "rb");
	size_t got = 0;

	if (data != NULL && f != NULL)
		got = fread(data, 1, size, f);
	if (f != NULL)
		fclose(f);
	if (data != NULL && (f == NULL || got != size)) {
		free(data);
		data = NULL;
	}
	return data;
}

static int replay_file(const char *path, size_t size)
{
	uint8_t *data = read_whole(path, size);

	if (data == NULL) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return -1;
	}
	/* told before, not behind: a crash then names its input */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

/* Number of inputs below path; -1 when one could not be read. */
static int replay(const char *path)
{
	struct dirent *entry;
	struct stat st;
	int count = 0;
	DIR *dir;

	if (stat(path, &st) != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, (size_t)st.st_size);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while (count >= 0 && (entry = readdir(dir)) != NULL) {
		char below[4096];
		int n;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		n = replay(below);
		count = n < 0 ? -1 : count + n;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int n = replay(argv[i]);

		if (n < 0)
			return EXIT_FAILURE;
		total += n;
	}
	fprintf(stderr, "%d inputs replayed\n", total);
	/* an empty corpus is a mistake of the build, not a success */
	return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
