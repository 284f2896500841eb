/* SPDX-License-Identifier: GPL-2.0 */
/* A reader without a lock. The base kernel's caches have none. */
#ifndef _UNIT_LIVE_H
#define _UNIT_LIVE_H

#include "world.h"

#ifdef UNIT_STOCK
static inline bool live_look(struct gfn_to_pfn_cache *gpc, int *cpu, int touches)
{
	return true;
}
#else
#include <pfncache/gpc_live.h>

/* One look, as an event's delivery: was there a page? */
static inline bool live_look(struct gfn_to_pfn_cache *gpc, int *cpu, int touches)
{
	struct unit_seen seen = { 0 };
	unsigned long flags;
	void *khva = NULL;

	local_irq_save(flags);
	if (kvm_gpc_reader(gpc->kvm, cpu))
		khva = kvm_gpc_live(gpc);
	while (khva && touches--) {
		unit_stall();
		unit_touch_live(khva, &seen);
	}
	local_irq_restore(flags);

	return khva;
}
#endif

#endif
