#include "pgseal/core/steps.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_FIRST 8u /* sizes are powers of two */

static struct step *at(struct steps *q, uint32_t i)
{
	return &q->ring[(q->head + i) & (q->cap - 1)];
}

static bool makes_copy(const struct step *step)
{
	return (step->kind == STEP_PARSE || step->kind == STEP_OUR_PARSE) && !step->unnamed &&
	       step->st != NULL;
}

static size_t weight(const struct step *step)
{
	return step->kind == STEP_PARSE && step->st != NULL ? prepared_cost(step->st->len) : 0;
}

static enum err grow(struct steps *q)
{
	uint32_t cap = q->cap == 0 ? STEPS_FIRST : q->cap * 2, i;
	struct step *ring = malloc(cap * sizeof(*ring));

	if (ring == NULL)
		return ERR_NO_MEMORY;
	for (i = 0; i < q->len; i++)
		ring[i] = *at(q, i);
	free(q->ring);
	q->ring = ring;
	q->cap = cap;
	q->head = 0;
	return ERR_OK;
}

enum err steps_push(struct steps *q, struct pstatement_table *t, struct step step)
{
	if (q->len == q->cap && grow(q) != ERR_OK) {
		pstatement_release(t, step.st);
		alias_free(t, step.alias);
		return ERR_NO_MEMORY;
	}
	*at(q, q->len++) = step;
	q->awaited += step.awaited;
	q->parsing += makes_copy(&step);
	q->named += !step.unnamed;
	q->setup += step.kind == STEP_SETUP;
	q->bytes += weight(&step);
	return ERR_OK;
}

struct step *steps_front(struct steps *q)
{
	return q->len > 0 ? at(q, 0) : NULL;
}

void steps_pop(struct steps *q, struct pstatement_table *t)
{
	struct step *step = at(q, 0);

	q->awaited -= step->awaited;
	q->parsing -= makes_copy(step);
	q->named -= !step->unnamed;
	q->setup -= step->kind == STEP_SETUP;
	q->bytes -= weight(step);
	pstatement_release(t, step->st);
	alias_free(t, step->alias);
	q->head = (q->head + 1) & (q->cap - 1);
	if (--q->len > 0 || q->cap == STEPS_FIRST)
		return;
	free(q->ring); /* a burst is over: give the memory back */
	q->ring = NULL;
	q->head = q->cap = 0;
}

void steps_clear(struct steps *q, struct pstatement_table *t)
{
	while (q->len > 0)
		steps_pop(q, t);
	free(q->ring);
	q->ring = NULL;
	q->head = q->cap = 0;
}

struct step *steps_of_alias(struct steps *q, struct bytes name)
{
	uint32_t i;

	for (i = q->named > 0 ? q->len : 0; i-- > 0;)
		if (at(q, i)->alias != NULL && at(q, i)->kind != STEP_DUPLICATE &&
		    at(q, i)->kind != STEP_USE &&
		    alias_is(at(q, i)->alias, name))
			return at(q, i);
	return NULL;
}

struct step *steps_of_unnamed(struct steps *q)
{
	uint32_t i;

	for (i = q->len; i-- > 0;)
		if (at(q, i)->unnamed && at(q, i)->kind != STEP_DESCRIBE &&
		    at(q, i)->kind < STEP_OUR_EXECUTE)
			return at(q, i);
	return NULL;
}

struct step *steps_of_statement(struct steps *q, const struct pstatement *st)
{
	uint32_t i;

	for (i = q->named > 0 ? q->len : 0; i-- > 0;) {
		if (at(q, i)->unnamed)
			continue;
		if (at(q, i)->kind == STEP_OUR_CLOSE ? strcmp(at(q, i)->evicted, st->name) == 0
		                                     : at(q, i)->st == st)
			return at(q, i);
	}
	return NULL;
}

bool steps_in_batch(const struct steps *q, const struct step *step)
{
	return (int32_t)(step->seq - q->batch) >= 0;
}
