#include "process_priv.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "config.h"
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "health.h"
#include "listen.h"
#include "pgseal/admin/commands.h"
#include "pgseal/admin/console.h"
#include "pgseal/base/log.h"
#include "pgseal/base/report.h"
#include "pgseal/core/gate.h"
#include "pgseal/core/route.h"
#include "pgseal/core/site.h"
#include "pgseal/core/troubles.h"
#include "pgseal/core/worker.h"
#include "privileges.h"

/* How often control looks whether the clients that it waits for have left. */
#define WAIT_FOR_CLIENTS_US (100 * USEC_PER_MS)

void process_notify(const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

/* ---- ending ---- */

static void close_doors(struct process *p)
{
	size_t i;

	if (p->closing)
		return;
	p->closing = true;
	process_notify("STOPPING=1");
	for (i = 0; i < p->started_gates; i++)
		gate_post_close(p->crew.gates[i]);
	/* New clients are refused from now on, instead of hanging in the backlog. */
	listeners_shut(&p->listeners);
}

/* limit: behind which the rest ends at once; 0: none. */
static void drain(struct process *p, bool at_once, usec_t limit)
{
	size_t i;

	close_doors(p);
	log_info(LOG_PROCESS, 0, "shutdown: %s",
	         at_once ? "at once" : "sessions end with their transactions");
	p->draining = true;
	p->at_once = p->at_once || at_once;
	for (i = 0; i < p->started_workers; i++)
		worker_post_drain(p->crew.workers[i], at_once);
	/* It may be running for the next look at who is left. */
	timer_clear(p->deadline);
	if (!at_once && limit > 0)
		timer_set(p->deadline, limit);
}

static void deadline_due(void *arg)
{
	struct process *p = arg;

	if (p->draining)
		drain(p, true, 0);
	else if (atomic_load(&p->crew.clients) == 0)
		drain(p, false, p->site->settings.shutdown_timeout);
	else
		timer_set(p->deadline, WAIT_FOR_CLIENTS_US);
}

static void worker_drained(struct letter *letter, void *owner)
{
	struct process *p = owner;

	(void)letter;
	if (++p->drained_workers == p->started_workers)
		loop_stop(p->loop);
}

/* ---- orders: signals and console ---- */

static void signalled(void *arg, int signo)
{
	struct process *p = arg;
	struct buf text = { 0 };

	log_info(LOG_PROCESS, 0, "signal: %s", strsignal(signo));
	if (signo == SIGHUP) {
		/* The reasons are in the log. */
		if (reload_site(p, &text) != ERR_OK)
			log_warning(LOG_CONFIG, 0, "try: pgseal --check %s", p->opts->config);
	} else {
		drain(p, p->draining || signo == SIGQUIT, p->site->settings.shutdown_timeout);
	}
	buf_free(&text);
}

static void answer(struct control_request *req, enum err rc, struct buf *text)
{
	if (buf_append(text, "", 1) != ERR_OK)
		buf_free(text);
	control_answer(req, rc == ERR_OK, (const char *)text->at);
	buf_free(text);
}

static void order_reload(void *process, struct control_request *req)
{
	struct buf text = { 0 };

	answer(req, reload_site(process, &text), &text);
}

static void order_set(void *process, struct control_request *req)
{
	struct buf text = { 0 };

	answer(req, reload_change(process, req->setting, req->value, &text), &text);
}

static void order_shutdown(void *process, struct control_request *req)
{
	struct process *p = process;
	enum control_kind kind = req->kind;
	usec_t limit = req->limit >= 0 ? req->limit : p->site->settings.shutdown_timeout;

	control_answer(req, true, NULL);
	close_doors(p);
	if (kind == CONTROL_SHUTDOWN_WAIT_FOR_CLIENTS && !p->draining)
		timer_set(p->deadline, 0);
	else
		drain(p, kind == CONTROL_SHUTDOWN, limit);
}

static const struct control_ops control_ops = { order_reload, order_set, order_shutdown };

/* ---- threads ---- */

/* Cores that we may run on: taskset or a container may have taken some away. */
static int64_t cores_ours(void)
{
	cpu_set_t ours;

	if (sched_getaffinity(0, sizeof(ours), &ours) == 0)
		return CPU_COUNT(&ours);
	return sysconf(_SC_NPROCESSORS_ONLN);
}

static size_t threads_wanted(int64_t setting)
{
	int64_t n = setting > 0 ? setting : cores_ours();

	if (n < 1)
		n = 1;
	return (size_t)(n > CREW_MAX ? CREW_MAX : n);
}

static enum err make_crew(struct process *p)
{
	struct crew *c = &p->crew;
	size_t workers = threads_wanted(p->site->settings.workers),
	       gates = threads_wanted(p->site->settings.gates);
	enum err rc;

	c->process = p;
	c->console = &console_ops;
	c->control_ops = &control_ops;
	c->worker_drained = worker_drained;
	if ((rc = mailbox_create(p, &c->control)) != ERR_OK ||
	    (rc = loop_add_mailbox(p->loop, c->control)) != ERR_OK ||
	    (rc = routes_create(workers, &c->routes)) != ERR_OK ||
	    (rc = quotas_create(workers, &c->quotas)) != ERR_OK ||
	    (rc = authns_create(&c->authns)) != ERR_OK)
		return rc;
	if ((c->troubles = troubles_create()) == NULL)
		return ERR_NO_MEMORY;
	if (RAND_bytes(c->salt, sizeof(c->salt)) != 1)
		return ERR_TLS;
	for (; rc == ERR_OK && c->worker_count < workers; c->worker_count += rc == ERR_OK)
		rc = worker_create(c, c->worker_count, p->site, &c->workers[c->worker_count]);
	for (; rc == ERR_OK && c->gate_count < gates; c->gate_count += rc == ERR_OK)
		rc = gate_create(c, c->gate_count, p->site, p->listeners.at, p->listeners.count,
		                 &c->gates[c->gate_count]);
	return rc;
}

static enum err start_crew(struct process *p)
{
	enum err rc = ERR_OK;
	sigset_t all, old;

	/* Signals are control's: the others never see one. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; rc == ERR_OK && p->started_workers < p->crew.worker_count;
	     p->started_workers += rc == ERR_OK)
		rc = worker_start(p->crew.workers[p->started_workers]);
	for (; rc == ERR_OK && p->started_gates < p->crew.gate_count;
	     p->started_gates += rc == ERR_OK)
		rc = gate_start(p->crew.gates[p->started_gates]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static void end_crew(struct process *p)
{
	struct crew *c = &p->crew;
	size_t i;

	for (i = 0; i < p->started_workers; i++)
		worker_post_stop(c->workers[i]);
	for (i = 0; i < p->started_gates; i++)
		gate_post_stop(c->gates[i]);
	for (i = 0; i < p->started_workers; i++)
		worker_join(c->workers[i]);
	for (i = 0; i < p->started_gates; i++)
		gate_join(c->gates[i]);
	for (i = 0; i < c->gate_count; i++)
		gate_free(c->gates[i]);
	for (i = 0; i < c->worker_count; i++)
		worker_empty(c->workers[i]);
	for (i = 0; i < c->worker_count; i++)
		worker_free(c->workers[i]);
	mailbox_free(c->control);
	routes_free(c->routes);
	quotas_free(c->quotas);
	authns_free(c->authns);
	troubles_free(c->troubles);
}

/* ---- from start to end ---- */

static enum err write_pidfile(struct process *p, struct errbuf *why)
{
	const char *path = p->site->settings.pidfile;
	enum err rc = ERR_OK;

	if (path[0] != '\0' && (rc = privileges_write_pid(path, why)) == ERR_OK)
		p->pidfile = strdup(path);
	return rc;
}

static enum err drop_privileges(struct process *p, struct errbuf *why)
{
	const struct settings *s = &p->site->settings;
	const char *const paths[] = { s->logfile, p->pidfile, p->listeners.socket_path };

	return privileges_drop(p->opts->user != NULL ? p->opts->user : s->user, paths,
	                       sizeof(paths) / sizeof(paths[0]), why);
}

static void no_end_of_turn(void *arg)
{
	(void)arg;
}

/* The soft limit is low for the sake of programs that use select(), which this one does not. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warning(LOG_PROCESS, 0, "limit of open files not raised: %s", strerror(errno));
}

static enum err prepare(struct process *p, struct errbuf *why)
{
	static const int signals[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT };
	enum err rc;
	size_t i;

	if ((rc = loop_create(&p->loop)) != ERR_OK ||
	    (rc = timer_create_in(p->loop, deadline_due, p, &p->deadline)) != ERR_OK)
		return err_set(why, rc, "%s", err_text(rc));
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if ((rc = loop_add_signal(p->loop, signals[i], signalled, p)) != ERR_OK)
			return err_set(why, rc, "%s", err_text(rc));
	if ((rc = health_open(p->loop, &p->crew, &p->standing, &p->health, why)) != ERR_OK ||
	    (rc = listeners_open(&p->site->settings, &p->listeners, why)) != ERR_OK ||
	    (rc = write_pidfile(p, why)) != ERR_OK ||
	    (rc = drop_privileges(p, why)) != ERR_OK)
		return rc;
	raise_descriptor_limit();
	if ((rc = make_crew(p)) != ERR_OK || (rc = start_crew(p)) != ERR_OK)
		return err_set(why, rc, "threads: %s", err_text(rc));
	return ERR_OK;
}

static void log_start(const struct process *p)
{
	log_info(LOG_PROCESS, 0, "started: version=%s pid=%d workers=%zu gates=%zu config=%s",
	         PACKAGE_VERSION, (int)getpid(), p->crew.worker_count, p->crew.gate_count,
	         p->opts->config);
}

static void finish(struct process *p)
{
	health_close(p->health);
	end_crew(p);
	listeners_close(&p->listeners);
	if (p->pidfile != NULL)
		privileges_remove_pid(p->pidfile);
	free(p->pidfile);
	timer_free(p->deadline);
	loop_free(p->loop);
	site_release(p->site);
	log_info(LOG_PROCESS, 0, "ended");
	log_close();
}

static enum err load_first_site(struct process *p)
{
	struct report *rep = report_create();
	struct errbuf why;
	enum err rc = rep != NULL ? site_load(p->opts->config, rep, &p->site) : ERR_NO_MEMORY;

	if (rep != NULL)
		report_print(rep, stderr);
	report_free(rep);
	if (rc == ERR_OK && (rc = reload_open_log(p, p->site, &why)) != ERR_OK)
		fprintf(stderr, "pgseal: %s\n", why.text);
	return rc;
}

int process_run(const struct process_options *opts)
{
	struct process p = { .opts = opts };
	usec_t now = clock_wall_us();
	struct errbuf why = { "" };
	enum err rc;

	log_thread("ctl");
	/* Writing to a peer that is gone, or beyond a limit on file sizes, is an error, not the end. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	p.standing = (struct standing){ .site = &p.site, .closing = &p.closing, .started = now,
		                        .loaded = now };
	if (load_first_site(&p) != ERR_OK) {
		site_release(p.site);
		return EXIT_FAILURE;
	}
	if ((rc = prepare(&p, &why)) == ERR_OK) {
		log_start(&p);
		process_notify("READY=1");
		loop_run(p.loop, no_end_of_turn, &p);
	} else {
		log_error(LOG_PROCESS, 0, "cannot start: %s", why.text);
		close_doors(&p);
	}
	finish(&p);
	return rc == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
