#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "pgseal/base/log.h"
#include "pgseal/wire/message.h"
#include "request_priv.h"
#include "sums_priv.h"

/* --- results --- */

void result_free(struct result *r)
{
	buf_free(&r->rows);
	buf_free(&r->detail);
}

void result_cell(struct result *r, const char *text)
{
	uint32_t len = text == NULL ? CELL_NULL : (uint32_t)strlen(text);

	if (r->no_memory)
		return;
	if (buf_append(&r->rows, &len, sizeof(len)) != ERR_OK ||
	    (text != NULL && buf_append(&r->rows, text, len) != ERR_OK))
		r->no_memory = true;
}

/* --- requests --- */

struct request *request_create(void)
{
	return calloc(1, sizeof(struct request));
}

void request_free(struct request *rq)
{
	if (rq == NULL)
		return;
	result_free(&rq->result);
	buf_free(&rq->control.text);
	sums_free(rq->sums);
	view_dns_free(rq);
	free(rq);
}

const char *request_arg(const struct request *rq, size_t i)
{
	size_t at = rq->action.first_arg + i;

	return at < rq->statement.count ? rq->statement.token[at].text : NULL;
}

void request_fail(struct request *rq, const char *sqlstate, const char *fmt, ...)
{
	va_list ap;

	rq->result.sqlstate = sqlstate;
	va_start(ap, fmt);
	(void)vsnprintf(rq->result.message.text, sizeof(rq->result.message.text), fmt, ap);
	va_end(ap);
}

/* --- round the workers --- */

static enum tour_next tour_visit(struct tour *t, struct worker *w)
{
	struct request *rq = (struct request *)t;
	enum tour_next next = rq->part(rq, w);

	if (next == TOUR_ON || !atomic_load(&rq->cancelled))
		return next;
	rq->cut = true;
	return TOUR_ON;
}

static void tour_home(struct tour *t, struct worker *w, struct session *s)
{
	struct request *rq = (struct request *)t;

	if (s == NULL || s->console == NULL || s->state == SESSION_CLOSING)
		request_free(rq);
	else if (rq->home != NULL && !rq->home(rq, w))
		tour_start(&rq->tour);
	else
		console_done(rq, s);
}

static void tour_drop(struct tour *t)
{
	request_free((struct request *)t);
}

_Static_assert(offsetof(struct request, tour) == 0, "a tour leads back to its request");

void request_tour(struct request *rq, struct session *s,
                  enum tour_next (*part)(struct request *rq, struct worker *w),
                  bool (*home)(struct request *rq, struct worker *w))
{
	rq->part = part;
	rq->home = home;
	rq->tour.crew = s->worker->crew;
	rq->tour.home = s->worker->index;
	rq->tour.session_id = s->id;
	rq->tour.visit = tour_visit;
	rq->tour.come_home = tour_home;
	rq->tour.drop = tour_drop;
	tour_start(&rq->tour);
}

void request_cancel(struct request *rq)
{
	/* Wherever it is: before it parks it looks here, and where it is parked it is woken. */
	atomic_store(&rq->cancelled, true);
	tour_revisit_all(rq->tour.crew);
}

/* The first text is kept. */
static void append_text(struct buf *to, const char *text)
{
	if (to->len > 0 || text == NULL || *text == '\0')
		return;
	if (buf_append(to, text, strlen(text) + 1) != ERR_OK)
		log_warning(LOG_CONSOLE, 0, "answer: %s", err_text(ERR_NO_MEMORY));
}

void request_detail(struct request *rq, const char *text)
{
	append_text(&rq->result.detail, text);
}

void request_fail_cancelled(struct request *rq, const char *detail)
{
	request_fail(rq, SQLSTATE_QUERY_CANCELED, "canceling statement due to user request");
	request_detail(rq, detail);
}

/* --- to control and back --- */

static struct request *of_control(struct control_request *req)
{
	return (struct request *)((char *)req - offsetof(struct request, control));
}

static void control_discard(struct letter *letter)
{
	request_free(of_control((struct control_request *)letter));
}

_Static_assert(offsetof(struct control_request, letter) == 0, "a letter is its control_request");

static void control_there(struct letter *letter, void *process)
{
	struct control_request *req = (struct control_request *)letter;
	const struct control_ops *ops = req->crew->control_ops;

	if (req->kind == CONTROL_RELOAD)
		ops->reload(process, req);
	else if (req->kind == CONTROL_SET)
		ops->set(process, req);
	else
		ops->shutdown(process, req);
}

static void control_back(struct letter *letter, void *owner)
{
	static const struct {
		const char *tag, *sqlstate;
	} rows[] = {
#define X(kind, tag, sqlstate) [kind] = { (tag), (sqlstate) },
		CONTROL_KIND_TABLE(X)
#undef X
	};
	struct control_request *req = (struct control_request *)letter;
	struct request *rq = of_control(req);
	struct session *s = worker_session_by_id(owner, req->session_id);
	const char *text = req->text.len > 0 ? (const char *)req->text.at : NULL;

	if (s == NULL || s->console == NULL || s->state == SESSION_CLOSING) {
		request_free(rq);
		return;
	}
	rq->result.tag = rows[req->kind].tag;
	if (!req->ok && text != NULL)
		request_fail(rq, rows[req->kind].sqlstate, "%.*s", (int)strcspn(text, "\n"), text);
	else if (!req->ok)
		request_fail(rq, rows[req->kind].sqlstate, "refused; the log tells why");
	else if (text != NULL)
		rq->result.notice = "done, with remarks";
	request_detail(rq, text);
	console_done(rq, s);
}

void request_control(struct request *rq, struct session *s, enum control_kind kind)
{
	struct control_request *req = &rq->control;

	req->crew = s->worker->crew;
	req->kind = kind;
	req->home = s->worker->index;
	req->session_id = s->id;
	req->letter.deliver = control_there;
	req->letter.discard = control_discard;
	mailbox_post(req->crew->control, &req->letter);
}

void control_answer(struct control_request *req, bool ok, const char *text)
{
	req->ok = ok;
	append_text(&req->text, text);
	req->letter.deliver = control_back;
	worker_post(req->crew->workers[req->home], &req->letter);
}
