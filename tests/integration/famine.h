/* Memory that runs out when a test says so: a library that is loaded before pgseal counts its
 * allocations and refuses some, as this shared page says. */
#ifndef PGSEAL_TESTS_FAMINE_H
#define PGSEAL_TESTS_FAMINE_H

#define FAMINE_ENV "PGSEAL_FAMINE" /* path of the page */

struct famine {
	_Atomic long made;        /* allocations so far */
	_Atomic long live;        /* of them not freed yet */
	_Atomic long from, until; /* those numbers fail; from 0: none */
	_Atomic long failed;
	_Atomic int own; /* only those count that pgseal itself asks for, not its libraries */
};

#endif
