#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <openssl/crypto.h>

#include "config.h"
#include "explain.h"
#include "pgseal/base/hash.h"
#include "pgseal/base/settings.h"
#include "pgseal/core/site.h"
#include "pgseal/tls/memory.h"
#include "process.h"

static void print_usage(FILE *to)
{
	fputs("pgseal pools PostgreSQL connections for clients that log in with certificates.\n\n"
	      "Usage:\n"
	      "  pgseal [-v] [-u USER] CONFIG.INI   run in the foreground\n"
	      "  pgseal --check CONFIG.INI          read the configuration and every file it names\n"
	      "  pgseal --explain --cert FILE [--role ROLE] [--database DB] CONFIG.INI\n"
	      "                                     which rule a certificate matches, what it grants\n"
	      "  pgseal --print-sample              the settings as a commented sample\n"
	      "  pgseal --print-man                 the settings as the list of pgseal.ini(5)\n"
	      "  pgseal --version | --help\n\n"
	      "Options:\n"
	      "  -v, --verbose      log debug messages too\n"
	      "  -u, --user=USER    run as this user\n",
	      to);
}

static void print_version(void)
{
	printf("%s\n", PACKAGE_STRING);
	printf("OpenSSL: built with %s, running with %s\n", PGSEAL_OPENSSL_VERSION,
	       OpenSSL_version(OPENSSL_VERSION_STRING));
	printf("libpq: built with %s, running with %d.%d\n", PGSEAL_LIBPQ_VERSION,
	       PQlibVersion() / 10000, PQlibVersion() % 10000);
#ifdef HAVE_PQCANCELCREATE
	puts("cancel requests to servers: libpq's own, encrypted");
#else
	puts("cancel requests to servers: pg_cancel_backend over a TLS login of the same role");
#endif
#ifdef HAVE_SYSTEMD
	puts("service manager: systemd notifications");
#else
	puts("service manager: none");
#endif
}

/* Files that only root can read are no good to a pooler that runs as somebody else. */
static enum err become(const char *name, struct report *rep)
{
	const struct passwd *pw;

	if (name[0] == '\0' || geteuid() != 0)
		return ERR_OK;
	if ((pw = getpwnam(name)) != NULL && initgroups(name, pw->pw_gid) == 0 &&
	    setgid(pw->pw_gid) == 0 && setuid(pw->pw_uid) == 0)
		return ERR_OK;
	report_error(rep, (struct place){ NULL, 0 }, "user \"%s\": cannot become that user", name);
	return ERR_CONFIG;
}

static int check(const char *path, const char *user)
{
	struct report *rep = report_create();
	struct site *site = NULL;
	enum err rc;

	if (rep == NULL)
		return EXIT_FAILURE;
	rc = site_load(path, rep, &site);
	if (rc == ERR_OK &&
	    (rc = become(user != NULL ? user : site->settings.user, rep)) == ERR_OK) {
		/* Once more, with that user's eyes. */
		site_release(site);
		report_free(rep);
		site = NULL;
		if ((rep = report_create()) == NULL)
			return EXIT_FAILURE;
		rc = site_load(path, rep, &site);
	}
	report_print(rep, stdout);
	if (rc == ERR_OK)
		printf("%s: the configuration is fine\n", path);
	else
		printf("%s: refused, %zu error%s\n", path, report_errors(rep),
		       report_errors(rep) == 1 ? "" : "s");
	report_free(rep);
	site_release(site);
	return rc == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

enum mode { MODE_RUN, MODE_CHECK, MODE_EXPLAIN, MODE_SAMPLE, MODE_MAN, MODE_VERSION, MODE_HELP };

static const struct option options[] = {
	{ "check", no_argument, NULL, 'C' },       { "explain", no_argument, NULL, 'E' },
	{ "cert", required_argument, NULL, 'c' },  { "role", required_argument, NULL, 'r' },
	{ "database", required_argument, NULL, 'd' }, { "print-sample", no_argument, NULL, 'S' },
	{ "print-man", no_argument, NULL, 'M' },   { "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },        { "verbose", no_argument, NULL, 'v' },
	{ "user", required_argument, NULL, 'u' },  { NULL, 0, NULL, 0 },
};

struct arguments {
	enum mode mode;
	struct process_options run;
	struct explain_question question;
};

static bool take_option(struct arguments *a, int c)
{
	static const struct { int option; enum mode mode; } modes[] = {
		{ 'C', MODE_CHECK }, { 'E', MODE_EXPLAIN }, { 'S', MODE_SAMPLE }, { 'M', MODE_MAN },
		{ 'V', MODE_VERSION }, { 'h', MODE_HELP },
	};
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (modes[i].option == c) {
			a->mode = modes[i].mode;
			return true;
		}
	switch (c) {
	case 'c':
		a->question.cert = optarg;
		return true;
	case 'r':
		a->question.role = optarg;
		return true;
	case 'd':
		a->question.database = optarg;
		return true;
	case 'v':
		a->run.verbose++;
		return true;
	case 'u':
		a->run.user = optarg;
		return true;
	default:
		return false;
	}
}

static int complain(const char *what)
{
	fprintf(stderr, "pgseal: %s\nTry \"pgseal --help\".\n", what);
	return 2;
}

static int act(struct arguments *a)
{
	switch (a->mode) {
	case MODE_CHECK:
		return check(a->run.config, a->run.user);
	case MODE_EXPLAIN:
		a->question.config = a->run.config;
		return a->question.cert != NULL ? explain(&a->question)
		                                : complain("--explain needs --cert FILE");
	case MODE_SAMPLE:
		settings_print_sample(stdout);
		return EXIT_SUCCESS;
	case MODE_MAN:
		settings_print_man(stdout);
		return EXIT_SUCCESS;
	case MODE_VERSION:
		print_version();
		return EXIT_SUCCESS;
	case MODE_HELP:
		print_usage(stdout);
		return EXIT_SUCCESS;
	case MODE_RUN:
		break;
	}
	return process_run(&a->run);
}

int main(int argc, char **argv)
{
	struct arguments a = { .mode = MODE_RUN };
	int c;

	if (hash_seed() != ERR_OK)
		return complain("no random numbers from the system");
	tls_memory_watch();
	while ((c = getopt_long(argc, argv, "vu:Vh", options, NULL)) != -1)
		if (!take_option(&a, c))
			return complain("unknown option");
	if (optind < argc)
		a.run.config = argv[optind++];
	if (optind < argc)
		return complain("one configuration file is enough");
	if (a.run.config == NULL &&
	    (a.mode == MODE_RUN || a.mode == MODE_CHECK || a.mode == MODE_EXPLAIN))
		return complain("a configuration file is needed");
	return act(&a);
}
