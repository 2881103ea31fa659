#include "probe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"

static FILE *proc_open(int pid, const char *name)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	if ((f = fopen(path, "r")) == NULL)
		die("%s cannot be read", path);
	return f;
}

uint64_t probe_cpu_us(int pid)
{
	uint64_t user, kernel;
	char line[1024];
	const char *rest;
	FILE *f;

	if (pid == 0)
		return 0;
	f = proc_open(pid, "stat");
	rest = fgets(line, sizeof(line), f) != NULL ? strrchr(line, ')') : NULL;
	fclose(f);
	/* behind the name: state, then ten fields that do not matter here */
	if (rest == NULL || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
	                           &user, &kernel) != 2)
		die("/proc/%d/stat is not understood", pid);
	return (user + kernel) * (1000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

long probe_pss_kb(int pid)
{
	char line[256];
	long kb = -1;
	FILE *f;

	if (pid == 0)
		return 0;
	f = proc_open(pid, "smaps_rollup");
	while (kb < 0 && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Pss: %ld kB", &kb) != 1)
			kb = -1;
	fclose(f);
	return kb;
}
