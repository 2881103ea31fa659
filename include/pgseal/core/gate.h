/* A gate: the thread for everything that costs public-key cryptography or deals with a peer that is not
 * trusted yet. Inbound it takes a connection from accept to a session; outbound it logs in to servers. */
#ifndef PGSEAL_CORE_GATE_H
#define PGSEAL_CORE_GATE_H

#include "pgseal/core/crew.h"
#include "pgseal/core/dial.h"
#include "pgseal/core/site.h"

/* A socket that listens; opened by the process, accepted from by every gate. */
struct listener {
	int fd;
	bool local; /* Unix socket */
};

enum err gate_create(struct crew *crew, size_t index, struct site *site, const struct listener *at,
                     size_t count, struct gate **out) MUST_CHECK;
enum err gate_start(struct gate *g) MUST_CHECK;
void gate_join(struct gate *g);
void gate_free(struct gate *g);

void gate_post_dial(struct gate *g, struct dial *d);
enum err gate_post_site(struct gate *g, struct site *site) MUST_CHECK;
/* Stop accepting; drop whoever is not in yet. Logins to servers go on. Once. */
void gate_post_close(struct gate *g);
/* End the thread. Once. */
void gate_post_stop(struct gate *g);

#endif
