/* SPDX-License-Identifier: GPL-2.0 */
/* Operations that run out of memory at each point in turn: see nomem.c. */
#ifndef _UNIT_NOMEM_H
#define _UNIT_NOMEM_H

#include "rig/mem.h"
#include "world.h"

struct nomem {
	struct world w;
	struct gfn_to_pfn_cache *gpc;	/* the one that is operated on */
	struct gfn_to_pfn_cache *other;	/* usable all the time, on another page */
};

/* Called with a fresh world, in the order of the members. */
struct nomem_op {
	void (*prepare)(struct nomem *n);
	int (*run)(struct nomem *n);
	unsigned long uhva;	/* where the cache is once run() succeeded */
	int error;		/* if it can only be one */
};

/* Returns how many points of the operation need memory. */
unsigned long nomem_everywhere(const struct nomem_op *op);

extern const struct nomem_op nomem_activate, nomem_refresh, nomem_move, nomem_index;

#endif
