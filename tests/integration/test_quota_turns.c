/* Limits above the pool: whose turn is it, when one thing is refused for another; and what must not be
 * closed or opened without need. New sessions go to the worker that has the fewest, the first of
 * several: the order of the connects says where they are. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "tests/integration/crowd.h"
#include "tests/integration/guest.h"
#include "tests/integration/impostor.h"
#include "tests/integration/rig_priv.h"

TestSuite(quota_turns, .timeout = 120);

/* ---- the end ---- */

static void says_nothing(struct impostor *im, int fd)
{
	char c;

	(void)im;
	while (recv(fd, &c, 1, 0) > 0)
		;
}

/* What a login holds goes with it; a leak sanitizer would tell. */
Test(quota_turns, shutdown_during_a_login_leaves_nothing)
{
	static struct impostor im;
	struct rig *rig;
	struct guest guest;

	rig_require();
	impostor_start(&im, NULL, says_nothing, NULL);
	rig = rig_start(NULL, rig_printf("app = host=127.0.0.1 port=%d\n", im.port).s, NULL);
	guest = guest_tls(rig, "alice");
	guest_login(&guest, "alice", "app");
	while (im.connections == 0)
		usleep(10000);
	rig_stop(rig);
	guest_leave(&guest);
	impostor_stop(&im);
}
