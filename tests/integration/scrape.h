/* What a Prometheus would see: one HTTP request, and the values in its answer. */
#ifndef PGSEAL_TESTS_SCRAPE_H
#define PGSEAL_TESTS_SCRAPE_H

#include "tests/integration/rig.h"

struct scrape {
	int status;
	char *head, *body; /* texts; scrape_free */
};

int scrape_connect(int port); /* 127.0.0.1; the caller closes */
/* GET; fails the test when there is no answer. */
void scrape_get(int port, const char *path, struct scrape *out);
void scrape_free(struct scrape *s);
/* Status of a GET; 0: no answer, or nobody listens. */
int scrape_status(int port, const char *path);

/* The value of a series, "name{label=\"value\"}", in a text of metrics; -1: it is not there. */
double scrape_value(const char *text, const char *series);
/* The same, from /metrics. */
double scrape_metric(int port, const char *series);
/* Poll until it is that. */
bool scrape_wait(int port, const char *series, double want, int wait_ms);

#endif
